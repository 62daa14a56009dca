//! Key pairs of users; where none is brought one is made here, and its private half is told once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cellzero::{InvalidField, KeyPair, RequestContext};
use ring::signature::KeyPair as _;
use serde_json::{Value, json};

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::route::{Route, route};
use crate::schema::{name, object, wrapped};
use crate::views::plain_time;

/// The largest page.
const LIMIT_MAX: u32 = 1_000;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(GET "/os-keypairs" "keypairs:index" READER index, "Lists key pairs.")
            .query(&["user_id", "limit", "marker"])
            .gives(200, "KeyPairs"),
        route!(POST "/os-keypairs" "keypairs:create" MEMBER
            create, "Takes a public key, or makes a key pair.")
        .body(create_schema, || json!({"keypair": {"name": "laptop", "public_key": KEY}}))
        .gives(200, "KeyPairCreated")
        .gives(201, "KeyPairCreated"),
        route!(GET "/os-keypairs/{keypair_name}" "keypairs:show" READER show, "Shows a key pair.")
            .query(&["user_id"])
            .gives(200, "KeyPair"),
        route!(DELETE "/os-keypairs/{keypair_name}" "keypairs:delete" MEMBER
            delete, "Deletes a key pair.")
        .query(&["user_id"])
        .ends(202)
        .ends(204),
    ]
}

/// A public key for the document.
const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUwZ3B4bqSQdrbDYV5uOVfBaC9mgmmlXSgKJxnjMzAz example";

fn create_schema() -> Value {
    wrapped(
        "keypair",
        object(
            &["name"],
            json!({
                "name": name(),
                "public_key": {"type": "string"},
                "type": {"type": "string", "enum": ["ssh", "x509"]},
                "user_id": {"type": "string", "minLength": 1, "maxLength": 255},
            }),
        ),
    )
}

/// In whose name: an admin's may be another user's, from 2.10 on.
fn of(call: &Call, user: Option<&str>) -> Result<RequestContext, Fault> {
    match user.filter(|user| call.since(10) && *user != call.ctx.user_id) {
        Some(_) if !call.ctx.is_admin => {
            Err(Fault::forbidden("Policy doesn't allow keypairs of another user to be touched."))
        }
        Some(user) => Ok(RequestContext { user_id: user.to_owned(), ..call.ctx.clone() }),
        None => Ok(call.ctx.clone()),
    }
}

fn view(call: &Call, key: &KeyPair) -> Value {
    let mut view = json!({
        "name": key.name,
        "public_key": key.public_key,
        "fingerprint": key.fingerprint,
    });
    if call.since(2) {
        view["type"] = json!("ssh");
    }
    view
}

async fn index(call: Call) -> Answered {
    let ctx = of(&call, call.query.one("user_id"))?;
    let mut keys = call.plane.key_pairs().list(&ctx).await?;
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    let is_paged = call.since(35);
    let limit = call.query.count("limit")?.filter(|_| is_paged).unwrap_or(LIMIT_MAX);
    if let Some(marker) = call.query.one("marker").filter(|_| is_paged) {
        let place = keys.iter().position(|key| key.name == marker);
        let missing = || Fault::bad_request(format!("marker [{marker}] not found"));
        keys.drain(..=place.ok_or_else(missing)?);
    }
    keys.truncate(limit as usize);
    let views: Vec<Value> = keys.iter().map(|key| json!({"keypair": view(&call, key)})).collect();
    let mut body = json!({"keypairs": views});
    if let Some(last) = keys.last().filter(|_| is_paged && keys.len() == limit as usize) {
        let href = call.url(&format!("/os-keypairs?{}", call.query.with("marker", &last.name)));
        body["keypairs_links"] = json!([{"rel": "next", "href": href}]);
    }
    Ok(Reply::ok(body))
}

async fn show(call: Call) -> Answered {
    let ctx = of(&call, call.query.one("user_id"))?;
    let key = call.plane.key_pairs().show(&ctx, call.param("keypair_name")).await?;
    let mut shown = view(&call, &key);
    shown["user_id"] = json!(key.user_id);
    shown["id"] = json!(key.id);
    shown["created_at"] = plain_time(key.created_at);
    shown["updated_at"] = Value::Null;
    shown["deleted_at"] = Value::Null;
    shown["deleted"] = json!(false);
    Ok(Reply::ok(json!({"keypair": shown})))
}

async fn create(call: Call) -> Answered {
    let asked = call.object("keypair");
    for (first, key) in [(2, "type"), (10, "user_id")] {
        if !call.since(first) {
            crate::schema::refuse_key(asked, key)?;
        }
    }
    let ctx = of(&call, asked["user_id"].as_str())?;
    if asked["type"] == "x509" {
        return Err(InvalidField::new("type", "x509", "ssh: certificates are not kept").into());
    }
    let name = asked["name"].as_str().unwrap_or_default();
    let made = match asked["public_key"].as_str() {
        Some(_) => None,
        None if call.since(92) => {
            let expected = "a public key: from 2.92 on none is made here";
            return Err(InvalidField::new("public_key", "", expected).into());
        }
        None => Some(make()?),
    };
    let public = made.as_ref().map_or(&asked["public_key"], |made| &made.0);
    let public = public.as_str().unwrap_or_default();
    let key = call.plane.key_pairs().create(&ctx, name, public).await?;
    let mut shown = view(&call, &key);
    shown["user_id"] = json!(key.user_id);
    if let Some((_, private)) = made {
        shown["private_key"] = json!(private);
    }
    let reply = Reply::ok(json!({"keypair": shown}));
    Ok(match call.since(2) {
        true => reply.status(axum::http::StatusCode::CREATED),
        false => reply,
    })
}

async fn delete(call: Call) -> Answered {
    let ctx = of(&call, call.query.one("user_id"))?;
    call.plane.key_pairs().delete(&ctx, call.param("keypair_name")).await?;
    Ok(match call.since(2) {
        true => Reply::no_content(),
        false => Reply::accepted(),
    })
}

/// A new pair of Ed25519 keys: the public line, and the private key as OpenSSH keeps it.
fn make() -> Result<(Value, String), Fault> {
    let failed =
        |_| Fault::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "No key pair could be made.");
    let mut seed = [0; 32];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut seed).map_err(failed)?;
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed)
        .map_err(|_| failed(ring::error::Unspecified))?;
    let mut check = [0; 4];
    ring::rand::SecureRandom::fill(&random, &mut check).map_err(failed)?;
    let public = pair.public_key().as_ref();
    let blob = strings(&[b"ssh-ed25519", public]);
    let line = format!("ssh-ed25519 {} Generated-by-Cellzero", STANDARD.encode(&blob));
    Ok((json!(line), private_text(&seed, public, &blob, check)))
}

/// Byte strings, each behind its length.
fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend((part.len() as u32).to_be_bytes());
        bytes.extend(*part);
    }
    bytes
}

/// A private key as `openssh-key-v1` without a passphrase.
fn private_text(seed: &[u8; 32], public: &[u8], blob: &[u8], check: [u8; 4]) -> String {
    const LINE_LENGTH: usize = 70;
    let mut private = [check, check].concat();
    let both = [seed, public].concat();
    private.extend(strings(&[b"ssh-ed25519", public, &both, b"Generated-by-Cellzero"]));
    // Padded to blocks of eight by 1, 2, 3, …
    for pad in (1u8..).take(private.len().next_multiple_of(8) - private.len()) {
        private.push(pad);
    }
    let mut file = b"openssh-key-v1\0".to_vec();
    file.extend(strings(&[b"none", b"none", b""]));
    file.extend(1u32.to_be_bytes());
    file.extend(strings(&[blob, &private]));
    let encoded = STANDARD.encode(file);
    let mut text = String::from("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(LINE_LENGTH));
        text += line;
        text.push('\n');
        rest = behind;
    }
    text + "-----END OPENSSH PRIVATE KEY-----\n"
}
