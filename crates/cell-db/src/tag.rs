//! Tags: labels of an instance. They are deleted for good, not softly, as in Nova.

use std::collections::HashMap;

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::InstanceUuid;
use diesel::prelude::*;

use crate::schema::tags;
use crate::{CellConnection, texts};

#[derive(Insertable)]
#[diesel(table_name = tags, treat_none_as_default_value = false)]
pub(crate) struct NewTag<'a> {
    pub(crate) resource_id: &'a str,
    pub(crate) tag: &'a str,
}

pub(crate) fn insert(conn: &mut CellConnection, rows: &[NewTag<'_>]) -> Result<(), DatabaseError> {
    insert_rows!(conn, tags::table, rows);
    Ok(())
}

/// The tags of these instances, sorted. One statement.
///
/// # Errors
/// The database's.
pub fn of_instances(
    conn: &mut CellConnection,
    uuids: &[InstanceUuid],
) -> Result<HashMap<String, Vec<String>>, DatabaseError> {
    let rows: Vec<(String, String)> = tags::table
        .filter(tags::resource_id.eq_any(texts(uuids)))
        .order((tags::resource_id, tags::tag))
        .select((tags::resource_id, tags::tag))
        .load(conn.sql())?;
    let mut by_instance: HashMap<String, Vec<String>> = HashMap::new();
    for (instance, tag) in rows {
        by_instance.entry(instance).or_default().push(tag);
    }
    // The database's collation may differ on a plane that Nova made.
    by_instance.values_mut().for_each(|tags| tags.sort());
    Ok(by_instance)
}

pub(crate) fn delete(conn: &mut CellConnection, uuids: &[String]) -> Result<(), DatabaseError> {
    diesel::delete(tags::table.filter(tags::resource_id.eq_any(uuids))).execute(conn.sql())?;
    Ok(())
}
