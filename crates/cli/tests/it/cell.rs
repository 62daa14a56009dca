//! `cell …`: each exit code, its JSON and its table.

use cellzero::{BootRequest, CellUuid, RequestContext};
use cellzero_test_support::{Engine, create_database};
use rstest::rstest;

use crate::support::{Cellzero, IMAGE, TestPlane, check_golden};

const QUEUE: &str = "rabbit://nova:s3cret@mq1:5672/cell1";

/// A plane that nothing but the command has made: its API database is migrated.
fn synced(engine: Engine) -> Option<(Cellzero, Vec<cellzero_test_support::TestDatabase>)> {
    let databases = ["api", "cell0", "one", "two"].map(|hint| create_database(engine, hint));
    let databases: Option<Vec<_>> = databases.into_iter().collect();
    let databases = databases?;
    let cellzero = Cellzero::new().set("CELLZERO_API_DATABASE", databases[0].url());
    cellzero.run(&["db", "sync"]).ends(0);
    Some((cellzero, databases))
}

#[rstest]
fn a_plane_is_made_by_commands_alone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((cellzero, databases)) = synced(engine) else { return };
    let url = |index: usize| databases[index].url();
    let map = ["cell", "map-cell0", "--json", "--database-connection", url(1)];
    for _ in 0..2 {
        let made = cellzero.run(&map).ends(0).json_of("cell");
        assert_eq!(made["uuid"], CellUuid::CELL0.to_string());
        assert_eq!(made["transport_url"], "none:///");
    }
    cellzero.run(&["cell", "map-cell0"]).ends(0);
    let ran = cellzero.run(&["cell", "map-cell0", "--database-connection", url(2)]).ends(2);
    assert!(ran.stderr.contains("cellzero cell update cell0"), "{}", ran.stderr);

    let create = |name: &str, database: &str, queue: &str| {
        let flags = ["--name", name, "--database-connection", database, "--transport-url", queue];
        cellzero.run(&[&["cell", "create", "--json"][..], &flags].concat())
    };
    let made = create("one", url(2), QUEUE).ends(0).json_of("cell");
    assert_eq!(made["transport_url"], "rabbit://nova:***@mq1:5672/cell1");
    for missing in [&["--transport-url", QUEUE][..], &["--database-connection", url(3)]] {
        let flags = [&["cell", "create", "--name", "two"][..], missing].concat();
        cellzero.run(&flags).ends(1);
    }
    for (database, queue) in [(url(2), "none:///"), (url(1), "none:///"), (url(3), QUEUE)] {
        let ran = create("two", database, queue).ends(2);
        assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
    }
    let two = ["cell", "create", "--name", "two", "--disabled", "--transport-url", "none:///"];
    let ran = cellzero.run(&[&two[..], &["--database-connection", url(3)]].concat()).ends(0);
    if engine == Engine::Sqlite {
        check_golden(
            "cell-create",
            &ran.stdout.replace(url(3), "URL").replace(path(url(3)), "PATH"),
        );
    }
    let listed = cellzero.run(&["cell", "list", "--json"]).ends(0).json_of("cell-list");
    let names: Vec<&str> =
        listed["cells"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cell0", "one", "two"]);
    cellzero.run(&["cell", "show", "two"]).ends(0);
    cellzero.run(&["cell", "show", "three"]).ends(1);
}

/// The path of a SQLite URL.
fn path(url: &str) -> &str {
    url.strip_prefix("sqlite://").unwrap_or(url)
}

#[test]
fn cells_are_listed_as_a_table() {
    let Some(test) = TestPlane::new(Engine::Sqlite, 2) else { return };
    let change = ["cell", "update", "cell1", "--transport-url", QUEUE];
    test.run(&change).ends(0);
    test.run(&["cell", "disable", "cell2"]).ends(0);
    let ran = test.run(&["cell", "list"]).ends(0);
    let mut text = ran.stdout;
    for (database, name) in
        [(&test.cell0, "CELL0"), (&test.cells[0].1, "CELL1"), (&test.cells[1].1, "CELL2")]
    {
        let folder = database.folder().unwrap().display().to_string();
        text = text.replace(&folder, "FOLDER").replace(database.name(), name);
    }
    check_golden("cell-list", &text);
}

#[rstest]
fn a_cell_is_updated_by_what_is_given(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 2) else { return };
    let show = || test.run(&["cell", "show", &test.cells[0].0.to_string(), "--json"]).json();
    let before = show();
    let update = |flags: &[&str]| {
        test.run(&[&["cell", "update", &test.cells[0].0.to_string(), "--json"][..], flags].concat())
    };
    let named = update(&["--name", "north"]).ends(0).json_of("cell");
    assert_eq!(named["name"], "north");
    for kept in ["uuid", "transport_url", "database_connection", "disabled"] {
        assert_eq!(named[kept], before[kept], "{kept}");
    }
    assert_eq!(update(&["--disable"]).ends(0).json()["disabled"], true);
    assert_eq!(update(&["--enable"]).ends(0).json()["disabled"], false);
    let own = test.cells[0].1.url();
    assert_eq!(update(&["--database-connection", own]).ends(0).json()["name"], "north");

    test.run(&["cell", "update", "south", "--name", "x"]).ends(1);
    update(&["--enable", "--disable"]).ends(4);
    update(&["--database-connection", test.cells[1].1.url()]).ends(3);
    update(&["--database-connection", "postgres://u:s3cret@127.0.0.1:1/x"]).ends(2);
    update(&["--database-connection", "none://u:s3cret@x"]).ends(78);
    for flags in [&["--disable"][..], &["--enable"], &["--transport-url", QUEUE]] {
        test.run(&[&["cell", "update", "cell0"][..], flags].concat()).ends(5);
    }
    test.run(&["cell", "disable", "cell0"]).ends(5);
    test.run(&["cell", "enable", "nowhere"]).ends(1);
    assert_eq!(test.run(&["cell", "disable", "north", "--json"]).ends(0).json()["disabled"], true);
    assert_eq!(test.run(&["cell", "enable", "north", "--json"]).ends(0).json()["disabled"], false);
    assert_eq!(show()["name"], "north");
}

#[rstest]
fn a_cell_is_deleted_once_nothing_names_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let ctx = RequestContext::new("project", "user");
    let asked = BootRequest::builder("web", "1", IMAGE).build().unwrap();
    let uuid = test.wait(async {
        let accepted = test.plane.boot(&ctx, asked).await.unwrap();
        test.plane.settle().await.unwrap();
        accepted[0]
    });
    let delete = |flags: &[&str]| test.run(&[&["cell", "delete", "cell1"][..], flags].concat());
    delete(&[]).ends(2);
    delete(&["--force"]).ends(3);
    test.wait(async {
        test.plane.delete(&ctx, uuid).await.unwrap();
        test.plane.settle().await.unwrap();
        test.plane.hosts().unmap("cell1-host1").await.unwrap();
    });
    delete(&[]).ends(4);
    let removed = delete(&["--force", "--json"]).ends(0).json_of("cell-delete");
    assert_eq!(removed["deleted_instances"], 1);
    delete(&[]).ends(1);
    test.run(&["cell", "delete", "cell0"]).ends(0);
}

#[rstest]
fn a_plane_with_one_cell_is_set_up_in_one_command(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((cellzero, databases)) = synced(engine) else { return };
    let cellzero = cellzero.set("CELLZERO_CELL0_DATABASE", databases[1].url());
    let url = databases[2].url();
    let flags = ["cell", "setup", "--json", "--database-connection", url, "--transport-url", QUEUE];
    cellzero.run(&flags[..5]).ends(1);
    cellzero.run(&["cell", "setup", "--transport-url", QUEUE]).ends(1);
    let ran = cellzero.run(&flags).ends(1);
    assert!(ran.stderr.contains("no host was found"), "{}", ran.stderr);
    // What Nova's compute agent writes.
    databases[2]
        .execute(
            "INSERT INTO compute_nodes (host, hypervisor_hostname, vcpus, memory_mb, local_gb, \
             vcpus_used, memory_mb_used, local_gb_used, hypervisor_type, hypervisor_version, \
             cpu_info, uuid, deleted, mapped) VALUES ('one', 'one', 4, 4096, 40, 0, 0, 0, 'QEMU', 1, \
             '{}', '5d0bd4cf-0d0b-4b5c-8a0e-3a3f6c7ab111', 0, 0)",
        )
        .unwrap();
    let done = cellzero.run(&flags).ends(0).json_of("cell-setup");
    assert_eq!((&done["hosts"], &done["new_hosts"]), (&1.into(), &1.into()));
    let done = cellzero.run(&flags).ends(0).json_of("cell-setup");
    assert_eq!((&done["hosts"], &done["new_hosts"]), (&1.into(), &0.into()));
    let taken = ["cell", "setup", "--transport-url", QUEUE, "--database-connection"];
    cellzero.run(&[&taken[..], &[databases[3].url()]].concat()).ends(2);
}

#[rstest]
fn a_lost_cell_gets_an_empty_database_and_its_instances_are_buried(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = TestPlane::new(engine, 1) else { return };
    test.boot("web", "small", &[]);
    let empty = create_database(engine, "again").expect("the backend is there");
    let lost = ["cell", "update", "cell1", "--lost", "--database-connection", empty.url()];
    let ran = test.run(&lost).ends(2);
    assert!(ran.stderr.contains("is not lost: its database"), "{}", ran.stderr);
    test.run(&["cell", "update", "cell1", "--lost"]).ends(64);

    drop(test.cells.remove(0));

    test.run(&["cell", "update", "cell1", "--database-connection", empty.url()]).ends(2);
    test.run(&lost).ends(0);
    let ran = test.run(&["fsck", "--repair"]).ends(3);
    assert!(ran.stdout.contains("in-no-place"), "{}", ran.stdout);
    let ran = test.run(&["fsck", "--repair"]);
    assert!([0, 3].contains(&ran.code), "{ran:?}");
    test.run(&["fsck"]).ends(0);
    let shown = test.run(&["instance", "show", "web", "--json"]).ends(0).json();
    assert_eq!(shown["status"], "ERROR", "{shown:#}");
    test.run(&["instance", "delete", "web"]).ends(0);
    test.run(&["cell", "delete", "cell1", "--force"]).ends(0);
}
