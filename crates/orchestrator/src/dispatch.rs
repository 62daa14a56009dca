//! Step 7: effects outside the databases, through the embedder's [`Dispatch`].
//!
//! Each effect stands in the outbox of the database that decided it, and is sent until the
//! receiver acknowledges it: at least once, with a stable operation id and a sequence number that
//! rises for each instance, so that the receiver applies each once and in order. A build is sent
//! only where the instance mapping names the cell whose outbox holds it.

use std::sync::Arc;

use cellzero_api_db::outbox::Release;
use cellzero_api_db::{claim, instance_mapping, outbox as api_outbox};
use cellzero_cell_db::outbox::{self, OutboxRow};
use cellzero_database::{DatabaseError, transaction};
use cellzero_router::{CellError, CellHandle};
use cellzero_types::{BlockDevice, CellUuid, InstanceUuid, Networks, OperationUuid};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::Orchestrator;
use crate::report::ReportError;

/// The most effects of one outbox that are read at once.
const OUTBOX_BATCH_MAX: u32 = 200;
/// How long an effect waits after it could not be sent.
const RESEND_AFTER: TimeDelta = TimeDelta::seconds(1);

/// Build an instance on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildOperation {
    /// Stable: the same for every sending.
    pub id: OperationUuid,
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Rises for each instance.
    pub sequence: i64,
    /// The host that is to build it.
    pub host: String,
    /// Hosts of the same cell that may be tried after it.
    pub alternates: Vec<String>,
    /// Where it is to be plugged in.
    pub networks: Networks,
}

/// Destroy an instance on its host, and release what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyOperation {
    /// Stable: the same for every sending.
    pub id: OperationUuid,
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Rises for each instance.
    pub sequence: i64,
    /// The host that has it, or was to build it.
    pub host: String,
    /// Its block devices, whose volumes are to be detached, or deleted where they go with it.
    pub block_devices: Vec<BlockDevice>,
}

/// Release volumes and ports of an instance that never had a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseOperation {
    /// Stable: the same for every sending.
    pub id: OperationUuid,
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Rises for each instance.
    pub sequence: i64,
    /// Its block devices.
    pub block_devices: Vec<BlockDevice>,
    /// The ports that were asked for.
    pub networks: Networks,
}

/// Reboot an instance on its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebootOperation {
    /// Stable: the same for every sending.
    pub id: OperationUuid,
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Rises for each instance.
    pub sequence: i64,
    /// The host that has it.
    pub host: String,
}

/// An effect, as the outbox of a cell holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "lowercase")]
pub(crate) enum Operation {
    Build(BuildOperation),
    Destroy(DestroyOperation),
    Release(ReleaseOperation),
    Reboot(RebootOperation),
}

impl From<Operation> for OutboxRow {
    fn from(operation: Operation) -> OutboxRow {
        let payload = serde_json::json!(operation).to_string();
        let (name, id, instance_uuid, sequence, host) = match operation {
            Operation::Build(o) => ("build", o.id, o.instance_uuid, o.sequence, Some(o.host)),
            Operation::Destroy(o) => ("destroy", o.id, o.instance_uuid, o.sequence, Some(o.host)),
            Operation::Release(o) => ("release", o.id, o.instance_uuid, o.sequence, None),
            Operation::Reboot(o) => ("reboot", o.id, o.instance_uuid, o.sequence, Some(o.host)),
        };
        OutboxRow { id, instance_uuid, sequence, operation: name.to_owned(), host, payload }
    }
}

/// What a receiver says to an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatched {
    /// It has the operation and will report when it is done.
    Taken,
    /// It is done already.
    Done,
}

/// An effect could not be handed over; it is sent again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operation could not be dispatched: {reason}")]
pub struct DispatchError {
    /// Why, in the embedder's words.
    pub reason: String,
}

/// The way to the compute hosts and to the services for volumes and ports.
///
/// Every call may be repeated with the same operation id: the receiver applies it once.
#[async_trait::async_trait]
pub trait Dispatch: std::fmt::Debug + Send + Sync {
    /// Builds an instance on its host.
    ///
    /// # Errors
    /// [`DispatchError`] where it could not be handed over; it is sent again.
    async fn build(&self, operation: &BuildOperation) -> Result<Dispatched, DispatchError>;

    /// Destroys an instance on its host; its claim is freed when that is done.
    ///
    /// # Errors
    /// [`DispatchError`] where it could not be handed over; it is sent again.
    async fn destroy(&self, operation: &DestroyOperation) -> Result<Dispatched, DispatchError>;

    /// Releases volumes and ports of an instance that never had a host.
    ///
    /// # Errors
    /// [`DispatchError`] where it could not be handed over; it is sent again.
    async fn release(&self, operation: &ReleaseOperation) -> Result<Dispatched, DispatchError>;

    /// Reboots an instance on its host.
    ///
    /// # Errors
    /// [`DispatchError`] where it could not be handed over; it is sent again.
    async fn reboot(&self, operation: &RebootOperation) -> Result<Dispatched, DispatchError>;
}

/// The default: every operation is done at once, so that an instance becomes ACTIVE in process.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcessDispatch;

#[async_trait::async_trait]
impl Dispatch for InProcessDispatch {
    async fn build(&self, _: &BuildOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn destroy(&self, _: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn release(&self, _: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn reboot(&self, _: &RebootOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }
}

impl Orchestrator {
    /// Sends what the outbox of one cell holds and is due; says how many were handed over.
    ///
    /// # Errors
    /// [`CellError`] where the cell or the API database fails; what is left is sent later.
    pub async fn dispatch_cell(&self, cell: CellUuid) -> Result<usize, CellError> {
        let deadline = self.step_deadline();
        let handle = self.0.router.cells().get(cell, deadline).await?;
        let failed = |source| CellError::Database { cell, source };
        let due = handle
            .run("read_outbox", deadline, |conn| {
                let now = conn.now();
                outbox::due(conn, now, OUTBOX_BATCH_MAX)
            })
            .await
            .map_err(failed)?;
        let due = self.confirmed(cell, due).await.map_err(CellError::Api)?;
        let mut sent = 0;
        for row in due {
            sent += usize::from(self.send(&handle, row).await.map_err(failed)?);
        }
        Ok(sent)
    }

    /// Leaves out builds of instances whose mapping does not name this cell: they are not decided,
    /// or deleted since. A sweep or a delete removes their rows.
    async fn confirmed(
        &self,
        cell: CellUuid,
        due: Vec<OutboxRow>,
    ) -> Result<Vec<OutboxRow>, DatabaseError> {
        let builds: Vec<InstanceUuid> = due
            .iter()
            .filter(|row| row.operation == "build")
            .map(|row| row.instance_uuid)
            .collect();
        if builds.is_empty() {
            return Ok(due);
        }
        let mappings = self
            .api()
            .run("confirm_builds", self.step_deadline(), move |conn| {
                instance_mapping::of_instances(conn, &builds)
            })
            .await?;
        let confirmed = due.into_iter().filter(|row| {
            let mapping = mappings.get(&row.instance_uuid);
            row.operation != "build" || mapping.is_some_and(|m| m.cell == Some(cell))
        });
        Ok(confirmed.collect())
    }

    async fn send(&self, handle: &Arc<CellHandle>, row: OutboxRow) -> Result<bool, DatabaseError> {
        let operation: Operation = serde_json::from_str(&row.payload)
            .map_err(|error| DatabaseError::damaged(format!("outbox row {}: {error}", row.id)))?;
        let dispatch = &self.0.dispatch;
        let answer = match &operation {
            Operation::Build(operation) => dispatch.build(operation).await,
            Operation::Destroy(operation) => dispatch.destroy(operation).await,
            Operation::Release(operation) => dispatch.release(operation).await,
            Operation::Reboot(operation) => dispatch.reboot(operation).await,
        };
        match answer {
            Ok(Dispatched::Done) => self.done(handle, &operation).await?,
            Ok(Dispatched::Taken) => {}
            Err(error) => {
                tracing::warn!(instance = %row.instance_uuid, operation = %row.id, %error, "not dispatched; sent again later");
                handle
                    .run("put_off_operation", self.step_deadline(), move |conn| {
                        let not_before = conn.now() + RESEND_AFTER;
                        outbox::put_off(conn, row.id, not_before)
                    })
                    .await?;
                return Ok(false);
            }
        }
        handle
            .run("forget_operation", self.step_deadline(), move |conn| {
                outbox::forget(conn, &[row.id])
            })
            .await?;
        Ok(true)
    }

    /// Applies what follows from an operation that is done, before it is forgotten: a crash in
    /// between has it sent and applied again.
    async fn done(
        &self,
        handle: &Arc<CellHandle>,
        operation: &Operation,
    ) -> Result<(), DatabaseError> {
        let applied = match operation {
            Operation::Build(o) => self.apply_built(handle, o.instance_uuid, &o.host).await,
            Operation::Destroy(o) => self.apply_destroyed(o.instance_uuid).await,
            Operation::Reboot(o) => self.apply_rebooted(handle, o.instance_uuid).await,
            Operation::Release(_) => Ok(()),
        };
        match applied {
            Err(ReportError::Database(error)) => Err(error),
            // A report about an instance that is gone meanwhile changes nothing.
            _ => Ok(()),
        }
    }

    /// Sends the releases that the API database's own outbox holds; says how many.
    ///
    /// # Errors
    /// The API database's; what is left is sent later.
    pub async fn dispatch_releases(&self) -> Result<usize, DatabaseError> {
        let due = self
            .api()
            .run("read_outbox", self.step_deadline(), |conn| {
                let now = conn.now();
                api_outbox::due(conn, now, OUTBOX_BATCH_MAX)
            })
            .await?;
        let mut sent = 0;
        for release in due {
            sent += usize::from(self.send_release(release).await?);
        }
        Ok(sent)
    }

    async fn send_release(&self, release: Release) -> Result<bool, DatabaseError> {
        let operation: ReleaseOperation =
            serde_json::from_str(&release.payload).map_err(|error| {
                DatabaseError::damaged(format!("outbox row {}: {error}", release.id))
            })?;
        let id = release.id;
        let answer = self.0.dispatch.release(&operation).await;
        if let Err(error) = &answer {
            tracing::warn!(instance = %release.instance_uuid, operation = %id, %error, "not released; sent again later");
        }
        let sent = answer.is_ok();
        self.api()
            .run("settle_release", self.step_deadline(), move |conn| {
                if sent {
                    api_outbox::forget(conn, id)
                } else {
                    let not_before = conn.now() + RESEND_AFTER;
                    api_outbox::put_off(conn, id, not_before)
                }
            })
            .await?;
        Ok(sent)
    }

    /// Frees the claim of an instance that its host no longer has.
    pub(crate) async fn apply_destroyed(&self, uuid: InstanceUuid) -> Result<(), ReportError> {
        self.api()
            .run("free_claim", self.step_deadline(), move |conn| {
                transaction(conn, "free_claim", |conn| {
                    let now = conn.now();
                    claim::free(conn, &[uuid], now)
                })
            })
            .await
            .map_err(ReportError::Database)
    }
}
