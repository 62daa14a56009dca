//! Metadata of the user and of the system: two tables of the same shape.

use std::collections::{BTreeMap, HashMap};

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::InstanceUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{instance_metadata, instance_system_metadata};
use crate::{CellConnection, texts};

/// Key and value by instance uuid.
pub type ByInstance = HashMap<String, BTreeMap<String, String>>;

/// Defines a row of one of the two tables and its insert.
macro_rules! item {
    ($row:ident, $table:ident, $insert:ident) => {
        #[derive(Insertable)]
        #[diesel(table_name = $table, treat_none_as_default_value = false)]
        struct $row<'a> {
            created_at: NaiveDateTime,
            key: &'a str,
            value: &'a str,
            instance_uuid: &'a str,
            deleted: i32,
        }

        pub(crate) fn $insert<'a>(
            conn: &mut CellConnection,
            items: impl Iterator<Item = (&'a str, &'a BTreeMap<String, String>)>,
            created_at: NaiveDateTime,
        ) -> Result<(), DatabaseError> {
            let rows: Vec<_> = items
                .flat_map(|(instance_uuid, items)| {
                    items.iter().map(move |(key, value)| $row {
                        created_at,
                        key,
                        value,
                        instance_uuid,
                        deleted: 0,
                    })
                })
                .collect();
            insert_rows!(conn, $table::table, rows);
            Ok(())
        }
    };
}

item!(NewItem, instance_metadata, insert);
item!(NewSystemItem, instance_system_metadata, insert_system);

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
