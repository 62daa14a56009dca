//! Opening, closing, dropping, and coming back.

use std::time::Duration;

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, count, request, user};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_boot_is_accepted_whole_or_not_at_all(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(64, 65_536, 400)]]).await else { return };
    for micros in (0..40).map(|n| n * 150) {
        let (plane, ctx) = (test.plane.clone(), user());
        let asked = request("web", "1").count(3).build().unwrap();
        let boot = tokio::spawn(async move { plane.boot(&ctx, asked).await });
        tokio::time::sleep(Duration::from_micros(micros)).await;
        boot.abort();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mapped = count(&test.api, "instance_mappings");
    assert_eq!(mapped % 3, 0, "a group was accepted in part");
    assert_eq!(count(&test.api, "build_requests"), mapped);
    assert_eq!(count(&test.api, "request_specs"), mapped);
    test.plane.settle().await.unwrap();
    let page = test.plane.list(&user(), &ListQuery::default()).await.unwrap();
    assert_eq!(page.instances.len() as i64, mapped);
    test.check_at_rest();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_while_boots_run_loses_none_and_another_plane_ends_them(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(64, 65_536, 400)]]).await else { return };
    let tasks: Vec<_> = (0..12)
        .map(|number| {
            let plane = test.plane.clone();
            tokio::spawn(async move {
                let mut accepted = Vec::new();
                for n in 0..20 {
                    let asked = request(&format!("c{number}-{n}"), "1").build().unwrap();
                    match plane.boot(&user(), asked).await {
                        Ok(one) => accepted.extend(one.instances),
                        Err(_) => break,
                    }
                }
                accepted
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(30)).await;
    test.plane.close().await.unwrap();
    let mut accepted = Vec::new();
    for task in tasks {
        accepted.extend(task.await.unwrap());
    }
    let after = test.plane.boot(&user(), request("late", "1").build().unwrap()).await;
    assert!(after.is_err(), "a closed plane accepts nothing");

    let again = ControlPlane::open(test.config.clone()).await.unwrap();
    for _ in 0..50 {
        again.settle().await.unwrap();
        if count(&test.api, "build_requests") == 0 {
            break;
        }
    }
    let ctx = user();
    for uuid in accepted {
        again.show(&ctx, uuid).await.unwrap();
    }
    test.check_at_rest();
    again.close().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_brings_boots_home_and_wait_ends(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let config = Config::new(test.api.url()).cell0(test.cell0.url());
    let plane = ControlPlane::open(config).await.unwrap();
    let ctx = user();
    let accepted = plane.boot(&ctx, request("web", "1").count(2).build().unwrap()).await.unwrap();
    plane.wait(&ctx, &accepted).await.unwrap();
    assert_eq!(plane.show(&ctx, accepted[1]).await.unwrap().home, Home::Cell(test.cell(0)));
    plane.close().await.unwrap();
    // Nobody works any more: waiting ends with its time.
    let waiting = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    let hurried = ctx.with_timeout(Duration::from_millis(50));
    let timed_out = test.plane.wait(&hurried, &waiting).await.unwrap_err();
    assert!(matches!(timed_out, WaitError::TimedOut { waiting: 1, all: 1 }), "{timed_out}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_of_two_planes_share_the_work_and_decide_each_instance_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(30, 65_536, 400)]]).await else { return };
    let second = ControlPlane::open(test.config.clone()).await.unwrap();
    let ctx = user();
    let mut accepted = Vec::new();
    for n in 0..20 {
        let asked = request(&format!("w{n}"), "1").count(2).build().unwrap();
        accepted.push(test.plane.boot(&ctx, asked).await.unwrap());
    }
    // Nobody works for what the first accepted, until it hands its leases back.
    assert_eq!(second.recover().await.unwrap().in_cells, 0);
    let idle = test.plane.run_workers(0).unwrap();
    idle.shutdown().await.unwrap();
    let workers = [test.plane.run_workers(2).unwrap(), second.run_workers(2).unwrap()];
    for request in &accepted {
        second.wait(&ctx, request).await.unwrap();
    }
    for workers in &workers {
        workers.shutdown().await.unwrap();
    }
    // Each in one home, and as many in the cell as fit.
    assert_eq!(count(&test.cells[0].1, "instances"), 30);
    assert_eq!(count(&test.cell0, "instances"), 10);
    assert_eq!(count(&test.api, "boot_states WHERE owner IS NOT NULL"), 0);
    test.check_at_rest();
    second.close().await.unwrap();
}

#[tokio::test]
async fn a_new_directory_becomes_a_plane_and_may_be_moved() {
    let parent = tempfile::tempdir().unwrap();
    let (first, second) = (parent.path().join("state"), parent.path().join("moved"));
    let plane = ControlPlane::open(Config::embedded(&first).without_worker()).await.unwrap();
    let cell = plane.cells().create_embedded("cell1").await.unwrap();
    plane.hosts().report(cell, &ComputeNode::new("h", 4, 4096, 40)).await.unwrap();
    plane.flavors().create(&Flavor::new("1", "tiny", 1, 512, 1)).await.unwrap();
    let ctx = user();
    let accepted = plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    plane.settle().await.unwrap();
    plane.close().await.unwrap();
    std::fs::rename(&first, &second).unwrap();
    let plane = ControlPlane::open(Config::embedded(&second).without_worker()).await.unwrap();
    assert_eq!(plane.show(&ctx, accepted[0]).await.unwrap().home, Home::Cell(cell));
    plane.close().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn what_memory_has_no_room_for_is_taken_when_its_lease_is_over(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(9, 9000, 90)]]).await else { return };
    let options = OrchestratorOptions { accepted_max: 2, ..OrchestratorOptions::default() };
    let plane = ControlPlane::open(test.config.clone().orchestrator(options)).await.unwrap();
    for _ in 0..3 {
        plane.boot(&user(), request("web", "1").build().unwrap()).await.unwrap();
    }
    assert_eq!(plane.settle().await.unwrap().in_cells, 2);
    test.api.execute("UPDATE boot_states SET lease_until = created_at").unwrap();
    assert_eq!(plane.settle().await.unwrap().in_cells, 1);
    test.check_at_rest();
    plane.close().await.unwrap();
}

/// An idle worker looks at the databases by its timer, about once in a second.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_worker_asks_little(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    test.boot(&user(), request("web", "1").build().unwrap()).await;
    let workers = test.plane.run_workers(2).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = test.plane.counters().api.statements;
    tokio::time::sleep(Duration::from_millis(700)).await;
    let asked = test.plane.counters().api.statements - before;
    assert!(asked < 60, "{asked} statements of two workers that have nothing to do");
    workers.shutdown().await.unwrap();
}
