//! Compute nodes: what the hosts of this cell report of themselves. Cell0 never has one.

use cellzero_database::DatabaseError;
use cellzero_types::ComputeNode;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use uuid::Uuid;

use crate::CellConnection;
use crate::schema::compute_nodes;

#[derive(Insertable, AsChangeset)]
#[diesel(table_name = compute_nodes, treat_none_as_default_value = false)]
struct Sizes<'a> {
    updated_at: NaiveDateTime,
    vcpus: i32,
    memory_mb: i32,
    local_gb: i32,
    hypervisor_type: &'a str,
    hypervisor_version: i32,
    cpu_allocation_ratio: f64,
    ram_allocation_ratio: f64,
    disk_allocation_ratio: f64,
}

#[derive(Insertable)]
#[diesel(table_name = compute_nodes, treat_none_as_default_value = false)]
struct NewNode<'a> {
    #[diesel(embed)]
    sizes: Sizes<'a>,
    created_at: NaiveDateTime,
    host: &'a str,
    hypervisor_hostname: &'a str,
    vcpus_used: i32,
    memory_mb_used: i32,
    local_gb_used: i32,
    cpu_info: &'a str,
    uuid: String,
    deleted: i32,
    mapped: i32,
}

/// Stores a host's report. One statement, two for a new one. The row is marked as mapped: the
/// report writes the host mapping too.
///
/// # Errors
/// The database's.
pub fn report(
    conn: &mut CellConnection,
    node: &ComputeNode,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let sizes = || Sizes {
        updated_at: now,
        vcpus: node.vcpus,
        memory_mb: node.memory_mb,
        local_gb: node.local_gb,
        hypervisor_type: &node.hypervisor_type,
        hypervisor_version: node.hypervisor_version,
        cpu_allocation_ratio: node.cpu_allocation_ratio,
        ram_allocation_ratio: node.ram_allocation_ratio,
        disk_allocation_ratio: node.disk_allocation_ratio,
    };
    let known = compute_nodes::table
        .filter(compute_nodes::host.eq(&node.host))
        .filter(compute_nodes::hypervisor_hostname.eq(&node.hypervisor_hostname))
        .filter(compute_nodes::deleted.eq(0));
    if diesel::update(known).set(sizes()).execute(conn.sql())? == 0 {
        let row = NewNode {
            sizes: sizes(),
            created_at: now,
            host: &node.host,
            hypervisor_hostname: &node.hypervisor_hostname,
            vcpus_used: 0,
            memory_mb_used: 0,
            local_gb_used: 0,
            cpu_info: "{}",
            uuid: Uuid::new_v4().to_string(),
            deleted: 0,
            mapped: 1,
        };
        diesel::insert_into(compute_nodes::table).values(&row).execute(conn.sql())?;
    }
    Ok(())
}

/// The hosts with a live compute node, sorted. One statement.
///
/// # Errors
/// The database's.
pub fn hosts(conn: &mut CellConnection) -> Result<Vec<String>, DatabaseError> {
    let hosts: Vec<Option<String>> = compute_nodes::table
        .filter(compute_nodes::deleted.eq(0))
        .order(compute_nodes::host)
        .select(compute_nodes::host)
        .load(conn.sql())?;
    Ok(hosts.into_iter().flatten().collect())
}

/// Deletes the compute nodes of a host softly: a repair. One statement.
///
/// # Errors
/// The database's.
pub fn delete(
    conn: &mut CellConnection,
    host: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let live = compute_nodes::table
        .filter(compute_nodes::host.eq(host))
        .filter(compute_nodes::deleted.eq(0));
    diesel::update(live)
        .set((
            compute_nodes::deleted.eq(compute_nodes::id.nullable()),
            compute_nodes::deleted_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}
