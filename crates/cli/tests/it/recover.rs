//! `recover`.

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{IMAGE, NOWHERE, TestPlane, check_golden};

#[rstest]
fn what_waits_is_brought_home_once_it_can_be(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let boot = ["instance", "boot", "--image", IMAGE, "--no-wait", "--flavor"];
    test.run_alone(&[&boot[..], &["small", "web"]].concat()).ends(0);
    let ran = test.run(&["recover", "--all"]).ends(0);
    check_golden("recover", &ran.stdout);
    test.run_alone(&[&boot[..], &["huge", "giant"]].concat()).ends(0);
    let cell0 = test.cell0.url().to_owned();
    test.point(None, NOWHERE);
    let json = test.run(&["recover", "--json"]).ends(3).json_of("recover");
    assert_eq!(json["waiting"], 1);
    test.point(None, &cell0);
    let home = || test.run(&["recover", "--json"]).json()["in_cell0"] == 1;
    // It is left alone for the time of its back-off.
    assert!((0..100).any(|_| home() || {
        std::thread::sleep(std::time::Duration::from_millis(100));
        false
    }));
}
