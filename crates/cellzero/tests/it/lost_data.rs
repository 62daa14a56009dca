//! Databases that are lost without a backup: the API database, a cell, cell0.

use std::time::Duration;

use cellzero::*;
use cellzero_test_support::{Engine, create_database};
use rstest::rstest;

use crate::adopting::map;
use crate::fsck::{found, options};
use crate::support::{TestPlane, admin_of, request, user};
use crate::sync::{databases, sync};

/// Two cells of one host each with room for four, two instances in each, one that is buried, and one
/// that was deleted.
async fn plane(engine: Engine) -> Option<TestPlane> {
    let test = TestPlane::with_cells(engine, &[&[(4, 2_048, 40)], &[(4, 2_048, 40)]]).await?;
    for cell in ["cell1", "cell2"] {
        boot_on(&test, &format!("{cell}-host1"), 2).await;
    }
    test.boot(&user(), request("giant", "huge").build().unwrap()).await;
    let gone = boot_on(&test, "cell1-host1", 1).await;
    test.plane.delete(&user(), gone[0]).await.unwrap();
    test.plane.settle().await.unwrap();
    test.check_at_rest();
    Some(test)
}

async fn boot_on(test: &TestPlane, host: &str, count: u32) -> Accepted {
    let request = request("web", "1").force_host(host).count(count).build().unwrap();
    test.boot(&admin_of(&user()), request).await
}

/// What a list says: uuid, status and host of each.
async fn listed(plane: &ControlPlane) -> Vec<(InstanceUuid, String, Option<String>)> {
    let page = plane.list(&user(), &ListQuery::default()).await.expect("a page");
    let of = |one: Instance| (one.uuid, one.status().to_owned(), one.host);
    page.instances.into_iter().map(of).collect()
}

async fn repair(test: &TestPlane) -> FsckReport {
    let report = test.plane.fsck(options(Repair::Yes)).await.expect("a repair");
    assert!(report.unreachable.is_empty(), "{report:?}");
    report
}

#[rstest]
#[tokio::test]
async fn a_lost_api_database_is_made_again_from_what_its_cells_hold(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = plane(engine).await else { return };
    let before = listed(&test.plane).await;
    let hosts_before = test.plane.hosts().list(None).await.unwrap();
    test.plane.close().await.unwrap();
    test.api = create_database(engine, "api").expect("the backend is there");
    let config = Config::new(test.api.url()).without_worker();

    let empty = databases(config.clone());
    let plane_uuid = empty.plane_of(test.cells[1].1.url()).await.unwrap().expect("it says it");
    let report = empty.of_plane(plane_uuid).sync(|_| {}).await;
    assert!(report.is_done() && !report.cell0_is_mapped, "{report:?}");
    // Run again it changes nothing, and it makes no other plane's of what is this one's.
    assert!(databases(config.clone()).of_plane(plane_uuid).sync(|_| {}).await.is_done());
    let other = PlaneUuid("00000000-0000-4000-8000-000000000001".parse().unwrap());
    assert!(!databases(config.clone()).of_plane(other).sync(|_| {}).await.is_done());
    assert!(sync(config.clone()).await.is_done());

    test.plane = ControlPlane::open(config.existing()).await.unwrap();
    let mapped = test.plane.cells().map_cell0(Some(test.cell0.url())).await.unwrap();
    assert!(mapped.is_new);
    for (number, (cell, database)) in test.cells.iter().enumerate() {
        let new = NewCell::new(format!("cell{}", number + 1), database.url());
        assert_eq!(test.plane.cells().create(new).await.unwrap(), *cell, "it is the same cell");
    }
    let discovery = test.plane.hosts().discover(&DiscoverOptions::default()).await.unwrap();
    assert_eq!(discovery.new.len(), 2, "{discovery:?}");
    for cell in [CellUuid::CELL0, test.cell(0), test.cell(1)] {
        let again = MapOptions { reset: true, ..MapOptions::default() };
        assert!(!map(&test.plane, cell, again).await.more);
    }
    repair(&test).await;
    assert_eq!(found(&test).await, []);

    let mut after = listed(&test.plane).await;
    let mut expected = before.clone();
    after.sort();
    expected.sort();
    assert_eq!(after, expected);
    let hosts = test.plane.hosts().list(None).await.unwrap();
    let used = |hosts: Vec<Host>| -> Vec<_> {
        hosts.into_iter().map(|h| (h.host, h.cell, h.capacity.map(|c| c.used))).collect()
    };
    assert_eq!(used(hosts), used(hosts_before));
    // It is a plane like any other.
    test.plane.flavors().create(&Flavor::new("1", "flavor-1", 1, 512, 1)).await.unwrap();
    boot_on(&test, "cell2-host1", 1).await;
    for (uuid, _, _) in before {
        test.plane.delete(&user(), uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    assert_eq!(listed(&test.plane).await.len(), 1);
    test.check_at_rest();
    assert_eq!(found(&test).await, []);
}

#[rstest]
#[tokio::test]
async fn what_lived_in_a_lost_cell_is_buried_and_the_cell_begins_anew(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = plane(engine).await else { return };
    let cell = test.cell(0);
    let empty = create_database(engine, "cell1-again").expect("the backend is there");
    let before = listed(&test.plane).await;
    let refused = test.plane.cells().remake(cell, empty.url()).await;
    assert!(matches!(refused, Err(Write::Failed(UpdateCellError::NotLost { .. }))), "{refused:?}");

    let lost = std::mem::replace(&mut test.cells[0].1, empty);
    drop(lost);
    // An empty database takes no cell's place without being told to.
    let url = test.cells[0].1.url().to_owned();
    let change = MappingChange { database_connection: Some(url.clone()), ..Default::default() };
    let refused = test.plane.cells().update(cell, change).await;
    assert!(
        matches!(refused, Err(Write::Failed(UpdateCellError::NotThisCell { .. }))),
        "{refused:?}"
    );
    // Nor does that of another cell.
    let other = test.plane.cells().remake(cell, test.cells[1].1.url()).await;
    assert!(matches!(other, Err(Write::Failed(UpdateCellError::Taken(_)))), "{other:?}");
    for _ in 0..2 {
        test.plane.cells().remake(cell, &url).await.unwrap();
    }
    let report = repair(&test).await;
    assert!(report.findings.iter().any(|finding| finding.class == Class::InNoPlace), "{report:?}");
    // What follows from the repairs is found by the next.
    repair(&test).await;
    assert_eq!(found(&test).await, []);

    let after = listed(&test.plane).await;
    assert_eq!(after.len(), before.len());
    for (uuid, status, host) in &before {
        let now = after.iter().find(|(other, _, _)| other == uuid).expect("it is listed");
        match host.as_deref() {
            Some("cell1-host1") => assert_eq!((now.1.as_str(), &now.2), ("ERROR", &None)),
            _ => assert_eq!((&now.1, &now.2), (status, host)),
        }
    }
    test.check_at_rest();

    // Its host reports, and what was lost is retried there or deleted.
    let node = ComputeNode::new("cell1-host1", 4, 2_048, 40).with_ratios(1.0, 1.0, 1.0);
    test.plane.hosts().report(cell, &node).await.unwrap();
    let lost: Vec<InstanceUuid> = before
        .iter()
        .filter(|(_, _, host)| host.as_deref() == Some("cell1-host1"))
        .map(|(uuid, _, _)| *uuid)
        .collect();
    assert_eq!(lost.len(), 2);
    test.plane.retry(&user(), lost[0]).await.unwrap();
    test.plane.delete(&user(), lost[1]).await.unwrap();
    test.plane.settle().await.unwrap();
    assert_eq!(test.plane.show(&user(), lost[0]).await.unwrap().status(), "ACTIVE");
    boot_on(&test, "cell1-host1", 1).await;
    test.check_at_rest();
    assert_eq!(found(&test).await, []);
}

#[rstest]
#[tokio::test]
async fn a_lost_cell_that_nobody_wants_back_is_removed_once_its_instances_are_buried(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = plane(engine).await else { return };
    let cell = test.cell(0);
    let empty = create_database(engine, "cell1-again").expect("the backend is there");
    drop(std::mem::replace(&mut test.cells[0].1, empty));
    let refused = test.plane.cells().delete(cell, Removal::Force).await;
    assert!(matches!(refused, Err(Write::Failed(DeleteCellError::InUse { .. }))), "{refused:?}");
    test.plane.cells().remake(cell, test.cells[0].1.url()).await.unwrap();
    repair(&test).await;
    repair(&test).await;
    test.plane.cells().delete(cell, Removal::Force).await.unwrap();
    assert_eq!(found(&test).await, []);
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn what_was_buried_in_a_lost_cell0_is_buried_again(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = plane(engine).await else { return };
    let mut before = listed(&test.plane).await;
    let empty = create_database(engine, "cell0-again").expect("the backend is there");
    drop(std::mem::replace(&mut test.cell0, empty));
    test.plane.cells().remake(CellUuid::CELL0, test.cell0.url()).await.unwrap();
    repair(&test).await;
    assert_eq!(found(&test).await, []);
    let mut after = listed(&test.plane).await;
    before.sort();
    after.sort();
    assert_eq!(after, before);
    test.check_at_rest();
    let giant = test.boot(&user(), request("giant", "huge").build().unwrap()).await;
    let wait = Duration::from_secs(10);
    let ctx = user().with_timeout(wait);
    assert_eq!(test.plane.show(&ctx, giant[0]).await.unwrap().status(), "ERROR");
}
