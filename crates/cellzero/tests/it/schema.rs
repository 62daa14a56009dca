//! Schemas: alike in every cell and on every backend, like Nova's where Nova has the table, and
//! like the code that reads them.

mod drift;
mod migrations;
mod nova_layout;
mod table_macros;

use std::sync::Arc;
use std::time::Duration;

use cellzero::*;
use cellzero_api_db::Api;
use cellzero_cell_db::Cell;
use cellzero_database::{Database, SchemaKind};
use cellzero_test_support::{Engine, create_database};
use rstest::rstest;

use crate::support::TestPlane;

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// The schema of the database at `url`, read by its catalogue.
pub(crate) async fn schema_of<K: SchemaKind>(url: &str) -> Schema {
    let options = Options { read_only: true, ..Options::default() };
    let database = Database::<K>::new(DatabaseUrl::parse(url).unwrap(), options);
    let schema = database.schema(soon()).await.unwrap();
    database.close().await;
    schema
}

#[rstest]
#[tokio::test]
async fn cell0_and_a_live_cell_have_the_same_fingerprint(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[]]).await else { return };
    let cell0 = schema_of::<Cell>(test.cell0.url()).await;
    let live = schema_of::<Cell>(test.cells[0].1.url()).await;
    assert_eq!(cell0.first_difference(&live), None);
    assert_eq!(cell0.fingerprint(), live.fingerprint());
}

/// What is expected is what the migrations of SQLite make, so equal to it is equal to all.
async fn assert_migrated_as_expected<K: SchemaKind>(engine: Engine) {
    let Some(database) = create_database(engine, K::NAME) else { return };
    let url = DatabaseUrl::parse(database.url()).unwrap();
    let migrated = Database::<K>::new(url, Options::default());
    migrated.migrate(soon()).await.unwrap();
    migrated.close().await;
    let expected: Arc<Schema> = Database::<K>::expected_schema().unwrap();
    let found = schema_of::<K>(database.url()).await;
    assert_eq!(expected.first_difference(&found).map(|d| d.to_string()), None);
    assert_eq!(expected.fingerprint(), found.fingerprint());
}

#[rstest]
#[tokio::test]
async fn the_logical_schemas_of_the_backends_are_equal(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    assert_migrated_as_expected::<Api>(engine).await;
    assert_migrated_as_expected::<Cell>(engine).await;
}
