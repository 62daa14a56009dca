//! `fsck`.

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{NOWHERE, TestPlane, check_golden};

#[rstest]
fn what_is_wrong_is_named_then_repaired_then_gone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    test.boot("web", "small", &[]);
    let ran = test.run(&["fsck"]).ends(0);
    assert_eq!(ran.stderr, "1 instances and 1 hosts looked at: 0 findings\n");
    assert_eq!(ran.stdout, "");
    let lost = "8a0ee18f-cefc-48f2-bc87-354e9d164617";
    for statement in [
        "UPDATE host_capacity SET vcpus_used = vcpus_used + 1".to_owned(),
        format!("INSERT INTO request_specs (instance_uuid, spec) VALUES ('{lost}', '{{}}')"),
    ] {
        test.api.execute(&statement).expect("a statement");
    }
    let ran = test.run(&["fsck"]).ends(1);
    check_golden("fsck", &ran.stdout);
    let json = test.run(&["fsck", "--json"]).ends(1).json_of("fsck");
    assert_eq!(json["counts"]["claims-miscounted"], 1);
    let ran = test.run(&["fsck", "--repair", "--dump", "gone.jsonl", "--json"]).ends(3);
    let json = ran.json_of("fsck");
    assert!(json["findings"].as_array().expect("findings").iter().all(|f| f["repaired"] == true));
    let gone = std::fs::read_to_string(test.cellzero.path().join("gone.jsonl")).expect("a file");
    assert!(gone.contains(lost) && gone.ends_with('\n'), "{gone}");
    test.run(&["fsck", "--json"]).ends(0).json_of("fsck");
}

#[test]
fn a_cell_that_does_not_answer_ends_with_2() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    test.boot("web", "small", &[]);
    test.point(Some(test.cells[0].0), NOWHERE);
    let ran = test.run(&["fsck"]).ends(2);
    assert!(ran.stderr.contains("cell cell1 did not answer"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
}

#[test]
fn a_repair_keeps_what_it_deletes_though_no_file_is_named() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    let lost = "8a0ee18f-cefc-48f2-bc87-354e9d164617";
    let insert =
        format!("INSERT INTO request_specs (instance_uuid, spec) VALUES ('{lost}', '{{}}')");
    test.api.execute(&insert).expect("a statement");
    let ran = test.run(&["fsck", "--repair"]).ends(3);
    let name = ran
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("what was deleted or replaced is kept in "));
    let kept = test.cellzero.path().join(name.expect(&ran.stderr));
    assert!(std::fs::read_to_string(kept).expect("a file").contains(lost));
    test.run(&["fsck", "--dump", "x"]).ends(64);
}
