//! A server that does not answer costs an operation its deadline and nothing more.
//!
//! Each test has a runtime with one thread for operations: if one kept it, the next would never
//! begin.

use crate::common::server::{Held, held};
use crate::common::{
    Fresh, Outcome, Things, gate, insert, soon, stored, things, wait_until, within,
};
use cellzero_database::{
    Connection, Database, DatabaseError, DatabaseUrl, ErrorKind, Options, transaction,
};
use cellzero_test_support::{Engine, silent_listener};
use diesel::prelude::*;
use rstest::rstest;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// What an operation gets, and by when it has to have answered.
const LIMIT_MS: u64 = 1000;
const ANSWERED_BY: Duration = Duration::from_millis(1100);

/// How soon after the answer the operation's thread has to be free. One that hangs would be held
/// for as long as the server is frozen.
const FREE_BY: Duration = Duration::from_secs(2);

fn one_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).max_blocking_threads(1).enable_all().build().unwrap()
}

/// One connection, so that one that is not given back would be missed.
fn one_connection() -> Options {
    Options { connections_max: 1, ..Options::default() }
}

fn read(conn: &mut Connection<Things>) -> Outcome<i64> {
    Ok(things::table.count().get_result(conn.sql())?)
}

/// Reads until the deadline, and checks when it came and that the thread is free after it.
async fn read_in_vain(database: &Database<Things>) -> DatabaseError {
    let start = Instant::now();
    let error = database.run("read", within(LIMIT_MS), read).await.unwrap_err();
    check_end(start).await;
    error
}

async fn check_end(start: Instant) {
    let took = start.elapsed();
    println!("answered after {took:?}");
    assert!(took >= Duration::from_millis(LIMIT_MS - 5) && took < ANSWERED_BY, "{took:?}");
    let free = tokio::time::timeout(FREE_BY, tokio::task::spawn_blocking(|| ())).await;
    assert!(free.is_ok(), "the operation's thread was not free {FREE_BY:?} after the answer");
}

fn closed_and_counted(server: &Held, database: &Database<Things>, broken: u64) {
    wait_until("no connection to the server is open", || server.sockets() == 0);
    assert_eq!(database.counters().connections_broken, broken);
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
fn a_frozen_server_takes_neither_thread_nor_connection(
    #[case] engine: Engine,
    // With zero the pool itself asks a connection for a sign of life.
    #[values(Duration::from_secs(30), Duration::ZERO)] idle_probe_after: Duration,
) {
    let Some(server) = held(engine) else { return };
    let fresh = server.fresh();
    one_thread().block_on(async {
        let database: Database<Things> =
            fresh.open_as(Options { idle_probe_after, ..one_connection() });
        database.migrate(soon()).await.unwrap();
        database.run("warm", soon(), read).await.unwrap();
        assert_eq!(server.sockets(), 1);

        let frozen = server.freeze();
        let pooled = read_in_vain(&database).await;
        assert_eq!(pooled.kind(), ErrorKind::DeadlineExceeded, "{pooled:?}");
        closed_and_counted(&server, &database, 1);
        let opened = database.counters().connections_opened;
        // Again: it gets the one permit at once, and now it hangs in connecting.
        let new = read_in_vain(&database).await;
        assert_eq!(new.kind(), ErrorKind::DeadlineExceeded, "{new:?}");
        closed_and_counted(&server, &database, 1);
        assert_eq!(database.counters().connections_opened, opened);

        drop(frozen);
        assert_eq!(database.run("read", soon(), read).await.unwrap(), 0);
        assert_eq!(database.counters().connections_opened, opened + 1);
        database.close().await;
    });
}

/// Where in a transaction the server stops.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Statement,
    Commit,
}

/// Begins a transaction, freezes the server at a point of it, and returns what became of it.
async fn write_into_the_ice(
    server: &Held,
    database: &Database<Things>,
    at: At,
) -> (DatabaseError, u32) {
    let (gate, gatekeeper) = gate();
    let (attempted, attempts) = mpsc::channel();
    let work = move |conn: &mut Connection<Things>| {
        transaction(conn, "write", |conn| {
            let _ = attempted.send(());
            insert(conn, "first", 1)?;
            gate.pass();
            if at == At::Statement { insert(conn, "second", 1) } else { Ok(()) }
        })
    };
    let operation = tokio::spawn({
        let database = database.clone();
        async move {
            let start = Instant::now();
            let error = database.run("write", within(LIMIT_MS), work).await.unwrap_err();
            check_end(start).await;
            error
        }
    });
    gatekeeper.wait();
    let frozen = server.freeze();
    gatekeeper.open();
    let error = operation.await.unwrap();
    closed_and_counted(server, database, 1);
    drop(frozen);
    (error, u32::try_from(attempts.iter().count()).unwrap())
}

#[rstest]
#[case::postgres(Engine::Postgres, At::Statement, ErrorKind::DeadlineExceeded)]
#[case::postgres_commit(Engine::Postgres, At::Commit, ErrorKind::CommitUnknown)]
#[case::mariadb(Engine::MariaDb, At::Statement, ErrorKind::DeadlineExceeded)]
#[case::mariadb_commit(Engine::MariaDb, At::Commit, ErrorKind::CommitUnknown)]
fn a_transaction_on_a_frozen_server_ends_once_and_says_what_is_known(
    #[case] engine: Engine,
    #[case] at: At,
    #[case] kind: ErrorKind,
) {
    let Some(server) = held(engine) else { return };
    let fresh = server.fresh();
    one_thread().block_on(async {
        let database: Database<Things> = fresh.open_as(one_connection());
        database.migrate(soon()).await.unwrap();
        database.run("warm", soon(), read).await.unwrap();

        let (error, attempts) = write_into_the_ice(&server, &database, at).await;
        assert_eq!(error.kind(), kind, "{error:?}");
        assert_eq!(attempts, 1);

        database.run("write", soon(), |conn| insert(conn, "after", 1)).await.unwrap();
        let mut rows = stored(&database).await;
        if at == At::Commit {
            // The server may have found the commit in its mail when it woke up.
            rows.retain(|uuid| uuid != "first");
        }
        assert_eq!(rows, ["after"]);
        database.close().await;
    });
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
fn a_listener_that_never_answers_is_let_go_at_the_deadline(#[case] engine: Engine) {
    let listener = silent_listener();
    let url = DatabaseUrl::parse(&listener.url(engine)).unwrap();
    one_thread().block_on(async {
        let database: Database<Things> = Database::new(url, one_connection());
        for attempt in 1..=2 {
            let error = read_in_vain(&database).await;
            assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
            assert_eq!(listener.accepted(), attempt);
            wait_until("the listener's connection is closed", || listener.open() == 0);
        }
        assert_eq!(database.counters().connections_opened, 0);
    });
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
fn the_wait_for_a_connection_has_a_limit_of_its_own(#[case] engine: Engine) {
    let listener = silent_listener();
    let url = DatabaseUrl::parse(&listener.url(engine)).unwrap();
    let connect_timeout_max = Duration::from_millis(200);
    one_thread().block_on(async {
        let options = Options { connect_timeout_max, ..one_connection() };
        let database: Database<Things> = Database::new(url, options);
        let start = Instant::now();
        let error = database.run("read", soon(), read).await.unwrap_err();
        assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert!(error.to_string().contains("did not answer within 200ms"), "{error}");
        wait_until("the listener's connection is closed", || listener.open() == 0);
    });
}

/// The pool of a cell that hangs is its own: another database is served meanwhile.
#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_delays_no_other(#[case] engine: Engine) {
    let listener = silent_listener();
    let url = DatabaseUrl::parse(&listener.url(engine)).unwrap();
    let hanging: Database<Things> = Database::new(url, Options::default());
    let (_fresh, healthy) = Fresh::migrated(Engine::Sqlite).await.unwrap();
    let hung: Vec<_> = (0..8)
        .map(|_| {
            let hanging = hanging.clone();
            tokio::spawn(async move { hanging.run("read", within(LIMIT_MS), read).await })
        })
        .collect();
    wait_until("all eight wait", || listener.accepted() == 8);
    assert_eq!(healthy.run("read", within(LIMIT_MS / 2), read).await.unwrap(), 0);
    assert!(!hung.iter().any(tokio::task::JoinHandle::is_finished), "they do not hang");
    for task in hung {
        let error = task.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    }
    wait_until("all connections to the listener are closed", || listener.open() == 0);
}
