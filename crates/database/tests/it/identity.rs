//! Versions and identity: whose database it is, and which binary may use it.

use crate::common::{Fresh, NewerThings, OlderThings, OtherKind, Things, soon};
use cellzero_database::{Database, ErrorKind, Identity, Options, SchemaKind};
use cellzero_test_support::Engine;
use rstest::rstest;
use uuid::Uuid;

fn identity(plane: u128, cell: Option<u128>) -> Identity {
    Identity { plane: Uuid::from_u128(plane), cell: cell.map(Uuid::from_u128) }
}

async fn check<K: SchemaKind>(fresh: &Fresh, identity: Identity) -> Result<(), ErrorKind> {
    let database: Database<K> = fresh.open_as(Options::default());
    database.check(soon(), identity).await.map_err(|error| error.kind())
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_stamped_once_and_never_changed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((fresh, database)) = Fresh::migrated(engine).await else { return };
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
#[tokio::test(flavor = "multi_thread")]
async fn two_that_stamp_at_once_are_not_both_told_yes(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((fresh, database)) = Fresh::migrated(engine).await else { return };
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
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_kind_is_left_alone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((fresh, database)) = Fresh::migrated(engine).await else { return };
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
#[tokio::test(flavor = "multi_thread")]
async fn versions_open_what_they_can_use_and_nothing_else(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(fresh) = Fresh::new(engine) else { return };
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
    assert!(error.to_string().contains("this binary has version 2"), "{error}");
    assert!(error.to_string().contains("use a newer binary"), "{error}");
}
