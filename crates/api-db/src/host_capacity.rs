//! Host capacity: what each host can take, and how much of it is claimed.
//!
//! It is the scheduler's view of the hosts of all cells, written by their reports, so that a
//! placement reads one database. `*_used` changes only together with the claims.
//!
//! `generation` of a host rises with each change that can help a request that waits: capacity that
//! is freed or grows, other traits, zone or cell, a return after silence. It stands in the row that
//! such a change writes anyway, so it costs no statement and no lock; what only takes leaves it.
//! `served_generation` is the one up to which those that wait have been compared.

use std::collections::{BTreeMap, BTreeSet};

use cellzero_database::{DatabaseError, insert_rows, load_locked};
use cellzero_types::{CellUuid, ComputeNode, Resources};
use chrono::{NaiveDateTime, TimeDelta};
use diesel::dsl::case_when;
use diesel::prelude::*;

use crate::schema::{cell_mappings, host_capacity};
use crate::{ApiConnection, IN_LIST_MAX, column_number, parse};

/// A host as the scheduler sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct HostCapacity {
    /// The host.
    pub host: String,
    /// Its hypervisor's name.
    pub node: String,
    /// The cell that it reported to.
    pub cell: CellUuid,
    /// What may be claimed, after allocation ratios.
    pub limit: Resources,
    /// What is claimed.
    pub used: Resources,
    /// What it offers besides size.
    pub traits: BTreeSet<String>,
    /// Whether an operator has taken it out of scheduling.
    pub service_disabled: bool,
    /// Whether an operator has declared it down.
    pub forced_down: bool,
    /// When it reported last.
    pub last_seen_up: Option<NaiveDateTime>,
    /// Rises with each change of it that can help a request that waits.
    pub generation: i64,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = host_capacity)]
struct Row {
    host: String,
    node: String,
    cell_uuid: String,
    vcpus_limit: i32,
    memory_mb_limit: i32,
    disk_gb_limit: i32,
    vcpus_used: i32,
    memory_mb_used: i32,
    disk_gb_used: i32,
    traits: String,
    service_disabled: bool,
    forced_down: bool,
    last_seen_up: Option<NaiveDateTime>,
    generation: i64,
}

fn capacity(row: Row) -> Result<HostCapacity, DatabaseError> {
    let traits = serde_json::from_str(&row.traits)
        .map_err(|error| DatabaseError::damaged(format!("traits of {}: {error}", row.host)))?;
    let resources = |vcpus: i32, memory_mb: i32, disk_gb: i32| Resources {
        vcpus: vcpus.into(),
        memory_mb: memory_mb.into(),
        disk_gb: disk_gb.into(),
    };
    Ok(HostCapacity {
        limit: resources(row.vcpus_limit, row.memory_mb_limit, row.disk_gb_limit),
        used: resources(row.vcpus_used, row.memory_mb_used, row.disk_gb_used),
        host: row.host,
        node: row.node,
        cell: parse(&row.cell_uuid)?,
        traits,
        service_disabled: row.service_disabled,
        forced_down: row.forced_down,
        last_seen_up: row.last_seen_up,
        generation: row.generation,
    })
}

/// The hosts of all live cells, by host, each with whether its cell is disabled. One statement.
///
/// # Errors
/// The database's, or a damaged row.
pub fn of_live_cells(conn: &mut ApiConnection) -> Result<Vec<(HostCapacity, bool)>, DatabaseError> {
    let rows: Vec<(Row, Option<bool>)> = host_capacity::table
        .inner_join(cell_mappings::table.on(cell_mappings::uuid.eq(host_capacity::cell_uuid)))
        .filter(cell_mappings::uuid.ne(CellUuid::CELL0.text()))
        .order(host_capacity::host)
        .select((Row::as_select(), cell_mappings::disabled))
        .load(conn.sql())?;
    let rows = rows.into_iter();
    rows.map(|(row, disabled)| Ok((capacity(row)?, disabled == Some(true)))).collect()
}

/// One host, where it has reported. One statement.
///
/// # Errors
/// The database's, or a damaged row.
pub fn find(conn: &mut ApiConnection, host: &str) -> Result<Option<HostCapacity>, DatabaseError> {
    let row: Option<Row> = host_capacity::table
        .find(host)
        .select(Row::as_select())
        .get_result(conn.sql())
        .optional()?;
    row.map(capacity).transpose()
}

/// These hosts, those that have reported, in no order. One statement for each five hundred.
///
/// # Errors
/// The database's, or a damaged row.
pub fn of_hosts(
    conn: &mut ApiConnection,
    hosts: &[String],
) -> Result<Vec<HostCapacity>, DatabaseError> {
    let mut found = Vec::with_capacity(hosts.len());
    for hosts in hosts.chunks(IN_LIST_MAX) {
        let rows: Vec<Row> = host_capacity::table
            .filter(host_capacity::host.eq_any(hosts))
            .select(Row::as_select())
            .load(conn.sql())?;
        for row in rows {
            found.push(capacity(row)?);
        }
    }
    Ok(found)
}

#[derive(Insertable)]
#[diesel(table_name = host_capacity, treat_none_as_default_value = false)]
struct NewRow<'a> {
    host: &'a str,
    node: &'a str,
    cell_uuid: String,
    vcpus_limit: i32,
    memory_mb_limit: i32,
    disk_gb_limit: i32,
    vcpus_used: i32,
    memory_mb_used: i32,
    disk_gb_used: i32,
    traits: String,
    service_disabled: bool,
    forced_down: bool,
    last_seen_up: Option<NaiveDateTime>,
    generation: i64,
    served_generation: i64,
    created_at: NaiveDateTime,
}

/// A longer silence than this is one.
const SILENCE_MAX: TimeDelta = TimeDelta::days(365);

/// Stores what a host of this cell reports; what is claimed stays. The first report after a silence
/// of `silent_after` counts as a return. One statement; three for a new host, six where adopted
/// instances claim it already. To be called in a transaction.
///
/// # Errors
/// The database's.
pub fn report(
    conn: &mut ApiConnection,
    cell: CellUuid,
    node: &ComputeNode,
    silent_after: TimeDelta,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let limit = node.limit();
    let traits = serde_json::json!(node.traits).to_string();
    // Within what every backend can compare.
    let silent_since = now - silent_after.min(SILENCE_MAX);
    let helps = host_capacity::vcpus_limit
        .lt(column_number(limit.vcpus))
        .or(host_capacity::memory_mb_limit.lt(column_number(limit.memory_mb)))
        .or(host_capacity::disk_gb_limit.lt(column_number(limit.disk_gb)))
        .or(host_capacity::traits.ne(&traits))
        .or(host_capacity::cell_uuid.ne(cell.text()))
        .or(host_capacity::node.ne(&node.hypervisor_hostname))
        .or(host_capacity::last_seen_up.is_null())
        .or(host_capacity::last_seen_up.assume_not_null().lt(silent_since));
    let generation =
        case_when(helps, host_capacity::generation + 1).otherwise(host_capacity::generation);
    let updated = diesel::update(host_capacity::table.find(&node.host))
        .set((
            // First: MariaDB compares with what stands to the left of it already.
            host_capacity::generation.eq(generation),
            host_capacity::node.eq(&node.hypervisor_hostname),
            host_capacity::cell_uuid.eq(cell.text()),
            host_capacity::vcpus_limit.eq(column_number(limit.vcpus)),
            host_capacity::memory_mb_limit.eq(column_number(limit.memory_mb)),
            host_capacity::disk_gb_limit.eq(column_number(limit.disk_gb)),
            host_capacity::traits.eq(&traits),
            host_capacity::last_seen_up.eq(now),
            host_capacity::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    if updated == 0 {
        let host = Discovered {
            node: node.clone(),
            service_disabled: false,
            forced_down: false,
            last_seen_up: Some(now),
        };
        insert(conn, cell, &[&host], now)?;
    }
    Ok(())
}

/// A host that was found in the tables of its cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovered {
    /// Its size.
    pub node: ComputeNode,
    /// Whether an operator has taken it out of scheduling.
    pub service_disabled: bool,
    /// Whether an operator has declared it down.
    pub forced_down: bool,
    /// When it was up last.
    pub last_seen_up: Option<NaiveDateTime>,
}

/// Stores hosts of this cell that were found there, with what adopted instances claim of them. One
/// that is known from when it was mapped before gets its new size, and keeps its traits. One statement
/// for each five hundred, one for each hundred new ones, one more for each that is known, and three
/// for each that is claimed. To be called in a transaction.
///
/// # Errors
/// The database's.
pub fn discover(
    conn: &mut ApiConnection,
    cell: CellUuid,
    hosts: &[Discovered],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let names: Vec<&str> = hosts.iter().map(|host| host.node.host.as_str()).collect();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for names in names.chunks(crate::IN_LIST_MAX) {
        let rows: Vec<String> = host_capacity::table
            .filter(host_capacity::host.eq_any(names))
            .select(host_capacity::host)
            .load(conn.sql())?;
        known.extend(rows);
    }
    let (known, new): (Vec<&Discovered>, Vec<&Discovered>) =
        hosts.iter().partition(|host| known.contains(&host.node.host));
    for host in known {
        let limit = host.node.limit();
        diesel::update(host_capacity::table.find(&host.node.host))
            .set((
                host_capacity::node.eq(&host.node.hypervisor_hostname),
                host_capacity::cell_uuid.eq(cell.text()),
                host_capacity::vcpus_limit.eq(column_number(limit.vcpus)),
                host_capacity::memory_mb_limit.eq(column_number(limit.memory_mb)),
                host_capacity::disk_gb_limit.eq(column_number(limit.disk_gb)),
                host_capacity::service_disabled.eq(host.service_disabled),
                host_capacity::forced_down.eq(host.forced_down),
                host_capacity::last_seen_up.eq(host.last_seen_up),
                host_capacity::generation.eq(host_capacity::generation + 1),
                host_capacity::updated_at.eq(now),
            ))
            .execute(conn.sql())?;
    }
    insert(conn, cell, &new, now)
}

/// Adds hosts that are not known. Adopted instances may claim them already.
fn insert(
    conn: &mut ApiConnection,
    cell: CellUuid,
    hosts: &[&Discovered],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    use crate::schema::claims;
    let rows: Vec<NewRow<'_>> = hosts.iter().map(|host| new_row(cell, host, now)).collect();
    insert_rows!(conn, host_capacity::table, rows);
    let names: Vec<&str> = hosts.iter().map(|host| host.node.host.as_str()).collect();
    for names in names.chunks(crate::IN_LIST_MAX) {
        let claimed: Vec<String> = claims::table
            .filter(claims::host.eq_any(names))
            .select(claims::host)
            .distinct()
            .order(claims::host)
            .load(conn.sql())?;
        for host in claimed {
            count_claims(conn, &host, now)?;
        }
    }
    Ok(())
}

fn new_row<'a>(cell: CellUuid, host: &'a Discovered, now: NaiveDateTime) -> NewRow<'a> {
    let limit = host.node.limit();
    NewRow {
        host: &host.node.host,
        node: &host.node.hypervisor_hostname,
        cell_uuid: cell.text(),
        vcpus_limit: column_number(limit.vcpus),
        memory_mb_limit: column_number(limit.memory_mb),
        disk_gb_limit: column_number(limit.disk_gb),
        vcpus_used: 0,
        memory_mb_used: 0,
        disk_gb_used: 0,
        traits: serde_json::json!(host.node.traits).to_string(),
        service_disabled: host.service_disabled,
        forced_down: host.forced_down,
        last_seen_up: host.last_seen_up,
        generation: 1,
        served_generation: 0,
        created_at: now,
    }
}

/// Takes a host out of scheduling, or back in; says whether it is known. One statement.
///
/// # Errors
/// The database's.
pub fn set_disabled(
    conn: &mut ApiConnection,
    host: &str,
    disabled: bool,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let changed = diesel::update(host_capacity::table.find(host))
        .set((
            host_capacity::service_disabled.eq(disabled),
            host_capacity::generation.eq(host_capacity::generation + i64::from(!disabled)),
            host_capacity::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(changed == 1)
}

/// Raises the generation of these hosts, of which something changed that stands in other tables.
/// One statement for each five hundred.
///
/// # Errors
/// The database's.
pub fn raise(
    conn: &mut ApiConnection,
    hosts: &[String],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    for hosts in hosts.chunks(crate::IN_LIST_MAX) {
        diesel::update(host_capacity::table.filter(host_capacity::host.eq_any(hosts)))
            .set((
                host_capacity::generation.eq(host_capacity::generation + 1),
                host_capacity::updated_at.eq(now),
            ))
            .execute(conn.sql())?;
    }
    Ok(())
}

/// The same of all hosts of a cell. One statement.
///
/// # Errors
/// The database's.
pub fn raise_cell(
    conn: &mut ApiConnection,
    cell: CellUuid,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    diesel::update(host_capacity::table.filter(host_capacity::cell_uuid.eq(cell.text())))
        .set((
            host_capacity::generation.eq(host_capacity::generation + 1),
            host_capacity::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// Takes `resources` from a host, but only where so much is left; says whether it did. A host
/// that never reported has nothing left. One statement.
pub(crate) fn take(
    conn: &mut ApiConnection,
    host: &str,
    resources: Resources,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let (vcpus, memory_mb, disk_gb) = (
        column_number(resources.vcpus),
        column_number(resources.memory_mb),
        column_number(resources.disk_gb),
    );
    // The subtraction is on the side of the numbers that cannot overflow.
    let enough = host_capacity::table
        .filter(host_capacity::host.eq(host))
        .filter(host_capacity::vcpus_used.le(host_capacity::vcpus_limit - vcpus))
        .filter(host_capacity::memory_mb_used.le(host_capacity::memory_mb_limit - memory_mb))
        .filter(host_capacity::disk_gb_used.le(host_capacity::disk_gb_limit - disk_gb));
    let taken = diesel::update(enough)
        .set((
            host_capacity::vcpus_used.eq(host_capacity::vcpus_used + vcpus),
            host_capacity::memory_mb_used.eq(host_capacity::memory_mb_used + memory_mb),
            host_capacity::disk_gb_used.eq(host_capacity::disk_gb_used + disk_gb),
            host_capacity::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(taken == 1)
}

/// Gives back what was taken from a host. One statement.
pub(crate) fn give_back(
    conn: &mut ApiConnection,
    host: &str,
    resources: Resources,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let (vcpus, memory_mb, disk_gb) = (
        column_number(resources.vcpus),
        column_number(resources.memory_mb),
        column_number(resources.disk_gb),
    );
    diesel::update(host_capacity::table.find(host))
        .set((
            host_capacity::vcpus_used.eq(host_capacity::vcpus_used - vcpus),
            host_capacity::memory_mb_used.eq(host_capacity::memory_mb_used - memory_mb),
            host_capacity::disk_gb_used.eq(host_capacity::disk_gb_used - disk_gb),
            host_capacity::generation.eq(host_capacity::generation + 1),
            host_capacity::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// A host with changes that those that wait have not been compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedHost {
    /// The host.
    pub host: String,
    /// The last of them.
    pub generation: i64,
    /// What is not claimed of it.
    pub free: Resources,
}

/// The hosts of live cells whose changes nobody has looked at. One statement.
///
/// # Errors
/// The database's, or a damaged row.
pub fn changed(conn: &mut ApiConnection) -> Result<Vec<ChangedHost>, DatabaseError> {
    let rows: Vec<Row> = host_capacity::table
        .filter(host_capacity::generation.gt(host_capacity::served_generation))
        .filter(host_capacity::cell_uuid.ne(CellUuid::CELL0.text()))
        .order(host_capacity::host)
        .select(Row::as_select())
        .load(conn.sql())?;
    let changed = |row: Row| {
        let host = capacity(row)?;
        let free = host.limit.less(&host.used);
        Ok(ChangedHost { host: host.host, generation: host.generation, free })
    };
    rows.into_iter().map(changed).collect()
}

/// Notes that those that wait were compared with these changes; later ones stand. One statement for
/// each five hundred hosts of one generation.
///
/// # Errors
/// The database's.
pub fn note_served(conn: &mut ApiConnection, hosts: &[ChangedHost]) -> Result<(), DatabaseError> {
    let mut by_generation: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for host in hosts {
        by_generation.entry(host.generation).or_default().push(&host.host);
    }
    for (generation, hosts) in by_generation {
        for chunk in hosts.chunks(crate::IN_LIST_MAX) {
            diesel::update(
                host_capacity::table
                    .filter(host_capacity::host.eq_any(chunk))
                    .filter(host_capacity::served_generation.lt(generation)),
            )
            .set(host_capacity::served_generation.eq(generation))
            .execute(conn.sql())?;
        }
    }
    Ok(())
}

/// The hosts of this cell among these that an operator has not taken out of scheduling, in the order
/// in which they are given. One statement.
///
/// # Errors
/// The database's.
pub fn open_for_builds(
    conn: &mut ApiConnection,
    cell: CellUuid,
    hosts: &[String],
) -> Result<Vec<String>, DatabaseError> {
    use crate::schema::host_mappings;
    let open: BTreeSet<String> = host_capacity::table
        .inner_join(host_mappings::table.on(host_mappings::host.eq(host_capacity::host)))
        .inner_join(cell_mappings::table.on(cell_mappings::id.eq(host_mappings::cell_id)))
        .filter(cell_mappings::uuid.eq(cell.text()))
        .filter(host_capacity::host.eq_any(hosts))
        .filter(host_capacity::service_disabled.eq(false))
        .filter(host_capacity::forced_down.eq(false))
        .select(host_capacity::host)
        .load(conn.sql())?
        .into_iter()
        .collect();
    Ok(hosts.iter().filter(|host| open.contains(*host)).cloned().collect())
}

/// Locks hosts to the end of the transaction, in the order in which claimers lock them. One
/// statement.
pub(crate) fn lock_all(conn: &mut ApiConnection, hosts: &[&str]) -> Result<(), DatabaseError> {
    let _: Vec<String> = load_locked!(
        conn,
        host_capacity::table
            .filter(host_capacity::host.eq_any(hosts))
            .order(host_capacity::host)
            .select(host_capacity::host)
    )?;
    Ok(())
}

/// Locks a host to the end of the transaction: nobody claims on it meanwhile. One statement.
///
/// # Errors
/// The database's.
pub fn lock(conn: &mut ApiConnection, host: &str) -> Result<(), DatabaseError> {
    let _: Vec<String> = load_locked!(
        conn,
        host_capacity::table.filter(host_capacity::host.eq(host)).select(host_capacity::host)
    )?;
    Ok(())
}

/// Counts again what is claimed of a host: a repair. To be called in a transaction. Three
/// statements.
///
/// # Errors
/// The database's.
pub fn count_claims(
    conn: &mut ApiConnection,
    host: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    use crate::schema::claims;
    use diesel::dsl::sum;
    lock(conn, host)?;
    let (vcpus, memory_mb, disk_gb): (Option<i64>, Option<i64>, Option<i64>) = claims::table
        .filter(claims::host.eq(host))
        .select((sum(claims::vcpus), sum(claims::memory_mb), sum(claims::disk_gb)))
        .get_result(conn.sql())?;
    diesel::update(host_capacity::table.find(host))
        .set((
            host_capacity::vcpus_used.eq(column_number(vcpus.unwrap_or(0))),
            host_capacity::memory_mb_used.eq(column_number(memory_mb.unwrap_or(0))),
            host_capacity::disk_gb_used.eq(column_number(disk_gb.unwrap_or(0))),
            host_capacity::generation.eq(host_capacity::generation + 1),
            host_capacity::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// Every host, by name. One statement.
///
/// # Errors
/// The database's, or a damaged row.
pub fn all(conn: &mut ApiConnection) -> Result<Vec<HostCapacity>, DatabaseError> {
    let rows: Vec<Row> = host_capacity::table
        .order(host_capacity::host)
        .select(Row::as_select())
        .load(conn.sql())?;
    rows.into_iter().map(capacity).collect()
}

/// Forgets a host, which the caller has locked and which nobody claims. One statement.
///
/// # Errors
/// The database's.
pub fn delete(conn: &mut ApiConnection, host: &str) -> Result<(), DatabaseError> {
    diesel::delete(host_capacity::table.find(host)).execute(conn.sql())?;
    Ok(())
}

/// Forgets a host that is said to be in cell0, where nobody claims it: a repair. One statement.
///
/// # Errors
/// The database's.
pub fn forget_in_cell0(conn: &mut ApiConnection, host: &str) -> Result<(), DatabaseError> {
    use crate::schema::claims;
    let claimed = claims::table.filter(claims::host.eq(host_capacity::host));
    diesel::delete(
        host_capacity::table
            .filter(host_capacity::host.eq(host))
            .filter(host_capacity::cell_uuid.eq(CellUuid::CELL0.text()))
            .filter(diesel::dsl::not(diesel::dsl::exists(claimed))),
    )
    .execute(conn.sql())?;
    Ok(())
}
