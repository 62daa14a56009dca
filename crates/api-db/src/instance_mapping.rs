//! The instance mapping: which cell owns an instance.
//!
//! Created with the build request; its cell is NULL until a home is decided, see [`decide`].
//! It stays, queued for delete, when the instance is gone.

use std::collections::{HashMap, HashSet};

use cellzero_database::{Backend, DatabaseError, insert_rows};
use cellzero_types::{CellUuid, Instance, InstanceUuid, SortDirection};
use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use crate::schema::{cell_mappings, instance_mappings};
use crate::{ApiConnection, Dialect, IN_LIST_MAX, parse, texts};

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
        .get_result(conn.sql())
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
/// one is made, with the time at which the instance was accepted. One statement, two for a new one.
///
/// # Errors
/// The database's.
pub fn adopt(
    conn: &mut ApiConnection,
    instance: &Instance,
    cell_id: Option<i32>,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let uuid = instance.uuid;
    let set = |conn: &mut ApiConnection| {
        let row = instance_mappings::table.filter(instance_mappings::instance_uuid.eq(uuid.text()));
        diesel::update(row)
            .set((instance_mappings::cell_id.eq(cell_id), instance_mappings::updated_at.eq(now)))
            .execute(conn.sql())
    };
    if set(conn)? == 0 {
        let owner = (instance.project_id.as_str(), instance.user_id.as_str());
        insert(conn, &[uuid], owner, instance.created_at.unwrap_or(now))?;
        set(conn)?;
    }
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = instance_mappings, treat_none_as_default_value = false)]
struct NewFoundRow<'a> {
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    instance_uuid: String,
    cell_id: i32,
    project_id: &'a str,
    queued_for_delete: bool,
    user_id: &'a str,
}

/// Maps instances that were found in the cell with this row id to it, as of the time at which each was
/// accepted; a deleted one is queued for delete. One statement for each hundred.
///
/// # Errors
/// The database's; a unique violation where one is mapped.
pub fn insert_found(
    conn: &mut ApiConnection,
    found: &[&Instance],
    cell_id: i32,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewFoundRow<'_>> = found
        .iter()
        .map(|instance| NewFoundRow {
            created_at: instance.created_at.unwrap_or(now),
            updated_at: now,
            instance_uuid: instance.uuid.text(),
            cell_id,
            project_id: &instance.project_id,
            queued_for_delete: instance.deleted,
            user_id: &instance.user_id,
        })
        .collect();
    insert_rows!(conn, instance_mappings::table, rows);
    Ok(())
}

/// A page of the instances that are not queued for delete, by when they were accepted.
#[derive(Debug, Clone)]
pub struct MappedQuery {
    /// Only this project's.
    pub project_id: Option<String>,
    /// Only these instances.
    pub uuids: Option<Vec<InstanceUuid>>,
    /// Only those in these cells; none for all, and for those without a cell.
    pub cell_ids: Option<Vec<i32>>,
    /// The directions of created_at and of the uuid.
    pub directions: (SortDirection, SortDirection),
    /// Only what comes after this place.
    pub after: Option<(NaiveDateTime, String)>,
    /// The most rows.
    pub limit: usize,
}

/// An instance on such a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// Which.
    pub uuid: InstanceUuid,
    /// The row id of its cell; none while it has a build request.
    pub cell_id: Option<i32>,
    /// When it was accepted.
    pub created_at: NaiveDateTime,
    /// When the mapping was written last.
    pub written_at: NaiveDateTime,
    /// Its project.
    pub project_id: String,
    /// Its user.
    pub user_id: Option<String>,
}

/// The next instances in an order that was fixed when they were accepted. One statement, on a range
/// of an index.
///
/// It is for planes of our own, whose mappings all have the time of their instance.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn page(conn: &mut ApiConnection, query: &MappedQuery) -> Result<Vec<Mapped>, DatabaseError> {
    use SortDirection::{Ascending, Descending};
    use instance_mappings::{
        cell_id, created_at, instance_uuid, project_id, queued_for_delete, updated_at, user_id,
    };
    let by_range = is_by_range(conn.backend());
    let mut select = instance_mappings::table
        .select((instance_uuid, cell_id, created_at, updated_at, project_id, user_id))
        .into_boxed::<Dialect>();
    select = match by_range {
        true => select.filter(sql::<Bool>("instance_mappings.queued_for_delete IN (0, NULL)")),
        false => select.filter(queued_for_delete.eq(false)),
    };
    if let Some(project) = query.project_id.clone() {
        select = match by_range {
            true => select.filter(
                sql::<Bool>("instance_mappings.project_id IN (")
                    .bind::<Text, _>(project)
                    .sql(", NULL)"),
            ),
            false => select.filter(project_id.eq(project)),
        };
    }
    if let Some(uuids) = &query.uuids {
        select = select.filter(instance_uuid.eq_any(texts(uuids)));
    }
    if let Some(cells) = query.cell_ids.clone() {
        select = select.filter(cell_id.eq_any(cells));
    }
    if let Some((time, uuid)) = query.after.clone() {
        // The first half follows from the second; but a database sees the index by it.
        select = match query.directions {
            (Ascending, Ascending) => select
                .filter(created_at.ge(time))
                .filter(created_at.gt(time).or(instance_uuid.gt(uuid).nullable())),
            (Ascending, Descending) => select
                .filter(created_at.ge(time))
                .filter(created_at.gt(time).or(instance_uuid.lt(uuid).nullable())),
            (Descending, Ascending) => select
                .filter(created_at.le(time))
                .filter(created_at.lt(time).or(instance_uuid.gt(uuid).nullable())),
            (Descending, Descending) => select
                .filter(created_at.le(time))
                .filter(created_at.lt(time).or(instance_uuid.lt(uuid).nullable())),
        };
    }
    let rows: Vec<MappedRow> = select
        .order(sql::<Text>(&order_of(query, conn.backend())))
        .limit(i64::try_from(query.limit).unwrap_or(i64::MAX))
        .load(conn.sql())?;
    rows.into_iter().map(mapped).collect()
}

/// Uuid, cell, when it was accepted, when it was written last, project, user.
type MappedRow =
    (String, Option<i32>, Option<NaiveDateTime>, Option<NaiveDateTime>, String, Option<String>);

fn mapped(
    (uuid, cell_id, created_at, updated_at, project_id, user_id): MappedRow,
) -> Result<Mapped, DatabaseError> {
    let created_at = created_at.unwrap_or_default();
    let written_at = updated_at.unwrap_or(created_at);
    Ok(Mapped { uuid: parse(&uuid)?, cell_id, created_at, written_at, project_id, user_id })
}

/// Whether the columns that are the same in all rows of a page are compared by `IN (…, NULL)`, which
/// NULL never changes.
///
/// Where they are compared by `=`, MariaDB may look up all rows by them and pass over those before
/// the place of the page, though a range of the same index begins there. Like this there is nothing
/// but the range; and with these columns at its head, the order is the index's.
fn is_by_range(backend: Backend) -> bool {
    backend == Backend::Mysql
}

/// The order of a page, as an index has it.
fn order_of(query: &MappedQuery, backend: Backend) -> String {
    use SortDirection::{Ascending, Descending};
    // An index of PostgreSQL is used only where the place of NULL is that of the index.
    let nulls = match (backend, query.directions.0) {
        (Backend::Postgres, Ascending) => " NULLS FIRST",
        (Backend::Postgres, Descending) => " NULLS LAST",
        _ => "",
    };
    let (first, second) = (query.directions.0.as_str(), query.directions.1.as_str());
    let head = match (is_by_range(backend), &query.project_id) {
        (true, Some(_)) => format!(
            "instance_mappings.project_id {first}, instance_mappings.queued_for_delete {first}, "
        ),
        (true, None) => format!("instance_mappings.queued_for_delete {first}, "),
        (false, _) => String::new(),
    };
    format!(
        "{head}instance_mappings.created_at {first}{nulls}, \
         instance_mappings.instance_uuid {second}"
    )
}

/// The row ids of the cells that hold instances of a project, deleted ones too. One statement, one
/// look into an index for each cell.
///
/// # Errors
/// The database's.
pub fn cells_of_project(
    conn: &mut ApiConnection,
    project: &str,
) -> Result<HashSet<i32>, DatabaseError> {
    let held = instance_mappings::table
        .filter(instance_mappings::cell_id.eq(cell_mappings::id.nullable()))
        .filter(instance_mappings::project_id.eq(project));
    let cells: Vec<i32> = cell_mappings::table
        .filter(diesel::dsl::exists(held))
        .select(cell_mappings::id)
        .load(conn.sql())?;
    Ok(cells.into_iter().collect())
}

/// How many instances that are not queued for delete each cell holds of each project, by the cell's
/// row id; none for those without a cell. One statement.
///
/// # Errors
/// The database's.
pub fn count_by_cell(
    conn: &mut ApiConnection,
    project: Option<&str>,
) -> Result<Vec<(String, Option<i32>, i64)>, DatabaseError> {
    let live = instance_mappings::queued_for_delete
        .eq(false)
        .or(instance_mappings::queued_for_delete.is_null());
    let mut select = instance_mappings::table
        .filter(live)
        .group_by((instance_mappings::project_id, instance_mappings::cell_id))
        .select((
            instance_mappings::project_id,
            instance_mappings::cell_id,
            diesel::dsl::count_star(),
        ))
        .into_boxed::<Dialect>();
    if let Some(project) = project {
        select = select.filter(instance_mappings::project_id.eq(project.to_owned()));
    }
    Ok(select.load(conn.sql())?)
}

/// How many instances that are not queued for delete a cell holds, of one project or of all. One
/// statement.
///
/// # Errors
/// The database's.
pub fn count_in_cell(
    conn: &mut ApiConnection,
    cell_id: i32,
    project: Option<&str>,
) -> Result<i64, DatabaseError> {
    let live = instance_mappings::queued_for_delete
        .eq(false)
        .or(instance_mappings::queued_for_delete.is_null());
    let mut select = instance_mappings::table
        .filter(instance_mappings::cell_id.eq(cell_id))
        .filter(live)
        .count()
        .into_boxed::<Dialect>();
    if let Some(project) = project {
        select = select.filter(instance_mappings::project_id.eq(project.to_owned()));
    }
    Ok(select.get_result(conn.sql())?)
}
