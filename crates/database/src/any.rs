//! One connection type over the three backends, so that a query is written once.
//!
//! The derive makes a backend of its own (`MultiBackend`) on which ordinary Diesel queries
//! compile. It knows neither `RETURNING`, `ON CONFLICT` nor multi-row inserts; for the last there
//! is [`each!`](crate::each). Never call the derived `establish`: it tries every variant in turn.
//! A connection comes only out of [`Database::run`](crate::Database::run).

// The derive writes public items without docs beside the enum, so the lint is off here alone.
#![allow(missing_docs)]

use crate::net::{MysqlNet, PgNet};
use crate::sqlite::KeptSqlite;

/// A connection to any of the backends. The variants are public for [`each!`](crate::each).
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
    /// SQLite by the bundled C library.
    Sqlite(KeptSqlite),
    /// PostgreSQL by a pure-Rust driver.
    Postgres(PgNet),
    /// MariaDB or MySQL by a pure-Rust driver.
    Mysql(MysqlNet),
}

/// Writes the same expression once for each backend, with `$c` bound to the concrete connection.
///
/// It is for what Diesel cannot do on the multi-backend connection, multi-row inserts first. Those
/// need `ExecuteDsl`, since for SQLite Diesel has `RunQueryDsl` for its own connection alone.
/// ```
/// use cellzero_database::{Connection, DatabaseError, each};
/// use diesel::prelude::*;
/// use diesel::query_dsl::methods::ExecuteDsl;
///
/// diesel::table! { tags (tag) { tag -> Text } }
///
/// fn insert_tags<K>(conn: &mut Connection<K>, tags: &[&str]) -> Result<usize, DatabaseError> {
///     let rows: Vec<_> = tags.iter().map(|tag| tags::tag.eq(*tag)).collect();
///     Ok(each!(conn.sql(), c => ExecuteDsl::execute(diesel::insert_into(tags::table).values(&rows), c))?)
/// }
/// ```
#[macro_export]
macro_rules! each {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn.any() {
            $crate::AnyConnection::Sqlite($c) => $body,
            $crate::AnyConnection::Postgres($c) => $body,
            $crate::AnyConnection::Mysql($c) => $body,
        }
    };
}

/// The most rows of one `INSERT`: well under the bind limit of each backend for the widest table.
pub const ROWS_MAX: usize = 100;

/// The most values of one `IN` list: under the thousand from which on MariaDB makes a join of it.
pub const IN_LIST_MAX: usize = 500;

/// Inserts rows into a table in as few statements as [`ROWS_MAX`] allows; none for no rows. It
/// stands in a function whose error Diesel's own converts into.
#[macro_export]
macro_rules! insert_rows {
    ($conn:expr, $table:path, $rows:expr) => {{
        for chunk in $rows.chunks($crate::ROWS_MAX) {
            match chunk {
                // The text for one row is always the same, so that SQLite keeps it prepared too.
                [one] => diesel::RunQueryDsl::execute(
                    diesel::insert_into($table).values(one),
                    $conn.sql(),
                ),
                many => $crate::each!($conn.sql(), c => {
                    let insert = diesel::insert_into($table).values(many);
                    diesel::query_dsl::methods::ExecuteDsl::execute(insert, c)
                }),
            }?;
        }
    }};
}

/// Reads rows under a lock that lasts to the end of the transaction. A SQLite transaction is a
/// writer from its start, so there nothing is left to lock.
#[macro_export]
macro_rules! load_locked {
    ($conn:expr, $query:expr) => {{
        use diesel::RunQueryDsl;
        match $conn.sql().any() {
            $crate::AnyConnection::Sqlite(c) => $query.load(c),
            $crate::AnyConnection::Postgres(c) => $query.for_update().load(c),
            $crate::AnyConnection::Mysql(c) => $query.for_update().load(c),
        }
    }};
}
