//! URLs: what cannot be used is named, and templates are filled as Nova fills them.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use super::{point_to, refusal};
use crate::support::{TestPlane, failing_cells, request, user};

#[rstest]
#[case("oracle://u:s3cret@h/d", "oracle:// is not supported")]
#[case("postgres://u:s3cret@h:port/d", "postgres://u:***@h:port/d cannot be used")]
#[case("mysql://u:s3cret@h", "names no database")]
#[case("mysql://u:s3cret@/d", "cannot be used")]
#[case("sqlite://", "names no file")]
#[case("", "names no file")]
#[tokio::test]
async fn a_url_that_cannot_be_used_is_refused_everywhere(#[case] url: &str, #[case] says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::embedded(folder.path()).without_worker();
    let plane = ControlPlane::open(config.clone()).await.unwrap();
    let cell1 = plane.cells().create_embedded("cell1").await.unwrap();

    let mut errors = vec![refusal(&plane, url).await.to_string()];
    for opened in [
        ControlPlane::open(Config::new(url)).await,
        ControlPlane::open_read_only(Config::new(url)).await,
        ControlPlane::open(config.clone().base_url(url)).await,
    ] {
        match opened.unwrap_err() {
            OpenError::Url(error) => errors.push(error.to_string()),
            other => panic!("{other:?}"),
        }
    }
    let database = cellzero_test_support::create_database(Engine::Sqlite, "api").unwrap();
    match ControlPlane::open(Config::new(database.url()).cell0(url)).await.unwrap_err() {
        OpenError::Url(error) => errors.push(error.to_string()),
        other => panic!("{other:?}"),
    }
    for error in errors {
        assert!(error.contains(says), "{says} is not in: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    assert_eq!(plane.cells().list().await.unwrap().last().unwrap().uuid, cell1);
    plane.close().await.unwrap();
}

/// The plane opens, the other cells answer, and the one is named with what is wrong.
#[rstest]
#[tokio::test]
async fn a_mapping_with_a_url_that_cannot_be_used_is_a_down_cell(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    let buried = test.boot(&ctx, request("db", "huge").build().unwrap()).await[0];
    point_to(&test, test.cell(0), "oracle://u:s3cret@h/d");
    test.plane = ControlPlane::open(test.config.clone()).await.unwrap();
    let page = test.plane.list(&ctx, &ListQuery::default()).await.unwrap();
    assert_eq!(page.instances.iter().map(|i| i.uuid).collect::<Vec<_>>(), [buried]);
    match &failing_cells(&test.plane).await[..] {
        [(cell, CellError::Url { source: UrlError::UnsupportedScheme { .. }, .. })] => {
            assert_eq!(*cell, test.cell(0));
        }
        other => panic!("{other:?}"),
    }
}

/// A cell whose mapping is a template, filled from the base URL of whoever opens the plane.
#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test]
async fn a_template_in_a_mapping_is_filled_from_the_base_url(#[case] engine: Engine) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    let uuid = test.boot(&ctx, request("web", "1").build().unwrap()).await[0];
    let name = test.cells[0].1.name();
    let template = format!("{{scheme}}://{{username}}:{{password}}@{{hostname}}:{{port}}/{name}");
    point_to(&test, test.cell(0), &template);

    let config = test.config.clone().base_url(test.cell0.url());
    let with_base = ControlPlane::open(config).await.unwrap();
    assert_eq!(with_base.show(&ctx, uuid).await.unwrap().home, Home::Cell(test.cell(0)));
    // It is the same database, however its URL is written.
    let error = refusal(&with_base, test.cells[0].1.url()).await;
    assert!(matches!(error, CreateCellError::DatabaseTaken { .. }), "{error:?}");

    let without = ControlPlane::open(test.config.clone()).await.unwrap();
    match without.show(&ctx, uuid).await.unwrap_err() {
        ReadError::CellUnavailable { source: CellError::Url { source, .. }, .. } => {
            assert!(source.to_string().contains("it is a template"), "{source}");
        }
        other => panic!("{other:?}"),
    }
}

/// A directory with SQLite files may be moved: mappings hold places within it.
#[tokio::test]
async fn an_embedded_plane_opens_where_its_directory_was_moved() {
    let parent = tempfile::tempdir().unwrap();
    let (here, there) = (parent.path().join("here"), parent.path().join("there"));
    let plane = ControlPlane::open(Config::embedded(&here).without_worker()).await.unwrap();
    let cell1 = plane.cells().create_embedded("cell1").await.unwrap();
    plane.close().await.unwrap();
    std::fs::rename(&here, &there).unwrap();
    let plane = ControlPlane::open(Config::embedded(&there).without_worker()).await.unwrap();
    let node = ComputeNode::new("host1", 4, 4096, 40);
    plane.hosts().report(cell1, &node).await.unwrap();
    assert!(!here.exists());
    plane.close().await.unwrap();
}
