//! `aggregate …`.

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, check_golden};

#[rstest]
fn aggregates_are_made_changed_and_deleted(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 2) else { return };
    let create = ["aggregate", "create", "rack-1", "--zone", "az1", "--property", "ssd=true"];
    test.run(&create).ends(0);
    test.run(&create).ends(2);
    let add = test.run(&["aggregate", "add-host", "rack-1", "cell1-host1"]).ends(0);
    check_golden("aggregate-show", &add.stdout);
    test.run(&["aggregate", "add-host", "rack-1", "cell1-host1"]).ends(0);
    test.run(&["aggregate", "add-host", "rack-1", "nobody"]).ends(1);
    test.run(&["aggregate", "add-host", "rack-9", "cell1-host1"]).ends(1);
    let set = ["aggregate", "set", "rack-1", "--property", "a=b", "--unset", "ssd", "--json"];
    let json = test.run(&set).ends(0).json_of("aggregate-show");
    assert_eq!(json["metadata"], serde_json::json!({ "a": "b", "availability_zone": "az1" }));
    test.run(&["aggregate", "create", "rack-2", "--zone", "az2"]).ends(0);
    test.run(&["aggregate", "add-host", "rack-2", "cell1-host1"]).ends(64);
    check_golden("aggregate-list", &test.run(&["aggregate", "list"]).ends(0).stdout);
    let all = test.run(&["aggregate", "list", "--json"]).ends(0).json_of("aggregate-list");
    assert_eq!(all["aggregates"].as_array().unwrap().len(), 2);
    let uuid = json["uuid"].as_str().unwrap();
    test.run(&["aggregate", "show", uuid]).ends(0);
    test.run(&["aggregate", "show", "nothing"]).ends(1);
    test.run(&["aggregate", "set", "nothing", "--zone", "x"]).ends(1);
    test.run(&["aggregate", "set", "rack-1"]).ends(64);

    test.run(&["aggregate", "delete", "rack-1"]).ends(3);
    test.run(&["aggregate", "remove-host", "rack-1", "cell2-host1"]).ends(1);
    let removed = test.run(&["aggregate", "remove-host", "rack-1", "cell1-host1", "--json"]);
    assert_eq!(removed.ends(0).json_of("aggregate-show")["hosts"], serde_json::json!([]));
    let gone = test.run(&["aggregate", "delete", "rack-1", "--json"]).ends(0);
    assert_eq!(gone.json_of("aggregate-delete")["deleted"], "rack-1");
    test.run(&["aggregate", "delete", "rack-1"]).ends(1);
}
