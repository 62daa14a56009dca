//! Claims: what an instance takes from its host, from its placement to the acknowledged destroy.

use std::collections::{BTreeMap, HashMap};

use cellzero_database::{DatabaseError, database_error_source, insert_rows, load_locked};
use cellzero_types::{InstanceUuid, Resources};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::claims;
use crate::{ApiConnection, IN_LIST_MAX, column_number, host_capacity, parse, texts};

/// A claim on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// The epoch that placed it.
    pub epoch: i64,
    /// The host.
    pub host: String,
    /// How much.
    pub resources: Resources,
    /// Hosts of the same cell to which it may move where the host cannot build, the best first.
    pub alternates: Vec<String>,
}

/// Why claims were not taken. Nothing of them stands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// The host has too little left: another scheduler was faster.
    #[error("host {host} has too little left for what was to be claimed on it")]
    Conflict {
        /// The host.
        host: String,
    },
    /// The database's.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

database_error_source!(ClaimError);

#[derive(Insertable)]
#[diesel(table_name = claims, treat_none_as_default_value = false)]
struct NewRow<'a> {
    instance_uuid: String,
    epoch: i64,
    host: &'a str,
    vcpus: i32,
    memory_mb: i32,
    disk_gb: i32,
    created_at: NaiveDateTime,
    alternates: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = claims)]
struct Row {
    instance_uuid: String,
    epoch: i64,
    host: String,
    vcpus: i32,
    memory_mb: i32,
    disk_gb: i32,
    alternates: Option<String>,
}

fn claim(row: Row) -> Result<Claim, DatabaseError> {
    let resources = Resources {
        vcpus: row.vcpus.into(),
        memory_mb: row.memory_mb.into(),
        disk_gb: row.disk_gb.into(),
    };
    let alternates = match &row.alternates {
        None => Vec::new(),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            DatabaseError::damaged(format!("alternates of {}: {error}", row.instance_uuid))
        })?,
    };
    Ok(Claim {
        instance_uuid: parse(&row.instance_uuid)?,
        epoch: row.epoch,
        host: row.host,
        resources,
        alternates,
    })
}

fn per_host(claims: &[Claim]) -> BTreeMap<&str, Resources> {
    // Sorted by host, so that two claimers lock hosts in the same order.
    let mut hosts: BTreeMap<&str, Resources> = BTreeMap::new();
    for claim in claims {
        let total = hosts.entry(claim.host.as_str()).or_default();
        *total = *total + claim.resources;
    }
    hosts
}

/// Takes claims, all or none: each host is asked once, by an update that succeeds only where
/// enough is left, so no host is ever over its limit. One statement for each host, and one for
/// each hundred claims. To be called in a transaction.
///
/// # Errors
/// [`ClaimError::Conflict`] for the first host with too little left, or the database's.
pub fn take(
    conn: &mut ApiConnection,
    claims: &[Claim],
    now: NaiveDateTime,
) -> Result<(), ClaimError> {
    for (host, resources) in per_host(claims) {
        if !host_capacity::take(conn, host, resources, now)? {
            return Err(ClaimError::Conflict { host: host.to_owned() });
        }
    }
    Ok(insert(conn, claims, now)?)
}

fn insert(
    conn: &mut ApiConnection,
    claims: &[Claim],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewRow<'_>> = claims
        .iter()
        .map(|claim| NewRow {
            instance_uuid: claim.instance_uuid.text(),
            epoch: claim.epoch,
            host: &claim.host,
            vcpus: column_number(claim.resources.vcpus),
            memory_mb: column_number(claim.resources.memory_mb),
            disk_gb: column_number(claim.resources.disk_gb),
            created_at: now,
            alternates: (!claim.alternates.is_empty())
                .then(|| serde_json::json!(claim.alternates).to_string()),
        })
        .collect();
    insert_rows!(conn, claims::table, rows);
    Ok(())
}

/// Frees the claims of these instances, where they have any; gives those that it freed. One statement
/// where there is none, otherwise one more and one for each host. To be called in a transaction.
///
/// Two that free the same claim at once take turns: the second finds none, and gives nothing back.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn free(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
    now: NaiveDateTime,
) -> Result<Vec<Claim>, DatabaseError> {
    let mut standing: Vec<Claim> = Vec::new();
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<Row> = load_locked!(
            conn,
            claims::table
                .filter(claims::instance_uuid.eq_any(chunk))
                .order(claims::instance_uuid)
                .select(Row::as_select())
        )?;
        for row in rows {
            standing.push(claim(row)?);
        }
    }
    if standing.is_empty() {
        return Ok(standing);
    }
    for (host, resources) in per_host(&standing) {
        host_capacity::give_back(conn, host, resources, now)?;
    }
    for chunk in texts(standing.iter().map(|claim| &claim.instance_uuid)).chunks(IN_LIST_MAX) {
        diesel::delete(claims::table.filter(claims::instance_uuid.eq_any(chunk)))
            .execute(conn.sql())?;
    }
    Ok(standing)
}

/// Moves a claim to the first of these hosts that has enough left, at a new epoch; frees it where
/// none has. Those that come after the chosen one stay its alternates. The hosts are locked together,
/// so that two that swap theirs take turns. To be called in a transaction. Four statements, and one
/// for each host that is asked.
///
/// # Errors
/// The database's.
pub fn swap(
    conn: &mut ApiConnection,
    claim: &Claim,
    epoch: i64,
    hosts: &[String],
    now: NaiveDateTime,
) -> Result<Option<Claim>, DatabaseError> {
    let involved: Vec<&str> = hosts.iter().chain([&claim.host]).map(String::as_str).collect();
    host_capacity::lock_all(conn, &involved)?;
    host_capacity::give_back(conn, &claim.host, claim.resources, now)?;
    diesel::delete(claims::table.find(claim.instance_uuid.text())).execute(conn.sql())?;
    for (index, host) in hosts.iter().enumerate() {
        if host_capacity::take(conn, host, claim.resources, now)? {
            let alternates = hosts[index + 1..].to_vec();
            let moved = Claim { epoch, host: host.clone(), alternates, ..claim.clone() };
            insert(conn, std::slice::from_ref(&moved), now)?;
            return Ok(Some(moved));
        }
    }
    Ok(None)
}

/// The claims of these instances. One statement for each five hundred.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn of_instances(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<HashMap<InstanceUuid, Claim>, DatabaseError> {
    let mut found = HashMap::new();
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<Row> = claims::table
            .filter(claims::instance_uuid.eq_any(chunk))
            .select(Row::as_select())
            .load(conn.sql())?;
        for row in rows {
            let claim = claim(row)?;
            found.insert(claim.instance_uuid, claim);
        }
    }
    Ok(found)
}

/// How many instances of this list each host has a claim of: the server group's members. One
/// statement for each five hundred.
///
/// # Errors
/// The database's.
pub fn count_by_host(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<BTreeMap<String, u32>, DatabaseError> {
    let mut counts = BTreeMap::new();
    for claim in of_instances(conn, uuids)?.into_values() {
        *counts.entry(claim.host).or_insert(0) += 1;
    }
    Ok(counts)
}

/// How many instances claim a host. One statement.
///
/// # Errors
/// The database's.
pub fn count_on_host(conn: &mut ApiConnection, host: &str) -> Result<i64, DatabaseError> {
    Ok(claims::table.filter(claims::host.eq(host)).count().get_result(conn.sql())?)
}

/// Claims what instances that were found in a cell take from their hosts, whether or not so much is
/// left, and counts the claims of these hosts again; a host that is not known yet counts them when it
/// is. One statement for each hundred claims, and four for each host. To be called in a transaction.
///
/// # Errors
/// The database's; a unique violation where an instance has a claim.
pub fn adopt(
    conn: &mut ApiConnection,
    claims: &[Claim],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let hosts = per_host(claims);
    for host in hosts.keys() {
        host_capacity::lock(conn, host)?;
    }
    insert(conn, claims, now)?;
    for host in hosts.keys() {
        host_capacity::count_claims(conn, host, now)?;
    }
    Ok(())
}

/// Makes an instance's claim this one, whether or not its host has so much left, and counts the
/// claims of the hosts again: a repair. None frees it. To be called in a transaction.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn replace(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
    claim: Option<&Claim>,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let before = of_instances(conn, &[uuid])?.remove(&uuid);
    // Sorted, so that hosts are locked in the order in which claimers lock them.
    let mut hosts: Vec<&str> =
        before.iter().chain(claim).map(|claim| claim.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    for host in &hosts {
        host_capacity::lock(conn, host)?;
    }
    diesel::delete(claims::table.find(uuid.text())).execute(conn.sql())?;
    if let Some(claim) = claim {
        insert(conn, std::slice::from_ref(claim), now)?;
    }
    for host in hosts {
        host_capacity::count_claims(conn, host, now)?;
    }
    Ok(())
}
