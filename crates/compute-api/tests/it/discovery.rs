//! Versions: discovery, negotiation, and the headers of every answer.

use axum::body::Body;
use axum::http::Request;
use cellzero_compute_api::{ApiOptions, operations};
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestApi, raw, tokens};

fn get(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get(path).header("host", "api.test:8774");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn discovery_needs_no_token_and_links_to_where_it_was_asked() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let versions = raw(&api.router, get("/", &[])).await.ok(200);
    let version = &versions["versions"][0];
    assert_eq!(version["id"], "v2.1");
    assert_eq!((&version["min_version"], &version["version"]), (&"2.1".into(), &"2.100".into()));
    assert_eq!(version["links"][0]["href"], "http://api.test:8774/v2.1/");
    for path in ["/v2.1", "/v2.1/"] {
        let one = raw(&api.router, get(path, &[])).await.ok(200);
        assert_eq!(one["version"]["status"], "CURRENT");
        assert!(one["version"]["media-types"].is_array());
    }
}

#[tokio::test]
async fn links_are_those_of_the_public_url_where_one_is_set() {
    let mut options = ApiOptions::new(tokens());
    options.public_url = Some("https://compute.example.org/".to_owned());
    let Some(api) = TestApi::with(Engine::Sqlite, options).await else { return };
    let versions = raw(&api.router, get("/", &[])).await.ok(200);
    let link = &versions["versions"][0]["links"][0]["href"];
    assert_eq!(link, "https://compute.example.org/v2.1/");
}

#[rstest]
#[case::none(&[], 200, "2.1")]
#[case::the_new_header(&[("OpenStack-API-Version", "compute 2.96")], 200, "2.96")]
#[case::the_old_header(&[("X-OpenStack-Nova-API-Version", "2.37")], 200, "2.37")]
#[case::the_new_one_goes_first(
    &[("OpenStack-API-Version", "compute 2.90"), ("X-OpenStack-Nova-API-Version", "2.37")],
    200, "2.90")]
#[case::another_services(
    &[("OpenStack-API-Version", "volume 3.1, compute 2.26")], 200, "2.26")]
#[case::the_last(&[("OpenStack-API-Version", "compute latest")], 200, "2.100")]
#[case::too_high(&[("OpenStack-API-Version", "compute 2.101")], 406, "2.1")]
#[case::too_low(&[("OpenStack-API-Version", "compute 2.0")], 406, "2.1")]
#[case::another_major(&[("OpenStack-API-Version", "compute 3.1")], 406, "2.1")]
#[case::no_version(&[("OpenStack-API-Version", "compute two")], 400, "2.1")]
#[case::no_minor(&[("X-OpenStack-Nova-API-Version", "2")], 400, "2.1")]
#[tokio::test]
async fn a_version_is_served_refused_or_malformed_and_always_echoed(
    #[case] headers: &[(&str, &str)],
    #[case] status: u16,
    #[case] served: &str,
) {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let headers = [headers, &[("x-auth-token", "alice")]].concat();
    let answer = raw(&api.router, get("/v2.1/servers", &headers)).await;
    match status {
        200 => {}
        406 => drop(answer.refusal(406, "computeFault")),
        _ => drop(answer.refusal(400, "badRequest")),
    }
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("openstack-api-version"), format!("compute {served}"));
    assert_eq!(answer.header("x-openstack-nova-api-version"), served);
    let vary = "OpenStack-API-Version, X-OpenStack-Nova-API-Version";
    assert_eq!(answer.header("vary"), vary);
    assert!(answer.header("x-openstack-request-id").starts_with("req-"));
}

#[rstest]
#[case::without_a_token(&[])]
#[case::with_an_unknown_one(&[("x-auth-token", "mallory")])]
#[tokio::test]
async fn who_is_not_known_is_refused(#[case] headers: &[(&str, &str)]) {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let answer = raw(&api.router, get("/v2.1/servers", headers)).await;
    answer.refusal(401, "unauthorized");
    assert!(!answer.header("www-authenticate").is_empty());
    assert_eq!(answer.header("x-openstack-nova-api-version"), "2.1");
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_a_path_does_not_take_is_405() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let alice = api.client("alice");
    alice.get("/nothing").await.refusal(404, "itemNotFound");
    let answer = alice.delete("/servers").await;
    answer.refusal(405, "badMethod");
    assert!(answer.header("allow").contains("POST"), "{}", answer.header("allow"));
}

#[tokio::test]
async fn an_operation_is_there_from_its_first_microversion_on_and_until_its_last() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let alice = api.client("alice");
    let id = api.server(&alice, "web", "1").await;
    let path = format!("/servers/{id}/tags");
    alice.at("2.25").get(&path).await.refusal(404, "itemNotFound");
    alice.at("2.26").get(&path).await.ok(200);
    let admin = api.client("admin");
    admin.at("2.87").get("/os-hypervisors/statistics").await.ok(200);
    admin.at("2.88").get("/os-hypervisors/statistics").await.refusal(404, "itemNotFound");
}

/// The document and the router are made of one table; this holds that nothing is lost on the way.
#[tokio::test]
async fn the_document_has_each_operation_that_is_served_and_no_other() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let document = raw(&api.router, get("/openapi.json", &[])).await.ok(200);
    let paths = document["paths"].as_object().expect("paths");
    let mut left: Vec<String> = paths
        .iter()
        .filter(|(path, _)| !["/", "/v2.1", "/v2.1/"].contains(&path.as_str()))
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("methods").keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    for operation in operations() {
        let path = format!("/v2.1{}", operation.path);
        let method = operation.method.as_str();
        let described = &paths[&path][method.to_lowercase()];
        assert!(described.is_object(), "{method} {path} is not in the document");
        for status in &operation.succeeds {
            assert!(described["responses"][status.to_string()].is_object(), "{method} {path}");
        }
        assert_eq!(described["requestBody"].is_object(), operation.example.is_some());
        left.retain(|known| *known != format!("{method} {path}"));
        // And it is served: whatever the answer, it is not that there is no such thing.
        let served = path.replace("{server_id}", "4b5d6f0c-6b7f-4c8e-9d0a-111111111111");
        let request = Request::builder().method(operation.method.clone()).uri(&served);
        let request = request
            .header("x-auth-token", "admin")
            .header("openstack-api-version", format!("compute {}", operation.first))
            .header("content-type", "application/json");
        let body = operation.example.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let answer = raw(&api.router, request.body(body).expect("a request")).await;
        let message = answer.body["itemNotFound"]["message"].as_str().unwrap_or_default();
        assert_ne!(answer.status, 405, "{method} {path}");
        assert_ne!(message, "The resource could not be found.", "{method} {path}");
    }
    assert!(left.is_empty(), "the document has what is not served: {left:?}");
}
