//! The API database: the mapping model, and what is accepted but has no home yet.
//!
//! It alone decides where an instance lives. One module a noun; a row function takes an
//! [`ApiConnection`] and never opens a transaction: the operations of the orchestrator do.
//! Tables that Nova has too keep its layout; what is ours alone (`boot_states`, `boot_intents`,
//! `boot_groups`, `boot_histories`, `client_tokens`, `claims`, `counters`, `host_capacity`,
//! `outbox`, `quota_locks`, `retries`) stands beside them.

pub mod aggregate;
pub mod archive;
pub mod boot_group;
pub mod boot_history;
pub mod boot_intent;
pub mod boot_state;
pub mod build_request;
pub mod cell_mapping;
pub mod cell_use;
pub mod census;
pub mod claim;
pub mod client_token;
pub mod flavor;
pub mod host_capacity;
pub mod host_mapping;
pub mod instance_group;
pub mod instance_mapping;
pub mod key_pair;
pub mod outbox;
pub mod outline;
pub mod prune;
pub mod quota;
pub mod request_spec;
pub mod retry;
pub mod schema;
pub mod waiting;

pub use cell_mapping::CellMapping;

use cellzero_database::{Backend, Database, DatabaseError, SchemaKind};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

const SQLITE: EmbeddedMigrations = embed_migrations!("../../migrations/api/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("../../migrations/api/postgres");
const MYSQL: EmbeddedMigrations = embed_migrations!("../../migrations/api/mysql");

pub use cellzero_database::IN_LIST_MAX;

/// The kind of database that the API database is.
#[derive(Debug)]
pub enum Api {}

impl SchemaKind for Api {
    const NAME: &'static str = "api";
    const SCHEMA_VERSION: i64 = 3;
    const OLDEST_VERSION: i64 = 1;

    fn migrations(backend: Backend) -> EmbeddedMigrations {
        match backend {
            Backend::Sqlite => SQLITE,
            Backend::Postgres => POSTGRES,
            Backend::Mysql => MYSQL,
        }
    }
}

/// The SQL dialect that all three backends share.
pub(crate) type Dialect = <cellzero_database::Session as diesel::Connection>::Backend;

/// A connection to the API database.
pub type ApiConnection = cellzero_database::Connection<Api>;
/// The API database.
pub type ApiDatabase = Database<Api>;

/// The uuids as the database holds them.
pub(crate) fn texts<'a>(
    uuids: impl IntoIterator<Item = &'a cellzero_types::InstanceUuid>,
) -> Vec<String> {
    uuids.into_iter().map(cellzero_types::InstanceUuid::text).collect()
}

/// Text of a column that holds a uuid, read back; a damaged one is reported, never a panic.
pub(crate) fn parse<T: std::str::FromStr<Err = cellzero_types::InvalidField>>(
    text: &str,
) -> Result<T, DatabaseError> {
    text.parse().map_err(|error: T::Err| DatabaseError::damaged(error.to_string()))
}

/// A number that a column of 32 bits holds, from one that counts; too large a one is kept at the
/// largest, which no limit allows.
pub(crate) fn column_number(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
