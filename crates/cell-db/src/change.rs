//! Changes of an instance that stands: its task, its state, its lock and its fields. Each finds its row
//! only as the caller has seen it, and says whether it did; so two that change one take turns.

use cellzero_database::DatabaseError;
use cellzero_types::nova_object::NovaList;
use cellzero_types::{Instance, InstanceChange, InstanceUuid, PowerState, TaskState, VmState};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::CellConnection;
use crate::schema::{instance_extra, instances};

/// The live row of an instance.
macro_rules! live {
    ($uuid:expr) => {
        instances::table.filter(instances::uuid.eq($uuid.text())).filter(instances::deleted.eq(0))
    };
}

/// Updates those of `$live` whose task is `$task`. No task and some are queries of different types.
macro_rules! update_seen {
    ($conn:expr, $live:expr, $task:expr, $values:expr) => {
        match $task {
            None => diesel::update($live.filter(instances::task_state.is_null()))
                .set($values)
                .execute($conn.sql())?,
            Some(task) => diesel::update($live.filter(instances::task_state.eq(task.as_str())))
                .set($values)
                .execute($conn.sql())?,
        }
    };
}

/// The instance as a change has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its state.
    pub vm_state: VmState,
    /// Its task.
    pub task_state: Option<TaskState>,
    /// Whether it is locked.
    pub locked: bool,
}

/// Begins a task of an instance; says whether it stood as it was seen. One statement.
///
/// # Errors
/// The database's.
pub fn begin_task(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    seen: &Seen,
    task: &TaskState,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let values = (instances::task_state.eq(task.as_str()), instances::updated_at.eq(now));
    let as_seen = live!(uuid)
        .filter(instances::vm_state.eq(seen.vm_state.as_str()))
        .filter(instances::locked.eq(seen.locked).or(instances::locked.is_null()));
    Ok(update_seen!(conn, as_seen, &seen.task_state, values) == 1)
}

/// The state of a live instance and its task; none where it has none of either. One statement.
///
/// # Errors
/// The database's.
pub fn state_in_task(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<Option<(VmState, TaskState)>, DatabaseError> {
    let row: Option<(Option<String>, Option<String>)> = live!(uuid)
        .select((instances::vm_state, instances::task_state))
        .first(conn.sql())
        .optional()?;
    let Some((Some(state), Some(task))) = row else { return Ok(None) };
    Ok(Some((VmState::from(state), TaskState::new(task))))
}

/// Ends a task of an instance in a new state, or in the one it has; says whether it was under way.
/// One statement.
///
/// # Errors
/// The database's.
pub fn end_task(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    task: &TaskState,
    (vm_state, power_state): (&VmState, Option<PowerState>),
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let under_way = || live!(uuid).filter(instances::task_state.eq(task.as_str()));
    let values = (
        instances::task_state.eq(None::<String>),
        instances::vm_state.eq(vm_state.as_str()),
        instances::updated_at.eq(now),
    );
    let changed = match power_state {
        None => diesel::update(under_way()).set(values).execute(conn.sql())?,
        Some(power) => diesel::update(under_way())
            .set((values, instances::power_state.eq(power.0)))
            .execute(conn.sql())?,
    };
    Ok(changed == 1)
}

/// Notes that an instance runs anew since now. One statement.
///
/// # Errors
/// The database's.
pub fn mark_launched(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    diesel::update(live!(uuid)).set(instances::launched_at.eq(now)).execute(conn.sql())?;
    Ok(())
}

/// Sets the state of a live instance with no task, whatever it was; says whether it stands. One
/// statement.
///
/// # Errors
/// The database's.
pub fn reset_state(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    vm_state: &VmState,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let changed = diesel::update(live!(uuid))
        .set((
            instances::vm_state.eq(vm_state.as_str()),
            instances::task_state.eq(None::<String>),
            instances::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(changed == 1)
}

/// Locks a live instance for `locked_by`, or unlocks it with none; says whether it was otherwise. One
/// statement.
///
/// # Errors
/// The database's.
pub fn set_lock(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    locked_by: Option<&str>,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let changed = diesel::update(live!(uuid))
        .set((
            instances::locked.eq(locked_by.is_some()),
            instances::locked_by.eq(locked_by),
            instances::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(changed == 1)
}

/// Whether a live instance is locked; none where it does not stand here. One statement.
///
/// # Errors
/// The database's.
pub fn is_locked(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<Option<bool>, DatabaseError> {
    let locked: Option<Option<bool>> =
        live!(uuid).select(instances::locked).first(conn.sql()).optional()?;
    Ok(locked.map(|locked| locked.unwrap_or(false)))
}

/// Locks the row of a live instance to the end of the transaction by noting that it changes; says
/// whether it is in the state that was seen. One statement.
///
/// # Errors
/// The database's.
pub fn touch(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    seen: &Seen,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let as_seen = live!(uuid)
        .filter(instances::vm_state.eq(seen.vm_state.as_str()))
        .filter(instances::locked.eq(seen.locked).or(instances::locked.is_null()));
    Ok(diesel::update(as_seen).set(instances::updated_at.eq(now)).execute(conn.sql())? == 1)
}

#[derive(AsChangeset)]
#[diesel(table_name = instances)]
struct Fields<'a> {
    updated_at: NaiveDateTime,
    display_name: Option<&'a str>,
    display_description: Option<Option<&'a str>>,
    hostname: Option<&'a str>,
    access_ip_v4: Option<Option<String>>,
    access_ip_v6: Option<Option<String>>,
    auto_disk_config: Option<bool>,
}

impl<'a> Fields<'a> {
    fn new(change: &'a InstanceChange, updated_at: NaiveDateTime) -> Fields<'a> {
        Fields {
            updated_at,
            display_name: change.display_name.as_deref(),
            display_description: change.description.as_ref().map(Option::as_deref),
            hostname: change.hostname.as_deref(),
            access_ip_v4: change.access_ip_v4.map(|ip| ip.map(|ip| ip.to_string())),
            access_ip_v6: change.access_ip_v6.map(|ip| ip.map(|ip| ip.to_string())),
            auto_disk_config: change.auto_disk_config,
        }
    }
}

/// Gives a live instance new values of its own fields; says whether it stands here. One statement.
///
/// # Errors
/// The database's.
pub fn update(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    change: &InstanceChange,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let changed = diesel::update(live!(uuid)).set(Fields::new(change, now)).execute(conn.sql())?;
    Ok(changed == 1)
}

/// Writes what a rebuild changes of the row of an instance: image, key pair, user data and its own
/// fields. Two statements. To be called in a transaction that has begun its task.
///
/// # Errors
/// The database's.
pub fn rebuild(
    conn: &mut CellConnection,
    new: &Instance,
    change: &InstanceChange,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    diesel::update(live!(new.uuid))
        .set((
            Fields::new(change, now),
            instances::image_ref.eq(new.image_ref.as_deref()),
            instances::kernel_id.eq(""),
            instances::ramdisk_id.eq(""),
            instances::progress.eq(0),
            instances::key_name.eq(new.key_name.as_deref()),
            instances::key_data.eq(new.key_data.as_deref()),
            instances::user_data.eq(new.user_data.as_deref()),
        ))
        .execute(conn.sql())?;
    let extra = instance_extra::table.filter(instance_extra::instance_uuid.eq(new.uuid.text()));
    diesel::update(extra)
        .set((instance_extra::keypairs.eq(key_pairs(new)), instance_extra::updated_at.eq(now)))
        .execute(conn.sql())?;
    Ok(())
}

/// The key pair of an instance in Nova's envelope.
pub(crate) fn key_pairs(instance: &Instance) -> String {
    let keypair = instance.key_name.as_ref().map(|name| {
        serde_json::json!({
            "name": name,
            "user_id": instance.user_id,
            "public_key": instance.key_data,
            "type": "ssh",
        })
    });
    serde_json::json!(NovaList::wrap(("KeyPairList", "1.3"), ("KeyPair", "1.4"), keypair))
        .to_string()
}
