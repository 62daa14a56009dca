//! Metadata of the user and of the system: two tables of the same shape.

use std::collections::{BTreeMap, HashMap};

use cellzero_database::DatabaseError;
use cellzero_types::InstanceUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{instance_metadata, instance_system_metadata};
use crate::{CellConnection, insert_rows, texts};

/// Key and value by instance uuid.
pub type ByInstance = HashMap<String, BTreeMap<String, String>>;

#[derive(Insertable)]
#[diesel(table_name = instance_metadata, treat_none_as_default_value = false)]
pub(crate) struct NewItem<'a> {
    pub(crate) created_at: NaiveDateTime,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
    pub(crate) instance_uuid: &'a str,
    pub(crate) deleted: i32,
}

#[derive(Insertable)]
#[diesel(table_name = instance_system_metadata, treat_none_as_default_value = false)]
pub(crate) struct NewSystemItem<'a> {
    pub(crate) created_at: NaiveDateTime,
    pub(crate) key: &'a str,
    pub(crate) value: &'a str,
    pub(crate) instance_uuid: &'a str,
    pub(crate) deleted: i32,
}

pub(crate) fn insert(conn: &mut CellConnection, rows: &[NewItem<'_>]) -> Result<(), DatabaseError> {
    insert_rows!(conn, instance_metadata::table, rows);
    Ok(())
}

pub(crate) fn insert_system(
    conn: &mut CellConnection,
    rows: &[NewSystemItem<'_>],
) -> Result<(), DatabaseError> {
    insert_rows!(conn, instance_system_metadata::table, rows);
    Ok(())
}

fn group(rows: Vec<(Option<String>, Option<String>, Option<String>)>) -> ByInstance {
    let mut by_instance = ByInstance::new();
    for (instance, key, value) in rows {
        if let (Some(instance), Some(key)) = (instance, key) {
            by_instance.entry(instance).or_default().insert(key, value.unwrap_or_default());
        }
    }
    by_instance
}

/// What the users keep with these instances. One statement.
///
/// # Errors
/// The database's.
pub fn of_instances(
    conn: &mut CellConnection,
    uuids: &[InstanceUuid],
) -> Result<ByInstance, DatabaseError> {
    use instance_metadata::dsl;
    let rows = dsl::instance_metadata
        .filter(dsl::instance_uuid.eq_any(texts(uuids)))
        .filter(dsl::deleted.eq(0))
        .select((dsl::instance_uuid, dsl::key, dsl::value))
        .load(conn.sql())?;
    Ok(group(rows))
}

/// What the system keeps with these instances; with those of them that are deleted, what it kept
/// with them last. One statement.
///
/// # Errors
/// The database's.
pub fn system_of_instances(
    conn: &mut CellConnection,
    uuids: &[InstanceUuid],
    deleted: &[InstanceUuid],
) -> Result<ByInstance, DatabaseError> {
    use instance_system_metadata::dsl;
    let kept = dsl::instance_system_metadata
        .filter(dsl::instance_uuid.eq_any(texts(uuids)))
        // Of two rows with one key, the later one stays.
        .order(dsl::id)
        .select((dsl::instance_uuid, dsl::key, dsl::value));
    let live = dsl::deleted.eq(0);
    let rows: Vec<(String, String, Option<String>)> = match deleted {
        [] => kept.filter(live).load(conn.sql())?,
        deleted => kept
            .filter(live.or(dsl::instance_uuid.eq_any(texts(deleted)).nullable()))
            .load(conn.sql())?,
    };
    Ok(group(rows.into_iter().map(|(uuid, key, value)| (Some(uuid), Some(key), value)).collect()))
}
