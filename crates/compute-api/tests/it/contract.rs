//! Servers, sentence by sentence of the contract.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use cellzero_test_support::Engine;
use rstest::rstest;
use serde_json::json;

use crate::support::{IMAGE, TestApi, raw, server};

fn keys(value: &serde_json::Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// What every server has at 2.1.
const AT_2_1: &[&str] = &[
    "id",
    "name",
    "status",
    "tenant_id",
    "user_id",
    "metadata",
    "hostId",
    "image",
    "flavor",
    "created",
    "updated",
    "addresses",
    "accessIPv4",
    "accessIPv6",
    "links",
    "OS-DCF:diskConfig",
    "OS-EXT-AZ:availability_zone",
    "config_drive",
    "key_name",
    "OS-SRV-USG:launched_at",
    "OS-SRV-USG:terminated_at",
    "OS-EXT-STS:task_state",
    "OS-EXT-STS:vm_state",
    "OS-EXT-STS:power_state",
    "os-extended-volumes:volumes_attached",
];

#[rstest]
#[tokio::test]
async fn a_create_is_accepted_shown_at_each_stage_and_deleted(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(api) = TestApi::new(engine).await else { return };
    let alice = api.client("alice");
    let created = alice.post("/servers", server("web", "1")).await;
    let id = created.body["server"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(created.header("location"), format!("http://api.test:8774/v2.1/servers/{id}"));
    let body = created.ok(202);
    assert_eq!(body["server"]["security_groups"], json!([{"name": "default"}]));
    assert_eq!(body["server"]["adminPass"].as_str().map(str::len), Some(12));

    let path = format!("/servers/{id}");
    let waiting = alice.get(&path).await.ok(200)["server"].clone();
    let expected: BTreeSet<&str> = AT_2_1.iter().copied().chain(["progress"]).collect();
    assert_eq!(keys(&waiting), expected);
    assert_eq!(waiting["status"], "BUILD");
    assert_eq!(waiting["hostId"], "");

    api.settle().await;
    let active = alice.get(&path).await.ok(200)["server"].clone();
    let expected: BTreeSet<&str> =
        AT_2_1.iter().copied().chain(["progress", "security_groups"]).collect();
    assert_eq!(keys(&active), expected);
    assert_eq!(active["status"], "ACTIVE");
    assert_eq!(active["OS-EXT-STS:power_state"], 1);
    assert_eq!(active["OS-EXT-AZ:availability_zone"], "nova");
    assert_eq!(active["hostId"].as_str().map(str::len), Some(56));
    assert_eq!(active["image"]["id"], IMAGE);
    assert_eq!(active["flavor"]["id"], "1");
    assert_eq!(active["flavor"]["links"][0]["href"], "http://api.test:8774/flavors/1");
    assert_eq!(active["links"][1]["href"], format!("http://api.test:8774/servers/{id}"));

    alice.delete(&path).await.ok(204);
    api.settle().await;
    alice.get(&path).await.refusal(404, "itemNotFound");
    alice.delete(&path).await.refusal(404, "itemNotFound");
}

// MariaDB keeps no parts of a second here, and PostgreSQL alone has years of five digits.
#[rstest]
#[case(Engine::Sqlite, "0987")]
#[case(Engine::Postgres, "0987")]
#[case(Engine::Postgres, "12026")]
#[tokio::test]
async fn times_are_shown_in_novas_two_ways_and_as_null_where_there_is_none(
    #[case] engine: Engine,
    #[case] year: &str,
) {
    let Some(api) = TestApi::new(engine).await else { return };
    let alice = api.client("alice");
    let id = api.server(&alice, "web-1", "1").await;
    let times = format!(
        "UPDATE instances SET created_at = '{year}-10-31 03:04:05', \
         updated_at = '2026-11-28 23:59:59.999999', launched_at = '2026-01-02 12:30:00.020405'"
    );
    for (_, cell) in &api.cells {
        cell.execute(&times).expect("other times");
    }
    let server = alice.get(&format!("/servers/{id}")).await.ok(200)["server"].clone();
    assert_eq!(server["created"], format!("{year}-10-31T03:04:05Z"));
    assert_eq!(server["updated"], "2026-11-28T23:59:59Z");
    assert_eq!(server["OS-SRV-USG:launched_at"], "2026-01-02T12:30:00.020405");
    assert!(server["OS-SRV-USG:terminated_at"].is_null());
}

#[rstest]
#[tokio::test]
async fn what_fits_nowhere_is_accepted_and_stands_in_error_with_its_reason(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(api) = TestApi::new(engine).await else { return };
    let alice = api.client("alice");
    let id = api.server(&alice, "large", "huge").await;
    let path = format!("/servers/{id}");
    let buried = alice.get(&path).await.ok(200)["server"].clone();
    assert_eq!(buried["status"], "ERROR");
    assert_eq!(buried["OS-EXT-STS:vm_state"], "error");
    assert!(buried["OS-EXT-STS:task_state"].is_null());
    assert_eq!(buried["OS-EXT-STS:power_state"], 0);
    assert_eq!(buried["hostId"], "");
    let fault = &buried["fault"];
    assert_eq!(fault["code"], 500);
    let message = fault["message"].as_str().expect("a message");
    assert!(message.starts_with("No valid host was found. 0/2 hosts"), "{message}");
    assert_eq!(keys(fault), BTreeSet::from(["code", "created", "message"]));
    // An admin reads what a project may not.
    let admin = api.client("admin").get(&path).await.ok(200);
    assert!(admin["server"]["fault"]["details"].as_str().expect("details").contains("best has"));
    alice.delete(&path).await.ok(204);
    alice.get(&path).await.refusal(404, "itemNotFound");
}

#[rstest]
#[case("2.3", &[], &["OS-EXT-SRV-ATTR:reservation_id", "OS-EXT-SRV-ATTR:hostname", "OS-EXT-SRV-ATTR:user_data"])]
#[case("2.9", &["locked"], &[])]
#[case("2.16", &[], &["host_status"])]
#[case("2.19", &["description"], &[])]
#[case("2.26", &["tags"], &[])]
#[case("2.63", &["trusted_image_certificates"], &[])]
#[case("2.71", &["server_groups"], &[])]
#[case("2.73", &["locked_reason"], &[])]
#[case("2.90", &["OS-EXT-SRV-ATTR:hostname"], &[])]
#[case("2.96", &["pinned_availability_zone"], &[])]
#[case("2.100", &["scheduler_hints"], &[])]
#[tokio::test]
async fn a_key_comes_with_its_microversion_and_not_before(
    #[case] first: &str,
    #[case] of_all: &[&str],
    #[case] of_admins: &[&str],
) {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let (alice, admin) = (api.client("alice"), api.client("admin"));
    let id = api.server(&alice, "web", "1").await;
    let path = format!("/servers/{id}");
    let minor: u16 = first[2..].parse().expect("a minor version");
    let before = format!("2.{}", minor - 1);
    for (client, has, lacks) in [
        (&alice, of_all.to_vec(), of_admins.to_vec()),
        (&admin, [of_all, of_admins].concat(), vec![]),
    ] {
        let now = client.at(first).get(&path).await.ok(200);
        let then = client.at(&before).get(&path).await.ok(200);
        for key in has {
            assert!(now["server"].get(key).is_some(), "{key} at {first}");
            // What all see now an admin saw before.
            if !(key == "OS-EXT-SRV-ATTR:hostname" && first == "2.90") {
                assert!(then["server"].get(key).is_none(), "{key} at {before}");
            }
        }
        for key in lacks {
            assert!(now["server"].get(key).is_none(), "{key} is for admins");
        }
    }
}

#[tokio::test]
async fn the_flavor_is_embedded_from_2_47_on_and_the_image_has_properties_from_2_98_on() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let alice = api.client("alice");
    let id = api.server(&alice, "web", "1").await;
    let path = format!("/servers/{id}");
    let old = alice.at("2.46").get(&path).await.ok(200);
    assert_eq!(keys(&old["server"]["flavor"]), BTreeSet::from(["id", "links"]));
    let new = alice.at("2.47").get(&path).await.ok(200);
    let flavor = &new["server"]["flavor"];
    let expected = ["original_name", "ram", "vcpus", "disk", "swap", "ephemeral", "extra_specs"];
    assert_eq!(keys(flavor), BTreeSet::from(expected));
    assert_eq!((&flavor["original_name"], &flavor["ram"]), (&json!("flavor-1"), &json!(512)));
    assert!(alice.at("2.97").get(&path).await.ok(200)["server"]["image"]["properties"].is_null());
    let image = alice.at("2.98").get(&path).await.ok(200)["server"]["image"].clone();
    assert!(image["properties"].is_object());
}

#[rstest]
#[case::no_flavor(json!({"flavorRef": "none"}), "flavor")]
#[case::no_name(json!({"name": ""}), "name")]
#[case::blanks_around(json!({"name": " web "}), "name")]
#[case::a_name_too_long(json!({"name": "n".repeat(256)}), "name")]
#[case::no_count(json!({"min_count": 0}), "min_count")]
#[case::a_count_that_is_none(json!({"max_count": "many"}), "max_count")]
#[case::max_below_min(json!({"min_count": 3, "max_count": 2}), "max_count")]
#[case::a_bad_image(json!({"imageRef": "none"}), "imageRef")]
#[case::metadata_that_is_no_text(json!({"metadata": {"a": 1}}), "metadata")]
#[case::an_unknown_key(json!({"colour": "blue"}), "colour")]
#[tokio::test]
async fn a_create_that_cannot_be_done_says_what_is_wrong(
    #[case] with: serde_json::Value,
    #[case] names: &str,
) {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let alice = api.client("alice");
    let mut body = server("web", "1");
    for (key, value) in with.as_object().expect("an object") {
        body["server"][key] = value.clone();
    }
    let answer = alice.post("/servers", body).await;
    let message = answer.refusal(400, "badRequest");
    assert!(message.contains(names), "{message}");
    assert!(alice.get("/servers").await.ids().is_empty());
}

#[tokio::test]
async fn networks_are_needed_from_2_37_on() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let alice = api.client("alice");
    let mut body = server("web", "1");
    body["server"].as_object_mut().expect("an object").remove("networks");
    alice.at("2.37").post("/servers", body.clone()).await.refusal(400, "badRequest");
    alice.at("2.36").post("/servers", body.clone()).await.ok(202);
    body["server"]["networks"] = json!("none");
    alice.at("2.37").post("/servers", body).await.ok(202);
}

#[tokio::test]
async fn several_servers_are_numbered_and_a_reservation_names_them() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let (alice, admin) = (api.client("alice"), api.client("admin"));
    let mut body = server("web", "1");
    body["server"]["max_count"] = json!("3");
    body["server"]["min_count"] = json!(2);
    body["server"]["return_reservation_id"] = json!(true);
    let reserved = alice.post("/servers", body).await.ok(202);
    api.settle().await;
    let reservation = reserved["reservation_id"].as_str().expect("a reservation");
    assert!(reservation.starts_with("r-"), "{reservation}");
    let path =
        format!("/servers/detail?reservation_id={reservation}&sort_key=display_name&sort_dir=asc");
    let listed = alice.get(&path).await.ok(200);
    let servers = listed["servers"].as_array().expect("a list");
    let names: Vec<_> = servers.iter().map(|server| server["name"].clone()).collect();
    assert_eq!(names, ["web-1", "web-2", "web-3"]);
    let id = servers[2]["id"].as_str().expect("an id");
    let shown = admin.at("2.3").get(&format!("/servers/{id}")).await.ok(200);
    assert_eq!(shown["server"]["OS-EXT-SRV-ATTR:launch_index"], 2);
    assert_eq!(shown["server"]["OS-EXT-SRV-ATTR:reservation_id"], reservation);
}

#[rstest]
#[tokio::test]
async fn a_repeated_create_with_its_key_answers_with_the_first_server(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(api) = TestApi::new(engine).await else { return };
    let create = |name: &str, key: &str| {
        Request::post("/v2.1/servers")
            .header("x-auth-token", "alice")
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(Body::from(server(name, "1").to_string()))
            .expect("a request")
    };
    let first = raw(&api.router, create("web", "order-1")).await.ok(202);
    let again = raw(&api.router, create("web", "order-1")).await.ok(202);
    assert_eq!(first["server"]["id"], again["server"]["id"]);
    assert!(first["server"]["adminPass"].is_null());
    raw(&api.router, create("other", "order-1")).await.refusal(409, "conflictingRequest");
    raw(&api.router, create("web", "")).await.refusal(400, "badRequest");
    assert_eq!(api.client("alice").get("/servers").await.ids().len(), 1);
}

#[tokio::test]
async fn a_quota_forbids_and_says_of_what() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let (alice, admin) = (api.client("alice"), api.client("admin"));
    let set = json!({"quota_set": {"instances": 1}});
    admin.put("/os-quota-sets/project-a", set).await.ok(200);
    api.server(&alice, "first", "1").await;
    let refused = alice.post("/servers", server("second", "1")).await;
    let message = refused.refusal(403, "forbidden");
    assert!(message.contains("instances"), "{message}");
    let limits = alice.get("/limits").await.ok(200);
    assert_eq!(limits["limits"]["absolute"]["maxTotalInstances"], 1);
    assert_eq!(limits["limits"]["absolute"]["totalInstancesUsed"], 1);
}

#[tokio::test]
async fn what_is_no_uuid_is_not_found() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    for id in ["web", "1", "11111111-2222-4333-8444-555555555555"] {
        let answer = api.client("alice").get(&format!("/servers/{id}")).await;
        assert!(answer.refusal(404, "itemNotFound").contains(id));
    }
}

#[tokio::test]
async fn more_requests_than_are_worked_on_at_once_are_refused_at_once() {
    let mut options = cellzero_compute_api::ApiOptions::new(crate::support::tokens());
    options.requests_max = 0;
    let Some(api) = TestApi::with(Engine::Sqlite, options).await else { return };
    let answer = api.client("alice").get("/servers").await;
    answer.refusal(503, "serviceUnavailable");
    assert_eq!(answer.header("retry-after"), "1");
}
