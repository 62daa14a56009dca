//! Archive: what is kept of deleted instances leaves the tables that are read all the time.
//!
//! The mapping, the request spec and the boot history go to shadow tables. The boot state, which was
//! the tombstone, goes for good, with memberships of server groups and what may be left of waiting.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use cellzero_database::{
    Aged, Backend, DatabaseError, RowsBy, Values, copy_to_shadow, delete_rows, id_shift,
    load_locked, old_keys, shadow_of, standing,
};
use cellzero_types::{CellUuid, InstanceUuid};
use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use crate::schema::{
    boot_intents, boot_states, build_requests, cell_mappings, claims, instance_group_member,
    instance_mappings, outbox, waiting_instances,
};
use crate::{ApiConnection, Dialect, IN_LIST_MAX, parse, texts};

/// What is moved: each has the column `instance_uuid`.
const MOVED: [&str; 3] = ["request_specs", "boot_histories", MAPPINGS];
const MAPPINGS: &str = "instance_mappings";
const KEY: &str = "instance_uuid";

/// How many rows of each table were moved or deleted.
pub type Rows = BTreeMap<&'static str, u64>;

/// A deleted instance that may be archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// Which.
    pub uuid: InstanceUuid,
    /// Its last home; none where it was deleted before it had one.
    pub cell: Option<CellUuid>,
    /// When it was accepted.
    pub created_at: NaiveDateTime,
}

macro_rules! deleted_before {
    ($conn:expr, $before:expr) => {{
        let changed = instance_mappings::updated_at.lt($before).or(instance_mappings::updated_at
            .is_null()
            .and(instance_mappings::created_at.lt($before)));
        // MariaDB reads the rows of a page from an index only by a range, see `instance_mapping`.
        let queued = match $conn.backend() {
            Backend::Mysql => "instance_mappings.queued_for_delete IN (1, NULL)",
            Backend::Sqlite => "instance_mappings.queued_for_delete = 1",
            Backend::Postgres => "instance_mappings.queued_for_delete",
        };
        instance_mappings::table
            .filter(sql::<Bool>(queued))
            .filter(instance_mappings::created_at.lt($before))
            .filter(changed)
    }};
}

/// The next instances that are queued for delete since before `before`, in the order in which they
/// were accepted, after `after`. One statement, on a range of an index.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn deleted(
    conn: &mut ApiConnection,
    before: NaiveDateTime,
    after: Option<&Deleted>,
    limit: u32,
) -> Result<Vec<Deleted>, DatabaseError> {
    use instance_mappings::{created_at, instance_uuid};
    conn.hold_little()?;
    let order = match conn.backend() {
        Backend::Postgres => {
            "instance_mappings.created_at ASC NULLS FIRST, instance_mappings.instance_uuid"
        }
        Backend::Mysql => {
            "instance_mappings.queued_for_delete, instance_mappings.created_at, \
             instance_mappings.instance_uuid"
        }
        Backend::Sqlite => "instance_mappings.created_at, instance_mappings.instance_uuid",
    };
    let mut select = deleted_before!(conn, before)
        .left_join(cell_mappings::table)
        .select((instance_uuid, cell_mappings::uuid.nullable(), created_at))
        .into_boxed::<Dialect>();
    if let Some(after) = after {
        let time = after.created_at;
        select = select
            .filter(created_at.ge(time))
            .filter(created_at.gt(time).or(instance_uuid.gt(after.uuid.text()).nullable()));
    }
    let rows: Vec<(String, Option<String>, Option<NaiveDateTime>)> =
        select.order(sql::<Text>(order)).limit(limit.into()).load(conn.sql())?;
    rows.into_iter()
        .map(|(uuid, cell, accepted)| {
            let (uuid, cell) = (parse(&uuid)?, cell.as_deref().map(parse).transpose()?);
            Ok(Deleted { uuid, cell, created_at: accepted.unwrap_or_default() })
        })
        .collect()
}

/// How many instances are queued for delete since before `before`. One statement.
///
/// # Errors
/// The database's.
pub fn count_deleted(
    conn: &mut ApiConnection,
    before: NaiveDateTime,
) -> Result<u64, DatabaseError> {
    conn.hold_little()?;
    let count: i64 = deleted_before!(conn, before).count().get_result(conn.sql())?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Those of these instances with something still to be done: a build request, an intent that is to
/// be swept, an effect that is to be sent, a claim that its host has not freed, or a sibling that is
/// still to be decided by the verdict of their group. Six statements for each five hundred.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn unsettled(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<HashSet<InstanceUuid>, DatabaseError> {
    conn.hold_little()?;
    let mut found: BTreeSet<String> = BTreeSet::new();
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let requests: Vec<String> = build_requests::table
            .filter(build_requests::instance_uuid.eq_any(chunk))
            .select(build_requests::instance_uuid.assume_not_null())
            .load(conn.sql())?;
        found.extend(requests);
        macro_rules! of {
            ($table:ident) => {
                let rows: Vec<String> = $table::table
                    .filter($table::instance_uuid.eq_any(chunk))
                    .select($table::instance_uuid)
                    .load(conn.sql())?;
                found.extend(rows);
            };
        }
        of!(boot_intents);
        of!(outbox);
        of!(claims);
        let groups: Vec<(String, String)> = boot_states::table
            .filter(boot_states::instance_uuid.eq_any(chunk))
            .select((boot_states::instance_uuid, boot_states::group_uuid))
            .load(conn.sql())?;
        let waiting: Vec<String> = boot_states::table
            .inner_join(
                build_requests::table
                    .on(build_requests::instance_uuid.eq(boot_states::instance_uuid.nullable())),
            )
            .filter(boot_states::group_uuid.eq_any(groups.iter().map(|(_, group)| group)))
            .select(boot_states::group_uuid)
            .load(conn.sql())?;
        let siblings = groups.into_iter().filter(|(_, group)| waiting.contains(group));
        found.extend(siblings.map(|(uuid, _)| uuid));
    }
    found.iter().map(|uuid| parse(uuid)).collect()
}

/// What an archive did to the API database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archived {
    /// How many instances were moved.
    pub instances: u64,
    /// How many rows of each table.
    pub rows: Rows,
}

/// Moves those of these instances that are still queued for delete and settled. Of them nothing may
/// stand in their cells any more. To be called in a transaction; two at once take turns, and the
/// second finds nothing.
///
/// 17 statements for as many as [`IN_LIST_MAX`]; on SQLite two more.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn archive(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<Archived, DatabaseError> {
    conn.hold_little()?;
    let mut archived = Archived::default();
    let mut sorted = uuids.to_vec();
    sorted.sort();
    for chunk in sorted.chunks(IN_LIST_MAX) {
        let uuids = lock(conn, chunk)?;
        if uuids.is_empty() {
            continue;
        }
        for table in MOVED {
            let rows = RowsBy { table, column: KEY, values: Values::Texts(&uuids) };
            let shift = match table {
                "boot_histories" => Default::default(),
                _ => id_shift(conn, rows)?,
            };
            let moved = copy_to_shadow(conn, rows, &[("id", shift)])?;
            delete_rows(conn, rows)?;
            count(&mut archived.rows, table, moved);
        }
        macro_rules! delete {
            ($($table:ident),*) => {$(
                diesel::delete($table::table.filter($table::instance_uuid.eq_any(&uuids)))
                    .execute(conn.sql())?;
            )*};
        }
        delete!(boot_states, instance_group_member, waiting_instances);
        archived.instances += uuids.len() as u64;
    }
    Ok(archived)
}

/// Locks these instances to the end of the transaction; gives those that may be moved.
fn lock(conn: &mut ApiConnection, uuids: &[InstanceUuid]) -> Result<Vec<String>, DatabaseError> {
    let all = texts(uuids);
    // The lock of every decision comes first, as everywhere.
    let _: Vec<String> = load_locked!(
        conn,
        boot_states::table
            .filter(boot_states::instance_uuid.eq_any(&all))
            .order(boot_states::instance_uuid)
            .select(boot_states::instance_uuid)
    )?;
    let queued: Vec<String> = load_locked!(
        conn,
        instance_mappings::table
            .filter(instance_mappings::instance_uuid.eq_any(&all))
            .filter(instance_mappings::queued_for_delete.eq(true))
            .order(instance_mappings::instance_uuid)
            .select(instance_mappings::instance_uuid)
    )?;
    let queued: Vec<InstanceUuid> =
        queued.iter().map(|uuid| parse(uuid)).collect::<Result<_, _>>()?;
    let unsettled = unsettled(conn, &queued)?;
    Ok(texts(queued.iter().filter(|uuid| !unsettled.contains(*uuid))))
}

fn count(rows: &mut Rows, table: &'static str, number: u64) {
    if number > 0 {
        *rows.entry(table).or_default() += number;
    }
}

/// Those of these instances that the API database still knows: by a mapping or by a boot state. Two
/// statements for each five hundred.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn known(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<HashSet<InstanceUuid>, DatabaseError> {
    let mut found: BTreeSet<String> = BTreeSet::new();
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let mapped: Vec<String> = instance_mappings::table
            .filter(instance_mappings::instance_uuid.eq_any(chunk))
            .select(instance_mappings::instance_uuid)
            .load(conn.sql())?;
        let states: Vec<String> = boot_states::table
            .filter(boot_states::instance_uuid.eq_any(chunk))
            .select(boot_states::instance_uuid)
            .load(conn.sql())?;
        found.extend(mapped.into_iter().chain(states));
    }
    found.iter().map(|uuid| parse(uuid)).collect()
}

/// Those of these uuids that are archived. One statement for each five hundred.
///
/// # Errors
/// The database's.
pub fn archived(conn: &mut ApiConnection, uuids: &[String]) -> Result<Vec<String>, DatabaseError> {
    let mappings = shadow_of(MAPPINGS);
    let mut found = Vec::new();
    for chunk in uuids.chunks(IN_LIST_MAX) {
        let values = Values::Texts(chunk);
        found.extend(standing(conn, RowsBy { table: &mappings, column: KEY, values })?);
    }
    Ok(found)
}

/// Deletes from the shadow tables at most `limit` instances that were deleted before a time, none
/// for any time. To be called in a transaction. Says how many rows of each table; none where nothing
/// is left. Four statements.
///
/// # Errors
/// The database's.
pub fn purge(
    conn: &mut ApiConnection,
    before: Option<NaiveDateTime>,
    limit: u32,
) -> Result<Rows, DatabaseError> {
    conn.hold_little()?;
    let limit = limit.min(u32::try_from(IN_LIST_MAX).unwrap_or(u32::MAX));
    let mappings = shadow_of(MAPPINGS);
    let aged = Aged { table: &mappings, key: KEY, time: "updated_at", before };
    let uuids = old_keys(conn, aged, limit)?;
    let mut rows = Rows::new();
    for table in MOVED {
        let shadow = shadow_of(table);
        let values = Values::Texts(&uuids);
        count(&mut rows, table, delete_rows(conn, RowsBy { table: &shadow, column: KEY, values })?);
    }
    Ok(rows)
}
