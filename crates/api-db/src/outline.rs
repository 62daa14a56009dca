//! The outline of an instance: what the API database knows of it by itself, for when its cell does
//! not answer.
//!
//! It is the mapping, what the boot state says of the request, and the flavor of the request spec.
//! A plane that Nova made has no boot states; there the request spec says image and zone, and nobody
//! knows the name.

use std::collections::HashMap;

use cellzero_database::{DatabaseError, Whose};
use cellzero_types::{CellUuid, Home, Instance, InstanceUuid, RequestSpec};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::boot_state::{self, Outline};
use crate::schema::{cell_mappings, instance_mappings};
use crate::{ApiConnection, Dialect, IN_LIST_MAX, parse, request_spec, texts};

/// Which outlines a [`scan`] reads.
#[derive(Debug, Clone)]
pub struct OutlineScan {
    /// Of the instances in these cells, by row id.
    pub cell_ids: Vec<i32>,
    /// Of this project; none for all.
    pub project_id: Option<String>,
    /// Whose plane it is.
    pub whose: Whose,
}

/// Uuid, cell, project, user, and when the mapping was made and changed last.
type Row = (String, String, String, Option<String>, Option<NaiveDateTime>, Option<NaiveDateTime>);

macro_rules! select_mapped {
    () => {
        instance_mappings::table.inner_join(cell_mappings::table).select((
            instance_mappings::instance_uuid,
            cell_mappings::uuid,
            instance_mappings::project_id,
            instance_mappings::user_id,
            instance_mappings::created_at,
            instance_mappings::updated_at,
        ))
    };
}

/// Outlines of the instances of some cells that are not queued for delete, by uuid, in parts: each
/// calls `take` once for each instance. Three statements for each thousand; the flavor itself is left
/// out on a plane of our own.
///
/// # Errors
/// The database's, or a damaged row.
pub fn scan(
    conn: &mut ApiConnection,
    scan: &OutlineScan,
    mut take: impl FnMut(Instance),
) -> Result<(), DatabaseError> {
    const PART: i64 = 1_000;
    let mut after = String::new();
    loop {
        let live = instance_mappings::queued_for_delete
            .eq(false)
            .or(instance_mappings::queued_for_delete.is_null());
        let mut select = select_mapped!()
            .filter(instance_mappings::cell_id.eq_any(scan.cell_ids.clone()))
            .filter(live)
            .filter(instance_mappings::instance_uuid.gt(after))
            .order(instance_mappings::instance_uuid)
            .limit(PART)
            .into_boxed::<Dialect>();
        if let Some(project) = scan.project_id.clone() {
            select = select.filter(instance_mappings::project_id.eq(project));
        }
        let rows: Vec<Row> = select.load(conn.sql())?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.0.clone();
        let is_last = (rows.len() as i64) < PART;
        let with_flavor = scan.whose == Whose::Novas;
        instances(conn, rows, scan.whose, with_flavor)?.into_iter().for_each(&mut take);
        if is_last {
            return Ok(());
        }
    }
}

/// The outlines of these instances, with their flavors; those without a cell are left out. Three
/// statements for each five hundred, two on a plane that Nova made.
///
/// # Errors
/// The database's, or a damaged row.
pub fn of_instances(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
    whose: Whose,
) -> Result<HashMap<InstanceUuid, Instance>, DatabaseError> {
    let mut outlines = HashMap::with_capacity(uuids.len());
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<Row> = select_mapped!()
            .filter(instance_mappings::instance_uuid.eq_any(chunk))
            .load(conn.sql())?;
        let instances = instances(conn, rows, whose, true)?;
        outlines.extend(instances.into_iter().map(|instance| (instance.uuid, instance)));
    }
    Ok(outlines)
}

/// The rows with what is known beside them: from boot states on a plane of our own, from request
/// specs on one that Nova made, which also say the flavor.
fn instances(
    conn: &mut ApiConnection,
    rows: Vec<Row>,
    whose: Whose,
    with_flavor: bool,
) -> Result<Vec<Instance>, DatabaseError> {
    let uuids: Vec<InstanceUuid> =
        rows.iter().map(|row| parse(&row.0)).collect::<Result<_, _>>()?;
    let mut outlines = match whose {
        Whose::Ours => boot_state::outlines(conn, &uuids)?,
        Whose::Novas => HashMap::new(),
    };
    let specs = match with_flavor {
        true => request_spec::of_instances(conn, &uuids)?,
        false => Vec::new(),
    };
    let specs: HashMap<InstanceUuid, RequestSpec> =
        specs.into_iter().map(|spec| (spec.instance_uuid, spec)).collect();
    rows.into_iter()
        .zip(uuids)
        .map(|(row, uuid)| instance(row, uuid, outlines.remove(&uuid), specs.get(&uuid)))
        .collect()
}

fn instance(
    (_, cell, project_id, user_id, created_at, updated_at): Row,
    uuid: InstanceUuid,
    outline: Option<Outline>,
    spec: Option<&RequestSpec>,
) -> Result<Instance, DatabaseError> {
    let outline = outline.unwrap_or_else(|| Outline {
        image_ref: spec.and_then(|spec| spec.image).map(|image| image.to_string()),
        instance_type_id: spec.map(|spec| spec.flavor.id),
        availability_zone: spec.and_then(|spec| spec.availability_zone.clone()),
        ..Outline::default()
    });
    let cell: CellUuid = parse(&cell)?;
    Ok(Instance {
        home: Home::Cell(cell),
        display_name: outline.display_name,
        image_ref: outline.image_ref,
        instance_type_id: outline.instance_type_id,
        availability_zone: outline.availability_zone,
        key_name: outline.key_name,
        flavor: spec.map(|spec| spec.flavor.clone()),
        created_at,
        known_at: updated_at.or(created_at),
        ..Instance::new(uuid, project_id, user_id.unwrap_or_default())
    })
}
