//! What ran in a cell during a period, page by page: deleted instances too.

use cellzero_database::DatabaseError;
use cellzero_types::{CellUuid, Instance, InstanceUuid};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::instance::{self, WithDeleted};
use crate::schema::instances;
use crate::{CellConnection, parse_uuid};

/// Which instances ran in a period, UTC.
#[derive(Debug, Clone)]
pub struct Window {
    /// Of this project; none for all.
    pub project_id: Option<String>,
    /// They ended after it, or not at all.
    pub start: NaiveDateTime,
    /// They ran first before it.
    pub end: NaiveDateTime,
}

/// The next instances of a window behind `after`, at most `limit`, by row id. Two statements, one where
/// there is none.
///
/// # Errors
/// The database's, or a damaged row.
pub fn page(
    conn: &mut CellConnection,
    cell: CellUuid,
    window: &Window,
    (after, limit): (i32, u32),
) -> Result<Vec<Instance>, DatabaseError> {
    let ended = instances::terminated_at.is_null().or(instances::terminated_at.gt(window.start));
    let gone = instances::deleted_at.is_null().or(instances::deleted_at.gt(window.start));
    let mut select = instances::table
        .filter(instances::id.gt(after))
        .filter(instances::launched_at.lt(window.end))
        .filter(ended)
        .filter(gone)
        .order(instances::id)
        .limit(limit.into())
        .select(instances::uuid)
        .into_boxed::<crate::Dialect>();
    if let Some(project) = window.project_id.clone() {
        select = select.filter(instances::project_id.eq(project));
    }
    let uuids: Vec<String> = select.load(conn.sql())?;
    let uuids: Vec<InstanceUuid> =
        uuids.iter().map(|uuid| parse_uuid(uuid)).collect::<Result<_, _>>()?;
    if uuids.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = instance::find(conn, cell, &uuids, WithDeleted::Yes)?;
    found.sort_by_key(|instance| instance.id);
    Ok(found)
}
