//! Block devices of an instance. They are kept for buried ones too, so that a delete can free
//! the volumes and their attachments.

use std::collections::HashMap;

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::{BlockDevice, InstanceUuid};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::block_device_mapping;
use crate::{CellConnection, texts};

#[derive(Insertable)]
#[diesel(table_name = block_device_mapping, treat_none_as_default_value = false)]
pub(crate) struct NewBlockDevice<'a> {
    created_at: NaiveDateTime,
    device_name: Option<&'a str>,
    delete_on_termination: bool,
    snapshot_id: Option<String>,
    volume_id: Option<String>,
    volume_size: Option<i32>,
    no_device: bool,
    instance_uuid: &'a str,
    deleted: i32,
    source_type: &'a str,
    destination_type: &'a str,
    guest_format: Option<&'a str>,
    device_type: Option<&'a str>,
    disk_bus: Option<&'a str>,
    boot_index: Option<i32>,
    image_id: Option<String>,
    tag: Option<&'a str>,
    attachment_id: Option<String>,
    uuid: String,
    volume_type: Option<&'a str>,
    encrypted: bool,
}

impl<'a> NewBlockDevice<'a> {
    pub(crate) fn new(
        device: &'a BlockDevice,
        instance_uuid: &'a str,
        now: NaiveDateTime,
    ) -> NewBlockDevice<'a> {
        let source = |kind: &str| {
            device.source_id.filter(|_| device.source_type == kind).map(|id| id.to_string())
        };
        NewBlockDevice {
            created_at: now,
            device_name: device.device_name.as_deref(),
            delete_on_termination: device.delete_on_termination,
            snapshot_id: source("snapshot"),
            volume_id: source("volume"),
            volume_size: device.volume_size,
            no_device: false,
            instance_uuid,
            deleted: 0,
            source_type: &device.source_type,
            destination_type: &device.destination_type,
            guest_format: device.guest_format.as_deref(),
            device_type: device.device_type.as_deref(),
            disk_bus: device.disk_bus.as_deref(),
            boot_index: device.boot_index,
            image_id: source("image"),
            tag: device.tag.as_deref(),
            attachment_id: device.attachment_id.map(|id| id.to_string()),
            uuid: Uuid::new_v4().to_string(),
            volume_type: device.volume_type.as_deref(),
            encrypted: false,
        }
    }
}

pub(crate) fn insert(
    conn: &mut CellConnection,
    rows: &[NewBlockDevice<'_>],
) -> Result<(), DatabaseError> {
    insert_rows!(conn, block_device_mapping::table, rows);
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = block_device_mapping)]
struct BlockDeviceRow {
    device_name: Option<String>,
    delete_on_termination: Option<bool>,
    snapshot_id: Option<String>,
    volume_id: Option<String>,
    volume_size: Option<i32>,
    instance_uuid: Option<String>,
    source_type: Option<String>,
    destination_type: Option<String>,
    guest_format: Option<String>,
    device_type: Option<String>,
    disk_bus: Option<String>,
    boot_index: Option<i32>,
    image_id: Option<String>,
    tag: Option<String>,
    attachment_id: Option<String>,
    volume_type: Option<String>,
}

impl BlockDeviceRow {
    fn device(self) -> BlockDevice {
        // A source that is no uuid is left out: the row stays readable, and fsck names it.
        let uuid = |text: Option<String>| text.and_then(|text| Uuid::try_parse(&text).ok());
        let source_type = self.source_type.unwrap_or_default();
        let source_id = match source_type.as_str() {
            "image" => uuid(self.image_id),
            "snapshot" => uuid(self.snapshot_id),
            _ => uuid(self.volume_id),
        };
        BlockDevice {
            source_id,
            source_type,
            destination_type: self.destination_type.unwrap_or_default(),
            boot_index: self.boot_index,
            delete_on_termination: self.delete_on_termination.unwrap_or(false),
            volume_size: self.volume_size,
            device_name: self.device_name,
            device_type: self.device_type,
            disk_bus: self.disk_bus,
            guest_format: self.guest_format,
            volume_type: self.volume_type,
            tag: self.tag,
            attachment_id: uuid(self.attachment_id),
        }
    }
}

/// The block devices of these instances, in the order in which they were asked for. One
/// statement.
///
/// # Errors
/// The database's.
pub fn of_instances(
    conn: &mut CellConnection,
    uuids: &[InstanceUuid],
) -> Result<HashMap<String, Vec<BlockDevice>>, DatabaseError> {
    let rows: Vec<BlockDeviceRow> = block_device_mapping::table
        .filter(block_device_mapping::instance_uuid.eq_any(texts(uuids)))
        .filter(block_device_mapping::deleted.eq(0))
        .order(block_device_mapping::id)
        .select(BlockDeviceRow::as_select())
        .load(conn.sql())?;
    let mut by_instance: HashMap<String, Vec<BlockDevice>> = HashMap::new();
    for row in rows {
        let instance = row.instance_uuid.clone().unwrap_or_default();
        by_instance.entry(instance).or_default().push(row.device());
    }
    Ok(by_instance)
}
