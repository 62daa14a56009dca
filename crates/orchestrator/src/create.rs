//! Step 4: every instance is written whole into the cell that its placement names.
//!
//! One transaction in each target cell, all cells at once. In cell0 an instance is written as it
//! will stand there: vm_state ERROR, no task, no host, its fault, and its `create` action with a
//! failed event. What is written is seen by nobody until step 5 decides.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cellzero_cell_db::action::NewEvent;
use cellzero_cell_db::outbox::OutboxRow;
use cellzero_cell_db::whole::{self, NewInstance, WriteBatch, Written};
use cellzero_database::{DatabaseError, ErrorKind};
use cellzero_router::{CellError, CellHandle};
use cellzero_types::{
    CellUuid, Instance, InstanceFault, InstanceUuid, OperationUuid, TaskState, Verdict, VmState,
};
use chrono::NaiveDateTime;
use futures_util::future::join_all;

use crate::Orchestrator;
use crate::basis::Burial;
use crate::operation::{BuildOperation, Operation, sequence_of};
use crate::place::{Placement, Target};
use crate::settle::{LeasedGroup, Member};

/// The event of the `create` action of a buried instance, by Nova's name.
pub const EVENT_SCHEDULE: &str = "conductor_schedule_and_build_instances";
/// The event of the `create` action of an instance that its host builds, by Nova's name.
pub const EVENT_BUILD: &str = "compute__do_build_and_run_instance";
/// The code of a fault for which the user is not to blame.
pub(crate) const FAULT_CODE: i32 = 500;

/// What a cell did with its part of a group.
#[derive(Debug)]
pub(crate) enum CellWrite {
    /// It answered for each instance.
    Answered(Written),
    /// It could not be written; nothing is known of its rows.
    Failed(CellError),
}

impl Orchestrator {
    /// Writes a placed group into its cells.
    pub(crate) async fn create(
        &self,
        leased: &LeasedGroup,
        placement: &Placement,
    ) -> Vec<(CellUuid, CellWrite)> {
        let mut by_cell: BTreeMap<CellUuid, Vec<(&Member, &Target)>> = BTreeMap::new();
        for member in &leased.members {
            if let Some(target) = placement.get(&member.instance.uuid) {
                by_cell.entry(target.cell()).or_default().push((member, target));
            }
        }
        let writes = by_cell.into_iter().map(|(cell, instances)| async move {
            let write = self.create_in_cell(leased, cell, instances).await;
            (cell, write.map_or_else(CellWrite::Failed, CellWrite::Answered))
        });
        join_all(writes).await
    }

    #[tracing::instrument(
        name = "create", level = "debug", skip_all,
        fields(%cell, group = %leased.group, instance = leased.alone(), instances = instances.len())
    )]
    async fn create_in_cell(
        &self,
        leased: &LeasedGroup,
        cell: CellUuid,
        instances: Vec<(&Member, &Target)>,
    ) -> Result<Written, CellError> {
        let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
        let batch = Arc::new(self.batch(leased, cell, &instances));
        let written = match self.write(&handle, &batch).await {
            // Whether it committed is not known. Under the lock of the fences it is: what stands at
            // this epoch stays, and what does not is written.
            Err(error) if is_worth_another_try(&error) => self.write(&handle, &batch).await,
            other => other,
        };
        written.map_err(|source| CellError::Database { cell, source })
    }

    async fn write(
        &self,
        handle: &CellHandle,
        batch: &Arc<WriteBatch>,
    ) -> Result<Written, DatabaseError> {
        let shared = Arc::clone(batch);
        handle
            .run("create_instances", self.step_deadline(), move |conn| {
                let mut batch = shared.as_ref().clone();
                stamp(&mut batch, conn.now());
                whole::write(conn, &batch)
            })
            .await
    }

    fn batch(
        &self,
        leased: &LeasedGroup,
        cell: CellUuid,
        instances: &[(&Member, &Target)],
    ) -> WriteBatch {
        let first_verdict = instances.iter().find_map(|(_, target)| match target {
            Target::Bury(burial) => Some(&burial.verdict),
            Target::Host(_) => None,
        });
        let (event, action_message) = if cell.is_cell0() {
            let details = first_verdict.map(Verdict::fault_message);
            (self.failed_schedule(leased.accepted_at, details), Some("Error".to_owned()))
        } else {
            (self.event(EVENT_BUILD, leased.accepted_at), None)
        };
        WriteBatch {
            instances: instances.iter().map(|(m, target)| self.new_instance(m, target)).collect(),
            request_id: leased.request_id.clone(),
            accepted_at: leased.accepted_at,
            event,
            action_message,
        }
    }

    fn new_instance(&self, member: &Member, target: &Target) -> NewInstance {
        match target {
            Target::Bury(burial) => self.buried(member, burial),
            Target::Host(selection) => {
                let mut instance = member.instance.clone();
                instance.host = Some(selection.host.clone());
                instance.node = Some(selection.node.clone());
                instance.availability_zone =
                    selection.availability_zone.clone().or(instance.availability_zone);
                instance.task_state = Some(TaskState::SPAWNING);
                let build = BuildOperation {
                    id: OperationUuid(self.0.uuids.row()),
                    instance_uuid: instance.uuid,
                    sequence: sequence_of(member.ticket.epoch),
                    attempt: 0,
                    host: selection.host.clone(),
                    alternates: selection.alternates.clone(),
                    networks: member.spec.networks.clone(),
                    cell: None,
                };
                NewInstance {
                    instance,
                    epoch: member.ticket.epoch,
                    build: Some(OutboxRow::from(Operation::Build(build))),
                    verdict: None,
                    history: member.history.clone(),
                }
            }
        }
    }

    fn buried(&self, member: &Member, burial: &Burial) -> NewInstance {
        let verdict = &burial.verdict;
        let (message, details) = (verdict.fault_message(), verdict.fault_details());
        NewInstance {
            instance: self.as_buried(member.instance.clone(), message, details),
            epoch: member.ticket.epoch,
            build: None,
            verdict: Some(burial.to_store()),
            history: member.history.clone(),
        }
    }

    /// An instance as it stands in cell0: in vm_state ERROR, without task and host, with its fault.
    pub(crate) fn as_buried(
        &self,
        instance: Instance,
        message: impl Into<String>,
        details: Option<String>,
    ) -> Instance {
        Instance {
            vm_state: Some(VmState::Error),
            task_state: None,
            host: None,
            node: None,
            fault: Some(self.fault(message, details)),
            ..instance
        }
    }

    /// A fault for which the user is not to blame.
    pub(crate) fn fault(
        &self,
        message: impl Into<String>,
        details: Option<String>,
    ) -> InstanceFault {
        let host = Some(self.0.options.host.clone());
        InstanceFault { code: FAULT_CODE, message: message.into(), details, host, created_at: None }
    }

    /// The event of an instance that was buried.
    pub(crate) fn failed_schedule(
        &self,
        start_time: NaiveDateTime,
        details: Option<String>,
    ) -> NewEvent {
        NewEvent {
            result: Some("Error".to_owned()),
            details,
            ..self.event(EVENT_SCHEDULE, start_time)
        }
    }

    pub(crate) fn event(&self, event: &str, start_time: NaiveDateTime) -> NewEvent {
        NewEvent {
            event: event.to_owned(),
            host: Some(self.0.options.host.clone()),
            result: None,
            details: None,
            start_time,
            finish_time: None,
        }
    }
}

/// Whether a connection broke on the way: a new one may do.
fn is_worth_another_try(error: &DatabaseError) -> bool {
    matches!(error.kind(), ErrorKind::CommitUnknown | ErrorKind::ConnectionLost)
}

/// A failed event ends when it is written, by the cell's own clock.
fn stamp(batch: &mut WriteBatch, now: NaiveDateTime) {
    if batch.event.result.is_some() {
        batch.event.finish_time = Some(now);
    }
}

/// The target of each instance that a cell has written, by cell.
pub(crate) fn written_of(writes: &[(CellUuid, CellWrite)]) -> HashMap<InstanceUuid, CellUuid> {
    let mut all = HashMap::new();
    for (cell, write) in writes {
        if let CellWrite::Answered(written) = write {
            all.extend(written.written.iter().map(|uuid| (*uuid, *cell)));
        }
    }
    all
}
