//! Rows that the plane wrote, kept to be written again under other names.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use cellzero_test_support::Engine;
use uuid::Uuid;

use super::session::{Rows, Session};
use super::value::Value;

/// What differs between two boots of the same request. All new names are as long as the old ones.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// The instance.
    pub(crate) instance: String,
    /// Its multi-create.
    pub(crate) group: String,
    /// Its block device.
    pub(crate) device: String,
    /// The request.
    pub(crate) request: String,
}

impl Names {
    /// Names that nothing has yet.
    pub(crate) fn fresh() -> Names {
        let uuid = || Uuid::new_v4().to_string();
        let request = format!("req-{}", uuid());
        Names { instance: uuid(), group: uuid(), device: uuid(), request }
    }

    /// Another instance of the same request.
    pub(crate) fn sibling(&self) -> Names {
        let Names { instance, device, .. } = Names::fresh();
        Names { instance, device, ..self.clone() }
    }
}

/// The rows of one table that belong to one instance.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    table: &'static str,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Template {
    /// Reads the rows whose `column` is `key`, without their `id`, which the database counts.
    pub(crate) async fn capture(
        session: &mut Session,
        engine: Engine,
        (table, column): (&'static str, &str),
        key: &str,
    ) -> anyhow::Result<Template> {
        Ok(Template::capture_with_id(session, engine, (table, column), key).await?.without("id"))
    }

    /// The same with their `id`.
    pub(crate) async fn capture_with_id(
        session: &mut Session,
        engine: Engine,
        (table, column): (&'static str, &str),
        key: &str,
    ) -> anyhow::Result<Template> {
        let sql = format!("SELECT * FROM {table} WHERE {column} = {}", marks(engine, 1, 1));
        let (columns, rows) = session.query_named(&sql, &[Value::text(engine, key)]).await?;
        if rows.is_empty() {
            bail!("the plane wrote no row of {key} into {table}");
        }
        Ok(Template::from_rows(table, columns, rows))
    }

    /// Rows that were read. Columns that are NULL in all of them are left out.
    pub(crate) fn from_rows(table: &'static str, columns: Vec<String>, rows: Rows) -> Template {
        let kept: Vec<usize> =
            (0..columns.len()).filter(|at| rows.iter().any(|row| !row[*at].is_null())).collect();
        let pick = |row: &Vec<Value>| kept.iter().map(|at| row[*at].clone()).collect();
        Template {
            table,
            columns: kept.iter().map(|at| columns[*at].clone()).collect(),
            rows: rows.iter().map(pick).collect(),
        }
    }

    /// A row that is put together by hand.
    pub(crate) fn of(table: &'static str, values: Vec<(&str, Value)>) -> Template {
        let (columns, row) = values.into_iter().map(|(c, value)| (c.to_owned(), value)).unzip();
        Template { table, columns, rows: vec![row] }
    }

    /// The value of a column in the first row.
    pub(crate) fn value(&self, column: &str) -> anyhow::Result<&Value> {
        let at = self.columns.iter().position(|known| known == column);
        at.map(|at| &self.rows[0][at]).with_context(|| format!("{} has no {column}", self.table))
    }

    /// Whether these are rows of `table`.
    pub(crate) fn is(&self, table: &str) -> bool {
        self.table == table
    }

    /// The same with another value in a column of every row.
    pub(crate) fn with(mut self, column: &str, value: Value) -> Template {
        if let Some(at) = self.columns.iter().position(|known| known == column) {
            self.rows.iter_mut().for_each(|row| row[at] = value.clone());
        }
        self
    }

    /// The same without a column.
    pub(crate) fn without(mut self, column: &str) -> Template {
        if let Some(at) = self.columns.iter().position(|known| known == column) {
            self.columns.remove(at);
            self.rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
        self
    }

    /// One statement that writes the rows of all of these instances.
    pub(crate) fn insert(&self, engine: Engine, old: &Names, new: &[Names]) -> Statement {
        let mut sql = format!("INSERT INTO {} ({}) VALUES ", self.table, self.quoted(engine));
        let mut values = Vec::with_capacity(new.len() * self.rows.len() * self.columns.len());
        let rows = new.iter().flat_map(|names| self.rows.iter().map(move |row| (names, row)));
        for (at, (names, row)) in rows.enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            let marks = marks(engine, values.len() + 1, row.len());
            // Writing to a string cannot fail.
            let _ = write!(sql, "{separator}({marks})");
            let swaps = swaps(old, names);
            values.extend(row.iter().map(|value| value.swapped(&swaps)));
        }
        Statement { sql, values }
    }

    /// One statement that writes a row for each action of the request, which it names by its id.
    pub(crate) fn insert_for_actions(&self, engine: Engine, new: &Names) -> Statement {
        let width = self.columns.len();
        let sql = format!(
            "INSERT INTO {} ({}, action_id) SELECT {}, id FROM instance_actions WHERE request_id = {}",
            self.table,
            self.quoted(engine),
            marks(engine, 1, width),
            marks(engine, width + 1, 1),
        );
        let mut values = self.rows[0].clone();
        values.push(Value::text(engine, &new.request));
        Statement { sql, values }
    }

    fn quoted(&self, engine: Engine) -> String {
        // One of the columns is called `key`.
        let mark = if engine == Engine::MariaDb { '`' } else { '"' };
        let quoted = self.columns.iter().map(|column| format!("{mark}{column}{mark}"));
        quoted.collect::<Vec<_>>().join(", ")
    }
}

/// A statement with what is bound to it.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

/// Placeholders, separated by commas; PostgreSQL counts them from `first`.
pub(crate) fn marks(engine: Engine, first: usize, count: usize) -> String {
    let mark = |at| match engine {
        Engine::Postgres => format!("${at}"),
        Engine::Sqlite | Engine::MariaDb => "?".to_owned(),
    };
    (first..first + count).map(mark).collect::<Vec<_>>().join(", ")
}

fn swaps<'a>(old: &'a Names, new: &'a Names) -> [(&'a str, &'a str); 4] {
    [
        (&old.instance, &new.instance),
        (&old.group, &new.group),
        (&old.device, &new.device),
        (&old.request, &new.request),
    ]
}
