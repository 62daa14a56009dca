//! Compute nodes: what the hosts of this cell report of themselves. Cell0 never has one.

use std::collections::BTreeSet;

use cellzero_database::DatabaseError;
use cellzero_types::ComputeNode;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::compute_nodes;
use crate::{CellConnection, IN_LIST_MAX};

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

/// What Nova takes where a node does not say its ratio, or says 0: processors, memory, disk.
const INITIAL_RATIOS: (f64, f64, f64) = (4.0, 1.0, 1.0);

/// A live compute node, whoever wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeSeen {
    /// The row id.
    pub id: i32,
    /// Its uuid.
    pub uuid: Option<String>,
    /// What it says of itself. Its traits are not kept in a cell, so there are none.
    pub node: ComputeNode,
    /// Its address; none where this project's hosts wrote the row, as they do not say it.
    pub host_ip: Option<String>,
    /// Whether it is marked as mapped; only a note, for Nova's own tools.
    pub mapped: bool,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = compute_nodes)]
struct NodeRow {
    id: i32,
    uuid: Option<String>,
    host: Option<String>,
    hypervisor_hostname: Option<String>,
    vcpus: i32,
    memory_mb: i32,
    local_gb: i32,
    cpu_allocation_ratio: Option<f64>,
    ram_allocation_ratio: Option<f64>,
    disk_allocation_ratio: Option<f64>,
    hypervisor_type: String,
    hypervisor_version: i32,
    host_ip: Option<String>,
    mapped: Option<i32>,
}

impl NodeRow {
    fn seen(self) -> Option<NodeSeen> {
        let host = self.host?;
        let ratio =
            |said: Option<f64>, initial| said.filter(|ratio| *ratio > 0.0).unwrap_or(initial);
        let (cpu, ram, disk) = INITIAL_RATIOS;
        let node = ComputeNode {
            hypervisor_hostname: self.hypervisor_hostname.unwrap_or_else(|| host.clone()),
            host,
            vcpus: self.vcpus,
            memory_mb: self.memory_mb,
            local_gb: self.local_gb,
            cpu_allocation_ratio: ratio(self.cpu_allocation_ratio, cpu),
            ram_allocation_ratio: ratio(self.ram_allocation_ratio, ram),
            disk_allocation_ratio: ratio(self.disk_allocation_ratio, disk),
            hypervisor_type: self.hypervisor_type,
            hypervisor_version: self.hypervisor_version,
            traits: BTreeSet::new(),
        };
        let mapped = self.mapped.unwrap_or(0) != 0;
        Some(NodeSeen { id: self.id, uuid: self.uuid, node, host_ip: self.host_ip, mapped })
    }
}

/// The live compute nodes by row id, but of a host that has several only the first. One statement.
///
/// # Errors
/// The database's.
pub fn live(conn: &mut CellConnection) -> Result<Vec<NodeSeen>, DatabaseError> {
    let rows: Vec<NodeRow> = compute_nodes::table
        .filter(compute_nodes::deleted.eq(0))
        .order(compute_nodes::id)
        .select(NodeRow::as_select())
        .load(conn.sql())?;
    let mut hosts = BTreeSet::new();
    let seen = rows.into_iter().filter_map(NodeRow::seen);
    Ok(seen.filter(|seen| hosts.insert(seen.node.host.clone())).collect())
}

/// Notes whether the live compute nodes of these hosts are mapped. One statement for each five
/// hundred.
///
/// # Errors
/// The database's.
pub fn set_mapped(
    conn: &mut CellConnection,
    hosts: &[String],
    mapped: bool,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    for hosts in hosts.chunks(IN_LIST_MAX) {
        let live = compute_nodes::table
            .filter(compute_nodes::host.eq_any(hosts))
            .filter(compute_nodes::deleted.eq(0));
        diesel::update(live)
            .set((compute_nodes::mapped.eq(i32::from(mapped)), compute_nodes::updated_at.eq(now)))
            .execute(conn.sql())?;
    }
    Ok(())
}

/// Marks every live compute node as unmapped, since its host mapping is gone with that of the cell.
/// One statement.
///
/// # Errors
/// The database's.
pub fn unmap_all(conn: &mut CellConnection) -> Result<(), DatabaseError> {
    diesel::update(compute_nodes::table.filter(compute_nodes::deleted.eq(0)))
        .set(compute_nodes::mapped.eq(0))
        .execute(conn.sql())?;
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
