//! Archive beside everything else: lists, boots, deletes, and another archive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use super::*;

const CELLS: &[&[(i32, i32, i32)]] =
    &[&[(60, 60_000, 600)], &[(60, 60_000, 600)], &[(60, 60_000, 600)], &[(60, 60_000, 600)]];
const DEAD: usize = 200;
const LIVE: usize = 40;

/// The uuids in the shadow tables of all cells.
fn archived(test: &TestPlane) -> Vec<String> {
    let databases = test.cells.iter().map(|(_, cell)| cell).chain([&test.cell0]);
    let read =
        |database: &TestDatabase| database.query("SELECT uuid FROM shadow_instances").unwrap();
    let mut uuids: Vec<String> = databases.flat_map(read).flatten().flatten().collect();
    uuids.sort();
    uuids
}

/// A small one of what the benchmark does with a hundred thousand.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_are_archived_in_parts_while_the_live_ones_are_listed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, CELLS).await else { return };
    let all = test.boot(&user(), full("web", "1").count(240).build().unwrap()).await;
    let (dead, live) = all.instances.split_at(DEAD);
    for uuid in dead {
        test.plane.delete(&user(), *uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    let before = listed(&test.plane).await;
    assert_eq!(before.len(), LIVE);
    let done = Arc::new(AtomicBool::new(false));
    let (lists, until) = (test.plane.clone(), Arc::clone(&done));
    let listing = tokio::spawn(async move {
        let mut count = 0;
        while !until.load(Ordering::Relaxed) {
            assert_eq!(listed(&lists).await, before, "what lives is listed as it was");
            count += 1;
        }
        count
    });
    let part = ArchiveOptions { batch: 16, instances_max: Some(70), ..at_once() };
    let mut moved = Vec::new();
    for _ in 0..3 {
        let mut steps: Vec<Progress> = Vec::new();
        let report = test.plane.archive(&part, |step| steps.push(step)).await.unwrap();
        assert!(steps.is_sorted_by(|a, b| a.done <= b.done), "{steps:?}");
        assert_eq!(steps.last().map(|step| step.done), Some(report.instances));
        moved.push((report.instances, report.complete));
    }
    assert_eq!(moved, [(70, false), (70, false), (60, true)]);
    done.store(true, Ordering::Relaxed);
    assert!(listing.await.unwrap() > 0);
    let mut expected: Vec<String> = dead.iter().map(|uuid| uuid.text()).collect();
    expected.sort();
    assert_eq!(archived(&test), expected);
    assert_eq!(count(&test.api, "boot_states"), live.len() as i64);
    assert_sound(&test).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_runs_at_once_beside_boots_and_deletes_archive_each_instance_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &CELLS[..2]).await else { return };
    let other = ControlPlane::open(test.config.clone()).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let archives = [test.plane.clone(), other.clone()].map(|plane| {
        let stop = Arc::clone(&stop);
        tokio::spawn(async move {
            let mut all = 0;
            // Once more after the last delete.
            loop {
                let is_last = stop.load(Ordering::Relaxed);
                let options = ArchiveOptions { batch: 7, ..at_once() };
                let report = plane.archive(&options, |_| {}).await.unwrap();
                assert!(report.unreachable.is_empty(), "{:?}", report.unreachable);
                all += report.instances;
                if is_last {
                    return all;
                }
            }
        })
    });
    let (mut dead, mut live) = (Vec::new(), Vec::new());
    for round in 0..8 {
        let flavor = if round % 2 == 0 { "1" } else { "huge" };
        let booted = test.boot(&user(), full("web", flavor).count(6).build().unwrap()).await;
        let (gone, kept) = booted.instances.split_at(4);
        for uuid in gone {
            test.plane.delete(&user(), *uuid).await.unwrap();
        }
        test.plane.settle().await.unwrap();
        dead.extend(gone.iter().map(|uuid| uuid.text()));
        live.extend(kept.iter().copied());
        let mut found: Vec<InstanceUuid> =
            listed(&test.plane).await.iter().map(|instance| instance.uuid).collect();
        found.sort();
        live.sort();
        assert_eq!(found, live);
    }
    stop.store(true, Ordering::Relaxed);
    let mut moved = 0;
    for archive in archives {
        moved += archive.await.unwrap();
    }
    // What one of two runs left to the other is taken by a last one.
    moved += archive(&test).await.instances;
    dead.sort();
    assert_eq!(moved, dead.len() as u64, "each was counted by one run");
    assert_eq!(archived(&test), dead);
    assert_eq!(count(&test.api, "shadow_instance_mappings"), dead.len() as i64);
    other.close().await.unwrap();
    assert_sound(&test).await;
}
