//! Verdicts: why instances are buried, each once however many share it.
//!
//! The uuid of a verdict is made of its content, so that a burst with one cause has one row. It
//! stays when the last instance that it is about has gone: another may be buried for it at the same
//! time.

use std::collections::{BTreeMap, HashMap};

use cellzero_database::{AnyConnection, DatabaseError};
use cellzero_types::{InstanceUuid, Verdict};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{instance_fences, verdicts};
use crate::{CellConnection, parse_uuid, texts};

#[derive(Insertable)]
#[diesel(table_name = verdicts, treat_none_as_default_value = false)]
struct NewVerdict {
    uuid: String,
    body: String,
    created_at: NaiveDateTime,
}

/// Stores those that are not there yet; gives their uuids, in order. One statement for all, none
/// for none.
pub(crate) fn insert_missing<'a>(
    conn: &mut CellConnection,
    new: impl Iterator<Item = Option<&'a Verdict>>,
    now: NaiveDateTime,
) -> Result<Vec<Option<String>>, DatabaseError> {
    // In one order, so that two that store the same ones wait for one another.
    let mut missing: BTreeMap<String, String> = BTreeMap::new();
    let mut store = |verdict: &Verdict| {
        let body = verdict.to_json();
        let uuid = Verdict::uuid_of(&body).to_string();
        missing.entry(uuid.clone()).or_insert(body);
        uuid
    };
    let mut last: Option<(&Verdict, String)> = None;
    let mut uuids = Vec::new();
    for verdict in new {
        let uuid = verdict.map(|verdict| match &last {
            // Siblings share theirs, and it need not be written out anew.
            Some((known, uuid)) if *known == verdict => uuid.clone(),
            _ => {
                let uuid = store(verdict);
                last = Some((verdict, uuid.clone()));
                uuid
            }
        });
        uuids.push(uuid);
    }
    let rows: Vec<NewVerdict> = missing
        .into_iter()
        .map(|(uuid, body)| NewVerdict { uuid, body, created_at: now })
        .collect();
    for chunk in rows.chunks(crate::ROWS_MAX) {
        insert(conn, chunk)?;
    }
    Ok(uuids)
}

fn insert(conn: &mut CellConnection, rows: &[NewVerdict]) -> Result<(), DatabaseError> {
    use diesel::query_dsl::methods::ExecuteDsl;
    match conn.sql().any() {
        AnyConnection::Sqlite(c) => {
            ExecuteDsl::execute(diesel::insert_or_ignore_into(verdicts::table).values(rows), c)
        }
        AnyConnection::Postgres(c) => {
            let insert = diesel::insert_into(verdicts::table).values(rows);
            ExecuteDsl::execute(insert.on_conflict_do_nothing(), c)
        }
        AnyConnection::Mysql(c) => {
            ExecuteDsl::execute(diesel::insert_or_ignore_into(verdicts::table).values(rows), c)
        }
    }?;
    Ok(())
}

/// Why these instances are buried here, as data, of those that are. One statement, however many
/// (up to [`crate::IN_LIST_MAX`]).
///
/// # Errors
/// The database's, or damaged JSON.
pub fn of_instances(
    conn: &mut CellConnection,
    uuids: &[InstanceUuid],
) -> Result<HashMap<InstanceUuid, Verdict>, DatabaseError> {
    let rows: Vec<(String, String)> = instance_fences::table
        .inner_join(verdicts::table.on(instance_fences::verdict_uuid.eq(verdicts::uuid.nullable())))
        .filter(instance_fences::instance_uuid.eq_any(texts(uuids)))
        .select((instance_fences::instance_uuid, verdicts::body))
        .load(conn.sql())?;
    let read = |(uuid, body): (String, String)| {
        let verdict = serde_json::from_str(&body).map_err(|error| {
            DatabaseError::damaged(format!("the verdict of instance {uuid}: {error}"))
        })?;
        Ok((parse_uuid(&uuid)?, verdict))
    };
    rows.into_iter().map(read).collect()
}
