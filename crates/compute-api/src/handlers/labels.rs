//! What users keep with a server: metadata and tags.

use axum::http::{StatusCode, header};
use cellzero::{InvalidField, MetadataChange, TagChange};
use serde_json::{Value, json};

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::handlers::change::items_of;
use crate::route::{Route, route};
use crate::schema::{metadata, wrapped};

fn metadata_schema() -> Value {
    wrapped("metadata", metadata())
}

fn metadata_example() -> Value {
    json!({"metadata": {"color": "blue"}})
}

fn item_schema() -> Value {
    let mut one = metadata();
    one["minProperties"] = json!(1);
    one["maxProperties"] = json!(1);
    wrapped("meta", one)
}

fn item_example() -> Value {
    json!({"meta": {"key": "blue"}})
}

fn tags_schema() -> Value {
    let tag = json!({"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"});
    wrapped("tags", json!({"type": "array", "items": tag, "maxItems": 50}))
}

fn tags_example() -> Value {
    json!({"tags": ["blue", "green"]})
}

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(GET "/servers/{server_id}/metadata" "server-metadata:index" READER
            items, "Lists a server's metadata.")
        .gives(200, "Metadata"),
        route!(POST "/servers/{server_id}/metadata" "server-metadata:create" MEMBER
            add_items, "Sets items of a server's metadata.")
        .body(metadata_schema, metadata_example)
        .gives(200, "Metadata"),
        route!(PUT "/servers/{server_id}/metadata" "server-metadata:update_all" MEMBER
            replace_items, "Replaces a server's metadata.")
        .body(metadata_schema, metadata_example)
        .gives(200, "Metadata"),
        route!(GET "/servers/{server_id}/metadata/{key}" "server-metadata:show" READER
            item, "Shows an item of a server's metadata.")
        .gives(200, "MetadataItem"),
        route!(PUT "/servers/{server_id}/metadata/{key}" "server-metadata:update" MEMBER
            set_item, "Sets an item of a server's metadata.")
        .body(item_schema, item_example)
        .gives(200, "MetadataItem"),
        route!(DELETE "/servers/{server_id}/metadata/{key}" "server-metadata:delete" MEMBER
            remove_item, "Removes an item of a server's metadata.")
        .ends(204),
        route!(GET "/servers/{server_id}/tags" "server-tags:index" READER
            tags, "Lists a server's tags.")
        .since(26)
        .gives(200, "Tags"),
        route!(PUT "/servers/{server_id}/tags" "server-tags:update_all" MEMBER
            replace_tags, "Replaces a server's tags.")
        .since(26)
        .body(tags_schema, tags_example)
        .gives(200, "Tags"),
        route!(DELETE "/servers/{server_id}/tags" "server-tags:delete_all" MEMBER
            remove_tags, "Removes a server's tags.")
        .since(26)
        .ends(204),
        route!(GET "/servers/{server_id}/tags/{tag}" "server-tags:show" READER
            tag, "Says whether a server has a tag.")
        .since(26)
        .ends(204),
        route!(PUT "/servers/{server_id}/tags/{tag}" "server-tags:update" MEMBER
            add_tag, "Adds a tag to a server.")
        .since(26)
        .ends(201)
        .ends(204),
        route!(DELETE "/servers/{server_id}/tags/{tag}" "server-tags:delete" MEMBER
            remove_tag, "Removes a tag of a server.")
        .since(26)
        .ends(204),
    ]
}

async fn items(call: Call) -> Answered {
    let instance = call.plane.show(&call.ctx, call.server()?).await?;
    Ok(Reply::ok(json!({"metadata": instance.metadata})))
}

async fn item(call: Call) -> Answered {
    let instance = call.plane.show(&call.ctx, call.server()?).await?;
    let key = call.param("key");
    match instance.metadata.get(key) {
        Some(value) => Ok(Reply::ok(json!({"meta": {key: value}}))),
        None => Err(Fault::not_found(format!("Metadata item {key} was not found"))),
    }
}

async fn add_items(call: Call) -> Answered {
    let change = MetadataChange::Update(items_of(call.object("metadata")));
    let all = call.plane.change_metadata(&call.ctx, call.server()?, change).await?;
    Ok(Reply::ok(json!({"metadata": all})))
}

async fn replace_items(call: Call) -> Answered {
    let change = MetadataChange::Replace(items_of(call.object("metadata")));
    let all = call.plane.change_metadata(&call.ctx, call.server()?, change).await?;
    Ok(Reply::ok(json!({"metadata": all})))
}

async fn set_item(call: Call) -> Answered {
    let (key, items) = (call.param("key").to_owned(), items_of(call.object("meta")));
    if !items.contains_key(&key) {
        return Err(Fault::bad_request("Request body and URI mismatch"));
    }
    let change = MetadataChange::Update(items.clone());
    call.plane.change_metadata(&call.ctx, call.server()?, change).await?;
    Ok(Reply::ok(json!({"meta": items})))
}

async fn remove_item(call: Call) -> Answered {
    let change = MetadataChange::Remove(call.param("key").to_owned());
    call.plane.change_metadata(&call.ctx, call.server()?, change).await?;
    Ok(Reply::no_content())
}

async fn tags(call: Call) -> Answered {
    let instance = call.plane.show(&call.ctx, call.server()?).await?;
    Ok(Reply::ok(json!({"tags": instance.tags})))
}

async fn tag(call: Call) -> Answered {
    let uuid = call.server()?;
    let instance = call.plane.show(&call.ctx, uuid).await?;
    let tag = call.param("tag");
    match instance.tags.iter().any(|known| known == tag) {
        true => Ok(Reply::no_content()),
        false => Err(Fault::not_found(format!("Server {uuid} has no tag '{tag}'"))),
    }
}

async fn replace_tags(call: Call) -> Answered {
    let tags = call.object("tags").as_array().into_iter().flatten();
    let mut tags: Vec<String> = tags.filter_map(|tag| Some(tag.as_str()?.to_owned())).collect();
    tags.sort();
    tags.dedup();
    let change = TagChange::Replace(tags);
    let changed = call.plane.change_tags(&call.ctx, call.server()?, change).await?;
    Ok(Reply::ok(json!({"tags": changed.tags})))
}

async fn remove_tags(call: Call) -> Answered {
    call.plane.change_tags(&call.ctx, call.server()?, TagChange::RemoveAll).await?;
    Ok(Reply::no_content())
}

async fn add_tag(call: Call) -> Answered {
    let (uuid, tag) = (call.server()?, call.param("tag"));
    if tag.is_empty() || tag.chars().count() > 60 || tag.contains([',', '/']) {
        let expected = "1 to 60 characters without , and /";
        return Err(InvalidField::new("tag", tag, expected).into());
    }
    let change = TagChange::Add(tag.to_owned());
    let changed = call.plane.change_tags(&call.ctx, uuid, change).await?;
    Ok(match changed.is_new {
        true => {
            let url = call.url(&format!("/servers/{uuid}/tags/{tag}"));
            Reply::empty(StatusCode::CREATED).header(header::LOCATION, url)
        }
        false => Reply::no_content(),
    })
}

async fn remove_tag(call: Call) -> Answered {
    let change = TagChange::Remove(call.param("tag").to_owned());
    call.plane.change_tags(&call.ctx, call.server()?, change).await?;
    Ok(Reply::no_content())
}
