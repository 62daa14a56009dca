//! Who may do what: another project's servers, and roles.

use axum::http::Method;
use cellzero_compute_api::{Policy, Role, operations};
use cellzero_test_support::Engine;
use rstest::rstest;
use serde_json::json;

use crate::support::TestApi;

/// Of every route that names a server, with a body that is taken of the owner.
#[rstest]
#[tokio::test]
async fn another_projects_server_is_not_found_on_any_route(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(api) = TestApi::new(engine).await else { return };
    let (alice, bob) = (api.client("alice"), api.client("bob"));
    let mut servers = vec![api.server(&alice, "live", "1").await];
    servers.push(api.server(&alice, "buried", "huge").await);
    // One that has no home yet.
    let created = alice.post("/servers", crate::support::server("waiting", "1")).await.ok(202);
    servers.push(created["server"]["id"].as_str().expect("an id").to_owned());
    let mut asked = 0;
    for operation in operations() {
        if !operation.path.contains("{server_id}") {
            continue;
        }
        for id in &servers {
            let path = operation.path.replace("{server_id}", id).replace(['{', '}'], "");
            for version in [operation.first, operation.last] {
                let bob = bob.at(&version.to_string());
                let example = operation.example.clone();
                let answer = bob.send(operation.method.clone(), &path, example).await;
                match operation.policy {
                    Policy::Needs(Role::Admin) => drop(answer.refusal(403, "forbidden")),
                    _ => {
                        let message = answer.refusal(404, "itemNotFound");
                        assert!(message.contains(id.as_str()), "{path}: {message}");
                    }
                }
                asked += 1;
            }
        }
    }
    assert!(asked > 100, "only {asked} calls");
    // And nothing has happened to them.
    for id in &servers {
        alice.get(&format!("/servers/{id}")).await.ok(200);
    }
    for path in ["/servers", "/servers/detail"] {
        assert!(bob.get(path).await.ids().is_empty());
    }
}

#[tokio::test]
async fn what_a_role_may_not_do_is_forbidden() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let (alice, reader) = (api.client("alice"), api.client("anna"));
    let id = api.server(&alice, "web", "1").await;
    for operation in operations() {
        let path = operation.path.replace("{server_id}", &id).replace(['{', '}'], "");
        let example = operation.example.clone();
        let client = match operation.policy {
            Policy::Needs(Role::Admin) => &alice,
            Policy::Needs(Role::Member) => &reader,
            _ => continue,
        };
        let client = client.at(&operation.first.to_string());
        let answer = client.send(operation.method.clone(), &path, example).await;
        answer.refusal(403, "forbidden");
    }
    let shown = reader.get(&format!("/servers/{id}")).await.ok(200);
    assert_eq!(shown["server"]["status"], "ACTIVE");
}

#[tokio::test]
async fn an_admin_sees_and_touches_every_project() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let (alice, bob, admin) = (api.client("alice"), api.client("bob"), api.client("admin"));
    let (one, two) = (api.server(&alice, "a", "1").await, api.server(&bob, "b", "1").await);
    assert!(admin.get("/servers").await.ids().is_empty());
    let all = admin.get("/servers?all_tenants=1").await;
    assert_eq!(all.ids(), [two.as_str(), one.as_str()]);
    alice.get("/servers?all_tenants=1").await.refusal(403, "forbidden");
    let of_a = admin.get("/servers?all_tenants=1&tenant_id=project-a").await;
    assert_eq!(of_a.ids(), [one.as_str()]);
    assert_eq!(admin.delete(&format!("/servers/{two}")).await.status, 204);
    bob.get(&format!("/servers/{two}")).await.refusal(404, "itemNotFound");
}

#[tokio::test]
async fn bodies_that_are_no_json_too_large_or_of_another_kind_are_refused() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let alice = api.client("alice");
    let large = json!({"server": {"name": "x".repeat(200_000)}});
    alice.post("/servers", large).await.refusal(413, "overLimit");
    for (kind, body, status, name) in [
        ("application/json", "{", 400, "badRequest"),
        ("application/json", "", 400, "badRequest"),
        ("text/plain", "{}", 415, "badMediaType"),
        ("application/json", "[]", 400, "badRequest"),
    ] {
        let request = axum::http::Request::builder()
            .method(Method::POST)
            .uri("/v2.1/servers")
            .header("x-auth-token", "alice")
            .header("content-type", kind)
            .body(axum::body::Body::from(body))
            .expect("a request");
        crate::support::raw(&api.router, request).await.refusal(status, name);
    }
}
