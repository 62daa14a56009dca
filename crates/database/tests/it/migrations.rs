//! The migration runner: turns, deadlines, and migrations that fail half way.

use crate::common::{
    BrokenThings, Fresh, MendedThings, Outcome, Things, batch, gate, soon, within,
};
use cellzero_database::{
    Backend, Column, ColumnKind, Connection, Database, DatabaseError, ErrorKind, Options, Table,
};
use cellzero_test_support::Engine;
use rstest::rstest;
use std::collections::{BTreeMap, BTreeSet};

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn migrating_many_times_at_once_is_migrating_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(fresh) = Fresh::new(engine) else { return };
    // Each has a pool of its own, as processes would.
    let tasks: Vec<_> = (0..6)
        .map(|_| {
            let database = fresh.open();
            tokio::spawn(async move { database.migrate(soon()).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let database = fresh.open();
    database.check_drift(soon()).await.unwrap();
    assert_eq!(database.identity(soon()).await.unwrap(), None);
}

/// What takes and gives back the lock that the migration runner holds.
fn migration_lock(backend: Backend) -> (&'static str, &'static str) {
    match backend {
        Backend::Sqlite => ("BEGIN IMMEDIATE", "ROLLBACK"),
        Backend::Postgres => (
            "SELECT pg_advisory_lock(x'63656c6c7a65726f'::bigint)",
            "SELECT pg_advisory_unlock(x'63656c6c7a65726f'::bigint)",
        ),
        Backend::Mysql => (
            "DO GET_LOCK(CONCAT('cellzero_migrate.', SHA1(DATABASE())), 0)",
            "DO RELEASE_LOCK(CONCAT('cellzero_migrate.', SHA1(DATABASE())))",
        ),
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_waits_for_another_until_its_deadline(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((fresh, database)) = Fresh::migrated(engine).await else { return };
    let (gate, gatekeeper) = gate();
    let hold = move |conn: &mut Connection<Things>| -> Outcome {
        let (lock, unlock) = migration_lock(conn.backend());
        batch(conn, lock)?;
        gate.pass();
        batch(conn, unlock)
    };
    let holder = tokio::spawn({
        let database = fresh.open();
        async move { database.run("hold", soon(), hold).await }
    });
    gatekeeper.wait();
    let error = database.migrate(within(300)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    gatekeeper.open();
    database.migrate(soon()).await.unwrap();
    holder.await.unwrap().unwrap();
}

/// What the mended migration makes.
fn parts() -> Table {
    let column = || Column { kind: ColumnKind::Integer, nullable: false };
    Table {
        columns: BTreeMap::from([("id".to_owned(), column()), ("thing_id".to_owned(), column())]),
        unique: BTreeSet::from([vec!["id".to_owned()]]),
        indexes: BTreeSet::from([vec!["thing_id".to_owned()]]),
    }
}

/// The words of an error and of all that caused it.
fn whole_text(error: &DatabaseError) -> String {
    let causes =
        std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_ends_in_its_middle_is_run_again_once_it_is_mended(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((fresh, database)) = Fresh::migrated(engine).await else { return };
    let before = database.schema(soon()).await.unwrap();
    let broken: Database<BrokenThings> = fresh.open_as(Options::default());
    for _ in 0..2 {
        let error = broken.migrate(soon()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Migration, "{error:?}");
        let text = whole_text(&error);
        assert!(text.contains("000003_parts") && text.contains("thin_id"), "{text}");
    }
    let mut between = database.schema(soon()).await.unwrap();
    // MariaDB commits each statement about tables by itself; the others keep nothing of it.
    assert_eq!(between.tables.remove("parts").is_some(), engine == Engine::MariaDb);
    assert_eq!(between, before);
    // The version is still the old one, so the old binary can go on.
    database.migrate(soon()).await.unwrap();

    let mended: Database<MendedThings> = fresh.open_as(Options::default());
    for _ in 0..2 {
        mended.migrate(soon()).await.unwrap();
        let after = mended.schema(soon()).await.unwrap();
        assert_eq!(after.tables["parts"], parts());
    }
    let version = fresh.outside.query("SELECT schema_version FROM database_identity").unwrap();
    assert_eq!(version, [[Some("3".to_owned())]]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_a_migration_ends_with_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((fresh, _database)) = Fresh::migrated(engine).await else { return };
    // One pool that goes on living migrates, well or not, and the next one need not wait.
    let first: Database<BrokenThings> = fresh.open_as(Options::default());
    first.migrate(soon()).await.unwrap_err();
    let second: Database<MendedThings> = fresh.open_as(Options::default());
    second.migrate(within(5000)).await.unwrap();
    first.migrate(within(5000)).await.unwrap();
}
