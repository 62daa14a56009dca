//! Conflicts and deadlocks that the databases themselves report, and how they are repeated.

use crate::common::{Fresh, Outcome, Things, batch, gate, insert, soon, stored, things, within};
use cellzero_database::{
    Backend, Connection, Database, DatabaseError, ErrorKind, TRANSACTION_ATTEMPTS_MAX, savepoint,
    transaction, wait,
};
use cellzero_test_support::{Engine, TestDatabase};
use diesel::prelude::*;
use rstest::rstest;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::Barrier;

/// What two connections do to the same row.
const CHANGE_ONE: &str = "UPDATE things SET amount = amount + 1 WHERE uuid = 'one'";
const CHANGE_TWO: &str = "UPDATE things SET amount = amount + 1 WHERE uuid = 'two'";

/// A session on which a transaction reads one state from its first read to its end, and is told
/// when that has changed. Ours see what is committed, and meet no such conflict.
fn keep_one_view(conn: &mut Connection<Things>) -> Outcome {
    match conn.backend() {
        Backend::Sqlite => Ok(()),
        Backend::Postgres => batch(
            conn,
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        ),
        Backend::Mysql => batch(
            conn,
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
             SET SESSION innodb_snapshot_isolation = ON",
        ),
    }
}

/// Reads, lets another connection write, and then writes: refused at once, by PostgreSQL as a
/// serialization failure, by MariaDB with error 1020, by SQLite because a reader of an old state
/// can never become a writer.
fn meet_a_writer(conn: &mut Connection<Things>, outside: &TestDatabase) -> Outcome {
    things::table.count().get_result::<i64>(conn.sql())?;
    outside.execute(CHANGE_ONE).unwrap();
    batch(conn, CHANGE_ONE)
}

/// The same in a transaction that begins as a reader, on SQLite too.
fn real_conflict(conn: &mut Connection<Things>, outside: &TestDatabase) -> Outcome {
    keep_one_view(conn)?;
    batch(conn, "BEGIN")?;
    let met = meet_a_writer(conn, outside);
    batch(conn, "ROLLBACK")?;
    met
}

async fn with_rows(engine: Engine) -> Option<(Fresh, Database<Things>)> {
    let (fresh, database) = Fresh::migrated(engine).await?;
    let insert = |conn: &mut Connection<Things>| {
        insert(conn, "one", 1)?;
        insert(conn, "two", 1)
    };
    database.run("insert", soon(), insert).await.unwrap();
    Some((fresh, database))
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_real_conflict_is_told_apart(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((fresh, database)) = with_rows(engine).await else { return };
    let outside = Arc::clone(&fresh.outside);
    let work = move |conn: &mut Connection<Things>| real_conflict(conn, &outside);
    let error = database.run("conflict", soon(), work).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(error.operation(), Some("conflict"));
    let driver = std::error::Error::source(&error).unwrap().to_string();
    let says = match engine {
        Engine::Sqlite => "database is locked",
        Engine::Postgres => "could not serialize access due to concurrent update",
        Engine::MariaDb => "Record has changed since last read",
    };
    assert!(driver.contains(says), "{driver}");
    assert_eq!(database.counters().connections_broken, 0);
}

/// Takes one row and then wants the other, with somebody who does it the other way round.
fn cross(conn: &mut Connection<Things>, rows: [&str; 2], both_hold_one: &Barrier) -> Outcome {
    batch(conn, "BEGIN")?;
    // On SQLite a reader holds what keeps the other from becoming a writer.
    let reader = conn.backend() == Backend::Sqlite;
    batch(conn, if reader { "SELECT amount FROM things" } else { rows[0] })?;
    wait(both_hold_one.wait());
    let met = batch(conn, rows[1]);
    batch(conn, if met.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    met
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_real_deadlock_is_a_conflict_for_one_of_the_two(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = with_rows(engine).await else { return };
    let both_hold_one = Arc::new(Barrier::new(2));
    let start = |rows| {
        let (database, barrier) = (database.clone(), Arc::clone(&both_hold_one));
        let work = move |conn: &mut Connection<Things>| cross(conn, rows, &barrier);
        tokio::spawn(async move { database.run("cross", soon(), work).await })
    };
    let tasks = [start([CHANGE_ONE, CHANGE_TWO]), start([CHANGE_TWO, CHANGE_ONE])];
    let mut errors = Vec::new();
    for task in tasks {
        errors.extend(task.await.unwrap().err());
    }
    let [error] = errors.as_slice() else { panic!("one of two has to lose: {errors:?}") };
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    let driver = std::error::Error::source(error).unwrap().to_string();
    let says = match engine {
        Engine::Sqlite => "database is locked",
        Engine::Postgres => "deadlock detected",
        Engine::MariaDb => "Deadlock found when trying to get lock",
    };
    assert!(driver.contains(says), "{driver}");
    assert_eq!(database.counters().connections_broken, 0);
}

/// Runs a transaction whose work meets a real conflict in its first `conflicts` attempts.
async fn with_conflicts(
    engine: Engine,
    conflicts: u32,
) -> Option<(Result<u32, DatabaseError>, Option<u64>)> {
    let (fresh, database) = with_rows(engine).await?;
    let mut met_before = Vec::new();
    if engine == Engine::Sqlite {
        // A transaction is a writer from the start there and meets no conflict, so it is handed
        // those of another connection.
        for _ in 0..conflicts {
            let outside = Arc::clone(&fresh.outside);
            let work = move |conn: &mut Connection<Things>| real_conflict(conn, &outside);
            met_before.push(fresh.open().run("other", soon(), work).await.unwrap_err());
        }
    }
    let outside = Arc::clone(&fresh.outside);
    let work = move |conn: &mut Connection<Things>| {
        keep_one_view(conn)?;
        let mut attempts = 0;
        transaction(conn, "busy", |conn| {
            attempts += 1;
            insert(conn, &format!("attempt {attempts}"), 1)?;
            if attempts <= conflicts {
                match met_before.pop() {
                    Some(error) => return Err(error),
                    None => meet_a_writer(conn, &outside)?,
                }
            }
            Ok(attempts)
        })
    };
    let result = database.run("busy", soon(), work).await;
    let repeats = database.counters().repeats.get("busy").copied();
    let mut expected: Vec<_> = result.iter().map(|attempt| format!("attempt {attempt}")).collect();
    expected.extend(["one".to_owned(), "two".to_owned()]);
    assert_eq!(stored(&fresh.open()).await, expected, "a repeated attempt has left something");
    assert_eq!(database.counters().connections_broken, 0);
    Some((result, repeats))
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_repeated_after_a_conflict_and_counted_by_name(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((result, repeats)) = with_conflicts(engine, 3).await else { return };
    assert_eq!(result.unwrap(), 4);
    assert_eq!(repeats, Some(3));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_gives_up_after_the_eighth_attempt(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    assert_eq!(TRANSACTION_ATTEMPTS_MAX, 8);
    let Some((result, repeats)) = with_conflicts(engine, 13).await else { return };
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(repeats, Some(7));
}

/// Whether the transaction looks at the error of a part that it can do without.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Second {
    Needed,
    InASavepointAndIgnored,
}

/// Two transactions that deadlock in their first attempt. Each time one loses it is repeated and
/// counted, and in the end both are committed.
async fn deadlock_in_transactions(database: &Database<Things>, second: Second) {
    let both_hold_one = Arc::new(Barrier::new(2));
    let (met, kinds) = mpsc::channel();
    let start = |name: &'static str, rows: [&'static str; 2]| {
        let (database, barrier, met) = (database.clone(), Arc::clone(&both_hold_one), met.clone());
        let mut first_attempt = true;
        let work = move |conn: &mut Connection<Things>| {
            transaction(conn, name, |conn| {
                batch(conn, rows[0])?;
                if std::mem::take(&mut first_attempt) {
                    wait(barrier.wait());
                }
                let wanted = savepoint(conn, |conn| batch(conn, rows[1]));
                let _ = wanted.as_ref().map_err(|error| met.send(error.kind()));
                if second == Second::Needed {
                    wanted?;
                }
                insert(conn, name, 1)
            })
        };
        tokio::spawn(async move { database.run(name, soon(), work).await })
    };
    let tasks = [start("there", [CHANGE_ONE, CHANGE_TWO]), start("back", [CHANGE_TWO, CHANGE_ONE])];
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    drop(met);
    let kinds: Vec<_> = kinds.iter().collect();
    // More than one where the repeat is faster than the other one wakes up, and they meet again.
    assert!(
        !kinds.is_empty() && kinds.iter().all(|kind| *kind == ErrorKind::Conflict),
        "{kinds:?}"
    );
    let repeats = database.counters().repeats;
    assert_eq!(repeats.values().sum::<u64>(), kinds.len() as u64, "{repeats:?}");
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_deadlock_one_is_repeated_and_both_are_committed(#[case] engine: Engine) {
    let Some((fresh, database)) = with_rows(engine).await else { return };
    deadlock_in_transactions(&database, Second::Needed).await;
    assert_eq!(stored(&database).await, ["back", "one", "there", "two"]);
    let amounts = fresh.outside.query("SELECT SUM(amount) FROM things").unwrap();
    assert_eq!(amounts, [[Some("8".to_owned())]]);
}

/// MariaDB rolls everything back at a deadlock, its savepoint too. What followed would then be
/// committed by itself, without the first half.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_that_is_ignored_in_a_savepoint_commits_no_half_of_a_transaction() {
    let Some((fresh, database)) = with_rows(Engine::MariaDb).await else { return };
    deadlock_in_transactions(&database, Second::InASavepointAndIgnored).await;
    let amounts = fresh.outside.query("SELECT SUM(amount) FROM things").unwrap();
    assert_eq!(amounts, [[Some("8".to_owned())]]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_released_ends_at_the_deadline(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((fresh, database)) = with_rows(engine).await else { return };
    let (gate, gatekeeper) = gate();
    let hold = move |conn: &mut Connection<Things>| {
        transaction(conn, "hold", |conn| {
            batch(conn, CHANGE_ONE)?;
            gate.pass();
            Ok::<_, DatabaseError>(())
        })
    };
    let holding = tokio::spawn({
        let holder = fresh.open();
        async move { holder.run("hold", soon(), hold).await }
    });
    gatekeeper.wait();
    let write = |conn: &mut Connection<Things>| {
        transaction(conn, "wait", |conn| {
            insert(conn, "late", 1)?;
            batch(conn, CHANGE_ONE)
        })
    };
    let start = Instant::now();
    let error = database.run("wait", within(500), write).await.unwrap_err();
    let took = start.elapsed();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    assert!(took >= Duration::from_millis(490) && took < Duration::from_millis(600), "{took:?}");
    gatekeeper.open();
    holding.await.unwrap().unwrap();
    database.close().await;
    assert_eq!(stored(&fresh.open()).await, ["one", "two"]);
}
