//! Cells that are added, disabled, moved and removed while planes are open: every process hears of
//! it without a restart.

use std::time::Duration;

use cellzero::*;
use cellzero_test_support::{Engine, Proxy, create_database, shared, silent_listener};
use rstest::rstest;

use crate::support::{
    TestPlane, admin_of, both_ways, by_name, count, report, request, user, uuids,
};

const ENOUGH: &[(i32, i32, i32)] = &[(8, 8_192, 80)];

/// Another process on the same databases, which knows the cells as they are now.
async fn other_process(test: &TestPlane) -> ControlPlane {
    let other = ControlPlane::open(test.config.clone()).await.unwrap();
    other.list(&user(), &by_name()).await.unwrap();
    other
}

async fn boot_onto(plane: &ControlPlane, host: &str, name: &str) -> InstanceUuid {
    let asked = request(name, "1").force_host(host).build().unwrap();
    let accepted = plane.boot(&admin_of(&user()), asked).await.unwrap();
    plane.settle().await.unwrap();
    accepted[0]
}

/// Whether a plane lists and shows exactly these, whole, by name.
async fn check_seen(plane: &ControlPlane, all: &[InstanceUuid]) {
    for query in both_ways() {
        let page = plane.list(&user(), &ListQuery { sort: by_name().sort, ..query }).await.unwrap();
        assert!(page.is_complete(), "{:?}", page.cells);
        assert_eq!(uuids(&page), all);
    }
    let page = plane.list(&user(), &ListQuery::default()).await.unwrap();
    assert!(page.is_complete(), "{:?}", page.cells);
    assert_eq!(page.instances.len(), all.len());
    for uuid in all {
        assert_eq!(plane.show(&user(), *uuid).await.unwrap().known_at, None);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cell_that_is_added_is_seen_by_every_process(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = TestPlane::with_cells(engine, &[ENOUGH]).await else { return };
    let a = boot_onto(&test.plane, "cell1-host1", "a").await;
    let other = other_process(&test).await;
    let added = test.add_cell(ENOUGH).await;
    let b = boot_onto(&test.plane, "cell2-host1", "b").await;
    assert_eq!(other.show(&user(), b).await.unwrap().home, Home::Cell(added));
    check_seen(&other, &[a, b]).await;
    // The other one can boot there too.
    let c = boot_onto(&other, "cell2-host1", "c").await;
    for plane in [&test.plane, &other] {
        check_seen(plane, &[a, b, c]).await;
    }
    other.close().await.unwrap();
}

/// How many connections a plane has opened to a cell, and how many statements it has sent there.
fn counted(plane: &ControlPlane, cell: CellUuid) -> (u64, u64) {
    let cells = plane.counters().cells;
    let of_cell = cells.iter().find(|(uuid, _)| *uuid == cell).expect("a cell that was asked");
    (of_cell.1.connections_opened, of_cell.1.statements)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cell_that_is_disabled_is_seen_and_gets_nothing_new(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[ENOUGH]).await else { return };
    let a = boot_onto(&test.plane, "cell1-host1", "a").await;
    let other = other_process(&test).await;
    for _ in 0..20 {
        other.show(&user(), a).await.unwrap();
    }
    let before = counted(&other, test.cell(0));
    test.plane.cells().disable(test.cell(0)).await.unwrap();
    for plane in [&test.plane, &other] {
        check_seen(plane, &[a]).await;
        let asked = request("none", "1").build().unwrap();
        let buried = plane.boot(&user(), asked).await.unwrap();
        plane.settle().await.unwrap();
        assert!(plane.show(&user(), buried[0]).await.unwrap().home.is_cell0());
        plane.delete(&user(), buried[0]).await.unwrap();
    }
    let after = counted(&other, test.cell(0));
    assert!(after.0 == before.0 && after.1 > before.1, "not the connections of before: {after:?}");
    test.plane.cells().enable(test.cell(0)).await.unwrap();
    let b = boot_onto(&other, "cell1-host1", "b").await;
    check_seen(&other, &[a, b]).await;
    // What lives in it can be deleted all the time.
    test.plane.cells().disable(test.cell(0)).await.unwrap();
    other.delete(&user(), a).await.unwrap();
    check_seen(&test.plane, &[b]).await;
    other.close().await.unwrap();
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cell_that_moved_is_shown_from_its_new_address_by_a_process_that_only_shows(
    #[case] engine: Engine,
) {
    let Some(mut test) = TestPlane::with_cells(engine, &[]).await else { return };
    let Some(server) = shared(engine) else { return };
    let database = create_database(engine, "moved").unwrap();
    let (old, new) = (Proxy::start(server).unwrap(), Proxy::start(server).unwrap());
    let moved = NewCell::new("moved", old.url(database.url()).unwrap());
    let cell = test.plane.cells().create(moved).await.unwrap();
    let node = ComputeNode::new("host", 8, 8_192, 80).with_ratios(1.0, 1.0, 1.0);
    test.plane.hosts().report(cell, &node).await.unwrap();
    let a = boot_onto(&test.plane, "host", "a").await;
    let other = other_process(&test).await;
    other.show(&user(), a).await.unwrap();

    test.point(cell, &new.url(database.url()).unwrap());
    drop(old);
    // Its connections are gone, and nobody is at the old address: it asks where the cell is.
    let shown = other.show(&user(), a).await.unwrap();
    assert_eq!(shown.home, Home::Cell(cell));
    assert!(other.actions(&user(), a).await.is_ok());
    let b = boot_onto(&other, "host", "b").await;
    for plane in [&test.plane, &other] {
        check_seen(plane, &[a, b]).await;
    }
    other.close().await.unwrap();
    test.cells.push((cell, database));
}

/// A process that lists, boots or settles hears of a move also where the old file is still there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_copied_is_read_and_written_at_its_new_address() {
    let Some(test) = TestPlane::with_cells(Engine::Sqlite, &[ENOUGH]).await else { return };
    let (cell, old) = (test.cell(0), &test.cells[0].1);
    let a = boot_onto(&test.plane, "cell1-host1", "a").await;
    let other = other_process(&test).await;
    let new = create_database(Engine::Sqlite, "copy").unwrap();
    let path = new.url().strip_prefix("sqlite://").unwrap();
    old.execute(&format!("VACUUM INTO '{path}'")).unwrap();
    new.execute("UPDATE instances SET display_description = 'of the copy'").unwrap();
    test.point(cell, new.url());
    for plane in [&test.plane, &other] {
        let page = plane.list(&user(), &ListQuery::default()).await.unwrap();
        assert!(page.is_complete(), "{:?}", page.cells);
        let described = |one: &Instance| one.display_description.clone();
        assert_eq!(described(&page.instances[0]).as_deref(), Some("of the copy"));
        let shown = plane.show(&user(), a).await.unwrap();
        assert_eq!(described(&shown).as_deref(), Some("of the copy"));
    }
    let b = boot_onto(&other, "cell1-host1", "b").await;
    for plane in [&test.plane, &other] {
        check_seen(plane, &[a, b]).await;
    }
    let live = |database| count(database, "instances WHERE deleted = 0");
    assert_eq!((live(old), live(&new)), (1, 2));
    other.close().await.unwrap();
}

/// The usual story: a cell dies, and comes back somewhere else. It is shown from there at once,
/// though it was silent, by a process that never lists; with and without a breaker.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_cell_that_moves_is_shown_from_its_new_address_at_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[values(false, true)] breaker: bool,
) {
    let Some(test) = TestPlane::with_cells(engine, &[ENOUGH]).await else { return };
    let a = boot_onto(&test.plane, "cell1-host1", "a").await;
    let listener = silent_listener();
    let home = test.point(test.cell(0), &listener.url(Engine::Postgres));
    let config = test.config.clone();
    let config = if breaker { config } else { config.breaker(None) };
    let other = ControlPlane::open(config).await.unwrap();
    let hurried = user().with_timeout(Duration::from_millis(500));
    for _ in 0..2 {
        let shown = other.show(&hurried, a).await;
        assert!(matches!(shown, Err(ReadError::CellUnavailable { .. })), "{shown:?}");
    }
    test.point(test.cell(0), &home);
    let shown = other.show(&user(), a).await.unwrap();
    assert_eq!(shown.home, Home::Cell(test.cell(0)));
    other.close().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cell_that_is_removed_is_forgotten_by_every_process(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[ENOUGH, ENOUGH]).await else { return };
    let a = boot_onto(&test.plane, "cell1-host1", "a").await;
    let b = boot_onto(&test.plane, "cell2-host1", "b").await;
    let other = other_process(&test).await;
    let removed = test.cell(1);
    test.plane.delete(&user(), b).await.unwrap();
    test.plane.settle().await.unwrap();
    let id = format!("(SELECT id FROM cell_mappings WHERE uuid = '{removed}')");
    for statement in [
        format!("DELETE FROM instance_mappings WHERE cell_id = {id}"),
        format!("DELETE FROM host_mappings WHERE cell_id = {id}"),
        format!("DELETE FROM host_capacity WHERE cell_uuid = '{removed}'"),
        format!("DELETE FROM cell_mappings WHERE uuid = '{removed}'"),
    ] {
        test.api.execute(&statement).unwrap();
    }
    for plane in [&test.plane, &other] {
        check_seen(plane, &[a]).await;
        for query in both_ways() {
            let page = plane.list(&user(), &query).await.unwrap();
            assert!(page.cells.iter().all(|report| report.cell != removed), "{:?}", page.cells);
            let answered = &report(&page, test.cell(0)).answered;
            assert!(matches!(answered, CellAnswered::Answered { .. }), "{answered:?}");
        }
        assert_eq!(plane.settle().await.unwrap(), Settled::default());
        assert!(plane.counters().cells.iter().all(|(cell, _)| *cell != removed));
        let again = boot_onto(plane, "cell1-host1", "again").await;
        plane.delete(&user(), again).await.unwrap();
        plane.settle().await.unwrap();
    }
    other.close().await.unwrap();
}
