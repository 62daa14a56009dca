//! Metadata of the user and of the system: two tables of the same shape. They are read with the
//! other [labels](crate::label).

use std::collections::BTreeMap;

use cellzero_database::{DatabaseError, insert_rows};
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
