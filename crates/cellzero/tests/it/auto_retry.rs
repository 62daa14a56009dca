//! What is buried and wants it comes back by itself, once it may fit.

use std::collections::HashSet;
use std::time::Duration;

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, count, request, user};

/// Options of a test that has no time.
pub(crate) fn hurried(config: Config) -> Config {
    let mut options = OrchestratorOptions::default();
    options.auto_retry.back_off = Duration::from_millis(1);
    options.auto_retry.back_off_max = Duration::from_millis(4);
    config.orchestrator(options)
}

/// A plane whose one host has room for so many.
async fn plane(engine: Engine, room: i32) -> Option<TestPlane> {
    let mut test = TestPlane::with(engine, hurried).await?;
    test.fill(&[&[(1, 1, 1)]]).await;
    grow(&test, room).await;
    Some(test)
}

/// Makes the host of the first cell one for so many of flavor 1.
pub(crate) async fn grow(test: &TestPlane, room: i32) {
    let node = ComputeNode::new("cell1-host1", room, 512 * room, 10 * room);
    test.plane.hosts().report(test.cell(0), &node.with_ratios(1.0, 1.0, 1.0)).await.unwrap();
}

pub(crate) fn waits(name: &str) -> BootRequest {
    request(name, "1").auto_retry(true).build().unwrap()
}

/// Settles until nothing moves any more, back-offs included.
pub(crate) async fn settle_all(plane: &ControlPlane) -> usize {
    let (mut woken, mut quiet) = (0, 0);
    while quiet < 4 {
        let settled = plane.settle().await.unwrap();
        woken += settled.woken;
        quiet = if settled.woken + settled.in_cells == 0 { quiet + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    woken
}

async fn home(test: &TestPlane, uuid: InstanceUuid) -> Home {
    test.plane.show(&RequestContext::admin(), uuid).await.unwrap().home
}

#[rstest]
#[tokio::test]
async fn what_wants_it_comes_back_once_it_fits_and_nothing_else(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, 1).await else { return };
    test.boot(&user(), waits("first")).await;
    let wants = test.boot(&user(), waits("wants")).await[0];
    let does_not = test.boot(&user(), request("not", "1").build().unwrap()).await[0];
    assert_eq!(settle_all(&test.plane).await, 0, "nothing has changed");
    let state = test.plane.waiting(&user(), wants).await.unwrap().unwrap();
    assert_eq!((state.state.as_str(), state.attempts), ("asleep", 0));
    assert_eq!(test.plane.waiting(&user(), does_not).await.unwrap(), None);

    grow(&test, 3).await;
    assert_eq!(settle_all(&test.plane).await, 1);
    assert_eq!(home(&test, wants).await, Home::Cell(test.cell(0)));
    assert!(home(&test, does_not).await.is_cell0());
    assert_eq!(count(&test.api, "waiting_instances"), 0);
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn the_request_decides_then_the_project_then_the_plane(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let by_default = |config: Config| {
        let mut options = OrchestratorOptions::default();
        options.quota.auto_retry = Some(true);
        config.orchestrator(options)
    };
    let Some(mut test) = TestPlane::with(engine, by_default).await else { return };
    test.fill(&[&[(1, 1, 1)]]).await;
    test.plane.quotas().set("project-b", "auto_retry", Some(0)).await.unwrap();
    let other = RequestContext::new("project-b", "user-b");
    for (ctx, asks, expected) in [
        (user(), None, true),
        (user(), Some(false), false),
        (other.clone(), None, false),
        (other, Some(true), true),
    ] {
        let asked = request("web", "1").with(|request| request.auto_retry = asks);
        let uuid = test.boot(&ctx, asked.build().unwrap()).await[0];
        let waiting = test.plane.waiting(&ctx, uuid).await.unwrap();
        assert_eq!(waiting.is_some(), expected, "{asks:?} of {}", ctx.project_id);
    }
}

#[rstest]
#[tokio::test]
async fn every_kind_of_change_wakes(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = plane(engine, 1).await else { return };
    let first = test.boot(&user(), waits("first")).await[0];
    // A slot that is freed.
    let freed = test.boot(&user(), waits("freed")).await[0];
    settle_all(&test.plane).await;
    test.plane.delete(&user(), first).await.unwrap();
    assert_eq!(settle_all(&test.plane).await, 1);
    assert!(!home(&test, freed).await.is_cell0());

    // A host that is enabled again.
    test.plane.hosts().disable("cell1-host1", "maintenance").await.unwrap();
    grow(&test, 2).await;
    let enabled = test.boot(&user(), waits("enabled")).await[0];
    assert_eq!(settle_all(&test.plane).await, 0);
    test.plane.hosts().enable("cell1-host1").await.unwrap();
    assert_eq!(settle_all(&test.plane).await, 1);
    assert!(!home(&test, enabled).await.is_cell0());

    // A cell that is opened again.
    test.plane.cells().disable(test.cell(0)).await.unwrap();
    grow(&test, 3).await;
    let opened = test.boot(&user(), waits("opened")).await[0];
    assert_eq!(settle_all(&test.plane).await, 0);
    test.plane.cells().enable(test.cell(0)).await.unwrap();
    assert_eq!(settle_all(&test.plane).await, 1);
    assert!(!home(&test, opened).await.is_cell0());

    // A new host of a new cell.
    let added = test.boot(&user(), waits("added")).await[0];
    assert_eq!(settle_all(&test.plane).await, 0);
    let cell = test.add_cell(&[(1, 512, 10)]).await;
    assert_eq!(settle_all(&test.plane).await, 1);
    assert_eq!(home(&test, added).await, Home::Cell(cell));

    // Another zone.
    let asked = request("zone", "1").auto_retry(true).availability_zone("north").build().unwrap();
    grow(&test, 4).await;
    let zone = test.boot(&user(), asked).await[0];
    assert_eq!(settle_all(&test.plane).await, 0);
    let north: std::collections::BTreeMap<String, String> =
        [("availability_zone".to_owned(), "north".to_owned())].into();
    test.plane.aggregates().create("north", &north, &["cell1-host1"]).await.unwrap();
    assert_eq!(settle_all(&test.plane).await, 1);
    assert!(!home(&test, zone).await.is_cell0());
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn the_oldest_goes_first_and_projects_take_turns(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, 1).await else { return };
    test.boot(&user(), waits("first")).await;
    let other = RequestContext::new("project-b", "user-b");
    let mut waiting: Vec<(String, InstanceUuid)> = Vec::new();
    for (ctx, name) in
        [(user(), "a1"), (user(), "a2"), (user(), "a3"), (other.clone(), "b1"), (other, "b2")]
    {
        waiting.push((name.to_owned(), test.boot(&ctx, waits(name)).await[0]));
    }
    settle_all(&test.plane).await;
    let mut order = Vec::new();
    for room in 2..=6 {
        grow(&test, room).await;
        assert_eq!(settle_all(&test.plane).await, 1, "one slot wakes one");
        let mut left = Vec::new();
        for (name, uuid) in waiting {
            match home(&test, uuid).await.is_cell0() {
                true => left.push((name, uuid)),
                false => order.push(name),
            }
        }
        waiting = left;
    }
    assert_eq!(order, ["a1", "b1", "a2", "b2", "a3"]);
}

#[rstest]
#[tokio::test]
async fn one_whose_quota_is_short_waits_for_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, 1).await else { return };
    test.boot(&user(), waits("first")).await;
    let uuid = test.boot(&user(), waits("web")).await[0];
    test.plane.quotas().set("project-a", "instances", Some(1)).await.unwrap();
    grow(&test, 2).await;
    test.plane.settle().await.unwrap();
    let state = test.plane.waiting(&user(), uuid).await.unwrap().unwrap();
    assert!(state.attempts > 0, "{state:?}");
    assert!(home(&test, uuid).await.is_cell0());
    test.plane.quotas().set("project-a", "instances", Some(2)).await.unwrap();
    assert_eq!(settle_all(&test.plane).await, 1);
    assert!(!home(&test, uuid).await.is_cell0());
}

#[rstest]
#[tokio::test]
async fn a_delete_wins_an_end_is_an_end_and_a_restart_forgets_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, 1).await else { return };
    test.boot(&user(), waits("first")).await;
    let deleted = test.boot(&user(), waits("deleted")).await[0];
    let expired = test.boot(&user(), waits("expired")).await[0];
    let kept = test.boot(&user(), waits("kept")).await[0];
    settle_all(&test.plane).await;
    test.plane.delete(&user(), deleted).await.unwrap();
    test.api
        .execute(&format!(
            "UPDATE waiting_instances SET expires_at = created_at WHERE instance_uuid = '{expired}'"
        ))
        .unwrap();
    test.plane.close().await.unwrap();
    let again = ControlPlane::open(test.config.clone()).await.unwrap();
    let node = ComputeNode::new("cell1-host1", 9, 9_999, 99).with_ratios(1.0, 1.0, 1.0);
    again.hosts().report(test.cell(0), &node).await.unwrap();
    assert_eq!(settle_all(&again).await, 1);
    assert!(!again.show(&user(), kept).await.unwrap().home.is_cell0());
    assert!(again.show(&user(), expired).await.unwrap().home.is_cell0());
    assert!(again.show(&user(), deleted).await.is_err());
    again.close().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn one_freed_slot_costs_the_same_however_many_wait(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, 1).await else { return };
    test.boot(&user(), waits("first")).await;
    let mut statements = Vec::new();
    for (batches, room) in [(1, 2), (9, 3)] {
        for _ in 0..batches {
            let many = request("many", "1").auto_retry(true).counts(1, 100).build().unwrap();
            test.boot(&user(), many).await;
        }
        settle_all(&test.plane).await;
        grow(&test, room).await;
        let before = test.plane.counters().api.statements;
        let settled = test.plane.settle().await.unwrap();
        assert_eq!((settled.woken, settled.in_cells), (1, 1));
        statements.push(test.plane.counters().api.statements - before);
    }
    println!("{statements:?} statements to the API database");
    // The plane's first retry of all makes the counter.
    assert_eq!(statements[0], statements[1] + 1);
    assert!(statements[0] < 80, "{statements:?}");
    assert_eq!(count(&test.api, "waiting_classes"), 1);
}

#[rstest]
#[tokio::test]
async fn what_nobody_wants_is_deleted_after_its_time_where_there_is_one(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let kept_for = |kept: Duration| {
        let options = OrchestratorOptions { buried_retention: Some(kept), ..Default::default() };
        move |config: Config| config.orchestrator(options)
    };
    let hour = kept_for(Duration::from_secs(3600));
    let Some(mut test) = TestPlane::with(engine, hour).await else { return };
    test.fill(&[&[(1, 1, 1)]]).await;
    let unwanted = test.boot(&user(), request("web", "1").build().unwrap()).await[0];
    let waiting = test.boot(&user(), waits("waiting")).await[0];
    assert_eq!(test.plane.settle().await.unwrap().unwanted, 0, "its time is not over");
    assert!(home(&test, unwanted).await.is_cell0());

    let moment = kept_for(Duration::from_millis(1))(test.config.clone());
    let impatient = ControlPlane::open(moment).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(impatient.settle().await.unwrap().unwanted, 1);
    assert!(test.plane.show(&user(), unwanted).await.is_err());
    assert!(home(&test, waiting).await.is_cell0());
    impatient.close().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn two_planes_that_wake_at_once_retry_nothing_twice(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine, 1).await else { return };
    test.boot(&user(), waits("first")).await;
    let many = request("many", "1").auto_retry(true).counts(1, 30).build().unwrap();
    let all: HashSet<InstanceUuid> = test.boot(&user(), many).await.instances.into_iter().collect();
    let other = ControlPlane::open(test.config.clone()).await.unwrap();
    grow(&test, 21).await;
    let (ours, theirs) = tokio::join!(settle_all(&test.plane), settle_all(&other));
    settle_all(&test.plane).await;
    let mut live = 0;
    for uuid in &all {
        live += usize::from(!home(&test, *uuid).await.is_cell0());
    }
    assert_eq!(live, 20, "{ours} and {theirs} woken");
    test.check_at_rest();
    other.close().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn endless_times_are_long_ones(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let endless = |config: Config| {
        let mut options = OrchestratorOptions::default();
        options.auto_retry.expires_after = Duration::MAX;
        options.auto_retry.back_off = Duration::MAX;
        options.auto_retry.back_off_max = Duration::MAX;
        options.buried_retention = Some(Duration::MAX);
        config.orchestrator(options)
    };
    let Some(mut test) = TestPlane::with(engine, endless).await else { return };
    test.fill(&[&[(1, 1, 1)]]).await;
    let uuid = test.boot(&user(), waits("web")).await[0];
    assert!(home(&test, uuid).await.is_cell0());
    test.plane.retry(&user(), uuid).await.unwrap();
    assert_eq!(test.plane.settle().await.unwrap().in_cell0, 1);
    let state = test.plane.waiting(&user(), uuid).await.unwrap().unwrap();
    assert_eq!((state.state.as_str(), state.attempts), ("back_off", 1));
    assert!(home(&test, uuid).await.is_cell0(), "kept without an end");
}
