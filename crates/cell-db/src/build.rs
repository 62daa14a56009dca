//! A build that failed: noted once, then taken to another host of the same cell, or given up.
//!
//! What is noted stands before the API database decides where the instance goes on; until its host
//! here is changed, the task `scheduling` says that no host builds it.

use cellzero_database::{DatabaseError, transaction};
use cellzero_types::verdict::FAULT_MESSAGE_LENGTH_MAX;
use cellzero_types::{InstanceFault, InstanceUuid, TaskState, VmState, text};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::action::{self, NewEvent};
use crate::fault;
use crate::outbox::{self, OutboxRow};
use crate::schema::instances;
use crate::{CellConnection, fence};

/// Notes that a host could not build an instance: its fault, and the end of the event that built it.
/// Only while the rows of `epoch` stand here and the instance is being built on that host; says
/// whether it is. What is noted already is not noted again. One transaction of six statements, three
/// where it is noted already.
///
/// # Errors
/// The database's.
pub fn note_failure(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    (host, epoch): (&str, i64),
    failure: &InstanceFault,
) -> Result<bool, DatabaseError> {
    transaction(conn, "note_failed_build", |conn| {
        let now = conn.now();
        let fence = fence::lock(conn, &[uuid.text()])?.pop();
        if fence.and_then(|fence| fence.written_epoch) != Some(epoch) {
            return Ok(false);
        }
        let scheduling = TaskState::SCHEDULING;
        let task =
            || instances::task_state.is_null().or(instances::task_state.ne(scheduling.as_str()));
        let building = || {
            instances::table
                .filter(instances::uuid.eq(uuid.text()))
                .filter(instances::deleted.eq(0))
                .filter(instances::host.eq(host))
                .filter(instances::vm_state.eq(VmState::Building.as_str()))
        };
        let noted = diesel::update(building().filter(task()))
            .set((instances::task_state.eq(scheduling.as_str()), instances::updated_at.eq(now)))
            .execute(conn.sql())?;
        if noted == 0 {
            let again: i64 = building().count().get_result(conn.sql())?;
            return Ok(again == 1);
        }
        action::finish_events(conn, uuid, "Error", now)?;
        fault::add(conn, uuid, failure, now)?;
        Ok(true)
    })
}

/// Where a build that failed goes on.
#[derive(Debug, Clone)]
pub struct NextHost {
    /// The host.
    pub host: String,
    /// Its hypervisor's name.
    pub node: Option<String>,
    /// Its availability zone; none leaves that of the instance.
    pub availability_zone: Option<String>,
    /// The build that is sent to it.
    pub build: OutboxRow,
    /// The step of the `create` action that it is.
    pub event: NewEvent,
}

/// Takes an instance whose build failed to its next host, or makes it ERROR on none where there is
/// none, at the epoch that the API database has decided. Builds of earlier epochs that are not sent
/// are forgotten. Says whether it stands so, now or before; it does not where a higher epoch has been
/// here, or where it is not being built any more. One transaction of eight statements.
///
/// # Errors
/// The database's.
pub fn go_on(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    epoch: i64,
    next: Option<&NextHost>,
    last_fault: &InstanceFault,
) -> Result<bool, DatabaseError> {
    transaction(conn, "go_on_after_failed_build", |conn| {
        let now = conn.now();
        let Some(fence) = fence::lock(conn, &[uuid.text()])?.pop() else { return Ok(false) };
        if fence.written_epoch == Some(epoch) {
            return Ok(true);
        }
        if fence.fence > epoch || fence.written_epoch.is_none() {
            return Ok(false);
        }
        if !set_host(conn, uuid, next, now)? {
            return Ok(false);
        }
        fence::raise(conn, &uuid.text(), epoch, Some(epoch), None, now)?;
        outbox::forget_builds(conn, uuid)?;
        match next {
            Some(next) => {
                action::add_event(conn, uuid, &next.event, now)?;
                outbox::insert(conn, std::slice::from_ref(&next.build), now)?;
            }
            None => {
                action::mark_failed(conn, uuid, now)?;
                let said = fault::latest_of_instances(conn, &[uuid])?.remove(&uuid.text());
                let said = said.map(|fault| fault.message).unwrap_or_default();
                let message = format!("{} {said}", last_fault.message);
                let message =
                    text::cut_at_word(message.trim_end(), FAULT_MESSAGE_LENGTH_MAX).to_owned();
                fault::add(conn, uuid, &InstanceFault { message, ..last_fault.clone() }, now)?;
            }
        }
        Ok(true)
    })
}

fn set_host(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    next: Option<&NextHost>,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let building = instances::table
        .filter(instances::uuid.eq(uuid.text()))
        .filter(instances::deleted.eq(0))
        .filter(instances::vm_state.eq(VmState::Building.as_str()));
    let updated_at = instances::updated_at.eq(now);
    let changed = match next {
        None => diesel::update(building)
            .set((
                instances::vm_state.eq(VmState::Error.as_str()),
                instances::task_state.eq(None::<String>),
                instances::host.eq(None::<String>),
                instances::node.eq(None::<String>),
                updated_at,
            ))
            .execute(conn.sql())?,
        Some(next) => diesel::update(building)
            .set((
                instances::task_state.eq(TaskState::SPAWNING.as_str()),
                instances::host.eq(&next.host),
                instances::node.eq(&next.node),
                next.availability_zone.as_ref().map(|zone| instances::availability_zone.eq(zone)),
                updated_at,
            ))
            .execute(conn.sql())?,
    };
    Ok(changed == 1)
}
