//! The host mapping: which cell a compute host belongs to.

use std::collections::HashMap;

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::CellUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{cell_mappings, host_mappings};
use crate::{ApiConnection, IN_LIST_MAX, parse};

#[derive(Insertable)]
#[diesel(table_name = host_mappings, treat_none_as_default_value = false)]
struct NewRow<'a> {
    created_at: NaiveDateTime,
    cell_id: i32,
    host: &'a str,
}

/// Maps a host to the cell with this row id. One statement.
///
/// # Errors
/// The database's; a unique violation where the host is mapped already.
pub fn insert(
    conn: &mut ApiConnection,
    host: &str,
    cell_id: i32,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row = NewRow { created_at: now, cell_id, host };
    diesel::insert_into(host_mappings::table).values(&row).execute(conn.sql())?;
    Ok(())
}

/// Maps hosts to the cell with this row id. One statement for each hundred.
///
/// # Errors
/// The database's; a unique violation where one is mapped already.
pub fn insert_all(
    conn: &mut ApiConnection,
    hosts: &[String],
    cell_id: i32,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewRow<'_>> =
        hosts.iter().map(|host| NewRow { created_at: now, cell_id, host }).collect();
    insert_rows!(conn, host_mappings::table, rows);
    Ok(())
}

/// Every mapped host with its cell, by host. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn all(conn: &mut ApiConnection) -> Result<Vec<(String, CellUuid)>, DatabaseError> {
    let rows: Vec<(String, String)> = host_mappings::table
        .inner_join(cell_mappings::table)
        .order(host_mappings::host)
        .select((host_mappings::host, cell_mappings::uuid))
        .load(conn.sql())?;
    rows.into_iter().map(|(host, cell)| Ok((host, parse(&cell)?))).collect()
}

/// The cells of these hosts; a host without a mapping is left out. One statement for each five
/// hundred.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn cells_of(
    conn: &mut ApiConnection,
    hosts: &[String],
) -> Result<HashMap<String, CellUuid>, DatabaseError> {
    let mut cells = HashMap::with_capacity(hosts.len());
    for hosts in hosts.chunks(IN_LIST_MAX) {
        let rows: Vec<(String, String)> = host_mappings::table
            .inner_join(cell_mappings::table)
            .filter(host_mappings::host.eq_any(hosts))
            .select((host_mappings::host, cell_mappings::uuid))
            .load(conn.sql())?;
        for (host, cell) in rows {
            cells.insert(host, parse(&cell)?);
        }
    }
    Ok(cells)
}

/// Removes a host's mapping; says whether there was one. One statement.
///
/// # Errors
/// The database's.
pub fn delete(conn: &mut ApiConnection, host: &str) -> Result<bool, DatabaseError> {
    let gone = diesel::delete(host_mappings::table.filter(host_mappings::host.eq(host)))
        .execute(conn.sql())?;
    Ok(gone == 1)
}
