//! The plane: what an embedder holds.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cellzero_api_db::quota::QuotaLimits;
use cellzero_api_db::waiting::{self, WaitingState};
use cellzero_api_db::{ApiDatabase, build_request};
use cellzero_database::{Counters, DatabaseError, DatabaseUrl, Deadline, Options};
use cellzero_orchestrator::{
    Accepted, ArchiveError, ArchiveOptions, ArchiveReport, BootError, DeleteError, ExplainError,
    Explanation, FsckError, FsckOptions, FsckReport, MapError, MapOptions, Mapped, Orchestrator,
    Progress, PurgeOptions, PurgeReport, Repair, RetryError, SettleError, Settled, WhatIf, explain,
    fsck,
};
use cellzero_router::{
    Cell0Report, InstanceCounts, Page, ReadError, Router, TriageError, UsageQuery, Usages,
    Whereabouts,
};
use cellzero_types::{
    BootRequest, CellUuid, Instance, InstanceAction, InstanceUuid, ListQuery, PlaneUuid,
    RequestContext, RequestSpec, Verdict,
};

use futures_util::Stream;

use crate::observed::{note_home, observed, observed_alone};
use crate::worker::Workers;
use crate::{CloseError, ReadOnlyPlane, WaitError, Write};

/// How often [`ControlPlane::wait`] looks at most.
const WAIT_STEP_MAX: Duration = Duration::from_millis(200);

/// A control plane: one API database, cell0, and cells. Cheap to clone; all clones are one plane.
#[derive(Debug, Clone)]
pub struct ControlPlane(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) api: ApiDatabase,
    pub(crate) router: Router,
    pub(crate) writer: Option<Writer>,
    pub(crate) worker: Option<Workers>,
    pub(crate) options: Options,
    pub(crate) admin_timeout: Duration,
    pub(crate) base_dir: Option<PathBuf>,
    /// After so long a silence a host is down.
    pub(crate) service_down_after: Duration,
    /// The availability zone of a host that is in no other.
    pub(crate) default_zone: String,
    /// Where cell0 is made, unless it is said.
    pub(crate) cell0_url: DatabaseUrl,
}

/// What a plane has that may be written.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) orchestrator: Orchestrator,
    pub(crate) plane: PlaneUuid,
}

/// What a plane has counted since it was opened.
#[derive(Debug, Clone)]
pub struct PlaneCounters {
    /// Of the API database.
    pub api: Counters,
    /// Of each cell that was reached.
    pub cells: Vec<(CellUuid, Counters)>,
    /// How often a claim found its host taken by a faster scheduler.
    pub claim_conflicts: u64,
}

impl ControlPlane {
    pub(crate) fn new(inner: Inner) -> ControlPlane {
        ControlPlane(Arc::new(inner))
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn writer(&self) -> Result<&Writer, ReadOnlyPlane> {
        self.0.writer.as_ref().ok_or(ReadOnlyPlane)
    }

    pub(crate) fn orchestrator(&self) -> Result<&Orchestrator, ReadOnlyPlane> {
        Ok(&self.writer()?.orchestrator)
    }

    /// The limits of a project without any; none on a plane that is only read.
    pub(crate) fn quota_fallback(&self) -> QuotaLimits {
        let writer = self.0.writer.as_ref();
        writer.map(|writer| writer.orchestrator.quota_fallback()).unwrap_or_default()
    }

    pub(crate) fn admin_deadline(&self) -> Deadline {
        Deadline::after(self.0.admin_timeout)
    }

    /// Accepts a boot request. From its return on no instance of it is lost: each reaches a live
    /// cell or cell0, or is deleted by its user. It does not wait for that; [`wait`](Self::wait),
    /// [`settle`](Self::settle) or the worker do.
    ///
    /// One commit; six statements in the API database, and one more for each of client token, key
    /// pair, server group and private flavor that the request names, and two where a quota limit
    /// holds. Four of the six are inserts, which take one statement for each hundred instances.
    ///
    /// A dropped future leaves the request accepted whole, or not at all.
    ///
    /// # Errors
    /// [`BootError`]: what is wrong with the request, a quota, or the API database. Nothing is
    /// stored then.
    pub async fn boot(
        &self,
        ctx: &RequestContext,
        request: BootRequest,
    ) -> Result<Accepted, Write<BootError>> {
        let accept =
            async { self.orchestrator()?.accept(ctx, request).await.map_err(Write::Failed) };
        observed("boot", ctx, None, accept).await
    }

    /// Drives everything that is due to its end: boots, deletes and effects.
    ///
    /// # Errors
    /// [`SettleError`] where the API database fails; what is accepted stays accepted.
    pub async fn settle(&self) -> Result<Settled, Write<SettleError>> {
        let settle = async { self.orchestrator()?.settle().await.map_err(Write::Failed) };
        observed_alone("settle", settle).await
    }

    /// Finishes or undoes what a crash, a stall or a down cell left, in bounded work: at most 50
    /// groups of instances whose lease is over, 500 intents to sweep, and 200 effects of each outbox.
    /// Safe at any time, beside workers of this and other processes, and any number of times. The
    /// worker does it when it starts and every second; without one, call it at start-up and on a
    /// timer.
    ///
    /// # Errors
    /// [`SettleError`] where the API database fails; what is accepted stays accepted.
    pub async fn recover(&self) -> Result<Settled, Write<SettleError>> {
        let recover = async { self.orchestrator()?.recover().await.map_err(Write::Failed) };
        observed_alone("recover", recover).await
    }

    /// Starts `count` workers beside what runs already: each brings home what is accepted in this
    /// process as soon as it is, and recovers everything else every second.
    ///
    /// # Errors
    /// [`ReadOnlyPlane`].
    pub fn run_workers(&self, count: usize) -> Result<Workers, ReadOnlyPlane> {
        Ok(Workers::start(self.orchestrator()?, count, self.0.admin_timeout))
    }

    /// Drives one accepted request to its home: three commits more, in the API database, in its
    /// cells, and in the API database again. Where nothing fits: 7 statements in the API database
    /// and 12 in cell0 (with tags, metadata, a block device and a security group that the project
    /// has used), one more for the first with its verdict; for several in one request, two or fifty,
    /// one more in the API database. 5 questions to databases wait for one another, with
    /// [`boot`](Self::boot) counted.
    ///
    /// # Errors
    /// [`SettleError`] where the API database fails; what is accepted stays accepted.
    pub async fn settle_accepted(
        &self,
        accepted: &Accepted,
    ) -> Result<Settled, Write<SettleError>> {
        let settle = async {
            self.orchestrator()?.settle_group(accepted.group).await.map_err(Write::Failed)
        };
        observed_alone("settle_accepted", settle).await
    }

    /// Waits until every instance of a request has its home, or is deleted. A worker must run here
    /// or in another process.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] after the context's time; the instances stay accepted.
    pub async fn wait(&self, ctx: &RequestContext, accepted: &Accepted) -> Result<(), WaitError> {
        let deadline = Deadline::after(ctx.timeout);
        let all = accepted.instances.len();
        let mut waiting = all;
        let mut step = Duration::from_millis(2);
        while waiting > 0 {
            match self.count_waiting(accepted, deadline).await {
                Ok(count) => waiting = count,
                Err(_) if deadline.has_passed() => {
                    return Err(WaitError::TimedOut { waiting, all });
                }
                Err(error) => return Err(error.into()),
            }
            if waiting > 0 && deadline.remaining() < step {
                return Err(WaitError::TimedOut { waiting, all });
            }
            if waiting > 0 {
                tokio::time::sleep(step).await;
                step = (step * 2).min(WAIT_STEP_MAX);
            }
        }
        Ok(())
    }

    async fn count_waiting(
        &self,
        accepted: &Accepted,
        deadline: Deadline,
    ) -> Result<usize, DatabaseError> {
        let uuids = accepted.instances.clone();
        self.0
            .api
            .run("wait", deadline, move |conn| {
                let mut waiting = 0;
                for chunk in uuids.chunks(cellzero_api_db::IN_LIST_MAX) {
                    waiting += build_request::count(conn, chunk)?;
                }
                Ok(usize::try_from(waiting).unwrap_or(0))
            })
            .await
    }

    /// One instance, whole, wherever it lives. Two databases deep: one statement in the API database
    /// and four in its cell; two in the API database while it is being built.
    ///
    /// # Errors
    /// [`ReadError`]: not found (also for another project's), or its cell does not answer.
    pub async fn show(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Instance, ReadError> {
        let show = async {
            let instance = self.0.router.show(ctx, uuid).await?;
            note_home(instance.home);
            Ok(instance)
        };
        observed("show", ctx, Some(uuid), show).await
    }

    /// What was done to an instance, oldest first.
    ///
    /// # Errors
    /// As [`show`](Self::show).
    pub async fn actions(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Vec<InstanceAction>, ReadError> {
        observed("actions", ctx, Some(uuid), self.0.router.actions(ctx, uuid)).await
    }

    /// What was done to an instance that may be deleted, as long as it is not archived, oldest first.
    ///
    /// # Errors
    /// As [`show`](Self::show).
    pub async fn actions_with_deleted(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Vec<InstanceAction>, ReadError> {
        let actions = self.0.router.actions_with_deleted(ctx, uuid);
        observed("actions_with_deleted", ctx, Some(uuid), actions).await
    }

    /// What was asked for each of these instances, of those that `ctx` may see: hints, zone and server
    /// group as the request named them. Deleted ones and others are left out. One statement for each
    /// five hundred.
    ///
    /// # Errors
    /// The API database's.
    pub async fn request_specs(
        &self,
        ctx: &RequestContext,
        uuids: &[InstanceUuid],
    ) -> Result<HashMap<InstanceUuid, RequestSpec>, ReadError> {
        observed("request_specs", ctx, None, self.0.router.request_specs(ctx, uuids)).await
    }

    /// What the instances of a project, or of all for an admin, used in a period, deleted ones too as
    /// long as they are not archived. Buried ones never ran. One statement in the API database; in each
    /// cell, all at once, two for each five hundred instances.
    ///
    /// # Errors
    /// [`ReadError::Invalid`] where the period ends before it begins, or where one that is not an admin
    /// asks for another project; else the API database's. A cell that does not answer is named.
    pub async fn usage(
        &self,
        ctx: &RequestContext,
        query: &UsageQuery,
    ) -> Result<Usages, ReadError> {
        observed("usage", ctx, None, self.0.router.usage(ctx, query)).await
    }

    /// Why an instance is buried, as data; none where it is not. One who is not an admin gets what
    /// a project may see of it: no host, no cell, nothing that tells what is free.
    ///
    /// # Errors
    /// As [`show`](Self::show).
    pub async fn verdict(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Option<Verdict>, ReadError> {
        observed("verdict", ctx, Some(uuid), self.0.router.verdict(ctx, uuid)).await
    }

    /// The verdict of a buried instance, computed again from the request and the snapshot of the
    /// hosts that were kept with it: the same, to the last bit. None where it is not buried, or its
    /// verdict was not computed from a snapshot (`docs/verdict.md`).
    ///
    /// One statement in the API database and one in cell0.
    ///
    /// # Errors
    /// As [`show`](Self::show).
    pub async fn replay(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Option<Verdict>, ExplainError> {
        observed("replay", ctx, Some(uuid), explain::replay(&self.0.router, ctx, uuid)).await
    }

    /// Why an instance is buried, whether it would find a host now and where, and what has changed
    /// since; none where it is not buried. One who is not an admin learns whether, and no more.
    ///
    /// Nothing is written. Three statements in the API database, one more where it would fit, where
    /// its request names a zone or aggregate metadata, and two for a server group; one in cell0.
    ///
    /// # Errors
    /// [`ExplainError`]: as [`show`](Self::show), or the scheduler's.
    pub async fn explain(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Option<Explanation>, Write<ExplainError>> {
        let explain =
            async { self.orchestrator()?.explain(ctx, uuid).await.map_err(Write::Failed) };
        observed("explain", ctx, Some(uuid), explain).await
    }

    /// All of cell0 in groups by reason, project, flavor, zone and day, the largest first, with the
    /// capacity that would clear each; for an admin. It holds one page of 250 instances and at most
    /// 10,000 groups, however many instances there are.
    ///
    /// Two statements in cell0 and two in the API database for each page.
    ///
    /// # Errors
    /// [`TriageError`]: not an admin, a plane that Nova made, or a database.
    pub async fn cell0_report(&self, ctx: &RequestContext) -> Result<Cell0Report, TriageError> {
        observed("cell0_report", ctx, None, self.0.router.cell0_report(ctx)).await
    }

    /// How many instances of a request, up to `most`, would find a host now, in which cells, and what
    /// stops the next. Counts in the request do not matter, and no quota is asked. One who is not an
    /// admin learns the number alone.
    ///
    /// Nothing is written. Two statements in the API database, more as for
    /// [`explain`](Self::explain).
    ///
    /// # Errors
    /// [`ExplainError`]: a request that would be refused, or a scheduler of the embedder's own that
    /// does not say what it decides from.
    pub async fn what_if(
        &self,
        ctx: &RequestContext,
        request: &BootRequest,
        most: u32,
    ) -> Result<WhatIf, Write<ExplainError>> {
        let what_if =
            async { self.orchestrator()?.what_if(ctx, request, most).await.map_err(Write::Failed) };
        observed("what_if", ctx, None, what_if).await
    }

    /// A page of the instances that `ctx` may see, over build requests, cell0 and all cells, in one
    /// total order. It returns by the deadline of `ctx`; an instance whose cell does not answer
    /// stands at its place with what the API database knows of it, and the page names the cell.
    ///
    /// In the default order two questions wait for one another: to the API database (2 statements,
    /// one more where build requests are on the page), and to the cells that hold instances of the
    /// page, all at once (7 for each five hundred of their instances). What other orders and filters
    /// cost stands in `docs/list.md`.
    ///
    /// # Errors
    /// [`ReadError`]: a query that cannot be asked, a marker that does not exist, an instance that
    /// moves at every look, or the API database.
    pub async fn list(&self, ctx: &RequestContext, query: &ListQuery) -> Result<Page, ReadError> {
        observed("list", ctx, None, self.0.router.list(ctx, query)).await
    }

    /// All instances of a query, in order, in the memory of one page of 500. The query's limit does
    /// not count, and each page has the whole time of `ctx`.
    ///
    /// # Errors
    /// Those of [`list`](Self::list); the stream ends there.
    pub fn list_stream(
        &self,
        ctx: &RequestContext,
        query: &ListQuery,
    ) -> impl Stream<Item = Result<Instance, ReadError>> + Send + use<> {
        self.0.router.list_stream(ctx, query)
    }

    /// How many instances there are by project, cell and state, without reading them: of the project
    /// of `ctx`, and for an admin of every one. For each project and cell they sum to what the
    /// instance mappings say. Three statements in the API database, one in each cell.
    ///
    /// # Errors
    /// The API database's. What a silent cell holds is counted without a state.
    pub async fn count(&self, ctx: &RequestContext) -> Result<InstanceCounts, ReadError> {
        observed("count", ctx, None, self.0.router.count(ctx)).await
    }

    /// Deletes an instance, wherever it lives. Where its cell does not answer, the delete is
    /// decided and ends when the cell is back.
    ///
    /// Two commits. For a buried instance 6 statements in the API database, 13 in cell0, and 1 in the
    /// API database: three questions that wait for one another.
    ///
    /// # Errors
    /// [`DeleteError`]: not found (also for another project's), or the API database.
    pub async fn delete(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<(), Write<DeleteError>> {
        let delete = async { self.orchestrator()?.delete(ctx, uuid).await.map_err(Write::Failed) };
        observed("delete", ctx, Some(uuid), delete).await
    }

    /// Takes a buried instance out of cell0 to be scheduled again, under its uuid; its faults,
    /// actions and verdicts go with it. It does not wait for its next home, a cell or cell0 again:
    /// [`wait`](Self::wait), [`settle_accepted`](Self::settle_accepted) or the worker do.
    ///
    /// One commit: 15 statements in the API database, one more for an instance's first retry, and 8
    /// in cell0; three questions that wait for one another. A quota limit costs two more.
    ///
    /// Beyond Nova. It is built without an admin password, which is not stored.
    ///
    /// # Errors
    /// [`RetryError`]: not found (also for another project's), not in cell0, a quota, cell0 that
    /// does not answer, or the API database. The instance stays in cell0 then.
    pub async fn retry(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Accepted, Write<RetryError>> {
        let retry = async { self.orchestrator()?.retry(ctx, uuid).await.map_err(Write::Failed) };
        observed("retry", ctx, Some(uuid), retry).await
    }

    /// Lets a buried instance wait, to be retried by itself once it may fit, as if its request had
    /// asked for it; says whether it did not wait before. It stays so for when it is buried again.
    /// Nothing is retried now. Up to nine statements in one transaction.
    ///
    /// # Errors
    /// [`RetryError`]: not found (also for another project's), not in cell0, or the API database.
    pub async fn retry_when_it_fits(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<bool, Write<RetryError>> {
        self.orchestrator()?.retry_when_it_fits(ctx, uuid).await.map_err(Write::Failed)
    }

    /// Ends that an instance is retried by itself; says whether it waited. One that is on its way is
    /// placed this once. Up to seven statements in one transaction.
    ///
    /// # Errors
    /// [`RetryError`]: not found (also for another project's), or the API database.
    pub async fn stop_waiting(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<bool, Write<RetryError>> {
        self.orchestrator()?.stop_waiting(ctx, uuid).await.map_err(Write::Failed)
    }

    /// Maps the instances that stand in a cell and that no boot of this plane made, such as those of a
    /// cell that Nova filled: the oldest first, deleted ones too, in batches. Afterwards they are shown,
    /// listed, deleted and retried as all others, and their hosts count what they take. `progress` is
    /// told after each batch.
    ///
    /// How far it got is kept in the cell (`docs/adopting.md`): it can be stopped anywhere and called
    /// again. It may run beside boots, and twice at once. Quotas are not asked.
    ///
    /// For each batch of up to 100: 7 to 10 statements in the cell, 8 in the API database, and four for
    /// each host that is claimed.
    ///
    /// # Errors
    /// [`MapError`]: a cell that does not exist or does not answer, or the API database. What was
    /// mapped stays.
    pub async fn map_instances(
        &self,
        cell: CellUuid,
        options: MapOptions,
        progress: &mut (dyn FnMut(&Mapped) + Send),
    ) -> Result<Mapped, Write<MapError>> {
        let mapped = self.orchestrator()?.map_instances(cell, options, progress);
        mapped.await.map_err(Write::Failed)
    }

    /// Where an instance stands, by its mapping and by its cell. One statement in the API database and
    /// one in its cell.
    ///
    /// # Errors
    /// [`ReadError`]: its cell does not answer, it moves at every look, or the API database.
    pub async fn verify(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Whereabouts, ReadError> {
        self.0.router.verify(ctx, uuid).await
    }

    /// How an instance waits for what it needs, to be retried by itself; none where it does not, and
    /// on a plane that Nova made. Two statements.
    ///
    /// # Errors
    /// [`ReadError::InstanceNotFound`] for one that `ctx` may not see, or the API database's.
    pub async fn waiting(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Option<WaitingState>, ReadError> {
        self.0.router.mapping(ctx, uuid).await?;
        if self.0.router.cells().is_foreign() {
            return Ok(None);
        }
        let deadline = Deadline::after(ctx.timeout);
        Ok(self.0.api.run("read_waiting", deadline, move |conn| waiting::find(conn, uuid)).await?)
    }

    /// Checks that the plane is what the boot protocol promises, and with [`Repair::Yes`] repairs
    /// what is not. It runs beside everything else, holds a bounded part of the plane, and can be
    /// repeated at any time; `docs/fsck.md` has a row for each class of violation. Without repair it
    /// works on a plane that is open read-only too, also on one that Nova made.
    ///
    /// # Errors
    /// [`ReadOnlyPlane`] for a repair of a plane that is open read-only, or [`FsckError`] where the
    /// API database fails. A cell that does not answer is named in the report.
    pub async fn fsck(
        &self,
        options: impl Into<FsckOptions>,
    ) -> Result<FsckReport, Write<FsckError>> {
        let options = options.into();
        let check = async {
            let checked = match options.repair {
                Repair::No => fsck::check(&self.0.router, &options).await,
                Repair::Yes => self.orchestrator()?.fsck(&options).await,
            };
            checked.map_err(Write::Failed)
        };
        observed_alone("fsck", check).await
    }

    /// Moves deleted instances of all cells out of the way: their rows to the shadow tables of their
    /// cells, their mappings, request specs and boot histories to those of the API database. After
    /// that they are not found, also not in lists of deleted ones. A run that has looked at all of
    /// them also deletes what belongs to nobody any more. `docs/upkeep.md` has the tables and ages.
    ///
    /// It runs beside everything else, holds one batch, and can be interrupted at any point and run
    /// again, also several at once. `progress` is called after each batch: of 200 instances by
    /// default, with 7 statements in the API database, 25 in one transaction of each cell concerned,
    /// and 17 in one transaction of the API database.
    ///
    /// # Errors
    /// [`ArchiveError`] where the API database fails; what was moved stays moved. A cell that does not
    /// answer is named in the report, and its instances stay.
    pub async fn archive(
        &self,
        options: &ArchiveOptions,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<ArchiveReport, Write<ArchiveError>> {
        self.orchestrator()?.archive(options, &mut progress).await.map_err(Write::Failed)
    }

    /// Deletes from the shadow tables of all databases, for good, what was deleted before a time.
    ///
    /// It can be interrupted at any point and run again. `progress` is called after each round of
    /// batches, one in each cell: of 200 instances by default, with 12 statements in one transaction.
    /// The API database follows, with 4 for each batch.
    ///
    /// # Errors
    /// As [`archive`](Self::archive).
    pub async fn purge(
        &self,
        options: &PurgeOptions,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<PurgeReport, Write<ArchiveError>> {
        self.orchestrator()?.purge(options, &mut progress).await.map_err(Write::Failed)
    }

    /// What was counted since the plane was opened: statements, commits and repeats by database,
    /// and claim conflicts.
    pub fn counters(&self) -> PlaneCounters {
        let cells = self.0.router.cells().counters();
        let claim_conflicts =
            self.0.writer.as_ref().map_or(0, |writer| writer.orchestrator.claim_conflicts());
        PlaneCounters { api: self.0.api.counters(), cells, claim_conflicts }
    }

    /// Ends the worker after what it does now, hands leases back so that another process can go on
    /// at once, and closes all connections after the operations that run. Boots that were accepted
    /// stay accepted; operations that begin later fail.
    ///
    /// # Errors
    /// [`CloseError`] where leases could not be handed back. All is closed nevertheless.
    pub async fn close(&self) -> Result<(), CloseError> {
        if let Some(worker) = &self.0.worker {
            worker.stop().await;
        }
        let released = match &self.0.writer {
            Some(writer) => writer.orchestrator.close(self.admin_deadline()).await,
            None => Ok(0),
        };
        self.0.router.cells().close().await;
        self.0.api.close().await;
        released.map(|_| ()).map_err(CloseError)
    }
}
