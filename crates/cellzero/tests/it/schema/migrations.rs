//! Migrations: what they make goes away, and comes back the same.

use std::path::{Path, PathBuf};

use cellzero::*;
use cellzero_api_db::Api;
use cellzero_cell_db::Cell;
use cellzero_database::{Database, SchemaKind};
use cellzero_test_support::{Engine, create_database};
use rstest::rstest;

use super::{schema_of, soon};

/// The migrations of a kind on a backend, in their order.
fn migrations(kind: &str, folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let entries = std::fs::read_dir(root.join(kind).join(folder)).unwrap();
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn folder_of(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
        Engine::MariaDb => "mysql",
    }
}

async fn assert_up_down_up<K: SchemaKind>(engine: Engine) {
    let Some(database) = create_database(engine, K::NAME) else { return };
    let up = async || {
        let url = DatabaseUrl::parse(database.url()).unwrap();
        let migrated = Database::<K>::new(url, Options::default());
        migrated.migrate(soon()).await.unwrap();
        migrated.close().await;
    };
    up().await;
    let made = schema_of::<K>(database.url()).await;
    assert!(made.tables.len() > 10);
    for migration in migrations(K::NAME, folder_of(engine)).iter().rev() {
        database.execute(&std::fs::read_to_string(migration.join("down.sql")).unwrap()).unwrap();
    }
    assert_eq!(schema_of::<K>(database.url()).await, Schema::default());
    database.execute("DELETE FROM __diesel_schema_migrations").unwrap();
    up().await;
    assert_eq!(schema_of::<K>(database.url()).await, made);
    // A run that finds nothing to do changes nothing.
    up().await;
    assert_eq!(schema_of::<K>(database.url()).await, made);
}

#[rstest]
#[tokio::test]
async fn migrations_up_down_and_up_again_make_the_same_schema(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    assert_up_down_up::<Api>(engine).await;
    assert_up_down_up::<Cell>(engine).await;
}

/// What the runner makes before anything else.
const LIST_OF_MIGRATIONS: &str = "CREATE TABLE __diesel_schema_migrations (\
    version VARCHAR(50) PRIMARY KEY NOT NULL, run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)";

/// Half of a migration is there already, as after a crash where each statement commits by itself.
async fn assert_run_again<K: SchemaKind>(engine: Engine) {
    let Some(database) = create_database(engine, K::NAME) else { return };
    database.execute(LIST_OF_MIGRATIONS).unwrap();
    for migration in migrations(K::NAME, folder_of(engine)) {
        let text = std::fs::read_to_string(migration.join("up.sql")).unwrap();
        let statements: Vec<&str> = text.split_inclusive(";\n").collect();
        let half = statements.len() / 2;
        // One of a single statement is there or not.
        if half > 0 {
            database.execute(&statements[..half].concat()).unwrap();
        }
    }
    let url = DatabaseUrl::parse(database.url()).unwrap();
    let migrated = Database::<K>::new(url, Options::default());
    migrated.migrate(soon()).await.unwrap();
    migrated.check_drift(soon()).await.unwrap();
    migrated.close().await;
}

#[rstest]
#[tokio::test]
async fn a_migration_that_was_interrupted_is_run_again(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    assert_run_again::<Api>(engine).await;
    assert_run_again::<Cell>(engine).await;
}

#[rstest]
#[case("api")]
#[case("cell")]
fn every_backend_has_the_same_migrations_each_with_its_way_back(#[case] kind: &str) {
    let names = |engine| -> Vec<String> {
        let all = migrations(kind, folder_of(engine));
        for migration in &all {
            assert!(migration.join("up.sql").is_file(), "{}", migration.display());
            assert!(migration.join("down.sql").is_file(), "{}", migration.display());
        }
        all.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    };
    let sqlite = names(Engine::Sqlite);
    assert!(!sqlite.is_empty());
    assert_eq!(names(Engine::Postgres), sqlite);
    assert_eq!(names(Engine::MariaDb), sqlite);
}
