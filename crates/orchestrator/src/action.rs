//! Actions on an instance, and the one place that says which are allowed.
//!
//! The cell decides before the state columns do: an instance in cell0 allows nothing but show, list
//! and delete, whatever somebody wrote into its row.

use cellzero_cell_db::{action, fence, instance, outbox};
use cellzero_database::{DatabaseError, Deadline, database_error_source, transaction};
use cellzero_router::{CellError, CellHandle, ReadError};
use cellzero_types::{Home, InstanceUuid, OperationUuid, RequestContext, TaskState, VmState};

use crate::Orchestrator;
use crate::operation::{Operation, RebootOperation, sequence_of_action};
use crate::report::ReportError;

/// What can be done to an instance besides show, list and delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Reboot it on its host.
    Reboot,
}

impl Action {
    /// Its name in the record of actions.
    pub fn name(self) -> &'static str {
        match self {
            Action::Reboot => "reboot",
        }
    }
}

/// Why an action was not done. Nothing has changed.
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
    /// The instance could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its cell failed.
    #[error(transparent)]
    Cell(#[from] CellError),
}

#[derive(Debug, thiserror::Error)]
enum RebootError {
    #[error("its state changed meanwhile")]
    StateChanged,
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

database_error_source!(RebootError);

/// Whether `home` allows any action at all.
///
/// # Errors
/// [`ActionError::InstanceInvalidState`] for cell0 and for one that has no cell yet.
fn check_home(uuid: InstanceUuid, action: Action, home: Home) -> Result<(), ActionError> {
    let reason = match home {
        Home::Cell(cell) if cell.is_cell0() => {
            "it is buried in cell0, where delete and retry are the only actions"
        }
        Home::Cell(_) => return Ok(()),
        Home::BuildRequest => "it has no cell yet; wait until it is built",
    };
    Err(invalid(uuid, action, reason))
}

fn invalid(uuid: InstanceUuid, action: Action, reason: impl Into<String>) -> ActionError {
    ActionError::InstanceInvalidState { uuid, action: action.name(), reason: reason.into() }
}

impl Orchestrator {
    /// Reboots an instance: records the action, marks it as rebooting, and sends it to its host.
    ///
    /// # Errors
    /// [`ActionError::InstanceInvalidState`] unless it is ACTIVE with no task, in a live cell.
    pub async fn reboot(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<(), ActionError> {
        let shown = self.0.router.show(ctx, uuid).await?;
        check_home(uuid, Action::Reboot, shown.home)?;
        let Home::Cell(cell) = shown.home else { return Ok(()) };
        let (Some(VmState::Active), None, Some(host)) =
            (&shown.vm_state, &shown.task_state, shown.host)
        else {
            let reason = format!(
                "it is {} with task {}; it must be active with no task",
                shown.vm_state.as_ref().map_or("in no state", VmState::as_str),
                shown.task_state.as_ref().map_or("none", TaskState::as_str),
            );
            return Err(invalid(uuid, Action::Reboot, reason));
        };
        let deadline = Deadline::after(ctx.timeout);
        let handle = self.0.router.cells().get(cell, deadline).await?;
        let ctx = ctx.clone();
        let id = OperationUuid(self.0.uuids.row());
        let marked = handle
            .run("reboot", deadline, move |conn| {
                transaction(conn, "reboot", |conn| {
                    let now = conn.now();
                    let change = (None, Some(&TaskState::REBOOTING));
                    if !instance::change_task(conn, uuid, &VmState::Active, change, now)? {
                        return Err(RebootError::StateChanged);
                    }
                    action::add(conn, &ctx, uuid, Action::Reboot.name(), now)?;
                    let epoch = fence::find(conn, uuid)?.and_then(|fence| fence.written_epoch);
                    let nth = action::count(conn, uuid)?;
                    let sequence = sequence_of_action(epoch.unwrap_or(0), nth);
                    let operation = RebootOperation {
                        id,
                        instance_uuid: uuid,
                        sequence,
                        attempt: 0,
                        host: host.clone(),
                        cell: None,
                    };
                    outbox::insert(conn, &[Operation::Reboot(operation).into()], now)?;
                    Ok(())
                })
            })
            .await;
        match marked {
            Ok(()) => {}
            Err(RebootError::StateChanged) => {
                return Err(invalid(uuid, Action::Reboot, "its state changed meanwhile"));
            }
            Err(RebootError::Database(source)) => {
                return Err(CellError::Database { cell, source }.into());
            }
        }
        self.0.wake.notify_one();
        self.dispatch_cell(cell).await?;
        Ok(())
    }

    pub(crate) async fn apply_rebooted(
        &self,
        handle: &CellHandle,
        uuid: InstanceUuid,
    ) -> Result<(), ReportError> {
        let rebooted = handle
            .run("rebooted", self.step_deadline(), move |conn| {
                let now = conn.now();
                let change = (Some(&TaskState::REBOOTING), None);
                instance::change_task(conn, uuid, &VmState::Active, change, now)
            })
            .await?;
        if rebooted {
            Ok(())
        } else {
            Err(ReportError::Stale { uuid, reason: "it is not rebooting" })
        }
    }
}

#[cfg(test)]
mod tests {
    use cellzero_types::CellUuid;
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;

    #[rstest]
    #[case::in_cell0(Home::Cell(CellUuid::CELL0), Some("delete and retry are the only actions"))]
    #[case::without_a_cell(Home::BuildRequest, Some("no cell yet"))]
    #[case::in_a_live_cell(Home::Cell(CellUuid(Uuid::from_u128(1))), None)]
    fn the_home_decides_before_any_state(#[case] home: Home, #[case] refused: Option<&str>) {
        let uuid = InstanceUuid(Uuid::from_u128(2));
        let checked = check_home(uuid, Action::Reboot, home);
        match refused {
            None => checked.unwrap(),
            Some(reason) => {
                let text = checked.unwrap_err().to_string();
                assert!(text.contains(reason) && text.contains("reboot"), "{text}");
            }
        }
    }
}
