//! `db archive` and `db purge`.

use cellzero::{BootRequest, RequestContext};
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{Cellzero, IMAGE, TestPlane, check_golden};

/// A plane with two instances in a cell and one in cell0, deleted long ago, and one that lives.
fn with_deleted(engine: Engine) -> Option<TestPlane> {
    let test = TestPlane::new(engine, 1)?;
    let ctx = RequestContext::new("admin", "admin");
    for (flavor, count) in [("small", 3), ("huge", 1)] {
        let id = if flavor == "small" { "1" } else { "2" };
        let request =
            BootRequest::builder("web", id, IMAGE).count(count).build().expect("a request");
        let accepted = test.wait(test.plane.boot(&ctx, request)).expect("accepted");
        test.wait(test.plane.settle()).expect("settled");
        let dead = if flavor == "small" { &accepted.instances[..2] } else { &accepted.instances };
        for uuid in dead {
            test.wait(test.plane.delete(&ctx, *uuid)).expect("deleted");
        }
    }
    test.wait(test.plane.settle()).expect("settled");
    let old = "UPDATE instance_mappings SET created_at = '2020-01-01 00:00:00', \
               updated_at = '2020-01-02 00:00:00' WHERE queued_for_delete";
    test.api.execute(old).expect("an update");
    Some(test)
}

#[rstest]
fn what_was_deleted_is_archived_and_purged(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = with_deleted(engine) else { return };
    assert_eq!(test.run(&["db", "purge", "--all"]).ends(3).stdout, "", "nothing is archived yet");
    let early = ["db", "archive", "--before", "2020-01-01"];
    assert_eq!(test.run(&early).ends(0).stdout, "", "nothing was deleted before");

    // In two parts, the first for people.
    let ran = test.run(&["db", "archive", "--max-rows", "2"]).ends(1);
    assert!(ran.stderr.contains("2 instances archived"), "{}", ran.stderr);
    assert!(ran.stderr.contains("run it again"), "{}", ran.stderr);
    let json = test.run(&["db", "archive", "--until-complete", "--json"]).ends(1);
    let json = json.json_of("db-archive");
    assert_eq!((&json["instances"], &json["complete"]), (&1.into(), &true.into()));
    test.run(&["db", "archive"]).ends(0);
    let shadow = test.api.query("SELECT COUNT(*) FROM shadow_instance_mappings").expect("a count");
    assert_eq!(shadow[0][0].as_deref(), Some("3"));

    test.run(&["db", "purge", "--before", "2020-01-01T00:00:00Z"]).ends(3);
    let json = test.run(&["db", "purge", "--all", "--json"]).ends(0).json_of("db-purge");
    assert_eq!(json["api"]["instance_mappings"], 3);
    test.run(&["db", "purge", "--all"]).ends(3);
    test.run(&["fsck"]).ends(0);
}

#[rstest]
fn the_rows_of_each_table_are_shown(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = with_deleted(engine) else { return };
    let ran = test.run(&["db", "archive", "--purge"]).ends(1);
    // Which cell comes first is up to their uuids.
    let mut lines: Vec<&str> = ran.stdout.lines().collect();
    lines.sort_unstable();
    check_golden("db_archive", &lines.join("\n"));
    assert!(ran.stderr.contains("3 instances archived, deleted before 20"), "{}", ran.stderr);
    test.run(&["db", "purge", "--all"]).ends(3);
}

#[rstest]
fn a_cell_that_does_not_answer_is_named_and_keeps_what_it_has(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = with_deleted(engine) else { return };
    let (cell, _) = test.cells[0];
    let away = format!(
        "UPDATE cell_mappings SET database_connection = '/nowhere/at/all.db' WHERE uuid = '{cell}'"
    );
    test.api.execute(&away).expect("an update");
    let ran = test.run(&["db", "archive"]).ends(1);
    assert!(ran.stderr.contains("cell cell1 did not answer, 2 instances stay"), "{}", ran.stderr);
    assert!(ran.stderr.contains("1 instances archived"), "{}", ran.stderr);
    test.run(&["db", "archive"]).ends(69);
    let json = test.run(&["db", "archive", "--json"]).ends(69).json_of("db-archive");
    assert_eq!(json["left"][cell.to_string()], 2);
    let json = test.run(&["db", "purge", "--all", "--json"]).ends(69).json_of("db-purge");
    assert!(json["unreachable"][cell.to_string()].is_string(), "{json}");
}

#[rstest]
#[case::of_no_number(&["db", "archive", "--max-rows", "many"], 2)]
#[case::of_nothing(&["db", "archive", "--max-rows", "0"], 2)]
#[case::below_nothing(&["db", "archive", "--max-rows", "-5"], 2)]
#[case::without_a_plane(&["db", "archive"], 3)]
#[case::of_no_date(&["db", "archive", "--before", "soon"], 4)]
#[case::of_nothing_named(&["db", "purge"], 1)]
#[case::purge_of_no_date(&["db", "purge", "--before", "soon"], 2)]
#[case::purge_without_a_plane(&["db", "purge", "--all"], 4)]
#[case::purge_of_both(&["db", "purge", "--all", "--before", "2020-01-01"], 64)]
fn what_cannot_be_done_ends_with_its_own_code(#[case] args: &[&str], #[case] code: i32) {
    let ran = Cellzero::new().run(args).ends(code);
    assert_eq!(ran.stdout, "");
    assert!(!ran.stderr.is_empty());
}
