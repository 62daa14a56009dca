//! `dev …`: a plane in one command, and its end.

use cellzero_test_support::{Engine, TestDatabase, create_database};
use rstest::rstest;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{Cellzero, Ran, check_golden};

/// `--database` with a database beside the test's own, where the engine has servers.
fn server_args(engine: Engine) -> Option<(TestDatabase, Vec<String>)> {
    let database = create_database(engine, "dev")?;
    let args = match engine {
        Engine::Sqlite => Vec::new(),
        _ => vec!["--database".to_owned(), database.url().to_owned()],
    };
    Some((database, args))
}

fn args<'a>(first: &[&'a str], more: &'a [String]) -> Vec<&'a str> {
    first.iter().copied().chain(more.iter().map(String::as_str)).collect()
}

#[rstest]
fn one_command_makes_a_plane_and_one_removes_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((server, on_server)) = server_args(engine) else { return };
    let cellzero = Cellzero::new();
    let made = cellzero.run(&args(&["dev", "up", "--json"], &on_server)).ends(0);
    let json = made.json_of("dev-up");
    assert!(json["steps"].as_array().expect("steps").iter().all(|step| step["state"] == "made"));

    // The next commands find the plane without being told where it is.
    let why = cellzero.run(&["instance", "why", "too-large"]).ends(0);
    assert!(why.stdout.starts_with("No valid host was found. "), "{}", why.stdout);
    cellzero.run(&["instance", "boot", "more", "--flavor", "m1.small", "--count", "3"]).ends(0);
    cellzero.run(&["fsck"]).ends(0);

    let again = cellzero.run(&args(&["dev", "up", "--json"], &on_server)).ends(0);
    let json = again.json_of("dev-up");
    assert!(json["steps"].as_array().expect("steps").iter().all(|step| step["state"] == "stands"));
    let more = cellzero.run(&["dev", "up", "--cells", "3", "--json"]).ends(0).json();
    let state_of = |what: &str| {
        let steps = more["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["what"] == what).expect("a step");
        step["state"].as_str().expect("a state").to_owned()
    };
    assert_eq!((state_of("cell2"), state_of("cell3")), ("stands".into(), "made".into()));

    let ran = cellzero.run(&["dev", "down"]).ends(2);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    cellzero.run(&["instance", "list"]).ends(0);
    let json = cellzero.run(&["dev", "down", "--yes", "--json"]).ends(0).json_of("dev-down");
    assert_eq!(json["removed"].as_array().map(Vec::len), Some(5));
    assert!(!cellzero.path().join("cellzero-dev").exists());
    assert_eq!(databases_beside(&server), 0);
    cellzero.run(&["dev", "down", "--yes"]).ends(1);
    // And once more, where another one stood.
    cellzero.run(&args(&["dev", "up", "--cells", "1"], &on_server)).ends(0);
    cellzero.run(&["dev", "down", "--yes"]).ends(0);
}

/// Runs a command at a terminal where this is typed.
fn typed(cellzero: &Cellzero, args: &[&str], text: &str) -> Ran {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("it can be used");
    let name = ptsname(&terminal, Vec::new()).expect("its name");
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let stdin = rustix::fs::open(name, flags, Mode::empty()).expect("its other end");
    rustix::io::write(&terminal, text.as_bytes()).expect("typed");
    let output = cellzero.command(args).stdin(stdin).output().expect("the binary runs");
    Ran::of(&output)
}

#[test]
fn the_end_of_a_plane_is_asked_for_and_only_a_yes_removes_it() {
    const END_OF_INPUT: &str = "\u{4}";
    let cellzero = Cellzero::new();
    cellzero.run(&["dev", "up"]).ends(0);
    for answer in ["n\n", "no\n", "\n", "maybe\n", END_OF_INPUT] {
        let ran = typed(&cellzero, &["dev", "down"], answer).ends(2);
        assert!(ran.stderr.contains("Remove it? [y/N]"), "{answer:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("cellzero-dev/cell1.db"), "{answer:?}: {}", ran.stderr);
        assert!(ran.stderr.ends_with("error: nothing was removed\n"), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    cellzero.run(&["fsck"]).ends(0);
    let listed = cellzero.run(&["instance", "list", "--json"]).ends(0).json();
    assert_eq!(listed["instances"].as_array().map(Vec::len), Some(2), "{listed:#}");
    let ran = typed(&cellzero, &["dev", "down"], "Yes\n").ends(0);
    assert!(ran.stdout.contains("removed"), "{}", ran.stdout);
    assert!(!cellzero.path().join("cellzero-dev").exists());
}

/// How many databases of a plane stand beside a test's own one.
fn databases_beside(database: &TestDatabase) -> usize {
    let names = match database.engine() {
        Engine::Sqlite => return 0,
        Engine::Postgres => "SELECT datname FROM pg_database",
        Engine::MariaDb => "SELECT schema_name FROM information_schema.schemata",
    };
    let prefix = format!("{}_", database.name());
    let rows = database.query(names).expect("names");
    rows.iter()
        .filter(|row| row[0].as_deref().is_some_and(|name| name.starts_with(&prefix)))
        .count()
}

#[test]
fn what_was_made_is_a_table_with_what_to_do_next() {
    let cellzero = Cellzero::new();
    let ran = cellzero.run(&["dev", "up"]).ends(0);
    check_golden("dev-up", &ran.stdout);
    let ran = cellzero.run(&["dev", "down", "--yes"]).ends(0);
    check_golden("dev-down", &ran.stdout);
}

#[test]
fn each_line_of_what_to_do_next_works() {
    let cellzero = Cellzero::new();
    for dir in ["cellzero-dev", "elsewhere"] {
        let json = cellzero.run(&["dev", "up", "--dir", dir, "--json"]).ends(0).json();
        let lines = json["next"].as_array().expect("lines").clone();
        assert_eq!(lines.len(), 5);
        for line in lines {
            let line = line.as_str().expect("a line").strip_prefix("cellzero ").expect("ours");
            let more: &[&str] = if line.starts_with("dev down") { &["--yes"] } else { &[] };
            let args: Vec<&str> = line.split(' ').chain(more.iter().copied()).collect();
            cellzero.run(&args).ends(0);
        }
    }
}

#[rstest]
fn what_dev_up_did_not_make_stays(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((server, on_server)) = server_args(engine) else { return };
    let cellzero = Cellzero::new();
    cellzero.write("cellzero-dev/notes.txt", "mine");
    if engine == Engine::Sqlite {
        cellzero.write("cellzero-dev/cell1.db", "");
    } else {
        let beside = format!("{}_cell1", server.name());
        let quoted = if engine == Engine::Postgres { format!("\"{beside}\"") } else { beside };
        server.execute(&format!("CREATE DATABASE {quoted}")).expect("a database");
    }
    cellzero.run(&args(&["dev", "up"], &on_server)).ends(0);
    let json = cellzero.run(&["dev", "down", "--yes", "--json"]).ends(0).json_of("dev-down");
    assert_eq!(json["kept"].as_array().map(Vec::len), Some(1), "{json:#}");
    assert_eq!(json["kept"][0]["why"], "it stood before");
    assert_eq!(json["removed"].as_array().map(Vec::len), Some(3));
    assert!(cellzero.path().join("cellzero-dev/notes.txt").exists());
    match engine {
        Engine::Sqlite => assert!(cellzero.path().join("cellzero-dev/cell1.db").exists()),
        _ => {
            assert_eq!(databases_beside(&server), 1);
            let beside = format!("{}_cell1", server.name());
            let quoted = if engine == Engine::Postgres { format!("\"{beside}\"") } else { beside };
            server.execute(&format!("DROP DATABASE {quoted}")).expect("dropped");
        }
    }
}

#[test]
fn a_database_that_belongs_to_another_plane_by_now_stays() {
    let cellzero = Cellzero::new();
    cellzero.run(&["dev", "up"]).ends(0);
    cellzero.run(&["dev", "up", "--dir", "other"]).ends(0);
    for suffix in ["", "-wal", "-shm"] {
        let file = |dir: &str| cellzero.path().join(format!("{dir}/cell1.db{suffix}"));
        let _ = std::fs::remove_file(file("cellzero-dev"));
        if file("other").exists() {
            std::fs::copy(file("other"), file("cellzero-dev")).expect("a copy");
        }
    }
    let json = cellzero.run(&["dev", "down", "--yes", "--json"]).ends(0).json_of("dev-down");
    assert_eq!(json["kept"][0]["why"], "it belongs to another plane", "{json:#}");
    assert!(cellzero.path().join("cellzero-dev/cell1.db").exists());
}

#[test]
fn a_plane_on_other_databases_is_not_taken_for_this_one() {
    let cellzero = Cellzero::new();
    cellzero.run(&["dev", "up"]).ends(0);
    let ran = cellzero.run(&["dev", "up", "--database", "postgres://u:s3cret@h/d"]).ends(1);
    assert!(ran.stderr.contains("dev down") && !ran.stderr.contains("s3cret"), "{}", ran.stderr);
    cellzero.run(&["dev", "up", "--cells", "0"]).ends(64);
    cellzero.run(&["dev", "up", "--dir", "x", "--database", "oracle://h/d"]).ends(78);
    cellzero.run(&["dev", "up", "--dir", "x", "--database", "some/file"]).ends(1);
}

#[test]
fn a_plane_of_the_machine_is_not_replaced_by_the_one_for_development() {
    let cellzero = Cellzero::new();
    cellzero.write(".config/cellzero/cellzero.toml", "api_database = \"production.db\"\n");
    let json = cellzero.run(&["dev", "up", "--json"]).ends(0).json();
    assert_eq!(json["next"][0], "cellzero --config cellzero-dev/cellzero.toml instance list");
    cellzero.run(&["instance", "list"]).ends(69);
}
