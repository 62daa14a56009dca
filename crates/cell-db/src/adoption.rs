//! Adoption: instances that stand in a cell though no boot of this plane wrote them, such as those of
//! a cell that Nova made.
//!
//! How far it got is kept here, in the fence of each instance. A boot writes a fence with its time; an
//! adoption writes one without, before anything says that the instance is mapped, and gives it its time
//! after. So whatever has no fence with a time is still to be mapped, and a sweep, a retry or a delete
//! that comes in between finds the fence that it needs.

use cellzero_database::DatabaseError;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{instance_fences, instances};
use crate::whole::{Fences, fence_transaction};
use crate::{CellConnection, Dialect, fence};

/// Which rows are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Those that no boot and no adoption has ended with.
    Unmapped,
    /// Every row, so that what the API database has lost is found.
    All,
}

/// A row that may be to be adopted.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct Candidate {
    /// Its row id, in whose order they are adopted: the oldest first.
    pub id: i32,
    /// The instance's uuid, as it stands.
    pub uuid: String,
    /// Its fence, where it has one.
    pub fence: Option<i64>,
    /// The epoch whose rows stand behind the fence.
    pub written_epoch: Option<i64>,
}

/// The next rows after the one with this id, deleted ones too. One statement; it passes over what is
/// done.
///
/// # Errors
/// The database's.
pub fn page(
    conn: &mut CellConnection,
    look: Look,
    after_id: i32,
    limit: u32,
) -> Result<Vec<Candidate>, DatabaseError> {
    let mut select = instances::table
        .left_join(instance_fences::table.on(instance_fences::instance_uuid.eq(instances::uuid)))
        .filter(instances::id.gt(after_id))
        .order(instances::id)
        .limit(limit.into())
        .select((
            instances::id,
            instances::uuid,
            instance_fences::fence.nullable(),
            instance_fences::written_epoch.nullable(),
        ))
        .into_boxed::<Dialect>();
    if look == Look::Unmapped {
        select = select.filter(instance_fences::created_at.is_null());
    }
    Ok(select.load(conn.sql())?)
}

/// How many rows [`page`] would give in all. One statement.
///
/// # Errors
/// The database's.
pub fn count(conn: &mut CellConnection, look: Look) -> Result<i64, DatabaseError> {
    if look == Look::All {
        return Ok(instances::table.count().get_result(conn.sql())?);
    }
    let unmapped = instances::table
        .left_join(instance_fences::table.on(instance_fences::instance_uuid.eq(instances::uuid)))
        .filter(instance_fences::created_at.is_null());
    Ok(unmapped.count().get_result(conn.sql())?)
}

/// Writes fences without a time for those of these instances that have none. One transaction; one
/// statement for each hundred, and one more for each five hundred where some have a fence.
///
/// # Errors
/// The database's.
pub fn begin(conn: &mut CellConnection, uuids: &[String], epoch: i64) -> Result<(), DatabaseError> {
    fence_transaction(conn, "begin_adoption", |conn, fences| {
        if fences == Fences::AssumeNone {
            return fence::insert_adopted(conn, uuids, epoch);
        }
        let standing: Vec<String> =
            fence::lock(conn, uuids)?.into_iter().map(|fence| fence.instance_uuid).collect();
        let missing: Vec<String> =
            uuids.iter().filter(|uuid| !standing.contains(uuid)).cloned().collect();
        fence::insert_adopted(conn, &missing, epoch)
    })
}

/// Gives the fences of these instances their time: they are mapped. One statement for each five
/// hundred.
///
/// # Errors
/// The database's.
pub fn confirm(
    conn: &mut CellConnection,
    uuids: &[String],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    fence::confirm(conn, uuids, now)
}
