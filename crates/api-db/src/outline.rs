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

use crate::boot_state::Outline;
use crate::schema::{boot_states, cell_mappings, instance_mappings};
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

type Row = (
    String,
    String,
    String,
    Option<String>,
    Option<NaiveDateTime>,
    Option<NaiveDateTime>,
    Option<Outline>,
    Option<NaiveDateTime>,
);

macro_rules! select_outlines {
    () => {
        instance_mappings::table
            .inner_join(cell_mappings::table)
            .left_join(
                boot_states::table
                    .on(boot_states::instance_uuid.eq(instance_mappings::instance_uuid)),
            )
            .select((
                instance_mappings::instance_uuid,
                cell_mappings::uuid,
                instance_mappings::project_id,
                instance_mappings::user_id,
                instance_mappings::created_at,
                instance_mappings::updated_at,
                Option::<Outline>::as_select(),
                boot_states::created_at.nullable(),
            ))
    };
}

/// The same without boot states, which a plane that Nova made has not.
macro_rules! select_novas {
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

type NovasRow =
    (String, String, String, Option<String>, Option<NaiveDateTime>, Option<NaiveDateTime>);

fn without_outline(row: NovasRow) -> Row {
    let (uuid, cell, project_id, user_id, created_at, updated_at) = row;
    (uuid, cell, project_id, user_id, created_at, updated_at, None, None)
}

/// Outlines of the instances of some cells that are not queued for delete, by uuid, in parts: each
/// calls `take` once for each instance. One statement for each thousand, on a plane that Nova made
/// two more; the flavor itself is left out on our own.
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
        let live = || {
            instance_mappings::queued_for_delete
                .eq(false)
                .or(instance_mappings::queued_for_delete.is_null())
        };
        macro_rules! part {
            ($select:expr) => {{
                let mut select = $select
                    .filter(instance_mappings::cell_id.eq_any(scan.cell_ids.clone()))
                    .filter(live())
                    .filter(instance_mappings::instance_uuid.gt(after.clone()))
                    .order(instance_mappings::instance_uuid)
                    .limit(PART)
                    .into_boxed::<Dialect>();
                if let Some(project) = scan.project_id.clone() {
                    select = select.filter(instance_mappings::project_id.eq(project));
                }
                select.load(conn.sql())?
            }};
        }
        let rows: Vec<Row> = match scan.whose {
            Whose::Ours => part!(select_outlines!()),
            Whose::Novas => {
                let rows: Vec<NovasRow> = part!(select_novas!());
                rows.into_iter().map(without_outline).collect()
            }
        };
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.0.clone();
        let is_last = (rows.len() as i64) < PART;
        let specs = match scan.whose {
            Whose::Ours => HashMap::new(),
            Whose::Novas => specs_of(conn, &rows)?,
        };
        for row in rows {
            take(instance(row, &specs)?);
        }
        if is_last {
            return Ok(());
        }
    }
}

/// The outlines of these instances, with their flavors; those without a cell are left out. Two
/// statements for each five hundred.
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
        let named = instance_mappings::instance_uuid.eq_any(chunk);
        let rows: Vec<Row> = match whose {
            Whose::Ours => select_outlines!().filter(named).load(conn.sql())?,
            Whose::Novas => {
                let rows: Vec<NovasRow> = select_novas!().filter(named).load(conn.sql())?;
                rows.into_iter().map(without_outline).collect()
            }
        };
        let specs = specs_of(conn, &rows)?;
        for row in rows {
            let instance = instance(row, &specs)?;
            outlines.insert(instance.uuid, instance);
        }
    }
    Ok(outlines)
}

fn specs_of(
    conn: &mut ApiConnection,
    rows: &[Row],
) -> Result<HashMap<InstanceUuid, RequestSpec>, DatabaseError> {
    let uuids: Vec<InstanceUuid> =
        rows.iter().map(|row| parse(&row.0)).collect::<Result<_, _>>()?;
    let specs = request_spec::of_instances(conn, &uuids)?;
    Ok(specs.into_iter().map(|spec| (spec.instance_uuid, spec)).collect())
}

fn instance(
    row: Row,
    specs: &HashMap<InstanceUuid, RequestSpec>,
) -> Result<Instance, DatabaseError> {
    let (uuid, cell, project_id, user_id, created_at, updated_at, outline, begun_at) = row;
    let uuid: InstanceUuid = parse(&uuid)?;
    let cell: CellUuid = parse(&cell)?;
    let spec = specs.get(&uuid);
    let outline = outline.unwrap_or_else(|| Outline {
        image_ref: spec.and_then(|spec| spec.image).map(|image| image.to_string()),
        instance_type_id: spec.map(|spec| spec.flavor.id),
        availability_zone: spec.and_then(|spec| spec.availability_zone.clone()),
        ..Outline::default()
    });
    Ok(Instance {
        home: Home::Cell(cell),
        display_name: outline.display_name,
        image_ref: outline.image_ref,
        instance_type_id: outline.instance_type_id,
        availability_zone: outline.availability_zone,
        key_name: outline.key_name,
        flavor: spec.map(|spec| spec.flavor.clone()),
        created_at,
        known_at: updated_at.or(begun_at).or(created_at),
        ..Instance::new(uuid, project_id, user_id.unwrap_or_default())
    })
}
