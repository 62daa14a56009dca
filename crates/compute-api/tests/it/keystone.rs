//! Tokens of Keystone, by a stand-in that counts what it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use cellzero_compute_api::{ApiOptions, Keystone, KeystoneOptions};
use cellzero_test_support::Engine;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::TestApi;

/// What the stand-in was asked.
#[derive(Default)]
struct Asked {
    logins: AtomicUsize,
    checks: AtomicUsize,
}

async fn log_in(State(asked): State<Arc<Asked>>, body: String) -> Response {
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let user = &body["auth"]["identity"]["password"]["user"];
    assert_eq!((&user["name"], &user["password"]), (&json!("nova"), &json!("s3cret")));
    let number = asked.logins.fetch_add(1, Ordering::SeqCst);
    let token = [("x-subject-token", format!("service-{number}"))];
    (StatusCode::CREATED, token, json!({"token": {}}).to_string()).into_response()
}

async fn check(State(asked): State<Arc<Asked>>, headers: HeaderMap) -> Response {
    let number = asked.checks.fetch_add(1, Ordering::SeqCst);
    // The first token of the service expires after its first use.
    if headers["x-auth-token"] == "service-0" && number > 0 {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let role = match headers["x-subject-token"].to_str().expect("text") {
        "of-a-member" => "member",
        "of-a-reader" => "reader",
        "of-nobody" => "guest",
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let token = json!({"token": {
        "user": {"id": "u1"}, "project": {"id": "p1"}, "roles": [{"name": role}],
        "expires_at": "2199-01-01T00:00:00.000000Z",
    }});
    token.to_string().into_response()
}

#[tokio::test]
async fn a_token_is_checked_with_keystone_once_and_its_roles_count() {
    let asked = Arc::new(Asked::default());
    let keystone = Router::new()
        .route("/identity/v3/auth/tokens", post(log_in).get(check))
        .with_state(Arc::clone(&asked));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/identity", listener.local_addr().expect("an address"));
    let service = hyper_util::service::TowerToHyperService::new(keystone);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let service = service.clone();
            tokio::spawn(async move {
                let io = hyper_util::rt::TokioIo::new(stream);
                // One that the client drops is no failure of the test.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            });
        }
    });

    let options =
        ApiOptions::new(Keystone::new(KeystoneOptions::new(url, "s3cret")).expect("a URL"));
    assert!(!format!("{options:?}").contains("s3cret"));
    let Some(api) = TestApi::with(Engine::Sqlite, options).await else { return };
    let member = api.client("of-a-member");
    member.get("/servers").await.ok(200);
    let id = api.server(&member, "web", "1").await;
    let shown = member.get(&format!("/servers/{id}")).await.ok(200);
    assert_eq!(
        (&shown["server"]["tenant_id"], &shown["server"]["user_id"]),
        (&json!("p1"), &json!("u1"))
    );
    assert_eq!(asked.logins.load(Ordering::SeqCst), 1);
    assert_eq!(asked.checks.load(Ordering::SeqCst), 1);
    let reader = api.client("of-a-reader");
    reader.get("/servers").await.ok(200);
    // One more login and one more check, since the token of the service had expired.
    assert_eq!(asked.logins.load(Ordering::SeqCst), 2);
    assert_eq!(asked.checks.load(Ordering::SeqCst), 3);
    reader.delete(&format!("/servers/{id}")).await.refusal(403, "forbidden");
    api.client("of-nobody").get("/servers").await.refusal(403, "forbidden");
    for _ in 0..2 {
        api.client("of-mallory").get("/servers").await.refusal(401, "unauthorized");
    }
    assert_eq!(asked.checks.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_keystone_that_is_away_is_no_refusal() {
    let mut options = KeystoneOptions::new("http://127.0.0.1:1/identity", "s3cret");
    options.timeout = Duration::from_secs(1);
    let options = ApiOptions::new(Keystone::new(options).expect("a URL"));
    let Some(api) = TestApi::with(Engine::Sqlite, options).await else { return };
    api.client("any").get("/servers").await.refusal(503, "serviceUnavailable");
    assert!(Keystone::new(KeystoneOptions::new("keystone", "x")).is_err());
}

#[test]
fn what_is_printed_of_keystone_has_no_password() {
    let options = KeystoneOptions::new("http://nova:s3cret@127.0.0.1:1/identity", "0ther");
    let printed = format!("{options:?} {:?}", Keystone::new(options.clone()).expect("a URL"));
    assert!(printed.contains("127.0.0.1"), "{printed}");
    assert!(!printed.contains("s3cret") && !printed.contains("0ther"), "{printed}");
}
