//! Nova's create-server body: from `POST /servers` to a checked [`BootRequest`].
//!
//! The rules are those of Nova's schemas and of its checks before anything is looked up: kinds,
//! lengths, which key each microversion has, and what cannot go together. A key that Nova would
//! refuse is refused. A key that Nova takes and nothing here could honour is refused too, because
//! dropping it would build something else than was asked for.
//!
//! What a plane must know to decide is not decided here: whether the flavor, the key pair or the
//! server group exists, and whether the user may force a host. Images, networks and security
//! groups belong to other services and are passed on by id or name.

mod block_devices;
mod hints;
mod networks;
mod object;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use uuid::Uuid;

use crate::boot_request::{BootRequest, USER_DATA_LENGTH_MAX};
use crate::text::InvalidField;
use object::{ALWAYS, Key, Object, check_tag, shown};

/// The longest host name that is one label, in characters, by RFC 1123.
const HOSTNAME_LABEL_LENGTH_MAX: usize = 63;
/// The shortest host name that is one label, in characters, as in Nova's schema.
const HOSTNAME_LABEL_LENGTH_MIN: usize = 2;

/// The first microversion that wants to be told the networks, be it `auto` or `none`.
const NETWORKS_REQUIRED: Microversion = Microversion { major: 2, minor: 37 };
/// The first microversion that takes a domain name as a host name.
const HOSTNAME_MAY_BE_FQDN: Microversion = Microversion { major: 2, minor: 94 };

/// The keys beside `server`.
const TOP_KEYS: &[Key] =
    &[("server", ALWAYS), ("os:scheduler_hints", ALWAYS), ("OS-SCH-HNT:scheduler_hints", ALWAYS)];

/// The keys of `server`.
const SERVER_KEYS: &[Key] = &[
    ("name", ALWAYS),
    ("imageRef", ALWAYS),
    ("flavorRef", ALWAYS),
    ("adminPass", ALWAYS),
    ("metadata", ALWAYS),
    ("networks", ALWAYS),
    ("OS-DCF:diskConfig", ALWAYS),
    ("accessIPv4", ALWAYS),
    ("accessIPv6", ALWAYS),
    ("personality", &[(0, 56)]),
    ("availability_zone", ALWAYS),
    ("block_device_mapping", ALWAYS),
    ("block_device_mapping_v2", ALWAYS),
    ("config_drive", ALWAYS),
    ("key_name", ALWAYS),
    ("min_count", ALWAYS),
    ("max_count", ALWAYS),
    ("return_reservation_id", ALWAYS),
    ("security_groups", ALWAYS),
    ("user_data", ALWAYS),
    ("description", &[(19, u16::MAX)]),
    ("tags", &[(52, u16::MAX)]),
    ("trusted_image_certificates", &[(63, u16::MAX)]),
    ("host", &[(74, u16::MAX)]),
    ("hypervisor_hostname", &[(74, u16::MAX)]),
    ("hostname", &[(90, u16::MAX)]),
];

/// A version of the compute API, such as 2.96. The API knows 2.1 to 2.100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Microversion {
    /// 2 for every version that is served.
    pub major: u16,
    /// Counts the changes of the API.
    pub minor: u16,
}

impl Microversion {
    /// The first, which a request without a version gets.
    pub const MIN: Microversion = Microversion { major: 2, minor: 1 };
    /// The last whose create body is known here.
    pub const MAX: Microversion = Microversion { major: 2, minor: 100 };

    /// The minor version that the tables of keys are read with.
    fn schema_minor(self) -> u16 {
        // The tables speak of major version 2; all that is newer has what its last one has.
        if self.major > Self::MAX.major { Self::MAX.minor } else { self.minor }
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Microversion {
    type Err = InvalidField;

    /// Reads the form only. A version that is well formed and not served is the caller's to
    /// refuse, because clients are told so by another status.
    fn from_str(text: &str) -> Result<Microversion, InvalidField> {
        let refusal = || InvalidField::new("microversion", text, "a version such as 2.96");
        let (major, minor) = text.split_once('.').ok_or_else(refusal)?;
        let number = |part: &str| {
            // Without these two checks `+2.1` and `2.01` would pass.
            let is_plain = part.bytes().all(|byte| byte.is_ascii_digit());
            let is_padded = part.len() > 1 && part.starts_with('0');
            part.parse().ok().filter(|_| is_plain && !is_padded)
        };
        let major = number(major).filter(|major| *major > 0).ok_or_else(refusal)?;
        Ok(Microversion { major, minor: number(minor).ok_or_else(refusal)? })
    }
}

/// What a create-server body asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateBody {
    /// The request, checked.
    pub request: BootRequest,
    /// Whether the client wants the reservation's id in place of the server.
    pub return_reservation_id: bool,
}

/// Reads the body of `POST /servers` by the rules of `microversion`.
///
/// ```
/// use cellzero_types::{Microversion, create_body};
/// let body = serde_json::json!({"server": {
///     "name": "web", "flavorRef": "1", "networks": "none", "max_count": "3",
///     "imageRef": "70a599e0-31e7-49b7-b260-868f441e862b",
/// }});
/// let microversion: Microversion = "2.96".parse()?;
/// assert_eq!(create_body::parse(&body, microversion)?.request.max_count, 3);
/// # Ok::<(), cellzero_types::InvalidField>(())
/// ```
///
/// # Errors
/// [`InvalidField`] with the client's key as its field, such as `networks[0].uuid`.
pub fn parse(body: &Value, microversion: Microversion) -> Result<CreateBody, InvalidField> {
    let top = Object::new("body", "", body)?;
    top.check_keys(TOP_KEYS, microversion)?;
    let server = top.get("server").ok_or_else(|| top.refuse("server", "the server to create"))?;
    let server = Object::new("server", "", server)?;
    server.check_keys(SERVER_KEYS, microversion)?;
    refuse_unsupported(&server)?;

    let name = server.name("name")?.ok_or_else(|| server.refuse("name", "the server's name"))?;
    let (min_count, max_count) = counts(&server)?;
    let hints = hints::read(&top)?;
    let placement = placement(&server)?;
    let image = image(&server)?;
    // Written out in full, so that a new field of the request is decided on here.
    let request = BootRequest {
        name: name.to_owned(),
        flavor: flavor(&server)?,
        image,
        // Only the image service knows them.
        image_properties: BTreeMap::new(),
        min_count,
        max_count,
        description: description(&server)?,
        hostname: hostname(&server, microversion, max_count)?,
        availability_zone: placement.zone,
        force_host: placement.host,
        key_name: server.name("key_name")?.map(str::to_owned),
        metadata: metadata(&server)?,
        tags: tags(&server)?,
        block_devices: block_devices::read(&server, microversion, image)?,
        security_groups: security_groups(&server)?,
        networks: networks::read(&server, microversion, max_count)?,
        user_data: user_data(&server)?,
        config_drive: server.boolean("config_drive")?.unwrap_or(false),
        auto_disk_config: auto_disk_config(&server)?,
        access_ip_v4: access_address(&server, "accessIPv4", "an IPv4 address")?,
        access_ip_v6: access_address(&server, "accessIPv6", "an IPv6 address")?,
        server_group: hints.group,
        scheduler_hints: hints.others,
        // No key of the body; the caller may set it from a header.
        auto_retry: None,
        client_token: None,
        admin_password: server.text("adminPass")?.map(str::to_owned),
    };
    let return_reservation_id = server.boolean("return_reservation_id")?.unwrap_or(false);
    request.check().map_err(with_client_key)?;
    Ok(CreateBody { request, return_reservation_id })
}

/// Gives a refusal of [`BootRequest::check`] the key that the client sent.
fn with_client_key(error: InvalidField) -> InvalidField {
    let field = match error.field.as_str() {
        "flavor" => "flavorRef",
        "metadata key" | "metadata value" => "metadata",
        _ => return error,
    };
    InvalidField { field: field.to_owned(), ..error }
}

/// Refuses what Nova takes and a boot request cannot carry: without it the server would start, and
/// not be the one that was asked for.
fn refuse_unsupported(server: &Object<'_>) -> Result<(), InvalidField> {
    if !server.list("personality")?.is_empty() {
        return Err(server.refuse("personality", "empty: files for the guest are not supported"));
    }
    let certificates = "trusted_image_certificates";
    if server.get(certificates).is_some() && !server.is_null(certificates) {
        let expected = "null: validating the image's certificates is not supported";
        return Err(server.refuse(certificates, expected));
    }
    Ok(())
}

fn counts(server: &Object<'_>) -> Result<(u32, u32), InvalidField> {
    let min_count = server.count("min_count")?.unwrap_or(1);
    Ok((min_count, server.count("max_count")?.unwrap_or(min_count)))
}

fn flavor(server: &Object<'_>) -> Result<String, InvalidField> {
    match server.get("flavorRef") {
        Some(Value::String(reference)) => Ok(id_of_reference(reference).to_owned()),
        Some(Value::Number(id)) if !id.is_f64() => Ok(id.to_string()),
        _ => Err(server.refuse("flavorRef", "the id of a flavor, a string or a whole number")),
    }
}

/// None for an absent or empty reference: whether a block device is there to boot from in its
/// place is checked with the whole request.
fn image(server: &Object<'_>) -> Result<Option<Uuid>, InvalidField> {
    match server.text("imageRef")? {
        None | Some("") => Ok(None),
        Some(reference) => Uuid::try_parse(id_of_reference(reference))
            .map(Some)
            .map_err(|_| server.refuse("imageRef", "the uuid of an image")),
    }
}

/// The id in a reference: old clients send the URL of the flavor or image.
fn id_of_reference(reference: &str) -> &str {
    let path = reference.split(['?', '#']).next().unwrap_or(reference);
    path.rsplit('/').next().unwrap_or(path)
}

/// Where the server may be built.
struct Placement {
    zone: Option<String>,
    host: Option<String>,
}

/// Reads the two ways to force a host: behind the zone, and from 2.74 by keys of their own.
///
/// A host of this plane has one node, so a node beside its host adds nothing; alone it stands for
/// the host of that name.
fn placement(server: &Object<'_>) -> Result<Placement, InvalidField> {
    let zone = server.name("availability_zone")?.unwrap_or_default();
    let parts: Vec<&str> = zone.split(':').collect();
    let (zone, host, node) = match parts[..] {
        [zone] => (zone, "", ""),
        [zone, host] => (zone, host, ""),
        [zone, host, node] => (zone, host, node),
        _ => {
            let expected = "ZONE, ZONE:HOST or ZONE:HOST:NODE";
            return Err(server.refuse("availability_zone", expected));
        }
    };
    let zone_host = [host, node].into_iter().find(|name| !name.is_empty());
    let mut asked_host = None;
    // The host comes last because it outweighs the node.
    for key in ["hypervisor_hostname", "host"] {
        let Some(name) = server.word(key, "-._")? else { continue };
        if zone_host.is_some() {
            let expected = "left out, because availability_zone names a host already";
            return Err(server.refuse(key, expected));
        }
        asked_host = Some(name);
    }
    Ok(Placement {
        zone: Some(zone).filter(|zone| !zone.is_empty()).map(str::to_owned),
        host: zone_host.or(asked_host).map(str::to_owned),
    })
}

fn description(server: &Object<'_>) -> Result<Option<String>, InvalidField> {
    let description = server.short_text_or_null("description")?;
    if description.as_ref().is_some_and(|text| text.chars().any(char::is_control)) {
        return Err(server.refuse("description", "printable characters only"));
    }
    Ok(description)
}

fn hostname(
    server: &Object<'_>,
    microversion: Microversion,
    max_count: u32,
) -> Result<Option<String>, InvalidField> {
    let is_fqdn_taken = microversion >= HOSTNAME_MAY_BE_FQDN;
    let marks = if is_fqdn_taken { "-._" } else { "-" };
    let Some(hostname) = server.word("hostname", marks)? else { return Ok(None) };
    let lengths = HOSTNAME_LABEL_LENGTH_MIN..=HOSTNAME_LABEL_LENGTH_MAX;
    let is_label =
        lengths.contains(&hostname.len()) && !hostname.starts_with('-') && !hostname.ends_with('-');
    if !is_fqdn_taken && !is_label {
        let expected = "2 to 63 letters, digits and -, with no - at its ends";
        return Err(server.refuse("hostname", expected));
    }
    if max_count > 1 {
        // Names get a number behind them, host names do not: all would answer to the same one.
        return Err(server.refuse("hostname", "left out when several servers are created"));
    }
    Ok(Some(hostname.to_owned()))
}

fn metadata(server: &Object<'_>) -> Result<BTreeMap<String, String>, InvalidField> {
    let Some(value) = server.get("metadata") else { return Ok(BTreeMap::new()) };
    let items = Object::new("metadata", "", value)?;
    let mut metadata = BTreeMap::new();
    for (key, value) in items.entries() {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_:. ".contains(c);
        if !key.chars().all(known) {
            let expected = "keys of the characters a-z, A-Z, 0-9, -, _, :, . and blank";
            return Err(InvalidField::new("metadata", key, expected));
        }
        let Value::String(text) = value else {
            let expected = format!("a string under the key {key:?}");
            return Err(InvalidField::new("metadata", shown(value), expected));
        };
        metadata.insert(key.clone(), text.clone());
    }
    Ok(metadata)
}

fn tags(server: &Object<'_>) -> Result<Vec<String>, InvalidField> {
    let mut tags = Vec::new();
    for (place, value) in server.list("tags")? {
        let Value::String(tag) = value else {
            return Err(InvalidField::new(place, shown(value), "a string"));
        };
        check_tag(&place, tag)?;
        tags.push(tag.clone());
    }
    Ok(tags)
}

fn security_groups(server: &Object<'_>) -> Result<Vec<String>, InvalidField> {
    let mut groups: Vec<String> = Vec::new();
    for group in server.objects("security_groups")? {
        group.check_keys(&[("name", ALWAYS)], Microversion::MAX)?;
        // Nova passes over an item without a name, and takes a group that is named twice once.
        let Some(name) = group.name("name")? else { continue };
        if !groups.iter().any(|known| known == name) {
            groups.push(name.to_owned());
        }
    }
    if groups.is_empty() {
        groups.push("default".to_owned());
    }
    Ok(groups)
}

fn user_data(server: &Object<'_>) -> Result<Option<String>, InvalidField> {
    let Some(data) = server.text("user_data")? else { return Ok(None) };
    if data.chars().count() > USER_DATA_LENGTH_MAX {
        let expected = format!("at most {USER_DATA_LENGTH_MAX} characters");
        return Err(server.refuse("user_data", expected));
    }
    if !is_base64(data) {
        return Err(server.refuse("user_data", "base64"));
    }
    Ok(Some(data.to_owned()))
}

/// Whether text is base64 with its padding. Line breaks are passed over: encoders put them in.
fn is_base64(text: &str) -> bool {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let padding = digits.iter().rev().take_while(|byte| **byte == b'=').count();
    let data = &digits[..digits.len() - padding];
    digits.len().is_multiple_of(4)
        && padding <= 2
        && data.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte))
}

fn auto_disk_config(server: &Object<'_>) -> Result<bool, InvalidField> {
    match server.text("OS-DCF:diskConfig")? {
        None | Some("AUTO") => Ok(true),
        Some("MANUAL") => Ok(false),
        Some(_) => Err(server.refuse("OS-DCF:diskConfig", "AUTO or MANUAL")),
    }
}

/// `null` and empty text mean that there is none: clients clear the field so.
fn access_address<Address: FromStr>(
    server: &Object<'_>,
    key: &str,
    expected: &str,
) -> Result<Option<Address>, InvalidField> {
    if server.is_null(key) {
        return Ok(None);
    }
    match server.text(key)? {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| server.refuse(key, expected)),
    }
}
