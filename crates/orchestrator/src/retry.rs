//! Retry: a buried instance moves back to a build request, under the same uuid, and is scheduled
//! again.
//!
//! It is read whole from cell0 first. Then one transaction in the API database, under the lock of
//! its boot state, takes it out of cell0: a new epoch, a mapping without a cell, the build request,
//! an intent so that the rows of cell0 are swept, and what it has behind it, which is written into
//! its next home. The placement then goes its usual way, and ends in a cell or in cell0 again.
//!
//! Statements: 2 in the API database, 8 in cell0, and 13 in one transaction of the API database, one
//! more for an instance's first retry: three questions that wait for one another. The admin password
//! of the first request is not stored, so a retried instance is built without one.

use cellzero_api_db::boot_intent::{self, BootIntent};
use cellzero_api_db::boot_state::{BootState, Ticket};
use cellzero_api_db::quota::QuotaLimits;
use cellzero_api_db::{
    ApiConnection, boot_history, boot_state, build_request, instance_mapping, quota, request_spec,
    retry, waiting,
};
use cellzero_cell_db::instance::WithDeleted;
use cellzero_cell_db::{action, fault, verdict, whole};
use cellzero_database::{DatabaseError, DatabaseErrorSource, Deadline, transaction};
use cellzero_router::CellError;
use cellzero_types::{
    BootHistory, CellUuid, Home, Instance, InstanceUuid, RequestContext, TaskState, VmState,
};

use crate::Orchestrator;
use crate::accept::{Accepted, BootError, count_within_quota};

/// How often a retry starts over because the instance changed while it was read.
const CHANGES_MAX: u32 = 4;

/// Why a buried instance was not retried. It stays where it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// There is no such instance, it is another project's, or it is deleted.
    #[error("instance {uuid} could not be found")]
    InstanceNotFound {
        /// The uuid that was asked for.
        uuid: InstanceUuid,
    },
    /// It is not in cell0: it is being built, or lives in a cell. HTTP 409.
    #[error("cannot retry instance {uuid}: {reason}; only one that is buried in cell0 can be")]
    NotBuried {
        /// The instance.
        uuid: InstanceUuid,
        /// Where it is.
        reason: &'static str,
    },
    /// It moved to its next home at every look. Asking again helps.
    #[error("instance {uuid} changes its home right now; ask again")]
    Moving {
        /// The instance.
        uuid: InstanceUuid,
    },
    /// The quota of its project does not allow it, or the API database failed.
    #[error(transparent)]
    Refused(#[from] BootError),
    /// Cell0 could not be read.
    #[error(transparent)]
    Cell(#[from] CellError),
}

impl From<DatabaseError> for RetryError {
    fn from(error: DatabaseError) -> RetryError {
        RetryError::Refused(error.into())
    }
}

impl DatabaseErrorSource for RetryError {
    fn database_error(&self) -> Option<&DatabaseError> {
        match self {
            RetryError::Refused(error) => error.database_error(),
            _ => None,
        }
    }
}

/// A buried instance as it was read, and at which epoch and version.
#[derive(Clone)]
struct Buried {
    instance: Instance,
    history: BootHistory,
    ticket: Ticket,
}

impl Orchestrator {
    /// Takes a buried instance out of cell0 to be scheduled again. From then on it is shown as
    /// building; a worker or [`settle_group`](Self::settle_group) brings it home.
    ///
    /// # Errors
    /// [`RetryError`]; the instance stays in cell0 then, but for an unknown commit.
    pub async fn retry(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Accepted, RetryError> {
        let deadline = Deadline::after(ctx.timeout);
        for _ in 0..CHANGES_MAX {
            let state = self.check_buried(ctx, uuid, deadline).await?;
            let Some(buried) = self.read_buried(uuid, state.ticket(), deadline).await? else {
                continue;
            };
            if let Some(accepted) = self.move_to_request(ctx, buried, deadline).await? {
                metrics::counter!("cellzero_retried_instances_total").increment(1);
                self.0.wake.notify_one();
                return Ok(accepted);
            }
        }
        Err(RetryError::Moving { uuid })
    }

    async fn check_buried(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        deadline: Deadline,
    ) -> Result<BootState, RetryError> {
        let ctx = ctx.clone();
        self.api()
            .run("read_buried", deadline, move |conn| {
                let gone = || RetryError::InstanceNotFound { uuid };
                let mapping = instance_mapping::find(conn, uuid)?
                    .filter(|mapping| ctx.may_see(&mapping.project_id))
                    .filter(|mapping| !mapping.queued_for_delete)
                    .ok_or_else(gone)?;
                let reason = match mapping.cell {
                    Some(cell) if cell.is_cell0() => {
                        return boot_state::find(conn, uuid)?.ok_or_else(gone);
                    }
                    Some(_) => "it lives in a cell",
                    None => "it is being built",
                };
                Err(RetryError::NotBuried { uuid, reason })
            })
            .await
    }

    /// The instance as it stands in cell0; none where it has just left.
    async fn read_buried(
        &self,
        uuid: InstanceUuid,
        ticket: Ticket,
        deadline: Deadline,
    ) -> Result<Option<Buried>, RetryError> {
        let cell0 = self.0.router.cells().get(CellUuid::CELL0, deadline).await?;
        let read = cell0
            .run("read_buried", deadline, move |conn| {
                let found = whole::read(conn, CellUuid::CELL0, &[uuid], WithDeleted::No)?;
                let Some(instance) = found.into_iter().next() else { return Ok(None) };
                let history = BootHistory {
                    faults: fault::of_instance(conn, uuid)?,
                    actions: action::of_instance(conn, uuid)?,
                    verdicts: verdict::of_instances(conn, &[uuid])?.into_values().collect(),
                };
                Ok::<_, DatabaseError>(Some(Buried { instance, history, ticket }))
            })
            .await
            .map_err(|source| CellError::Database { cell: CellUuid::CELL0, source })?;
        Ok(read)
    }

    async fn move_to_request(
        &self,
        ctx: &RequestContext,
        buried: Buried,
        deadline: Deadline,
    ) -> Result<Option<Accepted>, RetryError> {
        let (ctx, fallback) = (ctx.clone(), self.0.options.quota);
        self.api()
            .run("retry", deadline, move |conn| {
                transaction(conn, "retry", |conn| {
                    move_in_transaction(conn, &ctx, buried.clone(), fallback)
                })
            })
            .await
    }
}

/// None where the instance is no longer as it was read.
fn move_in_transaction(
    conn: &mut ApiConnection,
    ctx: &RequestContext,
    Buried { instance, mut history, ticket }: Buried,
    fallback: QuotaLimits,
) -> Result<Option<Accepted>, RetryError> {
    let now = conn.now();
    let uuid = instance.uuid;
    // The boot state first: its row is the lock of every decision.
    let Some(locked) = boot_state::lock(conn, uuid)? else { return Ok(None) };
    // Its epoch is that of its burial, and its version that of what stands in cell0.
    if locked.ticket() != ticket {
        return Ok(None);
    }
    let spec = request_spec::of_instances(conn, &[uuid])?
        .pop()
        .ok_or_else(|| DatabaseError::damaged(format!("instance {uuid} has no request spec")))?;
    let project = &instance.project_id;
    let limits = quota::limits(conn, project, fallback)?;
    // Before it leaves cell0: from then on it counts as used itself.
    count_within_quota(conn, project, limits, (1, 1), &spec.flavor)?;
    if !instance_mapping::unbury(conn, uuid, now)? {
        return Ok(None);
    }
    let epoch = boot_state::begin_retry(conn, &locked, now)?;
    waiting::wake(conn, uuid, now)?;
    let instance = building(instance);
    let accepted_at = instance.created_at.unwrap_or(now);
    build_request::insert(conn, std::slice::from_ref(&instance), accepted_at)?;
    boot_intent::insert(
        conn,
        &[BootIntent { instance_uuid: uuid, epoch, cell: CellUuid::CELL0 }],
        now,
    )?;
    if let Some((_, earlier)) = boot_history::of_instances(conn, &[uuid])?.remove(&uuid) {
        history.verdicts.splice(0..0, earlier.verdicts);
    }
    boot_history::keep(conn, uuid, &ctx.request_id, &history, now)?;
    retry::record(conn, uuid, now)?;
    let reservation_id = instance.reservation_id.unwrap_or_default();
    Ok(Some(Accepted { group: locked.group, reservation_id, instances: vec![uuid] }))
}

/// The instance as it stood before it was buried.
fn building(buried: Instance) -> Instance {
    Instance {
        id: None,
        home: Home::BuildRequest,
        vm_state: Some(VmState::Building),
        task_state: Some(TaskState::SCHEDULING),
        fault: None,
        updated_at: None,
        ..buried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_databases_error_is_seen_whatever_holds_it() {
        let error = || DatabaseError::damaged("planted");
        assert!(RetryError::from(error()).database_error().is_some());
        assert!(RetryError::from(BootError::Closed).database_error().is_none());
    }
}
