//! The pool and the deadline of an operation.

use crate::common::{Fresh, Outcome, Things, batch, gate, insert, soon, things, within};
use cellzero_database::{
    Connection, ConnectionBudget, Database, DatabaseError, DatabaseUrl, ErrorKind, Options,
    transaction,
};
use cellzero_test_support::Engine;
use diesel::Connection as _;
use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use rstest::rstest;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

async fn count(database: &Database<Things>) -> i64 {
    let count = |conn: &mut Connection<Things>| -> Outcome<i64> {
        Ok(things::table.count().get_result(conn.sql())?)
    };
    database.run("count", soon(), count).await.unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_caller_is_free_at_the_deadline_whatever_the_work_does(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
    database.run("warm", soon(), |_| -> Outcome { Ok(()) }).await.unwrap();
    let (gate, gatekeeper) = gate();
    let work = move |_: &mut Connection<Things>| -> Outcome {
        gate.pass();
        Ok(())
    };
    let start = Instant::now();
    let error = database.run("hang", within(500), work).await.unwrap_err();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_millis(600), "{took:?}");
    gatekeeper.open();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(error.operation(), Some("hang"));
    assert!(error.to_string().contains(&database.url().to_string()), "{error}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_hangs_after_a_commit_is_not_called_undone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
    database.run("warm", soon(), |_| -> Outcome { Ok(()) }).await.unwrap();
    let (gate, gatekeeper) = gate();
    let work = move |conn: &mut Connection<Things>| -> Outcome {
        transaction(conn, "insert", |conn| insert(conn, "one", 1))?;
        gate.pass();
        Ok(())
    };
    let error = database.run("hang", within(1000), work).await.unwrap_err();
    gatekeeper.open();
    assert_eq!(error.kind(), ErrorKind::CommitUnknown);
    assert_eq!(count(&database).await, 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_pool_names_its_limit(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(fresh) = Fresh::new(engine) else { return };
    let database: Database<Things> =
        fresh.open_as(Options { connections_max: 2, ..Options::default() });
    let busy = [(); 2].map(|()| {
        let (gate, gatekeeper) = gate();
        let database = database.clone();
        let work = move |_: &mut Connection<Things>| -> Outcome {
            gate.pass();
            Ok(())
        };
        let task = tokio::spawn(async move { database.run("busy", soon(), work).await });
        gatekeeper.wait();
        (task, gatekeeper)
    });
    let error = database.run("third", within(100), |_| -> Outcome { Ok(()) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolExhausted);
    assert!(error.to_string().contains("all 2 connections (connections_max)"), "{error}");
    for (task, gatekeeper) in busy {
        gatekeeper.open();
        task.await.unwrap().unwrap();
    }
    database.run("third", soon(), |_| -> Outcome { Ok(()) }).await.unwrap();
    assert_eq!(database.counters().connections_opened, 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn operations_in_turn_share_one_connection(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(fresh) = Fresh::new(engine) else { return };
    let database = fresh.open();
    for _ in 0..20 {
        database.run("nothing", soon(), |_| -> Outcome { Ok(()) }).await.unwrap();
    }
    assert_eq!(database.counters().connections_opened, 1);
    assert_eq!(database.counters().statements, 0);
}

/// More than threads are at work at once, whatever the machine has.
const MANY: usize = 40;

#[rstest]
#[case::reads(false)]
#[case::writes(true)]
#[tokio::test(flavor = "multi_thread")]
async fn operations_that_wait_hold_up_nobody_on_sqlite(#[case] in_transactions: bool) {
    let Some((_fresh, database)) = Fresh::migrated(Engine::Sqlite).await else { return };
    let mut waiting = Vec::new();
    for _ in 0..MANY {
        // Each has a file of its own, as the writers of one wait for each other.
        let Some((fresh, database)) = Fresh::migrated(Engine::Sqlite).await else { return };
        let (gate, gatekeeper) = gate();
        let work = move |conn: &mut Connection<Things>| -> Outcome {
            let pass = |_: &mut Connection<Things>| {
                gate.pass();
                Ok(())
            };
            if in_transactions { transaction(conn, "wait", pass) } else { pass(conn) }
        };
        let task = tokio::spawn(async move { database.run("wait", soon(), work).await });
        waiting.push((fresh, gatekeeper, task));
    }
    // Whoever comes last passes all of them.
    assert_eq!(count(&database).await, 0);
    for (_fresh, gatekeeper, task) in waiting {
        gatekeeper.wait();
        gatekeeper.open();
        task.await.unwrap().unwrap();
    }
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn operations_that_wait_hold_up_nobody_on_servers(#[case] engine: Engine) {
    let Some((fresh, _database)) = Fresh::migrated(engine).await else { return };
    let connections_max = MANY as u32 + 1;
    let database: Database<Things> =
        fresh.open_as(Options { connections_max, ..Options::default() });
    let mut waiting = Vec::new();
    for _ in 0..MANY {
        let (gate, gatekeeper) = gate();
        let database = database.clone();
        let work = move |conn: &mut Connection<Things>| {
            transaction(conn, "wait", |_| -> Outcome {
                gate.pass();
                Ok(())
            })
        };
        let task = tokio::spawn(async move { database.run("wait", soon(), work).await });
        waiting.push((gatekeeper, task));
    }
    for (gatekeeper, _) in &waiting {
        gatekeeper.wait();
    }
    assert_eq!(count(&database).await, 0);
    for (gatekeeper, task) in waiting {
        gatekeeper.open();
        task.await.unwrap().unwrap();
    }
}

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = diesel::sql_types::Text)]
    uuid: String,
}

/// Makes values of 400 rows, each of which takes a while.
fn read_slowly(conn: &mut Connection<Things>) -> Outcome<usize> {
    let pairs = diesel::sql_query("SELECT one.uuid AS uuid FROM things one, things other");
    let rows = pairs.load_iter::<Named, DefaultLoadingMode>(conn.sql())?;
    let mut length = 0;
    for row in rows {
        length += row?.uuid.len();
        // Without giving the thread to anybody.
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(length)
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn many_rows_hold_up_nobody_on_servers(#[case] engine: Engine) {
    let Some((fresh, _database)) = Fresh::migrated(engine).await else { return };
    let threads = std::thread::available_parallelism().unwrap().get();
    let connections_max = threads as u32 * 2 + 1;
    let database: Database<Things> =
        fresh.open_as(Options { connections_max, ..Options::default() });
    let some = |conn: &mut Connection<Things>| {
        (0..20).try_for_each(|number| insert(conn, &number.to_string(), 1))
    };
    database.run("insert", soon(), some).await.unwrap();
    // At least one on each thread.
    let slow: Vec<_> = (0..threads * 2)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move { database.run("slow", soon(), read_slowly).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    for _ in 0..4 {
        let read = database.run("read", within(400), |conn| {
            Ok::<i64, DatabaseError>(things::table.count().get_result(conn.sql())?)
        });
        assert_eq!(read.await.unwrap(), 20);
    }
    assert!(slow.iter().all(|slow| !slow.is_finished()), "they were to be slow");
    for slow in slow {
        assert!(slow.await.unwrap().unwrap() > 0);
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_future_lets_the_work_run_to_its_end(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((fresh, database)) = Fresh::migrated(engine).await else { return };
    let (gate, gatekeeper) = gate();
    let work = move |conn: &mut Connection<Things>| {
        transaction(conn, "slow", |conn| {
            gate.pass();
            insert(conn, "one", 1)
        })
    };
    let running = tokio::spawn({
        let database = database.clone();
        async move { database.run("slow", soon(), work).await }
    });
    gatekeeper.wait();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    gatekeeper.open();
    // Closing waits for it.
    database.close().await;
    assert_eq!(count(&fresh.open()).await, 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_future_that_is_dropped_in_the_queue_does_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((fresh, _database)) = Fresh::migrated(engine).await else { return };
    let database: Database<Things> =
        fresh.open_as(Options { connections_max: 1, ..Options::default() });
    let (gate, gatekeeper) = gate();
    let running = tokio::spawn({
        let database = database.clone();
        let work = move |_: &mut Connection<Things>| -> Outcome {
            gate.pass();
            Ok(())
        };
        async move { database.run("first", soon(), work).await }
    });
    gatekeeper.wait();
    let queued = database.run("second", soon(), |conn| insert(conn, "one", 1));
    assert!(tokio::time::timeout(Duration::from_millis(50), queued).await.is_err());
    gatekeeper.open();
    running.await.unwrap().unwrap();
    database.close().await;
    assert_eq!(count(&fresh.open()).await, 0);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_database_refuses_operations(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(fresh) = Fresh::new(engine) else { return };
    let database = fresh.open();
    let (gate, gatekeeper) = gate();
    let ended = Arc::new(AtomicBool::new(false));
    let running = {
        let (database, ended) = (database.clone(), Arc::clone(&ended));
        let work = move |_: &mut Connection<Things>| -> Outcome {
            gate.pass();
            ended.store(true, Ordering::SeqCst);
            Ok(())
        };
        tokio::spawn(async move { database.run("running", soon(), work).await })
    };
    gatekeeper.wait();
    let closing = tokio::spawn({
        let database = database.clone();
        async move { database.close().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!closing.is_finished(), "close did not wait");
    gatekeeper.open();
    closing.await.unwrap();
    assert!(ended.load(Ordering::SeqCst), "close did not wait");
    running.await.unwrap().unwrap();
    let error = database.run("late", soon(), |_| -> Outcome { Ok(()) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    database.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_refuses_every_write(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((fresh, database)) = Fresh::migrated(engine).await else { return };
    let reader: Database<Things> = fresh.open_as(Options { read_only: true, ..Options::default() });
    let plain = reader.run("write", soon(), |conn| insert(conn, "one", 1)).await.unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::ReadOnly, "{plain:?}");
    let work = |conn: &mut Connection<Things>| {
        assert!(conn.is_read_only());
        transaction(conn, "write", |conn| insert(conn, "one", 1))
    };
    let inside = reader.run("write", soon(), work).await.unwrap_err();
    assert_eq!(inside.kind(), ErrorKind::ReadOnly, "{inside:?}");
    let migrate = reader.migrate(soon()).await.unwrap_err();
    assert_eq!(migrate.kind(), ErrorKind::ReadOnly, "{migrate:?}");
    assert_eq!(count(&reader).await, 0);
    assert_eq!(count(&database).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_sqlite_file_in_a_closed_directory_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("it's a 100% nova?.db");
    let mut made = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    diesel::connection::SimpleConnection::batch_execute(
        &mut made,
        "CREATE TABLE things (id INTEGER PRIMARY KEY, uuid TEXT, amount BIGINT)",
    )
    .unwrap();
    drop(made);
    let before = std::fs::read(&path).unwrap();
    let mut permissions = std::fs::metadata(directory.path()).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(directory.path(), permissions).unwrap();
    let options = Options { read_only: true, ..Options::default() };
    let database: Database<Things> = Database::new(DatabaseUrl::sqlite(&path).unwrap(), options);
    assert_eq!(count(&database).await, 0);
    database.close().await;
    assert_eq!(std::fs::read(&path).unwrap(), before, "reading has changed the file");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[rstest]
#[case("no/such/place.sqlite", true, "directory")]
#[case("missing.sqlite", false, "does not exist")]
#[case("", true, "is a directory")]
#[case("text.sqlite", true, "cannot be used")]
#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_that_cannot_be_opened_says_why(
    #[case] file: &str,
    #[case] create: bool,
    #[case] says: &str,
) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("text.sqlite"), "no database".repeat(100)).unwrap();
    let url =
        DatabaseUrl::sqlite(directory.path().join(file).to_str().unwrap().trim_end_matches('/'));
    let options = Options { create, ..Options::default() };
    let database: Database<Things> = Database::new(url.unwrap(), options);
    let error = database.run("open", soon(), |_| -> Outcome { Ok(()) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error:?}");
    assert!(error.to_string().contains(says), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_is_made_in_a_new_directory_and_durable() {
    let directory = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(directory.path().join("new/plane.sqlite")).unwrap();
    let database: Database<Things> = Database::new(url, Options::default());
    let read = |conn: &mut Connection<Things>| setting(conn, "synchronous");
    assert_eq!(database.run("ask", soon(), read).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_sqlite_files_share_no_lock_around_their_pages() {
    let directory = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(directory.path().join("plane.sqlite")).unwrap();
    let database: Database<Things> = Database::new(url, Options::default());
    let built = |conn: &mut Connection<Things>| -> Outcome<(i64, i64)> {
        let mut count = |option| {
            let from = "SELECT COUNT(*) AS number FROM pragma_compile_options";
            number(conn, &format!("{from} WHERE compile_options = '{option}'"))
        };
        Ok((count("ENABLE_MEMORY_MANAGEMENT")?, count("DEFAULT_MEMSTATUS=0")?))
    };
    // `.cargo/config.toml` has SQLite built so.
    assert_eq!(database.run("ask", soon(), built).await.unwrap(), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_holds_few_pages_until_the_operation_that_asked_for_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(directory.path().join("plane.sqlite")).unwrap();
    let options = Options { connections_max: 1, ..Options::default() };
    let database: Database<Things> = Database::new(url, options);
    fn pages(conn: &mut Connection<Things>) -> Outcome<i64> {
        setting(conn, "cache_size")
    }
    let before = database.run("ask", soon(), pages).await.unwrap();
    let little = |conn: &mut Connection<Things>| {
        conn.hold_little()?;
        pages(conn)
    };
    let meanwhile = database.run("hold_little", soon(), little).await.unwrap();
    // In kilobytes, with a minus before it.
    assert!(before < meanwhile && meanwhile < 0, "{before}, then {meanwhile}");
    assert_eq!(database.run("ask", soon(), pages).await.unwrap(), before);
}

/// A setting of a SQLite connection.
fn setting(conn: &mut Connection<Things>, name: &str) -> Outcome<i64> {
    number(conn, &format!("SELECT {name} AS number FROM pragma_{name}"))
}

/// The one number that SQLite answers.
fn number(conn: &mut Connection<Things>, query: &str) -> Outcome<i64> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        number: i64,
    }
    let cellzero_database::AnyConnection::Sqlite(sqlite) = conn.sql().any() else { unreachable!() };
    Ok(diesel::sql_query(query).get_result::<Answer>(sqlite)?.number)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_kind_that_a_caller_needs(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
    let kind = async |work: fn(&mut Connection<Things>) -> Outcome| {
        let error = database.run("fail", soon(), work).await.unwrap_err();
        assert!(std::error::Error::source(&error).is_some(), "{error:?}");
        error.kind()
    };
    assert_eq!(
        kind(|conn| {
            insert(conn, "one", 1)?;
            insert(conn, "one", 1)
        })
        .await,
        ErrorKind::UniqueViolation
    );
    assert_eq!(
        kind(|conn| {
            things::table.filter(things::uuid.eq("none")).first::<Row>(conn.sql())?;
            Ok(())
        })
        .await,
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(|conn| {
            diesel::update(things::table).set(things::parent_id.eq(99)).execute(conn.sql())?;
            Ok(())
        })
        .await,
        ErrorKind::ForeignKeyViolation
    );
    assert_eq!(
        kind(|conn| batch(conn, "UPDATE things SET uuid = NULL")).await,
        ErrorKind::NotNullViolation
    );
    assert_eq!(kind(|conn| batch(conn, "UPDATE nothing SET uuid = 1")).await, ErrorKind::Rejected);
    // All of these were the statements' own, so the connection is still in use.
    assert_eq!(database.counters().connections_broken, 0);
}

type Row = (
    i32,
    String,
    Option<String>,
    i64,
    Option<f64>,
    Option<bool>,
    Option<String>,
    Option<i32>,
    Option<chrono::NaiveDateTime>,
);

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_in_utc_and_survives_storage(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
    let (said, read) = database
        .run("clock", soon(), |conn| -> Outcome<_> {
            let now = conn.now();
            insert(conn, "one", 1)?;
            diesel::update(things::table).set(things::created_at.eq(now)).execute(conn.sql())?;
            let read: Option<chrono::NaiveDateTime> =
                things::table.select(things::created_at).first(conn.sql())?;
            Ok((now, read))
        })
        .await
        .unwrap();
    assert_eq!(read, Some(said));
    let here = chrono::Utc::now().naive_utc();
    assert!((here - said).num_seconds().abs() < 5, "{said} is not the time in UTC");
}

#[test]
fn a_database_error_can_cross_threads() {
    fn crosses<T: Send + Sync + 'static>() {}
    crosses::<DatabaseError>();
    crosses::<Database<Things>>();
}

/// Three databases that share a total of two connections.
async fn sharing(engine: Engine, options: &Options) -> Option<(Vec<Fresh>, Vec<Database<Things>>)> {
    let (mut kept, mut databases) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (fresh, _) = Fresh::migrated(engine).await?;
        databases.push(fresh.open_as(options.clone()));
        kept.push(fresh);
    }
    Some((kept, databases))
}

fn total_of(total: u32) -> Options {
    Options { connections_total: ConnectionBudget::new(total), ..Options::default() }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn databases_that_share_a_total_never_have_more_connections_open(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let options = total_of(2);
    let Some((_kept, databases)) = sharing(engine, &options).await else { return };
    for round in 0..4 {
        for database in &databases {
            assert_eq!(count(database).await, 0, "round {round}");
            assert!(options.connections_total.open() <= 2);
        }
    }
    // What is idle makes room; what is used does not.
    let (first, keeper) = gate();
    let (second, other_keeper) = gate();
    let used = [first, second].into_iter().zip(&databases).map(|(gate, database)| {
        let database = database.clone();
        tokio::spawn(async move {
            let work = move |_: &mut Connection<Things>| -> Outcome {
                gate.pass();
                Ok(())
            };
            database.run("hold", soon(), work).await
        })
    });
    let used: Vec<_> = used.collect();
    while options.connections_total.open() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let nothing = |_: &mut Connection<Things>| -> Outcome { Ok(()) };
    let error = databases[2].run("third", within(300), nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolExhausted);
    assert!(error.to_string().contains("connections_total"), "{error}");
    // Who waits gets the first that is done with.
    let third = databases[2].clone();
    let waiting = tokio::spawn(async move { third.run("third", soon(), nothing).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    keeper.open();
    waiting.await.unwrap().unwrap();
    other_keeper.open();
    for done in used {
        done.await.unwrap().unwrap();
    }
    assert!(options.connections_total.open() <= 2);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_idle_for_long_is_closed_at_the_next_use_of_another_database(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let idle_close_after = Duration::from_millis(200);
    let options = Options { idle_close_after, ..total_of(10) };
    let Some((_kept, databases)) = sharing(engine, &options).await else { return };
    for database in &databases {
        count(database).await;
    }
    assert_eq!(options.connections_total.open(), 3);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    count(&databases[0]).await;
    let began = Instant::now();
    while options.connections_total.open() > 1 {
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", options.connections_total);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
