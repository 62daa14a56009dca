//! Reach one database by URL: connection, pool, deadline, transaction and retry, migrations,
//! fingerprint, identity.
//!
//! A [`DatabaseUrl`] says where a database is and [`Database`] is the door to it: every use is
//! one closure in [`Database::run`], which ends by a [`Deadline`]. Inside it, queries are ordinary
//! synchronous Diesel on [`Connection::sql`], written once for SQLite, PostgreSQL and MariaDB,
//! and writes stand in a [`transaction`]. What goes wrong is a [`DatabaseError`] with an
//! [`ErrorKind`].
//!
//! This crate knows no table but `database_identity`.
//!
//! Features: `postgres` and `mysql`, both on by default, bring the drivers of the two servers.
//! Without one, everything compiles the same and a URL of that server is an error when it is
//! opened. SQLite is always there: the expected schema is made with it.

// What the two servers share has no user in a build without either.
#![cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code, unused_imports))]

#[cfg(not(all(feature = "postgres", feature = "mysql")))]
mod absent;
mod any;
mod backend;
mod budget;
mod connect;
mod connection;
mod create;
mod database;
mod database_url;
mod deadline;
mod dump;
mod error;
mod fault;
mod fibers;
mod gate;
mod identity;
mod kept;
mod migrate;
mod net;
mod observed;
mod progress;
mod runners;
mod schema;
mod scope;
mod script;
mod server;
mod session;
mod shadow;
mod sqlite;
mod state;
mod tally;
mod transaction;

pub use any::*;
pub use backend::Backend;
pub use budget::ConnectionBudget;
pub use connection::Connection;
pub use create::{create_database, drop_database};
pub use database::{Database, Durability, Options, SchemaKind};
pub use database_url::{DatabaseUrl, UrlError};
pub use deadline::{DEADLINE_AHEAD_MAX, Deadline};
pub use diesel_migrations::EmbeddedMigrations;
pub use dump::dump_rows;
pub use error::{DatabaseError, DatabaseErrorSource, ErrorKind};
#[cfg(feature = "failpoints")]
pub use fault::{FaultPlace, Faults};
pub use fibers::wait;
#[cfg(feature = "failpoints")]
pub use gate::{CommitFate, Gate, Passed, Stop, with_gate};
pub use identity::{Expected, Identity, Recorded};
pub use migrate::Migrated;
pub use net::{MysqlNet, Net, PgNet};
pub use schema::{Column, ColumnKind, Difference, Schema, Table};
pub use scope::{Scope, Whose};
pub use server::{LossySetting, ServerFacts};
pub use session::Session;
pub use shadow::{
    Aged, IdShift, RowsBy, Values, copy_to_shadow, count_old, delete_rows, id_shift, ids_of,
    old_keys, shadow_of, standing,
};
pub use sqlite::KeptSqlite;
pub use state::{DatabaseState, Fit};
pub use tally::Counters;
pub use transaction::{TRANSACTION_ATTEMPTS_MAX, savepoint, transaction};
