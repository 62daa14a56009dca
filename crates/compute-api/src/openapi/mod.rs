//! The OpenAPI document, made of the table of routes.

mod schemas;

use std::collections::BTreeSet;

use cellzero::Microversion;
use serde_json::{Map, Value, json};

use crate::policy::{Policy, Role};
use crate::route::{Route, table};

/// How any operation may refuse; each has the same body.
const REFUSALS: [(&str, &str); 10] = [
    ("400", "The request cannot be used; the message says what would be right."),
    ("401", "There is no token, or it is not valid."),
    ("403", "The role does not allow it, or a quota does not."),
    ("404", "There is no such resource, in this project and microversion."),
    ("405", "The path has no such method."),
    ("406", "The microversion is not served."),
    ("409", "The state of the resource does not allow it."),
    ("413", "The body is too large."),
    ("415", "The body is not JSON."),
    ("503", "It cannot be done now; ask again in a moment."),
];

/// The document.
pub(crate) fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in table() {
        let path = paths.entry(format!("/v2.1{}", route.path)).or_insert_with(|| json!({}));
        let operation = &mut path[route.method.as_str().to_ascii_lowercase()];
        match operation.is_null() {
            true => *operation = describe(&route),
            false => merge(operation, &route),
        }
    }
    for path in ["/", "/v2.1", "/v2.1/"] {
        let name = if path == "/" { "Versions" } else { "Version" };
        let operation = json!({
            "operationId": format!("versions{}", path.replace('/', "-")),
            "summary": "Says which versions there are.",
            "security": [],
            "responses": {"200": answer(200, Some(name))},
        });
        paths.insert(path.to_owned(), json!({"get": operation}));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Compute API",
            "version": Microversion::MAX.to_string(),
            "description": "The compute API of a Cellzero plane. Every operation says which \
                microversions have it; keys of bodies and answers come with later ones.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
            },
            "headers": {
                "OpenStack-API-Version": {"required": true, "schema": {"type": "string"}},
                "X-OpenStack-Nova-API-Version": {"required": true, "schema": {"type": "string"}},
                "x-openstack-request-id": {
                    "required": true,
                    "schema": {"type": "string", "pattern": "^req-[0-9a-f-]{36}$"},
                },
            },
        },
    })
}

fn describe(route: &Route) -> Value {
    let mut responses: Map<String, Value> = route
        .answers
        .iter()
        .map(|(status, schema)| (status.to_string(), answer(*status, *schema)))
        .collect();
    for (status, meaning) in REFUSALS {
        let content =
            json!({"application/json": {"schema": {"$ref": "#/components/schemas/Fault"}}});
        let refusal = json!({"description": meaning, "content": content, "headers": headers()});
        responses.insert(status.to_owned(), refusal);
    }
    // A server whose cell does not answer, before the microversion that can say so.
    if route.name == "servers:show" {
        let mut failed = responses["503"].clone();
        failed["description"] =
            json!("Its cell does not answer, and the microversion cannot say so.");
        responses.insert("500".to_owned(), failed);
    }
    let mut operation = json!({
        "operationId": if route.action.is_some() { "servers:action" } else { route.name },
        "summary": if route.action.is_some() { "Does something with a server." } else { route.summary },
        "description": about(route),
        "parameters": parameters(route),
        "responses": responses,
    });
    if let Some(body) = route.body {
        let schema = (body.schema)();
        let schema = if route.action.is_some() { json!({"oneOf": [schema]}) } else { schema };
        let content = json!({"schema": schema, "example": (body.example)()});
        operation["requestBody"] =
            json!({"required": true, "content": {"application/json": content}});
    }
    operation
}

/// One more action at the same path and method. Its answer is that of the first: without a body, since
/// a document cannot say that a body may be missing.
fn merge(operation: &mut Value, route: &Route) {
    let about =
        format!("{}\n{}", operation["description"].as_str().unwrap_or_default(), about(route));
    operation["description"] = json!(about);
    if let Some(body) = route.body
        && let Some(schemas) =
            operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
                .as_array_mut()
    {
        schemas.push((body.schema)());
    }
    for (status, schema) in &route.answers {
        let known = &mut operation["responses"][status.to_string()];
        if known.is_null() {
            *known = answer(*status, *schema);
        }
    }
}

fn about(route: &Route) -> String {
    let who = match route.policy {
        Policy::Public => "everybody",
        Policy::Needs(Role::Reader) => "reader",
        Policy::Needs(Role::Member) => "member",
        Policy::Needs(Role::Admin) => "admin",
    };
    let (first, last) = route.versions;
    let mut text = format!("`{}`: {} Role: {who}. Since 2.{first}", route.name, route.summary);
    if last < Microversion::MAX.minor {
        text += &format!(", until 2.{last}");
    }
    text + "."
}

fn parameters(route: &Route) -> Value {
    let versions = json!({"type": "string", "pattern": "^compute ([0-9]+[.][0-9]+|latest)$"});
    let mut parameters =
        vec![json!({"name": "OpenStack-API-Version", "in": "header", "schema": versions})];
    if route.name == "servers:create" {
        let key = json!({"type": "string", "minLength": 1, "maxLength": 255});
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "schema": key,
            "description": "A repeated request answers with the servers of the first.",
        }));
    }
    for name in in_braces(route.path) {
        let schema = json!({"type": "string", "minLength": 1});
        parameters.push(json!({"name": name, "in": "path", "required": true, "schema": schema}));
    }
    let keys: BTreeSet<&str> = route.query.iter().copied().collect();
    for name in keys {
        parameters.push(json!({"name": name, "in": "query", "schema": {"type": "string"}}));
    }
    json!(parameters)
}

/// The names of a path's parameters.
fn in_braces(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn answer(status: u16, schema: Option<&str>) -> Value {
    let mut answer = json!({
        "description": match status {
            201 => "It was made.",
            202 => "It was accepted, and is done soon.",
            204 => "It is done.",
            _ => "What was asked for.",
        },
        "headers": headers(),
    });
    if let Some(schema) = schema {
        let schema = format!("#/components/schemas/{schema}");
        answer["content"] = json!({"application/json": {"schema": {"$ref": schema}}});
    }
    answer
}

fn headers() -> Value {
    let names = ["OpenStack-API-Version", "X-OpenStack-Nova-API-Version"];
    let headers: Map<String, Value> = names
        .iter()
        .map(|name| {
            let header = format!("#/components/headers/{name}");
            ((*name).to_owned(), json!({"$ref": header}))
        })
        .collect();
    Value::Object(headers)
}
