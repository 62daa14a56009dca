//! The waiting index: buried instances that are retried by themselves once they may fit.
//!
//! Instances that a scheduler cannot tell apart share a class, so that a burst of them is looked at
//! once. An instance is in one of four states:
//!
//! - `check`: it is to be compared with what is free now. So it begins, and so its back-off ends.
//! - `asleep`: it did not fit when it was compared. A host whose generation rises wakes its class.
//! - `woken`: it was taken out of cell0, and is on its way.
//! - `back_off`: it came back, or its quota is short; `check` follows.
//!
//! No change of capacity is missed: hosts count their changes ([`crate::host_capacity`]) in the
//! transaction that makes them, and a change is looked at until no class fits any more. It passes
//! over those in `back_off` alone; these are compared, after the commit that ends it, with a later
//! view of the hosts. States say that, not clocks.

use std::collections::BTreeMap;

use cellzero_database::{AnyConnection, DatabaseError, insert_rows};
use cellzero_types::{CellUuid, InstanceUuid, Resources};
use chrono::NaiveDateTime;
use diesel::dsl::{exists, not};
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::{cell_mappings, instance_mappings, waiting_classes, waiting_instances};
use crate::{ApiConnection, IN_LIST_MAX, column_number, parse, texts};

const CHECK: &str = "check";
const ASLEEP: &str = "asleep";
const WOKEN: &str = "woken";
const BACK_OFF: &str = "back_off";

/// Instances that a scheduler cannot tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingClass {
    /// Made of all that the scheduler looks at, and of the project.
    pub uuid: Uuid,
    /// The project, between which the waking is fair.
    pub project_id: String,
    /// What each of them takes.
    pub resources: Resources,
}

/// An instance that begins to wait.
#[derive(Debug, Clone)]
pub struct NewWaiting {
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Its class.
    pub class: WaitingClass,
    /// When it waits no longer.
    pub expires_at: NaiveDateTime,
}

/// A class with instances to be looked at, and when its project was served last.
#[derive(Debug, Clone, PartialEq)]
pub struct DueClass {
    /// The class.
    pub uuid: Uuid,
    /// Its project.
    pub project_id: String,
    /// Since when its project has been passed over.
    pub served_at: NaiveDateTime,
}

/// An instance that waits, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Rises with each change of its state.
    pub version: i64,
}

/// How an instance waits, as its owner may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingState {
    /// `check`, `asleep`, `woken` or `back_off`.
    pub state: String,
    /// How often it came back.
    pub attempts: i32,
    /// Until when it is left alone, in `back_off`.
    pub not_before: Option<NaiveDateTime>,
    /// When it waits no longer.
    pub expires_at: NaiveDateTime,
}

#[derive(Insertable)]
#[diesel(table_name = waiting_classes, treat_none_as_default_value = false)]
struct NewClassRow {
    uuid: String,
    project_id: String,
    vcpus: i32,
    memory_mb: i32,
    disk_gb: i32,
    served_at: NaiveDateTime,
    created_at: NaiveDateTime,
}

#[derive(Insertable)]
#[diesel(table_name = waiting_instances, treat_none_as_default_value = false)]
struct NewRow {
    instance_uuid: String,
    class_uuid: String,
    state: &'static str,
    version: i64,
    attempts: i32,
    expires_at: NaiveDateTime,
    created_at: NaiveDateTime,
}

/// Lets buried instances wait, to be compared first. To be called in the transaction that buries
/// them. Two statements for each hundred.
///
/// # Errors
/// The database's; a unique violation where one waits already.
pub fn enter(
    conn: &mut ApiConnection,
    new: &[NewWaiting],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    // Sorted, so that two that enter the same classes wait for one another.
    let classes: BTreeMap<Uuid, &WaitingClass> =
        new.iter().map(|waiting| (waiting.class.uuid, &waiting.class)).collect();
    let classes: Vec<NewClassRow> = classes
        .into_values()
        .map(|class| NewClassRow {
            uuid: class.uuid.to_string(),
            project_id: class.project_id.clone(),
            vcpus: column_number(class.resources.vcpus),
            memory_mb: column_number(class.resources.memory_mb),
            disk_gb: column_number(class.resources.disk_gb),
            served_at: now,
            created_at: now,
        })
        .collect();
    for chunk in classes.chunks(cellzero_database::ROWS_MAX) {
        insert_missing(conn, chunk)?;
    }
    let rows: Vec<NewRow> = new
        .iter()
        .map(|waiting| NewRow {
            instance_uuid: waiting.instance_uuid.text(),
            class_uuid: waiting.class.uuid.to_string(),
            state: CHECK,
            version: 1,
            attempts: 0,
            expires_at: waiting.expires_at,
            created_at: now,
        })
        .collect();
    insert_rows!(conn, waiting_instances::table, rows);
    Ok(())
}

fn insert_missing(conn: &mut ApiConnection, rows: &[NewClassRow]) -> Result<(), DatabaseError> {
    use diesel::query_dsl::methods::ExecuteDsl;
    let table = waiting_classes::table;
    match conn.sql().any() {
        AnyConnection::Sqlite(c) => {
            ExecuteDsl::execute(diesel::insert_or_ignore_into(table).values(rows), c)
        }
        AnyConnection::Postgres(c) => {
            let insert = diesel::insert_into(table).values(rows);
            ExecuteDsl::execute(insert.on_conflict_do_nothing(), c)
        }
        AnyConnection::Mysql(c) => {
            ExecuteDsl::execute(diesel::insert_or_ignore_into(table).values(rows), c)
        }
    }?;
    Ok(())
}

/// How often each of these came back so far, of those that wait. One statement for each five
/// hundred.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn attempts(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<BTreeMap<InstanceUuid, i32>, DatabaseError> {
    let mut attempts = BTreeMap::new();
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<(String, i32)> = waiting_instances::table
            .filter(waiting_instances::instance_uuid.eq_any(chunk))
            .select((waiting_instances::instance_uuid, waiting_instances::attempts))
            .load(conn.sql())?;
        for (uuid, count) in rows {
            attempts.insert(parse(&uuid)?, count);
        }
    }
    Ok(attempts)
}

/// Leaves an instance alone until `until`: it came back, or its quota is short. One statement.
///
/// # Errors
/// The database's.
pub fn back_off(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
    until: NaiveDateTime,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    diesel::update(waiting_instances::table.find(uuid.text()))
        .set((
            waiting_instances::state.eq(BACK_OFF),
            waiting_instances::version.eq(waiting_instances::version + 1),
            waiting_instances::attempts.eq(waiting_instances::attempts + 1),
            waiting_instances::not_before.eq(until),
            waiting_instances::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// Notes that an instance leaves cell0, where it waits. To be called in the transaction that takes
/// it out. One statement.
///
/// # Errors
/// The database's.
pub fn wake(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    diesel::update(waiting_instances::table.find(uuid.text()))
        .set((
            waiting_instances::state.eq(WOKEN),
            waiting_instances::version.eq(waiting_instances::version + 1),
            waiting_instances::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// These wait no longer. One statement for each five hundred.
///
/// # Errors
/// The database's.
pub fn forget(conn: &mut ApiConnection, uuids: &[InstanceUuid]) -> Result<(), DatabaseError> {
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        diesel::delete(
            waiting_instances::table.filter(waiting_instances::instance_uuid.eq_any(chunk)),
        )
        .execute(conn.sql())?;
    }
    Ok(())
}

/// Whether anything waits at all. One statement.
///
/// # Errors
/// The database's.
pub fn any(conn: &mut ApiConnection) -> Result<bool, DatabaseError> {
    let first: Option<String> = waiting_instances::table
        .select(waiting_instances::instance_uuid)
        .first(conn.sql())
        .optional()?;
    Ok(first.is_some())
}

/// Ends what time ends: those that have expired or were deleted on their way wait no longer, and
/// those whose back-off is over are to be compared. Three statements.
///
/// # Errors
/// The database's.
pub fn keep_house(conn: &mut ApiConnection, now: NaiveDateTime) -> Result<(), DatabaseError> {
    diesel::delete(
        waiting_instances::table
            .filter(waiting_instances::expires_at.le(now))
            .filter(waiting_instances::state.ne(WOKEN)),
    )
    .execute(conn.sql())?;
    let deleted = instance_mappings::table
        .filter(instance_mappings::instance_uuid.eq(waiting_instances::instance_uuid))
        .filter(instance_mappings::queued_for_delete.eq(true));
    diesel::delete(
        waiting_instances::table
            .filter(waiting_instances::state.eq_any([CHECK, WOKEN]))
            .filter(exists(deleted)),
    )
    .execute(conn.sql())?;
    diesel::update(
        waiting_instances::table
            .filter(waiting_instances::state.eq(BACK_OFF))
            .filter(waiting_instances::not_before.le(now)),
    )
    .set((
        waiting_instances::state.eq(CHECK),
        waiting_instances::version.eq(waiting_instances::version + 1),
        waiting_instances::updated_at.eq(now),
    ))
    .execute(conn.sql())?;
    Ok(())
}

/// Whether one that was woken after `since` is still on its way. One statement.
///
/// # Errors
/// The database's.
pub fn any_on_its_way(
    conn: &mut ApiConnection,
    since: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let first: Option<String> = waiting_instances::table
        .filter(waiting_instances::state.eq(WOKEN))
        .filter(waiting_instances::updated_at.gt(since))
        .select(waiting_instances::instance_uuid)
        .first(conn.sql())
        .optional()?;
    Ok(first.is_some())
}

/// The classes with instances to be compared, and those that sleep and take no more than `free`,
/// where hosts have changed: the project that was served longest ago first. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn due_classes(
    conn: &mut ApiConnection,
    free: Option<Resources>,
) -> Result<Vec<DueClass>, DatabaseError> {
    let with_state = |state: &'static str| {
        exists(
            waiting_instances::table
                .filter(waiting_instances::class_uuid.eq(waiting_classes::uuid))
                .filter(waiting_instances::state.eq(state)),
        )
    };
    let free = free.unwrap_or(Resources { vcpus: -1, memory_mb: -1, disk_gb: -1 });
    let may_fit = waiting_classes::vcpus
        .le(column_number(free.vcpus))
        .and(waiting_classes::memory_mb.le(column_number(free.memory_mb)))
        .and(waiting_classes::disk_gb.le(column_number(free.disk_gb)));
    let rows: Vec<(String, String, NaiveDateTime)> = waiting_classes::table
        .filter(with_state(CHECK).or(may_fit.and(with_state(ASLEEP))))
        .order((waiting_classes::served_at, waiting_classes::created_at, waiting_classes::uuid))
        .select((waiting_classes::uuid, waiting_classes::project_id, waiting_classes::served_at))
        .load(conn.sql())?;
    rows.into_iter()
        .map(|(uuid, project_id, served_at)| {
            let uuid = Uuid::parse_str(&uuid).map_err(|error| {
                DatabaseError::damaged(format!("waiting class {uuid}: {error}"))
            })?;
            Ok(DueClass { uuid, project_id, served_at })
        })
        .collect()
}

/// The instances of a class that stand in cell0 and are neither deleted nor left alone, the oldest
/// first. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn oldest_of(
    conn: &mut ApiConnection,
    class: Uuid,
    limit: u32,
) -> Result<Vec<Waiting>, DatabaseError> {
    let buried = instance_mappings::table
        .inner_join(cell_mappings::table)
        .filter(instance_mappings::instance_uuid.eq(waiting_instances::instance_uuid))
        .filter(instance_mappings::queued_for_delete.eq(false))
        .filter(cell_mappings::uuid.eq(CellUuid::CELL0.text()));
    let rows: Vec<(String, i64)> = waiting_instances::table
        .filter(waiting_instances::class_uuid.eq(class.to_string()))
        .filter(waiting_instances::state.eq_any([CHECK, ASLEEP]))
        .filter(exists(buried))
        .order((waiting_instances::created_at, waiting_instances::instance_uuid))
        .limit(limit.into())
        .select((waiting_instances::instance_uuid, waiting_instances::version))
        .load(conn.sql())?;
    rows.into_iter()
        .map(|(uuid, version)| Ok(Waiting { instance_uuid: parse(&uuid)?, version }))
        .collect()
}

/// Those of a class that are to be compared, as they are now: what is put to sleep once the class
/// turns out not to fit. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn to_compare(conn: &mut ApiConnection, class: Uuid) -> Result<Vec<Waiting>, DatabaseError> {
    let rows: Vec<(String, i64)> = waiting_instances::table
        .filter(waiting_instances::class_uuid.eq(class.to_string()))
        .filter(waiting_instances::state.eq(CHECK))
        .select((waiting_instances::instance_uuid, waiting_instances::version))
        .load(conn.sql())?;
    rows.into_iter()
        .map(|(uuid, version)| Ok(Waiting { instance_uuid: parse(&uuid)?, version }))
        .collect()
}

/// Puts to sleep what was compared and does not fit; one whose state has changed since is left as
/// it is. One statement for each five hundred of one version.
///
/// # Errors
/// The database's.
pub fn put_to_sleep(
    conn: &mut ApiConnection,
    compared: &[Waiting],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let mut by_version: BTreeMap<i64, Vec<InstanceUuid>> = BTreeMap::new();
    for waiting in compared {
        by_version.entry(waiting.version).or_default().push(waiting.instance_uuid);
    }
    for (version, uuids) in by_version {
        for chunk in texts(&uuids).chunks(IN_LIST_MAX) {
            diesel::update(
                waiting_instances::table
                    .filter(waiting_instances::instance_uuid.eq_any(chunk))
                    .filter(waiting_instances::version.eq(version))
                    .filter(waiting_instances::state.eq(CHECK)),
            )
            .set((
                waiting_instances::state.eq(ASLEEP),
                waiting_instances::version.eq(waiting_instances::version + 1),
                waiting_instances::updated_at.eq(now),
            ))
            .execute(conn.sql())?;
        }
    }
    Ok(())
}

/// Notes that a project was served, so that the others go first. One statement.
///
/// # Errors
/// The database's.
pub fn served(
    conn: &mut ApiConnection,
    project_id: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    diesel::update(waiting_classes::table.filter(waiting_classes::project_id.eq(project_id)))
        .set(waiting_classes::served_at.eq(now))
        .execute(conn.sql())?;
    Ok(())
}

/// How an instance waits; none where it does not. One statement.
///
/// # Errors
/// The database's.
pub fn find(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
) -> Result<Option<WaitingState>, DatabaseError> {
    let row: Option<(String, i32, Option<NaiveDateTime>, NaiveDateTime)> = waiting_instances::table
        .find(uuid.text())
        .select((
            waiting_instances::state,
            waiting_instances::attempts,
            waiting_instances::not_before,
            waiting_instances::expires_at,
        ))
        .first(conn.sql())
        .optional()?;
    Ok(row.map(|(state, attempts, not_before, expires_at)| WaitingState {
        state,
        attempts,
        not_before: not_before.filter(|_| attempts > 0),
        expires_at,
    }))
}

/// Instances that have stood in cell0 since before `before`, that nobody deleted and that wait for
/// nothing. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn unwanted(
    conn: &mut ApiConnection,
    before: NaiveDateTime,
    limit: u32,
) -> Result<Vec<InstanceUuid>, DatabaseError> {
    let waits = waiting_instances::table
        .filter(waiting_instances::instance_uuid.eq(instance_mappings::instance_uuid));
    let uuids: Vec<String> = instance_mappings::table
        .inner_join(cell_mappings::table)
        .filter(cell_mappings::uuid.eq(CellUuid::CELL0.text()))
        .filter(instance_mappings::queued_for_delete.eq(false))
        .filter(instance_mappings::updated_at.lt(before))
        .filter(not(exists(waits)))
        .order(instance_mappings::id)
        .limit(limit.into())
        .select(instance_mappings::instance_uuid)
        .load(conn.sql())?;
    uuids.iter().map(|uuid| parse(uuid)).collect()
}
