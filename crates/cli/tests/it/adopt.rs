//! `instance map`, `instance verify`, and `instance retry --when-it-fits`.

use cellzero_test_support::{Engine, TestDatabase};
use rstest::rstest;

use crate::support::{IMAGE, Ran, TestPlane, check_golden};

/// Boots some, and forgets of all that they were ever accepted: the cell is as if others had filled
/// it.
fn filled(engine: Engine, count: &str) -> Option<TestPlane> {
    let test = TestPlane::new(engine, 1)?;
    let boot = ["instance", "boot", "web", "--flavor", "1", "--image", IMAGE, "--count", count];
    test.run(&boot).ends(0);
    for table in ["instance_mappings", "request_specs", "boot_states", "claims"] {
        test.api.execute(&format!("DELETE FROM {table}")).unwrap();
    }
    test.api
        .execute("UPDATE host_capacity SET vcpus_used = 0, memory_mb_used = 0, disk_gb_used = 0")
        .unwrap();
    test.cells[0].1.execute("DELETE FROM instance_fences").unwrap();
    Some(test)
}

fn uuids(cell: &TestDatabase) -> Vec<String> {
    let rows = cell.query("SELECT uuid FROM instances ORDER BY id").unwrap();
    rows.into_iter().filter_map(|mut row| row.remove(0)).collect()
}

fn verify(test: &TestPlane, uuid: &str) -> Ran {
    test.run(&["instance", "verify", "--uuid", uuid])
}

#[rstest]
fn map_adopts_what_stands_in_a_cell_and_goes_on_where_it_stopped(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = filled(engine, "4") else { return };
    let uuids = uuids(&test.cells[0].1);
    let map = |args: &[&str]| {
        let mut all = vec!["instance", "map", "--cell", "cell1"];
        all.extend(args);
        test.run(&all)
    };
    verify(&test, &uuids[0]).ends(1);
    let some = map(&["--max-count", "3"]).ends(1);
    check_golden("instance-map", &some.stdout);
    verify(&test, &uuids[0]).ends(0);
    let rest = map(&["--json"]).ends(0).json_of("instance-map");
    assert_eq!((&rest["mapped"], &rest["more"]), (&1.into(), &false.into()));
    let again = map(&["--reset", "--json"]).ends(0).json_of("instance-map");
    assert_eq!((&again["mapped"], &again["known"]), (&0.into(), &4.into()));
    test.run(&["fsck"]).ends(0);
    let hosts = test.run(&["host", "list", "--json"]).ends(0).json_of("host-list");
    assert_eq!(hosts["hosts"][0]["vcpus_used"], 4);

    for bad in ["0", "-3", "many"] {
        map(&["--max-count", bad]).ends(127);
    }
    for nobody in ["nowhere", "00000000-0000-0000-0000-000000000007"] {
        test.run(&["instance", "map", "--cell", nobody]).ends(2);
    }
    let damage = "UPDATE instance_extra SET flavor = 'no json' WHERE instance_uuid";
    test.cells[0].1.execute(&format!("{damage} = '{}'", uuids[2])).unwrap();
    let unreadable = map(&["--reset"]).ends(3);
    assert!(unreadable.stderr.contains(&uuids[2]), "{}", unreadable.stderr);
    let away = "UPDATE cell_mappings SET database_connection = ";
    let nowhere = match engine {
        Engine::Sqlite => "sqlite:///nowhere/at/all.db",
        Engine::Postgres => "postgres://nobody@127.0.0.1:1/nothing",
        Engine::MariaDb => "mysql://nobody@127.0.0.1:1/nothing",
    };
    test.api.execute(&format!("{away} '{nowhere}' WHERE name = 'cell1'")).unwrap();
    map(&[]).ends(5);
    verify(&test, &uuids[0]).ends(5);
}

#[rstest]
fn verify_has_an_exit_code_for_each_place(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let boot = ["instance", "boot", "web", "--flavor", "1", "--image", IMAGE];
    test.run(&boot).ends(0);
    let uuid = uuids(&test.cells[0].1).remove(0);
    let alive = verify(&test, &uuid).ends(0);
    check_golden("instance-verify", &alive.stdout);
    let quiet = test.run(&["instance", "verify", "--quiet", "--uuid", &uuid]).ends(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    verify(&test, "00000000-0000-0000-0000-000000000007").ends(1);
    verify(&test, "no-uuid").ends(64);
    let of_no_cell = "UPDATE instance_mappings SET cell_id = NULL";
    let before = test.api.query("SELECT cell_id FROM instance_mappings").unwrap();
    test.api.execute(of_no_cell).unwrap();
    verify(&test, &uuid).ends(2);
    let cell_id = before[0][0].clone().unwrap();
    test.api.execute(&format!("UPDATE instance_mappings SET cell_id = {cell_id}")).unwrap();
    test.run(&["instance", "delete", &uuid]).ends(0);
    let deleted = test.run(&["instance", "verify", "--uuid", &uuid, "--json"]).ends(3);
    assert_eq!(deleted.json_of("instance-verify")["state"], "deleted");
    for table in [
        "instance_extra",
        "instance_info_caches",
        "instance_actions_events",
        "instance_actions",
        "instance_system_metadata",
        "security_group_instance_association",
        "block_device_mapping",
        "instances",
    ] {
        test.cells[0].1.execute(&format!("DELETE FROM {table}")).unwrap();
    }
    verify(&test, &uuid).ends(4);
}

#[rstest]
fn a_buried_instance_waits_when_it_is_told_to(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let boot =
        |name, flavor| test.run(&["instance", "boot", name, "--flavor", flavor, "--image", IMAGE]);
    boot("live", "1").ends(0);
    boot("big", "2").ends(2);
    let wait = |name: &str, flag: &str| test.run(&["instance", "retry", name, flag, "--json"]);
    let waits = wait("big", "--when-it-fits").ends(0).json_of("instance-wait");
    assert_eq!((&waits["waits"], &waits["changed"]), (&true.into(), &true.into()));
    let twice = wait("big", "--when-it-fits").ends(0).json_of("instance-wait");
    assert_eq!(twice["changed"], false);
    let stopped = wait("big", "--stop-waiting").ends(0).json_of("instance-wait");
    assert_eq!((&stopped["waits"], &stopped["changed"]), (&false.into(), &true.into()));
    wait("live", "--when-it-fits").ends(4);
    wait("nobody", "--when-it-fits").ends(1);
    test.run(&["instance", "retry", "big", "--when-it-fits", "--stop-waiting"]).ends(64);
}
