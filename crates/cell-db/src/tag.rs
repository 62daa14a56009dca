//! Tags: labels of an instance. They are deleted for good, not softly, as in Nova.

use cellzero_database::{DatabaseError, insert_rows};
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
