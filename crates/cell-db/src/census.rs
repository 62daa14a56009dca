//! The census: what stands in a cell of every instance and of every host, in few columns.
//!
//! It is read in slices, so that a walk over the whole plane holds a bounded part of it.

use std::collections::{BTreeMap, BTreeSet};

use cellzero_database::{DatabaseError, Scope, Whose, scan};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::CellConnection;
use crate::schema::{
    compute_nodes, instance_extra, instance_faults, instance_fences, instance_info_caches,
    instances, outbox, services,
};
use crate::service::COMPUTE_BINARY;

/// An instance's own row, in few columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSeen {
    /// Whether it is deleted.
    pub deleted: bool,
    /// The stable state.
    pub vm_state: Option<String>,
    /// The compute host.
    pub host: Option<String>,
    /// When it was made or changed last.
    pub changed_at: Option<NaiveDateTime>,
}

/// What stands in a cell of one uuid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CellSeen {
    /// The instance's own row.
    pub row: Option<RowSeen>,
    /// Whether it has a live row in `instance_extra`.
    pub has_extra: bool,
    /// Whether it has a live row in `instance_info_caches`.
    pub has_info_cache: bool,
    /// Whether it has a live fault.
    pub has_fault: bool,
    /// Its fence, and the epoch whose rows stand behind it.
    pub fence: Option<(i64, Option<i64>)>,
}

/// What a part of a walk has seen of each uuid.
pub type Seen = BTreeMap<String, CellSeen>;

/// Reads what stands here of the uuids in `scope`, which ends where a table gave as many rows as it
/// may. Five statements, four on a plane that Nova made; for named uuids that many for each five
/// hundred.
///
/// # Errors
/// The database's.
pub fn read(
    conn: &mut CellConnection,
    scope: &mut Scope,
    whose: Whose,
) -> Result<Seen, DatabaseError> {
    let mut seen = Seen::new();
    read_rows(conn, scope, &mut seen)?;
    // The other tables have rows of instances that stand here only; a lone fence says nothing.
    if seen.is_empty() {
        return Ok(seen);
    }
    macro_rules! mark {
        ($table:ident, $mark:expr) => {{
            let rows: Vec<String> = scan!(
                conn,
                scope,
                $table::instance_uuid,
                $table::table
                    .filter($table::deleted.eq(0))
                    .select($table::instance_uuid.assume_not_null())
                    .distinct()
            );
            scope.end_where_full(rows.len(), rows.last());
            for uuid in rows {
                $mark(seen.entry(uuid).or_default());
            }
        }};
    }
    mark!(instance_extra, |seen: &mut CellSeen| seen.has_extra = true);
    let rows: Vec<String> = scan!(
        conn,
        scope,
        instance_info_caches::instance_uuid,
        instance_info_caches::table
            .filter(instance_info_caches::deleted.eq(0))
            .select(instance_info_caches::instance_uuid)
    );
    scope.end_where_full(rows.len(), rows.last());
    for uuid in rows {
        seen.entry(uuid).or_default().has_info_cache = true;
    }
    mark!(instance_faults, |seen: &mut CellSeen| seen.has_fault = true);
    if whose == Whose::Ours {
        read_fences(conn, scope, &mut seen)?;
    }
    if let Some(upto) = scope.upto() {
        seen.retain(|uuid, _| uuid.as_str() <= upto);
    }
    Ok(seen)
}

fn read_rows(
    conn: &mut CellConnection,
    scope: &mut Scope,
    seen: &mut Seen,
) -> Result<(), DatabaseError> {
    type Row = (
        String,
        Option<i32>,
        Option<String>,
        Option<String>,
        Option<NaiveDateTime>,
        Option<NaiveDateTime>,
    );
    let rows: Vec<Row> = scan!(
        conn,
        scope,
        instances::uuid,
        instances::table.select((
            instances::uuid,
            instances::deleted,
            instances::vm_state,
            instances::host,
            instances::created_at,
            instances::updated_at,
        ))
    );
    scope.end_where_full(rows.len(), rows.last().map(|row| &row.0));
    for (uuid, deleted, vm_state, host, created_at, updated_at) in rows {
        seen.entry(uuid).or_default().row = Some(RowSeen {
            deleted: deleted.unwrap_or(0) != 0,
            vm_state,
            host,
            changed_at: updated_at.or(created_at),
        });
    }
    Ok(())
}

fn read_fences(
    conn: &mut CellConnection,
    scope: &mut Scope,
    seen: &mut Seen,
) -> Result<(), DatabaseError> {
    let rows: Vec<(String, i64, Option<i64>)> = scan!(
        conn,
        scope,
        instance_fences::instance_uuid,
        instance_fences::table.select((
            instance_fences::instance_uuid,
            instance_fences::fence,
            instance_fences::written_epoch,
        ))
    );
    scope.end_where_full(rows.len(), rows.last().map(|row| &row.0));
    for (uuid, fence, written) in rows {
        seen.entry(uuid).or_default().fence = Some((fence, written));
    }
    Ok(())
}

/// The hosts that have a live compute node here, with when it was made, and those that have a live
/// compute service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostsSeen {
    /// The hosts of compute nodes.
    pub nodes: BTreeMap<String, Option<NaiveDateTime>>,
    /// The hosts of compute services.
    pub services: BTreeSet<String>,
}

/// The hosts of this cell. Two statements.
///
/// # Errors
/// The database's.
pub fn hosts(conn: &mut CellConnection) -> Result<HostsSeen, DatabaseError> {
    let nodes: Vec<(String, Option<NaiveDateTime>)> = compute_nodes::table
        .filter(compute_nodes::deleted.eq(0))
        .filter(compute_nodes::host.is_not_null())
        .select((compute_nodes::host.assume_not_null(), compute_nodes::created_at))
        .load(conn.sql())?;
    let services: Vec<String> = services::table
        .filter(services::deleted.eq(0))
        .filter(services::binary.eq(COMPUTE_BINARY))
        .filter(services::host.is_not_null())
        .select(services::host.assume_not_null())
        .load(conn.sql())?;
    Ok(HostsSeen { nodes: nodes.into_iter().collect(), services: services.into_iter().collect() })
}

/// How many live instances stand on a host. One statement.
///
/// # Errors
/// The database's.
pub fn instances_on(conn: &mut CellConnection, host: &str) -> Result<i64, DatabaseError> {
    let live = instances::table.filter(instances::deleted.eq(0)).filter(instances::host.eq(host));
    Ok(live.count().get_result(conn.sql())?)
}

/// Instances whose effects have waited in the outbox since before `since`: uuid and operation,
/// oldest first, at most `rows_max`. One statement.
///
/// # Errors
/// The database's.
pub fn overdue(
    conn: &mut CellConnection,
    since: NaiveDateTime,
    rows_max: u32,
) -> Result<Vec<(String, String)>, DatabaseError> {
    let rows = outbox::table
        .filter(outbox::created_at.lt(since))
        .order((outbox::created_at, outbox::id))
        .limit(rows_max.into())
        .select((outbox::instance_uuid, outbox::operation))
        .load(conn.sql())?;
    Ok(rows)
}
