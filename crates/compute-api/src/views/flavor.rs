//! A flavor, by itself and inside a server.

use std::collections::BTreeMap;

use cellzero::Flavor;
use serde::Serialize;
use serde_json::{Value, json};

use crate::call::{Call, Link};

/// The flavor in lists without details.
pub(crate) fn brief(call: &Call, flavor: &Flavor) -> Value {
    let mut view = json!({
        "id": flavor.flavorid,
        "name": flavor.name,
        "links": call.links(&format!("/flavors/{}", flavor.flavorid)),
    });
    if call.since(55) {
        view["description"] = json!(flavor.description);
    }
    view
}

/// The flavor whole.
pub(crate) fn whole(call: &Call, flavor: &Flavor) -> Value {
    let mut view = brief(call, flavor);
    view["ram"] = json!(flavor.memory_mb);
    view["disk"] = json!(flavor.root_gb);
    view["vcpus"] = json!(flavor.vcpus);
    view["swap"] = swap(call, flavor);
    view["rxtx_factor"] = json!(flavor.rxtx_factor.unwrap_or(1.0));
    view["OS-FLV-EXT-DATA:ephemeral"] = json!(flavor.ephemeral_gb);
    view["OS-FLV-DISABLED:disabled"] = json!(flavor.disabled);
    view["os-flavor-access:is_public"] = json!(flavor.is_public);
    if call.since(61) {
        view["extra_specs"] = json!(flavor.extra_specs);
    }
    view
}

/// Before 2.75 no swap was an empty text.
fn swap(call: &Call, flavor: &Flavor) -> Value {
    if flavor.swap == 0 && !call.since(75) { json!("") } else { json!(flavor.swap) }
}

/// The flavor inside a server: from 2.47 its sizes, before that its id.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Embedded<'a> {
    Named {
        id: &'a str,
        links: [Link; 1],
    },
    Sized {
        original_name: &'a str,
        vcpus: i32,
        ram: i32,
        disk: i32,
        ephemeral: i32,
        swap: i32,
        extra_specs: &'a BTreeMap<String, String>,
    },
}

/// What a server shows of its flavor; Nova kept none of some instances that are long deleted.
pub(crate) fn embedded<'a>(call: &Call, flavor: Option<&'a Flavor>) -> Embedded<'a> {
    let text = |of: fn(&Flavor) -> &String| flavor.map_or("", |flavor| of(flavor).as_str());
    let size = |of: fn(&Flavor) -> i32| flavor.map_or(0, of);
    if !call.since(47) {
        let id = text(|flavor| &flavor.flavorid);
        return Embedded::Named { id, links: call.bookmark(&format!("/flavors/{id}")) };
    }
    Embedded::Sized {
        original_name: text(|flavor| &flavor.name),
        vcpus: size(|flavor| flavor.vcpus),
        ram: size(|flavor| flavor.memory_mb),
        disk: size(|flavor| flavor.root_gb),
        ephemeral: size(|flavor| flavor.ephemeral_gb),
        swap: size(|flavor| flavor.swap),
        extra_specs: flavor.map_or(&NONE, |flavor| &flavor.extra_specs),
    }
}

static NONE: BTreeMap<String, String> = BTreeMap::new();
