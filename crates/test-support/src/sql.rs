//! Statements to a database past all of the project's own code: by the plain drivers.
//!
//! Blocking, and safe to call from anywhere, also inside a test's own runtime: each call has its
//! own thread. What it may take is limited.

use std::future::Future;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::SinkExt as _;
use mysql_async::prelude::Queryable as _;
use rusqlite::types::ValueRef;

use crate::Engine;

/// One row of an answer, each value as text.
pub type Row = Vec<Option<String>>;

/// How long one call may take, connecting included.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs one query and returns its rows.
pub(crate) fn query(engine: Engine, url: &str, text: &str) -> anyhow::Result<Vec<Row>> {
    match engine {
        Engine::Sqlite => query_sqlite(url, text),
        Engine::Postgres => on_own_thread(async {
            let client = connect_postgres(url).await?;
            let messages = client.simple_query(text).await?;
            Ok(messages.iter().filter_map(postgres_row).collect())
        }),
        Engine::MariaDb => on_own_thread(async {
            let mut connection = connect_mariadb(url).await?;
            let rows: Vec<mysql_async::Row> = connection.query(text).await?;
            connection.disconnect().await?;
            Ok(rows.into_iter().map(mariadb_row).collect())
        }),
    }
}

/// Runs statements whose rows nobody wants.
pub(crate) fn execute(engine: Engine, url: &str, text: &str) -> anyhow::Result<()> {
    match engine {
        Engine::Sqlite => open_sqlite(url)?.execute_batch(text).context("SQLite refused"),
        Engine::Postgres => on_own_thread(async {
            connect_postgres(url).await?.batch_execute(text).await.map_err(anyhow::Error::from)
        }),
        Engine::MariaDb => on_own_thread(async {
            let mut connection = connect_mariadb(url).await?;
            connection.query_drop(text).await?;
            connection.disconnect().await.map_err(anyhow::Error::from)
        }),
    }
}

/// Answers queries on one connection until nobody can ask any more.
pub(crate) fn serve(
    engine: Engine,
    url: &str,
    asked: &Receiver<(String, Sender<anyhow::Result<Vec<Row>>>)>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Whoever asked and does not wait for the answer any more does not need it.
    match engine {
        Engine::Sqlite => {
            let connection = open_sqlite(url)?;
            for (text, answer) in asked {
                let _ = answer.send(ask_sqlite(&connection, &text));
            }
        }
        Engine::Postgres => {
            let client = runtime.block_on(connect_postgres(url))?;
            for (text, answer) in asked {
                let messages = runtime.block_on(client.simple_query(&text));
                let rows = messages.map(|all| all.iter().filter_map(postgres_row).collect());
                let _ = answer.send(rows.map_err(anyhow::Error::from));
            }
        }
        Engine::MariaDb => {
            let mut connection = runtime.block_on(connect_mariadb(url))?;
            for (text, answer) in asked {
                let rows = runtime.block_on(connection.query::<mysql_async::Row, _>(text));
                let rows = rows.map(|all| all.into_iter().map(mariadb_row).collect());
                let _ = answer.send(rows.map_err(anyhow::Error::from));
            }
            runtime.block_on(connection.disconnect())?;
        }
    }
    Ok(())
}

/// Runs what `pg_dump` wrote: statements with blocks of rows between them.
pub(crate) fn restore_postgres(url: &str, dump: &str) -> anyhow::Result<()> {
    on_own_thread(async {
        let client = connect_postgres(url).await?;
        let mut rest = dump;
        while let Some((before, copy, rows, after)) = next_copy(rest)? {
            client.batch_execute(&without_commands(before)).await?;
            let sink = client.copy_in(copy).await.with_context(|| copy.to_owned())?;
            let mut sink = std::pin::pin!(sink);
            sink.send(std::io::Cursor::new(rows.to_owned())).await?;
            sink.finish().await.with_context(|| copy.to_owned())?;
            rest = after;
        }
        client.batch_execute(&without_commands(rest)).await.map_err(anyhow::Error::from)
    })
}

/// Splits a dump at its next block of rows: what stands before it, its statement, the rows, the rest.
fn next_copy(dump: &str) -> anyhow::Result<Option<(&str, &str, &str, &str)>> {
    const COPY: &str = "\nCOPY ";
    const FROM_HERE: &str = " FROM stdin;\n";
    const END: &str = "\\.\n";
    let Some((before, block)) = dump.split_once(COPY) else { return Ok(None) };
    let (_, rows) = block.split_once(FROM_HERE).context("a COPY in the dump has no rows")?;
    let statement_end = dump.len() - rows.len() - 1;
    let copy = dump.get(before.len() + 1..statement_end).context("a COPY is cut")?;
    let copy = copy.trim_end_matches(';');
    // A table without rows ends at once; within a row a backslash is doubled.
    let (rows, after) = match rows.strip_prefix(END) {
        Some(after) => ("", after),
        None => {
            let end = rows.find("\n\\.\n").context("a COPY in the dump has no end")? + 1;
            let (rows, after) = rows.split_at(end);
            (rows, after.strip_prefix(END).unwrap_or(after))
        }
    };
    Ok(Some((before, copy, rows, after)))
}

/// Takes away the lines that only the `psql` program understands, such as `\restrict`.
fn without_commands(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('\\')).flat_map(|line| [line, "\n"]).collect()
}

async fn connect_postgres(url: &str) -> anyhow::Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    // It ends by itself when the client is dropped; its error reaches the client's caller too.
    tokio::spawn(connection);
    Ok(client)
}

async fn connect_mariadb(url: &str) -> anyhow::Result<mysql_async::Conn> {
    let options = mysql_async::Opts::from_url(url)?;
    // Else the driver would leave the port that it was given for the server's local socket.
    let options = mysql_async::OptsBuilder::from_opts(options).prefer_socket(false);
    Ok(mysql_async::Conn::new(options).await?)
}

fn postgres_row(message: &tokio_postgres::SimpleQueryMessage) -> Option<Row> {
    match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
        }
        _ => None,
    }
}

fn mariadb_row(row: mysql_async::Row) -> Row {
    let text = |value: mysql_async::Value| match value {
        mysql_async::Value::NULL => None,
        mysql_async::Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        other => Some(other.as_sql(true)),
    };
    row.unwrap().into_iter().map(text).collect()
}

fn open_sqlite(url: &str) -> anyhow::Result<rusqlite::Connection> {
    let path = url.strip_prefix("sqlite://").unwrap_or(url);
    let connection =
        rusqlite::Connection::open(path).with_context(|| format!("cannot open {path}"))?;
    connection.busy_timeout(LIMIT).context("SQLite takes no time limit")?;
    Ok(connection)
}

fn query_sqlite(url: &str, text: &str) -> anyhow::Result<Vec<Row>> {
    ask_sqlite(&open_sqlite(url)?, text)
}

fn ask_sqlite(connection: &rusqlite::Connection, text: &str) -> anyhow::Result<Vec<Row>> {
    let mut statement = connection.prepare(text).context("SQLite refused")?;
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..width).map(|column| row.get_ref(column).map(sqlite_text)).collect()
    })?;
    rows.collect::<Result<_, _>>().context("SQLite refused")
}

fn sqlite_text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

/// Runs a future to its end on a thread and a runtime of its own.
fn on_own_thread<T: Send>(
    work: impl Future<Output = anyhow::Result<T>> + Send,
) -> anyhow::Result<T> {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match tokio::time::timeout(LIMIT, work).await {
                Ok(outcome) => outcome,
                Err(_) => bail!("the database did not answer within {LIMIT:?}"),
            }
        })
    };
    std::thread::scope(|scope| match scope.spawn(run).join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
