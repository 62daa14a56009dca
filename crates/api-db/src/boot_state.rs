//! The boot state: which epoch an instance is in, who works on it, and whether it has a home.
//!
//! It lives from accept to archive, and is the tombstone of a deleted instance. Its row is the
//! lock of every decision about the instance: each transaction that decides touches it first.

mod found;

use std::collections::{BTreeMap, HashMap};

use cellzero_database::{DatabaseError, insert_rows, load_locked};
use cellzero_types::{CellUuid, GroupUuid, Instance, InstanceUuid};
use chrono::{NaiveDateTime, TimeDelta};
use diesel::dsl::exists;
use diesel::prelude::*;

use crate::schema::{boot_states, build_requests};
use crate::{ApiConnection, IN_LIST_MAX, parse, texts};

pub use found::{FoundInstance, insert_found};

/// The right of one orchestrator to bring one instance home, as long as the epoch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// The epoch that the lease began.
    pub epoch: i64,
    /// The version of the request that was read.
    pub request_version: i64,
}

/// A row of `boot_states`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootState {
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Its multi-create.
    pub group: GroupUuid,
    /// Its number in the group, from 0.
    pub group_index: i32,
    /// The fewest of its group that are worth building.
    pub group_min: i32,
    /// The epoch: rises with each lease, delete and retry.
    pub epoch: i64,
    /// The epoch that found the last home; none before the first.
    pub decided_epoch: Option<i64>,
    /// How often it has waited.
    pub attempts: i32,
    /// How often the cell of a placement could not be written.
    pub placements: i32,
    /// Cells that could not be written.
    pub excluded_cells: Vec<CellUuid>,
    /// The version of the request; an update of a building instance raises it.
    pub request_version: i64,
    /// When it was accepted.
    pub created_at: NaiveDateTime,
}

impl BootState {
    /// The ticket for its present epoch.
    pub fn ticket(&self) -> Ticket {
        Ticket {
            instance_uuid: self.instance_uuid,
            epoch: self.epoch,
            request_version: self.request_version,
        }
    }
}

/// What an accepted request begins with.
#[derive(Debug, Clone)]
pub struct NewBootState {
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Its multi-create.
    pub group: GroupUuid,
    /// Its number in the group, from 0.
    pub group_index: u32,
    /// The fewest of its group that are worth building.
    pub group_min: u32,
    /// Who takes the first lease, until when.
    pub lease: (String, NaiveDateTime),
    /// Vcpus, for the quota.
    pub vcpus: i32,
    /// Memory in MiB, for the quota.
    pub memory_mb: i32,
    /// What is shown of it while its cell does not answer.
    pub outline: Outline,
}

/// What the API database knows of an instance by itself, beside its mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = boot_states, treat_none_as_null = true)]
pub struct Outline {
    /// The name that the user gave.
    pub display_name: Option<String>,
    /// Its image.
    pub image_ref: Option<String>,
    /// The row id of its flavor.
    pub instance_type_id: Option<i32>,
    /// The availability zone that was asked for.
    pub availability_zone: Option<String>,
    /// Its key pair's name.
    pub key_name: Option<String>,
}

impl From<&Instance> for Outline {
    fn from(instance: &Instance) -> Outline {
        Outline {
            display_name: instance.display_name.clone(),
            image_ref: instance.image_ref.clone(),
            instance_type_id: instance.instance_type_id,
            availability_zone: instance.availability_zone.clone(),
            key_name: instance.key_name.clone(),
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = boot_states, treat_none_as_default_value = false)]
struct NewRow<'a> {
    instance_uuid: String,
    group_uuid: String,
    group_index: i32,
    group_min: i32,
    epoch: i64,
    owner: &'a str,
    lease_until: NaiveDateTime,
    attempts: i32,
    placements: i32,
    request_version: i64,
    vcpus: i32,
    memory_mb: i32,
    display_name: Option<&'a str>,
    image_ref: Option<&'a str>,
    instance_type_id: Option<i32>,
    availability_zone: Option<&'a str>,
    key_name: Option<&'a str>,
    created_at: NaiveDateTime,
}

/// The epoch of the lease that the acceptor takes.
pub const FIRST_EPOCH: i64 = 1;
/// The version of a request as it was accepted.
pub const FIRST_VERSION: i64 = 1;

/// Begins the life of accepted instances, leased to their acceptor. One statement for each hundred.
///
/// # Errors
/// The database's.
pub fn insert(
    conn: &mut ApiConnection,
    states: &[NewBootState],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewRow<'_>> = states
        .iter()
        .map(|state| NewRow {
            instance_uuid: state.instance_uuid.text(),
            group_uuid: state.group.text(),
            group_index: crate::column_number(state.group_index.into()),
            group_min: crate::column_number(state.group_min.into()),
            epoch: FIRST_EPOCH,
            owner: &state.lease.0,
            lease_until: state.lease.1,
            attempts: 0,
            placements: 0,
            request_version: FIRST_VERSION,
            vcpus: state.vcpus,
            memory_mb: state.memory_mb,
            display_name: state.outline.display_name.as_deref(),
            image_ref: state.outline.image_ref.as_deref(),
            instance_type_id: state.outline.instance_type_id,
            availability_zone: state.outline.availability_zone.as_deref(),
            key_name: state.outline.key_name.as_deref(),
            created_at: now,
        })
        .collect();
    insert_rows!(conn, boot_states::table, rows);
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = boot_states)]
struct Row {
    instance_uuid: String,
    group_uuid: String,
    group_index: i32,
    group_min: i32,
    epoch: i64,
    decided_epoch: Option<i64>,
    attempts: i32,
    placements: i32,
    excluded_cells: Option<String>,
    request_version: i64,
    created_at: NaiveDateTime,
}

fn state(row: Row) -> Result<BootState, DatabaseError> {
    let excluded_cells = match &row.excluded_cells {
        None => Vec::new(),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            DatabaseError::damaged(format!("excluded cells of {}: {error}", row.instance_uuid))
        })?,
    };
    Ok(BootState {
        instance_uuid: parse(&row.instance_uuid)?,
        group: parse(&row.group_uuid)?,
        group_index: row.group_index,
        group_min: row.group_min,
        epoch: row.epoch,
        decided_epoch: row.decided_epoch,
        attempts: row.attempts,
        placements: row.placements,
        excluded_cells,
        request_version: row.request_version,
        created_at: row.created_at,
    })
}

/// The boot state of an instance, where it has one. One statement.
///
/// # Errors
/// The database's, or a damaged row.
pub fn find(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
) -> Result<Option<BootState>, DatabaseError> {
    let row: Option<Row> = boot_states::table
        .find(uuid.text())
        .select(Row::as_select())
        .get_result(conn.sql())
        .optional()?;
    row.map(state).transpose()
}

/// The outlines of these instances; those without a boot state are left out. One statement for each
/// five hundred.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn outlines(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<HashMap<InstanceUuid, Outline>, DatabaseError> {
    let mut outlines = HashMap::with_capacity(uuids.len());
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<(String, Outline)> = boot_states::table
            .filter(boot_states::instance_uuid.eq_any(chunk))
            .select((boot_states::instance_uuid, Outline::as_select()))
            .load(conn.sql())?;
        for (uuid, outline) in rows {
            outlines.insert(parse(&uuid)?, outline);
        }
    }
    Ok(outlines)
}

/// Where an instance stands, by its boot state and its mapping at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its cell; none while it has no home.
    pub cell: Option<CellUuid>,
    /// The epoch that found it.
    pub decided_epoch: Option<i64>,
    /// Whether its delete was asked for.
    pub queued_for_delete: bool,
}

/// Where each of these instances stands; those without a boot state or a mapping are left out. One
/// statement for each five hundred.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn standings(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<HashMap<InstanceUuid, Standing>, DatabaseError> {
    use crate::schema::{cell_mappings, instance_mappings};
    type Row = (String, Option<i64>, Option<bool>, Option<String>);
    let mut standings = HashMap::with_capacity(uuids.len());
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<Row> = boot_states::table
            .inner_join(
                instance_mappings::table
                    .on(instance_mappings::instance_uuid.eq(boot_states::instance_uuid)),
            )
            .left_join(
                cell_mappings::table
                    .on(cell_mappings::id.nullable().eq(instance_mappings::cell_id)),
            )
            .filter(boot_states::instance_uuid.eq_any(chunk))
            .select((
                boot_states::instance_uuid,
                boot_states::decided_epoch,
                instance_mappings::queued_for_delete,
                cell_mappings::uuid.nullable(),
            ))
            .load(conn.sql())?;
        for (uuid, decided_epoch, queued, cell) in rows {
            let cell = cell.as_deref().map(parse).transpose()?;
            let queued_for_delete = queued.unwrap_or(false);
            standings.insert(parse(&uuid)?, Standing { cell, decided_epoch, queued_for_delete });
        }
    }
    Ok(standings)
}

/// The instances of a group, by their number in it; deleted ones too. One statement.
///
/// # Errors
/// The database's.
pub fn uuids_of_group(
    conn: &mut ApiConnection,
    group: GroupUuid,
) -> Result<Vec<InstanceUuid>, DatabaseError> {
    let uuids: Vec<String> = boot_states::table
        .filter(boot_states::group_uuid.eq(group.text()))
        .order(boot_states::group_index)
        .select(boot_states::instance_uuid)
        .load(conn.sql())?;
    uuids.iter().map(|uuid| parse(uuid)).collect()
}

/// Whether any instance of a group has a home, or had one before it was retried. One statement.
///
/// # Errors
/// The database's.
pub fn any_decided(conn: &mut ApiConnection, group: GroupUuid) -> Result<bool, DatabaseError> {
    let decided: i64 = boot_states::table
        .filter(boot_states::group_uuid.eq(group.text()))
        .filter(boot_states::decided_epoch.is_not_null())
        .count()
        .get_result(conn.sql())?;
    Ok(decided > 0)
}

/// How many instances of a group have a build request. One statement.
///
/// # Errors
/// The database's.
pub fn count_undecided(conn: &mut ApiConnection, group: GroupUuid) -> Result<u32, DatabaseError> {
    let undecided: i64 = boot_states::table
        .inner_join(
            build_requests::table
                .on(build_requests::instance_uuid.eq(boot_states::instance_uuid.nullable())),
        )
        .filter(boot_states::group_uuid.eq(group.text()))
        .count()
        .get_result(conn.sql())?;
    Ok(u32::try_from(undecided).unwrap_or(u32::MAX))
}

/// Locks the boot states of these instances to the end of the transaction, in uuid order, and
/// gives those that still have a build request. One statement for each five hundred.
///
/// # Errors
/// The database's, or a damaged row.
pub fn lock_undecided(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<Vec<BootState>, DatabaseError> {
    let mut uuids = texts(uuids);
    uuids.sort();
    let mut states = Vec::with_capacity(uuids.len());
    for chunk in uuids.chunks(IN_LIST_MAX) {
        let rows: Vec<Row> =
            load_locked!(
                conn,
                boot_states::table
                    .inner_join(build_requests::table.on(
                        build_requests::instance_uuid.eq(boot_states::instance_uuid.nullable()),
                    ))
                    // Asked of the small table: PostgreSQL, which thinks it empty between two
                    // bursts, would else scan the large one for each of its rows.
                    .filter(build_requests::instance_uuid.eq_any(chunk))
                    .order(boot_states::instance_uuid)
                    .select(Row::as_select())
            )?;
        for row in rows {
            states.push(state(row)?);
        }
    }
    Ok(states)
}

/// Locks a boot state to the end of the transaction, where there is one. One statement.
///
/// # Errors
/// The database's, or a damaged row.
pub fn lock(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
) -> Result<Option<BootState>, DatabaseError> {
    let rows: Vec<Row> = load_locked!(
        conn,
        boot_states::table
            .filter(boot_states::instance_uuid.eq(uuid.text()))
            .select(Row::as_select())
    )?;
    rows.into_iter().next().map(state).transpose()
}

/// Groups that wait for an orchestrator: a build request stands, no lease holds, and their time
/// has come. Oldest first, at most `limit`. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn due_groups(
    conn: &mut ApiConnection,
    now: NaiveDateTime,
    limit: u32,
) -> Result<Vec<GroupUuid>, DatabaseError> {
    let free = boot_states::lease_until.is_null().or(boot_states::lease_until.lt(now));
    let due = boot_states::not_before.is_null().or(boot_states::not_before.le(now));
    let groups: Vec<String> = boot_states::table
        .inner_join(
            build_requests::table
                .on(build_requests::instance_uuid.eq(boot_states::instance_uuid.nullable())),
        )
        .filter(free)
        .filter(due)
        .group_by(boot_states::group_uuid)
        .order(diesel::dsl::min(build_requests::id))
        .limit(limit.into())
        .select(boot_states::group_uuid)
        .load(conn.sql())?;
    groups.iter().map(|group| parse(group)).collect()
}

/// Step 2 of the boot protocol: takes those instances of a group that wait, for `owner` until
/// `lease_until`, each in a new epoch. Three statements.
///
/// # Errors
/// The database's, or a damaged row.
pub fn lease(
    conn: &mut ApiConnection,
    group: GroupUuid,
    owner: &str,
    lease_until: NaiveDateTime,
    now: NaiveDateTime,
) -> Result<Vec<BootState>, DatabaseError> {
    let all = uuids_of_group(conn, group)?;
    let undecided = lock_undecided(conn, &all)?;
    let uuids: Vec<InstanceUuid> = undecided.iter().map(|state| state.instance_uuid).collect();
    let epochs: HashMap<InstanceUuid, i64> =
        undecided.iter().map(|state| (state.instance_uuid, state.epoch)).collect();
    let mut leased = Vec::with_capacity(uuids.len());
    for chunk in texts(&uuids).chunks(IN_LIST_MAX) {
        let free = boot_states::lease_until.is_null().or(boot_states::lease_until.lt(now));
        let due = boot_states::not_before.is_null().or(boot_states::not_before.le(now));
        let waiting = boot_states::table
            .filter(boot_states::instance_uuid.eq_any(chunk))
            .filter(free)
            .filter(due);
        diesel::update(waiting)
            .set((
                boot_states::epoch.eq(boot_states::epoch + 1),
                boot_states::owner.eq(owner),
                boot_states::lease_until.eq(lease_until),
                boot_states::updated_at.eq(now),
            ))
            .execute(conn.sql())?;
        // A count says how many were won, not which: they carry this owner and this time, and the
        // epoch after the one that was locked, so that two workers of one owner never both win.
        let rows: Vec<Row> = boot_states::table
            .filter(boot_states::instance_uuid.eq_any(chunk))
            .filter(boot_states::owner.eq(owner))
            .filter(boot_states::lease_until.eq(lease_until))
            .filter(boot_states::updated_at.eq(now))
            .order(boot_states::group_index)
            .select(Row::as_select())
            .load(conn.sql())?;
        for row in rows {
            let state = state(row)?;
            if epochs.get(&state.instance_uuid) == Some(&(state.epoch - 1)) {
                leased.push(state);
            }
        }
    }
    Ok(leased)
}

/// Step 5 of the boot protocol, its guard: closes this epoch for these instances, but only where
/// it still stands at this version of the request, a build request is there, and the target cell
/// is cell0 or still enabled. Says how many. One statement for each five hundred.
///
/// # Errors
/// The database's.
pub fn decide(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
    (epoch, request_version): (i64, i64),
    cell: CellUuid,
    now: NaiveDateTime,
) -> Result<usize, DatabaseError> {
    use crate::schema::cell_mappings;
    let mut decided = 0;
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        // A count and no EXISTS, which PostgreSQL would make a join of. It thinks the table empty
        // between two bursts, and would scan the boot states for each of its rows.
        let requests = build_requests::table
            .filter(build_requests::instance_uuid.eq(boot_states::instance_uuid.nullable()))
            .count()
            .single_value();
        let open = cell_mappings::table.filter(cell_mappings::uuid.eq(cell.text())).filter(
            cell_mappings::disabled
                .is_null()
                .or(cell_mappings::disabled.eq(false))
                .or(cell_mappings::uuid.eq(CellUuid::CELL0.text())),
        );
        let ours = boot_states::table
            .filter(boot_states::instance_uuid.eq_any(chunk))
            .filter(boot_states::epoch.eq(epoch))
            .filter(boot_states::request_version.eq(request_version))
            .filter(requests.gt(0))
            .filter(exists(open));
        decided += diesel::update(ours)
            .set((
                boot_states::decided_epoch.eq(epoch),
                boot_states::owner.eq(None::<String>),
                boot_states::lease_until.eq(None::<NaiveDateTime>),
                boot_states::updated_at.eq(now),
            ))
            .execute(conn.sql())?;
    }
    Ok(decided)
}

/// When instances that found no home are to be taken again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandBack {
    /// At once, but not to be placed in these cells, which could not be written.
    Without(Vec<CellUuid>),
    /// After this time, in any cell.
    After(TimeDelta),
    /// At once, since the request was changed meanwhile and no cell is to blame; still not in these.
    Again(Vec<CellUuid>),
}

/// Gives instances back after an attempt that found no home, each only at this epoch. One statement
/// for each five hundred.
///
/// # Errors
/// The database's.
pub fn hand_back(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
    epoch: i64,
    hand_back: &HandBack,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let named = |cells: &Vec<CellUuid>| Some(serde_json::json!(cells).to_string());
    let (excluded, not_before, placements, attempts) = match hand_back {
        HandBack::Without(cells) => (named(cells), None, 1, 0),
        HandBack::Again(cells) => (named(cells), None, 0, 0),
        HandBack::After(wait) => (None, now.checked_add_signed(*wait), 0, 1),
    };
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let ours = boot_states::table
            .filter(boot_states::instance_uuid.eq_any(chunk))
            .filter(boot_states::epoch.eq(epoch));
        diesel::update(ours)
            .set((
                boot_states::owner.eq(None::<String>),
                boot_states::lease_until.eq(None::<NaiveDateTime>),
                boot_states::not_before.eq(not_before),
                boot_states::attempts.eq(boot_states::attempts + attempts),
                boot_states::placements.eq(boot_states::placements + placements),
                boot_states::excluded_cells.eq(&excluded),
                boot_states::updated_at.eq(now),
            ))
            .execute(conn.sql())?;
    }
    Ok(())
}

/// Gives back what this owner still leases, so that another may take it at once; says how many.
/// One statement.
///
/// # Errors
/// The database's.
pub fn release_all(
    conn: &mut ApiConnection,
    owner: &str,
    now: NaiveDateTime,
) -> Result<usize, DatabaseError> {
    let leased = boot_states::table.filter(boot_states::owner.eq(owner));
    let released = diesel::update(leased)
        .set((
            boot_states::owner.eq(None::<String>),
            boot_states::lease_until.eq(None::<NaiveDateTime>),
            boot_states::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(released)
}

/// Begins the boot of a buried instance anew, whose row the caller has locked: a new epoch, without
/// what earlier attempts left. The epoch that was decided stays, so that what is left of the group
/// is still bound by the verdict by which it was. One statement.
///
/// # Errors
/// The database's.
pub fn begin_retry(
    conn: &mut ApiConnection,
    locked: &BootState,
    now: NaiveDateTime,
) -> Result<i64, DatabaseError> {
    let epoch = locked.epoch + 1;
    diesel::update(boot_states::table.find(locked.instance_uuid.text()))
        .set((
            boot_states::epoch.eq(epoch),
            boot_states::owner.eq(None::<String>),
            boot_states::lease_until.eq(None::<NaiveDateTime>),
            boot_states::not_before.eq(None::<NaiveDateTime>),
            boot_states::attempts.eq(0),
            boot_states::placements.eq(0),
            boot_states::excluded_cells.eq(None::<String>),
            boot_states::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(epoch)
}

/// Notes that the request of an instance was changed, whose row the caller has locked: what was read
/// of it before can no longer decide, and its outline is this. One statement.
///
/// # Errors
/// The database's.
pub fn note_change(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
    outline: Outline,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    diesel::update(boot_states::table.find(uuid.text()))
        .set((
            outline,
            boot_states::request_version.eq(boot_states::request_version + 1),
            boot_states::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// Begins a new epoch of an instance, whose row the caller has locked: what an earlier epoch still
/// has under way can no longer decide. One statement.
///
/// # Errors
/// The database's.
pub fn raise_epoch(
    conn: &mut ApiConnection,
    locked: &BootState,
    now: NaiveDateTime,
) -> Result<i64, DatabaseError> {
    let epoch = locked.epoch + 1;
    diesel::update(boot_states::table.find(locked.instance_uuid.text()))
        .set((
            boot_states::epoch.eq(epoch),
            boot_states::owner.eq(None::<String>),
            boot_states::lease_until.eq(None::<NaiveDateTime>),
            boot_states::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(epoch)
}

/// Decides anew about an instance that stays in its cell, whose row the caller has locked: a new
/// epoch, which is the decided one. One statement.
///
/// # Errors
/// The database's.
pub fn decide_again(
    conn: &mut ApiConnection,
    locked: &BootState,
    now: NaiveDateTime,
) -> Result<i64, DatabaseError> {
    let epoch = locked.epoch + 1;
    diesel::update(boot_states::table.find(locked.instance_uuid.text()))
        .set((
            boot_states::epoch.eq(epoch),
            boot_states::decided_epoch.eq(epoch),
            boot_states::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(epoch)
}

/// What a repair knows of an instance whose boot state it sets.
#[derive(Debug, Clone, Default)]
pub struct AdoptedState {
    /// Vcpus, for the quota.
    pub vcpus: i32,
    /// Memory in MiB, for the quota.
    pub memory_mb: i32,
    /// What is shown of it while its cell does not answer.
    pub outline: Outline,
}

impl From<&Instance> for AdoptedState {
    fn from(instance: &Instance) -> AdoptedState {
        let flavor = instance.flavor.as_ref();
        AdoptedState {
            vcpus: flavor.map_or(0, |flavor| flavor.vcpus),
            memory_mb: flavor.map_or(0, |flavor| flavor.memory_mb),
            outline: Outline::from(instance),
        }
    }
}

/// Those of these instances that have a boot state, with its epoch, locked to the end of the
/// transaction. One statement for each five hundred.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn lock_epochs(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<BTreeMap<InstanceUuid, i64>, DatabaseError> {
    let mut epochs = BTreeMap::new();
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<(String, i64)> = load_locked!(
            conn,
            boot_states::table
                .filter(boot_states::instance_uuid.eq_any(chunk))
                .order(boot_states::instance_uuid)
                .select((boot_states::instance_uuid, boot_states::epoch))
        )?;
        for (uuid, epoch) in rows {
            epochs.insert(parse(&uuid)?, epoch);
        }
    }
    Ok(epochs)
}

/// Sets the epochs of an instance, and lets nobody lease it any more: a repair. Where there is no
/// boot state, one is made of what is `known`, in a group of its own; where there is one, its
/// outline is written anew if anything is known. One statement, two for a new one.
///
/// # Errors
/// The database's.
pub fn adopt(
    conn: &mut ApiConnection,
    (instance_uuid, group): (InstanceUuid, GroupUuid),
    (epoch, decided_epoch): (i64, Option<i64>),
    known: Option<&AdoptedState>,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let set = |conn: &mut ApiConnection| {
        let values = (
            boot_states::epoch.eq(epoch),
            boot_states::decided_epoch.eq(decided_epoch),
            boot_states::owner.eq(None::<String>),
            boot_states::lease_until.eq(None::<NaiveDateTime>),
            boot_states::updated_at.eq(now),
        );
        let row = diesel::update(boot_states::table.find(instance_uuid.text()));
        match known {
            Some(known) => row.set((values, known.outline.clone())).execute(conn.sql()),
            None => row.set(values).execute(conn.sql()),
        }
    };
    if set(conn)? == 0 {
        let known = known.cloned().unwrap_or_default();
        let new = NewBootState {
            instance_uuid,
            group,
            group_index: 0,
            group_min: 1,
            lease: (String::new(), now),
            vcpus: known.vcpus,
            memory_mb: known.memory_mb,
            outline: known.outline,
        };
        insert(conn, &[new], now)?;
        set(conn)?;
    }
    Ok(())
}
