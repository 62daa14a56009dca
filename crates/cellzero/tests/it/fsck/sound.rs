//! A plane of our own with nothing wrong: at rest, on its way, and while it works.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use super::{found, options};
use crate::support::{TestPlane, count, request, user};

#[rstest]
#[tokio::test]
async fn a_plane_at_rest_has_nothing_wrong(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(4, 4096, 40)], &[(4, 4096, 40)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let ctx = user();
    let live = test.boot(&ctx, request("web", "1").count(5).build().unwrap()).await;
    let buried = test.boot(&ctx, request("big", "huge").count(3).build().unwrap()).await;
    let building = test.plane.boot(&ctx, request("x", "1").build().unwrap()).await.unwrap();
    for uuid in [live[0], buried[0], building[0]] {
        test.plane.delete(&ctx, uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    test.check_at_rest();
    assert_eq!(found(&test).await, []);
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert!(report.is_clean() && report.dumps.is_empty(), "{report:?}");
    assert_eq!((report.uuids_checked, report.hosts_checked), (9, 2));
    for slice in 2..=9 {
        let report = test.plane.fsck(FsckOptions { slice, ..options(Repair::No) }).await.unwrap();
        assert_eq!((report.uuids_checked, report.is_clean()), (9, true), "by {slice}");
    }
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn what_is_on_its_way_is_not_wrong(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    let accepted = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    assert_eq!(found(&test).await, [], "accepted");
    test.plane.settle().await.unwrap();
    // Back to where it was placed and written, and not decided.
    let uuid = accepted[0];
    let request = "INSERT INTO build_requests (project_id, instance_uuid, instance, created_at)";
    test.api
        .execute(&format!(
            "UPDATE instance_mappings SET cell_id = NULL; \
             UPDATE boot_states SET decided_epoch = NULL; \
             INSERT INTO boot_intents VALUES ('{uuid}', 1, '{}', '2026-01-01 00:00:00'); \
             {request} VALUES ('project-a', '{uuid}', '{{}}', '2026-01-01 00:00:00')",
            test.cell(0)
        ))
        .unwrap();
    assert_eq!(count(&test.cells[0].1, "instances WHERE deleted = 0"), 1);
    assert_eq!(found(&test).await, [], "written and not decided");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_beside_boots_and_deletes_names_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(8, 8192, 80)], &[(8, 8192, 80)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let ctx = user();
    let plane = test.plane.clone();
    let (user, stop) =
        (ctx.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let stopped = std::sync::Arc::clone(&stop);
    let working = tokio::spawn(async move {
        let mut rounds = 0;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) || rounds < 3 {
            let flavor = if rounds % 2 == 0 { "1" } else { "huge" };
            let asked = request("web", flavor).count(4).build().unwrap();
            let accepted = plane.boot(&user, asked).await.unwrap();
            plane.settle().await.unwrap();
            for uuid in &accepted.instances {
                plane.delete(&user, *uuid).await.unwrap();
            }
            plane.settle().await.unwrap();
            rounds += 1;
        }
    });
    // A minute is longer than any step here may take; without an age, what is sent is late at once.
    let minute = std::time::Duration::from_secs(60);
    let options = FsckOptions { age: minute, claim_age: minute, slice: 5, ..options(Repair::No) };
    for _ in 0..8 {
        let report = test.plane.fsck(options.clone()).await.unwrap();
        assert_eq!(report.findings, []);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    working.await.unwrap();
    assert_eq!(found(&test).await, []);
}
