//! What is shown of servers whose cell does not answer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cellzero_compute_api::ApiOptions;
use cellzero_test_support::{Engine, silent_listener};
use rstest::rstest;
use serde_json::Value;

use crate::support::{TestApi, tokens};

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_of_a_silent_cell_are_unknown_from_2_69_on_and_left_out_before(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let mut options = ApiOptions::new(tokens());
    options.request_timeout = Duration::from_secs(3);
    let Some(api) = TestApi::with(engine, options).await else { return };
    let alice = api.client("alice").at("2.100");
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(api.server(&alice, &format!("web-{number}"), "1").await);
    }
    let before = alice.get("/servers?limit=10").await;
    let before = before.ids();
    let listener = silent_listener();
    let hung = api.cells[0].0;
    let url = listener.url(Engine::Postgres);
    let move_it =
        format!("UPDATE cell_mappings SET database_connection = '{url}' WHERE uuid = '{hung}'");
    api.api.execute(&move_it).expect("the mapping is changed");

    let begun = Instant::now();
    let listed = alice.get("/servers/detail?limit=4").await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(listed.ids(), before);
    // A whole page goes on behind its last row, known or not.
    assert!(listed.body["servers_links"].is_array());
    let (unknown, known): (Vec<&Value>, Vec<&Value>) = listed.body["servers"]
        .as_array()
        .expect("a list")
        .iter()
        .partition(|server| server["status"] == "UNKNOWN");
    assert!(!unknown.is_empty() && !known.is_empty(), "{}", listed.body);
    let id = unknown[0]["id"].as_str().expect("an id");
    let expected = BTreeSet::from(["id", "status", "tenant_id", "created", "links"]);
    assert_eq!(keys(unknown[0]), expected);

    let brief = alice.get("/servers").await;
    let row = brief.body["servers"].as_array().expect("a list").iter().find(|row| row["id"] == id);
    assert_eq!(keys(row.expect("the row")), BTreeSet::from(["id", "status", "links"]));

    let shown = alice.get(&format!("/servers/{id}")).await.ok(200)["server"].clone();
    let expected = BTreeSet::from([
        "id",
        "status",
        "tenant_id",
        "created",
        "links",
        "user_id",
        "image",
        "flavor",
        "OS-EXT-AZ:availability_zone",
        "OS-EXT-STS:power_state",
        "server_groups",
    ]);
    assert_eq!(keys(&shown), expected);
    assert_eq!(shown["OS-EXT-AZ:availability_zone"], "UNKNOWN");
    assert_eq!(shown["flavor"]["original_name"], "flavor-1");

    // Older clients do not know of it.
    let old = alice.at("2.68");
    assert_eq!(old.get("/servers").await.ids().len(), known.len());
    old.get(&format!("/servers/{id}")).await.refusal(500, "computeFault");
    // What cannot be done now may be done later.
    let (path, stop) = (format!("/servers/{id}/action"), serde_json::json!({"os-stop": null}));
    alice.post(&path, stop).await.refusal(503, "serviceUnavailable");
}
