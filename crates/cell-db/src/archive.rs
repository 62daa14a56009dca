//! Archive: deleted instances leave their tables for the shadow tables beside them, each whole, and
//! what stands there is deleted for good after a time.
//!
//! The shadow tables are Nova's: the same columns, no foreign keys. Tags have none; they are gone
//! since the delete.

use std::collections::{BTreeMap, BTreeSet};

use cellzero_database::{
    Aged, DatabaseError, IdShift, RowsBy, Values, copy_to_shadow, count_old, delete_rows, id_shift,
    ids_of, load_locked, old_keys, shadow_of, transaction,
};
use cellzero_types::InstanceUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{instances, outbox};
use crate::{CellConnection, IN_LIST_MAX, fence, tag, texts};

/// The tables with rows of an instance, but for its actions' events, and the column that names it.
/// The instance's own row goes last, since the others refer to it.
const TABLES: [(&str, &str); 9] = [
    (ACTIONS, "instance_uuid"),
    ("instance_extra", "instance_uuid"),
    ("instance_info_caches", "instance_uuid"),
    ("instance_faults", "instance_uuid"),
    ("instance_metadata", "instance_uuid"),
    ("instance_system_metadata", "instance_uuid"),
    ("security_group_instance_association", "instance_uuid"),
    ("block_device_mapping", "instance_uuid"),
    (INSTANCES, "uuid"),
];
const INSTANCES: &str = "instances";
const ACTIONS: &str = "instance_actions";
const EVENTS: &str = "instance_actions_events";

/// How many rows of each table were moved or deleted.
pub type Rows = BTreeMap<&'static str, u64>;

/// What became of instances that were to leave a cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archived {
    /// Nothing of them stands in the tables of this cell, now or since an earlier run.
    pub gone: Vec<InstanceUuid>,
    /// They stay: the row is live, or an effect waits in the outbox.
    pub kept: Vec<InstanceUuid>,
    /// How many rows were moved.
    pub rows: Rows,
}

/// Moves deleted instances to the shadow tables, with their fences deleted, in one transaction.
/// Those with a live row or an effect in the outbox stay whole. Two at once take turns, and the
/// second finds nothing.
///
/// 25 statements for as many as [`IN_LIST_MAX`], two more for each five hundred of their actions
/// beyond the first; on SQLite 10 more. Three where nothing stands here.
///
/// # Errors
/// The database's.
pub fn archive(
    conn: &mut CellConnection,
    uuids: &[InstanceUuid],
) -> Result<Archived, DatabaseError> {
    conn.hold_little()?;
    let mut archived = Archived::default();
    for chunk in uuids.chunks(IN_LIST_MAX) {
        let done = transaction(conn, "archive_instances", |conn| archive_chunk(conn, chunk))?;
        archived.gone.extend(done.gone);
        archived.kept.extend(done.kept);
        add(&mut archived.rows, done.rows);
    }
    Ok(archived)
}

fn archive_chunk(
    conn: &mut CellConnection,
    uuids: &[InstanceUuid],
) -> Result<Archived, DatabaseError> {
    let all = texts(uuids);
    // In the order in which a write and a sweep lock them.
    let fences = fence::lock(conn, &all)?;
    let standing: Vec<(String, Option<i32>)> = load_locked!(
        conn,
        instances::table
            .filter(instances::uuid.eq_any(&all))
            .order(instances::uuid)
            .select((instances::uuid, instances::deleted))
    )?;
    let waiting: Vec<String> = outbox::table
        .filter(outbox::instance_uuid.eq_any(&all))
        .select(outbox::instance_uuid)
        .load(conn.sql())?;
    let live = standing.iter().filter(|(_, deleted)| deleted.unwrap_or(0) == 0);
    let kept: BTreeSet<&String> = live.map(|(uuid, _)| uuid).chain(&waiting).collect();
    let is_kept = |uuid: &InstanceUuid| kept.contains(&uuid.text());
    let (kept_uuids, gone): (Vec<_>, Vec<_>) = uuids.iter().copied().partition(is_kept);
    let moved: Vec<String> = standing
        .iter()
        .map(|(uuid, _)| uuid)
        .filter(|uuid| !kept.contains(uuid))
        .cloned()
        .collect();
    let rows = if moved.is_empty() { Rows::new() } else { move_rows(conn, &moved)? };
    let fenced = fences.into_iter().map(|fence| fence.instance_uuid);
    let fenced: Vec<String> = fenced.filter(|uuid| !kept.contains(uuid)).collect();
    fence::delete(conn, &fenced)?;
    Ok(Archived { gone, kept: kept_uuids, rows })
}

fn move_rows(conn: &mut CellConnection, uuids: &[String]) -> Result<Rows, DatabaseError> {
    let mut rows = Rows::new();
    let actions = by(ACTIONS, "instance_uuid", uuids);
    let action_ids = ids_of(conn, actions)?;
    let shift = id_shift(conn, actions)?;
    // Before the actions, to which they refer.
    for ids in action_ids.chunks(IN_LIST_MAX) {
        let events = RowsBy { table: EVENTS, column: "action_id", values: Values::Numbers(ids) };
        let own = id_shift(conn, events)?;
        count(
            &mut rows,
            EVENTS,
            copy_to_shadow(conn, events, &[("id", own), ("action_id", shift)])?,
        );
        delete_rows(conn, events)?;
    }
    for (table, column) in TABLES {
        let of_table = by(table, column, uuids);
        let shift: IdShift = if table == ACTIONS { shift } else { id_shift(conn, of_table)? };
        count(&mut rows, table, copy_to_shadow(conn, of_table, &[("id", shift)])?);
        if table == INSTANCES {
            tag::delete(conn, uuids)?;
        }
        delete_rows(conn, of_table)?;
    }
    Ok(rows)
}

fn by<'a>(table: &'a str, column: &'a str, uuids: &'a [String]) -> RowsBy<'a> {
    RowsBy { table, column, values: Values::Texts(uuids) }
}

fn count(rows: &mut Rows, table: &'static str, number: u64) {
    if number > 0 {
        *rows.entry(table).or_default() += number;
    }
}

fn add(rows: &mut Rows, more: Rows) {
    for (table, number) in more {
        count(rows, table, number);
    }
}

fn aged(table: &str, before: Option<NaiveDateTime>) -> Aged<'_> {
    Aged { table, key: "uuid", time: "deleted_at", before }
}

/// How many instances in the shadow tables were deleted before a time; none for all. One statement.
///
/// # Errors
/// The database's.
pub fn count_archived(
    conn: &mut CellConnection,
    before: Option<NaiveDateTime>,
) -> Result<u64, DatabaseError> {
    conn.hold_little()?;
    count_old(conn, aged(&shadow_of(INSTANCES), before))
}

/// Deletes from the shadow tables at most `limit` instances that were deleted before a time, none
/// for any time, with all that belongs to them, in one transaction. Says how many rows of each
/// table; none where nothing is left.
///
/// 12 statements, one more for each five hundred of their actions beyond the first.
///
/// # Errors
/// The database's.
pub fn purge(
    conn: &mut CellConnection,
    before: Option<NaiveDateTime>,
    limit: u32,
) -> Result<Rows, DatabaseError> {
    conn.hold_little()?;
    transaction(conn, "purge_instances", |conn| {
        let mut rows = Rows::new();
        let limit = limit.min(u32::try_from(IN_LIST_MAX).unwrap_or(u32::MAX));
        let uuids = old_keys(conn, aged(&shadow_of(INSTANCES), before), limit)?;
        let actions = ids_of(conn, by(&shadow_of(ACTIONS), "instance_uuid", &uuids))?;
        for ids in actions.chunks(IN_LIST_MAX) {
            let (table, values) = (shadow_of(EVENTS), Values::Numbers(ids));
            let events = RowsBy { table: &table, column: "action_id", values };
            count(&mut rows, EVENTS, delete_rows(conn, events)?);
        }
        for (table, column) in TABLES {
            count(&mut rows, table, delete_rows(conn, by(&shadow_of(table), column, &uuids))?);
        }
        Ok(rows)
    })
}
