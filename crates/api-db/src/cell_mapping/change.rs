//! Changes of a cell mapping: only what is given is written.

use std::fmt;

use cellzero_database::DatabaseError;
use cellzero_types::CellUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::mask_passwords;
use crate::ApiConnection;
use crate::schema::cell_mappings;

/// A change of a cell mapping: what is `None` stays as it is. Its `Debug` shows no password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MappingChange {
    /// Another name.
    pub name: Option<String>,
    /// Another message queue.
    pub transport_url: Option<String>,
    /// Another way to its database.
    pub database_connection: Option<String>,
    /// Closed for scheduling, or open again.
    pub disabled: Option<bool>,
}

impl fmt::Debug for MappingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = |url: &Option<String>| url.as_deref().map(mask_passwords);
        f.debug_struct("MappingChange")
            .field("name", &self.name)
            .field("transport_url", &masked(&self.transport_url))
            .field("database_connection", &masked(&self.database_connection))
            .field("disabled", &self.disabled)
            .finish()
    }
}

/// What is to be changed of a cell mapping; what is `None` stays.
#[derive(Default, AsChangeset)]
#[diesel(table_name = cell_mappings)]
struct Changes<'a> {
    name: Option<&'a str>,
    transport_url: Option<&'a str>,
    database_connection: Option<&'a str>,
    disabled: Option<bool>,
    updated_at: Option<NaiveDateTime>,
}

/// Changes those columns of a cell mapping that are given, and no others. One statement.
///
/// # Errors
/// The database's.
pub fn update(
    conn: &mut ApiConnection,
    cell: CellUuid,
    change: &MappingChange,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let changes = Changes {
        name: change.name.as_deref(),
        transport_url: change.transport_url.as_deref(),
        database_connection: change.database_connection.as_deref(),
        disabled: change.disabled,
        updated_at: Some(now),
    };
    diesel::update(cell_mappings::table.filter(cell_mappings::uuid.eq(cell.text())))
        .set(changes)
        .execute(conn.sql())?;
    Ok(())
}
