//! The log of retried instances, with its counter.
//!
//! A retry moves an instance from cell0 back to a build request, against the order in which a list
//! reads. So a list compares the counter before and after, and looks again at what has moved.

use cellzero_database::{DatabaseError, ErrorKind, savepoint};
use cellzero_types::InstanceUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{counters, retries};
use crate::{ApiConnection, parse};

/// The name of the counter.
const RETRIES: &str = "retries";

/// How many retries were committed. One statement.
///
/// # Errors
/// The database's.
pub fn counter(conn: &mut ApiConnection) -> Result<i64, DatabaseError> {
    let value = counters::table.find(RETRIES).select(counters::value).get_result(conn.sql());
    Ok(value.optional()?.unwrap_or(0))
}

/// Notes that an instance was retried. The counter's row makes retries take turns, so that their
/// numbers rise in the order of their commits. Three statements, two more for a plane's first.
///
/// # Errors
/// The database's.
pub fn record(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    if !raise(conn)? {
        let first = savepoint(conn, |conn| {
            diesel::insert_into(counters::table)
                .values((counters::name.eq(RETRIES), counters::value.eq(1_i64)))
                .execute(conn.sql())
                .map_err(DatabaseError::from)
        });
        match first {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::UniqueViolation => {
                raise(conn)?;
            }
            Err(error) => return Err(error),
        }
    }
    let sequence = counter(conn)?;
    diesel::insert_into(retries::table)
        .values((
            retries::sequence.eq(sequence),
            retries::instance_uuid.eq(uuid.text()),
            retries::created_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}

fn raise(conn: &mut ApiConnection) -> Result<bool, DatabaseError> {
    let raised = diesel::update(counters::table.find(RETRIES))
        .set(counters::value.eq(counters::value + 1))
        .execute(conn.sql())?;
    Ok(raised == 1)
}

/// What was retried since the counter stood at `counter`, each once. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn since(conn: &mut ApiConnection, counter: i64) -> Result<Vec<InstanceUuid>, DatabaseError> {
    let uuids: Vec<String> = retries::table
        .filter(retries::sequence.gt(counter))
        .select(retries::instance_uuid)
        .distinct()
        .load(conn.sql())?;
    uuids.iter().map(|uuid| parse(uuid)).collect()
}
