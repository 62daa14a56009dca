//! What is archived: whole, once, not found any more; and purged for good.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use super::*;

#[rstest]
#[tokio::test]
async fn archived_instances_are_not_found_and_stand_whole_in_the_shadow_tables(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(8, 8192, 80)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let ctx = user();
    let live = test.boot(&ctx, full("web", "1").count(4).build().unwrap()).await;
    let buried = test.boot(&ctx, full("big", "huge").count(3).build().unwrap()).await;
    // One that was retried has a history, and one was deleted before it had a home.
    test.plane.retry(&ctx, buried[0]).await.unwrap();
    test.plane.settle().await.unwrap();
    let homeless = test.plane.boot(&ctx, full("gone", "1").build().unwrap()).await.unwrap();
    let dead = [live[0], live[1], buried[0], buried[1], homeless[0]];
    for uuid in dead {
        test.plane.delete(&ctx, uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    let home = |uuid| if live.instances.contains(&uuid) { &test.cells[0].1 } else { &test.cell0 };
    let before = |uuid| (in_cell(home(uuid), "", uuid), in_api(&test, "", uuid));
    let stood: Vec<_> = dead.iter().map(|uuid| before(*uuid)).collect();
    assert!(stood[0].0.iter().filter(|rows| rows.is_empty()).count() <= 2, "all but a fault");
    assert!(!stood[2].1[2].is_empty(), "a history");
    let kept = listed(&test.plane).await;

    let mut steps: Vec<Progress> = Vec::new();
    let report = test.plane.archive(&at_once(), |step| steps.push(step)).await.unwrap();
    assert_eq!((report.instances, report.unsettled, report.complete), (5, 0, true), "{report:?}");
    assert!(report.left.is_empty() && report.unreachable.is_empty(), "{report:?}");
    assert_eq!(report.cells[&test.cell(0)]["instances"], 2);
    assert_eq!(report.cells[&CellUuid::CELL0]["instances"], 2);
    assert_eq!(report.api["instance_mappings"], 5);
    assert_eq!(report.api["boot_histories"], 1);
    assert_eq!(steps.first(), Some(&Progress { done: 0, of: 5 }));
    assert_eq!(steps.last(), Some(&Progress { done: 5, of: 5 }));

    for (uuid, (cell, api)) in dead.into_iter().zip(stood) {
        assert_archived(&test, uuid);
        assert_not_found(&test, uuid).await;
        assert_eq!(in_cell(home(uuid), "shadow_", uuid), cell, "{uuid}");
        assert_eq!(in_api(&test, "shadow_", uuid), api, "{uuid}");
        let again = test.plane.delete(&ctx, uuid).await.unwrap_err();
        assert!(matches!(again, Write::Failed(DeleteError::InstanceNotFound { .. })), "{again:?}");
    }
    let everything = ListFilters { deleted: Deleted::With, ..ListFilters::default() };
    let query = ListQuery::default().all_projects().filter(everything);
    let with_deleted = test.plane.list(&RequestContext::admin(), &query).await.unwrap();
    assert_eq!(with_deleted.instances.len(), 3);
    assert_eq!(listed(&test.plane).await, kept);
    assert_eq!(count(&test.cells[0].1, "instance_fences"), 2, "those of live ones stay");
    assert_sound(&test).await;

    // There is nothing left to do, and what was done stays as it is.
    let again = archive(&test).await;
    assert_eq!((again.instances, again.rows(), again.complete), (0, 0, true));
}

#[rstest]
#[tokio::test]
async fn what_is_purged_is_gone_for_good_and_no_more_than_that(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(8, 8192, 80)], &[(8, 8192, 80)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let ctx = user();
    let live = test.boot(&ctx, full("web", "1").count(12).build().unwrap()).await;
    let buried = test.boot(&ctx, full("big", "huge").count(3).build().unwrap()).await;
    for uuid in live.instances.iter().take(8).chain(&buried.instances) {
        test.plane.delete(&ctx, *uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    archive(&test).await;
    // Two of them were deleted long ago.
    let old = "'2020-01-01 00:00:00'";
    for uuid in [live[0], buried[0]] {
        let of = format!("instance_uuid = '{uuid}'");
        let set = format!("UPDATE shadow_instance_mappings SET updated_at = {old} WHERE {of}");
        test.api.execute(&set).unwrap();
        for database in [&test.cell0, &test.cells[0].1, &test.cells[1].1] {
            let set =
                format!("UPDATE shadow_instances SET deleted_at = {old} WHERE uuid = '{uuid}'");
            database.execute(&set).unwrap();
        }
    }
    let kept = listed(&test.plane).await;
    let time = |text: &str| text.parse::<chrono::NaiveDateTime>().unwrap();

    let nothing = PurgeOptions::before(time("2019-12-31T00:00:00"));
    assert_eq!(test.plane.purge(&nothing, |_| {}).await.unwrap(), PurgeReport::default());
    let mut last = Progress::default();
    let some = PurgeOptions { batch: 2, ..PurgeOptions::before(time("2020-01-02T00:00:00")) };
    let report = test.plane.purge(&some, |step| last = step).await.unwrap();
    assert_eq!(last, Progress { done: 2, of: 2 });
    assert_eq!(report.api["instance_mappings"], 2);
    assert_eq!(report.cells.values().map(|rows| rows["instances"]).sum::<u64>(), 2);
    let left = |database, table: &str| count(database, &format!("shadow_{table}"));
    assert_eq!(left(&test.api, "instance_mappings"), 9);
    let cells: i64 = test.cells.iter().map(|(_, cell)| left(cell, "instances")).sum();
    assert_eq!((cells, left(&test.cell0, "instances")), (7, 2));

    let mut done = Vec::new();
    let all = PurgeOptions { batch: 2, ..PurgeOptions::all() };
    let report = test.plane.purge(&all, |step| done.push(step.done)).await.unwrap();
    assert!(report.rows() > 9 * 9, "{report:?}");
    assert!(done.is_sorted() && done.last() == Some(&9), "{done:?}");
    for (table, _) in OF_A_CELL.into_iter().chain([("instance_actions_events", "")]) {
        for database in [&test.cell0, &test.cells[0].1, &test.cells[1].1] {
            assert_eq!(left(database, table), 0, "{table}");
        }
    }
    for (table, _) in OF_THE_API {
        assert_eq!(left(&test.api, table), 0, "{table}");
    }
    assert_eq!(test.plane.purge(&PurgeOptions::all(), |_| {}).await.unwrap().rows(), 0);
    assert_eq!(listed(&test.plane).await, kept);
    assert_sound(&test).await;
}

/// SQLite gives ids again once their rows have gone.
#[rstest]
#[tokio::test]
async fn instances_that_come_after_an_archive_are_archived_beside_the_earlier_ones(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(8, 8192, 80)]]).await else { return };
    let mut all = Vec::new();
    for round in 0..3 {
        let booted = test.boot(&user(), full("web", "1").count(3 - round).build().unwrap()).await;
        for uuid in &booted.instances {
            test.plane.delete(&user(), *uuid).await.unwrap();
        }
        test.plane.settle().await.unwrap();
        let cell = &test.cells[0].1;
        let stood: Vec<_> = booted.instances.iter().map(|uuid| in_cell(cell, "", *uuid)).collect();
        assert_eq!(archive(&test).await.instances, u64::from(3 - round));
        all.extend(booted.instances.into_iter().zip(stood));
    }
    for (uuid, stood) in all {
        assert_archived(&test, uuid);
        assert_eq!(in_cell(&test.cells[0].1, "shadow_", uuid), stood);
    }
    assert_sound(&test).await;
}

/// An orchestrator that stalled for longer than the age may still write: then it is nobody's.
#[rstest]
#[tokio::test]
async fn a_row_that_is_written_after_its_instance_was_archived_is_erased_by_a_repair(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(8, 8192, 80)]]).await else { return };
    let uuid = test.boot(&user(), request("web", "1").build().unwrap()).await[0];
    test.plane.delete(&user(), uuid).await.unwrap();
    test.plane.settle().await.unwrap();
    assert_eq!(archive(&test).await.instances, 1);
    let late = "INSERT INTO instances SELECT * FROM shadow_instances; \
                UPDATE instances SET deleted = 0, vm_state = 'building'";
    test.cells[0].1.execute(late).unwrap();
    let report = test.plane.fsck(Repair::Yes).await.unwrap();
    let classes: Vec<Class> = report.findings.iter().map(|finding| finding.class).collect();
    assert_eq!(classes, [Class::RowWithoutMapping]);
    assert!(matches!(report.findings[0].plan, Plan::EraseRows { .. }), "{report:?}");
    assert_not_found(&test, uuid).await;
    assert_eq!(count(&test.cells[0].1, "instances"), 0);
    assert_sound(&test).await;
}
