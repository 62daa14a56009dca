//! Fences: the lowest epoch that may still write an instance into this cell.
//!
//! A fence stops an orchestrator that wakes up late: it is raised by every write and every sweep,
//! and its unique key makes two such transactions take turns.

use cellzero_database::{DatabaseError, insert_rows, load_locked};
use cellzero_types::InstanceUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::instance_fences;
use crate::{CellConnection, IN_LIST_MAX};

#[derive(Insertable)]
#[diesel(table_name = instance_fences, treat_none_as_default_value = false)]
struct NewFence<'a> {
    instance_uuid: &'a str,
    fence: i64,
    written_epoch: Option<i64>,
    verdict_uuid: Option<&'a str>,
    created_at: Option<NaiveDateTime>,
}

/// A fence as it stands.
#[derive(Debug, Clone, Queryable)]
pub struct Fence {
    /// The instance.
    pub instance_uuid: String,
    /// No lower epoch may write.
    pub fence: i64,
    /// The epoch whose rows stand here; none when none do.
    pub written_epoch: Option<i64>,
}

/// The first fences of these instances. A unique violation says that one has a fence already.
pub(crate) fn insert(
    conn: &mut CellConnection,
    fences: &[(String, i64, Option<i64>, Option<&str>)],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewFence<'_>> = fences
        .iter()
        .map(|(uuid, epoch, written_epoch, verdict_uuid)| NewFence {
            instance_uuid: uuid,
            fence: *epoch,
            written_epoch: *written_epoch,
            verdict_uuid: *verdict_uuid,
            created_at: Some(now),
        })
        .collect();
    insert_rows!(conn, instance_fences::table, rows);
    Ok(())
}

/// Fences of instances that are being adopted: the rows that stand are those of `epoch`. They have no
/// time until [`confirm`] gives them one. A unique violation says that one has a fence already.
pub(crate) fn insert_adopted(
    conn: &mut CellConnection,
    uuids: &[String],
    epoch: i64,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewFence<'_>> = uuids
        .iter()
        .map(|instance_uuid| NewFence {
            instance_uuid,
            fence: epoch,
            written_epoch: Some(epoch),
            verdict_uuid: None,
            created_at: None,
        })
        .collect();
    insert_rows!(conn, instance_fences::table, rows);
    Ok(())
}

/// Gives these fences a time, where they have none.
pub(crate) fn confirm(
    conn: &mut CellConnection,
    uuids: &[String],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    for chunk in uuids.chunks(IN_LIST_MAX) {
        let adopted = instance_fences::table
            .filter(instance_fences::instance_uuid.eq_any(chunk))
            .filter(instance_fences::created_at.is_null());
        diesel::update(adopted).set(instance_fences::created_at.eq(now)).execute(conn.sql())?;
    }
    Ok(())
}

/// The fences of these instances, locked to the end of the transaction, in uuid order.
pub(crate) fn lock(
    conn: &mut CellConnection,
    uuids: &[String],
) -> Result<Vec<Fence>, DatabaseError> {
    let mut uuids = uuids.to_vec();
    uuids.sort();
    let mut fences = Vec::new();
    for chunk in uuids.chunks(IN_LIST_MAX) {
        let rows: Vec<Fence> = load_locked!(
            conn,
            instance_fences::table
                .filter(instance_fences::instance_uuid.eq_any(chunk))
                .order(instance_fences::instance_uuid)
                .select((
                    instance_fences::instance_uuid,
                    instance_fences::fence,
                    instance_fences::written_epoch,
                ))
        )?;
        fences.extend(rows);
    }
    Ok(fences)
}

/// Raises one fence and says which epoch's rows stand behind it.
pub(crate) fn raise(
    conn: &mut CellConnection,
    uuid: &str,
    fence: i64,
    written_epoch: Option<i64>,
    verdict_uuid: Option<&str>,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    diesel::update(instance_fences::table.filter(instance_fences::instance_uuid.eq(uuid)))
        .set((
            instance_fences::fence.eq(fence),
            instance_fences::written_epoch.eq(written_epoch),
            instance_fences::verdict_uuid.eq(verdict_uuid),
            instance_fences::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// Raises a fence that stands no higher than `fence`, whatever rows stand behind it; says whether it
/// did.
pub(crate) fn raise_lower(
    conn: &mut CellConnection,
    uuid: &str,
    fence: i64,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let lower = instance_fences::table
        .filter(instance_fences::instance_uuid.eq(uuid))
        .filter(instance_fences::fence.le(fence));
    let raised = diesel::update(lower)
        .set((
            instance_fences::fence.eq(fence),
            instance_fences::verdict_uuid.eq(None::<String>),
            instance_fences::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(raised == 1)
}

/// Deletes the fences of these instances, which are archived: nothing holds a late write back any
/// more. One statement, none for none.
pub(crate) fn delete(conn: &mut CellConnection, uuids: &[String]) -> Result<(), DatabaseError> {
    for chunk in uuids.chunks(IN_LIST_MAX) {
        let these = instance_fences::table.filter(instance_fences::instance_uuid.eq_any(chunk));
        diesel::delete(these).execute(conn.sql())?;
    }
    Ok(())
}

/// The fence of an instance, where it has one. One statement.
///
/// # Errors
/// The database's.
pub fn find(conn: &mut CellConnection, uuid: InstanceUuid) -> Result<Option<Fence>, DatabaseError> {
    let fence = instance_fences::table
        .filter(instance_fences::instance_uuid.eq(uuid.text()))
        .select((
            instance_fences::instance_uuid,
            instance_fences::fence,
            instance_fences::written_epoch,
        ))
        .get_result(conn.sql())
        .optional()?;
    Ok(fence)
}
