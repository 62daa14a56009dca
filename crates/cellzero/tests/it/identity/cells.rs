//! Cells: each is one database of one plane.

use cellzero::*;
use cellzero_test_support::{Engine, create_database, nova_plane};
use rstest::rstest;

use super::{alias, assert_cell_error, point_to, refusal, rows, unavailable};
use crate::support::{TestPlane, failing_cells, request, user};

const HOSTS: &[(i32, i32, i32)] = &[(4, 4096, 40)];

#[rstest]
#[tokio::test]
async fn a_cell_of_another_plane_at_a_known_url_is_refused_and_stays_as_it_is(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut ours) = TestPlane::with_cells(engine, &[HOSTS]).await else { return };
    let theirs = TestPlane::with_cells(engine, &[HOSTS]).await.unwrap();
    let ctx = user();
    let uuid = ours.boot(&ctx, request("web", "1").build().unwrap()).await[0];
    theirs.boot(&ctx, request("web", "1").build().unwrap()).await;
    let foreign = rows(&theirs.cells[0].1);
    let cell = ours.cell(0);
    let says = format!("found cell {} of plane", theirs.cell(0));

    // A plane that runs hears of it at its next list, another one when it is opened.
    point_to(&ours, cell, theirs.cells[0].1.url());
    for _ in 0..2 {
        let page = ours.plane.list(&ctx, &ListQuery::default()).await.unwrap();
        assert!(page.instances[0].known_at.is_some(), "it is known by its outline alone");
        let report = page.down_cells().next().unwrap();
        assert_eq!(report.cell, cell);
        assert_cell_error(report.answered.error().unwrap(), ErrorKind::WrongIdentity, &says);
        let error = unavailable(ours.plane.show(&ctx, uuid).await.unwrap_err());
        assert_cell_error(&error, ErrorKind::WrongIdentity, &says);
        ours.plane.close().await.unwrap();
        ours.plane = ControlPlane::open(ours.config.clone()).await.unwrap();
    }
    // No write of ours reaches it: a delete is decided, and waits for the right cell.
    let node = ComputeNode::new("host-of-ours", 4, 4096, 40);
    assert!(ours.plane.hosts().report(cell, &node).await.is_err());
    ours.plane.delete(&ctx, uuid).await.unwrap();
    ours.plane.boot(&ctx, request("more", "1").build().unwrap()).await.unwrap();
    ours.plane.settle().await.unwrap();
    assert_eq!(rows(&theirs.cells[0].1), foreign);
}

#[rstest]
#[tokio::test]
async fn two_cells_with_each_others_url_are_refused(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[HOSTS, HOSTS]).await else { return };
    point_to(&test, test.cell(0), test.cells[1].1.url());
    point_to(&test, test.cell(1), test.cells[0].1.url());
    let failing = failing_cells(&test.plane).await;
    assert_eq!(failing.len(), 2, "{failing:?}");
    for (cell, error) in &failing {
        let other = if *cell == test.cell(0) { test.cell(1) } else { test.cell(0) };
        assert_cell_error(error, ErrorKind::WrongIdentity, &format!("expected cell {cell} of"));
        assert_cell_error(error, ErrorKind::WrongIdentity, &format!("found cell {other} of"));
    }
}

#[rstest]
#[tokio::test]
async fn a_database_is_never_given_to_two_cells(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[]]).await else { return };
    let cell1 = format!("cell {}(cell1)", test.cell(0));
    let owned = [
        (test.cells[0].1.url(), cell1.as_str()),
        (test.cell0.url(), "cell 00000000-0000-0000-0000-000000000000(cell0)"),
        (test.api.url(), "the API database"),
    ];
    for (url, theirs) in owned {
        match refusal(&test.plane, url).await {
            CreateCellError::DatabaseTaken { owner, .. } => assert_eq!(owner, theirs),
            other => panic!("{theirs}: {other:?}"),
        }
    }
    assert_eq!(test.plane.cells().list().await.unwrap().len(), 2);
}

/// By a name of the server that the URL does not give away, the database itself says it.
#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test]
async fn a_database_is_known_under_another_name_of_its_server(#[case] engine: Engine) {
    let Some(test) = TestPlane::with_cells(engine, &[&[]]).await else { return };
    let owned = [
        (&test.cells[0].1, format!("found cell {} of plane", test.cell(0))),
        (&test.cell0, "found cell 00000000-0000-0000-0000-000000000000 of plane".to_owned()),
        (&test.api, "expected a database of kind cell, found kind api".to_owned()),
    ];
    for (database, says) in owned {
        let alias = alias(database).unwrap();
        assert_ne!(alias, database.url());
        match refusal(&test.plane, &alias).await {
            CreateCellError::Cell { source, .. } => {
                assert_eq!(source.kind(), ErrorKind::WrongIdentity, "{source:?}");
                assert!(source.to_string().contains(&says), "{source}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(test.plane.cells().list().await.unwrap().len(), 2);
}

/// On SQLite every path to a file is seen through: relative, by a link, with dots in it.
#[cfg(unix)]
#[tokio::test]
async fn a_file_is_known_under_another_path() {
    let folder = tempfile::tempdir().unwrap();
    let plane = ControlPlane::open(Config::embedded(folder.path()).without_worker()).await.unwrap();
    plane.cells().create_embedded("cell1").await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.db");
    std::os::unix::fs::symlink(folder.path().join("cell1.db"), &link).unwrap();
    let folder_link = elsewhere.path().join("folder");
    std::os::unix::fs::symlink(folder.path(), &folder_link).unwrap();
    for path in [
        folder.path().join("cell1.db"),
        link,
        folder_link.join("cell1.db"),
        folder.path().join("../").join(folder.path().file_name().unwrap()).join("./cell1.db"),
    ] {
        let url = format!("sqlite://{}", path.display());
        let error = refusal(&plane, &url).await;
        assert!(matches!(error, CreateCellError::DatabaseTaken { .. }), "{url}: {error:?}");
    }
    plane.close().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_cell_of_another_plane_is_not_taken_over(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(ours) = TestPlane::new(engine).await else { return };
    let theirs = TestPlane::with_cells(engine, &[&[]]).await.unwrap();
    for database in [&theirs.cells[0].1, &theirs.cell0, &theirs.api] {
        match refusal(&ours.plane, database.url()).await {
            CreateCellError::Cell { source, .. } => {
                assert_eq!(source.kind(), ErrorKind::WrongIdentity, "{source:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    // The plane that has it goes on.
    let failing = failing_cells(&theirs.plane).await;
    assert!(failing.is_empty(), "{failing:?}");
}

#[rstest]
#[tokio::test]
async fn a_cell_is_not_opened_as_an_api_database(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[]]).await else { return };
    match ControlPlane::open(Config::new(test.cells[0].1.url())).await.unwrap_err() {
        OpenError::Api { source, .. } => {
            assert_eq!(source.kind(), ErrorKind::WrongIdentity, "{source:?}");
            assert!(source.to_string().contains("found kind cell"), "{source}");
        }
        other => panic!("{other:?}"),
    }
}

/// Names of a database's tables, in order.
fn tables(database: &cellzero_test_support::TestDatabase) -> Vec<Option<String>> {
    let list = match database.engine() {
        Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
        Engine::Postgres => {
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
        }
        Engine::MariaDb => {
            "SELECT table_name FROM information_schema.tables \
             WHERE table_schema = DATABASE() ORDER BY 1"
        }
    };
    database.query(list).unwrap().into_iter().map(|row| row[0].clone()).collect()
}

/// What Nova made is neither migrated nor taken as a cell: it can be opened read-only alone.
#[rstest]
#[tokio::test]
async fn a_database_that_nova_made_is_not_taken_over(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = nova_plane(engine) else { return };
    let before = (tables(nova.api()), tables(nova.cell(1)));
    let config = Config::new(&nova.api_url).base_url(&nova.base_url).without_worker();
    match ControlPlane::open(config).await.unwrap_err() {
        OpenError::Api { source, .. } => {
            assert_eq!(source.kind(), ErrorKind::WrongIdentity, "{source:?}");
            assert!(source.to_string().contains("tables of another program"), "{source}");
        }
        other => panic!("{other:?}"),
    }
    let ours = TestPlane::new(engine).await.unwrap();
    match refusal(&ours.plane, nova.cell(1).url()).await {
        CreateCellError::Cell { source, .. } => {
            assert_eq!(source.kind(), ErrorKind::WrongIdentity, "{source:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((tables(nova.api()), tables(nova.cell(1))), before);
}

/// The same database again is the same cell: a run that was interrupted before it was mapped.
#[rstest]
#[tokio::test]
async fn a_cell_that_was_stamped_and_not_mapped_is_taken_up(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine).await else { return };
    let database = create_database(engine, "cell1").unwrap();
    let cells = test.plane.cells();
    let first = cells.create(NewCell::new("cell1", database.url())).await.unwrap();
    test.api
        .execute(&format!("DELETE FROM cell_mappings WHERE uuid = '{}'", first.text()))
        .unwrap();
    let second = cells.create(NewCell::new("cell1", database.url())).await.unwrap();
    assert_eq!(second, first);
}

/// A cell that is not mapped any more may still hold instances.
#[rstest]
#[tokio::test]
async fn a_live_cell_never_becomes_cell0(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[]]).await else { return };
    test.plane.close().await.unwrap();
    test.api.execute("DELETE FROM cell_mappings").unwrap();
    let config = test.config.clone().cell0(test.cells[0].1.url());
    match ControlPlane::open(config).await {
        Err(OpenError::Cell0(CreateCellError::Cell { source, .. })) => {
            assert_eq!(source.kind(), ErrorKind::WrongIdentity, "{source:?}");
        }
        other => panic!("{other:?}"),
    }
    let mapped = test.api.query("SELECT COUNT(*) FROM cell_mappings").unwrap();
    assert_eq!(mapped, [[Some("0".to_owned())]]);
}
