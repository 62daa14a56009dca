//! Cell0, or a live cell, missing or unreachable: what is accepted waits, and is never lost.

use std::time::Duration;

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, count, request, user};

/// Nothing listens there.
const UNREACHABLE: &str = "postgres://u:p@127.0.0.1:1/none";

fn impatient(config: Config) -> Config {
    config.orchestrator(OrchestratorOptions {
        back_off: Duration::from_millis(1),
        back_off_max: Duration::from_millis(5),
        ..OrchestratorOptions::default()
    })
}

async fn plane(engine: Engine, cells: &[&[(i32, i32, i32)]]) -> Option<TestPlane> {
    let mut test = TestPlane::with(engine, impatient).await?;
    test.plane.flavors().create(&Flavor::new("1", "tiny", 1, 512, 1)).await.unwrap();
    for hosts in cells {
        test.add_cell(hosts).await;
    }
    Some(test)
}

/// Points a cell somewhere else, and gives back where it pointed. The next settle notices.
async fn point(test: &TestPlane, cell: CellUuid, url: &str) -> String {
    let before = test.point(cell, url);
    test.plane.settle().await.unwrap();
    before
}

/// Settles until nothing waits, a bounded number of times.
async fn settle_all(test: &TestPlane) {
    for _ in 0..200 {
        test.plane.settle().await.unwrap();
        if count(&test.api, "build_requests") == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("build requests are left");
}

#[rstest]
#[tokio::test]
async fn an_unreachable_cell0_keeps_the_request_until_it_is_back(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, &[]).await else { return };
    let ctx = user();
    let before = point(&test, CellUuid::CELL0, UNREACHABLE).await;
    let accepted = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    let settled = test.plane.settle().await.unwrap();
    assert_eq!((settled.in_cell0, settled.waiting), (0, 1));
    assert_eq!(test.plane.show(&ctx, accepted[0]).await.unwrap().status(), "BUILD");
    point(&test, CellUuid::CELL0, &before).await;
    settle_all(&test).await;
    assert!(test.plane.show(&ctx, accepted[0]).await.unwrap().home.is_cell0());
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_missing_cell0_keeps_the_request_until_it_is_mapped(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, &[]).await else { return };
    let ctx = user();
    let row = format!("cell_mappings WHERE uuid = '{}'", CellUuid::CELL0);
    let url = test.api.query(&format!("SELECT database_connection FROM {row}")).unwrap();
    let url = url[0][0].clone().unwrap();
    test.api.execute(&format!("DELETE FROM {row}")).unwrap();
    test.plane.settle().await.unwrap();
    let accepted = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    assert_eq!(test.plane.settle().await.unwrap().waiting, 1);
    assert_eq!(test.plane.show(&ctx, accepted[0]).await.unwrap().status(), "BUILD");
    let no = if engine == Engine::Postgres { "false" } else { "0" };
    let insert = format!(
        "INSERT INTO cell_mappings (uuid, name, transport_url, database_connection, disabled) \
         VALUES ('{}', 'cell0', 'none:///', '{url}', {no})",
        CellUuid::CELL0
    );
    test.api.execute(&insert).unwrap();
    settle_all(&test).await;
    assert!(test.plane.show(&ctx, accepted[0]).await.unwrap().home.is_cell0());
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn what_waits_for_cell0_is_scheduled_again_not_buried_with_an_old_verdict(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = plane(engine, &[]).await else { return };
    let ctx = user();
    let before = point(&test, CellUuid::CELL0, UNREACHABLE).await;
    let accepted = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    assert_eq!(test.plane.settle().await.unwrap().waiting, 1);
    test.add_cell(&[(4, 4096, 40)]).await;
    settle_all(&test).await;
    let shown = test.plane.show(&ctx, accepted[0]).await.unwrap();
    assert_eq!(shown.home, Home::Cell(test.cell(0)));
    point(&test, CellUuid::CELL0, &before).await;
    test.plane.settle().await.unwrap();
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_live_cell_that_cannot_be_written_is_left_for_another(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let cells: &[&[(i32, i32, i32)]] = &[&[(9, 9000, 90)], &[(4, 4096, 40)]];
    let Some(test) = plane(engine, cells).await else { return };
    let ctx = user();
    let before = point(&test, test.cell(0), UNREACHABLE).await;
    let accepted = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    settle_all(&test).await;
    let shown = test.plane.show(&ctx, accepted[0]).await.unwrap();
    assert_eq!(shown.home, Home::Cell(test.cell(1)));
    point(&test, test.cell(0), &before).await;
    test.plane.settle().await.unwrap();
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn with_no_cell_that_can_be_written_it_is_buried_with_that_reason(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, &[&[(9, 9000, 90)]]).await else { return };
    let ctx = user();
    let before = point(&test, test.cell(0), UNREACHABLE).await;
    let accepted = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    settle_all(&test).await;
    let shown = test.plane.show(&ctx, accepted[0]).await.unwrap();
    assert!(shown.home.is_cell0());
    let message = shown.fault.unwrap().message;
    assert!(message.contains("The chosen cell could not be written in 3 attempts."), "{message}");
    point(&test, test.cell(0), &before).await;
    test.plane.settle().await.unwrap();
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn what_fits_only_in_a_cell_that_is_away_for_a_moment_is_not_buried(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, &[&[(9, 9000, 90)]]).await else { return };
    let ctx = user();
    let before = point(&test, test.cell(0), UNREACHABLE).await;
    let accepted = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    let settled = test.plane.settle().await.unwrap();
    assert_eq!((settled.in_cell0, settled.waiting), (0, 1));
    point(&test, test.cell(0), &before).await;
    settle_all(&test).await;
    let shown = test.plane.show(&ctx, accepted[0]).await.unwrap();
    assert_eq!(shown.home, Home::Cell(test.cell(0)));
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_delete_in_a_down_cell_is_ok_at_once_and_ends_when_the_cell_is_back(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, &[&[(9, 9000, 90)]]).await else { return };
    let ctx = user();
    let accepted = test.boot(&ctx, request("web", "1").build().unwrap()).await;
    let before = point(&test, test.cell(0), UNREACHABLE).await;
    let shown = test.plane.show(&ctx, accepted[0]).await;
    assert!(matches!(shown, Err(ReadError::CellUnavailable { .. })), "{shown:?}");
    let page = test.plane.list(&ctx, &ListQuery::default()).await.unwrap();
    assert_eq!(page.down_cells().count(), 1);
    test.plane.delete(&ctx, accepted[0]).await.unwrap();
    // Its delete is under way, so asking again is fine.
    test.plane.delete(&ctx, accepted[0]).await.unwrap();
    let shown = test.plane.show(&ctx, accepted[0]).await;
    assert!(matches!(shown, Err(ReadError::InstanceNotFound { .. })));
    point(&test, test.cell(0), &before).await;
    test.plane.settle().await.unwrap();
    assert_eq!(count(&test.cells[0].1, "instances WHERE deleted = 0"), 0);
    assert_eq!(count(&test.api, "claims"), 0);
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn what_an_earlier_epoch_claimed_counts_as_free_for_the_next(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, &[&[(1, 1024, 10)]]).await else { return };
    let ctx = user();
    let accepted = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    // A process that placed it and died: its claim fills the only host, its lease has run out.
    let claim = format!(
        "INSERT INTO claims (instance_uuid, epoch, host, vcpus, memory_mb, disk_gb, created_at) \
         VALUES ('{}', 1, 'cell1-host1', 1, 512, 1, '2026-01-01 00:00:00')",
        accepted[0]
    );
    test.api.execute(&claim).unwrap();
    test.api
        .execute("UPDATE host_capacity SET vcpus_used = 1, memory_mb_used = 512, disk_gb_used = 1")
        .unwrap();
    let expired = "UPDATE boot_states SET owner = 'dead', lease_until = '2026-01-01 00:00:00'";
    test.api.execute(expired).unwrap();
    let other = ControlPlane::open(test.config.clone()).await.unwrap();
    other.settle().await.unwrap();
    let shown = other.show(&ctx, accepted[0]).await.unwrap();
    assert_eq!(shown.home, Home::Cell(test.cell(0)));
    other.close().await.unwrap();
    // The first plane wakes up late, with a ticket of a past epoch, and changes nothing.
    test.plane.settle().await.unwrap();
    assert_eq!(test.plane.show(&ctx, accepted[0]).await.unwrap().home, Home::Cell(test.cell(0)));
    test.check_at_rest();
}
