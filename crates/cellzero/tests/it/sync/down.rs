//! Cells that fail: each is named with its error, and the others are done.

use std::time::Duration;

use cellzero::*;
use cellzero_test_support::{Engine, ServerOptions, create_database, private};
use rstest::rstest;

use super::{assert_sound, databases, set_back, set_back_all, sync};
use crate::support::TestPlane;

fn kind_of(report: &SyncReport, cell: CellUuid) -> ErrorKind {
    let of_cell = report.failed().find(|one| match one.database {
        PlaneDatabase::Cell { uuid, .. } => uuid == cell,
        PlaneDatabase::Api => false,
    });
    match of_cell.unwrap_or_else(|| panic!("{report:?}")).outcome.as_ref().unwrap_err() {
        SchemaError::Database(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

/// A frozen server takes connections and answers nobody; a stopped one refuses them.
#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test]
async fn a_cell_that_is_down_is_named_and_the_others_are_done(
    #[case] engine: Engine,
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] others: Engine,
) {
    let Some(mut server) = private(engine, ServerOptions::default()) else { return };
    let Some(mut test) = TestPlane::with_cells(others, &[&[], &[]]).await else { return };
    let database = server.create_database("down").unwrap();
    let down = test.plane.cells().create(NewCell::new("down", database.url())).await.unwrap();
    test.add_cell(&[]).await;
    set_back_all(&test);
    set_back(&database, "cell");
    let hurried = test.config.clone().admin_timeout(Duration::from_secs(2));

    for is_frozen in [true, false] {
        match is_frozen {
            true => server.pause().unwrap(),
            false => server.stop().unwrap(),
        }
        let databases = Databases::new(hurried.clone()).unwrap();
        let report = databases.sync(|_| {}).await;
        assert_eq!(report.failed().count(), 1, "{report:?}");
        let kind = kind_of(&report, down);
        assert!([ErrorKind::DeadlineExceeded, ErrorKind::Unreachable].contains(&kind), "{kind:?}");
        assert_eq!(report.databases.len(), 6);
        let state = databases.state().await;
        let unsound: Vec<_> = state.databases.iter().filter(|one| !one.is_sound()).collect();
        assert_eq!(unsound.len(), 1, "{unsound:?}");
        match is_frozen {
            true => server.resume().unwrap(),
            false => server.start().unwrap(),
        }
    }
    assert!(sync(test.config.clone()).await.is_done());
    assert_sound(test.config.clone(), 6).await;
}

/// Nova prints that cell0 failed, and ends well.
#[rstest]
#[tokio::test]
async fn a_sync_without_cell0_has_failed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[]]).await else { return };
    set_back_all(&test);
    let right = test.point(CellUuid::CELL0, "postgres://nobody@127.0.0.1:1/cell0");
    let report = sync(test.config.clone()).await;
    assert!(!report.is_done());
    assert_eq!(kind_of(&report, CellUuid::CELL0), ErrorKind::Unreachable);
    assert_eq!(report.failed().count(), 1, "the cell behind it is done: {report:?}");
    test.point(CellUuid::CELL0, &right);
    assert!(sync(test.config.clone()).await.is_done());
    assert_sound(test.config.clone(), 3).await;
}

/// What another plane has is never migrated, and no empty database takes a cell's place.
#[rstest]
#[tokio::test]
async fn a_wrong_url_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(ours) = TestPlane::with_cells(engine, &[&[], &[]]).await else { return };
    let theirs = TestPlane::with_cells(engine, &[&[]]).await.unwrap();
    let empty = create_database(engine, "empty").unwrap();
    set_back(&theirs.cells[0].1, "cell");
    ours.point(ours.cell(0), theirs.cells[0].1.url());
    ours.point(ours.cell(1), empty.url());
    let report = sync(ours.config.clone()).await;
    assert_eq!(report.failed().count(), 2, "{report:?}");
    assert_eq!(kind_of(&report, ours.cell(0)), ErrorKind::WrongIdentity);
    let expected = match engine {
        // There is no file, and none is made.
        Engine::Sqlite => ErrorKind::Unreachable,
        _ => ErrorKind::SchemaVersion,
    };
    assert_eq!(kind_of(&report, ours.cell(1)), expected);
    let state = databases(theirs.config.clone()).state().await;
    assert!(state.databases.last().unwrap().is_behind(), "{state:?}");
    if engine != Engine::Sqlite {
        assert!(empty.query("SELECT 1 FROM database_identity").is_err(), "it is empty still");
    }
}
