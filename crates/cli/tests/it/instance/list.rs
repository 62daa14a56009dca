//! `instance list`.

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{NOWHERE, TestPlane, check_golden};

fn names(json: &serde_json::Value) -> Vec<&str> {
    let rows = json["instances"].as_array().expect("instances");
    rows.iter().map(|row| row["name"].as_str().expect("a name")).collect()
}

#[rstest]
fn what_lives_and_what_is_buried_is_one_list(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 2) else { return };
    test.boot("web", "small", &["--tag", "blue", "--project", "a"]);
    test.boot("giant", "huge", &["--project", "b"]);
    let ran = test.run(&["instance", "list", "--sort", "display_name"]).ends(0);
    check_golden("instance-list", &ran.stdout);
    assert_eq!(ran.stderr, "");
    let ran = test.run(&["instance", "list", "--project", "a"]).ends(0);
    check_golden("instance-list-of-a-project", &ran.stdout);
    let json = test.run(&["instance", "list", "--json"]).ends(0).json_of("instance-list");
    assert_eq!(names(&json), ["giant", "web"]);
    assert_eq!(json["complete"], true);
    for (filter, expected) in [
        (&["--status", "error"][..], &["giant"][..]),
        (&["--cell", "cell0"], &["giant"]),
        (&["--cell", "cell1", "--cell", "cell2"], &["web"]),
        (&["--name", "^w"], &["web"]),
        (&["--tag", "blue"], &["web"]),
        (&["--flavor", "2"], &["giant"]),
        (&["--vm-state", "active"], &["web"]),
        (&["--where", "vcpus=99"], &["giant"]),
        (&["--where", "host="], &["giant"]),
        (&["--owner", "nobody"], &[]),
        (&["--deleted"], &[]),
        (&["--changes-since", "2001-01-01T00:00:00Z"], &["giant", "web"]),
        (&["--project", "b", "--all-projects"], &["giant", "web"]),
        (&["--project", "b", "--admin", "false"], &["giant"]),
    ] {
        let args = [&["instance", "list", "--json"][..], filter].concat();
        assert_eq!(names(&test.run(&args).ends(0).json()), expected, "{filter:?}");
    }
    assert_eq!(test.run(&["instance", "list", "--owner", "x"]).ends(0).stdout, "no instances\n");
}

#[test]
fn pages_are_chained_by_the_cursor_that_is_printed_or_by_a_uuid() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    let booted = test.boot("web", "small", &["--count", "3"]);
    let page = ["instance", "list", "--sort", "launch_index", "--limit", "2"];
    let ran = test.run(&page).ends(0);
    let cursor = ran.stderr.trim().rsplit(' ').next().expect("a cursor").to_owned();
    for after in [&cursor, &booted[1]] {
        let args = [&page[..], &["--after", after, "--json"]].concat();
        let json = test.run(&args).ends(0).json_of("instance-list");
        assert_eq!(names(&json), ["web-3"]);
        assert_eq!(json["next"], serde_json::Value::Null);
    }
}

#[rstest]
fn a_list_without_a_cell_says_so_and_ends_with_2(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    test.boot("web", "small", &[]);
    test.point(Some(test.cells[0].0), NOWHERE);
    let ran = test.run(&["instance", "list"]).ends(2);
    check_golden("instance-list-incomplete", &ran.stdout);
    assert!(ran.stderr.contains("cell cell1 cannot be reached"), "{}", ran.stderr);
    assert!(ran.stderr.contains("the list is not complete: 1 instances"), "{}", ran.stderr);
    let ran = test.run(&["instance", "list", "--json", "--tag", "x"]).ends(2);
    let json = ran.json_of("instance-list");
    let left_out: u64 = json["cells"]
        .as_array()
        .expect("cells")
        .iter()
        .filter_map(|c| c["left_out"].as_u64())
        .sum();
    assert_eq!((json["complete"].as_bool(), left_out), (Some(false), 1));
}

#[test]
fn what_cannot_be_listed_is_refused() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    let unknown = "8a0ee18f-cefc-48f2-bc87-354e9d164617";
    for (args, code, said) in [
        (&["--after", unknown][..], 1, "could not be found"),
        (&["--cell", "cell9"], 1, "there are cell0, cell1"),
        (&["--sort", "colour"], 64, "created_at"),
        (&["--sort", "host:up"], 64, "asc or desc"),
        (&["--status", "fine"], 64, "ACTIVE"),
        (&["--where", "locked=perhaps"], 64, "true or false"),
        (&["--after", "%"], 64, "cursor"),
        (&["--name", "("], 64, "name"),
        (&["--changes-since", "yesterday"], 64, "2026-05-01T12:00:00Z"),
    ] {
        let ran = test.run(&[&["instance", "list"][..], args].concat()).ends(code);
        assert!(ran.stderr.contains(said), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn colors_are_for_terminals_unless_they_are_asked_for() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    test.boot("web", "small", &[]);
    let is_colored = |args: &[&str], no_color: &str| {
        let mut command = test.cellzero.command(&[&["instance", "list"][..], args].concat());
        let output = command.env("NO_COLOR", no_color).output().expect("the binary runs");
        crate::support::Ran::of(&output).ends(0).stdout.contains('\u{1b}')
    };
    assert!(!is_colored(&[], ""));
    assert!(!is_colored(&[], "1"));
    assert!(is_colored(&["--color", "always"], ""));
    assert!(!is_colored(&["--color", "never"], ""));
}
