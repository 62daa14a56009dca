//! The block devices of the body: `block_device_mapping_v2`, and `block_device_mapping` as it was
//! before it.

use serde_json::Value;
use uuid::Uuid;

use super::Microversion;
use super::object::{ALWAYS, Key, Object};
use crate::boot_request::BlockDevice;
use crate::text::InvalidField;

const LEGACY: &str = "block_device_mapping";
const V2: &str = "block_device_mapping_v2";

/// The root device that Nova assumes for legacy mappings: the volume of this name boots.
const LEGACY_ROOT_DEVICE: &str = "vda";

// Nova's schemas also have `connection_info`, which only the volume service can know, and in the
// second form `virtual_name`, which Nova itself refuses later on. Both are left out here.
const LEGACY_KEYS: &[Key] = &[
    ("virtual_name", ALWAYS),
    ("volume_id", ALWAYS),
    ("snapshot_id", ALWAYS),
    ("volume_size", ALWAYS),
    ("device_name", ALWAYS),
    ("delete_on_termination", ALWAYS),
    ("no_device", ALWAYS),
];

const V2_KEYS: &[Key] = &[
    ("source_type", ALWAYS),
    ("destination_type", ALWAYS),
    ("uuid", ALWAYS),
    ("image_id", ALWAYS),
    ("volume_id", ALWAYS),
    ("snapshot_id", ALWAYS),
    ("volume_size", ALWAYS),
    ("device_name", ALWAYS),
    ("delete_on_termination", ALWAYS),
    ("no_device", ALWAYS),
    ("guest_format", ALWAYS),
    ("device_type", ALWAYS),
    ("disk_bus", ALWAYS),
    ("boot_index", ALWAYS),
    // Meant for 2.32 and later, and by a slip in 2.32 only; 2.42 brought it back.
    ("tag", &[(32, 32), (42, u16::MAX)]),
    ("volume_type", &[(67, u16::MAX)]),
];

/// Reads the block devices in the form that was used; `image` is that of the server.
pub(super) fn read(
    server: &Object<'_>,
    microversion: Microversion,
    image: Option<Uuid>,
) -> Result<Vec<BlockDevice>, InvalidField> {
    let legacy = server.objects(LEGACY)?;
    let v2 = server.objects(V2)?;
    if !legacy.is_empty() && !v2.is_empty() {
        return Err(server.refuse(LEGACY, format!("left out when {V2} is given")));
    }
    for device in &legacy {
        device.check_keys(LEGACY_KEYS, microversion)?;
    }
    for device in &v2 {
        device.check_keys(V2_KEYS, microversion)?;
    }
    if !legacy.is_empty() {
        let mut devices = legacy.iter().map(read_legacy).collect::<Result<Vec<_>, _>>()?;
        choose_legacy_root(&mut devices, image);
        return Ok(devices);
    }
    let devices = v2.iter().map(read_v2).collect::<Result<Vec<_>, _>>()?;
    check_boot_order(server, &devices)?;
    Ok(devices)
}

fn read_v2(device: &Object<'_>) -> Result<BlockDevice, InvalidField> {
    refuse_no_device(device)?;
    let source_type = one_of(device, "source_type", &["image", "volume", "snapshot", "blank"])?
        .ok_or_else(|| device.refuse("source_type", "image, volume, snapshot or blank"))?;
    let destination_type = match one_of(device, "destination_type", &["local", "volume"])? {
        Some(destination_type) => destination_type,
        // The destination that the source implies.
        None if source_type == "image" || source_type == "blank" => "local",
        None => "volume",
    };
    let source_id = source_id(device, source_type)?;
    let boot_index = boot_index(device)?;
    let volume_size = volume_size(device)?;
    if source_type == "image" && destination_type == "local" && boot_index != Some(0) {
        return Err(device.refuse("boot_index", "0 for an image on a local disk"));
    }
    if ["image", "blank"].contains(&source_type)
        && destination_type == "volume"
        && volume_size.is_none()
    {
        return Err(device.refuse("volume_size", "the size of the volume that is to be made"));
    }
    Ok(BlockDevice {
        source_type: source_type.to_owned(),
        destination_type: destination_type.to_owned(),
        source_id,
        boot_index,
        delete_on_termination: device.boolean("delete_on_termination")?.unwrap_or(false),
        volume_size,
        device_name: device_name(device)?,
        device_type: device.short_text("device_type")?,
        disk_bus: device.short_text("disk_bus")?,
        guest_format: device.short_text("guest_format")?,
        volume_type: device.short_text_or_null("volume_type")?,
        tag: device.tag("tag")?,
        // Made by the volume service when the server is built.
        attachment_id: None,
    })
}

/// The uuid of the source, which may also be named by kind, as in `volume_id`.
fn source_id(device: &Object<'_>, source_type: &str) -> Result<Option<Uuid>, InvalidField> {
    let mut source = device.uuid("uuid")?;
    for (kind, key) in [("image", "image_id"), ("volume", "volume_id"), ("snapshot", "snapshot_id")]
    {
        let Some(id) = device.uuid(key)? else { continue };
        if kind != source_type {
            let expected = format!("left out, because source_type is {source_type}");
            return Err(device.refuse(key, expected));
        }
        if source.is_some_and(|source| source != id) {
            return Err(device.refuse(key, "the same as uuid, or left out"));
        }
        source = Some(id);
    }
    match source {
        Some(_) if source_type == "blank" => {
            Err(device.refuse("uuid", "left out, because a blank device has no source"))
        }
        None if source_type != "blank" => {
            Err(device.refuse("uuid", format!("the uuid of the {source_type}")))
        }
        source => Ok(source),
    }
}

fn read_legacy(device: &Object<'_>) -> Result<BlockDevice, InvalidField> {
    refuse_no_device(device)?;
    let volume = device.uuid("volume_id")?;
    let snapshot = device.uuid("snapshot_id")?;
    let common = BlockDevice {
        boot_index: Some(-1),
        delete_on_termination: device.boolean("delete_on_termination")?.unwrap_or(false),
        volume_size: volume_size(device)?,
        device_name: device_name(device)?,
        ..BlockDevice::default()
    };
    let virtual_name = device.short_text("virtual_name")?.unwrap_or_default();
    let ephemeral_number = virtual_name.strip_prefix("ephemeral").map(str::parse::<u16>);
    if virtual_name == "swap" || matches!(ephemeral_number, Some(Ok(_))) {
        return Ok(BlockDevice {
            source_type: "blank".to_owned(),
            destination_type: "local".to_owned(),
            guest_format: Some(virtual_name).filter(|name| name == "swap"),
            // A swap or scratch disk lives as long as its server, whatever the client says.
            delete_on_termination: true,
            ..common
        });
    }
    let (source_type, source_id) = match (volume, snapshot) {
        (Some(_), Some(_)) => {
            return Err(device.refuse("volume_id", "left out when snapshot_id is given"));
        }
        (Some(volume), None) => ("volume", volume),
        (None, Some(snapshot)) => ("snapshot", snapshot),
        (None, None) => {
            let expected = "the uuid of a volume, unless snapshot_id or virtual_name is given";
            return Err(device.refuse("volume_id", expected));
        }
    };
    Ok(BlockDevice {
        source_type: source_type.to_owned(),
        destination_type: "volume".to_owned(),
        source_id: Some(source_id),
        ..common
    })
}

/// Legacy mappings do not say which device boots: the one that is named like the root device, or
/// without an image the first that has something on it.
fn choose_legacy_root(devices: &mut [BlockDevice], image: Option<Uuid>) {
    let has_source = |device: &BlockDevice| device.source_id.is_some();
    let is_root = |device: &BlockDevice| {
        let name = device.device_name.as_deref().unwrap_or_default();
        has_source(device) && name.strip_prefix("/dev/").unwrap_or(name) == LEGACY_ROOT_DEVICE
    };
    let root = devices.iter().position(is_root);
    let root = root.or_else(|| devices.iter().position(has_source).filter(|_| image.is_none()));
    if let Some(root) = root {
        devices[root].boot_index = Some(0);
    }
}

/// Checks that the devices to boot from are numbered 0, 1, 2, … in any order.
fn check_boot_order(server: &Object<'_>, devices: &[BlockDevice]) -> Result<(), InvalidField> {
    let mut indexes: Vec<i32> =
        devices.iter().filter_map(|device| device.boot_index).filter(|index| *index >= 0).collect();
    indexes.sort_unstable();
    if indexes.iter().zip(0..).any(|(index, expected)| *index != expected) {
        return Err(server.refuse(V2, "with boot_index 0, 1, 2, …, each once"));
    }
    Ok(())
}

/// Refuses an entry that takes a device of the image away: nothing here could keep that wish.
fn refuse_no_device(device: &Object<'_>) -> Result<(), InvalidField> {
    match device.get("no_device") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(()),
        Some(Value::String(text)) if text.is_empty() => Ok(()),
        Some(_) => {
            Err(device.refuse("no_device", "left out: devices of the image cannot be taken away"))
        }
    }
}

fn one_of<'a>(
    device: &Object<'a>,
    key: &str,
    words: &[&str],
) -> Result<Option<&'a str>, InvalidField> {
    match device.text(key)? {
        Some(word) if !words.contains(&word) => {
            Err(device.refuse(key, format!("one of {}", words.join(", "))))
        }
        word => Ok(word),
    }
}

fn boot_index(device: &Object<'_>) -> Result<Option<i32>, InvalidField> {
    if device.is_null("boot_index") {
        return Ok(None);
    }
    let Some(index) = device.whole_number("boot_index")? else { return Ok(None) };
    i32::try_from(index).map(Some).map_err(|_| device.refuse("boot_index", "a 32-bit number"))
}

fn volume_size(device: &Object<'_>) -> Result<Option<i32>, InvalidField> {
    let Some(size) = device.whole_number("volume_size")? else { return Ok(None) };
    match i32::try_from(size) {
        Ok(size) if size >= 1 => Ok(Some(size)),
        _ => Err(device.refuse("volume_size", format!("1 to {} GB", i32::MAX))),
    }
}

fn device_name(device: &Object<'_>) -> Result<Option<String>, InvalidField> {
    Ok(device.word("device_name", "._/-")?.map(str::to_owned))
}
