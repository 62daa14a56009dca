//! The boot request: what a user asks for, checked before anything is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::text::{self, InvalidField, TEXT_LENGTH_MAX};

/// The most instances of one request. A larger burst is sent as several requests.
pub const COUNT_MAX: u32 = 1_000;
/// The most tags of one instance, as in Nova.
pub const TAGS_MAX: usize = 50;
/// The longest tag, in characters: what `tags.tag` holds.
pub const TAG_LENGTH_MAX: usize = 80;
/// The most metadata items of one instance, Nova's default quota.
pub const METADATA_ITEMS_MAX: usize = 128;
/// The longest user data, in characters of base64, as in Nova.
pub const USER_DATA_LENGTH_MAX: usize = 65_535;

/// Where the instance is to be plugged in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Networks {
    /// Whatever the compute side makes for the project.
    #[default]
    Auto,
    /// Nowhere.
    None,
    /// These, in this order.
    Requested(Vec<RequestedNetwork>),
}

/// One network or port that was asked for by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedNetwork {
    /// The network.
    pub network_id: Option<Uuid>,
    /// An existing port.
    pub port_id: Option<Uuid>,
    /// A fixed address in the network.
    pub fixed_ip: Option<String>,
    /// The device tag that the guest sees.
    pub tag: Option<String>,
}

/// A block device of the request, with the names of Nova's `block_device_mapping_v2`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDevice {
    /// `image`, `volume`, `snapshot` or `blank`.
    pub source_type: String,
    /// `local` or `volume`.
    pub destination_type: String,
    /// The image, volume or snapshot; none for `blank`.
    pub source_id: Option<Uuid>,
    /// 0 for the boot device, positive for later ones, none or negative for the rest.
    pub boot_index: Option<i32>,
    /// Whether it goes with the instance.
    pub delete_on_termination: bool,
    /// The size, in GiB.
    pub volume_size: Option<i32>,
    /// Such as `/dev/vda`.
    pub device_name: Option<String>,
    /// Such as `disk` or `cdrom`.
    pub device_type: Option<String>,
    /// Such as `virtio`.
    pub disk_bus: Option<String>,
    /// Such as `swap` or `ext4`.
    pub guest_format: Option<String>,
    /// The type of a volume that is to be made.
    pub volume_type: Option<String>,
    /// The device tag that the guest sees.
    pub tag: Option<String>,
    /// The attachment that the volume service holds for it.
    pub attachment_id: Option<Uuid>,
}

impl BlockDevice {
    /// Whether the instance boots from this volume.
    pub fn is_boot_volume(&self) -> bool {
        self.boot_index == Some(0) && self.destination_type == "volume"
    }
}

/// A request to boot one or more instances that differ in name and uuid only.
///
/// Made by [`BootRequest::builder`], which checks it; what could not be stored by every backend
/// is refused there.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BootRequest {
    /// The name; with more than one instance each gets `-1`, `-2`, … behind it.
    pub name: String,
    /// The id of the flavor, as clients know it.
    pub flavor: String,
    /// The image; none when it boots from a volume.
    pub image: Option<Uuid>,
    /// What is known of the image, for `system_metadata`; `image_` is put before each key.
    pub image_properties: BTreeMap<String, String>,
    /// The fewest instances that are worth building.
    pub min_count: u32,
    /// How many instances are wanted.
    pub max_count: u32,
    /// A sentence for people; the name when none is given.
    pub description: Option<String>,
    /// The host name inside the guest; made from the name when none is given.
    pub hostname: Option<String>,
    /// Only hosts of this availability zone.
    pub availability_zone: Option<String>,
    /// Only this host; for admins.
    pub force_host: Option<String>,
    /// A key pair of the user, by name.
    pub key_name: Option<String>,
    /// What the user wants to be kept with the instance.
    pub metadata: BTreeMap<String, String>,
    /// Labels to search by.
    pub tags: Vec<String>,
    /// The block devices, in order.
    pub block_devices: Vec<BlockDevice>,
    /// The security groups by name; `default` when none is given.
    pub security_groups: Vec<String>,
    /// Where it is to be plugged in.
    pub networks: Networks,
    /// Base64 text for the guest.
    pub user_data: Option<String>,
    /// Whether a configuration drive is made.
    pub config_drive: bool,
    /// Whether the disk is partitioned by the compute side (`AUTO`).
    pub auto_disk_config: bool,
    /// The address that clients are told to use.
    pub access_ip_v4: Option<Ipv4Addr>,
    /// The address that clients are told to use.
    pub access_ip_v6: Option<Ipv6Addr>,
    /// A server group whose policy holds for these instances.
    pub server_group: Option<Uuid>,
    /// The scheduler hints as they came, beside `group`.
    pub scheduler_hints: BTreeMap<String, Vec<String>>,
    /// Whether it is retried by itself, once it may fit, after it was buried; where the request does
    /// not say, its project's setting holds, or the plane's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_retry: Option<bool>,
    /// Makes a repeated request answer with the instances of the first.
    #[serde(skip)]
    pub client_token: Option<String>,
    /// Passed to the compute side once and never stored.
    #[serde(skip)]
    pub admin_password: Option<String>,
}

impl fmt::Debug for BootRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password and the user data, which often holds secrets, stay out of logs.
        f.debug_struct("BootRequest")
            .field("name", &self.name)
            .field("flavor", &self.flavor)
            .field("image", &self.image)
            .field("min_count", &self.min_count)
            .field("max_count", &self.max_count)
            .finish_non_exhaustive()
    }
}

impl BootRequest {
    /// Starts a request for one instance. `flavor` is the id that clients use, `image` the uuid of
    /// an image as text; an empty one means that it boots from a block device.
    ///
    /// ```
    /// use cellzero_types::BootRequest;
    /// let request = BootRequest::builder("web", "1", "70a599e0-31e7-49b7-b260-868f441e862b")
    ///     .count(3)
    ///     .tag("prod")
    ///     .build()?;
    /// assert_eq!(request.max_count, 3);
    /// # Ok::<(), cellzero_types::InvalidField>(())
    /// ```
    pub fn builder(
        name: impl Into<String>,
        flavor: impl Into<String>,
        image: impl Into<String>,
    ) -> BootRequestBuilder {
        BootRequestBuilder {
            image: image.into(),
            request: BootRequest {
                name: name.into(),
                flavor: flavor.into(),
                image: None,
                image_properties: BTreeMap::new(),
                min_count: 1,
                max_count: 1,
                description: None,
                hostname: None,
                availability_zone: None,
                force_host: None,
                key_name: None,
                metadata: BTreeMap::new(),
                tags: Vec::new(),
                block_devices: Vec::new(),
                security_groups: Vec::new(),
                networks: Networks::Auto,
                user_data: None,
                config_drive: false,
                auto_disk_config: true,
                access_ip_v4: None,
                access_ip_v6: None,
                server_group: None,
                scheduler_hints: BTreeMap::new(),
                auto_retry: None,
                client_token: None,
                admin_password: None,
            },
        }
    }

    /// The name of instance `index` (from 0) when `count` of them are made, as in Nova.
    pub fn instance_name(&self, index: u32, count: u32) -> String {
        if count == 1 { self.name.clone() } else { format!("{}-{}", self.name, index + 1) }
    }

    /// Checks every field by the strictest backend.
    ///
    /// # Errors
    /// [`InvalidField`]: which field, its value, and what would be right.
    pub fn check(&self) -> Result<(), InvalidField> {
        text::check_name("name", &self.name)?;
        let longest = self.instance_name(self.max_count.saturating_sub(1), self.max_count);
        text::check("name", &longest, TEXT_LENGTH_MAX)?;
        text::check_name("flavor", &self.flavor)?;
        self.check_counts()?;
        let optional = [
            ("description", &self.description),
            ("availability_zone", &self.availability_zone),
            ("force_host", &self.force_host),
            ("key_name", &self.key_name),
            ("client_token", &self.client_token),
            ("hostname", &self.hostname),
        ];
        for (field, value) in optional {
            if let Some(value) = value {
                text::check(field, value, TEXT_LENGTH_MAX)?;
            }
        }
        self.check_labels()?;
        self.check_block_devices()?;
        for name in &self.security_groups {
            text::check_name("security_groups", name)?;
        }
        match &self.user_data {
            Some(data) => text::check("user_data", data, USER_DATA_LENGTH_MAX),
            None => Ok(()),
        }
    }

    fn check_counts(&self) -> Result<(), InvalidField> {
        if self.min_count == 0 {
            return Err(InvalidField::new("min_count", 0, "at least 1"));
        }
        if self.max_count == 0 {
            return Err(InvalidField::new("max_count", 0, "at least 1"));
        }
        if self.max_count < self.min_count {
            let expected = format!("at least min_count, which is {}", self.min_count);
            return Err(InvalidField::new("max_count", self.max_count, expected));
        }
        if self.max_count > COUNT_MAX {
            return Err(InvalidField::new(
                "max_count",
                self.max_count,
                format!("at most {COUNT_MAX} in one request"),
            ));
        }
        Ok(())
    }

    fn check_labels(&self) -> Result<(), InvalidField> {
        if self.metadata.len() > METADATA_ITEMS_MAX {
            let expected = format!("at most {METADATA_ITEMS_MAX} items");
            return Err(InvalidField::new("metadata", self.metadata.len(), expected));
        }
        // `image_` is put before the keys of image properties.
        let image_key_max = TEXT_LENGTH_MAX - "image_".len();
        let metadata = self.metadata.iter().map(|item| (item, TEXT_LENGTH_MAX));
        let properties = self.image_properties.iter().map(|item| (item, image_key_max));
        for ((key, value), key_max) in metadata.chain(properties) {
            if key.is_empty() {
                return Err(InvalidField::new("metadata key", key, "at least 1 character"));
            }
            text::check("metadata key", key, key_max)?;
            text::check("metadata value", value, TEXT_LENGTH_MAX)?;
        }
        if self.tags.len() > TAGS_MAX {
            let expected = format!("at most {TAGS_MAX} tags");
            return Err(InvalidField::new("tags", self.tags.len(), expected));
        }
        let mut seen = BTreeSet::new();
        for tag in &self.tags {
            if tag.is_empty() || tag.contains(['/', ',']) {
                return Err(InvalidField::new("tags", tag, "1 to 80 characters without / and ,"));
            }
            text::check("tags", tag, TAG_LENGTH_MAX)?;
            if !seen.insert(tag) {
                return Err(InvalidField::new("tags", tag, "each tag once"));
            }
        }
        Ok(())
    }

    fn check_block_devices(&self) -> Result<(), InvalidField> {
        for device in &self.block_devices {
            let field = "block_device_mapping_v2";
            if !["image", "volume", "snapshot", "blank"].contains(&device.source_type.as_str()) {
                let expected = "source_type image, volume, snapshot or blank";
                return Err(InvalidField::new(field, &device.source_type, expected));
            }
            if !["local", "volume"].contains(&device.destination_type.as_str()) {
                let expected = "destination_type local or volume";
                return Err(InvalidField::new(field, &device.destination_type, expected));
            }
            if device.source_type != "blank" && device.source_id.is_none() {
                return Err(InvalidField::new(field, "", "the uuid of its source"));
            }
            if let Some(size) = device.volume_size.filter(|size| *size < 1) {
                return Err(InvalidField::new(field, size, "a volume_size of at least 1 GB"));
            }
            let names = [
                &device.device_name,
                &device.device_type,
                &device.disk_bus,
                &device.guest_format,
                &device.volume_type,
                &device.tag,
            ];
            for name in names.into_iter().flatten() {
                text::check(field, name, TEXT_LENGTH_MAX)?;
            }
        }
        if self.image.is_none() && !self.block_devices.iter().any(|d| d.boot_index == Some(0)) {
            return Err(InvalidField::new(
                "imageRef",
                "",
                "the uuid of an image, or a block device with boot_index 0",
            ));
        }
        Ok(())
    }
}

/// Builds a [`BootRequest`]; [`build`](Self::build) checks it.
#[derive(Debug, Clone)]
pub struct BootRequestBuilder {
    request: BootRequest,
    image: String,
}

impl BootRequestBuilder {
    /// So many instances, all of them or none being worth building.
    pub fn count(mut self, count: u32) -> Self {
        self.request.min_count = count;
        self.request.max_count = count;
        self
    }

    /// Between `min` and `max` instances: fewer than `min` are not worth building.
    pub fn counts(mut self, min: u32, max: u32) -> Self {
        self.request.min_count = min;
        self.request.max_count = max;
        self
    }

    /// One more tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.request.tags.push(tag.into());
        self
    }

    /// One more metadata item.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.metadata.insert(key.into(), value.into());
        self
    }

    /// One more block device.
    pub fn block_device(mut self, device: BlockDevice) -> Self {
        self.request.block_devices.push(device);
        self
    }

    /// One more security group, by name.
    pub fn security_group(mut self, name: impl Into<String>) -> Self {
        self.request.security_groups.push(name.into());
        self
    }

    /// Only hosts of this availability zone.
    pub fn availability_zone(mut self, zone: impl Into<String>) -> Self {
        self.request.availability_zone = Some(zone.into());
        self
    }

    /// Only this host; for admins.
    pub fn force_host(mut self, host: impl Into<String>) -> Self {
        self.request.force_host = Some(host.into());
        self
    }

    /// A key pair of the user.
    pub fn key_name(mut self, name: impl Into<String>) -> Self {
        self.request.key_name = Some(name.into());
        self
    }

    /// A server group whose policy holds.
    pub fn server_group(mut self, group: Uuid) -> Self {
        self.request.server_group = Some(group);
        self
    }

    /// Whether what is buried of it is retried by itself, once it may fit.
    pub fn auto_retry(mut self, auto_retry: bool) -> Self {
        self.request.auto_retry = Some(auto_retry);
        self
    }

    /// Makes a repeated request answer with the instances of the first.
    pub fn client_token(mut self, token: impl Into<String>) -> Self {
        self.request.client_token = Some(token.into());
        self
    }

    /// Where it is to be plugged in.
    pub fn networks(mut self, networks: Networks) -> Self {
        self.request.networks = networks;
        self
    }

    /// Any other field.
    pub fn with(mut self, change: impl FnOnce(&mut BootRequest)) -> Self {
        change(&mut self.request);
        self
    }

    /// The request, checked.
    ///
    /// # Errors
    /// [`InvalidField`]: which field, its value, and what would be right.
    pub fn build(mut self) -> Result<BootRequest, InvalidField> {
        if !self.image.is_empty() {
            let image = Uuid::try_parse(&self.image)
                .map_err(|_| InvalidField::new("imageRef", &self.image, "the uuid of an image"))?;
            self.request.image = Some(image);
        }
        if self.request.security_groups.is_empty() {
            self.request.security_groups.push("default".to_owned());
        }
        self.request.check()?;
        Ok(self.request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

    fn builder() -> BootRequestBuilder {
        BootRequest::builder("web", "1", IMAGE)
    }

    #[rstest]
    #[case::empty_name(BootRequest::builder("", "1", IMAGE), "name")]
    #[case::name_too_long_with_its_number(BootRequest::builder("n".repeat(255), "1", IMAGE).count(2), "name")]
    #[case::bad_image(BootRequest::builder("web", "1", "not-a-uuid"), "imageRef")]
    #[case::nothing_to_boot_from(BootRequest::builder("web", "1", ""), "imageRef")]
    #[case::count_zero(builder().count(0), "min_count")]
    #[case::max_below_min(builder().counts(3, 2), "max_count")]
    #[case::too_many(builder().count(1001), "max_count")]
    #[case::tag_twice(builder().tag("a").tag("a"), "tags")]
    #[case::tag_too_long(builder().tag("a".repeat(81)), "tags")]
    #[case::tag_with_comma(builder().tag("a,b"), "tags")]
    #[case::metadata_too_long(builder().metadata("a", "b".repeat(256)), "metadata value")]
    #[case::metadata_with_nul(builder().metadata("a", "\0"), "metadata value")]
    #[case::metadata_without_key(builder().metadata("", "b"), "metadata key")]
    #[case::device_of_unknown_source(
        builder().block_device(BlockDevice { source_type: "tape".into(), ..BlockDevice::default() }),
        "block_device_mapping_v2"
    )]
    fn a_bad_request_is_refused_with_its_field(
        #[case] builder: BootRequestBuilder,
        #[case] field: &str,
    ) {
        assert_eq!(builder.build().unwrap_err().field, field);
    }

    #[test]
    fn one_instance_keeps_the_name_and_several_get_numbers() {
        let request = builder().count(1).build().unwrap();
        assert_eq!(request.instance_name(0, 1), "web");
        assert_eq!(request.instance_name(1, 3), "web-2");
    }

    #[test]
    fn the_password_is_not_in_the_debug_text() {
        let request = builder().with(|r| r.admin_password = Some("s3cret".into())).build().unwrap();
        assert!(!format!("{request:?}").contains("s3cret"));
    }
}
