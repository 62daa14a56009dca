//! Rows moved to the shadow table of their table, and deleted there: by column names that come from
//! the schema, so that a new column is never left behind.
//!
//! A shadow table has Nova's name, `shadow_` before the table's own, and the same columns.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Integer, Text, Timestamp};

use crate::any::MultiBackend;
use crate::backend::Backend;
use crate::connection::Connection;
use crate::database::{Database, SchemaKind};
use crate::error::{DatabaseError, ErrorKind};
use crate::session::Session;
use chrono::NaiveDateTime;

type Pass<'a, 'b> = AstPass<'a, 'b, MultiBackend>;

/// The table that deleted rows of a table are moved to.
pub fn shadow_of(table: &str) -> String {
    format!("shadow_{table}")
}

/// Rows of a table, by the values of one column.
#[derive(Debug, Clone, Copy)]
pub struct RowsBy<'a> {
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// Its values.
    pub values: Values<'a>,
}

/// Values of a column; no more than [`IN_LIST_MAX`](crate::IN_LIST_MAX) of them at once.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// Text, such as uuids.
    Texts(&'a [String]),
    /// Row ids.
    Numbers(&'a [i32]),
}

impl Values<'_> {
    fn is_empty(self) -> bool {
        match self {
            Values::Texts(values) => values.is_empty(),
            Values::Numbers(values) => values.is_empty(),
        }
    }
}

/// By how much ids are raised in the shadow tables, so that none comes twice there.
///
/// SQLite gives the highest id again once its row has gone. The servers never do, so there it is
/// always nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdShift(i64);

/// By how much the ids of these rows must be raised: nothing, unless one of them stands in the
/// shadow table already. No statement on the servers, one on SQLite.
///
/// # Errors
/// The database's.
pub fn id_shift<K>(conn: &mut Connection<K>, rows: RowsBy<'_>) -> Result<IdShift, DatabaseError> {
    if conn.backend() != Backend::Sqlite || rows.values.is_empty() {
        return Ok(IdShift::default());
    }
    let query = Shift { rows, shadow: shadow_of(rows.table) };
    Ok(IdShift(query.get_result::<i64>(conn.sql())?))
}

/// Copies rows to their shadow table; says how many. `shifts` names the columns that hold row ids,
/// each with its shift. One statement, none for no values.
///
/// # Errors
/// The database's; [`ErrorKind::Rejected`] for a table without a shadow table.
pub fn copy_to_shadow<K: SchemaKind>(
    conn: &mut Connection<K>,
    rows: RowsBy<'_>,
    shifts: &[(&str, IdShift)],
) -> Result<u64, DatabaseError> {
    if rows.values.is_empty() {
        return Ok(0);
    }
    let shadow = shadow_of(rows.table);
    let schema = Database::<K>::expected_schema()?;
    let columns = schema.tables.get(&shadow).map(|table| &table.columns).ok_or_else(|| {
        DatabaseError::new(ErrorKind::Rejected, format!("there is no table {shadow}"))
    })?;
    let columns = columns.keys().map(|name| {
        let shift = shifts.iter().find(|(shifted, _)| shifted == name);
        (name.as_str(), shift.map_or(0, |(_, IdShift(shift))| *shift))
    });
    let copy = CopyRows { rows, shadow: &shadow, columns: columns.collect() };
    Ok(copy.execute(conn.sql())? as u64)
}

/// The values of the column that stand in these rows. One statement, none for no values.
///
/// # Errors
/// The database's.
pub fn standing<K>(
    conn: &mut Connection<K>,
    rows: RowsBy<'_>,
) -> Result<Vec<String>, DatabaseError> {
    if rows.values.is_empty() {
        return Ok(Vec::new());
    }
    Ok(Standing(rows).load(conn.sql())?)
}

/// Deletes rows; says how many. One statement, none for no values.
///
/// # Errors
/// The database's.
pub fn delete_rows<K>(conn: &mut Connection<K>, rows: RowsBy<'_>) -> Result<u64, DatabaseError> {
    if rows.values.is_empty() {
        return Ok(0);
    }
    Ok(DeleteRows(rows).execute(conn.sql())? as u64)
}

/// Which rows of a shadow table are old enough to be deleted for good.
#[derive(Debug, Clone, Copy)]
pub struct Aged<'a> {
    /// The shadow table.
    pub table: &'a str,
    /// The column whose values are wanted.
    pub key: &'a str,
    /// The column with the time.
    pub time: &'a str,
    /// Older than this; none for all rows, those without a time too.
    pub before: Option<NaiveDateTime>,
}

/// The keys of at most `limit` such rows, the oldest first. One statement.
///
/// # Errors
/// The database's.
pub fn old_keys<K>(
    conn: &mut Connection<K>,
    aged: Aged<'_>,
    limit: u32,
) -> Result<Vec<String>, DatabaseError> {
    Ok(OldKeys { aged, limit: limit.into() }.load(conn.sql())?)
}

/// How many such rows there are. One statement.
///
/// # Errors
/// The database's.
pub fn count_old<K>(conn: &mut Connection<K>, aged: Aged<'_>) -> Result<u64, DatabaseError> {
    let count: i64 = CountOld(aged).get_result(conn.sql())?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The row ids of rows. One statement, none for no values.
///
/// # Errors
/// The database's.
pub fn ids_of<K>(conn: &mut Connection<K>, rows: RowsBy<'_>) -> Result<Vec<i32>, DatabaseError> {
    if rows.values.is_empty() {
        return Ok(Vec::new());
    }
    Ok(Ids(rows).load(conn.sql())?)
}

impl RowsBy<'_> {
    /// ` FROM t WHERE column IN (…)`.
    fn push_from<'b>(&'b self, pass: &mut Pass<'_, 'b>) -> QueryResult<()> {
        pass.push_sql(" FROM ");
        pass.push_identifier(self.table)?;
        self.push_where(pass)
    }

    fn push_where<'b>(&'b self, pass: &mut Pass<'_, 'b>) -> QueryResult<()> {
        pass.push_sql(" WHERE ");
        pass.push_identifier(self.column)?;
        pass.push_sql(" IN (");
        match self.values {
            Values::Texts(values) => {
                for (index, value) in values.iter().enumerate() {
                    pass.push_sql(if index == 0 { "" } else { ", " });
                    pass.push_bind_param::<Text, String>(value)?;
                }
            }
            Values::Numbers(values) => {
                for (index, value) in values.iter().enumerate() {
                    pass.push_sql(if index == 0 { "" } else { ", " });
                    pass.push_bind_param::<Integer, i32>(value)?;
                }
            }
        }
        pass.push_sql(")");
        Ok(())
    }
}

struct CopyRows<'a> {
    rows: RowsBy<'a>,
    shadow: &'a str,
    columns: Vec<(&'a str, i64)>,
}

impl QueryFragment<MultiBackend> for CopyRows<'_> {
    fn walk_ast<'b>(&'b self, mut pass: Pass<'_, 'b>) -> QueryResult<()> {
        pass.push_sql("INSERT INTO ");
        pass.push_identifier(self.shadow)?;
        pass.push_sql(" (");
        for (index, (name, _)) in self.columns.iter().enumerate() {
            pass.push_sql(if index == 0 { "" } else { ", " });
            pass.push_identifier(name)?;
        }
        pass.push_sql(") SELECT ");
        for (index, (name, shift)) in self.columns.iter().enumerate() {
            pass.push_sql(if index == 0 { "" } else { ", " });
            pass.push_identifier(name)?;
            if *shift != 0 {
                pass.push_sql(&format!(" + {shift}"));
            }
        }
        self.rows.push_from(&mut pass)
    }
}

struct DeleteRows<'a>(RowsBy<'a>);

impl QueryFragment<MultiBackend> for DeleteRows<'_> {
    fn walk_ast<'b>(&'b self, mut pass: Pass<'_, 'b>) -> QueryResult<()> {
        pass.push_sql("DELETE");
        self.0.push_from(&mut pass)
    }
}

struct Ids<'a>(RowsBy<'a>);

impl QueryFragment<MultiBackend> for Ids<'_> {
    fn walk_ast<'b>(&'b self, mut pass: Pass<'_, 'b>) -> QueryResult<()> {
        pass.push_sql("SELECT ");
        pass.push_identifier("id")?;
        self.0.push_from(&mut pass)
    }
}

struct Standing<'a>(RowsBy<'a>);

impl QueryFragment<MultiBackend> for Standing<'_> {
    fn walk_ast<'b>(&'b self, mut pass: Pass<'_, 'b>) -> QueryResult<()> {
        pass.push_sql("SELECT ");
        pass.push_identifier(self.0.column)?;
        self.0.push_from(&mut pass)
    }
}

/// The highest id of the shadow table where one of the rows' stands there, else 0.
struct Shift<'a> {
    rows: RowsBy<'a>,
    shadow: String,
}

impl QueryFragment<MultiBackend> for Shift<'_> {
    fn walk_ast<'b>(&'b self, mut pass: Pass<'_, 'b>) -> QueryResult<()> {
        pass.push_sql("SELECT COALESCE(MAX(id), 0) FROM ");
        pass.push_identifier(&self.shadow)?;
        pass.push_sql(" WHERE EXISTS (SELECT 1 FROM ");
        pass.push_identifier(&self.shadow)?;
        pass.push_sql(" s WHERE s.id IN (SELECT id");
        self.rows.push_from(&mut pass)?;
        pass.push_sql("))");
        Ok(())
    }
}

impl Aged<'_> {
    /// ` FROM t WHERE time < …`.
    fn push_from<'b>(&'b self, pass: &mut Pass<'_, 'b>) -> QueryResult<()> {
        pass.push_sql(" FROM ");
        pass.push_identifier(self.table)?;
        if let Some(before) = &self.before {
            pass.push_sql(" WHERE ");
            pass.push_identifier(self.time)?;
            pass.push_sql(" < ");
            pass.push_bind_param::<Timestamp, NaiveDateTime>(before)?;
        }
        Ok(())
    }
}

struct OldKeys<'a> {
    aged: Aged<'a>,
    limit: i64,
}

impl QueryFragment<MultiBackend> for OldKeys<'_> {
    fn walk_ast<'b>(&'b self, mut pass: Pass<'_, 'b>) -> QueryResult<()> {
        pass.push_sql("SELECT ");
        pass.push_identifier(self.aged.key)?;
        self.aged.push_from(&mut pass)?;
        pass.push_sql(" ORDER BY ");
        pass.push_identifier(self.aged.time)?;
        pass.push_sql(" LIMIT ");
        pass.push_bind_param::<BigInt, i64>(&self.limit)
    }
}

struct CountOld<'a>(Aged<'a>);

impl QueryFragment<MultiBackend> for CountOld<'_> {
    fn walk_ast<'b>(&'b self, mut pass: Pass<'_, 'b>) -> QueryResult<()> {
        pass.push_sql("SELECT COUNT(*)");
        self.0.push_from(&mut pass)
    }
}

/// Each of them is a statement by itself, found by its text alone.
macro_rules! statements {
    ($($name:ident => $sql_type:ty),*) => {$(
        impl QueryId for $name<'_> {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }

        impl Query for $name<'_> {
            type SqlType = $sql_type;
        }

        impl RunQueryDsl<Session> for $name<'_> {}
    )*};
}

statements!(
    CopyRows => Integer, DeleteRows => Integer, Ids => Integer, Shift => BigInt, OldKeys => Text,
    CountOld => BigInt, Standing => Text
);
