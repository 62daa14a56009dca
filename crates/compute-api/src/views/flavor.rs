//! A flavor, by itself and inside a server.

use cellzero::Flavor;
use serde_json::{Value, json};

use crate::call::Call;

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
pub(crate) fn embedded(call: &Call, flavor: &Flavor) -> Value {
    if !call.since(47) {
        let links = call.bookmark(&format!("/flavors/{}", flavor.flavorid));
        return json!({"id": flavor.flavorid, "links": links});
    }
    json!({
        "original_name": flavor.name,
        "vcpus": flavor.vcpus,
        "ram": flavor.memory_mb,
        "disk": flavor.root_gb,
        "ephemeral": flavor.ephemeral_gb,
        "swap": flavor.swap,
        "extra_specs": flavor.extra_specs,
    })
}
