//! `instance retry`.

use cellzero::ComputeNode;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{NOWHERE, TestPlane};

#[rstest]
fn a_buried_instance_is_tried_again_under_its_uuid(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let giant = test.boot("giant", "huge", &[]).remove(0);
    let ran = test.run(&["instance", "retry", "giant", "--json"]).ends(2);
    assert_eq!(ran.json_of("instance-boot")["instances"][0]["home"], "cell0");
    let node = ComputeNode::new("giant-host", 128, 2_000_000, 1_000).with_ratios(1.0, 1.0, 1.0);
    test.wait(test.plane.hosts().report(test.cells[0].0, &node)).expect("a report");
    let ran = test.run(&["instance", "retry", &giant, "--json"]).ends(0);
    let json = ran.json_of("instance-boot");
    assert_eq!(json["instances"][0]["uuid"], *giant);
    assert_eq!(json["instances"][0]["host"], "giant-host");
    let ran = test.run(&["instance", "retry", &giant]).ends(4);
    assert!(ran.stderr.contains("only one that is buried"), "{}", ran.stderr);
}

#[test]
fn a_retry_that_is_not_done_says_why() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    test.run(&["instance", "retry", "nobody"]).ends(1);
    test.run(&["instance", "retry", "8a0ee18f-cefc-48f2-bc87-354e9d164617"]).ends(1);
    let giant = test.boot("giant", "huge", &[]).remove(0);
    test.run_alone(&["instance", "retry", "giant", "--timeout", "1"]).ends(3);
    test.run(&["recover"]).ends(0);
    test.wait(test.plane.quotas().set("admin", "instances", Some(0))).expect("a quota");
    let ran = test.run(&["instance", "retry", &giant]).ends(1);
    assert!(ran.stderr.contains("quota exceeded"), "{}", ran.stderr);
    test.boot("giant", "huge", &["--project", "b"]);
    test.run(&["instance", "retry", "giant"]).ends(5);
    test.point(None, NOWHERE);
    test.run(&["instance", "retry", &giant]).ends(6);
}
