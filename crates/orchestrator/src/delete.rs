//! Delete: while building, in a live cell, and in cell0, by one path.
//!
//! It is decided in the API database, under the lock of the instance's boot state. While the build
//! request stands, deleting that row decides; after the decision, `queued_for_delete` does, set
//! only while the mapping names the cell that was read. The rows of the cell follow; where it does
//! not answer, an intent stands for them and the sweep ends the delete. The mapping and the boot
//! state stay as tombstone.
//!
//! Statements of a buried instance: 6 in the API database, 5 of them in one transaction; 13 in
//! cell0, 11 of them in one transaction; and one more in the API database, outside of one. So three
//! questions to databases wait for one another. In a live cell there is one more, for the destroy.

use cellzero_api_db::boot_intent::{self, BootIntent};
use cellzero_api_db::instance_mapping::InstanceMapping;
use cellzero_api_db::outbox::{self, Release};
use cellzero_api_db::{
    ApiConnection, boot_state, build_request, claim, instance_group, instance_mapping, request_spec,
};
use cellzero_cell_db::outbox::OutboxRow;
use cellzero_cell_db::{block_device, change, instance, whole};
use cellzero_database::{DatabaseError, Deadline, transaction};
use cellzero_router::CellError;
use cellzero_types::{
    BlockDevice, CellUuid, Instance, InstanceUuid, Networks, OperationUuid, RequestContext,
};

use crate::Orchestrator;
use crate::notification::{EventType, Owner};
use crate::operation::{DestroyOperation, Operation, ReleaseOperation, sequence_of};

/// How often a delete starts over because the instance moved to its next home meanwhile.
const MOVES_MAX: u32 = 8;

/// Why an instance was not deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// There is no such instance, it is another project's, or it is deleted.
    #[error("instance {uuid} could not be found")]
    InstanceNotFound {
        /// The uuid that was asked for.
        uuid: InstanceUuid,
    },
    /// It is locked, and the caller is no admin; HTTP 409.
    #[error("instance {uuid} is locked; unlock it first")]
    InstanceIsLocked {
        /// The instance.
        uuid: InstanceUuid,
    },
    /// It moved to its next home at every look. Asking again helps.
    #[error("instance {uuid} changes its home right now; ask again")]
    Moving {
        /// The instance.
        uuid: InstanceUuid,
    },
    /// The API database failed; nothing is known to be deleted.
    #[error("the delete could not be stored in the API database")]
    Database(#[from] DatabaseError),
}

/// What the transaction of the API database did.
enum Step {
    /// Nothing: whether it is locked is to be asked of this cell first.
    AskLock(CellUuid),
    Gone,
    /// Deleted by an earlier call whose sweep is still to end.
    Pending,
    /// The build request is deleted; what its intents left is to be swept.
    WhileBuilding,
    /// Queued for delete in this cell, at this epoch; the networks are what it may release.
    InCell(CellUuid, i64, Networks),
    Moved,
}

impl Orchestrator {
    /// Deletes an instance, wherever it lives. A cell that does not answer is no error: the delete
    /// is decided, and ends when the cell is back.
    ///
    /// # Errors
    /// [`DeleteError`]. An instance whose delete is still under way is `Ok` again.
    pub async fn delete(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<(), DeleteError> {
        let deadline = Deadline::after(ctx.timeout);
        // The cell that was asked whether the instance is locked.
        let mut asked = None;
        for look in 0..MOVES_MAX {
            let (step, owner) = self.decide_delete(ctx, uuid, asked, deadline).await?;
            match step {
                Step::AskLock(cell) => {
                    self.check_not_locked(ctx, uuid, cell).await?;
                    asked = Some(cell);
                }
                // It stood at the first look: another delete was faster, and both have succeeded.
                Step::Gone if look > 0 => return Ok(()),
                Step::Gone => return Err(DeleteError::InstanceNotFound { uuid }),
                Step::Pending => return Ok(()),
                Step::WhileBuilding => {
                    for told in [EventType::InstanceDeleteStart, EventType::InstanceDeleteEnd] {
                        self.tell(told, uuid, owner.clone(), (None, None), |_| {});
                    }
                    // The sweep ends on the next settle where a cell does not answer now.
                    if let Err(error) = self.sweep_one(uuid).await {
                        tracing::warn!(instance = %uuid, error = &error as &dyn std::error::Error, "not swept yet");
                    }
                    return Ok(());
                }
                Step::InCell(cell, epoch, networks) => {
                    let told = EventType::InstanceDeleteStart;
                    self.tell(told, uuid, owner.clone(), (Some(cell), None), |_| {});
                    let intent = BootIntent { instance_uuid: uuid, epoch, cell };
                    self.finish((ctx, owner), intent, networks).await;
                    return Ok(());
                }
                Step::Moved => {}
            }
        }
        Err(DeleteError::Moving { uuid })
    }

    /// Refuses what is locked in its cell. A lock that the cell does not say within half the caller's
    /// time holds nothing back: a delete in a down cell is decided.
    async fn check_not_locked(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        cell: CellUuid,
    ) -> Result<(), DeleteError> {
        let deadline = Deadline::after(ctx.timeout / 2);
        let Ok(handle) = self.0.router.cells().get(cell, deadline).await else { return Ok(()) };
        let read = move |conn: &mut _| change::is_locked(conn, uuid);
        match handle.ask("read_lock", deadline, read).await {
            Ok(Some(true)) => Err(DeleteError::InstanceIsLocked { uuid }),
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(instance = %uuid, %cell, error = &error as &dyn std::error::Error, "deleted without knowing whether it is locked");
                Ok(())
            }
        }
    }

    async fn decide_delete(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        asked: Option<CellUuid>,
        deadline: Deadline,
    ) -> Result<(Step, Owner), DatabaseError> {
        let ctx = ctx.clone();
        let id = OperationUuid(self.0.uuids.row());
        self.api()
            .run("delete", deadline, move |conn| {
                let mapping = instance_mapping::find(conn, uuid)?;
                let Some(mapping) = mapping.filter(|m| ctx.may_see(&m.project_id)) else {
                    return Ok((Step::Gone, Owner::default()));
                };
                // Only in a live cell is anything locked, and an admin minds no lock.
                let home = mapping.cell.filter(|cell| !cell.is_cell0());
                if let Some(cell) = home.filter(|_| !ctx.is_admin && !mapping.queued_for_delete)
                    && asked != Some(cell)
                {
                    return Ok((Step::AskLock(cell), Owner::default()));
                }
                let step =
                    transaction(conn, "delete", |conn| delete_in_transaction(conn, &mapping, id))?;
                let request_id = Some(ctx.request_id);
                Ok((step, Owner { request_id, ..(mapping.project_id, mapping.user_id).into() }))
            })
            .await
    }

    /// Deletes the rows of the cell, and forgets the intent that stood for them.
    async fn finish(&self, by: (&RequestContext, Owner), intent: BootIntent, networks: Networks) {
        let BootIntent { instance_uuid: uuid, cell, .. } = intent;
        if let Err(error) = self.delete_in_cell(by, intent, networks).await {
            tracing::warn!(instance = %uuid, %cell, error = &error as &dyn std::error::Error, "deleted, but not in its cell yet");
            return;
        }
        if let Err(error) = self.forget(vec![intent]).await {
            tracing::warn!(instance = %uuid, error = &error as &dyn std::error::Error, "intent not forgotten; it is swept again");
        }
    }

    /// Deletes the rows of an instance in its cell, and keeps the effects that follow: in a live
    /// cell its destroy, in cell0 the release of its volumes and ports. A silent cell is not asked.
    pub(crate) async fn delete_in_cell(
        &self,
        (ctx, owner): (&RequestContext, Owner),
        BootIntent { instance_uuid: uuid, epoch, cell }: BootIntent,
        networks: Networks,
    ) -> Result<(), CellError> {
        let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
        let by = ctx.clone();
        let id = OperationUuid(self.0.uuids.row());
        let ended = handle
            .ask("delete_instance", self.step_deadline(), move |conn| {
                let devices = block_device::of_instances(conn, &[uuid])?;
                let block_devices = devices.into_values().next().unwrap_or_default();
                let host = instance::host(conn, uuid)?;
                let has_host = host.is_some();
                let operation = match host {
                    Some(host) => Some(Operation::Destroy(DestroyOperation {
                        id,
                        instance_uuid: uuid,
                        sequence: sequence_of(epoch),
                        attempt: 0,
                        host,
                        block_devices,
                        cell: None,
                    })),
                    None => {
                        release(id, uuid, epoch, block_devices, networks).map(Operation::Release)
                    }
                };
                let effects: Vec<OutboxRow> = operation.map(OutboxRow::from).into_iter().collect();
                let deleted = whole::delete(conn, &by, uuid, epoch, &effects)?;
                Ok::<_, DatabaseError>(deleted && !has_host)
            })
            .await
            .map_err(|source| CellError::Database { cell, source })?;
        if ended {
            let told = EventType::InstanceDeleteEnd;
            self.tell(told, uuid, owner, (Some(cell), None), |_| {});
        }
        Ok(())
    }

    /// The networks that an instance asked for.
    pub(crate) async fn networks_of(&self, uuid: InstanceUuid) -> Result<Networks, DatabaseError> {
        let read = move |conn: &mut _| requested_networks(conn, uuid);
        self.api().run("read_request_spec", self.step_deadline(), read).await
    }

    /// Sweeps what the intents of one deleted instance may have left.
    async fn sweep_one(&self, uuid: InstanceUuid) -> Result<(), SweepError> {
        let (intents, epoch) = self
            .api()
            .run("read_intents", self.step_deadline(), move |conn| {
                let state = boot_state::find(conn, uuid)?;
                let intents = boot_intent::of_instances(conn, &[uuid])?;
                Ok::<_, DatabaseError>((intents, state.map_or(0, |state| state.epoch)))
            })
            .await?;
        for intent in intents {
            let cell = intent.cell;
            let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
            handle
                .ask("sweep", self.step_deadline(), move |conn| {
                    whole::sweep(conn, &[(uuid, epoch)])
                })
                .await
                .map_err(|source| CellError::Database { cell, source })?;
            self.forget(vec![intent]).await?;
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error("the API database failed")]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Cell(#[from] CellError),
}

fn delete_in_transaction(
    conn: &mut ApiConnection,
    seen: &InstanceMapping,
    id: OperationUuid,
) -> Result<Step, DatabaseError> {
    let now = conn.now();
    let uuid = seen.instance_uuid;
    let Some(locked) = boot_state::lock(conn, uuid)? else { return Ok(Step::Gone) };
    if seen.queued_for_delete {
        // A tombstone: deleted for good once nothing of it is left to sweep.
        let pending = !boot_intent::of_instances(conn, &[uuid])?.is_empty();
        return Ok(if pending { Step::Pending } else { Step::Gone });
    }
    // Set only while the mapping names the cell that was read; otherwise it moved.
    if !instance_mapping::queue_for_delete(conn, uuid, seen.cell, now)? {
        return Ok(Step::Moved);
    }
    let epoch = boot_state::raise_epoch(conn, &locked, now)?;
    if let Some(cell) = seen.cell {
        boot_intent::insert(conn, &[BootIntent { instance_uuid: uuid, epoch, cell }], now)?;
        return Ok(Step::InCell(cell, epoch, requested_networks(conn, uuid)?));
    }
    let building: Option<Instance> = build_request::find(conn, uuid)?;
    build_request::delete(conn, &[uuid])?;
    claim::free(conn, &[uuid], now)?;
    instance_group::remove_member(conn, uuid)?;
    let networks = requested_networks(conn, uuid)?;
    let devices = building.map(|instance| instance.block_devices).unwrap_or_default();
    if let Some(release) = release(id, uuid, epoch, devices, networks) {
        let payload = serde_json::json!(release).to_string();
        let (sequence, attempt) = (release.sequence, release.attempt);
        outbox::insert(
            conn,
            &Release { id, instance_uuid: uuid, sequence, payload, attempt },
            now,
        )?;
    }
    Ok(Step::WhileBuilding)
}

fn requested_networks(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
) -> Result<Networks, DatabaseError> {
    let spec = request_spec::of_instances(conn, &[uuid])?.into_iter().next();
    Ok(spec.map(|spec| spec.networks).unwrap_or_default())
}

/// The release of an instance that never had a host, where there is anything to release.
fn release(
    id: OperationUuid,
    instance_uuid: InstanceUuid,
    epoch: i64,
    block_devices: Vec<BlockDevice>,
    networks: Networks,
) -> Option<ReleaseOperation> {
    let volumes = block_devices
        .iter()
        .any(|device| device.source_type == "volume" || device.attachment_id.is_some());
    let ports =
        matches!(&networks, Networks::Requested(all) if all.iter().any(|n| n.port_id.is_some()));
    (volumes || ports).then_some(ReleaseOperation {
        id,
        instance_uuid,
        sequence: sequence_of(epoch),
        attempt: 0,
        block_devices,
        networks,
        cell: None,
    })
}
