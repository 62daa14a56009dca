//! Hosts come and go: those that others wrote into their cells are discovered, and what holds
//! instances is not removed.

use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase};
use rstest::rstest;

use crate::fsck::found;
use crate::support::{TestPlane, count, request, user};

/// What a compute agent of Nova's writes: a node with Nova's own ratios, and a service that is up.
pub(crate) fn write_node(cell: &TestDatabase, host: &str, vcpus: i32, memory_mb: i32) {
    let now = chrono::Utc::now().naive_utc().format("%Y-%m-%d %H:%M:%S");
    cell.execute(&format!(
        "INSERT INTO compute_nodes (host, hypervisor_hostname, uuid, vcpus, memory_mb, local_gb, \
         vcpus_used, memory_mb_used, local_gb_used, hypervisor_type, hypervisor_version, cpu_info, \
         cpu_allocation_ratio, ram_allocation_ratio, deleted, mapped) \
         VALUES ('{host}', '{host}.example.org', '{}', {vcpus}, {memory_mb}, 100, 0, 0, 0, 'QEMU', \
         8002000, '{{}}', 0.0, 1.5, 0, 0)",
        uuid::Uuid::new_v4()
    ))
    .unwrap();
    write_service(cell, host, &now.to_string());
}

fn write_service(cell: &TestDatabase, host: &str, seen: &str) {
    let (no, quote) = match cell.engine() {
        Engine::MariaDb => ("0", '`'),
        Engine::Sqlite => ("0", '"'),
        Engine::Postgres => ("false", '"'),
    };
    cell.execute(&format!(
        "INSERT INTO services (host, {quote}binary{quote}, topic, report_count, disabled, deleted, \
         last_seen_up, forced_down, version, uuid) \
         VALUES ('{host}', 'nova-compute', 'compute', 5, {no}, 0, '{seen}', {no}, 68, '{}')",
        uuid::Uuid::new_v4()
    ))
    .unwrap();
}

async fn discover(test: &TestPlane) -> Discovery {
    test.plane.hosts().discover(&DiscoverOptions::default()).await.expect("discovered")
}

fn names(discovery: &Discovery) -> Vec<&str> {
    discovery.new.iter().map(|host| host.host.as_str()).collect()
}

fn mapped(cell: &TestDatabase, host: &str) -> i64 {
    count(cell, &format!("compute_nodes WHERE host = '{host}' AND mapped = 1"))
}

#[rstest]
#[tokio::test]
async fn hosts_that_others_wrote_are_discovered_and_filled_to_their_limit(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[], &[]]).await else { return };
    let ctx = user();
    write_node(&test.cells[0].1, "a-host", 1, 1024);
    write_node(&test.cells[1].1, "b-host", 1, 512);
    write_node(&test.cells[1].1, "negative", -1, 512);
    let discovery = discover(&test).await;
    assert_eq!(names(&discovery), ["a-host", "b-host"]);
    // 4 vcpus each by Nova's ratio where none is said, and one and a half times the memory.
    let limits: Vec<Option<Resources>> = discovery.new.iter().map(|host| host.limit).collect();
    let limit = |memory_mb| Some(Resources { vcpus: 4, memory_mb, disk_gb: 100 });
    assert_eq!(limits, [limit(1536), limit(768)]);
    assert_eq!(discovery.unusable.len(), 1);
    assert_eq!(discovery.unusable[0].1.field, "vcpus");
    assert_eq!((mapped(&test.cells[0].1, "a-host"), mapped(&test.cells[1].1, "b-host")), (1, 1));

    let accepted = test.boot(&ctx, request("web", "1").counts(1, 6).build().unwrap()).await;
    let mut homes = Vec::new();
    for uuid in &accepted.instances {
        homes.push(test.plane.show(&ctx, *uuid).await.unwrap().host);
    }
    homes.sort();
    let on = |host: &str| homes.iter().filter(|home| home.as_deref() == Some(host)).count();
    assert_eq!((on("a-host"), on("b-host")), (3, 1), "{homes:?}");
    test.check_at_rest();

    let again = discover(&test).await;
    assert_eq!((names(&again), again.known), (vec![], 2));
    let hosts = test.plane.hosts().list(None).await.unwrap();
    let listed: Vec<_> = hosts.iter().map(|h| (h.host.as_str(), h.cell, h.is_up)).collect();
    assert_eq!(listed, [("a-host", test.cell(0), true), ("b-host", test.cell(1), true)]);
    assert_eq!(hosts[0].capacity.as_ref().unwrap().used.vcpus, 3);
    let of_cell = test.plane.hosts().list(Some(test.cell(1))).await.unwrap();
    assert_eq!(of_cell.len(), 1);
}

#[rstest]
#[tokio::test]
async fn what_discovery_cannot_map_is_named_and_the_rest_is_done(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(4, 4096, 40)], &[], &[]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    write_node(&test.cell0, "lost", 4, 4096);
    write_node(&test.cells[1].1, "cell1-host1", 4, 4096);
    write_node(&test.cells[1].1, "new", 4, 4096);
    write_node(&test.cells[2].1, "silent", 4, 4096);
    write_service(&test.cells[1].1, "ironic", "2026-01-01 00:00:00");
    let nowhere = match engine {
        Engine::Sqlite => "sqlite:///nowhere/at/all.db",
        Engine::Postgres => "postgres://nobody@127.0.0.1:1/nothing",
        Engine::MariaDb => "mysql://nobody@127.0.0.1:1/nothing",
    };
    let before = test.point(test.cell(2), nowhere);
    let discovery = discover(&test).await;
    assert_eq!(names(&discovery), ["new"]);
    assert_eq!(discovery.in_cell0, ["lost"]);
    let duplicate =
        DuplicateHost { host: "cell1-host1".into(), found: test.cell(1), mapped: test.cell(0) };
    assert_eq!(discovery.duplicates, [duplicate]);
    let down: Vec<CellUuid> = discovery.down.iter().map(|(cell, _)| *cell).collect();
    assert_eq!(down, [test.cell(2)]);
    test.point(test.cell(2), &before);
    let only = DiscoverOptions { cell: Some(test.cell(2)), by_service: false };
    let discovery = test.plane.hosts().discover(&only).await.unwrap();
    assert_eq!((names(&discovery), discovery.down.len()), (vec!["silent"], 0));

    let by_service = DiscoverOptions { cell: None, by_service: true };
    let discovery = test.plane.hosts().discover(&by_service).await.unwrap();
    assert_eq!(names(&discovery), ["ironic"]);
    assert_eq!(discovery.new[0].limit, None, "it has not said how large it is");
    let unknown = DiscoverOptions { cell: Some(CellUuid(uuid::Uuid::from_u128(7))), ..by_service };
    let refused = test.plane.hosts().discover(&unknown).await;
    assert!(
        matches!(&refused, Err(Write::Failed(HostError::Cell(CellError::Unknown { .. })))),
        "{refused:?}"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn discoveries_at_once_map_each_host_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[], &[]]).await else { return };
    for number in 0..12 {
        write_node(&test.cells[number % 2].1, &format!("host{number}"), 1, 1024);
    }
    // The same name in both: whoever maps it first has it, and the other is named.
    for (_, cell) in &test.cells {
        write_node(cell, "twin", 1, 1024);
    }
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let plane = test.plane.clone();
            tokio::spawn(async move {
                plane.hosts().discover(&DiscoverOptions::default()).await.unwrap()
            })
        })
        .collect();
    let mut new = 0;
    for task in tasks {
        new += task.await.unwrap().new.len();
    }
    assert_eq!(new, 13);
    assert_eq!(count(&test.api, "host_mappings"), 13);
    assert_eq!(count(&test.api, "host_capacity"), 13);
    assert_eq!(discover(&test).await.duplicates.len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_host_is_removed_only_where_it_is_and_when_nothing_needs_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(1, 1024, 40)], &[(1, 1024, 40)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let (ctx, hosts) = (user(), test.plane.hosts());
    let booted = test.boot(&ctx, request("web", "1").build().unwrap()).await;
    let at = test.plane.show(&ctx, booted[0]).await.unwrap();
    let (full, Home::Cell(cell)) = (at.host.unwrap(), at.home) else { panic!("no cell") };
    let index = test.cells.iter().position(|(uuid, _)| *uuid == cell).unwrap();
    let other = test.cell(1 - index);
    let refused = |result: Result<(), Write<HostError>>| match result {
        Err(Write::Failed(error)) => error,
        other => panic!("{other:?}"),
    };
    let unknown = CellUuid(uuid::Uuid::from_u128(7));
    let error = refused(hosts.delete(unknown, &full).await);
    assert!(matches!(error, HostError::Cell(CellError::Unknown { .. })), "{error:?}");
    let error = refused(hosts.delete(cell, "nobody").await);
    assert!(matches!(error, HostError::NotFound { .. }), "{error:?}");
    let error = refused(hosts.delete(other, &full).await);
    assert!(matches!(error, HostError::MappedElsewhere { mapped, .. } if mapped == cell));
    let error = refused(hosts.delete(cell, &full).await);
    assert!(matches!(error, HostError::HasInstances { count: 1, .. }), "{error:?}");

    // A live row that nobody has mapped counts too.
    let database = &test.cells[index].1;
    test.plane.delete(&ctx, booted[0]).await.unwrap();
    test.plane.settle().await.unwrap();
    let revive = |deleted: &str| {
        let of = format!("WHERE uuid = '{}'", booted[0]);
        database.execute(&format!("UPDATE instances SET deleted = {deleted} {of}")).unwrap();
    };
    revive("0");
    let error = refused(hosts.delete(cell, &full).await);
    assert!(matches!(error, HostError::HasInstances { count: 1, .. }), "{error:?}");
    revive("id");

    hosts.delete(cell, &full).await.unwrap();
    assert_eq!(mapped(database, &full), 0);
    assert_eq!(count(&test.api, "host_capacity"), 1);
    let error = refused(hosts.delete(cell, &full).await);
    assert!(matches!(error, HostError::NotFound { .. }), "{error:?}");
    assert_eq!(found(&test).await, []);
    // It is found again, whatever `mapped` says.
    database.execute("UPDATE compute_nodes SET mapped = 1").unwrap();
    assert_eq!(names(&discover(&test).await), [full.as_str()]);
    let filled = test.boot(&ctx, request("two", "1").count(2).build().unwrap()).await;
    for uuid in &filled.instances {
        assert!(!test.plane.show(&ctx, *uuid).await.unwrap().home.is_cell0());
    }
    test.check_at_rest();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_removal_that_races_boots_leaves_no_instance_on_a_host_that_is_gone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(64, 65_536, 400)]]).await else { return };
    let cell = test.cell(0);
    for round in 0..6 {
        let host = format!("racer{round}");
        write_node(&test.cells[0].1, &host, 16, 16_384);
        discover(&test).await;
        test.plane.hosts().disable("cell1-host1", "the race is on the other").await.unwrap();
        let plane = test.plane.clone();
        let booting = tokio::spawn(async move {
            for number in 0..3 {
                let asked = request(&format!("r{round}-{number}"), "1").build().unwrap();
                let accepted = plane.boot(&user(), asked).await.unwrap();
                plane.settle_accepted(&accepted).await.unwrap();
            }
        });
        tokio::time::sleep(std::time::Duration::from_millis(round * 4)).await;
        let removed = test.plane.hosts().delete(cell, &host).await;
        booting.await.unwrap();
        test.plane.settle().await.unwrap();
        let on = format!("instances WHERE deleted = 0 AND host = '{host}'");
        match removed {
            Ok(()) => {
                assert_eq!(count(&test.cells[0].1, &on), 0, "round {round}");
                assert_eq!(count(&test.api, &format!("claims WHERE host = '{host}'")), 0);
            }
            Err(Write::Failed(HostError::HasInstances { .. })) => {
                assert!(count(&test.cells[0].1, &on) > 0, "round {round}");
                test.plane.hosts().disable(&host, "the race is over").await.unwrap();
            }
            Err(error) => panic!("{error:?}"),
        }
        test.check_at_rest();
    }
    assert_eq!(found(&test).await, []);
}

#[rstest]
#[tokio::test]
async fn a_host_is_to_its_instances_what_it_and_the_operator_say(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(4, 4096, 40), (4, 4096, 40)], &[(4, 4096, 40); 2]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let set = |set: &str, host: &str| {
        test.api.execute(&format!("UPDATE host_capacity SET {set} WHERE host = '{host}'")).unwrap();
    };
    set("last_seen_up = '2026-01-01 00:00:00'", "cell1-host2");
    test.plane.hosts().disable("cell2-host1", "a new disk").await.unwrap();
    set("forced_down = true, service_disabled = true", "cell2-host2");
    let asked = ["cell1-host1", "cell1-host2", "cell2-host1", "cell2-host2", "none"];
    let asked: Vec<String> = asked.into_iter().map(str::to_owned).collect();
    let statuses = test.plane.host_statuses(&user(), &asked).await.unwrap();
    let words: Vec<Option<&str>> =
        asked.iter().map(|host| Some(statuses.get(host)?.as_str())).collect();
    let expected = [Some("UP"), Some("UNKNOWN"), Some("MAINTENANCE"), Some("DOWN"), None];
    assert_eq!(words, expected);
    assert!(test.plane.host_statuses(&user(), &[]).await.unwrap().is_empty());
}
