//! Reads a schema out of each backend's catalogue, in two statements each.

use super::{Column, ColumnKind, Schema, Table};
use crate::any::AnyConnection;
use crate::connection::Connection;
use crate::error::DatabaseError;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel::{QueryResult, SqliteConnection};
use std::collections::BTreeMap;

/// The table in which the migration runner keeps what it has run.
pub(crate) const MIGRATIONS_TABLE: &str = "__diesel_schema_migrations";

/// What stands in place of a column when an index is on an expression.
const EXPRESSION: &str = "(expression)";

/// What stands behind the columns of an index that covers some rows only.
const PARTIAL: &str = "(partial)";

/// One column of a table. Yes and no come as numbers, which all backends can answer.
#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    column_type: String,
    #[diesel(sql_type = BigInt)]
    is_nullable: i64,
}

/// One column of an index; the columns of one index come together and in their order.
#[derive(QueryableByName)]
struct IndexRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    index_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    column_name: Option<String>,
    #[diesel(sql_type = BigInt)]
    is_unique: i64,
    #[diesel(sql_type = BigInt)]
    is_partial: i64,
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    there: bool,
}

const SQLITE_COLUMNS: &str = "\
    SELECT m.name AS table_name, p.name AS column_name, p.type AS column_type, \
      CAST(p.\"notnull\" = 0 AND p.pk = 0 AS BIGINT) AS is_nullable \
    FROM sqlite_master m JOIN pragma_table_info(m.name) p \
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
    ORDER BY m.name, p.cid";

/// The first half is the indexes, the second the primary keys that have none of their own.
const SQLITE_INDEXES: &str = "\
    SELECT table_name, index_name, column_name, is_unique, is_partial FROM ( \
      SELECT m.name AS table_name, l.name AS index_name, i.name AS column_name, \
        CAST(l.\"unique\" AS BIGINT) AS is_unique, CAST(l.partial AS BIGINT) AS is_partial, \
        i.seqno AS place \
      FROM sqlite_master m JOIN pragma_index_list(m.name) l JOIN pragma_index_info(l.name) i \
      WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
      UNION ALL \
      SELECT m.name, '(primary key)', p.name, 1, 0, p.pk \
      FROM sqlite_master m JOIN pragma_table_info(m.name) p \
      WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND p.pk > 0 \
    ) ORDER BY table_name, index_name, place";

const POSTGRES_COLUMNS: &str = "\
    SELECT c.relname::text AS table_name, a.attname::text AS column_name, \
      format_type(a.atttypid, a.atttypmod) AS column_type, \
      CASE WHEN a.attnotnull THEN 0 ELSE 1 END::bigint AS is_nullable \
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') \
      AND a.attnum > 0 AND NOT a.attisdropped \
    ORDER BY c.relname, a.attnum";

const POSTGRES_INDEXES: &str = "\
    SELECT c.relname::text AS table_name, i.relname::text AS index_name, \
      a.attname::text AS column_name, \
      CASE WHEN x.indisunique THEN 1 ELSE 0 END::bigint AS is_unique, \
      CASE WHEN x.indpred IS NOT NULL OR NOT x.indisvalid THEN 1 ELSE 0 END::bigint AS is_partial \
    FROM pg_index x \
      JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid \
      CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY AS k(number, place) \
      LEFT JOIN pg_attribute a \
        ON a.attrelid = x.indrelid AND a.attnum = k.number AND k.number > 0 \
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') \
    ORDER BY c.relname, i.relname, k.place";

/// Not joined with the tables: MariaDB compares each with each, which takes twenty times as long.
const MYSQL_COLUMNS: &str = "\
    SELECT c.table_name AS table_name, c.column_name AS column_name, \
      c.column_type AS column_type, \
      CAST(CASE c.is_nullable WHEN 'YES' THEN 1 ELSE 0 END AS SIGNED) AS is_nullable \
    FROM information_schema.columns c \
    WHERE c.table_schema = DATABASE() AND c.table_name IN ( \
      SELECT t.table_name FROM information_schema.tables t \
      WHERE t.table_schema = DATABASE() AND t.table_type = 'BASE TABLE') \
    ORDER BY c.table_name, c.ordinal_position";

/// A key on the first characters of a column is another key than one on the whole of it.
const MYSQL_INDEXES: &str = "\
    SELECT s.table_name AS table_name, s.index_name AS index_name, \
      CASE WHEN s.sub_part IS NULL THEN s.column_name \
        ELSE CONCAT(s.column_name, '(', s.sub_part, ')') END AS column_name, \
      CAST(1 - s.non_unique AS SIGNED) AS is_unique, CAST(0 AS SIGNED) AS is_partial \
    FROM information_schema.statistics s WHERE s.table_schema = DATABASE() \
    ORDER BY s.table_name, s.index_name, s.seq_in_index";

/// Reads the schema of the database behind a connection.
pub(crate) fn read<K>(conn: &mut Connection<K>) -> Result<Schema, DatabaseError> {
    let (columns, indexes): (Vec<ColumnRow>, Vec<IndexRow>) = match conn.sql().any() {
        AnyConnection::Sqlite(sqlite) => return read_sqlite(sqlite.inner()?),
        AnyConnection::Postgres(net) => (
            diesel::sql_query(POSTGRES_COLUMNS).load(net)?,
            diesel::sql_query(POSTGRES_INDEXES).load(net)?,
        ),
        AnyConnection::Mysql(net) => (
            diesel::sql_query(MYSQL_COLUMNS).load(net)?,
            diesel::sql_query(MYSQL_INDEXES).load(net)?,
        ),
    };
    Ok(assemble(columns, indexes))
}

/// Reads the schema of a SQLite database.
pub(crate) fn read_sqlite(sqlite: &mut SqliteConnection) -> Result<Schema, DatabaseError> {
    let columns = diesel::sql_query(SQLITE_COLUMNS).load(sqlite)?;
    let indexes = diesel::sql_query(SQLITE_INDEXES).load(sqlite)?;
    Ok(assemble(columns, indexes))
}

fn assemble(columns: Vec<ColumnRow>, indexes: Vec<IndexRow>) -> Schema {
    let mut schema = Schema::default();
    for row in columns {
        let column =
            Column { kind: ColumnKind::parse(&row.column_type), nullable: row.is_nullable != 0 };
        let table = schema.tables.entry(row.table_name).or_default();
        table.columns.insert(row.column_name, column);
    }
    let mut keys: BTreeMap<(String, String), (bool, Vec<String>, bool)> = BTreeMap::new();
    for row in indexes {
        let key = (row.table_name, row.index_name);
        let (_, columns, _) = keys
            .entry(key)
            .or_insert_with(|| (row.is_unique != 0, Vec::new(), row.is_partial != 0));
        columns.push(row.column_name.unwrap_or_else(|| EXPRESSION.to_owned()));
    }
    for ((table, _index), (unique, mut columns, partial)) in keys {
        if partial {
            columns.push(PARTIAL.to_owned());
        }
        let table: &mut Table = schema.tables.entry(table).or_default();
        let set = if unique { &mut table.unique } else { &mut table.indexes };
        set.insert(columns);
    }
    schema.tables.remove(MIGRATIONS_TABLE);
    schema.without_redundant_indexes()
}

/// Whether the database has this table.
pub(crate) fn has_table<K>(conn: &mut Connection<K>, table: &str) -> QueryResult<bool> {
    let exists: Exists = match conn.sql().any() {
        AnyConnection::Sqlite(sqlite) => diesel::sql_query(
            "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?) AS there",
        )
        .bind::<Text, _>(table)
        .get_result(sqlite)?,
        AnyConnection::Postgres(net) => diesel::sql_query(
            "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = $1 AND relkind IN ('r', 'p') \
             AND relnamespace = current_schema()::regnamespace) AS there",
        )
        .bind::<Text, _>(table)
        .get_result(net)?,
        AnyConnection::Mysql(net) => diesel::sql_query(
            "SELECT EXISTS (SELECT 1 FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = ?) AS there",
        )
        .bind::<Text, _>(table)
        .get_result(net)?,
    };
    Ok(exists.there)
}
