//! `instance delete`.

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::TestPlane;

#[rstest]
fn instances_are_deleted_wherever_they_live(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let web = test.boot("web", "small", &[]).remove(0);
    test.boot("giant", "huge", &[]);
    let ran = test.run(&["instance", "delete", &web, "giant", "--json"]).ends(0);
    let json = ran.json_of("instance-delete");
    assert_eq!(json["deleted"].as_array().map(Vec::len), Some(2));
    assert_eq!(test.run(&["instance", "list"]).ends(0).stdout, "no instances\n");
    // Nothing is left for a worker to do.
    let ran = test.run(&["fsck"]).ends(0);
    assert!(ran.stderr.contains("0 findings"), "{}", ran.stderr);
}

#[test]
fn a_typing_error_deletes_nothing() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    let web = test.boot("web", "small", &[]).remove(0);
    test.run(&["instance", "delete", "web", "wbe"]).ends(1);
    test.run(&["instance", "show", "web"]).ends(0);
    test.boot("web", "small", &[]);
    test.run(&["instance", "delete", "web"]).ends(5);
    let ran = test.run(&["instance", "delete", &web]).ends(0);
    assert_eq!(ran.stdout, format!("{web} is deleted\n"));
    let ran = test.run(&["instance", "delete", &web, "--json"]).ends(1);
    assert_eq!(ran.json_of("instance-delete")["not_found"], serde_json::json!([web]));
}
