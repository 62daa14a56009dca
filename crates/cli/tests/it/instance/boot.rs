//! `instance boot`.

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{IMAGE, TestPlane, check_golden};

#[rstest]
fn a_boot_ends_with_where_its_instances_are(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let boot = ["instance", "boot", "--flavor", "small", "--image", IMAGE];
    let ran = test.run(&[&boot[..], &["web", "--count", "2", "--tag", "blue"]].concat()).ends(0);
    check_golden("instance-boot", &ran.stdout);
    assert_eq!(ran.stderr, "");
    let ran = test.run(&[&boot[..], &["other", "--json"]].concat()).ends(0);
    let json = ran.json_of("instance-boot");
    assert_eq!(json["instances"][0]["host"], "cell1-host1");
    assert_eq!(json["instances"][0]["status"], "ACTIVE");
}

#[rstest]
fn a_boot_that_fits_nowhere_ends_with_2_and_says_why(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let boot = ["instance", "boot", "giant", "--flavor", "huge", "--image", IMAGE];
    let ran = test.run(&boot).ends(2);
    check_golden("instance-boot-buried", &format!("{}{}", ran.stdout, ran.stderr));
    let ran = test.run(&[&boot[..], &["--json"]].concat()).ends(2);
    assert_eq!(ran.json_of("instance-boot")["instances"][0]["home"], "cell0");
}

#[rstest]
fn a_boot_without_a_worker_ends_with_3_and_stays_accepted(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let boot = ["instance", "boot", "web", "--flavor", "small", "--image", IMAGE];
    let ran = test.run_alone(&[&boot[..], &["--timeout", "1"]].concat()).ends(3);
    assert!(ran.stderr.contains("cellzero worker"), "{}", ran.stderr);
    // Its lease was handed back, so that whoever comes next brings it home at once.
    test.run(&["recover"]).ends(0);
    let ran = test.run(&["instance", "show", "web", "--json"]).ends(0);
    assert_eq!(ran.json()["status"], "ACTIVE");
    let ran = test.run_alone(&[&boot[..], &["--no-wait", "--json"]].concat()).ends(0);
    assert_eq!(ran.json_of("instance-boot")["instances"][0]["home"], "none");
}

#[rstest]
#[case::no_such_flavor(&["--flavor", "none", "--image", IMAGE], "there are: small, huge")]
#[case::no_image(&["--flavor", "small", "--image", "debian"], "the uuid of an image")]
#[case::no_such_key(&["--flavor", "small", "--image", IMAGE, "--key-name", "k"], "key")]
#[case::too_many(&["--flavor", "small", "--image", IMAGE, "--count", "2000"], "at most 1000")]
fn a_request_that_is_refused_ends_with_1_and_stores_nothing(
    #[case] args: &[&str],
    #[case] said: &str,
) {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    let ran = test.run(&[&["instance", "boot", "web"][..], args].concat()).ends(1);
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    let ran = test.run(&["instance", "list", "--json"]).ends(0);
    assert_eq!(ran.json()["instances"], serde_json::json!([]));
}

#[rstest]
fn a_quota_refuses_with_1_and_a_repeated_token_answers_again(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let boot = ["instance", "boot", "web", "--flavor", "small", "--image", IMAGE, "--json"];
    let with_token = [&boot[..], &["--client-token", "t1"]].concat();
    let first = test.run(&with_token).ends(0).json();
    test.wait(test.plane.quotas().set("admin", "instances", Some(1))).expect("a quota");
    let again = test.run(&with_token).ends(0).json();
    assert_eq!(first["instances"][0]["uuid"], again["instances"][0]["uuid"]);
    let ran = test.run(&boot).ends(1);
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).expect("JSON");
    crate::support::check_schema("error", &error);
    assert!(ran.stderr.contains("quota exceeded for instances"), "{}", ran.stderr);
}
