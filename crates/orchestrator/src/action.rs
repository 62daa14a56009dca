//! Actions on an instance, and the one place that says which are allowed.
//!
//! The cell decides before the state columns do: an instance in cell0 allows nothing but show, list,
//! new values of its own fields, retry and delete, whatever somebody wrote into its row.
//!
//! An action is one transaction in the cell of its instance: the task, the record, and the effect in
//! the outbox. The host's report ends it; where the dispatch does it at once, that is the report.

use std::sync::Arc;

use cellzero_cell_db::change::{self as row, Seen};
use cellzero_cell_db::{CellConnection, action, fault, fence, outbox};
use cellzero_database::{DatabaseError, Deadline, database_error_source, transaction};
use cellzero_router::{CellError, CellHandle, ReadError};
use cellzero_types::{
    Action, CellUuid, Home, Instance, InstanceUuid, InvalidField, OperationUuid, RequestContext,
    VmState, text,
};

use crate::Orchestrator;
use crate::operation::{ActionOperation, Operation, sequence_of_action};
use crate::rebuild::Rebuilding;
use crate::report::ReportError;

/// Why an action or a change was not done. Nothing has changed, but where a database failed on the way:
/// then it may be asked for again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActionError {
    /// The instance is not in a state that allows it; HTTP 409.
    #[error("cannot {action} instance {uuid}: {reason}")]
    InstanceInvalidState {
        /// The instance.
        uuid: InstanceUuid,
        /// What was asked for.
        action: &'static str,
        /// Why not, and what would be right.
        reason: String,
    },
    /// The instance is locked, and the caller is no admin; HTTP 409.
    #[error("instance {uuid} is locked; unlock it first")]
    InstanceIsLocked {
        /// The instance.
        uuid: InstanceUuid,
    },
    /// Only an admin may do this; HTTP 403.
    #[error("only an admin may {action} instance {uuid}")]
    AdminOnly {
        /// The instance.
        uuid: InstanceUuid,
        /// What was asked for.
        action: &'static str,
    },
    /// A field cannot be used; HTTP 400.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// It would have more of something than it may; HTTP 403.
    #[error("{requested} {what} are more than the {limit} that an instance may have")]
    OverLimit {
        /// Such as `metadata_items`.
        what: &'static str,
        /// The most that it may have.
        limit: usize,
        /// How many it would have.
        requested: usize,
    },
    /// It does not have what was to be taken away; HTTP 404.
    #[error("instance {uuid} has no {kind} {key:?}")]
    ItemNotFound {
        /// The instance.
        uuid: InstanceUuid,
        /// `metadata item` or `tag`.
        kind: &'static str,
        /// What was named.
        key: String,
    },
    /// The instance could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its cell failed.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// The API database failed.
    #[error("the API database failed")]
    Database(#[from] DatabaseError),
}

/// Why a transaction in a cell changed nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CellChangeError {
    /// The instance does not stand there as it was read.
    #[error("its state changed meanwhile; look at it, and ask again")]
    Changed,
    /// The new values cannot be used.
    #[error(transparent)]
    Refused(Box<ActionError>),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

database_error_source!(CellChangeError);

impl CellChangeError {
    /// What it means to whoever asked for `action`.
    pub(crate) fn of(
        self,
        cell: CellUuid,
        uuid: InstanceUuid,
        action: &'static str,
    ) -> ActionError {
        match self {
            CellChangeError::Changed => invalid(uuid, action, CellChangeError::Changed.to_string()),
            CellChangeError::Refused(error) => *error,
            CellChangeError::Database(source) => CellError::Database { cell, source }.into(),
        }
    }
}

/// The cell of an instance, where it allows actions at all.
///
/// # Errors
/// [`ActionError::InstanceInvalidState`] for cell0 and for one that has no cell yet.
fn check_home(
    uuid: InstanceUuid,
    action: &'static str,
    home: Home,
) -> Result<CellUuid, ActionError> {
    let reason = match home {
        Home::Cell(cell) if cell.is_cell0() => {
            "it is buried in cell0, where delete and retry are the only actions"
        }
        Home::Cell(cell) => return Ok(cell),
        Home::BuildRequest => "it has no cell yet; wait until it is built",
    };
    Err(invalid(uuid, action, reason))
}

pub(crate) fn invalid(
    uuid: InstanceUuid,
    action: &'static str,
    reason: impl Into<String>,
) -> ActionError {
    ActionError::InstanceInvalidState { uuid, action, reason: reason.into() }
}

/// A locked instance is an admin's alone.
pub(crate) fn check_lock(ctx: &RequestContext, instance: &Instance) -> Result<(), ActionError> {
    match instance.locked && !ctx.is_admin {
        true => Err(ActionError::InstanceIsLocked { uuid: instance.uuid }),
        false => Ok(()),
    }
}

/// An instance in its live cell, as it was read.
pub(crate) struct Live {
    pub(crate) instance: Instance,
    pub(crate) cell: CellUuid,
    pub(crate) handle: Arc<CellHandle>,
    pub(crate) deadline: Deadline,
}

impl Live {
    /// What the transaction that changes it must find.
    pub(crate) fn seen(&self) -> Seen {
        let state = self.instance.vm_state.clone();
        Seen {
            vm_state: state.unwrap_or_else(|| VmState::Other(String::new())),
            task_state: self.instance.task_state.clone(),
            locked: self.instance.locked,
        }
    }
}

impl Orchestrator {
    /// Reads an instance that is to be changed in its live cell.
    pub(crate) async fn live(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        action: &'static str,
    ) -> Result<Live, ActionError> {
        let deadline = Deadline::after(ctx.timeout);
        let instance = self.0.router.show(ctx, uuid).await?;
        let cell = check_home(uuid, action, instance.home)?;
        let handle = self.0.router.cells().get(cell, deadline).await?;
        Ok(Live { instance, cell, handle, deadline })
    }

    /// Has an action done by the host of an instance: marks it as under way, records it, and sends it.
    ///
    /// # Errors
    /// [`ActionError::InstanceInvalidState`] where its state or its home does not allow it,
    /// [`ActionError::InstanceIsLocked`], [`ActionError::Invalid`] for a rebuild, which needs more to
    /// be said, or what failed.
    pub async fn act(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        action: Action,
    ) -> Result<(), ActionError> {
        if action == Action::Rebuild {
            let expected = "asked for together with what it is to be rebuilt from";
            return Err(InvalidField::new("action", action.name(), expected).into());
        }
        let live = self.live(ctx, uuid, action.name()).await?;
        self.begin(ctx, &live, action, None).await
    }

    /// Begins an action on an instance that was read, and sends it.
    pub(crate) async fn begin(
        &self,
        ctx: &RequestContext,
        live: &Live,
        action: Action,
        rebuilding: Option<Arc<Rebuilding>>,
    ) -> Result<(), ActionError> {
        let uuid = live.instance.uuid;
        check_lock(ctx, &live.instance)?;
        if let Some(reason) = action.refusal(&live.instance) {
            return Err(invalid(uuid, action.name(), reason));
        }
        let operation = ActionOperation {
            id: OperationUuid(self.0.uuids.row()),
            instance_uuid: uuid,
            sequence: 0,
            attempt: 0,
            host: live.instance.host.clone().unwrap_or_default(),
            action,
            rebuild: rebuilding.as_ref().map(|rebuilding| rebuilding.from()),
            cell: None,
        };
        let (ctx, seen) = (ctx.clone(), live.seen());
        live.handle
            .run("act", live.deadline, move |conn| {
                transaction(conn, "act", |conn| {
                    begin_in_transaction(conn, &ctx, &seen, &operation, rebuilding.as_deref())
                })
            })
            .await
            .map_err(|error: CellChangeError| error.of(live.cell, uuid, action.name()))?;
        self.0.wake.notify_one();
        // It is stored; what could not be sent now is sent later.
        if let Err(error) = self.dispatch_cell(live.cell).await {
            tracing::warn!(instance = %uuid, cell = %live.cell, error = &error as &dyn std::error::Error, "an action is not sent yet");
        }
        Ok(())
    }

    /// Applies what a host says of an action: the state that it leads to, or the one before, with why.
    pub(crate) async fn apply_acted(
        &self,
        handle: &CellHandle,
        uuid: InstanceUuid,
        action: Action,
        failure: Option<&str>,
    ) -> Result<(), ReportError> {
        let failure = failure.map(|text| text::cut_at_word(text, text::TEXT_LENGTH_MAX));
        let fault = failure.map(|message| self.fault(message, None));
        let ended = handle
            .run("acted", self.step_deadline(), move |conn| {
                transaction(conn, "acted", |conn| {
                    let now = conn.now();
                    let seen = row::state_in_task(conn, uuid)?;
                    let Some((from, task)) = seen.filter(|(_, task)| *task == action.task()) else {
                        return Ok(false);
                    };
                    let (to, power) = match &fault {
                        None => {
                            let (to, power) = action.leaves(&from);
                            (to, Some(power))
                        }
                        // Whether it has a disk that runs is not known.
                        Some(_) if action == Action::Rebuild => (VmState::Error, None),
                        Some(_) => (from, None),
                    };
                    if !row::end_task(conn, uuid, &task, (&to, power), now)? {
                        return Ok(false);
                    }
                    if action == Action::Rebuild && fault.is_none() {
                        row::mark_launched(conn, uuid, now)?;
                    }
                    if let Some(fault) = &fault {
                        fault::add(conn, uuid, fault, now)?;
                    }
                    let message = fault.as_ref().map(|fault| fault.message.as_str());
                    action::end(conn, uuid, action.name(), message, now)?;
                    Ok::<_, DatabaseError>(true)
                })
            })
            .await?;
        match ended {
            true => Ok(()),
            false => Err(ReportError::Stale { uuid, reason: "that action is not under way" }),
        }
    }
}

fn begin_in_transaction(
    conn: &mut CellConnection,
    ctx: &RequestContext,
    seen: &Seen,
    operation: &ActionOperation,
    rebuilding: Option<&Rebuilding>,
) -> Result<(), CellChangeError> {
    let now = conn.now();
    let (uuid, what) = (operation.instance_uuid, operation.action);
    if !row::begin_task(conn, uuid, seen, &what.task(), now)? {
        return Err(CellChangeError::Changed);
    }
    if let Some(rebuilding) = rebuilding {
        rebuilding.write(conn, now)?;
    }
    action::begin(conn, (ctx, uuid), (what.name(), what.event()), &operation.host, now)?;
    let epoch = fence::find(conn, uuid)?.and_then(|fence| fence.written_epoch);
    let nth = action::count(conn, uuid)?;
    let sequence = sequence_of_action(epoch.unwrap_or(0), nth);
    let operation = ActionOperation { sequence, ..operation.clone() };
    outbox::insert(conn, &[Operation::Action(operation).into()], now)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;

    #[rstest]
    #[case::in_cell0(Home::Cell(CellUuid::CELL0), Some("delete and retry are the only actions"))]
    #[case::without_a_cell(Home::BuildRequest, Some("no cell yet"))]
    #[case::in_a_live_cell(Home::Cell(CellUuid(Uuid::from_u128(1))), None)]
    fn the_home_decides_before_any_state(#[case] home: Home, #[case] refused: Option<&str>) {
        let uuid = InstanceUuid(Uuid::from_u128(2));
        let checked = check_home(uuid, Action::Reboot.name(), home);
        match refused {
            None => assert_eq!(checked.unwrap(), CellUuid(Uuid::from_u128(1))),
            Some(reason) => {
                let text = checked.unwrap_err().to_string();
                assert!(text.contains(reason) && text.contains("reboot"), "{text}");
            }
        }
    }
}
