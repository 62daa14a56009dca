//! `cell0 report`.

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, check_golden};

#[rstest]
fn what_is_buried_is_grouped_with_what_would_clear_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let ran = test.run(&["cell0", "report"]).ends(0);
    assert_eq!(ran.stdout, "nothing is buried\n");
    test.boot("giant", "huge", &["--count", "2", "--project", "a"]);
    test.boot("other", "huge", &["--project", "b"]);
    let ran = test.run(&["cell0", "report"]).ends(0);
    check_golden("cell0-report", &format!("{}{}", ran.stdout, ran.stderr));
    let json = test.run(&["cell0", "report", "--json"]).ends(0).json_of("cell0-report");
    assert_eq!(json["instances"], 3);
    assert_eq!(json["groups"][0]["clearance"]["in_all"]["vcpus"], 198);
    let ran = test.run(&["cell0", "report", "--admin", "false"]).ends(1);
    assert!(ran.stderr.contains("for an admin"), "{}", ran.stderr);
}
