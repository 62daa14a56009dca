//! Several at once: hosts end exactly full, quotas are never exceeded, nothing is lost.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, count, request, user};

const TASKS: usize = 8;
const BOOTS_PER_TASK: usize = 9;
/// Six hosts of eight vcpus: 48 instances fit, 72 are asked for.
const FIT: usize = 48;
/// How often two schedulers are let loose, until they meet.
const RUNS_MAX: usize = 10;

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_schedulers_fill_hosts_exactly_and_bury_the_rest(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts = [(8, 65_536, 400); 3];
    // Whether two meet is a matter of chance, so that may take more than one run.
    for _ in 0..RUNS_MAX {
        let Some(test) = TestPlane::with_cells(engine, &[&hosts, &hosts]).await else { return };
        if fill_from_two_planes(engine, &test).await > 0 {
            return;
        }
    }
    panic!("the schedulers never met");
}

/// Says how often the two have met.
async fn fill_from_two_planes(engine: Engine, test: &TestPlane) -> u64 {
    let second = ControlPlane::open(test.config.clone()).await.unwrap();
    let planes = [test.plane.clone(), second.clone()];
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let plane = planes[task % planes.len()].clone();
            tokio::spawn(async move {
                let ctx = user();
                let mut uuids = Vec::new();
                for number in 0..BOOTS_PER_TASK {
                    let name = format!("t{task}-{number}");
                    let asked = request(&name, "1").build().unwrap();
                    let accepted = plane.boot(&ctx, asked).await.unwrap();
                    plane.settle_accepted(&accepted).await.unwrap();
                    uuids.extend(accepted.instances);
                }
                uuids
            })
        })
        .collect();
    let mut uuids = Vec::new();
    for task in tasks {
        uuids.extend(task.await.unwrap());
    }
    // What had to wait because of contention comes home now.
    for _ in 0..100 {
        test.plane.settle().await.unwrap();
        if count(&test.api, "build_requests") == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let ctx = user();
    let mut buried = 0;
    for uuid in &uuids {
        buried += usize::from(test.plane.show(&ctx, *uuid).await.unwrap().home.is_cell0());
    }
    assert_eq!(uuids.len(), TASKS * BOOTS_PER_TASK);
    assert_eq!(buried, TASKS * BOOTS_PER_TASK - FIT);
    assert_eq!(count(&test.api, "host_capacity WHERE vcpus_used = vcpus_limit"), 6);
    test.check_at_rest();
    let conflicts = test.plane.counters().claim_conflicts + second.counters().claim_conflicts;
    println!("{engine:?}: {FIT} fit, {buried} buried, {conflicts} claim conflicts");
    second.close().await.unwrap();
    conflicts
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_callers_never_exceed_a_quota(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(64, 65_536, 400)]]).await else { return };
    test.plane.quotas().set("project-a", "instances", Some(10)).await.unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let plane = test.plane.clone();
            tokio::spawn(async move {
                let mut accepted = 0;
                for number in 0..4 {
                    let asked = request(&format!("q{task}-{number}"), "1").build().unwrap();
                    match plane.boot(&user(), asked).await {
                        Ok(_) => accepted += 1,
                        Err(Write::Failed(BootError::QuotaExceeded { .. })) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
                accepted
            })
        })
        .collect();
    let mut accepted = 0;
    for task in tasks {
        accepted += task.await.unwrap();
    }
    assert_eq!(accepted, 10);
    assert_eq!(count(&test.api, "instance_mappings"), 10);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deletes_that_race_boots_leave_each_instance_dead_and_its_host_free(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(64, 65_536, 400)]]).await else { return };
    let tasks: Vec<_> = (0..24)
        .map(|number| {
            let plane = test.plane.clone();
            let flavor = if number % 2 == 0 { "1" } else { "huge" };
            tokio::spawn(async move {
                let ctx = user();
                let asked = request(&format!("r{number}"), flavor).build().unwrap();
                let accepted = plane.boot(&ctx, asked).await.unwrap();
                let settle = plane.settle_accepted(&accepted);
                let delete = async {
                    tokio::time::sleep(std::time::Duration::from_millis(number % 7)).await;
                    plane.delete(&ctx, accepted[0]).await
                };
                let (settled, deleted) = tokio::join!(settle, delete);
                settled.unwrap();
                deleted.unwrap();
                let shown = plane.show(&ctx, accepted[0]).await;
                assert!(matches!(shown, Err(ReadError::InstanceNotFound { .. })), "{shown:?}");
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    test.plane.settle().await.unwrap();
    test.plane.settle().await.unwrap();
    assert_eq!(count(&test.api, "claims"), 0);
    for database in [&test.cell0, &test.cells[0].1] {
        assert_eq!(count(database, "instances WHERE deleted = 0"), 0);
    }
    test.check_at_rest();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_claim_that_several_free_at_once_is_given_back_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(20, 65_536, 400)]]).await else { return };
    let ctx = user();
    let accepted = test.boot(&ctx, request("web", "1").count(16).build().unwrap()).await;
    // As when the acknowledgement of a destroy is lost, and it is sent again by another process.
    for uuid in &accepted.instances[..12] {
        test.plane.delete(&ctx, *uuid).await.unwrap();
        let reports: Vec<_> = (0..TASKS)
            .map(|_| {
                let (plane, uuid) = (test.plane.clone(), *uuid);
                tokio::spawn(async move { plane.compute().destroyed(uuid, 2 << 20).await })
            })
            .collect();
        for report in reports {
            report.await.unwrap().unwrap();
        }
    }
    let used = test.api.query("SELECT vcpus_used FROM host_capacity").unwrap();
    assert_eq!(used, [[Some("4".to_owned())]]);
    assert_eq!(count(&test.api, "claims"), 4);
}

/// The first retries of a plane: its counter has no row yet.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_retries_at_once_are_numbered_without_a_gap(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let asked = request("big", "huge").count(8).build().unwrap();
    let buried = test.boot(&user(), asked).await;
    let retries: Vec<_> = buried
        .instances
        .iter()
        .map(|uuid| {
            let (plane, uuid) = (test.plane.clone(), *uuid);
            tokio::spawn(async move { plane.retry(&user(), uuid).await })
        })
        .collect();
    for retry in retries {
        retry.await.unwrap().unwrap();
    }
    let numbered = test.api.query("SELECT MIN(sequence), MAX(sequence) FROM retries").unwrap();
    assert_eq!(numbered, [[Some("1".to_owned()), Some("8".to_owned())]]);
    test.plane.settle().await.unwrap();
    test.check_at_rest();
}
