//! Flavors, with their extra specs and the projects that may use private ones.

use std::collections::{BTreeMap, BTreeSet};

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::Flavor;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::ApiConnection;
use crate::schema::{flavor_extra_specs, flavor_projects, flavors};

#[derive(Queryable, Selectable)]
#[diesel(table_name = flavors)]
struct Row {
    id: i32,
    name: String,
    memory_mb: i32,
    vcpus: i32,
    root_gb: Option<i32>,
    ephemeral_gb: Option<i32>,
    flavorid: String,
    swap: i32,
    rxtx_factor: Option<f64>,
    vcpu_weight: Option<i32>,
    disabled: Option<bool>,
    is_public: Option<bool>,
    description: Option<String>,
    created_at: Option<NaiveDateTime>,
}

impl From<Row> for Flavor {
    fn from(row: Row) -> Flavor {
        Flavor {
            id: row.id,
            name: row.name,
            memory_mb: row.memory_mb,
            vcpus: row.vcpus,
            root_gb: row.root_gb.unwrap_or(0),
            ephemeral_gb: row.ephemeral_gb.unwrap_or(0),
            flavorid: row.flavorid,
            swap: row.swap,
            rxtx_factor: row.rxtx_factor,
            vcpu_weight: row.vcpu_weight,
            disabled: row.disabled.unwrap_or(false),
            is_public: row.is_public.unwrap_or(true),
            extra_specs: BTreeMap::new(),
            description: row.description,
            created_at: row.created_at,
        }
    }
}

type WithSpec = (Row, Option<(String, Option<String>)>);

fn collect(rows: Vec<WithSpec>) -> Vec<Flavor> {
    let mut flavors: Vec<Flavor> = Vec::new();
    for (row, spec) in rows {
        // Rows of one flavor follow one another: the query orders by its id.
        if flavors.last().is_none_or(|last| last.id != row.id) {
            flavors.push(row.into());
        }
        if let (Some(flavor), Some((key, value))) = (flavors.last_mut(), spec) {
            flavor.extra_specs.insert(key, value.unwrap_or_default());
        }
    }
    flavors
}

macro_rules! select_flavors {
    () => {
        flavors::table.left_join(flavor_extra_specs::table).order(flavors::id).select((
            Row::as_select(),
            (flavor_extra_specs::key, flavor_extra_specs::value).nullable(),
        ))
    };
}

/// The flavor with the id that clients use, where there is one. One statement.
///
/// # Errors
/// The database's.
pub fn find(conn: &mut ApiConnection, flavorid: &str) -> Result<Option<Flavor>, DatabaseError> {
    let rows: Vec<WithSpec> =
        select_flavors!().filter(flavors::flavorid.eq(flavorid)).load(conn.sql())?;
    Ok(collect(rows).pop())
}

/// All flavors by row id. One statement.
///
/// # Errors
/// The database's.
pub fn all(conn: &mut ApiConnection) -> Result<Vec<Flavor>, DatabaseError> {
    let rows: Vec<WithSpec> = select_flavors!().load(conn.sql())?;
    Ok(collect(rows))
}

/// Whether a project may use a private flavor. One statement.
///
/// # Errors
/// The database's.
pub fn may_use(
    conn: &mut ApiConnection,
    flavor: &Flavor,
    project_id: &str,
) -> Result<bool, DatabaseError> {
    let access = flavor_projects::table
        .filter(flavor_projects::flavor_id.eq(flavor.id))
        .filter(flavor_projects::project_id.eq(project_id))
        .count()
        .get_result::<i64>(conn.sql())?;
    Ok(access > 0)
}

#[derive(Insertable)]
#[diesel(table_name = flavors, treat_none_as_default_value = false)]
struct NewRow<'a> {
    created_at: NaiveDateTime,
    name: &'a str,
    memory_mb: i32,
    vcpus: i32,
    swap: i32,
    vcpu_weight: Option<i32>,
    flavorid: &'a str,
    rxtx_factor: Option<f64>,
    root_gb: i32,
    ephemeral_gb: i32,
    disabled: bool,
    is_public: bool,
    description: Option<&'a str>,
}

#[derive(Insertable)]
#[diesel(table_name = flavor_extra_specs, treat_none_as_default_value = false)]
struct NewSpec<'a> {
    created_at: NaiveDateTime,
    flavor_id: i32,
    key: &'a str,
    value: &'a str,
}

/// Adds a flavor with its extra specs. Two statements, three with extra specs.
///
/// # Errors
/// The database's; a unique violation where the name or the id is taken.
pub fn insert(
    conn: &mut ApiConnection,
    flavor: &Flavor,
    now: NaiveDateTime,
) -> Result<i32, DatabaseError> {
    let row = NewRow {
        created_at: now,
        name: &flavor.name,
        memory_mb: flavor.memory_mb,
        vcpus: flavor.vcpus,
        swap: flavor.swap,
        vcpu_weight: flavor.vcpu_weight,
        flavorid: &flavor.flavorid,
        rxtx_factor: flavor.rxtx_factor,
        root_gb: flavor.root_gb,
        ephemeral_gb: flavor.ephemeral_gb,
        disabled: flavor.disabled,
        is_public: flavor.is_public,
        description: flavor.description.as_deref(),
    };
    diesel::insert_into(flavors::table).values(&row).execute(conn.sql())?;
    let id = flavors::table
        .filter(flavors::flavorid.eq(&flavor.flavorid))
        .select(flavors::id)
        .first(conn.sql())?;
    let specs: Vec<NewSpec<'_>> = flavor
        .extra_specs
        .iter()
        .map(|(key, value)| NewSpec { created_at: now, flavor_id: id, key, value })
        .collect();
    insert_rows!(conn, flavor_extra_specs::table, specs);
    Ok(id)
}

#[derive(Insertable)]
#[diesel(table_name = flavor_projects, treat_none_as_default_value = false)]
struct NewAccess<'a> {
    created_at: NaiveDateTime,
    flavor_id: i32,
    project_id: &'a str,
}

/// Lets projects use a private flavor. One statement for each hundred.
///
/// # Errors
/// The database's; a unique violation where one may already.
pub fn allow(
    conn: &mut ApiConnection,
    flavor_id: i32,
    projects: &[String],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewAccess<'_>> = projects
        .iter()
        .map(|project_id| NewAccess { created_at: now, flavor_id, project_id })
        .collect();
    insert_rows!(conn, flavor_projects::table, rows);
    Ok(())
}

/// The row ids of the private flavors that a project may use. One statement.
///
/// # Errors
/// The database's.
pub fn of_project(
    conn: &mut ApiConnection,
    project_id: &str,
) -> Result<BTreeSet<i32>, DatabaseError> {
    let ids: Vec<i32> = flavor_projects::table
        .filter(flavor_projects::project_id.eq(project_id))
        .select(flavor_projects::flavor_id)
        .load(conn.sql())?;
    Ok(ids.into_iter().collect())
}

/// Takes a private flavor from a project; says whether it might use it. One statement.
///
/// # Errors
/// The database's.
pub fn deny(
    conn: &mut ApiConnection,
    flavor_id: i32,
    project_id: &str,
) -> Result<bool, DatabaseError> {
    let access = flavor_projects::table
        .filter(flavor_projects::flavor_id.eq(flavor_id))
        .filter(flavor_projects::project_id.eq(project_id));
    Ok(diesel::delete(access).execute(conn.sql())? == 1)
}

/// The projects that may use a private flavor, sorted. One statement.
///
/// # Errors
/// The database's.
pub fn projects(conn: &mut ApiConnection, flavor_id: i32) -> Result<Vec<String>, DatabaseError> {
    let projects = flavor_projects::table
        .filter(flavor_projects::flavor_id.eq(flavor_id))
        .order(flavor_projects::project_id)
        .select(flavor_projects::project_id)
        .load(conn.sql())?;
    Ok(projects)
}

/// Deletes a flavor with its extra specs and who may use it; says whether there was one. Instances
/// keep the copy that they were made with. Four statements, one where there is none. To be called in
/// a transaction.
///
/// # Errors
/// The database's.
pub fn delete(conn: &mut ApiConnection, flavorid: &str) -> Result<bool, DatabaseError> {
    let known: Option<i32> = flavors::table
        .filter(flavors::flavorid.eq(flavorid))
        .select(flavors::id)
        .first(conn.sql())
        .optional()?;
    let Some(id) = known else { return Ok(false) };
    diesel::delete(flavor_extra_specs::table.filter(flavor_extra_specs::flavor_id.eq(id)))
        .execute(conn.sql())?;
    diesel::delete(flavor_projects::table.filter(flavor_projects::flavor_id.eq(id)))
        .execute(conn.sql())?;
    let gone = diesel::delete(flavors::table.filter(flavors::id.eq(id))).execute(conn.sql())?;
    Ok(gone == 1)
}
