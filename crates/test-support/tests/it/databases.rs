//! New, empty databases on each engine.

use cellzero_test_support::{Engine, create_database, shared};
use rstest::rstest;

fn value(rows: Vec<Vec<Option<String>>>) -> Option<String> {
    rows.into_iter().next()?.into_iter().next()?
}

#[rstest]
fn two_databases_of_one_hint_share_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(first) = create_database(engine, "Same hint!") else { return };
    let Some(second) = create_database(engine, "Same hint!") else { return };
    assert_ne!(first.url(), second.url());
    first.execute("CREATE TABLE t (n INT); INSERT INTO t VALUES (1)").unwrap();
    second.execute("CREATE TABLE t (n INT)").unwrap();
    assert_eq!(value(first.query("SELECT count(*) FROM t").unwrap()).unwrap(), "1");
    assert_eq!(value(second.query("SELECT count(*) FROM t").unwrap()).unwrap(), "0");
}

#[rstest]
fn a_database_is_gone_after_its_test_also_with_a_transaction_open(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(database) = create_database(engine, "dropped") else { return };
    database.execute("CREATE TABLE t (n INT)").unwrap();
    let (name, url) = (database.name().to_owned(), database.url().to_owned());
    // The blocker holds the table in a transaction that it never ends by itself.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let blocker = runtime.block_on(open_transaction(engine, &url));
    drop(database);
    let left = match engine {
        Engine::Sqlite => usize::from(std::path::Path::new(&url[9..]).exists()),
        Engine::Postgres => {
            let text = format!("SELECT datname FROM pg_database WHERE datname = '{name}'");
            shared(engine).unwrap().admin_query(&text).unwrap().len()
        }
        Engine::MariaDb => {
            let text = format!("SHOW DATABASES LIKE '{name}'");
            shared(engine).unwrap().admin_query(&text).unwrap().len()
        }
    };
    assert_eq!(left, 0);
    drop(blocker);
}

/// A connection in the middle of a transaction; dropping it ends both.
enum Blocker {
    None,
    Postgres(#[expect(dead_code, reason = "held open")] tokio_postgres::Client),
    MariaDb(#[expect(dead_code, reason = "held open")] mysql_async::Conn),
}

async fn open_transaction(engine: Engine, url: &str) -> Blocker {
    use mysql_async::prelude::Queryable as _;
    match engine {
        Engine::Sqlite => Blocker::None,
        Engine::Postgres => {
            let (client, driver) =
                tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(driver);
            client.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
            Blocker::Postgres(client)
        }
        Engine::MariaDb => {
            let mut connection =
                mysql_async::Conn::new(mysql_async::Opts::from_url(url).unwrap()).await.unwrap();
            connection.query_drop("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
            Blocker::MariaDb(connection)
        }
    }
}

/// Case and trailing blanks distinguish, and every character of Unicode is kept.
#[rstest]
fn text_is_compared_by_its_bytes_and_kept_whole(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(database) = create_database(engine, "text") else { return };
    database
        .execute("CREATE TABLE t (s VARCHAR(20) UNIQUE); INSERT INTO t VALUES ('a'), ('A'), ('a ')")
        .unwrap();
    database.execute("INSERT INTO t VALUES ('née 😀')").unwrap();
    let rows = database.query("SELECT s FROM t ORDER BY s").unwrap();
    let texts: Vec<&str> = rows.iter().map(|row| row[0].as_deref().unwrap()).collect();
    assert_eq!(texts, ["A", "a", "a ", "née 😀"]);
}

/// Tests call this from inside a runtime of their own; a nested runtime would panic.
#[rstest]
fn a_database_can_be_made_and_dropped_inside_a_runtime(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let Some(database) = create_database(engine, "async") else { return };
        database.execute("CREATE TABLE t (n INT)").unwrap();
    });
}
