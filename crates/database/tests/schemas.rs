//! Migrations, versions, identity and drift.

mod common;

use cellzero_database::{Backend, Database, ErrorKind, Identity, Options, SchemaKind};
use common::{Fresh, NewerThings, OlderThings, OtherKind, Outcome, Things, soon, within};
use diesel::connection::SimpleConnection;
use rstest::rstest;
use std::time::Duration;
use uuid::Uuid;

fn identity(plane: u128, cell: Option<u128>) -> Identity {
    Identity { plane: Uuid::from_u128(plane), cell: cell.map(Uuid::from_u128) }
}

async fn change(database: &Database<Things>, sql: &'static str) {
    let change = move |conn: &mut cellzero_database::Connection<Things>| -> Outcome {
        Ok(conn.sql().batch_execute(sql)?)
    };
    database.run("change", soon(), change).await.unwrap();
}

async fn check<K: SchemaKind>(fresh: &Fresh, identity: Identity) -> Result<(), ErrorKind> {
    let database: Database<K> = fresh.open_as(Options::default());
    database.check(soon(), identity).await.map_err(|error| error.kind())
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn migrating_many_times_at_once_is_migrating_once(#[case] backend: Backend) {
    let fresh = Fresh::new(backend);
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

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_stamped_once_and_never_changed(#[case] backend: Backend) {
    let (fresh, database) = Fresh::migrated(backend).await;
    let ours = identity(1, Some(2));
    assert_eq!(check::<Things>(&fresh, ours).await, Err(ErrorKind::WrongIdentity));
    database.stamp(soon(), ours).await.unwrap();
    database.stamp(soon(), ours).await.unwrap();
    database.migrate(soon()).await.unwrap();
    database.check(soon(), ours).await.unwrap();
    for theirs in [identity(9, Some(2)), identity(1, Some(9)), identity(1, None)] {
        let error = database.stamp(soon(), theirs).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongIdentity);
        let error = database.check(soon(), theirs).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongIdentity);
        let says = format!("expected {theirs}, found {ours}");
        assert!(error.to_string().contains(&says), "{error}");
    }
    assert_eq!(database.identity(soon()).await.unwrap(), Some(ours));
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn two_that_stamp_at_once_are_not_both_told_yes(#[case] backend: Backend) {
    let (fresh, database) = Fresh::migrated(backend).await;
    let tasks: Vec<_> = (1..=4)
        .map(|plane| {
            let database = fresh.open();
            tokio::spawn(async move {
                let wanted = identity(plane, None);
                (wanted, database.stamp(soon(), wanted).await)
            })
        })
        .collect();
    let mut stamped = Vec::new();
    for task in tasks {
        let (wanted, result) = task.await.unwrap();
        match result {
            Ok(()) => stamped.push(wanted),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WrongIdentity, "{error:?}"),
        }
    }
    assert_eq!(stamped.len(), 1);
    assert_eq!(database.identity(soon()).await.unwrap(), stamped.pop());
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_kind_is_left_alone(#[case] backend: Backend) {
    let (fresh, database) = Fresh::migrated(backend).await;
    database.stamp(soon(), identity(1, None)).await.unwrap();
    let other: Database<OtherKind> = fresh.open_as(Options::default());
    for error in [
        other.migrate(soon()).await.unwrap_err(),
        other.stamp(soon(), identity(1, None)).await.unwrap_err(),
        other.check(soon(), identity(1, None)).await.unwrap_err(),
        other.identity(soon()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::WrongIdentity);
        assert!(error.to_string().contains("kind other, found kind things"), "{error}");
    }
    database.check(soon(), identity(1, None)).await.unwrap();
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn versions_open_what_they_can_use_and_nothing_else(#[case] backend: Backend) {
    let fresh = Fresh::new(backend);
    let ours = identity(1, None);
    assert_eq!(check::<Things>(&fresh, ours).await, Err(ErrorKind::SchemaVersion));
    let database = fresh.open();
    database.migrate(soon()).await.unwrap();
    database.stamp(soon(), ours).await.unwrap();
    assert_eq!(check::<OlderThings>(&fresh, ours).await, Ok(()));
    assert_eq!(check::<Things>(&fresh, ours).await, Ok(()));
    assert_eq!(check::<NewerThings>(&fresh, ours).await, Err(ErrorKind::SchemaVersion));

    let newer: Database<NewerThings> = fresh.open_as(Options::default());
    newer.migrate(soon()).await.unwrap();
    // An older binary that migrates afterwards must not take the version back.
    database.migrate(soon()).await.unwrap();
    assert_eq!(check::<NewerThings>(&fresh, ours).await, Ok(()));
    let error = database.check(soon(), ours).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaVersion);
    let says = "schema version 3 for binaries of version 3 and newer";
    assert!(error.to_string().contains(says), "{error}");
    assert!(error.to_string().contains("use a newer binary"), "{error}");
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
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_waits_for_another_until_its_deadline(#[case] backend: Backend) {
    let (fresh, database) = Fresh::migrated(backend).await;
    let holder = tokio::spawn({
        let database = fresh.open();
        async move {
            database
                .run("hold", soon(), |conn| -> Outcome {
                    let (lock, unlock) = migration_lock(conn.backend());
                    conn.sql().batch_execute(lock)?;
                    std::thread::sleep(Duration::from_millis(700));
                    Ok(conn.sql().batch_execute(unlock)?)
                })
                .await
        }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = database.migrate(within(200)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    database.migrate(soon()).await.unwrap();
    holder.await.unwrap().unwrap();
}

#[rstest]
#[case::index("DROP INDEX things_parent_idx", "index things(parent_id): missing")]
#[case::more("CREATE INDEX x ON things (body)", "index things(body): not expected")]
#[case::unique("CREATE UNIQUE INDEX x ON things (name)", "unique key things(name): not expected")]
#[case::column("ALTER TABLE things ADD COLUMN x INTEGER", "column things.x: not expected")]
#[case::dropped("ALTER TABLE things DROP COLUMN ratio", "column things.ratio: missing")]
#[case::table("CREATE TABLE x (id INTEGER)", "table x: not expected")]
#[tokio::test(flavor = "multi_thread")]
async fn drift_is_found_and_named(#[case] sql: &'static str, #[case] says: &str) {
    let (_fresh, database) = Fresh::migrated(Backend::Sqlite).await;
    database.check_drift(soon()).await.unwrap();
    change(&database, sql).await;
    let error = database.check_drift(soon()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaDrift);
    assert!(error.to_string().contains(says), "{error}");
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn every_backend_has_the_expected_schema(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    let expected = Database::<Things>::expected_schema().unwrap();
    let found = database.schema(soon()).await.unwrap();
    assert_eq!(expected.first_difference(&found), None);
    assert_eq!(expected.fingerprint(), found.fingerprint());
    assert_eq!(expected.tables.keys().collect::<Vec<_>>(), ["database_identity", "things"]);
}
