//! `instance show`.

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{NOWHERE, TestPlane, check_golden};

#[rstest]
fn an_instance_is_shown_by_name_and_by_uuid_wherever_it_lives(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let web = test.boot("web", "small", &["--tag", "blue", "--metadata", "rack=7"]).remove(0);
    let giant = test.boot("giant", "huge", &[]).remove(0);
    let ran = test.run(&["instance", "show", "web"]).ends(0);
    check_golden("instance-show", &ran.stdout);
    let ran = test.run(&["instance", "show", "giant"]).ends(0);
    check_golden("instance-show-buried", &format!("{}{}", ran.stdout, ran.stderr));
    for (uuid, cell) in [(&web, "cell1"), (&giant, "cell0")] {
        let ran = test.run(&["instance", "show", uuid, "--json"]).ends(0);
        let json = ran.json_of("instance-show");
        assert_eq!((json["uuid"].as_str(), json["cell"].as_str()), (Some(&**uuid), Some(cell)));
    }
    let of_other = ["instance", "show", &web, "--admin", "false", "--project", "b"];
    test.run(&of_other).ends(1);
    test.run(&["instance", "show", "nobody"]).ends(1);
    test.boot("web", "small", &[]);
    let ran = test.run(&["instance", "show", "web"]).ends(5);
    assert!(ran.stderr.contains(&web), "{}", ran.stderr);
}

#[test]
fn an_instance_whose_cell_does_not_answer_ends_with_6_and_is_not_missing() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    let web = test.boot("web", "small", &[]).remove(0);
    test.point(Some(test.cells[0].0), NOWHERE);
    let ran = test.run(&["instance", "show", &web]).ends(6);
    assert!(ran.stderr.contains("does not answer"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    // What the cell alone could know is no proof that there is none.
    test.run(&["instance", "show", "web"]).ends(6);
}
