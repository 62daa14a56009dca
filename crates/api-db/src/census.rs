//! The census: what the API database knows of every instance and of every host, in few columns.
//!
//! It is read in slices, so that a walk over the whole plane holds a bounded part of it.

use std::collections::BTreeMap;

use cellzero_database::{DatabaseError, Scope, Whose, scan};
use cellzero_types::Resources;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{
    boot_intents, boot_states, build_requests, claims, host_capacity, host_mappings,
    instance_mappings, outbox, request_specs,
};
use crate::{ApiConnection, archive};

/// An instance mapping, in few columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingSeen {
    /// The row id of its cell.
    pub cell_id: Option<i32>,
    /// Whether its delete was asked for.
    pub queued_for_delete: bool,
    /// When it was made or changed last.
    pub changed_at: Option<NaiveDateTime>,
}

/// A claim, in few columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimSeen {
    /// The epoch that took it.
    pub epoch: i64,
    /// The host.
    pub host: String,
    /// When it was taken.
    pub created_at: NaiveDateTime,
}

/// What the API database knows of one uuid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiSeen {
    /// Its mapping.
    pub mapping: Option<MappingSeen>,
    /// Its build request, with when it was made.
    pub build_request: Option<Option<NaiveDateTime>>,
    /// Its request spec, with when it was made.
    pub request_spec: Option<Option<NaiveDateTime>>,
    /// Its boot state: the epoch, and the one that was decided.
    pub boot_state: Option<(i64, Option<i64>)>,
    /// Its intents: epoch and cell.
    pub intents: Vec<(i64, String)>,
    /// Its claim.
    pub claim: Option<ClaimSeen>,
    /// Whether it is archived. It is looked for only where uuids are named.
    pub archived: bool,
}

/// What a part of a walk has seen of each uuid.
pub type Seen = BTreeMap<String, ApiSeen>;

/// Reads what is known of the uuids in `scope`, which ends where a table gave as many rows as it
/// may. Six statements, three on a plane that Nova made; for named uuids that many for each five
/// hundred, and one more on a plane of our own.
///
/// # Errors
/// The database's.
pub fn read(
    conn: &mut ApiConnection,
    scope: &mut Scope,
    whose: Whose,
) -> Result<Seen, DatabaseError> {
    let mut seen = Seen::new();
    read_mappings(conn, scope, &mut seen)?;
    read_requests(conn, scope, &mut seen)?;
    if whose == Whose::Ours {
        read_states(conn, scope, &mut seen)?;
        read_claims(conn, scope, &mut seen)?;
        if let Scope::These(uuids) = &*scope {
            for uuid in archive::archived(conn, uuids)? {
                seen.entry(uuid).or_default().archived = true;
            }
        }
    }
    if let Some(upto) = scope.upto() {
        seen.retain(|uuid, _| uuid.as_str() <= upto);
    }
    Ok(seen)
}

fn read_mappings(
    conn: &mut ApiConnection,
    scope: &mut Scope,
    seen: &mut Seen,
) -> Result<(), DatabaseError> {
    type Row = (String, Option<i32>, Option<bool>, Option<NaiveDateTime>, Option<NaiveDateTime>);
    let rows: Vec<Row> = scan!(
        conn,
        scope,
        instance_mappings::instance_uuid,
        instance_mappings::table.select((
            instance_mappings::instance_uuid,
            instance_mappings::cell_id,
            instance_mappings::queued_for_delete,
            instance_mappings::created_at,
            instance_mappings::updated_at,
        ))
    );
    scope.end_where_full(rows.len(), rows.last().map(|row| &row.0));
    for (uuid, cell_id, queued, created_at, updated_at) in rows {
        seen.entry(uuid).or_default().mapping = Some(MappingSeen {
            cell_id,
            queued_for_delete: queued.unwrap_or(false),
            changed_at: updated_at.or(created_at),
        });
    }
    Ok(())
}

fn read_requests(
    conn: &mut ApiConnection,
    scope: &mut Scope,
    seen: &mut Seen,
) -> Result<(), DatabaseError> {
    let rows: Vec<(String, Option<NaiveDateTime>)> = scan!(
        conn,
        scope,
        build_requests::instance_uuid,
        build_requests::table
            .select((build_requests::instance_uuid.assume_not_null(), build_requests::created_at))
    );
    scope.end_where_full(rows.len(), rows.last().map(|row| &row.0));
    for (uuid, created_at) in rows {
        seen.entry(uuid).or_default().build_request = Some(created_at);
    }
    let rows: Vec<(String, Option<NaiveDateTime>)> = scan!(
        conn,
        scope,
        request_specs::instance_uuid,
        request_specs::table.select((request_specs::instance_uuid, request_specs::created_at))
    );
    scope.end_where_full(rows.len(), rows.last().map(|row| &row.0));
    for (uuid, created_at) in rows {
        seen.entry(uuid).or_default().request_spec = Some(created_at);
    }
    Ok(())
}

fn read_states(
    conn: &mut ApiConnection,
    scope: &mut Scope,
    seen: &mut Seen,
) -> Result<(), DatabaseError> {
    let rows: Vec<(String, i64, Option<i64>)> = scan!(
        conn,
        scope,
        boot_states::instance_uuid,
        boot_states::table.select((
            boot_states::instance_uuid,
            boot_states::epoch,
            boot_states::decided_epoch,
        ))
    );
    scope.end_where_full(rows.len(), rows.last().map(|row| &row.0));
    for (uuid, epoch, decided) in rows {
        seen.entry(uuid).or_default().boot_state = Some((epoch, decided));
    }
    Ok(())
}

/// Intents and claims. An instance has few intents, but a slice must not end among them: they are
/// ordered by uuid alone, and what stands at the last one is read with the next slice again.
fn read_claims(
    conn: &mut ApiConnection,
    scope: &mut Scope,
    seen: &mut Seen,
) -> Result<(), DatabaseError> {
    let rows: Vec<(String, i64, String)> = scan!(
        conn,
        scope,
        boot_intents::instance_uuid,
        boot_intents::table.select((
            boot_intents::instance_uuid,
            boot_intents::epoch,
            boot_intents::cell_uuid,
        ))
    );
    let last = rows.last().map(|row| &row.0);
    let before_last = rows.iter().rev().map(|row| &row.0).find(|uuid| Some(*uuid) != last);
    scope.end_where_full(rows.len(), before_last.or(last));
    for (uuid, epoch, cell) in rows {
        seen.entry(uuid).or_default().intents.push((epoch, cell));
    }
    for api in seen.values_mut() {
        api.intents.sort();
    }
    let rows: Vec<(String, i64, String, NaiveDateTime)> = scan!(
        conn,
        scope,
        claims::instance_uuid,
        claims::table.select((
            claims::instance_uuid,
            claims::epoch,
            claims::host,
            claims::created_at,
        ))
    );
    scope.end_where_full(rows.len(), rows.last().map(|row| &row.0));
    for (uuid, epoch, host, created_at) in rows {
        seen.entry(uuid).or_default().claim = Some(ClaimSeen { epoch, host, created_at });
    }
    Ok(())
}

/// A host, by what the API database knows of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSeen {
    /// The row id of the cell that its host mapping names.
    pub mapped: Option<i32>,
    /// What may be claimed and what is counted as claimed, and the cell that it reported to.
    pub capacity: Option<CapacitySeen>,
    /// What its claims come to.
    pub claimed: Resources,
}

/// A host's capacity, in few columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapacitySeen {
    /// The cell that it reported to.
    pub cell: String,
    /// What may be claimed.
    pub limit: Resources,
    /// What is counted as claimed.
    pub used: Resources,
}

fn resources(vcpus: i64, memory_mb: i64, disk_gb: i64) -> Resources {
    Resources { vcpus, memory_mb, disk_gb }
}

/// Every host that is mapped or has reported. Two statements, one on a plane that Nova made.
///
/// # Errors
/// The database's.
pub fn hosts(
    conn: &mut ApiConnection,
    whose: Whose,
) -> Result<BTreeMap<String, HostSeen>, DatabaseError> {
    let mut hosts: BTreeMap<String, HostSeen> = BTreeMap::new();
    let rows: Vec<(String, i32)> = host_mappings::table
        .select((host_mappings::host, host_mappings::cell_id))
        .load(conn.sql())?;
    for (host, cell_id) in rows {
        hosts.entry(host).or_default().mapped = Some(cell_id);
    }
    if whose == Whose::Novas {
        return Ok(hosts);
    }
    type Row = (String, String, (i32, i32, i32), (i32, i32, i32), (Sum, Sum, Sum));
    type Sum = Option<i64>;
    macro_rules! claimed {
        ($column:ident) => {
            claims::table
                .filter(claims::host.eq(host_capacity::host))
                .select(diesel::dsl::sum(claims::$column))
                .single_value()
        };
    }
    // One statement, so that no claim is taken between the two numbers that must agree.
    let rows: Vec<Row> = host_capacity::table
        .select((
            host_capacity::host,
            host_capacity::cell_uuid,
            (
                host_capacity::vcpus_limit,
                host_capacity::memory_mb_limit,
                host_capacity::disk_gb_limit,
            ),
            (host_capacity::vcpus_used, host_capacity::memory_mb_used, host_capacity::disk_gb_used),
            (claimed!(vcpus), claimed!(memory_mb), claimed!(disk_gb)),
        ))
        .load(conn.sql())?;
    for (host, cell, limit, used, (vcpus, memory_mb, disk_gb)) in rows {
        let of = |(v, m, d): (i32, i32, i32)| resources(v.into(), m.into(), d.into());
        let sum = |value: Sum| value.unwrap_or(0);
        let seen = hosts.entry(host).or_default();
        seen.claimed = resources(sum(vcpus), sum(memory_mb), sum(disk_gb));
        seen.capacity = Some(CapacitySeen { cell, limit: of(limit), used: of(used) });
    }
    Ok(hosts)
}

/// Instances whose effects have waited in the API database's outbox since before `since`: uuid and
/// operation, oldest first, at most `rows_max`. One statement.
///
/// # Errors
/// The database's.
pub fn overdue(
    conn: &mut ApiConnection,
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
