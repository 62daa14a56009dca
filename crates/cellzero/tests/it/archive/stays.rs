//! What is not archived: what is young, what is not settled, and what a cell that is away holds.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use super::*;

#[rstest]
#[tokio::test]
async fn what_was_deleted_a_moment_ago_stays_whatever_is_asked_for(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(8, 8192, 80)]]).await else { return };
    let booted = test.boot(&user(), request("web", "1").count(3).build().unwrap()).await;
    for uuid in &booted.instances {
        test.plane.delete(&user(), *uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    let far = "2100-01-01T00:00:00".parse().unwrap();
    for before in [None, Some(far)] {
        let options = ArchiveOptions { before, ..ArchiveOptions::default() };
        let report = test.plane.archive(&options, |_| {}).await.unwrap();
        assert_eq!((report.instances, report.complete), (0, true));
        assert!(report.before < far);
    }
    // Two were deleted longer ago than a day, one of them in 2020.
    let age = |uuid: InstanceUuid, time: &str| {
        let set = format!(
            "UPDATE instance_mappings SET created_at = '2019-12-31 00:00:00', \
             updated_at = '{time}' WHERE instance_uuid = '{uuid}'"
        );
        test.api.execute(&set).unwrap();
    };
    age(booted[0], "2020-01-01 00:00:00");
    age(booted[1], "2021-01-01 00:00:00");
    let before = Some("2020-06-01T00:00:00".parse().unwrap());
    let options = ArchiveOptions { before, ..ArchiveOptions::default() };
    assert_eq!(test.plane.archive(&options, |_| {}).await.unwrap().instances, 1);
    assert_archived(&test, booted[0]);
    let report = test.plane.archive(&ArchiveOptions::default(), |_| {}).await.unwrap();
    assert_eq!(report.instances, 1);
    assert_archived(&test, booted[1]);
    assert_eq!(count(&test.api, "instance_mappings"), 1);
    assert_sound(&test).await;
}

/// A dispatch that destroys, or takes the order, or refuses it.
#[derive(Debug, Clone)]
struct Destroys {
    answer: Arc<Mutex<Result<Dispatched, DispatchError>>>,
    /// Of the last destroy.
    sequence: Arc<AtomicI64>,
}

#[async_trait::async_trait]
impl Dispatch for Destroys {
    async fn build(&self, _: &BuildOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn destroy(&self, o: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        self.sequence.store(o.sequence, Ordering::Relaxed);
        self.answer.lock().unwrap().clone()
    }

    async fn release(&self, _: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn act(&self, _: &ActionOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }
}

#[rstest]
#[tokio::test]
async fn a_tombstone_that_is_not_settled_stays_until_it_is(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let reason = "the host does not answer".to_owned();
    let answer = Arc::new(Mutex::new(Err(DispatchError { reason })));
    let dispatch = Destroys { answer, sequence: Arc::default() };
    let destroys = dispatch.clone();
    let options =
        OrchestratorOptions { resend_after: Duration::ZERO, ..OrchestratorOptions::default() };
    let with = |config: Config| config.dispatch(destroys).orchestrator(options);
    let Some(mut test) = TestPlane::with(engine, with).await else { return };
    test.fill(&[&[(8, 8192, 80)]]).await;
    let uuid = test.boot(&user(), request("web", "1").build().unwrap()).await[0];
    test.plane.delete(&user(), uuid).await.unwrap();

    // Its destroy waits in the outbox of the cell; then its host has it, and still its claim.
    for (answer, waiting) in [(None, 1), (Some(Dispatched::Taken), 0)] {
        if let Some(answer) = answer {
            *dispatch.answer.lock().unwrap() = Ok(answer);
        }
        test.plane.settle().await.unwrap();
        assert_eq!(count(&test.cells[0].1, "outbox"), waiting);
        let report = archive(&test).await;
        assert_eq!((report.instances, report.unsettled, report.rows()), (0, 1, 0));
        assert_eq!(count(&test.api, "boot_states"), 1);
        assert_eq!(count(&test.cells[0].1, "instance_fences"), 1);
    }
    test.plane.compute().destroyed(uuid, dispatch.sequence.load(Ordering::Relaxed)).await.unwrap();
    assert_eq!(archive(&test).await.instances, 1);
    assert_archived(&test, uuid);
    assert_sound(&test).await;
}

/// Beyond what a plane leaves by itself: each of these holds a tombstone.
#[rstest]
#[tokio::test]
async fn anything_that_is_still_to_be_done_holds_a_tombstone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(8, 8192, 80)]]).await else { return };
    let booted = test.boot(&user(), request("web", "1").count(2).build().unwrap()).await;
    let [dead, live] = booted.instances[..] else { panic!("two") };
    test.plane.delete(&user(), dead).await.unwrap();
    test.plane.settle().await.unwrap();
    let (cell, time) = (test.cell(0), "'2026-01-01 00:00:00'");
    let id = "00000000-0000-4000-8000-000000000001";
    let outbox = "INSERT INTO outbox (id, instance_uuid, sequence, operation, payload, attempts, \
                  created_at) VALUES";
    let claim = "INSERT INTO claims (instance_uuid, epoch, host, vcpus, memory_mb, disk_gb, \
                 created_at) VALUES";
    let held = [
        (&test.api, format!("INSERT INTO boot_intents VALUES ('{dead}', 9, '{cell}', {time})")),
        (&test.api, format!("{claim} ('{dead}', 9, 'h', 1, 1, 1, {time})")),
        (&test.api, format!("{outbox} ('{id}', '{dead}', 1, 'release', '{{}}', 0, {time})")),
        (
            &test.api,
            format!(
                "INSERT INTO build_requests (project_id, instance_uuid, instance) \
                 VALUES ('project-a', '{dead}', '{{}}')"
            ),
        ),
        (
            &test.api,
            format!(
                "INSERT INTO build_requests (project_id, instance_uuid, instance) \
                 VALUES ('project-a', '{live}', '{{}}')"
            ),
        ),
        (&test.cells[0].1, format!("{outbox} ('{id}', '{dead}', 1, 'destroy', '{{}}', 0, {time})")),
        (&test.cells[0].1, format!("UPDATE instances SET deleted = 0 WHERE uuid = '{dead}'")),
    ];
    for (database, plant) in held {
        database.execute(&plant).unwrap();
        let report = archive(&test).await;
        assert_eq!((report.instances, report.unsettled), (0, 1), "{plant}");
        let undo = match plant.strip_prefix("INSERT INTO ") {
            Some(rest) if rest.starts_with("build_requests") => "DELETE FROM build_requests".into(),
            Some(rest) => {
                let table = rest.split(' ').next().unwrap();
                format!("DELETE FROM {table} WHERE instance_uuid = '{dead}'")
            }
            None => format!("UPDATE instances SET deleted = id WHERE uuid = '{dead}'"),
        };
        database.execute(&undo).unwrap();
    }
    assert_eq!(archive(&test).await.instances, 1);
    assert_archived(&test, dead);
    assert_sound(&test).await;
}

#[rstest]
#[tokio::test]
async fn what_a_cell_that_is_away_holds_stays_and_the_others_are_done(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(4, 8192, 80)], &[(4, 8192, 80)]];
    let Some(mut test) = TestPlane::with_cells(engine, hosts).await else { return };
    let booted = test.boot(&user(), full("web", "1").count(8).build().unwrap()).await;
    let buried = test.boot(&user(), full("big", "huge").build().unwrap()).await;
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for uuid in booted.instances.iter().chain(&buried.instances) {
        let shown = test.plane.show(&user(), *uuid).await.unwrap();
        let is_away = shown.home == Home::Cell(test.cell(1));
        if is_away {
            there.push(*uuid)
        } else {
            here.push(*uuid)
        }
        test.plane.delete(&user(), *uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    let away = test.cell(1);
    let url = test.point(away, "/nowhere/at/all.db");
    test.plane.close().await.unwrap();
    test.plane = ControlPlane::open(test.config.clone()).await.unwrap();

    let report = archive(&test).await;
    assert_eq!(report.unreachable.keys().collect::<Vec<_>>(), [&away], "{report:?}");
    assert_eq!(report.left, [(away, there.len() as u64)].into());
    assert_eq!((report.instances, report.complete), (here.len() as u64, true));
    for uuid in &here {
        assert_not_found(&test, *uuid).await;
        assert_archived(&test, *uuid);
    }
    let purged = test.plane.purge(&PurgeOptions::all(), |_| {}).await.unwrap();
    assert_eq!(purged.unreachable.keys().collect::<Vec<_>>(), [&away]);
    assert_eq!(purged.api["instance_mappings"], here.len() as u64);

    test.point(away, &url);
    test.plane.close().await.unwrap();
    test.plane = ControlPlane::open(test.config.clone()).await.unwrap();
    let report = archive(&test).await;
    assert!(report.unreachable.is_empty() && report.left.is_empty(), "{report:?}");
    assert_eq!(report.instances, there.len() as u64);
    for uuid in there {
        assert_archived(&test, uuid);
    }
    assert_sound(&test).await;
}

#[rstest]
#[tokio::test]
async fn a_plane_that_is_open_read_only_is_not_archived(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine).await else { return };
    let plane = ControlPlane::open_read_only(test.config.clone()).await.unwrap();
    let archived = plane.archive(&at_once(), |_| {}).await;
    assert!(matches!(archived, Err(Write::ReadOnly(_))), "{archived:?}");
    let purged = plane.purge(&PurgeOptions::all(), |_| {}).await;
    assert!(matches!(purged, Err(Write::ReadOnly(_))), "{purged:?}");
}
