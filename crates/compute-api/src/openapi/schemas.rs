//! What answers look like: the union over all microversions.

use serde_json::{Map, Value, json};

use crate::schema::object;
use crate::views::server;

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn list(key: &str, of: Value, links: &str) -> Value {
    let mut properties = Map::new();
    properties.insert(key.to_owned(), json!({"type": "array", "items": of}));
    properties.insert(links.to_owned(), reference("Links"));
    object(&[key], Value::Object(properties))
}

fn one(key: &str, of: Value) -> Value {
    let mut properties = Map::new();
    properties.insert(key.to_owned(), of);
    object(&[key], Value::Object(properties))
}

fn text() -> Value {
    json!({"type": "string"})
}

fn nullable() -> Value {
    json!({"type": ["string", "null"]})
}

fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

fn time() -> Value {
    json!({"type": "string", "pattern": "^[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"})
}

fn plain_time() -> Value {
    let pattern = "^[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}$";
    json!({"type": ["string", "null"], "pattern": pattern})
}

/// Every schema by its name.
pub(crate) fn all() -> Value {
    let mut schemas = general();
    schemas.extend(servers());
    schemas.extend(flavors());
    schemas.extend(projects());
    schemas.extend(hosts());
    Value::Object(schemas)
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn general() -> Map<String, Value> {
    let fault = object(
        &["code", "message"],
        json!({"code": {"type": "integer"}, "message": text(), "retryAfter": text()}),
    );
    let link = object(&["rel", "href"], json!({"rel": text(), "href": text()}));
    let version = json!({
        "type": "object",
        "required": ["id", "status", "version", "min_version", "links"],
        "properties": {"version": text(), "min_version": text(), "links": reference("Links")},
    });
    map(json!({
        "Fault": {
            "type": "object", "minProperties": 1, "maxProperties": 1,
            "additionalProperties": fault,
        },
        "Links": {"type": "array", "items": link},
        "Versions": one("versions", json!({"type": "array", "items": version})),
        "Version": one("version", version),
    }))
}

fn servers() -> Map<String, Value> {
    // Each key that a server may have; those with a type say so.
    let mut keys: Map<String, Value> =
        server::keys().map(|name| (name.to_owned(), json!({}))).collect();
    keys.extend(map(json!({
        "id": uuid(),
        "name": nullable(),
        "status": text(),
        "tenant_id": text(),
        "user_id": text(),
        "metadata": {"type": "object", "additionalProperties": text()},
        "hostId": text(),
        "created": time(),
        "updated": time(),
        "addresses": {"type": "object"},
        "links": reference("Links"),
        "OS-DCF:diskConfig": {"enum": ["AUTO", "MANUAL"]},
        "OS-SRV-USG:launched_at": plain_time(),
        "OS-SRV-USG:terminated_at": plain_time(),
        "OS-EXT-STS:power_state": {"type": "integer"},
        "fault": object(&["code", "created", "message"], json!({
            "code": {"type": "integer"}, "created": time(), "message": text(), "details": text(),
        })),
        "locked": {"type": "boolean"},
        "description": nullable(),
        "tags": {"type": "array", "items": text()},
        "server_groups": {"type": "array", "items": uuid()},
        "adminPass": text(),
        "user_data": nullable(),
    })));
    let whole = object(&["id", "status", "tenant_id", "created", "links"], Value::Object(keys));
    let brief = object(
        &["id", "links"],
        json!({"id": uuid(), "name": nullable(), "status": text(), "links": reference("Links")}),
    );
    let created = json!({"anyOf": [
        one("server", object(&["id", "links"], json!({
            "id": uuid(), "links": reference("Links"), "OS-DCF:diskConfig": text(),
            "adminPass": text(), "security_groups": {"type": "array"},
        }))),
        one("reservation_id", text()),
    ]});
    let action = object(
        &["action", "instance_uuid", "request_id"],
        json!({
            "action": text(), "instance_uuid": uuid(), "request_id": nullable(), "user_id": nullable(),
            "project_id": nullable(), "start_time": plain_time(), "message": nullable(),
            "updated_at": plain_time(), "events": {"type": "array", "items": {"type": "object"}},
        }),
    );
    map(json!({
        "ServerView": whole,
        "Server": one("server", reference("ServerView")),
        "ServerChanged": one("server", reference("ServerView")),
        "Servers": list("servers", brief, "servers_links"),
        "ServersDetail": list("servers", reference("ServerView"), "servers_links"),
        "ServerCreated": created,
        "Metadata": one("metadata", json!({"type": "object", "additionalProperties": text()})),
        "MetadataItem": one("meta", json!({"type": "object", "additionalProperties": text()})),
        "Tags": one("tags", json!({"type": "array", "items": text()})),
        "NetworkAddresses": {"type": "object", "additionalProperties": {"type": "array"}},
        "Addresses": one("addresses", json!({"type": "object"})),
        "InstanceActions": list("instanceActions", action.clone(), "links"),
        "InstanceAction": one("instanceAction", action),
    }))
}

fn flavors() -> Map<String, Value> {
    let brief = json!({"id": text(), "name": text(), "links": reference("Links"), "description": nullable()});
    let mut whole = map(brief.clone());
    whole.extend(map(json!({
        "ram": {"type": "integer"}, "disk": {"type": "integer"}, "vcpus": {"type": "integer"},
        "swap": {"type": ["integer", "string"]}, "rxtx_factor": {"type": "number"},
        "OS-FLV-EXT-DATA:ephemeral": {"type": "integer"},
        "OS-FLV-DISABLED:disabled": {"type": "boolean"},
        "os-flavor-access:is_public": {"type": "boolean"},
        "extra_specs": {"type": "object", "additionalProperties": text()},
    })));
    let whole = object(&["id", "name", "links", "ram", "disk", "vcpus"], Value::Object(whole));
    map(json!({
        "Flavor": one("flavor", whole.clone()),
        "Flavors": list("flavors", object(&["id", "name", "links"], brief), "flavors_links"),
        "FlavorsDetail": list("flavors", whole, "flavors_links"),
        "ExtraSpecs": one("extra_specs", json!({"type": "object", "additionalProperties": text()})),
        "ExtraSpec": {"type": "object", "additionalProperties": text()},
        "FlavorAccess": one("flavor_access", json!({"type": "array", "items": {"type": "object"}})),
    }))
}

fn projects() -> Map<String, Value> {
    let key = object(
        &["name", "public_key", "fingerprint"],
        json!({
            "name": text(), "public_key": text(), "fingerprint": text(), "type": text(),
            "user_id": text(), "private_key": text(), "id": {"type": "integer"},
            "created_at": plain_time(), "updated_at": {"type": "null"}, "deleted_at": {"type": "null"},
            "deleted": {"type": "boolean"},
        }),
    );
    let group = object(
        &["id", "name", "members"],
        json!({
            "id": uuid(), "name": text(), "members": {"type": "array", "items": uuid()},
            "policies": {"type": "array"}, "metadata": {"type": "object"}, "policy": text(),
            "rules": {"type": "object"}, "project_id": nullable(), "user_id": nullable(),
        }),
    );
    let set = json!({"type": "object", "additionalProperties": {"type": ["integer", "string"]}});
    let used = json!({"type": "object", "required": ["id"]});
    let usage = json!({"type": "object", "properties": {
        "total_hours": {"type": "number"}, "start": plain_time(), "stop": plain_time(),
    }});
    map(json!({
        "Limits": one("limits", json!({
            "type": "object", "required": ["rate", "absolute"],
            "properties": {"absolute": {
                "type": "object", "additionalProperties": {"type": "integer"},
            }},
        })),
        "QuotaSet": one("quota_set", set.clone()),
        "QuotaSetChanged": one("quota_set", set),
        "QuotaSetDetail": one("quota_set", used),
        "KeyPairs": list("keypairs", one("keypair", key.clone()), "keypairs_links"),
        "KeyPair": one("keypair", key.clone()),
        "KeyPairCreated": one("keypair", key),
        "ServerGroups": list("server_groups", group.clone(), "server_groups_links"),
        "ServerGroup": one("server_group", group),
        "Usages": list("tenant_usages", usage.clone(), "tenant_usages_links"),
        "Usage": one("tenant_usage", usage),
    }))
}

fn hosts() -> Map<String, Value> {
    let id = json!({"type": ["string", "integer"]});
    let service = json!({"type": "object", "required": ["id", "binary", "host"], "properties": {
        "id": id, "binary": text(), "host": text(), "status": {"enum": ["enabled", "disabled"]},
        "state": {"enum": ["up", "down"]}, "updated_at": plain_time(),
    }});
    let hypervisor = json!({
        "type": "object", "required": ["id", "hypervisor_hostname", "state", "status"],
        "properties": {"id": id, "hypervisor_hostname": text()},
    });
    let zone = object(
        &["zoneName", "zoneState", "hosts"],
        json!({
            "zoneName": text(), "zoneState": {"type": "object"}, "hosts": {"type": ["object", "null"]},
        }),
    );
    map(json!({
        "Zones": one("availabilityZoneInfo", json!({"type": "array", "items": zone})),
        "Services": one("services", json!({"type": "array", "items": service.clone()})),
        "Service": one("service", service),
        "Hypervisors": list("hypervisors", hypervisor.clone(), "hypervisors_links"),
        "Hypervisor": one("hypervisor", hypervisor),
        "HypervisorStatistics": one("hypervisor_statistics", json!({
            "type": "object", "additionalProperties": {"type": "integer"},
        })),
    }))
}
