//! Lists: pages that go on where they ended, and every filter.

use cellzero_test_support::Engine;
use rstest::rstest;
use serde_json::json;

use crate::support::{Client, TestApi, server};

/// Follows the links of a list to its end; the ids of each page.
async fn pages(client: &Client, first: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut path = first.to_owned();
    loop {
        let page = client.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        pages.push(page.ids().into_iter().map(str::to_owned).collect());
        let Some(href) = page.body["servers_links"][0]["href"].as_str() else { return pages };
        let (host, rest) = href.split_once("/v2.1").expect("a link of the API");
        assert_eq!(host, "http://api.test:8774");
        path = rest.to_owned();
        assert!(pages.len() < 20, "endless pages");
    }
}

#[rstest]
#[tokio::test]
async fn pages_carry_every_parameter_and_are_the_list_in_pieces(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(api) = TestApi::new(engine).await else { return };
    let alice = api.client("alice");
    for name in ["c", "a", "e", "b", "d"] {
        let flavor = if name == "e" { "huge" } else { "1" };
        api.server(&alice, name, flavor).await;
    }
    // And one that has no home yet.
    alice.post("/servers", server("f", "1")).await.ok(202);
    let path = "/servers/detail?sort_key=display_name&sort_dir=asc&limit=2&name=%5E%5Ba-z%5D%24";
    let walked = pages(&alice, path).await;
    assert_eq!(walked.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2, 0]);
    let whole = alice.get("/servers/detail?sort_key=display_name&sort_dir=asc").await;
    let names: Vec<&str> = whole.body["servers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|server| server["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(walked.concat(), whole.ids());
    // The default order is that of creation, the latest first.
    let latest = alice.get("/servers?limit=1").await;
    assert_eq!(latest.ids(), [whole.ids()[5]]);
}

/// But for its server groups, which no list shows. An older microversion shows less of what stands
/// beside an instance, and at last nothing.
#[rstest]
#[tokio::test]
async fn a_listed_server_is_what_is_shown_of_it(
    #[values("2.1", "2.16", "2.71", "2.96", "2.100")] version: &str,
) {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let admin = api.client("admin").at(version);
    let mut body = server("hinted", "1");
    body["os:scheduler_hints"] = json!({"colour": "blue", "size": ["s", "m"]});
    admin.at("2.1").post("/servers", body).await.ok(202);
    api.settle().await;
    api.server(&admin, "plain", "1").await;
    api.server(&admin, "large", "huge").await;
    let listed = admin.get("/servers/detail").await.ok(200);
    let listed = listed["servers"].as_array().expect("a list");
    assert_eq!(listed.len(), 3);
    for one in listed {
        let path = format!("/servers/{}", one["id"].as_str().expect("an id"));
        let mut shown = admin.get(&path).await.ok(200)["server"].take();
        shown.as_object_mut().expect("a server").remove("server_groups");
        assert_eq!(*one, shown);
    }
    if version == "2.100" {
        let hints = json!({"colour": "blue", "size": ["s", "m"]});
        assert_eq!(listed[2]["scheduler_hints"], hints);
    }
}

#[rstest]
#[case::by_name("name=we", &["web-1", "web-2"])]
#[case::by_a_regular_expression("name=%5Ed.", &["db"])]
#[case::by_status("status=active", &["db", "web-1", "web-2"])]
#[case::by_two_statuses("status=ACTIVE&status=error", &["db", "large", "web-1", "web-2"])]
#[case::by_a_status_that_is_none_before_2_38("status=fine", &[])]
#[case::by_flavor("flavor=2", &["db"])]
#[case::by_a_flavor_that_is_none("flavor=none", &[])]
#[case::by_image("image=70a599e0-31e7-49b7-b260-868f441e862b", &["db", "large", "web-1", "web-2"])]
#[case::by_another_image("image=00000000-31e7-49b7-b260-868f441e862b", &[])]
#[case::not_deleted("deleted=False", &["db", "large", "web-1", "web-2"])]
#[case::what_others_may_not_filter_by_is_passed_over("host=elsewhere", &["db", "large", "web-1", "web-2"])]
#[case::changed_lately("changes-since=2020-01-01T00:00:00Z", &["db", "large", "web-1", "web-2"])]
#[case::changed_in_the_future("changes-since=2199-01-01T00:00:00Z", &[])]
#[case::limit_0("limit=0", &[])]
#[tokio::test]
async fn a_filter_lets_through_what_it_says(
    #[case] query: &str,
    #[case] expected: &[&str],
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(api) = TestApi::new(engine).await else { return };
    let alice = api.client("alice");
    for (name, flavor) in [("web-1", "1"), ("web-2", "1"), ("db", "2"), ("large", "huge")] {
        api.server(&alice, name, flavor).await;
    }
    let listed = alice.get(&format!("/servers/detail?{query}")).await;
    let mut names: Vec<&str> = listed.body["servers"]
        .as_array()
        .unwrap_or_else(|| panic!("{}", listed.body))
        .iter()
        .map(|server| server["name"].as_str().expect("a name"))
        .collect();
    names.sort_unstable();
    assert_eq!(names, expected);
}

#[rstest]
#[case("2.1", "limit=-1")]
#[case("2.1", "limit=many")]
#[case("2.1", "marker=11111111-2222-4333-8444-555555555555")]
#[case("2.1", "marker=web")]
#[case("2.1", "changes-since=yesterday")]
#[case("2.1", "sort_key=colour")]
#[case("2.1", "sort_key=uuid&sort_dir=up")]
#[case("2.1", "name=%5B")]
#[case("2.38", "status=fine")]
#[case("2.75", "colour=blue")]
#[case("2.66", "changes-since=2026-01-02&changes-before=2026-01-01")]
#[case("2.1", "all_tenants=perhaps")]
#[tokio::test]
async fn a_query_that_cannot_be_asked_is_refused(#[case] version: &str, #[case] query: &str) {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let alice = api.client("alice").at(version);
    for path in ["/servers", "/servers/detail"] {
        alice.get(&format!("{path}?{query}")).await.refusal(400, "badRequest");
    }
}

#[tokio::test]
async fn only_admins_sort_by_host_and_list_what_is_deleted() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let (alice, admin) = (api.client("alice"), api.client("admin"));
    let id = api.server(&alice, "web", "1").await;
    alice.get("/servers?sort_key=host").await.refusal(403, "forbidden");
    alice.get("/servers?status=deleted").await.refusal(403, "forbidden");
    alice.delete(&format!("/servers/{id}")).await.ok(204);
    api.settle().await;
    assert!(alice.get("/servers").await.ids().is_empty());
    let since = "/servers/detail?changes-since=2020-01-01T00:00:00Z";
    let changed = alice.get(since).await;
    assert_eq!(changed.ids(), [id.as_str()]);
    assert_eq!(changed.body["servers"][0]["status"], "DELETED");
    for query in ["deleted=True", "status=deleted"] {
        let listed = admin.get(&format!("/servers/detail?all_tenants=1&{query}")).await;
        assert_eq!(listed.ids(), [id.as_str()], "{query}");
    }
}

#[tokio::test]
async fn tags_filter_from_2_26_on() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let alice = api.client("alice").at("2.52");
    let mut ids = Vec::new();
    for (name, tags) in [("a", json!(["x", "y"])), ("b", json!(["x"])), ("c", json!([]))] {
        let mut body = server(name, "1");
        body["server"]["tags"] = tags;
        let created = alice.post("/servers", body).await.ok(202);
        ids.push(created["server"]["id"].as_str().expect("an id").to_owned());
        api.settle().await;
    }
    for (query, expected) in [
        ("tags=x,y", vec![&ids[0]]),
        ("tags-any=y,z", vec![&ids[0]]),
        ("not-tags=x,y", vec![&ids[2], &ids[1]]),
        ("not-tags-any=x", vec![&ids[2]]),
    ] {
        let listed = alice.get(&format!("/servers?{query}")).await;
        assert_eq!(listed.ids(), expected, "{query}");
        // Before, nobody knew of tags.
        assert_eq!(alice.at("2.25").get(&format!("/servers?{query}")).await.ids().len(), 3);
    }
}
