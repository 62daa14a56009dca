//! The pool and the deadline of an operation.

mod common;

use cellzero_database::{
    Backend, Connection, Database, DatabaseError, DatabaseUrl, ErrorKind, Options, transaction,
};
use common::{Fresh, Outcome, Things, soon, things, within};
use diesel::Connection as _;
use diesel::prelude::*;
use rstest::rstest;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

fn insert(conn: &mut Connection<Things>) -> Outcome {
    diesel::insert_into(things::table)
        .values((things::uuid.eq("one"), things::amount.eq(1)))
        .execute(conn.sql())?;
    Ok(())
}

async fn count(database: &Database<Things>) -> i64 {
    let count = |conn: &mut Connection<Things>| -> Outcome<i64> {
        Ok(things::table.count().get_result(conn.sql())?)
    };
    database.run("count", soon(), count).await.unwrap()
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn the_caller_is_free_at_the_deadline_whatever_the_work_does(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    let start = Instant::now();
    let error = database
        .run("hang", within(100), |_| -> Outcome {
            pause(500);
            Ok(())
        })
        .await
        .unwrap_err();
    let took = start.elapsed();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(took >= Duration::from_millis(100) && took < Duration::from_millis(160), "{took:?}");
    assert_eq!(error.operation(), Some("hang"));
    assert!(error.to_string().contains(&database.url().to_string()), "{error}");
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_hangs_after_a_commit_is_not_called_undone(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    let error = database
        .run("hang", within(200), |conn| -> Outcome {
            transaction(conn, "insert", insert)?;
            pause(400);
            Ok(())
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CommitUnknown);
    assert_eq!(count(&database).await, 1);
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_pool_names_its_limit(#[case] backend: Backend) {
    let fresh = Fresh::new(backend);
    let database: Database<Things> =
        fresh.open_as(Options { connections_max: 2, ..Options::default() });
    let busy: Vec<_> = (0..2)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move {
                database
                    .run("busy", soon(), |_| -> Outcome {
                        pause(600);
                        Ok(())
                    })
                    .await
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let error = database.run("third", within(100), |_| -> Outcome { Ok(()) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PoolExhausted);
    assert!(error.to_string().contains("all 2 connections (connections_max)"), "{error}");
    for task in busy {
        task.await.unwrap().unwrap();
    }
    database.run("third", soon(), |_| -> Outcome { Ok(()) }).await.unwrap();
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn operations_in_turn_share_one_connection(#[case] backend: Backend) {
    let fresh = Fresh::new(backend);
    let database = fresh.open();
    for _ in 0..20 {
        database.run("nothing", soon(), |_| -> Outcome { Ok(()) }).await.unwrap();
    }
    assert_eq!(database.counters().connections_opened, 1);
    assert_eq!(database.counters().statements, 0);
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_future_lets_the_work_run_to_its_end(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    let work = database.run("slow", soon(), |conn| {
        transaction(conn, "slow", |conn| {
            pause(150);
            insert(conn)
        })
    });
    assert!(tokio::time::timeout(Duration::from_millis(50), work).await.is_err());
    // Closing waits for it.
    let other: Database<Things> = Database::new(database.url().clone(), Options::default());
    database.close().await;
    assert_eq!(count(&other).await, 1);
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_database_refuses_operations(#[case] backend: Backend) {
    let fresh = Fresh::new(backend);
    let database = fresh.open();
    let ended = Arc::new(AtomicBool::new(false));
    let running = {
        let (database, ended) = (database.clone(), Arc::clone(&ended));
        tokio::spawn(async move {
            let work = move |_: &mut Connection<Things>| -> Outcome {
                pause(200);
                ended.store(true, Ordering::SeqCst);
                Ok(())
            };
            database.run("running", soon(), work).await
        })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    database.close().await;
    assert!(ended.load(Ordering::SeqCst), "close did not wait");
    running.await.unwrap().unwrap();
    let error = database.run("late", soon(), |_| -> Outcome { Ok(()) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    database.close().await;
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_refuses_every_write(#[case] backend: Backend) {
    let (fresh, database) = Fresh::migrated(backend).await;
    let reader: Database<Things> = fresh.open_as(Options { read_only: true, ..Options::default() });
    let plain = reader.run("write", soon(), insert).await.unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::ReadOnly, "{plain:?}");
    let work = |conn: &mut Connection<Things>| {
        assert!(conn.is_read_only());
        transaction(conn, "write", insert)
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
    #[derive(QueryableByName)]
    struct Setting {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        synchronous: i64,
    }
    let directory = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::sqlite(directory.path().join("new/plane.sqlite")).unwrap();
    let database: Database<Things> = Database::new(url, Options::default());
    let read = |conn: &mut Connection<Things>| -> Outcome<i64> {
        let cellzero_database::AnyConnection::Sqlite(sqlite) = conn.sql() else { unreachable!() };
        let setting: Setting = diesel::sql_query("PRAGMA synchronous").get_result(sqlite)?;
        Ok(setting.synchronous)
    };
    assert_eq!(database.run("ask", soon(), read).await.unwrap(), 2);
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_kind_that_a_caller_needs(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    let kind = async |work: fn(&mut Connection<Things>) -> Outcome| {
        let error = database.run("fail", soon(), work).await.unwrap_err();
        assert!(std::error::Error::source(&error).is_some(), "{error:?}");
        error.kind()
    };
    assert_eq!(
        kind(|conn| {
            insert(conn)?;
            insert(conn)
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

fn batch(conn: &mut Connection<Things>, sql: &str) -> Outcome {
    Ok(diesel::connection::SimpleConnection::batch_execute(conn.sql(), sql)?)
}

#[rstest]
#[case(Backend::Sqlite)]
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_is_in_utc_and_survives_storage(#[case] backend: Backend) {
    let (_fresh, database) = Fresh::migrated(backend).await;
    let (said, read) = database
        .run("clock", soon(), |conn| -> Outcome<_> {
            let now = conn.now();
            insert(conn)?;
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
