//! `flavor …`.

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{IMAGE, TestPlane, check_golden};

#[rstest]
fn flavors_are_created_listed_shown_and_deleted(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let create = [
        "flavor",
        "create",
        "gpu",
        "--id",
        "9",
        "--vcpus",
        "2",
        "--ram",
        "2048",
        "--disk",
        "10",
        "--property",
        "hw:cpu_policy=shared",
        "--property",
        "note=a=b",
        "--private",
        "--for-project",
        "admin",
        "--description",
        "with a card",
    ];
    check_golden("flavor-show", &test.run(&create).ends(0).stdout);
    test.run(&create).ends(2);
    check_golden("flavor-list", &test.run(&["flavor", "list"]).ends(0).stdout);
    let all = test.run(&["flavor", "list", "--json"]).ends(0).json_of("flavor-list");
    assert_eq!(all["flavors"].as_array().unwrap().len(), 3);
    let one = test.run(&["flavor", "show", "9", "--json"]).ends(0).json_of("flavor-show");
    assert_eq!(one["extra_specs"]["note"], "a=b");
    assert_eq!(one["projects"][0], "admin");

    test.run(&["instance", "boot", "web", "--flavor", "9", "--image", IMAGE]).ends(0);
    let gone = test.run(&["flavor", "delete", "9", "--json"]).ends(0).json_of("flavor-delete");
    assert_eq!(gone["deleted"], "9");
    test.run(&["flavor", "delete", "9"]).ends(1);
    test.run(&["flavor", "show", "9"]).ends(1);
    let kept = test.run(&["instance", "show", "web", "--json"]).ends(0).json();
    assert_eq!(kept["flavor"], "gpu");
}

#[test]
fn what_cannot_be_a_flavor_is_a_usage_error() {
    let Some(test) = TestPlane::new(Engine::Sqlite, 0) else { return };
    let create = ["flavor", "create", "x", "--vcpus", "1", "--ram", "512"];
    for more in [
        &["--property", "no-value"][..],
        &["--property", "=value"],
        &["--for-project", "p"],
        &["--disk", "-1"],
    ] {
        test.run(&[&create[..], more].concat()).ends(64);
    }
    test.run(&["flavor", "create", "x", "--vcpus", "0", "--ram", "512"]).ends(64);
}
