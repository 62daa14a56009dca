//! One connection of the plain driver: begin, execute, query, commit, with every statement prepared
//! once and kept.
//!
//! It counts what it sends, as the plane's own counters do: without `BEGIN` and `COMMIT`.

use std::collections::HashMap;

use anyhow::Context as _;
use cellzero_test_support::Engine;
use mysql_async::prelude::Queryable as _;
use rusqlite::params_from_iter;

use super::value::Value;

/// How many statements a driver keeps prepared: more than the floor ever sends.
const STATEMENTS_KEPT: usize = 256;

/// What was sent over a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Statements, without `BEGIN` and `COMMIT`.
    pub(crate) statements: u64,
    /// Transactions, a statement outside of one not among them.
    pub(crate) commits: u64,
}

/// A connection to one database.
pub(crate) struct Session {
    driver: Driver,
    sent: Sent,
}

enum Driver {
    Sqlite(rusqlite::Connection),
    Postgres { client: tokio_postgres::Client, kept: HashMap<String, tokio_postgres::Statement> },
    MariaDb(Box<mysql_async::Conn>),
}

/// The rows of an answer.
pub(crate) type Rows = Vec<Vec<Value>>;

impl Session {
    /// Connects with the settings that the plane's own connections have.
    pub(crate) async fn open(engine: Engine, url: &str) -> anyhow::Result<Session> {
        let driver = match engine {
            Engine::Sqlite => open_sqlite(url)?,
            Engine::Postgres => {
                let (client, connection) =
                    tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
                // It ends by itself when the client is dropped.
                tokio::spawn(connection);
                Driver::Postgres { client, kept: HashMap::new() }
            }
            Engine::MariaDb => {
                let options = mysql_async::Opts::from_url(url)?;
                let options = mysql_async::OptsBuilder::from_opts(options)
                    .prefer_socket(false)
                    .stmt_cache_size(STATEMENTS_KEPT);
                let mut conn = mysql_async::Conn::new(options).await?;
                conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED").await?;
                Driver::MariaDb(Box::new(conn))
            }
        };
        Ok(Session { driver, sent: Sent::default() })
    }

    /// What was sent so far.
    pub(crate) fn sent(&self) -> Sent {
        self.sent
    }

    pub(crate) async fn begin(&mut self) -> anyhow::Result<()> {
        match &mut self.driver {
            Driver::Sqlite(conn) => {
                conn.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)?
            }
            Driver::Postgres { client, .. } => client.batch_execute("BEGIN").await?,
            Driver::MariaDb(conn) => conn.query_drop("START TRANSACTION").await?,
        }
        Ok(())
    }

    pub(crate) async fn commit(&mut self) -> anyhow::Result<()> {
        match &mut self.driver {
            Driver::Sqlite(conn) => conn.prepare_cached("COMMIT")?.execute([]).map(drop)?,
            Driver::Postgres { client, .. } => client.batch_execute("COMMIT").await?,
            Driver::MariaDb(conn) => conn.query_drop("COMMIT").await?,
        }
        self.sent.commits += 1;
        Ok(())
    }

    /// Runs a statement whose rows nobody wants.
    pub(crate) async fn execute(&mut self, sql: &str, values: &[Value]) -> anyhow::Result<()> {
        self.sent.statements += 1;
        match &mut self.driver {
            Driver::Sqlite(conn) => {
                conn.prepare_cached(sql)?.execute(params_from_iter(values))?;
            }
            Driver::Postgres { client, kept } => {
                let statement = prepared(client, kept, sql).await?;
                client.execute_raw(&statement, values).await.with_context(|| sql.to_owned())?;
            }
            Driver::MariaDb(conn) => {
                let values = mysql_async::Params::Positional(
                    values.iter().cloned().map(mysql_async::Value::from).collect(),
                );
                conn.exec_drop(sql, values).await.with_context(|| sql.to_owned())?;
            }
        }
        Ok(())
    }

    /// Runs a query and reads all of its rows.
    pub(crate) async fn query(&mut self, sql: &str, values: &[Value]) -> anyhow::Result<Rows> {
        Ok(self.query_named(sql, values).await?.1)
    }

    /// The same, with the names of the columns.
    pub(crate) async fn query_named(
        &mut self,
        sql: &str,
        values: &[Value],
    ) -> anyhow::Result<(Vec<String>, Rows)> {
        self.sent.statements += 1;
        match &mut self.driver {
            Driver::Sqlite(conn) => query_sqlite(conn, sql, values),
            Driver::Postgres { client, kept } => {
                let statement = prepared(client, kept, sql).await?;
                let names = statement.columns().iter().map(|c| c.name().to_owned()).collect();
                let values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
                    values.iter().map(|value| value as _).collect();
                let rows = client.query(&statement, &values).await?;
                let rows = rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect());
                Ok((names, rows.collect()))
            }
            Driver::MariaDb(conn) => {
                let values = mysql_async::Params::Positional(
                    values.iter().cloned().map(mysql_async::Value::from).collect(),
                );
                let rows: Vec<mysql_async::Row> = conn.exec(sql, values).await?;
                let names = rows.first().map_or_else(Vec::new, |row| {
                    row.columns_ref().iter().map(|c| c.name_str().into_owned()).collect()
                });
                let rows = rows.into_iter();
                let rows = rows.map(|row| row.unwrap().into_iter().map(Value::MariaDb).collect());
                Ok((names, rows.collect()))
            }
        }
    }
}

fn open_sqlite(url: &str) -> anyhow::Result<Driver> {
    let path = url.strip_prefix("sqlite://").unwrap_or(url);
    let conn = rusqlite::Connection::open(path).with_context(|| format!("cannot open {path}"))?;
    conn.execute_batch(
        "PRAGMA busy_timeout = 30000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         PRAGMA foreign_keys = ON",
    )?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(Driver::Sqlite(conn))
}

fn query_sqlite(
    conn: &rusqlite::Connection,
    sql: &str,
    values: &[Value],
) -> anyhow::Result<(Vec<String>, Rows)> {
    let mut statement = conn.prepare_cached(sql)?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let width = names.len();
    let rows = statement.query_map(params_from_iter(values), |row| {
        (0..width).map(|at| row.get(at).map(Value::Sqlite)).collect()
    })?;
    Ok((names, rows.collect::<Result<_, _>>()?))
}

async fn prepared(
    client: &tokio_postgres::Client,
    kept: &mut HashMap<String, tokio_postgres::Statement>,
    sql: &str,
) -> anyhow::Result<tokio_postgres::Statement> {
    if let Some(statement) = kept.get(sql) {
        return Ok(statement.clone());
    }
    let statement = client.prepare(sql).await.with_context(|| sql.to_owned())?;
    kept.insert(sql.to_owned(), statement.clone());
    Ok(statement)
}
