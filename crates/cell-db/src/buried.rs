//! What stands in cell0, in few columns, page by page: for a report over all of it.

use std::collections::HashMap;

use cellzero_database::DatabaseError;
use cellzero_types::{InstanceUuid, Verdict};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{instance_fences, instances, verdicts};
use crate::{CellConnection, parse_uuid};

/// An instance that stands in cell0.
#[derive(Debug, Clone)]
pub struct BuriedRow {
    /// The id of its row: a page begins behind the last one of the page before.
    pub id: i32,
    /// The instance.
    pub uuid: InstanceUuid,
    /// Its project.
    pub project_id: String,
    /// Its verdict, where it has one.
    pub verdict_uuid: Option<String>,
    /// When it was written here.
    pub buried_at: Option<NaiveDateTime>,
}

/// The next rows behind `after`, at most `limit`, in the order of their ids. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn page(
    conn: &mut CellConnection,
    after: i32,
    limit: u32,
) -> Result<Vec<BuriedRow>, DatabaseError> {
    type Time = Option<NaiveDateTime>;
    type Row = (i32, String, Option<String>, Option<String>, Time, Time);
    let rows: Vec<Row> = instances::table
        .left_join(instance_fences::table.on(instance_fences::instance_uuid.eq(instances::uuid)))
        .filter(instances::id.gt(after))
        .filter(instances::deleted.eq(0))
        .order(instances::id)
        .limit(limit.into())
        .select((
            instances::id,
            instances::uuid,
            instances::project_id,
            instance_fences::verdict_uuid.nullable(),
            instance_fences::updated_at.nullable(),
            instance_fences::created_at.nullable(),
        ))
        .load(conn.sql())?;
    let read = |(id, uuid, project_id, verdict_uuid, updated_at, created_at): Row| {
        Ok(BuriedRow {
            id,
            uuid: parse_uuid(&uuid)?,
            project_id: project_id.unwrap_or_default(),
            verdict_uuid,
            buried_at: updated_at.or(created_at),
        })
    };
    rows.into_iter().map(read).collect()
}

/// The verdicts with these uuids. One statement (up to [`crate::IN_LIST_MAX`]), none for none.
///
/// # Errors
/// The database's, or damaged JSON.
pub fn verdicts(
    conn: &mut CellConnection,
    uuids: &[String],
) -> Result<HashMap<String, Verdict>, DatabaseError> {
    if uuids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, String)> = verdicts::table
        .filter(verdicts::uuid.eq_any(uuids))
        .select((verdicts::uuid, verdicts::body))
        .load(conn.sql())?;
    let read = |(uuid, body): (String, String)| match serde_json::from_str(&body) {
        Ok(verdict) => Ok((uuid, verdict)),
        Err(error) => Err(DatabaseError::damaged(format!("verdict {uuid}: {error}"))),
    };
    rows.into_iter().map(read).collect()
}
