//! Tags: labels of an instance. They are deleted for good, not softly, as in Nova.

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::InstanceUuid;
use diesel::prelude::*;

use crate::CellConnection;
use crate::schema::tags;

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

pub(crate) fn delete(conn: &mut CellConnection, uuids: &[String]) -> Result<(), DatabaseError> {
    diesel::delete(tags::table.filter(tags::resource_id.eq_any(uuids))).execute(conn.sql())?;
    Ok(())
}

/// The tags of an instance, sorted. One statement.
///
/// # Errors
/// The database's.
pub fn of_instance(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<Vec<String>, DatabaseError> {
    let mut all: Vec<String> =
        tags::table.filter(tags::resource_id.eq(uuid.text())).select(tags::tag).load(conn.sql())?;
    all.sort();
    Ok(all)
}

/// Makes `old` into `new`. One statement for each of what goes and what comes. To be called in a
/// transaction that has locked the instance.
///
/// # Errors
/// The database's.
pub fn change(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    (old, new): (&[String], &[String]),
) -> Result<(), DatabaseError> {
    let resource_id = uuid.text();
    let gone: Vec<&String> = old.iter().filter(|tag| !new.contains(tag)).collect();
    if !gone.is_empty() {
        let these = tags::table.filter(tags::resource_id.eq(&resource_id));
        diesel::delete(these.filter(tags::tag.eq_any(gone))).execute(conn.sql())?;
    }
    let coming = new.iter().filter(|tag| !old.contains(tag));
    let rows: Vec<_> = coming.map(|tag| NewTag { resource_id: &resource_id, tag }).collect();
    insert(conn, &rows)
}
