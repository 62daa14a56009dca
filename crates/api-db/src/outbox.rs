//! The outbox of the API database: effects of decisions that are made here alone, such as the
//! release of volumes and ports when a building instance is deleted.

use cellzero_database::{DatabaseError, load_locked};
use cellzero_types::{InstanceUuid, OperationUuid};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::outbox;
use crate::{ApiConnection, parse};

/// A release that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Stable, so that the receiver applies it once.
    pub id: OperationUuid,
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// The epoch that decided it.
    pub sequence: i64,
    /// What is to be released, as JSON.
    pub payload: String,
    /// How often it has been sent, with this time.
    pub attempt: u32,
}

const RELEASE: &str = "release";

#[derive(Insertable)]
#[diesel(table_name = outbox, treat_none_as_default_value = false)]
struct NewRow<'a> {
    id: String,
    instance_uuid: String,
    sequence: i64,
    operation: &'a str,
    payload: &'a str,
    attempts: i32,
    created_at: NaiveDateTime,
}

/// Keeps a release to be sent. One statement.
///
/// # Errors
/// The database's.
pub fn insert(
    conn: &mut ApiConnection,
    release: &Release,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row = NewRow {
        id: release.id.text(),
        instance_uuid: release.instance_uuid.text(),
        sequence: release.sequence,
        operation: RELEASE,
        payload: &release.payload,
        attempts: 0,
        created_at: now,
    };
    diesel::insert_into(outbox::table).values(&row).execute(conn.sql())?;
    Ok(())
}

/// Whether a release is due. One statement.
///
/// # Errors
/// The database's.
pub fn is_due(conn: &mut ApiConnection, now: NaiveDateTime) -> Result<bool, DatabaseError> {
    let due: Option<String> = outbox::table
        .filter(outbox::not_before.is_null().or(outbox::not_before.le(now)))
        .select(outbox::id)
        .first(conn.sql())
        .optional()?;
    Ok(due.is_some())
}

/// Takes at most `limit` releases that are due, oldest first, for one sending: they are due again
/// only at `until`. To be called in a transaction. Two statements.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn take(
    conn: &mut ApiConnection,
    now: NaiveDateTime,
    until: NaiveDateTime,
    limit: u32,
) -> Result<Vec<Release>, DatabaseError> {
    let rows: Vec<(String, String, i64, String, i32)> = load_locked!(
        conn,
        outbox::table
            .filter(outbox::not_before.is_null().or(outbox::not_before.le(now)))
            .order((outbox::created_at, outbox::id))
            .limit(limit.into())
            .select((
                outbox::id,
                outbox::instance_uuid,
                outbox::sequence,
                outbox::payload,
                outbox::attempts
            ))
    )?;
    let ids: Vec<&String> = rows.iter().map(|(id, ..)| id).collect();
    diesel::update(outbox::table.filter(outbox::id.eq_any(ids)))
        .set((outbox::not_before.eq(until), outbox::attempts.eq(outbox::attempts + 1)))
        .execute(conn.sql())?;
    rows.into_iter()
        .map(|(id, instance, sequence, payload, attempts)| {
            let attempt = u32::try_from(attempts + 1).unwrap_or(u32::MAX);
            let (id, instance_uuid) = (parse(&id)?, parse(&instance)?);
            Ok(Release { id, instance_uuid, sequence, payload, attempt })
        })
        .collect()
}

/// Forgets releases that the receiver has acknowledged. One statement.
///
/// # Errors
/// The database's.
pub fn forget(conn: &mut ApiConnection, ids: &[OperationUuid]) -> Result<(), DatabaseError> {
    let ids: Vec<String> = ids.iter().map(OperationUuid::text).collect();
    diesel::delete(outbox::table.filter(outbox::id.eq_any(ids))).execute(conn.sql())?;
    Ok(())
}

/// Puts releases off to a time. One statement.
///
/// # Errors
/// The database's.
pub fn put_off(
    conn: &mut ApiConnection,
    ids: &[OperationUuid],
    not_before: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let ids: Vec<String> = ids.iter().map(OperationUuid::text).collect();
    diesel::update(outbox::table.filter(outbox::id.eq_any(ids)))
        .set(outbox::not_before.eq(not_before))
        .execute(conn.sql())?;
    Ok(())
}

/// Lets what has waited since before `since` be sent at once, whatever was put off. One statement.
///
/// # Errors
/// The database's.
pub fn hurry(conn: &mut ApiConnection, since: NaiveDateTime) -> Result<(), DatabaseError> {
    diesel::update(outbox::table.filter(outbox::created_at.lt(since)))
        .set(outbox::not_before.eq(None::<NaiveDateTime>))
        .execute(conn.sql())?;
    Ok(())
}
