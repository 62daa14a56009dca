//! The instance mapping: which cell owns an instance.
//!
//! Created with the build request; its cell is NULL until a home is decided, see [`decide`].
//! It stays, queued for delete, when the instance is gone.

use std::collections::HashMap;

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::{CellUuid, InstanceUuid};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{cell_mappings, instance_mappings};
use crate::{ApiConnection, IN_LIST_MAX, parse, texts};

/// A row of `instance_mappings`, with the uuid of its cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceMapping {
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Its cell; none while it has a build request.
    pub cell: Option<CellUuid>,
    /// Its project.
    pub project_id: String,
    /// Its user.
    pub user_id: Option<String>,
    /// Whether its delete was asked for.
    pub queued_for_delete: bool,
    /// When it was accepted.
    pub created_at: Option<NaiveDateTime>,
}

#[derive(Insertable)]
#[diesel(table_name = instance_mappings, treat_none_as_default_value = false)]
struct NewRow<'a> {
    created_at: NaiveDateTime,
    instance_uuid: String,
    project_id: &'a str,
    queued_for_delete: bool,
    user_id: &'a str,
}

/// Maps new instances to no cell yet. One statement for each hundred.
///
/// # Errors
/// The database's.
pub fn insert(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
    (project_id, user_id): (&str, &str),
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewRow<'_>> = uuids
        .iter()
        .map(|uuid| NewRow {
            created_at: now,
            instance_uuid: uuid.text(),
            project_id,
            queued_for_delete: false,
            user_id,
        })
        .collect();
    insert_rows!(conn, instance_mappings::table, rows);
    Ok(())
}

type Row = (String, Option<String>, String, Option<String>, Option<bool>, Option<NaiveDateTime>);

fn mapping(row: Row) -> Result<InstanceMapping, DatabaseError> {
    let (instance_uuid, cell, project_id, user_id, queued_for_delete, created_at) = row;
    Ok(InstanceMapping {
        instance_uuid: parse(&instance_uuid)?,
        cell: cell.as_deref().map(parse).transpose()?,
        project_id,
        user_id,
        queued_for_delete: queued_for_delete.unwrap_or(false),
        created_at,
    })
}

macro_rules! select_mappings {
    () => {
        instance_mappings::table.left_join(cell_mappings::table).select((
            instance_mappings::instance_uuid,
            cell_mappings::uuid.nullable(),
            instance_mappings::project_id,
            instance_mappings::user_id,
            instance_mappings::queued_for_delete,
            instance_mappings::created_at,
        ))
    };
}

/// The mapping of an instance, where there is one. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn find(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
) -> Result<Option<InstanceMapping>, DatabaseError> {
    let row: Option<Row> = select_mappings!()
        .filter(instance_mappings::instance_uuid.eq(uuid.text()))
        .first(conn.sql())
        .optional()?;
    row.map(mapping).transpose()
}

/// The mappings of these instances, by uuid; missing ones are left out. One statement for each
/// five hundred.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn of_instances(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<HashMap<InstanceUuid, InstanceMapping>, DatabaseError> {
    let mut mappings = HashMap::with_capacity(uuids.len());
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<Row> = select_mappings!()
            .filter(instance_mappings::instance_uuid.eq_any(chunk))
            .load(conn.sql())?;
        for row in rows {
            let mapping = mapping(row)?;
            mappings.insert(mapping.instance_uuid, mapping);
        }
    }
    Ok(mappings)
}

/// Maps these instances to the cell with this row id, but only those that have no cell and are
/// not queued for delete; says how many. One statement for each five hundred.
///
/// # Errors
/// The database's.
pub fn decide(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
    cell_id: i32,
    now: NaiveDateTime,
) -> Result<usize, DatabaseError> {
    let mut decided = 0;
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let undecided = instance_mappings::table
            .filter(instance_mappings::instance_uuid.eq_any(chunk))
            .filter(instance_mappings::cell_id.is_null())
            .filter(instance_mappings::queued_for_delete.eq(false));
        decided += diesel::update(undecided)
            .set((instance_mappings::cell_id.eq(cell_id), instance_mappings::updated_at.eq(now)))
            .execute(conn.sql())?;
    }
    Ok(decided)
}

/// Queues an instance for delete, but only while its mapping names `cell`; says whether it did.
/// One statement.
///
/// # Errors
/// The database's.
pub fn queue_for_delete(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
    cell: Option<CellUuid>,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let row =
        instance_mappings::table.filter(instance_mappings::instance_uuid.eq(uuid.text())).filter(
            instance_mappings::queued_for_delete
                .eq(false)
                .or(instance_mappings::queued_for_delete.is_null()),
        );
    let values =
        (instance_mappings::queued_for_delete.eq(true), instance_mappings::updated_at.eq(now));
    let changed = match cell {
        None => diesel::update(row.filter(instance_mappings::cell_id.is_null()))
            .set(values)
            .execute(conn.sql())?,
        Some(cell) => {
            let cell_id = cell_mappings::table
                .filter(cell_mappings::uuid.eq(cell.text()))
                .select(cell_mappings::id.nullable())
                .single_value();
            diesel::update(row.filter(instance_mappings::cell_id.eq(cell_id)))
                .set(values)
                .execute(conn.sql())?
        }
    };
    Ok(changed == 1)
}

/// Takes an instance out of cell0, but only while its mapping names cell0 and it is not queued for
/// delete; says whether it did. One statement.
///
/// # Errors
/// The database's.
pub fn unbury(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let cell0 = cell_mappings::table
        .filter(cell_mappings::uuid.eq(CellUuid::CELL0.text()))
        .select(cell_mappings::id.nullable())
        .single_value();
    let buried = instance_mappings::table
        .filter(instance_mappings::instance_uuid.eq(uuid.text()))
        .filter(instance_mappings::queued_for_delete.eq(false))
        .filter(instance_mappings::cell_id.eq(cell0));
    let changed = diesel::update(buried)
        .set((instance_mappings::cell_id.eq(None::<i32>), instance_mappings::updated_at.eq(now)))
        .execute(conn.sql())?;
    Ok(changed == 1)
}

/// Makes the mapping of an instance name this cell, or none: a repair. Where there is no mapping,
/// one is made. One statement, two for a new one.
///
/// # Errors
/// The database's.
pub fn adopt(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
    cell_id: Option<i32>,
    owner: (&str, &str),
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let set = |conn: &mut ApiConnection| {
        let row = instance_mappings::table.filter(instance_mappings::instance_uuid.eq(uuid.text()));
        diesel::update(row)
            .set((instance_mappings::cell_id.eq(cell_id), instance_mappings::updated_at.eq(now)))
            .execute(conn.sql())
    };
    if set(conn)? == 0 {
        insert(conn, &[uuid], owner, now)?;
        set(conn)?;
    }
    Ok(())
}
