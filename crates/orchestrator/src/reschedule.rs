//! A build that failed goes on with the next alternate in the same cell, or ends in ERROR there.
//!
//! | step | database | one transaction that … |
//! |---|---|---|
//! | note | its cell | keeps the fault, and the task `scheduling`: from here on its host cannot say that it built it |
//! | decide | API | in a new epoch moves the claim to the first alternate that has room, or frees it; keeps an intent |
//! | go on | its cell | sets the next host with a build for it, or ERROR on no host, at that epoch |
//! | forget | API | forgets the intent |
//!
//! The instance stays at home in its cell throughout, so the intent of a decided epoch says that its
//! cell is still to be told: after a crash the sweep goes on from it. Until the decision the report is
//! not stored, and the host repeats it.
//!
//! Alternates were chosen with the host, as in Nova: they are asked for room, and whether they are open
//! for builds, but not filtered again. A failed build never leaves its cell, so it is never buried.

use cellzero_api_db::boot_intent::{self, BootIntent};
use cellzero_api_db::claim::{self, Claim};
use cellzero_api_db::{
    ApiConnection, aggregate, boot_state, host_capacity, instance_mapping, request_spec,
};
use cellzero_cell_db::build::{self, NextHost};
use cellzero_cell_db::outbox::OutboxRow;
use cellzero_database::{DatabaseError, transaction};
use cellzero_router::{CellError, CellHandle};
use cellzero_types::verdict::FAULT_MESSAGE_LENGTH_MAX;
use cellzero_types::{CellUuid, InstanceFault, InstanceUuid, Networks, OperationUuid, text};

use crate::Orchestrator;
use crate::create::{EVENT_BUILD, FAULT_CODE};
use crate::notification::{EventType, NotificationFault, NotificationPayload};
use crate::operation::{BuildOperation, Operation, epoch_of, sequence_of};
use crate::report::ReportError;

/// The metadata of an aggregate that makes it a zone.
const ZONE: &str = "availability_zone";
/// What an instance says that no host could build; the last host's reason follows.
const NONE_LEFT: &str = "No host is left on which to try the build again. The last said:";

/// What the decision was.
enum Decision {
    /// On this host, or on none.
    Decided(Option<String>, BootIntent),
    Stale(&'static str),
}

/// What is known of an instance whose cell is still to be told.
struct Move {
    claim: Option<Claim>,
    node: Option<String>,
    zone: Option<String>,
    networks: Networks,
}

impl Orchestrator {
    /// A host could not build an instance, and has cleaned up. Only the host that was to build it, and
    /// only for the epoch whose rows stand in the cell (`sequence` of the build operation), can say so.
    /// The user reads `reason`. Gives the host that builds it next; none where no alternate is left, and
    /// it is ERROR.
    ///
    /// From its return on the report is stored. Where it fails, and is no longer stale at the next try,
    /// nothing has been decided.
    ///
    /// Three commits, 18 statements in the API database and 12 in the cell; one more in the API database
    /// for each alternate without room.
    ///
    /// # Errors
    /// [`ReportError::Stale`] where it is not being built there, or was stored before.
    pub async fn failed(
        &self,
        cell: CellUuid,
        uuid: InstanceUuid,
        host: &str,
        sequence: i64,
        reason: &str,
    ) -> Result<Option<String>, ReportError> {
        let stale = |reason| ReportError::Stale { uuid, reason };
        let epoch = epoch_of(sequence).ok_or(stale("it is no build's sequence number"))?;
        let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
        let failure = failure_of(host, reason);
        let (failed_on, said) = (host.to_owned(), failure.message.clone());
        let noted = handle
            .run("note_failed_build", self.step_deadline(), move |conn| {
                build::note_failure(conn, uuid, (&failed_on, epoch), &failure)
            })
            .await?;
        if !noted {
            return Err(stale("it is not building on this host"));
        }
        let (next, intent) = match self.decide_again(cell, uuid, host, epoch).await? {
            Decision::Decided(next, intent) => (next, intent),
            Decision::Stale(reason) => return Err(stale(reason)),
        };
        let said = NotificationFault::new(said);
        let tell = |payload: &mut NotificationPayload| payload.fault = Some(said);
        self.tell_of_report(EventType::InstanceCreateError, &handle, (uuid, host), tell).await;
        if let Some(next) = &next {
            let told = EventType::InstanceCreateStart;
            self.tell_of_report(told, &handle, (uuid, next), |_| {}).await;
        }
        // Stored: what is left is done by the sweep, if not here.
        if let Err(error) = self.go_on_and_send(&handle, intent).await {
            tracing::warn!(instance = %uuid, %cell, error = &error as &dyn std::error::Error, "build goes on later");
        }
        Ok(next)
    }

    async fn go_on_and_send(
        &self,
        handle: &std::sync::Arc<CellHandle>,
        intent: BootIntent,
    ) -> Result<(), CellError> {
        self.go_on(handle, intent).await?;
        self.forget(vec![intent]).await.map_err(CellError::Api)?;
        self.dispatch_outbox(handle).await?;
        Ok(())
    }

    async fn decide_again(
        &self,
        cell: CellUuid,
        uuid: InstanceUuid,
        host: &str,
        epoch: i64,
    ) -> Result<Decision, DatabaseError> {
        let host = host.to_owned();
        self.api()
            .run("decide_again", self.step_deadline(), move |conn| {
                transaction(conn, "decide_again", |conn| {
                    decide_again_in_transaction(conn, (cell, uuid), &host, epoch)
                })
            })
            .await
    }

    /// Tells the cell of a decided intent on which host its instance goes on, or that it does on none.
    /// It may be repeated, and changes nothing where the instance has moved on.
    pub(crate) async fn go_on(
        &self,
        handle: &CellHandle,
        intent: BootIntent,
    ) -> Result<(), CellError> {
        let BootIntent { instance_uuid: uuid, epoch, cell } = intent;
        let read = move |conn: &mut ApiConnection| read_move(conn, intent);
        let known = self.api().run("read_move", self.step_deadline(), read).await;
        let Some(known) = known.map_err(CellError::Api)? else { return Ok(()) };
        let next = known.claim.as_ref().map(|claim| self.next_host(claim, &known));
        let last = self.fault(NONE_LEFT, None);
        handle
            .ask("go_on_after_failed_build", self.step_deadline(), move |conn| {
                build::go_on(conn, uuid, epoch, next.as_ref(), &last)
            })
            .await
            .map(|_| ())
            .map_err(|source| CellError::Database { cell, source })
    }

    fn next_host(&self, claim: &Claim, known: &Move) -> NextHost {
        let build = BuildOperation {
            id: OperationUuid(self.0.uuids.row()),
            instance_uuid: claim.instance_uuid,
            sequence: sequence_of(claim.epoch),
            attempt: 0,
            host: claim.host.clone(),
            alternates: claim.alternates.clone(),
            networks: known.networks.clone(),
            cell: None,
        };
        NextHost {
            host: claim.host.clone(),
            node: known.node.clone(),
            availability_zone: known.zone.clone(),
            build: OutboxRow::from(Operation::Build(build)),
            event: self.event(EVENT_BUILD, Default::default()),
        }
    }
}

/// What a user reads of a host that could not build: its sentence, as every database can hold it.
fn failure_of(host: &str, reason: &str) -> InstanceFault {
    let reason = reason.replace('\0', "");
    let message = match reason.trim() {
        "" => "The host could not build the instance.",
        reason => text::cut_at_word(reason, FAULT_MESSAGE_LENGTH_MAX),
    };
    InstanceFault {
        code: FAULT_CODE,
        message: message.to_owned(),
        details: None,
        host: Some(host.to_owned()),
        created_at: None,
    }
}

fn decide_again_in_transaction(
    conn: &mut ApiConnection,
    (cell, uuid): (CellUuid, InstanceUuid),
    host: &str,
    epoch: i64,
) -> Result<Decision, DatabaseError> {
    let now = conn.now();
    let Some(locked) = boot_state::lock(conn, uuid)? else {
        return Ok(Decision::Stale("it is gone"));
    };
    let mapping = instance_mapping::find(conn, uuid)?;
    let lives = mapping.is_some_and(|m| m.cell == Some(cell) && !m.queued_for_delete);
    if !lives || locked.decided_epoch != Some(epoch) {
        return Ok(Decision::Stale("it was decided otherwise"));
    }
    let standing = claim::of_instances(conn, &[uuid])?.remove(&uuid);
    if standing.as_ref().is_some_and(|claim| claim.host != host) {
        return Ok(Decision::Stale("it claims another host"));
    }
    let epoch = boot_state::decide_again(conn, &locked, now)?;
    let next = match standing {
        None => None,
        Some(standing) => {
            let hosts = host_capacity::open_for_builds(conn, cell, &standing.alternates)?;
            claim::swap(conn, &standing, epoch, &hosts, now)?
        }
    };
    let intent = BootIntent { instance_uuid: uuid, epoch, cell };
    boot_intent::insert(conn, &[intent], now)?;
    Ok(Decision::Decided(next.map(|claim| claim.host), intent))
}

/// What the API database has decided, unless a later decision, or a delete, has come.
fn read_move(conn: &mut ApiConnection, intent: BootIntent) -> Result<Option<Move>, DatabaseError> {
    let uuid = intent.instance_uuid;
    let standing = boot_state::standings(conn, &[uuid])?.remove(&uuid);
    let stands = standing.is_some_and(|standing| {
        standing.decided_epoch == Some(intent.epoch)
            && standing.cell == Some(intent.cell)
            && !standing.queued_for_delete
    });
    if !stands {
        return Ok(None);
    }
    let claim = claim::of_instances(conn, &[uuid])?.remove(&uuid);
    let Some(claim) = claim else {
        let networks = Networks::default();
        return Ok(Some(Move { claim: None, node: None, zone: None, networks }));
    };
    let node = host_capacity::find(conn, &claim.host)?.map(|host| host.node);
    let aggregates = aggregate::by_host(conn)?.remove(&claim.host).unwrap_or_default();
    let zone = aggregates.into_iter().find_map(|mut one| one.metadata.remove(ZONE));
    let spec = request_spec::of_instances(conn, &[uuid])?.pop();
    let networks = spec.map(|spec| spec.networks).unwrap_or_default();
    Ok(Some(Move { claim: Some(claim), node, zone, networks }))
}
