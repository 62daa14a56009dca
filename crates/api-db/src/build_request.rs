//! The build request: an accepted instance that has no cell yet.
//!
//! Who deletes its row decides the race between a boot and a delete. The instance stands in it in
//! Nova's object envelope, so that Nova's own tools read it.

use std::collections::BTreeMap;

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::flavor::Flavor;
use cellzero_types::nova_object::{NovaList, NovaObject};
use cellzero_types::{BlockDevice, Home, Instance, InstanceUuid, PowerState, TaskState, VmState};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::schema::build_requests;
use crate::{ApiConnection, IN_LIST_MAX, texts};

#[derive(Insertable)]
#[diesel(table_name = build_requests, treat_none_as_default_value = false)]
struct NewRow<'a> {
    created_at: NaiveDateTime,
    project_id: &'a str,
    instance_uuid: String,
    instance: String,
    block_device_mappings: String,
    tags: String,
}

/// Keeps accepted instances. One statement for each hundred.
///
/// # Errors
/// The database's.
pub fn insert(
    conn: &mut ApiConnection,
    instances: &[Instance],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewRow<'_>> = instances
        .iter()
        .map(|instance| NewRow {
            created_at: now,
            project_id: &instance.project_id,
            instance_uuid: instance.uuid.text(),
            instance: wrap_instance(instance),
            block_device_mappings: wrap_block_devices(instance),
            tags: wrap_tags(instance),
        })
        .collect();
    insert_rows!(conn, build_requests::table, rows);
    Ok(())
}

/// Writes the instance of a build request anew, but for its block devices and tags; says whether there
/// is one. One statement.
///
/// # Errors
/// The database's.
pub fn replace(
    conn: &mut ApiConnection,
    instance: &Instance,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let row = build_requests::table.filter(build_requests::instance_uuid.eq(instance.uuid.text()));
    let replaced = diesel::update(row)
        .set((
            build_requests::instance.eq(wrap_instance(instance)),
            build_requests::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(replaced == 1)
}

/// Deletes these build requests; says how many there were. One statement for each five hundred.
///
/// # Errors
/// The database's.
pub fn delete(conn: &mut ApiConnection, uuids: &[InstanceUuid]) -> Result<usize, DatabaseError> {
    let mut deleted = 0;
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        deleted += diesel::delete(
            build_requests::table.filter(build_requests::instance_uuid.eq_any(chunk)),
        )
        .execute(conn.sql())?;
    }
    Ok(deleted)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = build_requests)]
struct Row {
    created_at: Option<NaiveDateTime>,
    updated_at: Option<NaiveDateTime>,
    instance_uuid: Option<String>,
    instance: Option<String>,
    block_device_mappings: Option<String>,
    tags: Option<String>,
}

/// The instance of a build request, where there is one. One statement.
///
/// # Errors
/// The database's, or damaged JSON.
pub fn find(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
) -> Result<Option<Instance>, DatabaseError> {
    Ok(of_instances(conn, &[uuid])?.pop())
}

/// The instances of these build requests, in no order; missing ones are left out. One statement
/// for each five hundred.
///
/// # Errors
/// The database's, or damaged JSON.
pub fn of_instances(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<Vec<Instance>, DatabaseError> {
    let mut instances = Vec::with_capacity(uuids.len());
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<Row> = build_requests::table
            .filter(build_requests::instance_uuid.eq_any(chunk))
            .select(Row::as_select())
            .load(conn.sql())?;
        for row in rows {
            instances.push(unwrap(row)?);
        }
    }
    Ok(instances)
}

/// Gives the instance of every build request to `take`, of one project or of all, by row id. One
/// statement for each five hundred.
///
/// # Errors
/// The database's, or damaged JSON.
pub fn scan(
    conn: &mut ApiConnection,
    project_id: Option<&str>,
    mut take: impl FnMut(Instance),
) -> Result<(), DatabaseError> {
    const PART: i64 = 500;
    let mut after = i32::MIN;
    loop {
        let query = build_requests::table
            .filter(build_requests::id.gt(after))
            .order(build_requests::id)
            .limit(PART)
            .select((build_requests::id, Row::as_select()));
        let rows: Vec<(i32, Row)> = match project_id {
            Some(project) => {
                query.filter(build_requests::project_id.eq(project)).load(conn.sql())?
            }
            None => query.load(conn.sql())?,
        };
        let is_last = (rows.len() as i64) < PART;
        for (id, row) in rows {
            after = id;
            take(unwrap(row)?);
        }
        if is_last {
            return Ok(());
        }
    }
}

/// How many build requests are older than `since`, and when the oldest was made. One statement.
///
/// # Errors
/// The database's.
pub fn older_than(
    conn: &mut ApiConnection,
    since: NaiveDateTime,
) -> Result<(i64, Option<NaiveDateTime>), DatabaseError> {
    use diesel::dsl::{count_star, min};
    let old = build_requests::table.filter(build_requests::created_at.lt(since));
    Ok(old.select((count_star(), min(build_requests::created_at))).get_result(conn.sql())?)
}

/// How many of these instances have a build request. One statement.
///
/// # Errors
/// The database's.
pub fn count(conn: &mut ApiConnection, uuids: &[InstanceUuid]) -> Result<i64, DatabaseError> {
    let count = build_requests::table
        .filter(build_requests::instance_uuid.eq_any(texts(uuids)))
        .count()
        .get_result(conn.sql())?;
    Ok(count)
}

/// Nova's `Instance` object as it stands in a build request.
#[derive(Serialize, Deserialize)]
struct InstanceData {
    uuid: String,
    project_id: String,
    user_id: String,
    display_name: Option<String>,
    display_description: Option<String>,
    hostname: Option<String>,
    vm_state: Option<VmState>,
    task_state: Option<TaskState>,
    power_state: Option<PowerState>,
    availability_zone: Option<String>,
    image_ref: Option<String>,
    key_name: Option<String>,
    key_data: Option<String>,
    reservation_id: Option<String>,
    launch_index: Option<i32>,
    user_data: Option<String>,
    config_drive: Option<String>,
    auto_disk_config: Option<bool>,
    root_device_name: Option<String>,
    access_ip_v4: Option<String>,
    access_ip_v6: Option<String>,
    locked: Option<bool>,
    instance_type_id: Option<i32>,
    memory_mb: Option<i32>,
    vcpus: Option<i32>,
    root_gb: Option<i32>,
    ephemeral_gb: Option<i32>,
    flavor: Option<NovaObject<Flavor>>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    system_metadata: BTreeMap<String, String>,
    security_groups: Option<NovaObject<NovaList<SecurityGroupData>>>,
    info_cache: Option<NovaObject<InfoCacheData>>,
    #[serde(default)]
    kernel_id: Option<String>,
    #[serde(default)]
    ramdisk_id: Option<String>,
    #[serde(default)]
    progress: Option<i32>,
    #[serde(default)]
    shutdown_terminate: Option<bool>,
}

#[derive(Serialize, Deserialize)]
struct SecurityGroupData {
    name: String,
}

#[derive(Serialize, Deserialize)]
struct InfoCacheData {
    instance_uuid: String,
    network_info: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct TagData {
    tag: String,
    resource_id: String,
}

#[derive(Serialize, Deserialize)]
struct BlockDeviceData {
    instance_uuid: String,
    source_type: String,
    destination_type: Option<String>,
    boot_index: Option<i32>,
    delete_on_termination: Option<bool>,
    volume_size: Option<i32>,
    device_name: Option<String>,
    device_type: Option<String>,
    disk_bus: Option<String>,
    guest_format: Option<String>,
    volume_type: Option<String>,
    tag: Option<String>,
    image_id: Option<Uuid>,
    volume_id: Option<Uuid>,
    snapshot_id: Option<Uuid>,
    attachment_id: Option<Uuid>,
    no_device: Option<bool>,
}

fn wrap_instance(instance: &Instance) -> String {
    let flavor = instance.flavor.as_ref();
    let groups = instance.security_groups.iter().cloned().map(|name| SecurityGroupData { name });
    let data = InstanceData {
        uuid: instance.uuid.text(),
        project_id: instance.project_id.clone(),
        user_id: instance.user_id.clone(),
        display_name: instance.display_name.clone(),
        display_description: instance.display_description.clone(),
        hostname: instance.hostname.clone(),
        vm_state: instance.vm_state.clone(),
        task_state: instance.task_state.clone(),
        power_state: instance.power_state,
        availability_zone: instance.availability_zone.clone(),
        image_ref: instance.image_ref.clone(),
        key_name: instance.key_name.clone(),
        key_data: instance.key_data.clone(),
        reservation_id: instance.reservation_id.clone(),
        launch_index: instance.launch_index,
        user_data: instance.user_data.clone(),
        config_drive: instance.config_drive.clone(),
        auto_disk_config: Some(instance.auto_disk_config),
        root_device_name: instance.root_device_name.clone(),
        access_ip_v4: instance.access_ip_v4.clone(),
        access_ip_v6: instance.access_ip_v6.clone(),
        locked: Some(instance.locked),
        instance_type_id: instance.instance_type_id,
        memory_mb: flavor.map(|flavor| flavor.memory_mb),
        vcpus: flavor.map(|flavor| flavor.vcpus),
        root_gb: flavor.map(|flavor| flavor.root_gb),
        ephemeral_gb: flavor.map(|flavor| flavor.ephemeral_gb),
        flavor: instance.flavor.clone().map(Flavor::wrap),
        metadata: instance.metadata.clone(),
        system_metadata: instance.system_metadata.clone(),
        security_groups: Some(NovaList::wrap(
            ("SecurityGroupList", "1.1"),
            ("SecurityGroup", "1.2"),
            groups,
        )),
        info_cache: Some(NovaObject::new(
            "InstanceInfoCache",
            "1.5",
            InfoCacheData {
                instance_uuid: instance.uuid.text(),
                network_info: Some(instance.network_info.to_string()),
            },
        )),
        kernel_id: instance.kernel_id.clone(),
        ramdisk_id: instance.ramdisk_id.clone(),
        progress: instance.progress,
        shutdown_terminate: Some(false),
    };
    serde_json::json!(NovaObject::new("Instance", "2.8", data)).to_string()
}

fn wrap_tags(instance: &Instance) -> String {
    let resource_id = instance.uuid.text();
    let tags = instance
        .tags
        .iter()
        .map(|tag| TagData { tag: tag.clone(), resource_id: resource_id.clone() });
    serde_json::json!(NovaList::wrap(("TagList", "1.1"), ("Tag", "1.1"), tags)).to_string()
}

fn wrap_block_devices(instance: &Instance) -> String {
    let devices = instance.block_devices.iter().map(|device| {
        let source = |kind: &str| device.source_id.filter(|_| device.source_type == kind);
        BlockDeviceData {
            instance_uuid: instance.uuid.text(),
            source_type: device.source_type.clone(),
            destination_type: Some(device.destination_type.clone()),
            boot_index: device.boot_index,
            delete_on_termination: Some(device.delete_on_termination),
            volume_size: device.volume_size,
            device_name: device.device_name.clone(),
            device_type: device.device_type.clone(),
            disk_bus: device.disk_bus.clone(),
            guest_format: device.guest_format.clone(),
            volume_type: device.volume_type.clone(),
            tag: device.tag.clone(),
            image_id: source("image"),
            volume_id: source("volume"),
            snapshot_id: source("snapshot"),
            attachment_id: device.attachment_id,
            no_device: Some(false),
        }
    });
    serde_json::json!(NovaList::wrap(
        ("BlockDeviceMappingList", "1.18"),
        ("BlockDeviceMapping", "1.21"),
        devices
    ))
    .to_string()
}

fn read<T: for<'de> Deserialize<'de>>(
    text: &str,
    what: &str,
    uuid: &str,
) -> Result<T, DatabaseError> {
    serde_json::from_str::<NovaObject<T>>(text)
        .map(|object| object.data)
        .map_err(|error| DatabaseError::damaged(format!("{what} of build request {uuid}: {error}")))
}

fn unwrap(row: Row) -> Result<Instance, DatabaseError> {
    let uuid = row.instance_uuid.clone().unwrap_or_default();
    let text = row.instance.as_deref().unwrap_or_default();
    let data: InstanceData = read(text, "instance", &uuid)?;
    let mut tags: Vec<String> = match row.tags.as_deref() {
        None => Vec::new(),
        Some(text) => {
            read::<NovaList<TagData>>(text, "tags", &uuid)?.members().map(|tag| tag.tag).collect()
        }
    };
    tags.sort();
    let block_devices = match row.block_device_mappings.as_deref() {
        None => Vec::new(),
        Some(text) => read::<NovaList<BlockDeviceData>>(text, "block devices", &uuid)?
            .members()
            .map(block_device)
            .collect(),
    };
    instance(data, tags, block_devices, (row.created_at, row.updated_at))
}

fn block_device(data: BlockDeviceData) -> BlockDevice {
    BlockDevice {
        source_id: data.image_id.or(data.volume_id).or(data.snapshot_id),
        source_type: data.source_type,
        destination_type: data.destination_type.unwrap_or_default(),
        boot_index: data.boot_index,
        delete_on_termination: data.delete_on_termination.unwrap_or(false),
        volume_size: data.volume_size,
        device_name: data.device_name,
        device_type: data.device_type,
        disk_bus: data.disk_bus,
        guest_format: data.guest_format,
        volume_type: data.volume_type,
        tag: data.tag,
        attachment_id: data.attachment_id,
    }
}

fn instance(
    data: InstanceData,
    tags: Vec<String>,
    block_devices: Vec<BlockDevice>,
    (created_at, updated_at): (Option<NaiveDateTime>, Option<NaiveDateTime>),
) -> Result<Instance, DatabaseError> {
    let uuid = crate::parse(&data.uuid)?;
    let network_info = data
        .info_cache
        .and_then(|cache| cache.data.network_info)
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_else(|| serde_json::Value::Array(Vec::new()));
    let mut security_groups: Vec<String> = data
        .security_groups
        .into_iter()
        .flat_map(|list| list.data.members())
        .map(|group| group.name)
        .collect();
    security_groups.sort();
    Ok(Instance {
        id: None,
        uuid,
        home: Home::BuildRequest,
        project_id: data.project_id,
        user_id: data.user_id,
        display_name: data.display_name,
        display_description: data.display_description,
        hostname: data.hostname,
        vm_state: data.vm_state,
        task_state: data.task_state,
        power_state: data.power_state,
        host: None,
        node: None,
        availability_zone: data.availability_zone,
        flavor: data.flavor.map(|flavor| flavor.data),
        instance_type_id: data.instance_type_id,
        image_ref: data.image_ref,
        kernel_id: data.kernel_id,
        ramdisk_id: data.ramdisk_id,
        progress: data.progress,
        key_name: data.key_name,
        key_data: data.key_data,
        reservation_id: data.reservation_id,
        launch_index: data.launch_index,
        user_data: data.user_data,
        config_drive: data.config_drive,
        auto_disk_config: data.auto_disk_config.unwrap_or(false),
        root_device_name: data.root_device_name,
        access_ip_v4: data.access_ip_v4,
        access_ip_v6: data.access_ip_v6,
        locked: data.locked.unwrap_or(false),
        locked_by: None,
        hidden: false,
        metadata: data.metadata,
        system_metadata: data.system_metadata,
        tags,
        block_devices,
        security_groups,
        network_info,
        fault: None,
        created_at,
        updated_at,
        launched_at: None,
        terminated_at: None,
        deleted: false,
        deleted_at: None,
        known_at: None,
    })
}
