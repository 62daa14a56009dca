//! `quota …`.

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{IMAGE, TestPlane, check_golden};

#[rstest]
fn limits_are_set_shown_and_hold(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let class = ["quota", "set", "--class", "default", "--instances", "1", "--ram", "9000"];
    assert_eq!(test.run(&class).ends(0).stdout, "class default: instances, ram set\n");
    let set = ["quota", "set", "admin", "--cores", "8", "--ram", "-1", "--auto-retry", "true"];
    test.run(&set).ends(0);
    let boot = ["instance", "boot", "web", "--flavor", "1", "--image", IMAGE];
    test.run(&boot).ends(0);
    test.run(&boot).ends(1);
    check_golden("quota-show", &test.run(&["quota", "show", "admin"]).ends(0).stdout);
    let json = test.run(&["quota", "show", "admin", "--json"]).ends(0).json_of("quota-show");
    assert_eq!((&json["resources"][0]["used"], &json["auto_retry"]), (&1.into(), &true.into()));

    let raise = ["quota", "set", "admin", "--instances", "2", "--json"];
    let json = test.run(&raise).ends(0).json_of("quota-show");
    assert_eq!(json["resources"][0]["source"], "project");
    test.run(&boot).ends(0);
    let back = ["quota", "set", "admin", "--instances", "default", "--json"];
    let json = test.run(&back).ends(0).json_of("quota-show");
    assert_eq!(json["resources"][0]["source"], "class");
    let none = ["quota", "set", "--class", "default", "--instances", "default", "--json"];
    let json = test.run(&none).ends(0).json_of("quota-set-class");
    assert_eq!(json["set"][0], "instances");
    test.run(&boot).ends(0);
}

#[test]
fn what_cannot_be_a_limit_is_a_usage_error() {
    let Some(test) = TestPlane::new(Engine::Sqlite, 0) else { return };
    for args in [
        &["quota", "set", "p"][..],
        &["quota", "set", "--instances", "1"],
        &["quota", "set", "p", "--instances", "-2"],
        &["quota", "set", "p", "--instances", "many"],
        &["quota", "set", "p", "--class", "default", "--instances", "1"],
        &["quota", "set", "--class", "gold", "--instances", "1"],
        &["quota", "show"],
    ] {
        test.run(args).ends(64);
    }
}
