//! Retry from cell0: same uuid, same request, another schedule, and nothing of its past is lost.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{Recorder, TestPlane, admin_of, both_ways, count, request, user};

const FULL: &[&[(i32, i32, i32)]] = &[&[(1, 512, 10)]];

/// A plane whose one host is full, and an instance that is buried for that.
async fn buried(engine: Engine) -> Option<(TestPlane, InstanceUuid)> {
    let test = TestPlane::with_cells(engine, FULL).await?;
    test.boot(&user(), request("first", "1").build().unwrap()).await;
    let asked = request("web", "1").tag("blue").metadata("role", "web").build().unwrap();
    let uuid = test.boot(&user(), asked).await[0];
    assert!(test.plane.show(&user(), uuid).await.unwrap().home.is_cell0());
    Some((test, uuid))
}

async fn grow(test: &TestPlane) {
    let node = ComputeNode::new("cell1-host1", 8, 8_192, 100).with_ratios(1.0, 1.0, 1.0);
    test.plane.hosts().report(test.cell(0), &node).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_retried_instance_lands_in_a_cell_with_all_its_past(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, uuid)) = buried(engine).await else { return };
    let ctx = user();
    let before = test.plane.show(&ctx, uuid).await.unwrap();
    grow(&test).await;
    let retry = RequestContext::new("project-a", "user-a");
    let accepted = test.plane.retry(&retry, uuid).await.unwrap();
    assert_eq!(accepted.instances, [uuid]);
    let waiting = test.plane.show(&ctx, uuid).await.unwrap();
    assert_eq!((waiting.home, waiting.status()), (Home::BuildRequest, "BUILD"));
    assert_eq!(test.plane.settle().await.unwrap().in_cells, 1);

    let after = test.plane.show(&ctx, uuid).await.unwrap();
    assert_eq!(
        (after.home, after.vm_state.as_ref()),
        (Home::Cell(test.cell(0)), Some(&VmState::Active))
    );
    assert_eq!((&after.tags, &after.metadata), (&before.tags, &before.metadata));
    assert_eq!(after.created_at, before.created_at);
    assert_eq!(
        count(&test.cells[0].1, &format!("instance_faults WHERE instance_uuid = '{uuid}'")),
        1
    );
    let actions = test.plane.actions(&ctx, uuid).await.unwrap();
    let mut names: Vec<_> =
        actions.iter().map(|a| (a.action.as_str(), a.message.as_deref())).collect();
    names.sort_unstable();
    assert_eq!(names, [("create", Some("Error")), ("retry", None)]);
    let of_retry = actions.iter().find(|a| a.action == "retry").unwrap();
    assert_eq!(of_retry.request_id, Some(retry.request_id));
    assert!(actions.iter().all(|action| action.events.len() == 1), "{actions:?}");
    assert_eq!(of_retry.events[0].result.as_deref(), Some("Success"));
    assert_eq!(count(&test.cell0, "instances"), 0, "cell0 is swept");
    let page = test.plane.list(&ctx, &ListQuery::default()).await.unwrap();
    assert_eq!(page.instances.len(), 2);
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn one_that_fits_nowhere_is_buried_again_with_a_new_fault_beside_the_old(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, uuid)) = buried(engine).await else { return };
    let ctx = user();
    for times in 2..=3 {
        test.plane.retry(&ctx, uuid).await.unwrap();
        assert_eq!(test.plane.settle().await.unwrap().in_cell0, 1);
        let shown = test.plane.show(&ctx, uuid).await.unwrap();
        assert!(shown.home.is_cell0() && shown.fault.is_some());
        assert_eq!(count(&test.cell0, "instance_faults"), times);
        assert_eq!(test.plane.actions(&ctx, uuid).await.unwrap().len(), times as usize);
    }
    // Retried, it is deleted as any other, and stays deleted.
    test.plane.delete(&ctx, uuid).await.unwrap();
    let refused = test.plane.retry(&ctx, uuid).await.unwrap_err();
    assert!(matches!(refused.failed(), Some(RetryError::InstanceNotFound { .. })), "{refused}");
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn only_a_buried_instance_of_the_project_is_retried_and_only_within_its_quota(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, uuid)) = buried(engine).await else { return };
    let ctx = user();
    let other = RequestContext::new("project-b", "user-b");
    let refused = test.plane.retry(&other, uuid).await.unwrap_err();
    assert!(matches!(refused.failed(), Some(RetryError::InstanceNotFound { .. })), "{refused}");
    // Whoever asks, it is the quota of the instance's own project that counts.
    test.plane.quotas().set("project-a", "instances", Some(1)).await.unwrap();
    let refused = test.plane.retry(&admin_of(&other), uuid).await.unwrap_err();
    let over = matches!(
        refused.failed(),
        Some(RetryError::Refused(BootError::QuotaExceeded { used: 1, requested: 1, .. }))
    );
    assert!(over, "{refused}");
    assert!(test.plane.show(&ctx, uuid).await.unwrap().home.is_cell0());
    test.plane.quotas().set("project-a", "instances", Some(2)).await.unwrap();
    test.plane.retry(&ctx, uuid).await.unwrap();
    let twice = test.plane.retry(&ctx, uuid).await.unwrap_err();
    assert!(matches!(twice.failed(), Some(RetryError::NotBuried { .. })), "{twice}");
    test.plane.settle().await.unwrap();
    let page = test.plane.list(&ctx, &ListQuery::default()).await.unwrap();
    let live = page.instances.iter().find(|instance| instance.uuid != uuid).unwrap();
    let refused = test.plane.retry(&ctx, live.uuid).await.unwrap_err();
    let Some(RetryError::NotBuried { reason, .. }) = refused.failed() else { panic!("{refused}") };
    assert_eq!(*reason, "it lives in a cell");
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_delete_between_retry_and_schedule_leaves_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let dispatch = Recorder::default();
    let own = dispatch.clone();
    let Some(test) = TestPlane::with(engine, |config| config.dispatch(own)).await else { return };
    let flavor = Flavor::new("huge", "huge", 99, 999, 1);
    test.plane.flavors().create(&flavor).await.unwrap();
    let ctx = user();
    let uuid = test.boot(&ctx, request("big", "huge").build().unwrap()).await[0];
    test.plane.retry(&ctx, uuid).await.unwrap();
    test.plane.delete(&ctx, uuid).await.unwrap();
    test.plane.settle().await.unwrap();
    assert!(matches!(test.plane.show(&ctx, uuid).await, Err(ReadError::InstanceNotFound { .. })));
    assert!(test.plane.list(&ctx, &ListQuery::default()).await.unwrap().instances.is_empty());
    assert_eq!(count(&test.cell0, "instances WHERE deleted = 0"), 0);
    assert!(dispatch.of("build").is_empty());
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_retried_instance_is_not_bound_by_the_verdict_of_its_group(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, FULL).await else { return };
    let ctx = user();
    // One of three would fit, which is too few, so all are buried.
    let all = test.boot(&ctx, request("web", "1").count(3).build().unwrap()).await;
    assert_eq!(count(&test.cell0, "instances"), 3);
    for (uuid, in_cells) in [(all[1], 1), (all[2], 0)] {
        test.plane.retry(&ctx, uuid).await.unwrap();
        assert_eq!(test.plane.settle().await.unwrap().in_cells, in_cells);
    }
    let shown = test.plane.show(&ctx, all[1]).await.unwrap();
    assert_eq!((shown.home, shown.status()), (Home::Cell(test.cell(0)), "ACTIVE"));
    let full = test.plane.show(&ctx, all[2]).await.unwrap().fault.unwrap();
    assert!(full.message.contains("0/1 host can take it: 1 has"), "{}", full.message);
    test.check_at_rest();
}

/// A crash left the second undecided when the first was buried by the verdict of both.
#[rstest]
#[tokio::test]
async fn the_verdict_of_a_group_stands_though_the_one_that_was_buried_by_it_is_retried(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, FULL).await else { return };
    let ctx = user();
    let both = request("web", "1").count(2).build().unwrap();
    let both = test.plane.boot(&ctx, both).await.unwrap();
    let second = both[1];
    let of_second = format!("WHERE instance_uuid = '{second}'");
    let kept = format!("CREATE TABLE kept AS SELECT * FROM build_requests {of_second}");
    test.api.execute(&kept).unwrap();
    assert_eq!(test.plane.settle().await.unwrap().in_cell0, 2);
    test.api
        .execute(&format!(
            "UPDATE instance_mappings SET cell_id = NULL {of_second}; \
             UPDATE boot_states SET decided_epoch = NULL {of_second}; \
             INSERT INTO build_requests SELECT * FROM kept; DROP TABLE kept"
        ))
        .unwrap();
    grow(&test).await;
    test.plane.retry(&ctx, both[0]).await.unwrap();
    let settled = test.plane.settle().await.unwrap();
    assert_eq!((settled.in_cells, settled.in_cell0), (1, 1));
    assert!(test.plane.show(&ctx, second).await.unwrap().home.is_cell0());
}

/// Lists while instances are retried and buried again, all the time: none is ever missing.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_list_never_misses_an_instance_that_is_retried(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, FULL).await else { return };
    let ctx = user();
    let all = test.boot(&ctx, request("big", "huge").count(4).build().unwrap()).await;
    let (plane, retried) = (test.plane.clone(), all.instances.clone());
    let moving = tokio::spawn(async move {
        for round in 0..24 {
            let uuid = retried[round % retried.len()];
            plane.retry(&user(), uuid).await.unwrap();
            plane.settle().await.unwrap();
        }
    });
    let mut lists = 0;
    while !moving.is_finished() {
        match test.plane.list(&ctx, &both_ways()[lists % 2]).await {
            Ok(page) => {
                let mut listed: Vec<_> = page.instances.iter().map(|i| i.uuid).collect();
                listed.sort();
                let mut expected = all.instances.clone();
                expected.sort();
                assert_eq!(listed, expected, "list {lists}");
                lists += 1;
            }
            // Honest where it could not know.
            Err(ReadError::Moving { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    moving.await.unwrap();
    assert!(lists > 5, "{lists} lists");
}
