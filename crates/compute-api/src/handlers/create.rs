//! `POST /servers`: accepted whatever the capacity, and shown as ERROR later where none was found.

use axum::http::header;
use cellzero::{InvalidField, create_body};
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;

/// The header that makes a repeated request answer with the servers of the first.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The length of an admin password that is made here, as Nova's.
const PASSWORD_LENGTH: usize = 12;

/// What the document says of the body; the library reads it by the rules of each microversion.
pub(crate) fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["server"],
        "properties": {
            "server": {
                "type": "object",
                "required": ["name", "flavorRef"],
                "properties": {
                    "name": {"type": "string", "minLength": 1, "maxLength": 255},
                    "imageRef": {"type": "string"},
                    "flavorRef": {"type": ["string", "integer"]},
                    "networks": {"anyOf": [
                        {"type": "string", "enum": ["auto", "none"]},
                        {"type": "array", "items": {"type": "object"}},
                    ]},
                    "metadata": {"type": "object"},
                    "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 50},
                    "min_count": {"type": ["string", "integer"]},
                    "max_count": {"type": ["string", "integer"]},
                },
            },
            "os:scheduler_hints": {"type": "object"},
            "OS-SCH-HNT:scheduler_hints": {"type": "object"},
        },
    })
}

/// A body that is taken.
pub(crate) fn example() -> Value {
    json!({"server": {
        "name": "web",
        "imageRef": "70a599e0-31e7-49b7-b260-868f441e862b",
        "flavorRef": "1",
        "networks": "none",
    }})
}

/// `POST /servers`.
pub(crate) async fn create(call: Call) -> Answered {
    let parsed = create_body::parse(&call.body, call.version)?;
    let mut request = parsed.request;
    request.client_token = token(&call)?;
    // A repeat would be told another password than the server has, so none is made then.
    if request.admin_password.is_none() && request.client_token.is_none() {
        request.admin_password = Some(password());
    }
    let (admin_password, auto_disk_config) =
        (request.admin_password.clone(), request.auto_disk_config);
    let groups: Vec<Value> =
        request.security_groups.iter().map(|name| json!({"name": name})).collect();
    let accepted = call.plane.boot(&call.ctx, request).await?;
    if parsed.return_reservation_id {
        let body = json!({"reservation_id": accepted.reservation_id});
        return Ok(Reply::ok(body).status(axum::http::StatusCode::ACCEPTED));
    }
    let path = format!("/servers/{}", accepted[0]);
    let mut server = json!({
        "id": accepted[0].text(),
        "links": call.links(&path),
        "OS-DCF:diskConfig": if auto_disk_config { "AUTO" } else { "MANUAL" },
        "security_groups": groups,
    });
    if let Some(password) = admin_password {
        server["adminPass"] = json!(password);
    }
    let reply = Reply::ok(json!({"server": server})).status(axum::http::StatusCode::ACCEPTED);
    Ok(reply.header(header::LOCATION, call.url(&path)))
}

fn token(call: &Call) -> Result<Option<String>, Fault> {
    let Some(value) = call.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > 255 {
        let expected = "1 to 255 printable characters of ASCII";
        return Err(InvalidField::new("Idempotency-Key", text, expected).into());
    }
    Ok(Some(text.to_owned()))
}

/// A password without letters that look alike.
pub(crate) fn password() -> String {
    const LETTERS: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut random = rand::rng();
    (0..PASSWORD_LENGTH)
        .map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())]))
        .collect()
}
