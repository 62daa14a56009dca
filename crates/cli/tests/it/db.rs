//! `db sync` and `db version`: each exit code, their JSON and their tables.

use std::path::Path;

use cellzero_test_support::{Engine, TestDatabase, create_database};
use rstest::rstest;

use crate::support::{Cellzero, NOWHERE, Ran, TestPlane, check_golden};

/// What an older version left: the last migration is taken back, as its own way back does.
fn set_back(database: &TestDatabase, kind: &str) {
    let folder = match database.engine() {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
        Engine::MariaDb => "mysql",
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(kind);
    let entries = std::fs::read_dir(root.join(folder)).unwrap();
    let last = entries.map(|entry| entry.unwrap().path()).max().unwrap();
    database.execute(&std::fs::read_to_string(last.join("down.sql")).unwrap()).unwrap();
    let name = last.file_name().unwrap().to_str().unwrap();
    let version = name.split_once('_').unwrap().0.replace('-', "");
    database
        .execute(&format!(
            "DELETE FROM __diesel_schema_migrations WHERE version = '{version}'; \
             UPDATE database_identity SET schema_version = schema_version - 1"
        ))
        .unwrap();
}

fn point_cell1(test: &TestPlane, url: &str) {
    let change =
        format!("UPDATE cell_mappings SET database_connection = '{url}' WHERE name = 'cell1'");
    test.api.execute(&change).unwrap();
}

#[rstest]
fn every_database_is_synced_and_each_exit_code_says_how(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 2) else { return };
    let check = || test.run(&["db", "sync", "--check", "--json"]);
    let sound = check().ends(0).json_of("db-sync-check");
    assert_eq!(sound["databases"].as_array().unwrap().len(), 4);
    set_back(&test.cells[0].1, "cell");
    let behind = check().ends(1).json_of("db-sync-check");
    assert_eq!(behind["databases"][2]["state"], "behind");
    check_golden("db-sync-check", &test.run(&["db", "sync", "--check"]).ends(1).stdout);

    // No other command migrates: what it needs is said.
    set_back(&test.api, "api");
    let ran = test.run(&["cell", "list"]).ends(78);
    assert!(ran.stderr.contains("cellzero db sync"), "{}", ran.stderr);

    let ran = test.run(&["db", "sync"]).ends(0);
    check_golden("db-sync", &ran.stdout);
    let synced = test.run(&["db", "sync", "--json"]).ends(0).json_of("db-sync");
    assert_eq!(synced["databases"][0]["before"], synced["databases"][0]["after"]);
    test.run(&["cell", "list"]).ends(0);

    let column = "ALTER TABLE instance_faults ADD COLUMN colour VARCHAR(8)";
    test.cells[1].1.execute(column).unwrap();
    let drifted = check().ends(2).json_of("db-sync-check");
    let said = drifted["databases"][3]["drift"].as_str().unwrap();
    assert!(said.contains("colour"), "{said}");
    test.run(&["db", "sync"]).ends(1);
    test.cells[1].1.execute("ALTER TABLE instance_faults DROP COLUMN colour").unwrap();

    point_cell1(&test, "postgres://nova:s3cret@127.0.0.1:1/cell1");
    for (flags, code, schema) in [(&["--check"][..], 2, "db-sync-check"), (&[], 1, "db-sync")] {
        let ran = test.run(&[&["db", "sync", "--json"][..], flags].concat()).ends(code);
        let shown = ran.json_of(schema);
        assert!(shown["databases"][2]["error"].is_string(), "{shown:#}");
        assert!(!format!("{ran:?}").contains("s3cret"), "{ran:?}");
    }
    let versions = test.run(&["db", "version", "--json"]).ends(2).json_of("db-version");
    assert!(versions["databases"][2]["schema_version"].is_null());
    point_cell1(&test, test.cells[0].1.url());
    let ran = test.run(&["db", "version"]).ends(0);
    check_golden("db-version", &ran.stdout);
}

#[rstest]
fn a_new_plane_begins_with_a_sync(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(api) = create_database(engine, "api") else { return };
    let cellzero = Cellzero::new().set("CELLZERO_API_DATABASE", api.url());
    let empty = if engine == Engine::Sqlite { 2 } else { 1 };
    cellzero.run(&["db", "sync", "--check"]).ends(empty);
    let ran = cellzero.run(&["db", "sync"]).ends(0);
    assert!(ran.stderr.contains("cellzero cell map-cell0"), "{}", ran.stderr);
    cellzero.run(&["db", "sync", "--check"]).ends(0);
}

#[test]
fn an_api_database_that_is_away_is_a_failure() {
    let cellzero =
        Cellzero::new().set("CELLZERO_API_DATABASE", "postgres://nova:s3cret@127.0.0.1:1/nova_api");
    for (args, code) in [
        (&["db", "sync"][..], 1),
        (&["db", "sync", "--check"], 2),
        (&["db", "version"], 69),
        (&["status", "check"], 2),
    ] {
        let ran = cellzero.run(args).ends(code);
        assert!(!format!("{ran:?}").contains("s3cret"), "{ran:?}");
    }
}

#[rstest]
fn an_empty_api_database_becomes_that_of_the_plane_that_a_cell_belongs_to(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    test.boot("web", "small", &[]);
    test.boot("giant", "huge", &[]);
    let empty = create_database(engine, "api").expect("the backend is there");
    let run = |args: &[&str]| test.run(&[args, &["--api-database", empty.url()]].concat());
    let cell = test.cells[0].1.url();

    // One that no cell has been made in says no plane; on SQLite it is not even a file.
    let other = create_database(engine, "other").expect("the backend is there");
    let ran = run(&["db", "sync", "--plane-of", other.url()]);
    match engine {
        Engine::Sqlite => drop(ran.ends(69)),
        _ => assert!(ran.ends(1).stderr.contains("is not that of a cell yet")),
    }
    run(&["db", "sync", "--plane-of", test.api.url()]).ends(78);
    run(&["db", "sync", "--plane-of", NOWHERE]).ends(69);
    run(&["db", "sync", "--plane-of", cell, "--check"]).ends(64);
    for before in [serde_json::Value::Null, 3.into()] {
        let synced = run(&["db", "sync", "--plane-of", cell, "--json"]).ends(0).json_of("db-sync");
        assert_eq!(synced["databases"][0]["before"], before, "{synced:#}");
    }
    run(&["cell", "map-cell0", "--database-connection", test.cell0.url()]).ends(0);
    let create = ["cell", "create", "--name", "cell1", "--database-connection", cell];
    run(&[&create[..], &["--transport-url", "none:///"]].concat()).ends(0);
    run(&["host", "discover"]).ends(0);
    for cell in ["cell0", "cell1"] {
        run(&["instance", "map", "--cell", cell, "--reset"]).ends(0);
    }
    let checked = run(&["fsck", "--repair"]);
    assert!([0, 3].contains(&checked.code), "{checked:?}");
    run(&["fsck"]).ends(0);
    let list = ["instance", "list", "--json"];
    let listed = |ran: Ran| -> Vec<(String, String)> {
        let rows = ran.ends(0).json()["instances"].as_array().expect("instances").clone();
        let text = |row: &serde_json::Value, key: &str| row[key].as_str().expect(key).to_owned();
        let mut all: Vec<_> =
            rows.iter().map(|row| (text(row, "uuid"), text(row, "status"))).collect();
        all.sort();
        all
    };
    assert_eq!(listed(run(&list)), listed(test.run(&list)));

    // Another plane's database is left as it is.
    let other = Cellzero::new();
    other.run(&["dev", "up"]).ends(0);
    let file = other.path().join("cellzero-dev/cell1.db");
    let ran = run(&["db", "sync", "--plane-of", file.to_str().expect("UTF-8")]).ends(1);
    assert!(ran.stdout.contains("expected the API database of plane"), "{}", ran.stdout);
}
