//! `instance why`.

use cellzero::ComputeNode;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{NOWHERE, TestPlane, check_golden};

#[rstest]
fn a_burial_is_explained_then_and_now(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 2) else { return };
    let giant = test.boot("giant", "huge", &[]).remove(0);
    let ran = test.run(&["instance", "why", "giant"]).ends(0);
    check_golden("instance-why", &ran.stdout);
    let json = test.run(&["instance", "why", &giant, "--json"]).ends(0).json_of("instance-why");
    assert_eq!(json["now"]["fits"], false);
    assert_eq!(json["verdict"]["code"], "no_valid_host");

    let node = ComputeNode::new("giant-host", 128, 2_000_000, 1_000).with_ratios(1.0, 1.0, 1.0);
    test.wait(test.plane.hosts().report(test.cells[0].0, &node)).expect("a report");
    let ran = test.run(&["instance", "why", "giant"]).ends(0);
    check_golden("instance-why-fits-now", &ran.stdout);
    let ran = test.run(&["instance", "why", "giant", "--read-only"]).ends(0);
    assert!(ran.stdout.starts_with("No valid host was found."), "{}", ran.stdout);
}

#[test]
fn a_project_is_told_nothing_of_hosts() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    let as_project = ["--project", "a", "--admin", "false"];
    test.boot("giant", "huge", &as_project);
    let ran =
        test.run(&[&["instance", "why", "giant", "--json"][..], &as_project].concat()).ends(0);
    ran.json_of("instance-why");
    for hidden in ["cell1", "host1", "4096", "4,096"] {
        assert!(!ran.stdout.contains(hidden), "{hidden}: {}", ran.stdout);
    }
}

#[test]
fn what_is_not_buried_is_not_explained() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    test.boot("web", "small", &[]);
    let ran = test.run(&["instance", "why", "web"]).ends(2);
    assert!(ran.stderr.contains("it lives in cell1"), "{}", ran.stderr);
    test.run(&["instance", "why", "nobody"]).ends(1);
    test.run(&["instance", "why", "8a0ee18f-cefc-48f2-bc87-354e9d164617"]).ends(1);
    let giant = test.boot("giant", "huge", &["--count", "2"]).remove(0);
    test.boot("giant-1", "huge", &[]);
    test.run(&["instance", "why", "giant-1"]).ends(5);
    test.point(None, NOWHERE);
    test.run(&["instance", "why", &giant]).ends(6);
}
