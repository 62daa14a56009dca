//! The outbox: effects outside the database that were decided in the same transaction as the
//! rows they belong to. Each is sent at least once, with a stable id and a rising sequence number.

use std::collections::HashMap;

use cellzero_database::{DatabaseError, insert_rows, load_locked};
use cellzero_types::{InstanceUuid, OperationUuid};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::outbox;
use crate::{CellConnection, parse_uuid};

/// An effect that waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Stable, so that the receiver applies it once.
    pub id: OperationUuid,
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Rises for each instance, with the epoch that decided the effect.
    pub sequence: i64,
    /// `build`, `destroy`, `release` or `reboot`.
    pub operation: String,
    /// The host that it is for.
    pub host: Option<String>,
    /// What the receiver needs, as JSON.
    pub payload: String,
}

#[derive(Insertable)]
#[diesel(table_name = outbox, treat_none_as_default_value = false)]
struct NewRow<'a> {
    id: String,
    instance_uuid: String,
    sequence: i64,
    operation: &'a str,
    host: Option<&'a str>,
    payload: &'a str,
    attempts: i32,
    created_at: NaiveDateTime,
}

/// Keeps effects to be sent. One statement for each hundred.
///
/// # Errors
/// The database's.
pub fn insert(
    conn: &mut CellConnection,
    rows: &[OutboxRow],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewRow<'_>> = rows
        .iter()
        .map(|row| NewRow {
            id: row.id.text(),
            instance_uuid: row.instance_uuid.text(),
            sequence: row.sequence,
            operation: &row.operation,
            host: row.host.as_deref(),
            payload: &row.payload,
            attempts: 0,
            created_at: now,
        })
        .collect();
    insert_rows!(conn, outbox::table, rows);
    Ok(())
}

/// At most `limit` effects that are due, oldest first; of each instance only the one that comes
/// first, so that they are sent in order. One statement.
///
/// # Errors
/// The database's.
pub fn due(
    conn: &mut CellConnection,
    now: NaiveDateTime,
    limit: u32,
) -> Result<Vec<OutboxRow>, DatabaseError> {
    let earlier = diesel::alias!(outbox as earlier);
    let is_next = diesel::dsl::not(diesel::dsl::exists(
        earlier
            .filter(earlier.field(outbox::instance_uuid).eq(outbox::instance_uuid))
            .filter(earlier.field(outbox::sequence).lt(outbox::sequence)),
    ));
    type Row = (String, String, i64, String, Option<String>, String);
    let rows: Vec<Row> = outbox::table
        .filter(outbox::not_before.is_null().or(outbox::not_before.le(now)))
        .filter(is_next)
        .order((outbox::created_at, outbox::sequence, outbox::id))
        .limit(limit.into())
        .select((
            outbox::id,
            outbox::instance_uuid,
            outbox::sequence,
            outbox::operation,
            outbox::host,
            outbox::payload,
        ))
        .load(conn.sql())?;
    rows.into_iter()
        .map(|(id, instance, sequence, operation, host, payload)| {
            Ok(OutboxRow {
                id: OperationUuid(parse_uuid(&id)?.0),
                instance_uuid: parse_uuid(&instance)?,
                sequence,
                operation,
                host,
                payload,
            })
        })
        .collect()
}

/// Takes effects for one sending: those of `ids` that are still due are due again only at `until`.
/// Gives the number of the attempt of each that was won, from 1. To be called in a transaction.
/// Two statements.
///
/// # Errors
/// The database's.
pub fn take(
    conn: &mut CellConnection,
    ids: &[OperationUuid],
    now: NaiveDateTime,
    until: NaiveDateTime,
) -> Result<HashMap<OperationUuid, u32>, DatabaseError> {
    let ids: Vec<String> = ids.iter().map(OperationUuid::text).collect();
    let won: Vec<(String, i32)> = load_locked!(
        conn,
        outbox::table
            .filter(outbox::id.eq_any(&ids))
            .filter(outbox::not_before.is_null().or(outbox::not_before.le(now)))
            .order(outbox::id)
            .select((outbox::id, outbox::attempts))
    )?;
    let ids: Vec<&String> = won.iter().map(|(id, _)| id).collect();
    diesel::update(outbox::table.filter(outbox::id.eq_any(ids)))
        .set((outbox::not_before.eq(until), outbox::attempts.eq(outbox::attempts + 1)))
        .execute(conn.sql())?;
    won.iter()
        .map(|(id, attempts)| {
            Ok((OperationUuid(parse_uuid(id)?.0), u32::try_from(attempts + 1).unwrap_or(u32::MAX)))
        })
        .collect()
}

/// Forgets effects that the receiver has acknowledged. One statement, none for none.
///
/// # Errors
/// The database's.
pub fn forget(conn: &mut CellConnection, ids: &[OperationUuid]) -> Result<(), DatabaseError> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = ids.iter().map(OperationUuid::text).collect();
    diesel::delete(outbox::table.filter(outbox::id.eq_any(ids))).execute(conn.sql())?;
    Ok(())
}

/// Forgets the builds of an instance: it is to be built elsewhere, or not at all. One statement.
pub(crate) fn forget_builds(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<(), DatabaseError> {
    diesel::delete(
        outbox::table
            .filter(outbox::instance_uuid.eq(uuid.text()))
            .filter(outbox::operation.eq("build")),
    )
    .execute(conn.sql())?;
    Ok(())
}

/// Puts effects off to a time. One statement.
///
/// # Errors
/// The database's.
pub fn put_off(
    conn: &mut CellConnection,
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
pub fn hurry(conn: &mut CellConnection, since: NaiveDateTime) -> Result<(), DatabaseError> {
    diesel::update(outbox::table.filter(outbox::created_at.lt(since)))
        .set(outbox::not_before.eq(None::<NaiveDateTime>))
        .execute(conn.sql())?;
    Ok(())
}
