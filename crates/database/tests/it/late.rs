//! What is late may end behind its caller's back, and then its connection is kept.

use crate::common::{Fresh, Outcome, Things, batch, soon, within};
use cellzero_database::{Connection, ConnectionBudget, Database, ErrorKind, Options, transaction};
use cellzero_test_support::Engine;
use rstest::rstest;
use std::time::{Duration, Instant};

/// When the caller has its answer.
const LIMIT_MS: u64 = 200;

/// Works for twice as long.
fn sleep(conn: &mut Connection<Things>, engine: Engine) -> Outcome {
    match engine {
        Engine::MariaDb => batch(conn, "DO SLEEP(0.4)"),
        _ => batch(conn, "SELECT pg_sleep(0.4)"),
    }
}

async fn late(database: &Database<Things>, engine: Engine) {
    let start = Instant::now();
    let work = move |conn: &mut Connection<Things>| sleep(conn, engine);
    let error = database.run("late", within(LIMIT_MS), work).await.unwrap_err();
    let took = start.elapsed();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
    assert!(took < Duration::from_millis(LIMIT_MS + 15), "{took:?}");
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_late_statement_ends_and_its_connection_is_used_again(#[case] engine: Engine) {
    let Some(fresh) = Fresh::new(engine) else { return };
    let database = fresh.open();
    database.run("warm", soon(), |_| -> Outcome { Ok(()) }).await.unwrap();
    late(&database, engine).await;
    // It waits for what is late.
    database.probe(soon()).await.unwrap();
    let counters = database.counters();
    assert_eq!((counters.connections_opened, counters.connections_broken), (1, 0));
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn no_statement_begins_after_the_deadline(#[case] engine: Engine) {
    let Some(fresh) = Fresh::new(engine) else { return };
    let database = fresh.open();
    database.run("warm", soon(), |_| -> Outcome { Ok(()) }).await.unwrap();
    let (second, seconds) = std::sync::mpsc::channel();
    let work = move |conn: &mut Connection<Things>| -> Outcome {
        sleep(conn, engine)?;
        let _ = second.send(batch(conn, "SELECT 1"));
        Ok(())
    };
    let error = database.run("late", within(LIMIT_MS), work).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    let second = seconds.recv().unwrap();
    assert_eq!(second.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    database.probe(soon()).await.unwrap();
    assert_eq!(database.counters().connections_broken, 0);
}

/// Its locks are worth more than its connection.
#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_late_transaction_is_given_up(#[case] engine: Engine) {
    let Some(fresh) = Fresh::new(engine) else { return };
    let database = fresh.open();
    database.run("warm", soon(), |_| -> Outcome { Ok(()) }).await.unwrap();
    let work =
        move |conn: &mut Connection<Things>| transaction(conn, "late", |conn| sleep(conn, engine));
    let error = database.run("late", within(LIMIT_MS), work).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(database.counters().connections_broken, 1);
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_connections_at_most_are_late(#[case] engine: Engine) {
    let Some(fresh) = Fresh::new(engine) else { return };
    let options = Options { connections_total: ConnectionBudget::new(4), ..Options::default() };
    let database: Database<Things> = fresh.open_as(options);
    let work = move |conn: &mut Connection<Things>| sleep(conn, engine);
    let warm = [(); 4].map(|()| database.run("warm", soon(), work));
    futures_util::future::join_all(warm).await;
    assert_eq!(database.counters().connections_opened, 4);
    futures_util::future::join_all([(); 4].map(|()| late(&database, engine))).await;
    database.probe(soon()).await.unwrap();
    let counters = database.counters();
    assert_eq!((counters.connections_opened, counters.connections_broken), (4, 2));
}
