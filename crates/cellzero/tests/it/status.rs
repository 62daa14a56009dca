//! What a plane stands on: each check, as it is where all is well and where it is not.

use std::time::Duration;

use cellzero::*;
use cellzero_test_support::{Engine, create_database};
use rstest::rstest;

use crate::support::{TestPlane, request, user};
use crate::sync::{databases, set_back};

const NAMES: [&str; 11] = [
    "api_database",
    "cell0",
    "cells_reachable",
    "identities",
    "schema_versions",
    "drift",
    "hosts_mapped",
    "clocks",
    "durability",
    "waiting_requests",
    "connections",
];

async fn status(test: &TestPlane) -> StatusReport {
    databases(test.config.clone()).status(&StatusOptions::default()).await
}

fn level(report: &StatusReport, name: &str) -> Level {
    report.check(name).unwrap_or_else(|| panic!("no {name} in {report:?}")).level
}

/// The names of the checks that are not well, without that of servers that tests start to be fast.
fn unwell(report: &StatusReport) -> Vec<(&str, Level)> {
    let unwell = report.checks.iter().filter(|one| one.level != Level::Ok);
    unwell.filter(|one| one.name != "durability").map(|one| (one.name, one.level)).collect()
}

#[rstest]
#[tokio::test]
async fn a_sound_plane_passes_every_check(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    test.boot(&user(), request("web", "1").build().unwrap()).await;
    let report = status(&test).await;
    let names: Vec<&str> = report.checks.iter().map(|check| check.name).collect();
    assert_eq!(names, NAMES);
    assert_eq!(unwell(&report), [], "{report:?}");
    // The servers of the tests do not sync; what is asked for is what they say.
    let lossy = level(&report, "durability");
    assert_eq!(lossy == Level::Ok, engine == Engine::Sqlite, "{report:?}");
    assert_eq!(report.level(), lossy);
}

#[rstest]
#[tokio::test]
async fn each_fault_fails_its_own_check(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[(i32, i32, i32)] = &[(4, 4096, 40), (4, 4096, 40)];
    let Some(test) = TestPlane::with_cells(engine, &[hosts, &[]]).await else { return };
    let theirs = TestPlane::with_cells(engine, &[hosts]).await.unwrap();
    let cell1 = &test.cells[0].1;

    // One host of two, then both.
    test.plane.hosts().unmap("cell1-host1").await.unwrap();
    assert_eq!(unwell(&status(&test).await), [("hosts_mapped", Level::Warning)]);
    test.plane.hosts().unmap("cell1-host2").await.unwrap();
    assert_eq!(unwell(&status(&test).await), [("hosts_mapped", Level::Failure)]);
    for host in ["cell1-host1", "cell1-host2"] {
        let node = ComputeNode::new(host, 4, 4096, 40);
        test.plane.hosts().report(test.cell(0), &node).await.unwrap();
    }
    cell1.execute("ALTER TABLE instance_faults ADD COLUMN colour VARCHAR(8)").unwrap();
    let report = status(&test).await;
    assert_eq!(unwell(&report), [("drift", Level::Failure)]);
    let details = &report.check("drift").unwrap().details;
    assert!(details[0].contains("colour") && details[0].starts_with("cell1 ("), "{details:?}");
    cell1.execute("ALTER TABLE instance_faults DROP COLUMN colour").unwrap();

    let right = test.point(test.cell(0), theirs.cells[0].1.url());
    assert_eq!(unwell(&status(&test).await), [("identities", Level::Failure)]);
    test.point(test.cell(0), "postgres://nobody@127.0.0.1:1/cell1");
    assert_eq!(unwell(&status(&test).await)[0], ("cells_reachable", Level::Failure));
    test.point(test.cell(0), &right);

    let newer = "UPDATE database_identity SET schema_version = schema_version + 1";
    cell1.execute(newer).unwrap();
    assert_eq!(unwell(&status(&test).await), [("schema_versions", Level::Warning)]);
    cell1.execute("UPDATE database_identity SET schema_version = schema_version - 1").unwrap();
    set_back(cell1, "cell");
    assert_eq!(unwell(&status(&test).await), [("schema_versions", Level::Failure)]);
    assert!(databases(test.config.clone()).sync(|_| {}).await.is_done());

    // A request that found no cell0 waits, and is stuck after a while.
    let cell0 = test.point(CellUuid::CELL0, "postgres://nobody@127.0.0.1:1/cell0");
    test.plane.boot(&user(), request("web", "huge").build().unwrap()).await.unwrap();
    let report = status(&test).await;
    let found = unwell(&report);
    assert!(found.contains(&("cell0", Level::Failure)), "{found:?}");
    assert_eq!(level(&report, "waiting_requests"), Level::Ok);
    test.api.execute("UPDATE build_requests SET created_at = '2020-01-01 00:00:00'").unwrap();
    assert_eq!(level(&status(&test).await, "waiting_requests"), Level::Warning);
    test.point(CellUuid::CELL0, &cell0);
    test.plane.settle().await.unwrap();

    let files = StatusOptions { files_max: Some(256), ..StatusOptions::default() };
    let report = databases(test.config.clone()).status(&files).await;
    assert_eq!(unwell(&report), [("connections", Level::Warning)]);
    let strict = StatusOptions { clock_warning: Duration::ZERO, ..StatusOptions::default() };
    let report = databases(test.config.clone()).status(&strict).await;
    assert_eq!(unwell(&report), [("clocks", Level::Warning)]);
}

#[rstest]
#[tokio::test]
async fn a_plane_that_cannot_be_opened_says_why(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(empty) = create_database(engine, "api") else { return };
    let config = Config::new(empty.url());
    let report = databases(config.clone()).status(&StatusOptions::default()).await;
    assert_eq!(unwell(&report), [("api_database", Level::Failure)]);
    assert!(databases(config.clone()).sync(|_| {}).await.is_done());
    let report = databases(config).status(&StatusOptions::default()).await;
    let expected = [("cell0", Level::Failure), ("hosts_mapped", Level::Warning)];
    assert_eq!(unwell(&report), expected);
    assert_eq!(report.level(), Level::Failure);

    let test = TestPlane::new(engine).await.unwrap();
    // A cell where the API database belongs.
    let report = databases(Config::new(test.cell0.url())).status(&StatusOptions::default()).await;
    assert_eq!(unwell(&report), [("api_database", Level::Failure)]);
}
