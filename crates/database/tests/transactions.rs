//! Transactions, savepoints and conflicts, on real databases.

mod common;

use cellzero_database::{
    Backend, Connection, Database, DatabaseError, ErrorKind, TRANSACTION_ATTEMPTS_MAX, savepoint,
    transaction,
};
use common::{Fresh, Outcome, Things, soon, things, within};
use diesel::connection::{Connection as _, SimpleConnection};
use diesel::prelude::*;
use rstest::rstest;
use std::path::Path;
use std::time::{Duration, Instant};

fn insert(conn: &mut Connection<Things>, uuid: &str, amount: i64) -> Outcome {
    diesel::insert_into(things::table)
        .values((things::uuid.eq(uuid), things::amount.eq(amount)))
        .execute(conn.sql())?;
    Ok(())
}

async fn stored(database: &Database<Things>) -> Vec<String> {
    let read = |conn: &mut Connection<Things>| -> Outcome<Vec<String>> {
        Ok(things::table.select(things::uuid).order(things::uuid).load(conn.sql())?)
    };
    database.run("read_uuids", soon(), read).await.unwrap()
}

/// Reads in a transaction that is not yet a writer, lets another connection write, and then tries
/// to write. SQLite refuses that at once, however long it may wait for locks.
fn real_conflict(conn: &mut Connection<Things>, file: &Path) -> Outcome {
    let mut other = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    let sql = conn.sql();
    sql.batch_execute("BEGIN; SELECT COUNT(*) FROM things")?;
    other.batch_execute("UPDATE things SET amount = amount + 1").unwrap();
    let refused = sql.batch_execute("UPDATE things SET amount = amount + 1");
    sql.batch_execute("ROLLBACK")?;
    Ok(refused?)
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_did_stays_and_what_failed_is_gone(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    let before = database.counters();
    database
        .run("keep", soon(), |conn| transaction(conn, "keep", |conn| insert(conn, "kept", 1)))
        .await
        .unwrap();
    let error = database
        .run("drop", soon(), |conn| {
            transaction(conn, "drop", |conn| {
                insert(conn, "dropped", 1)?;
                insert(conn, "kept", 2)
            })
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UniqueViolation);
    let after = database.counters();
    assert_eq!(after.commits - before.commits, 1);
    assert_eq!(after.rollbacks - before.rollbacks, 1);
    assert_eq!(after.statements - before.statements, 3);
    assert_eq!(stored(&database).await, ["kept"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_readers_that_turn_into_writers_are_a_conflict() {
    let (fresh, database) = Fresh::migrated(Backend::Sqlite).await;
    let file = fresh.url.path().unwrap().to_owned();
    let error = database
        .run("upgrade", soon(), move |conn| {
            insert(conn, "one", 1)?;
            real_conflict(conn, &file)
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(error.operation(), Some("upgrade"));
}

/// Runs a transaction whose work meets a real conflict in its first `conflicts` attempts.
async fn with_conflicts(conflicts: u32) -> (Result<u32, DatabaseError>, Option<u64>) {
    let (fresh, database) = Fresh::migrated(Backend::Sqlite).await;
    let file = fresh.url.path().unwrap().to_owned();
    let helper = fresh.open();
    let conflict = || {
        let (helper, file) = (helper.clone(), file.clone());
        async move { helper.run("helper", soon(), move |conn| real_conflict(conn, &file)).await }
    };
    let mut errors = Vec::new();
    database.run("first", soon(), |conn| insert(conn, "one", 1)).await.unwrap();
    for _ in 0..conflicts {
        errors.push(conflict().await.unwrap_err());
    }
    let result = database
        .run("busy", soon(), move |conn| {
            let mut attempts = 0;
            transaction(conn, "busy", |conn| {
                attempts += 1;
                insert(conn, &format!("attempt {attempts}"), 1)?;
                match errors.pop() {
                    Some(error) => Err(error),
                    None => Ok(attempts),
                }
            })
        })
        .await;
    let repeats = database.counters().repeats.get("busy").copied();
    let expected = if result.is_ok() { vec![format!("attempt {}", conflicts + 1)] } else { vec![] };
    let left: Vec<String> =
        stored(&database).await.into_iter().filter(|uuid| uuid != "one").collect();
    assert_eq!(left, expected, "an attempt that was repeated has left something");
    (result, repeats)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_repeated_after_a_conflict_and_counted() {
    let (result, repeats) = with_conflicts(3).await;
    assert_eq!(result.unwrap(), 4);
    assert_eq!(repeats, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_gives_up_after_the_last_attempt() {
    let (result, repeats) = with_conflicts(TRANSACTION_ATTEMPTS_MAX + 5).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(repeats, Some(u64::from(TRANSACTION_ATTEMPTS_MAX) - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_never_released_ends_at_the_deadline() {
    let (fresh, database) = Fresh::migrated(Backend::Sqlite).await;
    let mut holder =
        SqliteConnection::establish(fresh.url.path().unwrap().to_str().unwrap()).unwrap();
    holder.batch_execute("BEGIN IMMEDIATE").unwrap();
    let start = Instant::now();
    let error = database
        .run("wait", within(300), |conn| transaction(conn, "wait", |conn| insert(conn, "late", 1)))
        .await
        .unwrap_err();
    let took = start.elapsed();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    assert!(took >= Duration::from_millis(290) && took < Duration::from_millis(360), "{took:?}");
    holder.batch_execute("COMMIT").unwrap();
    assert!(stored(&database).await.is_empty());
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn read_then_write_in_parallel_loses_no_update(#[case] backend: Backend) {
    const TASKS: i64 = 8;
    const ROUNDS: i64 = 25;
    let (_fresh, database) = Fresh::migrated(backend).await;
    database.run("first", soon(), |conn| insert(conn, "counter", 0)).await.unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    database.run("count", soon(), count_up).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let total: i64 = database
        .run("total", soon(), |conn| -> Outcome<i64> {
            Ok(things::table.select(things::amount).first(conn.sql())?)
        })
        .await
        .unwrap();
    assert_eq!(total, TASKS * ROUNDS);
}

/// Adds one by reading and a guarded write, which is refused when another one came in between.
fn count_up(conn: &mut Connection<Things>) -> Outcome {
    loop {
        let counted = transaction(conn, "count", |conn| -> Outcome<usize> {
            let amount: i64 = things::table.select(things::amount).first(conn.sql())?;
            let guarded = things::table.filter(things::amount.eq(amount));
            Ok(diesel::update(guarded).set(things::amount.eq(amount + 1)).execute(conn.sql())?)
        })?;
        if counted == 1 {
            return Ok(());
        }
    }
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn a_savepoint_undoes_its_own_part_alone(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    database
        .run("parts", soon(), |conn| {
            transaction(conn, "parts", |conn| {
                insert(conn, "outer", 1)?;
                let refused = savepoint(conn, |conn| {
                    insert(conn, "inner", 1)?;
                    // A transaction inside one is a savepoint as well.
                    transaction(conn, "nested", |conn| insert(conn, "nested", 1))?;
                    insert(conn, "outer", 2)
                });
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::UniqueViolation);
                savepoint(conn, |conn| insert(conn, "second", 1))
            })
        })
        .await
        .unwrap();
    assert_eq!(stored(&database).await, ["outer", "second"]);
    let counters = database.counters();
    assert_eq!(counters.rollbacks, 0);
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_is_not_handed_on_prevents_the_commit(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    let error = database
        .run("ignore", soon(), |conn| {
            transaction(conn, "ignore", |conn| -> Outcome {
                insert(conn, "one", 1)?;
                assert!(insert(conn, "one", 2).is_err());
                Ok(())
            })
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(error.to_string().contains("savepoint"), "{error}");
    assert!(stored(&database).await.is_empty());
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn a_savepoint_outside_a_transaction_is_refused(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    let error = database
        .run("alone", soon(), |conn| savepoint(conn, |conn| insert(conn, "one", 1)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(stored(&database).await.is_empty());
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_past_its_deadline_is_not_committed(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    let error = database
        .run("slow", within(200), |conn| {
            transaction(conn, "slow", |conn| {
                insert(conn, "late", 1)?;
                std::thread::sleep(Duration::from_millis(220));
                Ok::<_, DatabaseError>(())
            })
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    assert!(stored(&database).await.is_empty());
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_rolls_back_and_reaches_the_caller(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    let panicking = {
        let database = database.clone();
        tokio::spawn(async move {
            database
                .run("panic", soon(), |conn| {
                    transaction(conn, "panic", |conn| -> Outcome {
                        insert(conn, "one", 1)?;
                        panic!("on purpose")
                    })
                })
                .await
        })
    };
    let panic = panicking.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    assert!(stored(&database).await.is_empty());
    database.run("again", soon(), |conn| insert(conn, "two", 1)).await.unwrap();
}
