//! `host …`.

use cellzero_test_support::{Engine, TestDatabase};
use rstest::rstest;

use crate::support::{TestPlane, check_golden};

/// What a compute agent of Nova's writes into its cell.
fn write_node(cell: &TestDatabase, host: &str, vcpus: i32) {
    let now = chrono::Utc::now().naive_utc().format("%Y-%m-%d %H:%M:%S");
    let (no, quote) = match cell.engine() {
        Engine::MariaDb => ("0", '`'),
        Engine::Sqlite => ("0", '"'),
        Engine::Postgres => ("false", '"'),
    };
    cell.execute(&format!(
        "INSERT INTO compute_nodes (host, hypervisor_hostname, uuid, vcpus, memory_mb, local_gb, \
         vcpus_used, memory_mb_used, local_gb_used, hypervisor_type, hypervisor_version, cpu_info, \
         cpu_allocation_ratio, deleted, mapped) VALUES ('{host}', '{host}', '{0}', {vcpus}, 8192, \
         50, 0, 0, 0, 'QEMU', 1, '{{}}', 2.0, 0, 0); \
         INSERT INTO services (host, {quote}binary{quote}, topic, report_count, disabled, deleted, \
         last_seen_up, forced_down, version, uuid) \
         VALUES ('{host}', 'nova-compute', 'compute', 1, {no}, 0, '{now}', {no}, 1, '{0}')",
        uuid::Uuid::new_v4()
    ))
    .unwrap();
}

/// A URL where nobody answers.
fn nowhere(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "sqlite:///nowhere/at/all.db",
        Engine::Postgres => "postgres://nobody:s3cret@127.0.0.1:1/nothing",
        Engine::MariaDb => "mysql://nobody:s3cret@127.0.0.1:1/nothing",
    }
}

fn silence(test: &TestPlane, engine: Engine, index: usize) {
    let set = format!(
        "UPDATE cell_mappings SET database_connection = '{}' WHERE uuid = '{}'",
        nowhere(engine),
        test.cells[index].0
    );
    test.api.execute(&set).unwrap();
}

#[rstest]
fn discover_maps_what_is_new_and_list_shows_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 2) else { return };
    write_node(&test.cells[1].1, "agent-1", 8);
    let found = test.run(&["host", "discover"]).ends(0);
    check_golden("host-discover", &found.stdout);
    let again = test.run(&["host", "discover"]).ends(0);
    assert_eq!(again.stdout, "no host is new; 3 were mapped before\n");
    test.run(&["host", "discover", "--strict"]).ends(1);
    let json = test.run(&["host", "discover", "--strict", "--json"]).ends(1);
    assert_eq!(json.json_of("host-discover")["known"], 3);

    test.run(&["host", "disable", "cell1-host1", "--reason", "new memory"]).ends(0);
    check_golden("host-list", &test.run(&["host", "list"]).ends(0).stdout);
    let of_cell = test.run(&["host", "list", "--cell", "cell2", "--json"]).ends(0);
    let hosts = of_cell.json_of("host-list")["hosts"].as_array().unwrap().clone();
    assert_eq!(hosts.len(), 2);
    assert_eq!((&hosts[0]["host"], &hosts[0]["vcpus"]), (&"agent-1".into(), &16.into()));
    for nobody in ["nowhere", "00000000-0000-0000-0000-000000000007"] {
        test.run(&["host", "list", "--cell", nobody]).ends(1);
        test.run(&["host", "discover", "--cell", nobody]).ends(4);
    }
}

#[rstest]
fn what_discover_cannot_do_has_its_exit_code(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 2) else { return };
    write_node(&test.cells[1].1, "silent", 1);
    write_node(&test.cells[0].1, "answering", 1);
    silence(&test, engine, 1);
    let down = test.run(&["host", "discover", "--json"]).ends(3);
    let json = down.json_of("host-discover");
    assert_eq!(json["new"][0]["host"], "answering");
    assert_eq!(json["down_cells"][0]["cell"], "cell2");
    assert!(!down.stdout.contains("s3cret") && !down.stderr.contains("s3cret"));
    write_node(&test.cell0, "lost", 1);
    let lost = test.run(&["host", "discover"]).ends(2);
    assert!(lost.stderr.contains("lost stands in cell0"), "{}", lost.stderr);
    let json = test.run(&["host", "discover", "--json"]).ends(2).json_of("host-discover");
    assert_eq!(json["in_cell0"][0], "lost");
}

#[rstest]
fn a_host_is_deleted_enabled_and_disabled(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 2) else { return };
    write_node(&test.cells[1].1, "cell1-host1", 1);
    test.run(&["host", "discover"]).ends(2);
    let boot = ["instance", "boot", "web", "--flavor", "1", "--image", crate::support::IMAGE];
    test.run(&["host", "disable", "cell2-host1"]).ends(0);
    test.run(&boot).ends(0);
    let delete =
        |cell: &str, host: &str| test.run(&["host", "delete", "--cell", cell, "--host", host]);
    delete("nowhere", "cell1-host1").ends(1);
    delete("00000000-0000-0000-0000-000000000007", "cell1-host1").ends(1);
    delete("cell1", "nobody").ends(2);
    delete("cell2", "cell1-host1").ends(3);
    delete("cell1", "cell1-host1").ends(4);
    let gone = test.run(&["host", "delete", "--cell", "cell2", "--host", "cell2-host1", "--json"]);
    assert_eq!(gone.ends(0).json_of("host-delete")["host"], "cell2-host1");
    silence(&test, engine, 0);
    delete("cell1", "cell1-host1").ends(5);
    test.run(&["host", "disable", "cell1-host1"]).ends(5);
    test.run(&["host", "enable", "nobody"]).ends(1);
    test.run(&["host", "disable", "nobody"]).ends(1);
}

#[rstest]
fn enable_and_disable_say_what_they_did(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let off = test.run(&["host", "disable", "cell1-host1", "--json"]).ends(0);
    assert_eq!(off.json_of("host-switch")["enabled"], false);
    let on = test.run(&["host", "enable", "cell1-host1"]).ends(0);
    assert_eq!(on.stdout, "cell1-host1 is open for new instances\n");
}
