//! Verdicts: why instances are buried, each once however many share it, and what each was computed
//! from.
//!
//! The uuid of a verdict is made of its content, so that a burst with one cause has one row. It
//! names the request that it was first reached for, and the snapshot of the hosts from which; that
//! of the same hosts stands once too. Both stay when the last instance that they are about has
//! gone: another may be buried for it at the same time.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use cellzero_database::{AnyConnection, DatabaseError};
use cellzero_types::{InstanceUuid, Verdict};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::{host_snapshots, instance_fences, verdicts};
use crate::{CellConnection, parse_uuid, texts};

/// Inserts rows, but for those that stand already; says how many that were.
macro_rules! insert_or_ignore {
    ($conn:expr, $table:path, $rows:expr) => {{
        use diesel::query_dsl::methods::ExecuteDsl;
        match $conn.sql().any() {
            AnyConnection::Sqlite(c) => {
                ExecuteDsl::execute(diesel::insert_or_ignore_into($table).values($rows), c)
            }
            AnyConnection::Postgres(c) => {
                let insert = diesel::insert_into($table).values($rows);
                ExecuteDsl::execute(insert.on_conflict_do_nothing(), c)
            }
            AnyConnection::Mysql(c) => {
                ExecuteDsl::execute(diesel::insert_or_ignore_into($table).values($rows), c)
            }
        }?
    }};
}
/// A verdict that is to be stored.
#[derive(Debug, Clone)]
pub struct NewVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// What it was computed from, where that can be kept.
    pub basis: Option<Arc<dyn Basis>>,
}

/// What a verdict was computed from.
pub trait Basis: Debug + Send + Sync {
    /// The request, as JSON.
    fn asked(&self) -> String;
    /// The uuid of the snapshot, made of its content.
    fn snapshot_uuid(&self) -> Uuid;
    /// The generation of capacity in it.
    fn generation(&self) -> i64;
    /// The snapshot itself. It is dear to make, and asked for only where a verdict is new; none
    /// where it is too large to be kept.
    fn snapshot(&self) -> Option<Vec<u8>>;
}

/// A verdict as it stands, with what it was computed from.
#[derive(Debug, Clone)]
pub struct KeptVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// When it was reached first.
    pub reached_at: Option<NaiveDateTime>,
    /// The request, as JSON, and the snapshot, where both were kept.
    pub basis: Option<(String, Vec<u8>)>,
}

#[derive(Insertable)]
#[diesel(table_name = verdicts, treat_none_as_default_value = false)]
struct NewRow {
    uuid: String,
    body: String,
    asked: Option<String>,
    snapshot_uuid: Option<String>,
    created_at: NaiveDateTime,
}

#[derive(Insertable)]
#[diesel(table_name = host_snapshots, treat_none_as_default_value = false)]
struct NewSnapshot {
    uuid: String,
    generation: i64,
    body: Vec<u8>,
    created_at: NaiveDateTime,
}

/// Verdicts and snapshots that are to be stored, each once.
#[derive(Default)]
struct Missing<'a> {
    // In one order, so that two that store the same ones wait for one another.
    verdicts: BTreeMap<String, NewRow>,
    snapshots: BTreeMap<String, &'a dyn Basis>,
}

impl<'a> Missing<'a> {
    fn add(&mut self, new: &'a NewVerdict, created_at: NaiveDateTime) -> String {
        let body = new.verdict.to_json();
        let uuid = Verdict::uuid_of(&body).to_string();
        let basis = new.basis.as_deref();
        let snapshot_uuid = basis.map(|basis| basis.snapshot_uuid().to_string());
        self.snapshots.extend(snapshot_uuid.clone().zip(basis));
        let asked = basis.map(Basis::asked);
        let row = NewRow { uuid: uuid.clone(), body, asked, snapshot_uuid, created_at };
        self.verdicts.entry(uuid.clone()).or_insert(row);
        uuid
    }
}

/// Stores those that are not there yet, with their snapshots; gives their uuids, in order. One
/// statement for all, none for none; one more for each snapshot where a verdict is new.
pub(crate) fn insert_missing<'a>(
    conn: &mut CellConnection,
    new: impl Iterator<Item = Option<&'a NewVerdict>>,
    now: NaiveDateTime,
) -> Result<Vec<Option<String>>, DatabaseError> {
    let mut missing = Missing::default();
    let mut last: Option<(&Verdict, String)> = None;
    let mut uuids = Vec::new();
    for new in new {
        let uuid = new.map(|new| match &last {
            // Siblings share theirs, and it need not be written out anew.
            Some((known, uuid)) if **known == new.verdict => uuid.clone(),
            _ => {
                let uuid = missing.add(new, now);
                last = Some((&new.verdict, uuid.clone()));
                uuid
            }
        });
        uuids.push(uuid);
    }
    let rows: Vec<NewRow> = missing.verdicts.into_values().collect();
    let mut inserted = 0;
    for chunk in rows.chunks(crate::ROWS_MAX) {
        inserted += insert_or_ignore!(conn, verdicts::table, chunk);
    }
    // One that stands has its snapshot already.
    if inserted > 0 {
        for (uuid, basis) in missing.snapshots {
            let Some(body) = basis.snapshot() else { continue };
            let row = NewSnapshot { uuid, generation: basis.generation(), body, created_at: now };
            insert_or_ignore!(conn, host_snapshots::table, &row);
        }
    }
    Ok(uuids)
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
        let verdict = parse_verdict(&uuid, &body)?;
        Ok((parse_uuid(&uuid)?, verdict))
    };
    rows.into_iter().map(read).collect()
}

fn parse_verdict(instance: &str, body: &str) -> Result<Verdict, DatabaseError> {
    serde_json::from_str(body).map_err(|error| {
        DatabaseError::damaged(format!("the verdict of instance {instance}: {error}"))
    })
}

/// Why an instance is buried here, and from what that was computed; none where it is not. One
/// statement.
///
/// # Errors
/// The database's, or damaged JSON.
pub fn kept(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<Option<KeptVerdict>, DatabaseError> {
    type Row = (String, Option<String>, Option<NaiveDateTime>, Option<Vec<u8>>);
    let row: Option<Row> = instance_fences::table
        .inner_join(verdicts::table.on(instance_fences::verdict_uuid.eq(verdicts::uuid.nullable())))
        .left_join(
            host_snapshots::table.on(verdicts::snapshot_uuid.eq(host_snapshots::uuid.nullable())),
        )
        .filter(instance_fences::instance_uuid.eq(uuid.text()))
        .select((
            verdicts::body,
            verdicts::asked,
            verdicts::created_at,
            host_snapshots::body.nullable(),
        ))
        .first(conn.sql())
        .optional()?;
    let Some((body, asked, reached_at, snapshot)) = row else { return Ok(None) };
    let verdict = parse_verdict(&uuid.text(), &body)?;
    Ok(Some(KeptVerdict { verdict, reached_at, basis: asked.zip(snapshot) }))
}
