//! `PUT /servers/{server_id}` and rebuild: a server's own fields.

use cellzero::{InstanceChange, InvalidField, Rebuild};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::handlers::create::password;
use crate::handlers::servers::view;
use crate::schema::{metadata, name, object, refuse_key, wrapped};
use crate::views::server::Place;

/// The fields that both may change.
fn fields() -> Value {
    json!({
        "name": name(),
        "OS-DCF:diskConfig": {"type": "string", "enum": ["AUTO", "MANUAL"]},
        "accessIPv4": {"type": "string"},
        "accessIPv6": {"type": "string"},
        "description": {"type": ["string", "null"], "maxLength": 255},
        "hostname": {"type": "string", "minLength": 1, "maxLength": 255},
    })
}

pub(crate) fn update_schema() -> Value {
    wrapped("server", object(&[], fields()))
}

pub(crate) fn update_example() -> Value {
    json!({"server": {"name": "web-2"}})
}

pub(crate) fn rebuild_schema() -> Value {
    let mut properties = fields();
    properties["imageRef"] = json!({"type": "string"});
    properties["adminPass"] = json!({"type": "string"});
    properties["metadata"] = metadata();
    properties["preserve_ephemeral"] = crate::schema::boolean();
    properties["key_name"] = json!({"type": ["string", "null"], "maxLength": 255});
    properties["user_data"] = json!({"type": ["string", "null"], "maxLength": 65_535});
    properties["personality"] = json!({"type": "array"});
    properties["trusted_image_certificates"] = json!({"type": ["array", "null"]});
    wrapped("rebuild", object(&["imageRef"], properties))
}

pub(crate) fn rebuild_example() -> Value {
    json!({"rebuild": {"imageRef": "70a599e0-31e7-49b7-b260-868f441e862b"}})
}

/// The change that an object of a body asks for.
fn change(call: &Call, fields: &Value) -> Result<InstanceChange, Fault> {
    if !call.since(19) {
        refuse_key(fields, "description")?;
    }
    if !call.since(90) {
        refuse_key(fields, "hostname")?;
    }
    let text = |key: &str| fields[key].as_str().map(str::to_owned);
    let display_name = text("name");
    if let Some(name) = &display_name
        && name.trim() != name
    {
        return Err(InvalidField::new("name", name, "without blanks at its ends").into());
    }
    let description = fields.get("description").map(|value| value.as_str().map(str::to_owned));
    Ok(InstanceChange {
        display_name,
        description,
        hostname: text("hostname"),
        access_ip_v4: address(fields, "accessIPv4", "an IPv4 address")?,
        access_ip_v6: address(fields, "accessIPv6", "an IPv6 address")?,
        auto_disk_config: text("OS-DCF:diskConfig").map(|config| config == "AUTO"),
    })
}

/// An address; empty text takes it away.
fn address<A: std::str::FromStr>(
    fields: &Value,
    key: &str,
    expected: &str,
) -> Result<Option<Option<A>>, Fault> {
    match fields[key].as_str() {
        None => Ok(None),
        Some("") => Ok(Some(None)),
        Some(text) => match text.parse() {
            Ok(address) => Ok(Some(Some(address))),
            Err(_) => Err(InvalidField::new(key, text, expected).into()),
        },
    }
}

/// `PUT /servers/{server_id}`.
pub(crate) async fn update(call: Call) -> Answered {
    let change = change(&call, call.object("server"))?;
    let instance = call.plane.update(&call.ctx, call.server()?, change).await?;
    Ok(Reply::ok(json!({"server": view(&call, &instance, Place::Changed).await?})))
}

/// The action `rebuild`.
pub(crate) async fn rebuild(call: Call) -> Answered {
    let fields = call.object("rebuild");
    for (first, key) in [(54, "key_name"), (57, "user_data"), (63, "trusted_image_certificates")] {
        if !call.since(first) {
            refuse_key(fields, key)?;
        }
    }
    if fields["personality"].as_array().is_some_and(|files| !files.is_empty()) {
        let expected = "empty: files for the guest are not supported";
        return Err(InvalidField::new("personality", "…", expected).into());
    }
    if fields.get("trusted_image_certificates").is_some_and(|value| !value.is_null()) {
        let expected = "null: validating the image's certificates is not supported";
        return Err(InvalidField::new("trusted_image_certificates", "…", expected).into());
    }
    let image = fields["imageRef"].as_str().unwrap_or_default();
    let image = image.rsplit('/').next().unwrap_or(image);
    let image = Uuid::try_parse(image)
        .map_err(|_| InvalidField::new("imageRef", image, "the uuid of an image"))?;
    let mut rebuild = Rebuild::new(image);
    rebuild.change = change(&call, fields)?;
    if let Some(items) = fields.get("metadata") {
        rebuild.metadata = Some(items_of(items));
    }
    let nullable = |key: &str| fields.get(key).map(|value| value.as_str().map(str::to_owned));
    rebuild.key_name = nullable("key_name");
    rebuild.user_data = nullable("user_data");
    rebuild.preserve_ephemeral = match &fields["preserve_ephemeral"] {
        Value::Bool(value) => *value,
        Value::String(text) => crate::query::flag(text).unwrap_or(false),
        _ => false,
    };
    let user_data = rebuild.user_data.clone();
    let instance = call.plane.rebuild(&call.ctx, call.server()?, rebuild).await?;
    let mut server = view(&call, &instance, Place::Changed).await?;
    let own = fields["adminPass"].as_str().map(str::to_owned);
    server["adminPass"] = json!(own.unwrap_or_else(password));
    if call.since(54) {
        server["key_name"] = json!(instance.key_name);
    }
    if call.since(57) {
        server["user_data"] = json!(user_data.unwrap_or(instance.user_data.clone()));
    }
    let reply = Reply::ok(json!({"server": server})).status(axum::http::StatusCode::ACCEPTED);
    let location = call.url(&format!("/servers/{}", instance.uuid));
    Ok(reply.header(axum::http::header::LOCATION, location))
}

/// Text under text, which the schema has made sure of.
pub(crate) fn items_of(object: &Value) -> std::collections::BTreeMap<String, String> {
    let items = object.as_object().into_iter().flatten();
    items.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
