//! Versions: a binary uses the schemas that admit it, and no others.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use super::{assert_cell_error, rows, unavailable};
use crate::support::{TestPlane, request, user};

#[rstest]
#[case::newer(99, 99, "use a newer binary")]
#[case::older(0, 0, "migrate the database with this binary")]
#[tokio::test]
async fn a_cell_whose_schema_this_binary_may_not_use_is_left_alone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[case] schema: i64,
    #[case] oldest: i64,
    #[case] says: &str,
) {
    let Some(mut test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    let uuid = test.boot(&ctx, request("web", "1").build().unwrap()).await[0];
    test.plane.close().await.unwrap();
    let change =
        format!("UPDATE database_identity SET schema_version = {schema}, oldest_binary = {oldest}");
    test.cells[0].1.execute(&change).unwrap();
    let before = rows(&test.cells[0].1);

    // Opening would migrate a cell that is a file.
    test.plane = ControlPlane::open(test.config.clone().existing()).await.unwrap();
    let error = unavailable(test.plane.show(&ctx, uuid).await.unwrap_err());
    assert_cell_error(&error, ErrorKind::SchemaVersion, says);
    assert_cell_error(&error, ErrorKind::SchemaVersion, &format!("schema version {schema} "));
    let page = test.plane.list(&ctx, &ListQuery::default()).await.unwrap();
    let report = page.down_cells().next().unwrap();
    assert_cell_error(report.answered.error().unwrap(), ErrorKind::SchemaVersion, says);
    test.plane.delete(&ctx, uuid).await.unwrap();
    test.plane.settle().await.unwrap();
    assert_eq!(rows(&test.cells[0].1), before);
}

/// Expand, deploy, contract: a newer schema that admits this binary has more than this one knows.
#[rstest]
#[tokio::test]
async fn a_newer_schema_that_admits_this_binary_is_used(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    let uuid = test.boot(&ctx, request("web", "1").build().unwrap()).await[0];
    test.plane.close().await.unwrap();
    let expand = "UPDATE database_identity SET schema_version = schema_version + 1; \
                  ALTER TABLE instance_fences ADD COLUMN colour VARCHAR(8)";
    for database in [&test.cells[0].1, &test.cell0] {
        database.execute(expand).unwrap();
    }
    let expand = "UPDATE database_identity SET schema_version = schema_version + 1; \
                  ALTER TABLE claims ADD COLUMN colour VARCHAR(8)";
    test.api.execute(expand).unwrap();

    test.plane = ControlPlane::open(test.config.clone()).await.unwrap();
    test.plane.show(&ctx, uuid).await.unwrap();
    let more = test.boot(&ctx, request("more", "1").build().unwrap()).await[0];
    assert_eq!(test.plane.show(&ctx, more).await.unwrap().vm_state, Some(VmState::Active));
    let version = test.api.query("SELECT schema_version FROM database_identity").unwrap();
    assert_eq!(version[0][0].as_deref(), Some("4"), "opening takes no version back");
}

#[rstest]
#[tokio::test]
async fn an_api_database_that_this_binary_may_not_use_is_not_opened(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine).await else { return };
    test.plane.close().await.unwrap();
    let change = "UPDATE database_identity SET schema_version = 99, oldest_binary = 99";
    test.api.execute(change).unwrap();
    match ControlPlane::open(test.config.clone()).await.unwrap_err() {
        OpenError::Api { source, .. } => {
            assert_eq!(source.kind(), ErrorKind::SchemaVersion);
            assert!(source.to_string().contains("use a newer binary"), "{source}");
        }
        other => panic!("{other:?}"),
    }
}
