//! Step 7: effects outside the databases, through the embedder's [`Dispatch`](crate::Dispatch).
//!
//! Each effect stands in the outbox of the database that decided it, and is sent until the
//! receiver acknowledges it: at least once and in order for each instance, with a stable operation
//! id, a sequence number that rises, and the number of the attempt. A build is sent only while its
//! epoch is the decided one and the instance mapping names the cell whose outbox holds it; once the
//! instance is queued for delete it is forgotten.
//!
//! Whoever sends takes the effects for the length of a lease first, so that others leave them
//! alone. Statements for one batch of at most 200: 2 to read and confirm, 2 to take, 1 to forget,
//! and what follows from each that is done at once.

use std::collections::HashMap;
use std::sync::Arc;

use cellzero_api_db::boot_state::{self, Standing};
use cellzero_api_db::claim::{self, Claim};
use cellzero_api_db::outbox as api_outbox;
use cellzero_cell_db::outbox::{self, OutboxRow};
use cellzero_database::{DatabaseError, transaction};
use cellzero_router::{CellError, CellHandle};
use cellzero_types::{CellUuid, InstanceUuid, OperationUuid};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::Orchestrator;
use crate::operation::{
    ACTION, BUILD, DispatchError, Dispatched, Operation, REBOOT, ReleaseOperation, sequence_of,
};
use crate::report::ReportError;

/// The most effects of one outbox that are read at once.
const OUTBOX_BATCH_MAX: u32 = 200;
/// The most such batches of one outbox in one pass.
const BATCHES_MAX: u32 = 20;

/// Why an effect was not handed over. It is sent again.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("the outbox holds an operation that cannot be read; delete its row by hand")]
    Damaged(#[from] serde_json::Error),
    #[error(transparent)]
    Refused(#[from] DispatchError),
    #[error("what follows from it could not be stored")]
    Database(#[from] DatabaseError),
}

/// What is to be done with the effects that are due.
#[derive(Default)]
struct Due {
    send: Vec<OutboxRow>,
    /// Of instances that are gone: nobody needs them.
    forget: Vec<OperationUuid>,
    /// Builds that are not decided. A sweep removes them, or the decision lets them go.
    wait: Vec<OperationUuid>,
}

impl Orchestrator {
    /// Sends what the outbox of one cell holds and is due; says how many were handed over. A silent
    /// cell is not asked.
    ///
    /// # Errors
    /// [`CellError`] where the cell or the API database fails; what is left is sent later.
    pub async fn dispatch_cell(&self, cell: CellUuid) -> Result<usize, CellError> {
        let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
        Box::pin(self.dispatch_outbox(&handle)).await
    }

    #[tracing::instrument(
        name = "dispatch", level = "debug", skip_all, fields(cell = %handle.uuid())
    )]
    pub(crate) async fn dispatch_outbox(
        &self,
        handle: &Arc<CellHandle>,
    ) -> Result<usize, CellError> {
        let mut sent = 0;
        if handle.is_silent() {
            return Ok(sent);
        }
        for _ in 0..BATCHES_MAX {
            let (batch, more) = self.dispatch_batch(handle).await?;
            sent += batch;
            if !more {
                break;
            }
        }
        Ok(sent)
    }

    /// One batch: how many effects were handed over, and whether there may be more that are due.
    async fn dispatch_batch(&self, handle: &Arc<CellHandle>) -> Result<(usize, bool), CellError> {
        let cell = handle.uuid();
        let failed = |source| CellError::Database { cell, source };
        let due = handle
            .run("read_outbox", self.step_deadline(), |conn| {
                let now = conn.now();
                outbox::due(conn, now, OUTBOX_BATCH_MAX)
            })
            .await
            .map_err(failed)?;
        if due.is_empty() {
            return Ok((0, false));
        }
        let is_full = due.len() == OUTBOX_BATCH_MAX as usize;
        let due = self.confirmed(cell, due).await.map_err(CellError::Api)?;
        // What comes after a forgotten one of the same instance is due now.
        let more = is_full || !due.forget.is_empty();
        self.leave_out(handle, due.forget, due.wait, is_full).await.map_err(failed)?;
        let sent = self.send_all(handle, due.send).await.map_err(failed)?;
        Ok((sent, more))
    }

    /// Splits effects by where their instances stand in the API database.
    async fn confirmed(&self, cell: CellUuid, due: Vec<OutboxRow>) -> Result<Due, DatabaseError> {
        let conditional =
            |row: &OutboxRow| [BUILD, ACTION, REBOOT].contains(&row.operation.as_str());
        let uuids: Vec<InstanceUuid> =
            due.iter().filter(|row| conditional(row)).map(|row| row.instance_uuid).collect();
        let standings = match uuids.is_empty() {
            true => HashMap::new(),
            false => {
                let read = move |conn: &mut _| boot_state::standings(conn, &uuids);
                self.api().run("confirm_builds", self.step_deadline(), read).await?
            }
        };
        let mut split = Due::default();
        for row in due {
            match standings.get(&row.instance_uuid) {
                _ if !conditional(&row) => split.send.push(row),
                Some(standing) if standing.queued_for_delete => split.forget.push(row.id),
                Some(standing) if is_home(standing, cell, &row) => split.send.push(row),
                _ => split.wait.push(row.id),
            }
        }
        Ok(split)
    }

    async fn leave_out(
        &self,
        handle: &CellHandle,
        forget: Vec<OperationUuid>,
        wait: Vec<OperationUuid>,
        is_full: bool,
    ) -> Result<(), DatabaseError> {
        // Where there may be more behind them, those that wait must not stand in the way.
        let in_the_way = is_full && !wait.is_empty();
        if forget.is_empty() && !in_the_way {
            return Ok(());
        }
        let resend_after = self.resend_after();
        handle
            .run("leave_out_operations", self.step_deadline(), move |conn| {
                if in_the_way {
                    let not_before = conn.now() + resend_after;
                    outbox::put_off(conn, &wait, not_before)?;
                }
                outbox::forget(conn, &forget)
            })
            .await
    }

    async fn send_all(
        &self,
        handle: &Arc<CellHandle>,
        rows: Vec<OutboxRow>,
    ) -> Result<usize, DatabaseError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let ids: Vec<OperationUuid> = rows.iter().map(|row| row.id).collect();
        let attempts = self.take_effects(handle, ids).await?;
        // Those that another took meanwhile are not ours to send.
        let mut ours = rows.into_iter().filter_map(|row| Some((*attempts.get(&row.id)?, row)));
        let (mut sent, mut failed) = (Vec::new(), Vec::new());
        let mut under_way = FuturesUnordered::new();
        // No two are of one instance.
        let most = self.0.dispatch.at_once().max(1);
        loop {
            let room = most - under_way.len();
            under_way.extend(
                ours.by_ref().take(room).map(|(attempt, row)| self.send(handle, row, attempt)),
            );
            match under_way.next().await {
                Some((id, true)) => sent.push(id),
                Some((id, false)) => failed.push(id),
                None => break,
            }
        }
        drop(under_way);
        let count = sent.len();
        let resend_after = self.resend_after();
        handle
            .run("settle_operations", self.step_deadline(), move |conn| {
                if !failed.is_empty() {
                    let not_before = conn.now() + resend_after;
                    outbox::put_off(conn, &failed, not_before)?;
                }
                outbox::forget(conn, &sent)
            })
            .await?;
        Ok(count)
    }

    /// Takes effects for one sending, so that no other process sends them meanwhile; the attempt of
    /// each that was won.
    async fn take_effects(
        &self,
        handle: &CellHandle,
        ids: Vec<OperationUuid>,
    ) -> Result<HashMap<OperationUuid, u32>, DatabaseError> {
        let lease = self.lease_time();
        handle
            .run("take_operations", self.step_deadline(), move |conn| {
                transaction(conn, "take_operations", |conn| {
                    let now = conn.now();
                    outbox::take(conn, &ids, now, now + lease)
                })
            })
            .await
    }

    /// Hands one effect over, and applies what follows where it is done at once; says which it was and
    /// whether it may be forgotten. A crash before that has it sent and applied again.
    #[tracing::instrument(
        level = "debug", skip_all,
        fields(instance = %row.instance_uuid, operation = %row.id, attempt = attempt)
    )]
    async fn send(
        &self,
        handle: &Arc<CellHandle>,
        row: OutboxRow,
        attempt: u32,
    ) -> (OperationUuid, bool) {
        // What follows from one could not be stored in a cell that fell silent meanwhile.
        if handle.is_silent() {
            return (row.id, false);
        }
        let sent = self.hand_over_operation(handle, &row, attempt).await;
        if let Err(error) = &sent {
            tracing::warn!(instance = %row.instance_uuid, operation = %row.id, attempt, error = error as &dyn std::error::Error, "not dispatched; sent again later");
        }
        (row.id, sent.is_ok())
    }

    async fn hand_over_operation(
        &self,
        handle: &Arc<CellHandle>,
        row: &OutboxRow,
        attempt: u32,
    ) -> Result<(), SendError> {
        let operation = Operation::read(&row.payload, attempt, handle.mapping())?;
        let dispatch = &self.0.dispatch;
        let answer = match &operation {
            Operation::Build(operation) => dispatch.build(operation).await?,
            Operation::Destroy(operation) => dispatch.destroy(operation).await?,
            Operation::Release(operation) => dispatch.release(operation).await?,
            Operation::Action(operation) => dispatch.act(operation).await?,
        };
        match answer {
            Dispatched::Done => Ok(self.done(handle, &operation).await?),
            Dispatched::Taken => Ok(()),
        }
    }

    /// Applies what follows from an operation that is done.
    async fn done(
        &self,
        handle: &Arc<CellHandle>,
        operation: &Operation,
    ) -> Result<(), DatabaseError> {
        let applied = match operation {
            Operation::Build(o) => self.apply_built(handle, o.instance_uuid, &o.host).await,
            Operation::Destroy(o) => self.apply_destroyed(o.instance_uuid).await,
            Operation::Action(o) => self.apply_acted(handle, o.instance_uuid, o.action, None).await,
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
        let lease = self.lease_time();
        let due = self
            .api()
            .run("take_releases", self.step_deadline(), move |conn| {
                let now = conn.now();
                // Nearly always there is none, and then nothing is locked.
                if !api_outbox::is_due(conn, now)? {
                    return Ok(Vec::new());
                }
                transaction(conn, "take_releases", |conn| {
                    api_outbox::take(conn, now, now + lease, OUTBOX_BATCH_MAX)
                })
            })
            .await?;
        let (mut sent, mut failed) = (Vec::new(), Vec::new());
        for release in due {
            let id = release.id;
            match self.send_release(&release).await {
                Ok(()) => sent.push(id),
                Err(error) => {
                    tracing::warn!(instance = %release.instance_uuid, operation = %id, error = &error as &dyn std::error::Error, "not released; sent again later");
                    failed.push(id);
                }
            }
        }
        let count = sent.len();
        if sent.is_empty() && failed.is_empty() {
            return Ok(0);
        }
        let resend_after = self.resend_after();
        self.api()
            .run("settle_releases", self.step_deadline(), move |conn| {
                if !failed.is_empty() {
                    let not_before = conn.now() + resend_after;
                    api_outbox::put_off(conn, &failed, not_before)?;
                }
                api_outbox::forget(conn, &sent)
            })
            .await?;
        Ok(count)
    }

    async fn send_release(&self, release: &api_outbox::Release) -> Result<(), SendError> {
        let mut operation: ReleaseOperation = serde_json::from_str(&release.payload)?;
        operation.attempt = release.attempt;
        self.0.dispatch.release(&operation).await?;
        Ok(())
    }

    /// Frees the claim of an instance that its host no longer has.
    pub(crate) async fn apply_destroyed(&self, uuid: InstanceUuid) -> Result<(), ReportError> {
        let freed = self
            .api()
            .run("free_claim", self.step_deadline(), move |conn| {
                transaction(conn, "free_claim", |conn| {
                    let now = conn.now();
                    claim::free(conn, &[uuid], now)
                })
            })
            .await?;
        self.tell_of_freed(freed).await;
        Ok(())
    }

    /// Tells of the instance whose claim was freed by this report; a repeat frees none.
    pub(crate) async fn tell_of_freed(&self, freed: Vec<Claim>) {
        for claim in freed {
            self.tell_of_destroyed(claim.instance_uuid, Some(claim.host)).await;
        }
    }
}

/// Whether an effect belongs to the instance as it was decided.
fn is_home(standing: &Standing, cell: CellUuid, row: &OutboxRow) -> bool {
    standing.cell == Some(cell)
        && (row.operation != BUILD || standing.decided_epoch.map(sequence_of) == Some(row.sequence))
}
