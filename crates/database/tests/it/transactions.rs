//! Transactions and savepoints: what stays, what goes, and what is refused.

use crate::common::{Fresh, Outcome, Things, insert, soon, stored, things, within};
use cellzero_database::{Connection, DatabaseError, ErrorKind, savepoint, transaction, wait};
use cellzero_test_support::Engine;
use diesel::prelude::*;
use rstest::rstest;
use std::time::Duration;

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_did_stays_and_what_failed_is_gone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
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

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn read_then_write_in_parallel_loses_no_update(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    const TASKS: i64 = 8;
    const ROUNDS: i64 = 25;
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
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
#[tokio::test(flavor = "multi_thread")]
async fn a_savepoint_undoes_its_own_part_alone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
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
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_is_not_handed_on_prevents_the_commit(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
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
#[tokio::test(flavor = "multi_thread")]
async fn a_savepoint_outside_a_transaction_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
    let error = database
        .run("alone", soon(), |conn| savepoint(conn, |conn| insert(conn, "one", 1)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert!(stored(&database).await.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_past_its_deadline_is_not_committed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
    let error = database
        .run("slow", within(200), |conn| {
            transaction(conn, "slow", |conn| {
                insert(conn, "late", 1)?;
                wait(async { tokio::time::sleep(Duration::from_millis(220)).await });
                Ok::<_, DatabaseError>(())
            })
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    assert!(stored(&database).await.is_empty());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_rolls_back_and_reaches_the_caller(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
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
