//! Faults: why an instance is in vm_state ERROR. The latest one counts.

use std::collections::HashMap;

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::{InstanceFault, InstanceUuid};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::instance_faults;
use crate::{CellConnection, texts};

#[derive(Insertable)]
#[diesel(table_name = instance_faults, treat_none_as_default_value = false)]
pub(crate) struct NewFault<'a> {
    pub(crate) created_at: NaiveDateTime,
    pub(crate) instance_uuid: &'a str,
    pub(crate) code: i32,
    pub(crate) message: &'a str,
    pub(crate) details: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
    pub(crate) deleted: i32,
}

impl<'a> NewFault<'a> {
    pub(crate) fn new(
        fault: &'a InstanceFault,
        instance_uuid: &'a str,
        created_at: NaiveDateTime,
    ) -> NewFault<'a> {
        NewFault {
            created_at,
            instance_uuid,
            code: fault.code,
            message: &fault.message,
            details: fault.details.as_deref(),
            host: fault.host.as_deref(),
            deleted: 0,
        }
    }
}

pub(crate) fn insert(
    conn: &mut CellConnection,
    rows: &[NewFault<'_>],
) -> Result<(), DatabaseError> {
    insert_rows!(conn, instance_faults::table, rows);
    Ok(())
}

/// Adds a fault to an instance. One statement.
///
/// # Errors
/// The database's.
pub fn add(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    fault: &InstanceFault,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    insert(conn, &[NewFault::new(fault, &uuid.text(), now)])
}

/// The latest fault of each of these instances that has one. One statement.
///
/// # Errors
/// The database's.
pub fn latest_of_instances(
    conn: &mut CellConnection,
    uuids: &[InstanceUuid],
) -> Result<HashMap<String, InstanceFault>, DatabaseError> {
    // They come oldest first, so the last one stays.
    Ok(load(conn, &texts(uuids))?.into_iter().collect())
}

/// All faults of an instance, oldest first. One statement.
///
/// # Errors
/// The database's.
pub fn of_instance(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<Vec<InstanceFault>, DatabaseError> {
    Ok(load(conn, &[uuid.text()])?.into_iter().map(|(_, fault)| fault).collect())
}

/// The faults of these instances, oldest first.
fn load(
    conn: &mut CellConnection,
    uuids: &[String],
) -> Result<Vec<(String, InstanceFault)>, DatabaseError> {
    use instance_faults::dsl;
    type Row = (
        Option<String>,
        i32,
        Option<String>,
        Option<String>,
        Option<String>,
        Option<NaiveDateTime>,
    );
    let rows: Vec<Row> = dsl::instance_faults
        .filter(dsl::instance_uuid.eq_any(uuids))
        .filter(dsl::deleted.eq(0))
        .order((dsl::created_at, dsl::id))
        .select((
            dsl::instance_uuid,
            dsl::code,
            dsl::message,
            dsl::details,
            dsl::host,
            dsl::created_at,
        ))
        .load(conn.sql())?;
    let faults = rows.into_iter().filter_map(|(uuid, code, message, details, host, created_at)| {
        let message = message.unwrap_or_default();
        Some((uuid?, InstanceFault { code, message, details, host, created_at }))
    });
    Ok(faults.collect())
}
