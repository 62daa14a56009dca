//! The instance's own row, with `instance_extra` and `instance_info_caches` beside it.
//!
//! Columns are Nova's; sizes are copied from the flavor, which stands whole in `instance_extra`.

use std::collections::BTreeMap;

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::nova_object::NovaObject;
use cellzero_types::{
    CellUuid, Flavor, Home, Instance, InstanceUuid, PowerState, TaskState, VmState,
};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use serde::{Deserialize, Serialize};

use crate::schema::{instance_extra, instance_info_caches, instances};
use crate::{CellConnection, parse_uuid, texts};

#[derive(Insertable)]
#[diesel(table_name = instances, treat_none_as_default_value = false)]
pub(crate) struct NewRow<'a> {
    created_at: Option<NaiveDateTime>,
    updated_at: Option<NaiveDateTime>,
    user_id: &'a str,
    project_id: &'a str,
    image_ref: Option<&'a str>,
    kernel_id: Option<&'a str>,
    ramdisk_id: Option<&'a str>,
    launch_index: Option<i32>,
    key_name: Option<&'a str>,
    key_data: Option<&'a str>,
    power_state: Option<i32>,
    vm_state: Option<&'a str>,
    memory_mb: Option<i32>,
    vcpus: Option<i32>,
    hostname: Option<&'a str>,
    host: Option<&'a str>,
    user_data: Option<&'a str>,
    reservation_id: Option<&'a str>,
    launched_at: Option<NaiveDateTime>,
    display_name: Option<&'a str>,
    display_description: Option<&'a str>,
    availability_zone: Option<&'a str>,
    locked: bool,
    locked_by: Option<&'a str>,
    instance_type_id: Option<i32>,
    uuid: &'a str,
    root_device_name: Option<&'a str>,
    access_ip_v4: Option<&'a str>,
    access_ip_v6: Option<&'a str>,
    config_drive: Option<&'a str>,
    task_state: Option<&'a str>,
    progress: Option<i32>,
    auto_disk_config: bool,
    shutdown_terminate: bool,
    disable_terminate: bool,
    root_gb: Option<i32>,
    ephemeral_gb: Option<i32>,
    node: Option<&'a str>,
    deleted: i32,
    cleaned: i32,
    hidden: bool,
}

impl<'a> NewRow<'a> {
    pub(crate) fn new(
        instance: &'a Instance,
        uuid: &'a str,
        updated_at: NaiveDateTime,
    ) -> NewRow<'a> {
        let flavor = instance.flavor.as_ref();
        NewRow {
            created_at: instance.created_at,
            updated_at: Some(updated_at),
            user_id: &instance.user_id,
            project_id: &instance.project_id,
            image_ref: instance.image_ref.as_deref(),
            kernel_id: instance.kernel_id.as_deref(),
            ramdisk_id: instance.ramdisk_id.as_deref(),
            launch_index: instance.launch_index,
            key_name: instance.key_name.as_deref(),
            key_data: instance.key_data.as_deref(),
            power_state: instance.power_state.map(|state| state.0),
            vm_state: instance.vm_state.as_ref().map(VmState::as_str),
            memory_mb: flavor.map(|flavor| flavor.memory_mb),
            vcpus: flavor.map(|flavor| flavor.vcpus),
            hostname: instance.hostname.as_deref(),
            host: instance.host.as_deref(),
            user_data: instance.user_data.as_deref(),
            reservation_id: instance.reservation_id.as_deref(),
            launched_at: instance.launched_at,
            display_name: instance.display_name.as_deref(),
            display_description: instance.display_description.as_deref(),
            availability_zone: instance.availability_zone.as_deref(),
            locked: instance.locked,
            locked_by: instance.locked_by.as_deref(),
            instance_type_id: instance.instance_type_id,
            uuid,
            root_device_name: instance.root_device_name.as_deref(),
            access_ip_v4: instance.access_ip_v4.as_deref(),
            access_ip_v6: instance.access_ip_v6.as_deref(),
            config_drive: instance.config_drive.as_deref(),
            task_state: instance.task_state.as_ref().map(TaskState::as_str),
            progress: instance.progress,
            auto_disk_config: instance.auto_disk_config,
            shutdown_terminate: false,
            disable_terminate: false,
            root_gb: flavor.map(|flavor| flavor.root_gb),
            ephemeral_gb: flavor.map(|flavor| flavor.ephemeral_gb),
            node: instance.node.as_deref(),
            deleted: 0,
            cleaned: 0,
            hidden: instance.hidden,
        }
    }
}

pub(crate) fn insert(conn: &mut CellConnection, rows: &[NewRow<'_>]) -> Result<(), DatabaseError> {
    insert_rows!(conn, instances::table, rows);
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = instance_extra, treat_none_as_default_value = false)]
pub(crate) struct NewExtra<'a> {
    created_at: NaiveDateTime,
    deleted: i32,
    instance_uuid: &'a str,
    pci_requests: &'a str,
    flavor: Option<String>,
    keypairs: &'a str,
}

/// Nova's three flavors of an instance: `old` and `new` are set while it is resized.
#[derive(Serialize, Deserialize)]
struct Flavors {
    cur: Option<NovaObject<Flavor>>,
    old: Option<NovaObject<Flavor>>,
    new: Option<NovaObject<Flavor>>,
}

impl<'a> NewExtra<'a> {
    pub(crate) fn new(
        instance: &Instance,
        uuid: &'a str,
        keypairs: &'a str,
        now: NaiveDateTime,
    ) -> NewExtra<'a> {
        let flavors = |flavor: Flavor| {
            serde_json::json!(Flavors { cur: Some(flavor.wrap()), old: None, new: None })
        };
        NewExtra {
            created_at: now,
            deleted: 0,
            instance_uuid: uuid,
            pci_requests: "[]",
            flavor: instance.flavor.clone().map(|flavor| flavors(flavor).to_string()),
            keypairs,
        }
    }
}

pub(crate) fn insert_extra(
    conn: &mut CellConnection,
    rows: &[NewExtra<'_>],
) -> Result<(), DatabaseError> {
    insert_rows!(conn, instance_extra::table, rows);
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = instance_info_caches, treat_none_as_default_value = false)]
pub(crate) struct NewInfoCache<'a> {
    pub(crate) created_at: NaiveDateTime,
    pub(crate) network_info: String,
    pub(crate) instance_uuid: &'a str,
    pub(crate) deleted: i32,
}

pub(crate) fn insert_info_caches(
    conn: &mut CellConnection,
    rows: &[NewInfoCache<'_>],
) -> Result<(), DatabaseError> {
    insert_rows!(conn, instance_info_caches::table, rows);
    Ok(())
}

/// The columns that a reader needs: half of the table, so that half as much travels.
#[derive(Queryable, Selectable)]
#[diesel(table_name = instances)]
struct Row {
    id: i32,
    uuid: String,
    project_id: Option<String>,
    user_id: Option<String>,
    display_name: Option<String>,
    display_description: Option<String>,
    hostname: Option<String>,
    vm_state: Option<String>,
    task_state: Option<String>,
    power_state: Option<i32>,
    host: Option<String>,
    node: Option<String>,
    availability_zone: Option<String>,
    instance_type_id: Option<i32>,
    image_ref: Option<String>,
    kernel_id: Option<String>,
    ramdisk_id: Option<String>,
    progress: Option<i32>,
    key_name: Option<String>,
    key_data: Option<String>,
    reservation_id: Option<String>,
    launch_index: Option<i32>,
    user_data: Option<String>,
    config_drive: Option<String>,
    auto_disk_config: Option<bool>,
    root_device_name: Option<String>,
    locked: Option<bool>,
    locked_by: Option<String>,
    hidden: Option<bool>,
    created_at: Option<NaiveDateTime>,
    updated_at: Option<NaiveDateTime>,
    launched_at: Option<NaiveDateTime>,
    terminated_at: Option<NaiveDateTime>,
    deleted: Option<i32>,
    deleted_at: Option<NaiveDateTime>,
}

type Addresses = (Option<String>, Option<String>);
type Beside = (Option<String>, Option<String>);

/// A PostgreSQL database that Nova made has `inet` columns, whose binary form is no text.
const ACCESS_IP_V4: &str = "CAST(instances.access_ip_v4 AS CHAR(64))";
const ACCESS_IP_V6: &str = "CAST(instances.access_ip_v6 AS CHAR(64))";

/// The address in what the cast gave: PostgreSQL pads it, and writes an `inet` with its mask.
fn address(text: Option<String>) -> Option<String> {
    text.map(|text| {
        let text = text.trim_end();
        text.split_once('/').map_or(text, |(address, _)| address).to_owned()
    })
}

/// The rows of these instances with flavor and network info, by uuid; tags, metadata and the rest
/// are left empty. One statement. `deleted` rows are read only where asked for.
///
/// # Errors
/// The database's, or damaged JSON or uuids in a row.
pub fn find(
    conn: &mut CellConnection,
    cell: CellUuid,
    uuids: &[InstanceUuid],
    with_deleted: WithDeleted,
) -> Result<Vec<Instance>, DatabaseError> {
    let query = instances::table
        .left_join(instance_extra::table.on(instance_extra::instance_uuid.eq(instances::uuid)))
        .left_join(
            instance_info_caches::table.on(instance_info_caches::instance_uuid.eq(instances::uuid)),
        )
        .filter(instances::uuid.eq_any(texts(uuids)))
        .select((
            Row::as_select(),
            (
                diesel::dsl::sql::<Nullable<Text>>(ACCESS_IP_V4),
                diesel::dsl::sql::<Nullable<Text>>(ACCESS_IP_V6),
            ),
            (instance_extra::flavor.nullable(), instance_info_caches::network_info.nullable()),
        ))
        .into_boxed::<crate::Dialect>();
    let query = match with_deleted {
        WithDeleted::Yes => query,
        WithDeleted::No => query.filter(instances::deleted.eq(0)),
    };
    let rows: Vec<(Row, Addresses, Beside)> = query.load(conn.sql())?;
    rows.into_iter().map(|(row, addresses, beside)| whole(row, addresses, beside, cell)).collect()
}

/// Whether deleted rows are read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithDeleted {
    /// Deleted rows too.
    Yes,
    /// Live rows only.
    No,
}

fn whole(
    row: Row,
    (access_ip_v4, access_ip_v6): Addresses,
    (flavor, network_info): Beside,
    cell: CellUuid,
) -> Result<Instance, DatabaseError> {
    let uuid = parse_uuid(&row.uuid)?;
    let damaged =
        |what: &str, error| DatabaseError::damaged(format!("{what} of instance {uuid}: {error}"));
    let flavor = match flavor {
        Some(text) => {
            let flavors: Flavors =
                serde_json::from_str(&text).map_err(|error| damaged("flavor", error))?;
            flavors.cur.map(|flavor| flavor.data)
        }
        None => None,
    };
    let network_info = match network_info {
        Some(text) => {
            serde_json::from_str(&text).map_err(|error| damaged("network info", error))?
        }
        None => serde_json::Value::Array(Vec::new()),
    };
    Ok(Instance {
        id: Some(row.id),
        uuid,
        home: Home::Cell(cell),
        project_id: row.project_id.unwrap_or_default(),
        user_id: row.user_id.unwrap_or_default(),
        display_name: row.display_name,
        display_description: row.display_description,
        hostname: row.hostname,
        vm_state: row.vm_state.map(VmState::from),
        task_state: row.task_state.map(TaskState::new),
        power_state: row.power_state.map(PowerState),
        host: row.host,
        node: row.node,
        availability_zone: row.availability_zone,
        flavor,
        instance_type_id: row.instance_type_id,
        image_ref: row.image_ref,
        kernel_id: row.kernel_id,
        ramdisk_id: row.ramdisk_id,
        progress: row.progress,
        key_name: row.key_name,
        key_data: row.key_data,
        reservation_id: row.reservation_id,
        launch_index: row.launch_index,
        user_data: row.user_data,
        config_drive: row.config_drive,
        auto_disk_config: row.auto_disk_config.unwrap_or(false),
        root_device_name: row.root_device_name,
        access_ip_v4: address(access_ip_v4),
        access_ip_v6: address(access_ip_v6),
        locked: row.locked.unwrap_or(false),
        locked_by: row.locked_by,
        hidden: row.hidden.unwrap_or(false),
        metadata: BTreeMap::new(),
        system_metadata: BTreeMap::new(),
        tags: Vec::new(),
        block_devices: Vec::new(),
        security_groups: Vec::new(),
        network_info,
        fault: None,
        created_at: row.created_at,
        updated_at: row.updated_at,
        launched_at: row.launched_at,
        terminated_at: row.terminated_at,
        deleted: row.deleted.unwrap_or(0) != 0,
        deleted_at: row.deleted_at,
        known_at: None,
    })
}

/// Whether the row of an instance is deleted; none where none stands here. One statement.
///
/// # Errors
/// The database's.
pub fn is_deleted(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<Option<bool>, DatabaseError> {
    let deleted: Option<Option<i32>> = instances::table
        .filter(instances::uuid.eq(uuid.text()))
        .select(instances::deleted)
        .first(conn.sql())
        .optional()?;
    Ok(deleted.map(|deleted| deleted.unwrap_or(0) != 0))
}

/// The host of a live instance; none where it has none, or does not stand here. One statement.
///
/// # Errors
/// The database's.
pub fn host(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<Option<String>, DatabaseError> {
    let host: Option<Option<String>> = instances::table
        .filter(instances::uuid.eq(uuid.text()))
        .filter(instances::deleted.eq(0))
        .select(instances::host)
        .get_result(conn.sql())
        .optional()?;
    Ok(host.flatten())
}

/// Makes a building instance ACTIVE, but only on the host that was to build it and has not said that
/// it could not; says whether it did. One statement.
///
/// # Errors
/// The database's.
pub fn mark_built(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    host: &str,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let building = instances::table
        .filter(instances::uuid.eq(uuid.text()))
        .filter(instances::deleted.eq(0))
        .filter(instances::host.eq(host))
        .filter(instances::vm_state.eq(VmState::Building.as_str()))
        .filter(
            instances::task_state
                .is_null()
                .or(instances::task_state.ne(TaskState::SCHEDULING.as_str())),
        );
    let changed = diesel::update(building)
        .set((
            instances::vm_state.eq(VmState::Active.as_str()),
            instances::task_state.eq(None::<String>),
            instances::power_state.eq(PowerState::RUNNING.0),
            instances::launched_at.eq(now),
            instances::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(changed == 1)
}

/// How many live instances stand in this cell. One statement.
///
/// # Errors
/// The database's.
pub fn count(conn: &mut CellConnection) -> Result<i64, DatabaseError> {
    Ok(instances::table.filter(instances::deleted.eq(0)).count().get_result(conn.sql())?)
}

/// How many live instances stand on each host of this cell. One statement.
///
/// # Errors
/// The database's.
pub fn count_by_host(conn: &mut CellConnection) -> Result<Vec<(String, i64)>, DatabaseError> {
    let rows: Vec<(Option<String>, i64)> = instances::table
        .filter(instances::deleted.eq(0))
        .filter(instances::host.is_not_null())
        .group_by(instances::host)
        .select((instances::host, diesel::dsl::count_star()))
        .load(conn.sql())?;
    Ok(rows.into_iter().filter_map(|(host, count)| Some((host?, count))).collect())
}

/// How many live instances stand in this cell by project and vm_state, of one project or of all,
/// and of these uuids alone where some are named. One statement.
///
/// # Errors
/// The database's.
pub fn count_by_state(
    conn: &mut CellConnection,
    project: Option<&str>,
    uuids: Option<&[InstanceUuid]>,
) -> Result<Vec<(String, Option<VmState>, i64)>, DatabaseError> {
    let mut select = instances::table
        .filter(instances::deleted.eq(0))
        .group_by((instances::project_id, instances::vm_state))
        .select((instances::project_id, instances::vm_state, diesel::dsl::count_star()))
        .into_boxed::<crate::Dialect>();
    if let Some(project) = project {
        select = select.filter(instances::project_id.eq(project.to_owned()));
    }
    if let Some(uuids) = uuids {
        select = select.filter(instances::uuid.eq_any(texts(uuids)));
    }
    let rows: Vec<(Option<String>, Option<String>, i64)> = select.load(conn.sql())?;
    let counts = rows.into_iter().map(|(project, state, count)| {
        (project.unwrap_or_default(), state.map(VmState::from), count)
    });
    Ok(counts.collect())
}

/// Writes the state of a buried instance: ERROR, no task, no host. One statement.
///
/// # Errors
/// The database's.
pub fn mark_buried(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let live =
        instances::table.filter(instances::uuid.eq(uuid.text())).filter(instances::deleted.eq(0));
    diesel::update(live)
        .set((
            instances::vm_state.eq(VmState::Error.as_str()),
            instances::task_state.eq(None::<String>),
            instances::host.eq(None::<String>),
            instances::node.eq(None::<String>),
            instances::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// Corrects the host of a live instance: a repair. One statement.
///
/// # Errors
/// The database's.
pub fn correct_host(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    host: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let live =
        instances::table.filter(instances::uuid.eq(uuid.text())).filter(instances::deleted.eq(0));
    diesel::update(live)
        .set((instances::host.eq(host), instances::updated_at.eq(now)))
        .execute(conn.sql())?;
    Ok(())
}
