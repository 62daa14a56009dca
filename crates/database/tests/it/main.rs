//! The crate on real databases: every case on SQLite, PostgreSQL and MariaDB.
//!
//! One program, so that all of it shares one server of each kind.

mod common;
mod conflicts;
mod create;
mod disk;
mod drift;
mod hung;
mod identity;
mod late;
mod lost;
mod migrations;
mod pool;
mod tls;
mod transactions;
