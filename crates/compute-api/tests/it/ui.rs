//! The page for operators: what it is made of. How it looks in a browser is not told here.

use axum::body::Body;
use axum::http::Request;
use cellzero::{ComputeNode, Flavor};
use cellzero_test_support::Engine;
use http_body_util::BodyExt as _;
use rstest::rstest;
use serde_json::json;
use tower::ServiceExt as _;

use crate::support::{TestApi, raw};

fn request(method: &str, path: &str, token: &str, body: Option<&str>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("x-auth-token", token);
    match body {
        Some(body) => {
            let request = request.header("content-type", "application/json");
            request.body(Body::from(body.to_owned())).expect("a request")
        }
        None => request.body(Body::empty()).expect("a request"),
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let page = api.router.clone().oneshot(request("GET", "/ui", "", None)).await.expect("a page");
    let policy = page.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let bytes = page.into_body().collect().await.expect("a body").to_bytes();
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    assert!(text.contains("<title>Cellzero</title>"));
    assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("innerHTML"));
}

#[rstest]
#[tokio::test]
async fn an_admin_sees_cells_hosts_and_cell0_and_retries_what_is_buried(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(api) = TestApi::new(engine).await else { return };
    let alice = api.client("alice");
    // One that fits no host yet.
    let flavor = Flavor::new("wide", "wide", 1, 8192, 1);
    api.plane.flavors().create(&flavor).await.expect("a new flavor");
    api.server(&alice, "web", "1").await;
    let id = api.server(&alice, "large", "wide").await;

    raw(&api.router, request("GET", "/ui/data", "", None)).await.refusal(401, "unauthorized");
    raw(&api.router, request("GET", "/ui/data", "alice", None)).await.refusal(403, "forbidden");
    let data = raw(&api.router, request("GET", "/ui/data", "admin", None)).await.ok(200);
    assert_eq!(data["states"], json!({"active": 1, "error": 1}));
    let cells = data["cells"].as_array().expect("a list");
    assert_eq!(cells.len(), 3);
    assert!(cells.iter().all(|cell| cell["state"] == "up"), "{}", data["cells"]);
    assert_eq!(data["hosts"].as_array().expect("a list").len(), 2);
    let group = &data["cell0"]["groups"][0];
    assert_eq!((&group["refusal"], &group["instances"]), (&json!("memory"), &json!(1)));
    assert_eq!(group["clearance"]["each"]["memory_mb"], 8192);
    let buried = &data["buried"][0];
    assert_eq!(buried["uuid"], json!(id));
    assert!(buried["why"].as_str().expect("a reason").contains("It would fit with at most"));

    let body = json!({"server": id}).to_string();
    let retry = |token: &str, body: Option<&str>| {
        raw(&api.router, request("POST", "/ui/retry", token, body))
    };
    retry("alice", Some(&body)).await.refusal(403, "forbidden");
    // What a form of another site could send.
    retry("admin", None).await.refusal(400, "badRequest");
    let node = ComputeNode::new("host1", 8, 16_384, 100);
    api.plane.hosts().report(api.cells[0].0, &node).await.expect("a larger host");
    retry("admin", Some(&body)).await.ok(200);
    api.settle().await;
    let shown = alice.get(&format!("/servers/{id}")).await.ok(200);
    assert_eq!(shown["server"]["status"], "ACTIVE");
    retry("admin", Some(&body)).await.refusal(409, "conflictingRequest");
}
