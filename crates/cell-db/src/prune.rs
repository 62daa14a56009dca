//! Prune: what belongs to no instance any more is deleted after a time.
//!
//! Fences of instances that were archived or never decided, verdicts that no fence names, and
//! snapshots that no verdict names. Each is looked for by a walk over its table, so it is for the end
//! of an archive run and not for every minute.

use cellzero_database::{AnyConnection, DatabaseError, load_locked, transaction};
use cellzero_types::InstanceUuid;
use chrono::NaiveDateTime;
use diesel::dsl::{exists, not};
use diesel::prelude::*;

use crate::schema::{host_snapshots, instance_fences, instances, verdicts};
use crate::{CellConnection, parse_uuid, texts};

macro_rules! lone {
    ($before:expr) => {{
        let quiet = instance_fences::updated_at
            .lt($before)
            .or(instance_fences::updated_at.is_null().and(instance_fences::created_at.lt($before)));
        let row = instances::table.filter(instances::uuid.eq(instance_fences::instance_uuid));
        instance_fences::table.filter(quiet).filter(not(exists(row)))
    }};
}

/// Fences without a row of their instance that have not changed since `before`: at most `limit`,
/// in the order of their uuids, of those after `after`. Whether they may go is for the API database
/// to say, which has a boot state as long as their instance can come. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn lone_fences(
    conn: &mut CellConnection,
    before: NaiveDateTime,
    after: Option<InstanceUuid>,
    limit: u32,
) -> Result<Vec<InstanceUuid>, DatabaseError> {
    let after = after.map(|uuid| uuid.text()).unwrap_or_default();
    let uuids: Vec<String> = lone!(before)
        .filter(instance_fences::instance_uuid.gt(after))
        .order(instance_fences::instance_uuid)
        .limit(limit.into())
        .select(instance_fences::instance_uuid)
        .load(conn.sql())?;
    uuids.iter().map(|uuid| parse_uuid(uuid)).collect()
}

/// Deletes these fences, where they are still alone and have not changed since `before`; says how
/// many. One statement for as many as [`crate::IN_LIST_MAX`].
///
/// # Errors
/// The database's.
pub fn delete_fences(
    conn: &mut CellConnection,
    uuids: &[InstanceUuid],
    before: NaiveDateTime,
) -> Result<u64, DatabaseError> {
    let mut deleted = 0;
    for chunk in texts(uuids).chunks(crate::IN_LIST_MAX) {
        let these = lone!(before).filter(instance_fences::instance_uuid.eq_any(chunk));
        deleted += diesel::delete(these).execute(conn.sql())?;
    }
    Ok(deleted as u64)
}

/// Deletes at most `limit` verdicts that were reached before `before` and that no fence names; says
/// how many. Three statements, one where there is none, each over all fences.
///
/// One that is being named at this moment stays: a burial keeps its hold on the verdicts that it
/// names, and this waits for it.
///
/// # Errors
/// The database's.
pub fn delete_verdicts(
    conn: &mut CellConnection,
    before: NaiveDateTime,
    limit: u32,
) -> Result<u64, DatabaseError> {
    macro_rules! unnamed {
        () => {{
            let named = instance_fences::table
                .filter(instance_fences::verdict_uuid.is_not_null())
                .select(instance_fences::verdict_uuid.assume_not_null());
            verdicts::table
                .filter(verdicts::created_at.lt(before))
                .filter(verdicts::uuid.ne_all(named))
        }};
    }
    transaction(conn, "prune_verdicts", |conn| {
        let uuids: Vec<String> = unnamed!()
            .order(verdicts::uuid)
            .limit(limit.into())
            .select(verdicts::uuid)
            .load(conn.sql())?;
        if uuids.is_empty() {
            return Ok(0);
        }
        let rows = verdicts::table.filter(verdicts::uuid.eq_any(&uuids)).order(verdicts::uuid);
        hold(conn, |conn| Ok(load_locked!(conn, rows.select(verdicts::uuid))?))?;
        let these = unnamed!().filter(verdicts::uuid.eq_any(&uuids));
        Ok(diesel::delete(these).execute(conn.sql())? as u64)
    })
}

/// Deletes at most `limit` snapshots of the hosts that were kept before `before` and that no verdict
/// names; says how many. Three statements, one where there is none, each over all verdicts.
///
/// # Errors
/// The database's.
pub fn delete_snapshots(
    conn: &mut CellConnection,
    before: NaiveDateTime,
    limit: u32,
) -> Result<u64, DatabaseError> {
    macro_rules! unnamed {
        () => {{
            let named = verdicts::table
                .filter(verdicts::snapshot_uuid.is_not_null())
                .select(verdicts::snapshot_uuid.assume_not_null());
            host_snapshots::table
                .filter(host_snapshots::created_at.lt(before))
                .filter(host_snapshots::uuid.ne_all(named))
        }};
    }
    transaction(conn, "prune_snapshots", |conn| {
        let uuids: Vec<String> = unnamed!()
            .order(host_snapshots::uuid)
            .limit(limit.into())
            .select(host_snapshots::uuid)
            .load(conn.sql())?;
        if uuids.is_empty() {
            return Ok(0);
        }
        let rows = host_snapshots::table
            .filter(host_snapshots::uuid.eq_any(&uuids))
            .order(host_snapshots::uuid);
        hold(conn, |conn| Ok(load_locked!(conn, rows.select(host_snapshots::uuid))?))?;
        let these = unnamed!().filter(host_snapshots::uuid.eq_any(&uuids));
        Ok(diesel::delete(these).execute(conn.sql())? as u64)
    })
}

/// Waits for the burials under way and keeps new ones out, to the end of the transaction. A burial
/// first inserts its verdicts, also those that stand already: in PostgreSQL that leaves no lock on
/// the row, but one on the table; in MariaDB it leaves one on the row.
fn hold(
    conn: &mut CellConnection,
    lock_rows: impl FnOnce(&mut CellConnection) -> Result<Vec<String>, DatabaseError>,
) -> Result<(), DatabaseError> {
    if let AnyConnection::Postgres(net) = conn.sql().any() {
        diesel::sql_query("LOCK TABLE verdicts IN SHARE ROW EXCLUSIVE MODE").execute(net)?;
        return Ok(());
    }
    lock_rows(conn).map(drop)
}
