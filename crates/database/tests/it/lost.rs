//! Connections that the server ends: each is a typed error at most once, and none is pooled.

use crate::common::server::{Held, held};
use crate::common::{Fresh, Outcome, Things, insert, soon, stored, things, wait_until};
use cellzero_database::{
    AnyConnection, Connection, Database, DatabaseError, ErrorKind, Options, transaction, wait,
};
use cellzero_test_support::{Engine, TestDatabase};
use diesel::prelude::*;
use rstest::rstest;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;

/// Never asked for a sign of life, or at every use.
const NEVER: Duration = Duration::from_secs(3600);
const ALWAYS: Duration = Duration::ZERO;

fn read(conn: &mut Connection<Things>) -> Outcome<i64> {
    Ok(things::table.count().get_result(conn.sql())?)
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    id: i64,
}

/// The number by which the server knows this connection.
fn own_id(conn: &mut Connection<Things>) -> Outcome<i64> {
    let id: Id = match conn.sql().any() {
        AnyConnection::Sqlite(_) => unreachable!("nobody can end a file"),
        AnyConnection::Postgres(net) => {
            diesel::sql_query("SELECT pg_backend_pid()::bigint AS id").get_result(net)?
        }
        AnyConnection::Mysql(net) => {
            diesel::sql_query("SELECT CAST(CONNECTION_ID() AS SIGNED) AS id").get_result(net)?
        }
    };
    Ok(id.id)
}

/// The connections to this database that belong to the code under test.
fn ids(outside: &TestDatabase) -> Vec<String> {
    let name = outside.name();
    let list = match outside.engine() {
        Engine::Postgres => format!(
            "SELECT pid FROM pg_stat_activity WHERE datname = '{name}' \
             AND application_name = 'cellzero'"
        ),
        _ => format!(
            "SELECT id FROM information_schema.processlist WHERE db = '{name}' \
             AND id <> CONNECTION_ID()"
        ),
    };
    outside.query(&list).unwrap().into_iter().flatten().flatten().collect()
}

/// Ends one, and waits until it has ended.
fn kill(outside: &TestDatabase, id: &str) {
    let statement = match outside.engine() {
        Engine::Postgres => format!("SELECT pg_terminate_backend({id})"),
        _ => format!("KILL {id}"),
    };
    outside.execute(&statement).unwrap();
    wait_until("the server has ended the connection", || !ids(outside).iter().any(|x| x == id));
}

fn kill_all(outside: &TestDatabase) {
    for id in ids(outside) {
        kill(outside, &id);
    }
}

/// Leaves this many connections idle in the pool.
async fn warm(database: &Database<Things>, connections: usize) {
    let all_at_once = Arc::new(Barrier::new(connections));
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let (database, barrier) = (database.clone(), Arc::clone(&all_at_once));
            let work = move |conn: &mut Connection<Things>| {
                wait(barrier.wait());
                read(conn)
            };
            tokio::spawn(async move { database.run("warm", soon(), work).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Outside,
    InTransaction,
    AtCommit,
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_killed_in_use_is_a_typed_error_and_not_used_again(
    #[case] engine: Engine,
    #[values(Where::Outside, Where::InTransaction, Where::AtCommit)] place: Where,
) {
    let Some((fresh, database)) = Fresh::migrated(engine).await else { return };
    let before = database.counters();
    let outside = Arc::clone(&fresh.outside);
    let mut attempts = 0;
    let mut half = move |conn: &mut Connection<Things>| {
        attempts += 1;
        assert_eq!(attempts, 1, "a lost connection is no conflict");
        insert(conn, "before", 1)?;
        let id = own_id(conn)?;
        kill(&outside, &id.to_string());
        if place == Where::AtCommit { Ok(()) } else { insert(conn, "after", 1) }
    };
    let work = move |conn: &mut Connection<Things>| match place {
        Where::Outside => half(conn),
        _ => transaction(conn, "half", half),
    };
    let error = database.run("half", soon(), work).await.unwrap_err();
    println!("{error}: {}", std::error::Error::source(&error).unwrap());
    // Whether a commit without an answer has happened, nobody can say.
    let kind = match place {
        Where::AtCommit => ErrorKind::CommitUnknown,
        _ => ErrorKind::ConnectionLost,
    };
    assert_eq!(error.kind(), kind, "{error:?}");
    let left = if place == Where::Outside { vec!["before"] } else { vec![] };
    assert_eq!(stored(&database).await, left);
    let after = database.counters();
    assert_eq!(after.connections_broken, before.connections_broken + 1);
    assert_eq!(after.repeats, before.repeats);
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_that_were_killed_cost_one_error_at_most(
    #[case] engine: Engine,
    #[values(NEVER, ALWAYS)] idle_probe_after: Duration,
) {
    let Some((fresh, _)) = Fresh::migrated(engine).await else { return };
    let database: Database<Things> =
        fresh.open_as(Options { idle_probe_after, ..Options::default() });
    warm(&database, 4).await;
    kill_all(&fresh.outside);
    check_recovery(&database, idle_probe_after, 4).await;
    database.close().await;
}

/// Operations after all `idle` connections of the pool were ended.
async fn check_recovery(database: &Database<Things>, idle_probe_after: Duration, idle: u64) {
    let first = database.run("first", soon(), read).await;
    if idle_probe_after == ALWAYS {
        first.unwrap();
    } else {
        let error: DatabaseError = first.unwrap_err();
        println!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error:?}");
    }
    for _ in 0..4 {
        database.run("next", soon(), read).await.unwrap();
    }
    let counters = database.counters();
    // One was found out; the others were closed with it, and all later operations share a new one.
    assert_eq!(counters.connections_broken, 1);
    assert_eq!(counters.connections_opened, idle + 1);
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_costs_one_error_at_most(
    #[case] engine: Engine,
    #[values(NEVER, ALWAYS)] idle_probe_after: Duration,
) {
    let Some(mut server) = held(engine) else { return };
    let fresh = server.fresh();
    fresh.open().migrate(soon()).await.unwrap();
    let database: Database<Things> =
        fresh.open_as(Options { idle_probe_after, ..Options::default() });
    warm(&database, 3).await;
    server.stop();
    server.start();
    check_recovery(&database, idle_probe_after, 3).await;
    database.close().await;
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_unreachable_until_it_is_back(#[case] engine: Engine) {
    let Some(mut server) = held(engine) else { return };
    let fresh = server.fresh();
    let database = fresh.open();
    database.migrate(soon()).await.unwrap();
    warm(&database, 2).await;
    server.stop();
    let first = database.run("read", soon(), read).await.unwrap_err();
    assert_eq!(first.kind(), ErrorKind::ConnectionLost, "{first:?}");
    for _ in 0..2 {
        let error = database.run("read", soon(), read).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
    }
    server.start();
    assert_eq!(database.run("read", soon(), read).await.unwrap(), 0);
    assert_eq!(database.counters().connections_broken, 1);
    database.close().await;
}

/// What MariaDB counts when a client goes without a word.
fn aborted_clients(server: &Held) -> u64 {
    let status = "SHOW GLOBAL STATUS LIKE 'Aborted_clients'";
    let rows = server.admin_query(status).unwrap();
    rows[0][1].as_deref().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_says_goodbye_so_that_mariadb_counts_no_aborted_client() {
    let Some(server) = held(Engine::MariaDb) else { return };
    let fresh = server.fresh();
    let before = aborted_clients(&server);
    // One connection that is retired by the migration, three that are surplus, two that are idle.
    let database: Database<Things> = fresh.open_as(Options { idle_max: 2, ..Options::default() });
    database.migrate(soon()).await.unwrap();
    warm(&database, 5).await;
    assert_eq!(database.counters().connections_opened, 6);
    database.close().await;
    wait_until("the server has no connection of the pool", || ids(&fresh.outside).is_empty());
    assert_eq!(aborted_clients(&server), before);
}
