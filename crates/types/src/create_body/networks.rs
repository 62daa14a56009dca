//! The networks of the body.

use super::object::{ALWAYS, Key, Object};
use super::{Microversion, NETWORKS_REQUIRED};
use crate::boot_request::{Networks, RequestedNetwork};
use crate::text::InvalidField;

const NETWORK_KEYS: &[Key] = &[
    ("uuid", ALWAYS),
    ("port", ALWAYS),
    ("fixed_ip", ALWAYS),
    // The schema of 2.37 was written without the tag; 2.42 brought it back.
    ("tag", &[(32, 36), (42, u16::MAX)]),
];

/// Reads `networks` for `max_count` servers.
pub(super) fn read(
    server: &Object<'_>,
    microversion: Microversion,
    max_count: u32,
) -> Result<Networks, InvalidField> {
    let is_required = microversion >= NETWORKS_REQUIRED;
    if is_required {
        let expected = "auto, none or a list of networks";
        match server.get("networks").map(|value| value.as_str()) {
            Some(Some("auto")) => return Ok(Networks::Auto),
            Some(Some("none")) => return Ok(Networks::None),
            Some(Some(_)) | None => return Err(server.refuse("networks", expected)),
            Some(None) => {}
        }
    }
    let networks = server.objects("networks")?;
    // The network service takes an empty list as none given, so it means what absence means.
    if networks.is_empty() {
        return Ok(Networks::Auto);
    }
    let mut requested: Vec<RequestedNetwork> = Vec::with_capacity(networks.len());
    for network in networks {
        network.check_keys(NETWORK_KEYS, microversion)?;
        let one = read_one(&network, max_count)?;
        if one.port_id.is_some() && requested.iter().any(|other| other.port_id == one.port_id) {
            return Err(network.refuse("port", "each port once"));
        }
        requested.push(one);
    }
    Ok(Networks::Requested(requested))
}

fn read_one(network: &Object<'_>, max_count: u32) -> Result<RequestedNetwork, InvalidField> {
    let uuid = network.uuid("uuid")?;
    let port_id = network.uuid_or_null("port")?;
    let fixed_ip = network.address("fixed_ip")?;
    if uuid.is_none() && port_id.is_none() {
        return Err(network.refuse("uuid", "the uuid of a network, unless a port is given"));
    }
    if port_id.is_some() && fixed_ip.is_some() {
        return Err(network.refuse("fixed_ip", "left out, because a port has its own address"));
    }
    if max_count > 1 {
        // One port or address cannot be that of several servers.
        let alone = "left out when several servers are created";
        if port_id.is_some() {
            return Err(network.refuse("port", alone));
        }
        if fixed_ip.is_some() {
            return Err(network.refuse("fixed_ip", alone));
        }
    }
    Ok(RequestedNetwork {
        // A port knows its network, which the client's word must not contradict.
        network_id: if port_id.is_some() { None } else { uuid },
        port_id,
        fixed_ip: fixed_ip.map(|address| address.to_string()),
        tag: network.tag("tag")?,
    })
}
