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
/// It is for what Diesel cannot do on the multi-backend connection, multi-row inserts first.
/// ```
/// use cellzero_database::{Connection, DatabaseError, each};
/// use diesel::prelude::*;
///
/// diesel::table! { tags (tag) { tag -> Text } }
///
/// fn insert_tags<K>(conn: &mut Connection<K>, tags: &[&str]) -> Result<usize, DatabaseError> {
///     let rows: Vec<_> = tags.iter().map(|tag| tags::tag.eq(*tag)).collect();
///     Ok(each!(conn.sql(), c => diesel::insert_into(tags::table).values(&rows).execute(c))?)
/// }
/// ```
#[macro_export]
macro_rules! each {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::AnyConnection::Sqlite($c) => {
                let $c = $c.inner();
                $body
            }
            $crate::AnyConnection::Postgres($c) => $body,
            $crate::AnyConnection::Mysql($c) => $body,
        }
    };
}
