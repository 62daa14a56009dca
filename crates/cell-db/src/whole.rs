//! The units of work: an instance is written, read and deleted with all that belongs to it.
//!
//! | operation | statements (one instance, nothing there before) | transactions |
//! |---|---|---|
//! | [`write()`] | one for each table that gets rows, at most 12; 3 more where a security group is new, 1 where a verdict is | 1 |
//! | [`read`] | 4 | none: single statements |
//! | [`delete`] | 11, 12 with an effect | 1 |
//! | [`sweep`] | 2, and 13 more where rows stand | 1 |
//!
//! Of many instances, [`write()`] takes one statement for each hundred rows of a table.

use std::collections::{BTreeMap, HashMap};

use cellzero_database::{DatabaseError, ErrorKind, transaction};
use cellzero_types::{
    BootHistory, CellUuid, Instance, InstanceFault, InstanceUuid, RequestContext, VmState,
};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::action::{self, NewAction, NewEvent};
use crate::block_device::{self, NewBlockDevice};
use crate::change;
use crate::fault::{self, NewFault};
use crate::instance::{self, NewExtra, NewInfoCache, NewRow, WithDeleted};
use crate::label;
use crate::metadata;
use crate::outbox::{self, OutboxRow};
use crate::tag::{self, NewTag};
use crate::verdict::{self, NewVerdict};
use crate::{CellConnection, fence, schema, security_group, texts};

/// How often a write starts over because another one made a fence in between.
const FENCE_RACES_MAX: u32 = 8;

/// An instance that is to stand in a cell, with the effect that follows from it.
#[derive(Debug, Clone)]
pub struct NewInstance {
    /// All that belongs to it; a buried one is in vm_state ERROR and has its fault.
    pub instance: Instance,
    /// The epoch that writes it.
    pub epoch: i64,
    /// The build that is sent once the instance mapping names this cell; none in cell0.
    pub build: Option<OutboxRow>,
    /// Why it is buried, in cell0.
    pub verdict: Option<NewVerdict>,
    /// What a retried one brings from cell0, with the id of the request that retried it.
    pub history: Option<(String, BootHistory)>,
}

/// What all instances of one write share.
#[derive(Debug, Clone)]
pub struct WriteBatch {
    /// The instances.
    pub instances: Vec<NewInstance>,
    /// The id of the request that made them.
    pub request_id: String,
    /// When the request was accepted: the start of the `create` action.
    pub accepted_at: NaiveDateTime,
    /// The first step of the `create` action.
    pub event: NewEvent,
    /// `Error` when they are buried.
    pub action_message: Option<String>,
}

/// What became of each instance of a write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// They stand here at this epoch, written now or before.
    pub written: Vec<InstanceUuid>,
    /// A higher epoch has raised the fence: this orchestrator's time is over.
    pub fenced: Vec<InstanceUuid>,
    /// The database rejected the rows of this one, and says why.
    pub rejected: Vec<(InstanceUuid, String)>,
}

/// Step 4 of the boot protocol. Writes the instances, each whole, in one transaction: raises their
/// fences to their epoch, refuses those whose fence is higher, replaces rows of lower epochs, and
/// changes nothing where the same epoch stands already. An instance whose rows the database
/// rejects is taken out and never fails its siblings.
///
/// # Errors
/// The database's. After `CommitUnknown` the caller must read what stands here.
pub fn write(conn: &mut CellConnection, batch: &WriteBatch) -> Result<Written, DatabaseError> {
    let all: Vec<&NewInstance> = batch.instances.iter().collect();
    let mut written = Written::default();
    write_or_split(conn, batch, &all, &mut written)?;
    Ok(written)
}

fn write_or_split(
    conn: &mut CellConnection,
    batch: &WriteBatch,
    instances: &[&NewInstance],
    written: &mut Written,
) -> Result<(), DatabaseError> {
    match write_once(conn, batch, instances) {
        Ok(done) => {
            written.written.extend(done.written);
            written.fenced.extend(done.fenced);
            Ok(())
        }
        Err(error) if is_rejection(&error) => match instances {
            [] => Ok(()),
            [one] => {
                written.rejected.push((one.instance.uuid, error.to_string()));
                Ok(())
            }
            many => {
                // Halves find the rejected one in a logarithm of transactions.
                let (left, right) = many.split_at(many.len() / 2);
                write_or_split(conn, batch, left, written)?;
                write_or_split(conn, batch, right, written)
            }
        },
        Err(error) => Err(error),
    }
}

/// Whether the database refused the rows themselves, so that trying again cannot help.
fn is_rejection(error: &DatabaseError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Rejected
            | ErrorKind::UniqueViolation
            | ErrorKind::ForeignKeyViolation
            | ErrorKind::NotNullViolation
            | ErrorKind::CheckViolation
    )
}

/// How a write deals with fences. Nearly always there is none, and inserting them is the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fences {
    AssumeNone,
    ReadFirst,
}

fn write_once(
    conn: &mut CellConnection,
    batch: &WriteBatch,
    instances: &[&NewInstance],
) -> Result<Written, DatabaseError> {
    fence_transaction(conn, "write_instances", |conn, fences| {
        write_in_transaction(conn, batch, instances, fences)
    })
}

/// A transaction that may insert a fence. A unique violation is a fence that stands already, or
/// one that came in between; then it starts over and reads them first.
pub(crate) fn fence_transaction<T>(
    conn: &mut CellConnection,
    name: &'static str,
    mut work: impl FnMut(&mut CellConnection, Fences) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let mut fences = Fences::AssumeNone;
    for _ in 0..FENCE_RACES_MAX {
        match transaction(conn, name, |conn| work(conn, fences)) {
            Err(error) if error.kind() == ErrorKind::UniqueViolation => fences = Fences::ReadFirst,
            done => return done,
        }
    }
    transaction(conn, name, |conn| work(conn, fences))
}

fn write_in_transaction(
    conn: &mut CellConnection,
    batch: &WriteBatch,
    instances: &[&NewInstance],
    fences: Fences,
) -> Result<Written, DatabaseError> {
    let mut result = Written::default();
    let now = conn.now();
    let to_write = match fences {
        Fences::AssumeNone => {
            insert_fences(conn, instances, now)?;
            instances.to_vec()
        }
        Fences::ReadFirst => raise_fences(conn, instances, now, &mut result)?,
    };
    result.written.extend(to_write.iter().map(|new| new.instance.uuid));
    insert_instances(conn, batch, &to_write, now)?;
    Ok(result)
}

fn insert_fences(
    conn: &mut CellConnection,
    instances: &[&NewInstance],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let verdicts = instances.iter().map(|new| new.verdict.as_ref());
    let verdicts = verdict::insert_missing(conn, verdicts, now)?;
    let fences: Vec<_> = instances
        .iter()
        .zip(&verdicts)
        .map(|(new, verdict)| {
            (new.instance.uuid.text(), new.epoch, Some(new.epoch), verdict.as_deref())
        })
        .collect();
    fence::insert(conn, &fences, now)
}

/// Raises the fences that stand and makes the missing ones; gives back what is to be written.
fn raise_fences<'a>(
    conn: &mut CellConnection,
    instances: &[&'a NewInstance],
    now: NaiveDateTime,
    result: &mut Written,
) -> Result<Vec<&'a NewInstance>, DatabaseError> {
    let uuids = texts(instances.iter().map(|new| &new.instance.uuid));
    let standing: HashMap<String, fence::Fence> = fence::lock(conn, &uuids)?
        .into_iter()
        .map(|fence| (fence.instance_uuid.clone(), fence))
        .collect();
    let mut to_write = Vec::new();
    let mut without_fence = Vec::new();
    let mut stale_rows = Vec::new();
    for new in instances {
        let uuid = new.instance.uuid.text();
        match standing.get(&uuid) {
            None => {
                without_fence.push(*new);
                to_write.push(*new);
            }
            Some(fence) if fence.fence > new.epoch => result.fenced.push(new.instance.uuid),
            Some(fence) if fence.written_epoch == Some(new.epoch) => {
                result.written.push(new.instance.uuid);
            }
            Some(fence) => {
                let verdict =
                    verdict::insert_missing(conn, [new.verdict.as_ref()].into_iter(), now)?;
                let verdict = verdict.first().and_then(Option::as_deref);
                fence::raise(conn, &uuid, new.epoch, Some(new.epoch), verdict, now)?;
                if fence.written_epoch.is_some() {
                    stale_rows.push(uuid);
                }
                to_write.push(*new);
            }
        }
    }
    insert_fences(conn, &without_fence, now)?;
    erase(conn, &stale_rows)?;
    Ok(to_write)
}

fn insert_instances(
    conn: &mut CellConnection,
    batch: &WriteBatch,
    new: &[&NewInstance],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let uuids = texts(new.iter().map(|new| &new.instance.uuid));
    let with_uuid = || new.iter().map(|new| &new.instance).zip(uuids.iter().map(String::as_str));
    let keypairs: Vec<String> = new.iter().map(|new| change::key_pairs(&new.instance)).collect();

    let rows: Vec<_> = with_uuid().map(|(i, uuid)| NewRow::new(i, uuid, now)).collect();
    instance::insert(conn, &rows)?;
    let rows: Vec<_> = with_uuid()
        .zip(&keypairs)
        .map(|((i, uuid), keypairs)| NewExtra::new(i, uuid, keypairs, now))
        .collect();
    instance::insert_extra(conn, &rows)?;
    let rows: Vec<_> = with_uuid()
        .map(|(i, instance_uuid)| NewInfoCache {
            created_at: now,
            network_info: i.network_info.to_string(),
            instance_uuid,
            deleted: 0,
        })
        .collect();
    instance::insert_info_caches(conn, &rows)?;
    insert_labels(conn, with_uuid(), now)?;
    let devices: Vec<_> = with_uuid()
        .flat_map(|(i, uuid)| {
            i.block_devices.iter().map(move |device| NewBlockDevice::new(device, uuid, now))
        })
        .collect();
    block_device::insert(conn, &devices)?;
    join_security_groups(conn, new, now)?;
    insert_history(conn, batch, new, &uuids, now)?;
    let builds: Vec<OutboxRow> = new.iter().filter_map(|new| new.build.clone()).collect();
    outbox::insert(conn, &builds, now)
}

fn insert_labels<'a>(
    conn: &mut CellConnection,
    instances: impl Iterator<Item = (&'a Instance, &'a str)> + Clone,
    created_at: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let items = instances.clone().map(|(i, uuid)| (uuid, &i.metadata));
    metadata::insert(conn, items, created_at)?;
    let items = instances.clone().map(|(i, uuid)| (uuid, &i.system_metadata));
    metadata::insert_system(conn, items, created_at)?;
    let tags: Vec<_> = instances
        .flat_map(|(i, resource_id)| i.tags.iter().map(move |tag| NewTag { resource_id, tag }))
        .collect();
    tag::insert(conn, &tags)
}

/// Instances of one project and the same groups join together: one statement for a multi-create.
fn join_security_groups(
    conn: &mut CellConnection,
    new: &[&NewInstance],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let mut alike: BTreeMap<(&str, &str, &[String]), Vec<String>> = BTreeMap::new();
    for NewInstance { instance, .. } in new {
        let key = (
            instance.project_id.as_str(),
            instance.user_id.as_str(),
            instance.security_groups.as_slice(),
        );
        alike.entry(key).or_default().push(instance.uuid.text());
    }
    for ((project_id, user_id, names), uuids) in alike {
        for uuids in uuids.chunks(crate::ROWS_MAX) {
            security_group::join(conn, (project_id, user_id), names, uuids, now)?;
        }
    }
    Ok(())
}

fn insert_history(
    conn: &mut CellConnection,
    batch: &WriteBatch,
    new: &[&NewInstance],
    uuids: &[String],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let faults: Vec<_> = new
        .iter()
        .zip(uuids)
        .filter_map(|(new, instance_uuid)| {
            let fault: &InstanceFault = new.instance.fault.as_ref()?;
            Some(NewFault::new(fault, instance_uuid, now))
        })
        .collect();
    fault::insert(conn, &faults)?;
    let actions: Vec<_> = new
        .iter()
        .zip(uuids)
        .map(|(new, instance_uuid)| NewAction {
            created_at: now,
            updated_at: Some(now),
            action: new.action(),
            instance_uuid,
            request_id: new.history.as_ref().map_or(&batch.request_id, |(id, _)| id),
            user_id: Some(&new.instance.user_id),
            project_id: Some(&new.instance.project_id),
            start_time: Some(batch.accepted_at),
            finish_time: batch.action_message.as_ref().map(|_| now),
            message: batch.action_message.as_deref(),
            deleted: 0,
        })
        .collect();
    action::insert(conn, &actions)?;
    for uuids in uuids.chunks(crate::IN_LIST_MAX) {
        action::insert_event(conn, uuids, &batch.event)?;
    }
    // After the events, which go to every action that stands.
    for (new, uuid) in new.iter().zip(uuids) {
        if let Some((_, history)) = &new.history {
            insert_past(conn, history, uuid, now)?;
        }
    }
    Ok(())
}

/// What happened to a retried instance before.
fn insert_past(
    conn: &mut CellConnection,
    history: &BootHistory,
    uuid: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let faults: Vec<_> = history
        .faults
        .iter()
        .map(|fault| NewFault::new(fault, uuid, fault.created_at.unwrap_or(now)))
        .collect();
    fault::insert(conn, &faults)?;
    action::insert_past(conn, &history.actions, uuid, now)
}

impl NewInstance {
    /// The name of the action that made it.
    fn action(&self) -> &'static str {
        match self.history {
            None => action::CREATE,
            Some(_) => action::RETRY,
        }
    }
}

/// The instances, each whole, in no order; those that do not stand here are left out.
/// Four statements, however many instances (up to [`crate::IN_LIST_MAX`]).
///
/// # Errors
/// The database's, or damaged rows.
pub fn read(
    conn: &mut CellConnection,
    cell: CellUuid,
    uuids: &[InstanceUuid],
    with_deleted: WithDeleted,
) -> Result<Vec<Instance>, DatabaseError> {
    let mut instances = instance::find(conn, cell, uuids, with_deleted)?;
    if instances.is_empty() {
        return Ok(instances);
    }
    let deleted: Vec<InstanceUuid> =
        instances.iter().filter(|instance| instance.deleted).map(|gone| gone.uuid).collect();
    let mut labels = label::of_instances(conn, uuids, &deleted)?;
    let mut devices = block_device::of_instances(conn, uuids)?;
    let mut faults = fault::latest_of_instances(conn, uuids)?;
    for instance in &mut instances {
        let uuid = instance.uuid.text();
        let labels = labels.remove(&uuid).unwrap_or_default();
        instance.metadata = labels.metadata;
        instance.system_metadata = labels.system_metadata;
        instance.tags = labels.tags;
        instance.security_groups = labels.security_groups;
        instance.block_devices = devices.remove(&uuid).unwrap_or_default();
        instance.fault = faults.remove(&uuid);
    }
    Ok(instances)
}

/// The instances as [`read`] gives them, on a plane of our own: what is buried has its whole
/// sentence where the column of the fault has cut it. One more statement where one is cut.
///
/// # Errors
/// The database's, or damaged rows.
pub fn read_with_sentences(
    conn: &mut CellConnection,
    cell: CellUuid,
    uuids: &[InstanceUuid],
    with_deleted: WithDeleted,
) -> Result<Vec<Instance>, DatabaseError> {
    let mut instances = read(conn, cell, uuids, with_deleted)?;
    let cut: Vec<InstanceUuid> = match cell.is_cell0() {
        true => instances.iter().filter(|one| may_be_cut(one)).map(|one| one.uuid).collect(),
        false => Vec::new(),
    };
    if cut.is_empty() {
        return Ok(instances);
    }
    let verdicts = verdict::of_instances(conn, &cut)?;
    for instance in &mut instances {
        if let (Some(fault), Some(verdict)) = (&mut instance.fault, verdicts.get(&instance.uuid))
            && fault.message == verdict.fault_message()
        {
            fault.message = verdict.to_string();
        }
    }
    Ok(instances)
}

/// A sentence that was not cut ends with its full stop.
fn may_be_cut(instance: &Instance) -> bool {
    instance.fault.as_ref().is_some_and(|fault| !fault.message.ends_with('.'))
}

/// Deletes an instance softly, with all that belongs to it, and keeps the effects that follow.
/// Its fence is raised to `epoch`. Says whether a live row stood here; where none did, the fence
/// alone is raised, and no effect is kept.
///
/// # Errors
/// The database's.
pub fn delete(
    conn: &mut CellConnection,
    ctx: &RequestContext,
    uuid: InstanceUuid,
    epoch: i64,
    effects: &[OutboxRow],
) -> Result<bool, DatabaseError> {
    fence_transaction(conn, "delete_instance", |conn, _| {
        let now = conn.now();
        let text = uuid.text();
        // Nearly always the fence stands, and is lower.
        if !fence::raise_lower(conn, &text, epoch, now)? {
            raise_for_sweep(conn, &text, epoch, now, KeepWritten::Yes)?;
        }
        let deleted = soft_delete(conn, &text, now)?;
        if deleted {
            action::add(conn, ctx, uuid, "delete", now)?;
            outbox::insert(conn, effects, now)?;
        }
        Ok(deleted)
    })
}

/// Marks a row, and the rows of the same instance in the tables beside it, as deleted: `deleted`
/// holds each row's own id.
fn soft_delete(
    conn: &mut CellConnection,
    uuid: &str,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    use schema::instances;
    macro_rules! mark {
        ($($table:ident),*) => {$({
            use schema::$table::dsl;
            diesel::update(dsl::$table.filter(dsl::instance_uuid.eq(uuid)).filter(dsl::deleted.eq(0)))
                .set((dsl::deleted.eq(dsl::id.nullable()), dsl::deleted_at.eq(now)))
                .execute(conn.sql())?;
        })*};
    }
    let live = instances::table.filter(instances::uuid.eq(uuid)).filter(instances::deleted.eq(0));
    let deleted = diesel::update(live)
        .set((
            instances::deleted.eq(instances::id.nullable()),
            instances::deleted_at.eq(now),
            instances::updated_at.eq(now),
            instances::terminated_at.eq(now),
            instances::vm_state.eq(VmState::Deleted.as_str()),
            instances::task_state.eq(None::<String>),
        ))
        .execute(conn.sql())?;
    if deleted == 0 {
        return Ok(false);
    }
    mark!(
        instance_extra,
        instance_info_caches,
        instance_faults,
        instance_metadata,
        instance_system_metadata,
        security_group_instance_association,
        block_device_mapping
    );
    tag::delete(conn, &[uuid.to_owned()])?;
    Ok(true)
}

/// Step 6 of the boot protocol. For each instance: raises the fence to its epoch and erases rows
/// that a lower epoch wrote. Nobody ever saw those rows, so nothing of them is kept.
///
/// # Errors
/// The database's.
pub fn sweep(
    conn: &mut CellConnection,
    instances: &[(InstanceUuid, i64)],
) -> Result<(), DatabaseError> {
    for (uuid, epoch) in instances {
        fence_transaction(conn, "sweep_instance", |conn, _| {
            let now = conn.now();
            let text = uuid.text();
            let stale = raise_for_sweep(conn, &text, *epoch, now, KeepWritten::No)?;
            if stale { erase(conn, &[text]) } else { Ok(()) }
        })?;
    }
    Ok(())
}

/// Whether the rows behind a fence stay when it is raised.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeepWritten {
    Yes,
    No,
}

/// Raises a fence to `epoch`, making it where there is none; says whether a lower epoch's rows
/// stand behind it.
fn raise_for_sweep(
    conn: &mut CellConnection,
    uuid: &str,
    epoch: i64,
    now: NaiveDateTime,
    keep: KeepWritten,
) -> Result<bool, DatabaseError> {
    match fence::lock(conn, &[uuid.to_owned()])?.pop() {
        None => {
            fence::insert(conn, &[(uuid.to_owned(), epoch, None, None)], now)?;
            Ok(false)
        }
        Some(fence) => {
            let stale = fence.written_epoch.is_some_and(|written| written < epoch);
            let written = if stale && keep == KeepWritten::No { None } else { fence.written_epoch };
            fence::raise(conn, uuid, fence.fence.max(epoch), written, None, now)?;
            Ok(stale)
        }
    }
}

/// Removes every row of these instances, deleted ones too, but not their fences.
fn erase(conn: &mut CellConnection, uuids: &[String]) -> Result<(), DatabaseError> {
    use schema::{instance_actions, instance_actions_events, instances, outbox};
    macro_rules! erase_rows {
        ($uuids:expr; $($table:ident),*) => {$({
            use schema::$table::dsl;
            diesel::delete(dsl::$table.filter(dsl::instance_uuid.eq_any($uuids)))
                .execute(conn.sql())?;
        })*};
    }
    for uuids in uuids.chunks(crate::IN_LIST_MAX) {
        let actions: Vec<i32> = instance_actions::table
            .filter(instance_actions::instance_uuid.eq_any(uuids))
            .select(instance_actions::id)
            .load(conn.sql())?;
        diesel::delete(
            instance_actions_events::table
                .filter(instance_actions_events::action_id.eq_any(actions)),
        )
        .execute(conn.sql())?;
        erase_rows!(
            uuids;
            instance_actions,
            instance_extra,
            instance_info_caches,
            instance_faults,
            instance_metadata,
            instance_system_metadata,
            security_group_instance_association,
            block_device_mapping
        );
        diesel::delete(outbox::table.filter(outbox::instance_uuid.eq_any(uuids)))
            .execute(conn.sql())?;
        tag::delete(conn, uuids)?;
        diesel::delete(instances::table.filter(instances::uuid.eq_any(uuids)))
            .execute(conn.sql())?;
    }
    Ok(())
}

/// Writes the rows beside an instance's own where they are missing or deleted: a repair. To be
/// called in a transaction. Two statements, four where both are missing.
///
/// # Errors
/// The database's.
pub fn complete(
    conn: &mut CellConnection,
    instance: &Instance,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    use schema::{instance_extra, instance_info_caches};
    let uuid = instance.uuid.text();
    macro_rules! restore {
        ($table:ident) => {
            diesel::update($table::table.filter($table::instance_uuid.eq(&uuid)))
                .set(($table::deleted.eq(0), $table::deleted_at.eq(None::<NaiveDateTime>)))
                .execute(conn.sql())?
        };
    }
    if restore!(instance_extra) == 0 {
        let keypairs = change::key_pairs(instance);
        instance::insert_extra(conn, &[NewExtra::new(instance, &uuid, &keypairs, now)])?;
    }
    if restore!(instance_info_caches) == 0 {
        let cache = NewInfoCache {
            created_at: now,
            network_info: instance.network_info.to_string(),
            instance_uuid: &uuid,
            deleted: 0,
        };
        instance::insert_info_caches(conn, &[cache])?;
    }
    Ok(())
}

/// Erases the rows of an instance that are nobody's, and raises the fence to `epoch`: a repair. Only
/// while those of `written` stand behind the fence; says whether it did.
///
/// # Errors
/// The database's.
pub fn erase_unowned(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    epoch: i64,
    written: Option<i64>,
) -> Result<bool, DatabaseError> {
    fence_transaction(conn, "erase_unowned", |conn, _| {
        let now = conn.now();
        let text = uuid.text();
        match fence::lock(conn, std::slice::from_ref(&text))?.pop() {
            Some(fence) if fence.written_epoch != written => return Ok(false),
            Some(fence) => fence::raise(conn, &text, fence.fence.max(epoch), None, None, now)?,
            None if written.is_some() => return Ok(false),
            None => fence::insert(conn, &[(text.clone(), epoch, None, None)], now)?,
        }
        erase(conn, &[text])?;
        Ok(true)
    })
}
