//! The cell schema, shared by cell0 and every live cell.
//!
//! This crate is the only owner of the tables of a cell. Cell0 and live cells are migrated by the
//! same runner to the same version, so they cannot differ. One module a noun; a row function takes
//! a [`CellConnection`] and never opens a transaction. The units of work stand in [`whole`]: an
//! instance is written, read and deleted whole, with everything that belongs to it.
//!
//! A query on a cell's tables needs a cell's connection; one on the API database does not compile:
//!
//! ```compile_fail
//! enum Api {}
//! fn f(conn: &mut cellzero_database::Connection<Api>) {
//!     let _ = cellzero_cell_db::block_device::of_instances(conn, &[]);
//! }
//! ```

pub mod action;
pub mod adoption;
pub mod archive;
pub mod block_device;
pub mod build;
pub mod buried;
pub mod census;
pub mod change;
pub mod compute_node;
pub mod fault;
pub mod fence;
pub mod instance;
pub mod label;
pub mod listing;
pub mod metadata;
pub mod outbox;
pub mod prune;
pub mod schema;
pub mod security_group;
pub mod service;
pub mod tag;
pub mod usage;
pub mod verdict;
pub mod whole;

use cellzero_database::{Backend, Database, SchemaKind};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/cell/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/cell/postgres");
const MYSQL: EmbeddedMigrations = embed_migrations!("../../migrations/cell/mysql");

pub use cellzero_database::{IN_LIST_MAX, ROWS_MAX};

/// The kind of database that a cell is.
#[derive(Debug)]
pub enum Cell {}

impl SchemaKind for Cell {
    const NAME: &'static str = "cell";
    const SCHEMA_VERSION: i64 = 2;
    const OLDEST_VERSION: i64 = 1;

    fn migrations(backend: Backend) -> EmbeddedMigrations {
        match backend {
            Backend::Sqlite => SQLITE,
            Backend::Postgres => POSTGRES,
            Backend::Mysql => MYSQL,
        }
    }
}

/// A connection to a cell.
pub type CellConnection = cellzero_database::Connection<Cell>;
/// The database of a cell.
pub type CellDatabase = Database<Cell>;

/// The SQL dialect that all three backends share.
pub(crate) type Dialect = <cellzero_database::Session as diesel::Connection>::Backend;

/// The uuids as the database holds them.
pub(crate) fn texts<'a>(
    uuids: impl IntoIterator<Item = &'a cellzero_types::InstanceUuid>,
) -> Vec<String> {
    uuids.into_iter().map(cellzero_types::InstanceUuid::text).collect()
}

/// Text of a column that holds a uuid, read back; a damaged one is reported, never a panic.
pub(crate) fn parse_uuid(
    text: &str,
) -> Result<cellzero_types::InstanceUuid, cellzero_database::DatabaseError> {
    text.parse().map_err(|error: cellzero_types::InvalidField| {
        cellzero_database::DatabaseError::damaged(error.to_string())
    })
}
