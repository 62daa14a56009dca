//! What is done to servers: actions, changes, metadata, tags; and what a buried one refuses.

use cellzero_compute_api::{Policy, Role, operations};
use cellzero_test_support::Engine;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Client, IMAGE, TestApi};

async fn act(client: &Client, id: &str, body: Value) -> crate::support::Answer {
    client.post(&format!("/servers/{id}/action"), body).await
}

async fn status(client: &Client, id: &str) -> String {
    let shown = client.get(&format!("/servers/{id}")).await.ok(200);
    shown["server"]["status"].as_str().expect("a status").to_owned()
}

#[rstest]
#[tokio::test]
async fn actions_bring_a_live_server_to_their_states(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(api) = TestApi::new(engine).await else { return };
    let alice = api.client("alice").at("2.100");
    let id = api.server(&alice, "web", "1").await;
    for (body, then) in [
        (json!({"os-stop": null}), "SHUTOFF"),
        (json!({"os-start": null}), "ACTIVE"),
        (json!({"pause": null}), "PAUSED"),
        (json!({"unpause": null}), "ACTIVE"),
        (json!({"suspend": null}), "SUSPENDED"),
        (json!({"resume": null}), "ACTIVE"),
        (json!({"reboot": {"type": "SOFT"}}), "ACTIVE"),
        (json!({"reboot": {"type": "HARD"}}), "ACTIVE"),
        (json!({"rebuild": {"imageRef": IMAGE}}), "ACTIVE"),
    ] {
        let done = act(&alice, &id, body.clone()).await;
        assert_eq!(done.status, 202, "{body}: {}", done.body);
        api.settle().await;
        assert_eq!(status(&alice, &id).await, then, "{body}");
    }
    act(&alice, &id, json!({"os-start": null})).await.refusal(409, "conflictingRequest");
    act(&alice, &id, json!({"resize": {}})).await.refusal(400, "badRequest");
    act(&alice, &id, json!({"os-stop": null, "pause": null})).await.refusal(400, "badRequest");
    let listed = alice.get(&format!("/servers/{id}/os-instance-actions")).await.ok(200);
    let actions = listed["instanceActions"].as_array().expect("a list");
    assert_eq!(actions.first().expect("the latest")["action"], "rebuild");
    assert_eq!(actions.last().expect("the first")["action"], "create");
    let request = actions[0]["request_id"].as_str().expect("a request");
    let one = alice.get(&format!("/servers/{id}/os-instance-actions/{request}")).await.ok(200);
    assert!(!one["instanceAction"]["events"].as_array().expect("events").is_empty());
}

/// One message, whatever the action; delete and show go on.
#[rstest]
#[tokio::test]
async fn a_buried_server_refuses_every_action_and_says_where_it_is(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(api) = TestApi::new(engine).await else { return };
    let alice = api.client("alice");
    let id = api.server(&alice, "large", "huge").await;
    let mut asked = 0;
    for operation in operations() {
        let is_delete = operation.name == "forceDelete";
        let is_for_admins = operation.policy == Policy::Needs(Role::Admin);
        if !operation.path.ends_with("/action") || is_delete || is_for_admins {
            continue;
        }
        let body = operation.example.expect("an action has a body");
        let answer = act(&alice, &id, body.clone()).await;
        let message = answer.refusal(409, "conflictingRequest");
        assert!(message.contains("cell0"), "{body}: {message}");
        asked += 1;
    }
    assert!(asked >= 10, "only {asked} actions");
    let listed = alice.get(&format!("/servers/{id}/os-instance-actions")).await.ok(200);
    assert_eq!(listed["instanceActions"].as_array().expect("a list").len(), 1);
    assert_eq!(listed["instanceActions"][0]["action"], "create");
    alice.delete(&format!("/servers/{id}")).await.ok(204);
}

#[tokio::test]
async fn a_locked_server_is_changed_by_nobody_but_an_admin_and_says_why() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let alice = api.client("alice").at("2.73");
    let id = api.server(&alice, "web", "1").await;
    act(&alice, &id, json!({"lock": {"locked_reason": "audit"}})).await.ok(202);
    let shown = alice.get(&format!("/servers/{id}")).await.ok(200);
    assert_eq!(
        (&shown["server"]["locked"], &shown["server"]["locked_reason"]),
        (&json!(true), &json!("audit"))
    );
    act(&alice, &id, json!({"os-stop": null})).await.refusal(409, "conflictingRequest");
    alice.delete(&format!("/servers/{id}")).await.refusal(409, "conflictingRequest");
    act(&alice.at("2.72"), &id, json!({"lock": {"locked_reason": "x"}}))
        .await
        .refusal(400, "badRequest");
    act(&alice, &id, json!({"unlock": null})).await.ok(202);
    alice.delete(&format!("/servers/{id}")).await.ok(204);
}

#[rstest]
#[tokio::test]
async fn a_change_is_shown_narrow_before_2_75_and_whole_from_then_on(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(api) = TestApi::new(engine).await else { return };
    let alice = api.client("alice");
    for flavor in ["1", "huge"] {
        let id = api.server(&alice, "web", flavor).await;
        let path = format!("/servers/{id}");
        let body = json!({"server": {"name": "new", "accessIPv4": "10.0.0.1"}});
        let narrow = alice.at("2.74").put(&path, body.clone()).await.ok(200)["server"].clone();
        assert_eq!((&narrow["name"], &narrow["accessIPv4"]), (&json!("new"), &json!("10.0.0.1")));
        for key in ["OS-EXT-STS:vm_state", "key_name", "config_drive", "security_groups"] {
            assert!(narrow.get(key).is_none(), "{key}");
        }
        let whole = alice.at("2.75").put(&path, body).await.ok(200)["server"].clone();
        assert!(whole.get("OS-EXT-STS:vm_state").is_some());
        assert_eq!(alice.get(&path).await.ok(200)["server"]["name"], "new");
    }
    let id = api.server(&alice, "web", "1").await;
    for (version, with) in [
        ("2.18", json!({"description": "x"})),
        ("2.89", json!({"hostname": "x"})),
        ("2.1", json!({"accessIPv4": "ten"})),
        ("2.1", json!({"name": ""})),
        ("2.1", json!({"colour": "blue"})),
    ] {
        let body = json!({"server": with});
        alice.at(version).put(&format!("/servers/{id}"), body).await.refusal(400, "badRequest");
    }
}

#[tokio::test]
async fn metadata_is_set_replaced_and_removed() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let alice = api.client("alice");
    let id = api.server(&alice, "web", "1").await;
    let path = format!("/servers/{id}/metadata");
    let set = alice.post(&path, json!({"metadata": {"a": "1", "b": "2"}})).await.ok(200);
    assert_eq!(set["metadata"], json!({"a": "1", "b": "2"}));
    let one = format!("{path}/a");
    alice.put(&one, json!({"meta": {"a": "3"}})).await.ok(200);
    assert_eq!(alice.get(&one).await.ok(200)["meta"], json!({"a": "3"}));
    alice.put(&one, json!({"meta": {"c": "3"}})).await.refusal(400, "badRequest");
    alice.delete(&one).await.ok(204);
    alice.get(&one).await.refusal(404, "itemNotFound");
    alice.delete(&one).await.refusal(404, "itemNotFound");
    let all = alice.put(&path, json!({"metadata": {"z": "9"}})).await.ok(200);
    assert_eq!(all["metadata"], json!({"z": "9"}));
    let many: serde_json::Map<String, Value> =
        (0..129).map(|number| (format!("k{number}"), json!("v"))).collect();
    alice.put(&path, json!({"metadata": many})).await.refusal(403, "forbidden");
    let long = json!({"metadata": {"k".repeat(256): "v"}});
    alice.post(&path, long).await.refusal(400, "badRequest");
}

#[tokio::test]
async fn tags_are_added_once_replaced_and_removed() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let alice = api.client("alice").at("2.26");
    let id = api.server(&alice, "web", "1").await;
    let path = format!("/servers/{id}/tags");
    let added = alice.put(&format!("{path}/blue"), Value::Null).await;
    assert_eq!(added.header("location"), format!("http://api.test:8774/v2.1{path}/blue"));
    added.ok(201);
    alice.put(&format!("{path}/blue"), Value::Null).await.ok(204);
    alice.get(&format!("{path}/blue")).await.ok(204);
    alice.get(&format!("{path}/red")).await.refusal(404, "itemNotFound");
    let all = alice.put(&path, json!({"tags": ["x", "y"]})).await.ok(200);
    assert_eq!(all["tags"], json!(["x", "y"]));
    alice.delete(&format!("{path}/x")).await.ok(204);
    alice.delete(&format!("{path}/x")).await.refusal(404, "itemNotFound");
    alice.delete(&path).await.ok(204);
    assert_eq!(alice.get(&path).await.ok(200)["tags"], json!([]));
}

#[tokio::test]
async fn key_pairs_and_server_groups_belong_to_who_made_them() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let (alice, bob) = (api.client("alice"), api.client("bob"));
    let made = alice.at("2.2").post("/os-keypairs", json!({"keypair": {"name": "mine"}})).await;
    let key = made.ok(201)["keypair"].clone();
    assert!(key["private_key"].as_str().expect("a key").contains("OPENSSH PRIVATE KEY"));
    assert!(key["public_key"].as_str().expect("a key").starts_with("ssh-ed25519 "));
    let shown = alice.at("2.2").get("/os-keypairs/mine").await.ok(200);
    assert_eq!(shown["keypair"]["fingerprint"], key["fingerprint"]);
    bob.get("/os-keypairs/mine").await.refusal(404, "itemNotFound");
    alice
        .post("/os-keypairs", json!({"keypair": {"name": "mine"}}))
        .await
        .refusal(409, "conflictingRequest");
    alice
        .at("2.92")
        .post("/os-keypairs", json!({"keypair": {"name": "x"}}))
        .await
        .refusal(400, "badRequest");
    assert_eq!(alice.delete("/os-keypairs/mine").await.status, 202);

    let group = json!({"server_group": {"name": "ha", "policies": ["anti-affinity"]}});
    let group = alice.post("/os-server-groups", group).await.ok(200)["server_group"].clone();
    let path = format!("/os-server-groups/{}", group["id"].as_str().expect("an id"));
    assert_eq!(
        alice.at("2.64").get(&path).await.ok(200)["server_group"]["policy"],
        "anti-affinity"
    );
    bob.get(&path).await.refusal(404, "itemNotFound");
    bob.delete(&path).await.refusal(404, "itemNotFound");
    alice.delete(&path).await.ok(204);
    alice.get(&path).await.refusal(404, "itemNotFound");
}

#[tokio::test]
async fn admins_see_hosts_and_close_them() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let (alice, admin) = (api.client("alice"), api.client("admin").at("2.53"));
    api.server(&alice, "web", "1").await;
    let zones = alice.get("/os-availability-zone").await.ok(200);
    assert_eq!(zones["availabilityZoneInfo"][0]["zoneName"], "nova");
    let hypervisors = admin.get("/os-hypervisors/detail").await.ok(200);
    let hypervisors = hypervisors["hypervisors"].as_array().expect("a list").clone();
    assert_eq!(hypervisors.len(), 2);
    let running: i64 =
        hypervisors.iter().map(|one| one["running_vms"].as_i64().expect("many")).sum();
    assert_eq!(running, 1);
    let services = admin.get("/os-services?host=host1").await.ok(200);
    let id = services["services"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/os-services/{id}");
    let closed = json!({"status": "disabled", "disabled_reason": "repair"});
    let closed = admin.put(&path, closed).await.ok(200);
    assert_eq!(closed["service"]["status"], "disabled");
    let opened = admin.put(&path, json!({"status": "enabled"})).await.ok(200);
    assert_eq!(opened["service"]["status"], "enabled");
    let old = json!({"host": "host1", "binary": "nova-compute"});
    admin.at("2.52").put("/os-services/disable", old).await.ok(200);
    let usage = alice.get("/os-simple-tenant-usage/project-a").await.ok(200);
    assert_eq!(usage["tenant_usage"]["server_usages"].as_array().expect("a list").len(), 1);
    alice.get("/os-simple-tenant-usage/project-b").await.refusal(403, "forbidden");
}
