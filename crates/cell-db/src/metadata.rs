//! Metadata of the user and of the system: two tables of the same shape. They are read with the
//! other [labels](crate::label).

use std::collections::BTreeMap;

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::InstanceUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::CellConnection;
use crate::schema::{instance_metadata, instance_system_metadata};

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

/// What the user keeps with an instance. One statement.
///
/// # Errors
/// The database's.
pub fn of_instance(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<BTreeMap<String, String>, DatabaseError> {
    // Of two rows with one key, the later one stays, as in `label`.
    let rows: Vec<(Option<String>, Option<String>)> = instance_metadata::table
        .filter(instance_metadata::instance_uuid.eq(uuid.text()))
        .filter(instance_metadata::deleted.eq(0))
        .order(instance_metadata::id)
        .select((instance_metadata::key, instance_metadata::value))
        .load(conn.sql())?;
    let items = rows.into_iter().filter_map(|(key, value)| Some((key?, value.unwrap_or_default())));
    Ok(items.collect())
}

/// Makes `old` into `new`: what goes is deleted softly. Two statements where both differ, one for
/// each of what goes and what comes. To be called in a transaction that has locked the instance.
///
/// # Errors
/// The database's.
pub fn change(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    (old, new): (&BTreeMap<String, String>, &BTreeMap<String, String>),
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let stays = |key: &String| old.get(key) == new.get(key);
    let gone: Vec<&String> = old.keys().filter(|key| !stays(key)).collect();
    let coming = new.iter().filter(|(key, _)| !stays(key));
    let coming: BTreeMap<String, String> =
        coming.map(|(key, value)| (key.clone(), value.clone())).collect();
    let text = uuid.text();
    if !gone.is_empty() {
        let live = instance_metadata::table
            .filter(instance_metadata::instance_uuid.eq(&text))
            .filter(instance_metadata::deleted.eq(0))
            .filter(instance_metadata::key.eq_any(gone));
        diesel::update(live)
            .set((
                instance_metadata::deleted.eq(instance_metadata::id.nullable()),
                instance_metadata::deleted_at.eq(now),
            ))
            .execute(conn.sql())?;
    }
    insert(conn, std::iter::once((text.as_str(), &coming)), now)
}

/// Takes the items of these keys from what the system keeps, and adds others. Up to two statements.
/// To be called in a transaction that has locked the instance.
///
/// # Errors
/// The database's.
pub fn replace_system(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    replaced: &[String],
    new: &BTreeMap<String, String>,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let text = uuid.text();
    if !replaced.is_empty() {
        let live = instance_system_metadata::table
            .filter(instance_system_metadata::instance_uuid.eq(&text))
            .filter(instance_system_metadata::deleted.eq(0))
            .filter(instance_system_metadata::key.eq_any(replaced));
        diesel::update(live)
            .set((
                instance_system_metadata::deleted.eq(instance_system_metadata::id.nullable()),
                instance_system_metadata::deleted_at.eq(now),
            ))
            .execute(conn.sql())?;
    }
    insert_system(conn, std::iter::once((text.as_str(), new)), now)
}
