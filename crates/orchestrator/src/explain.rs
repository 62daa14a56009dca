//! What is said of a burial later: the same verdict again, whether the instance would fit now, and
//! how many of a request would.
//!
//! All of it is the scheduler's own decision, on the snapshot that was kept or on one of now.
//! Nothing is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use cellzero_api_db::request_spec;
use cellzero_cell_db::verdict::KeptVerdict;
use cellzero_database::{DatabaseError, Deadline};
use cellzero_router::{ReadError, Router};
use cellzero_scheduler::{
    Asked, Decision, SchedulerError, SelectRequest, Selection, Snapshot, how_many_fit,
};
use cellzero_types::{
    BootRequest, CellUuid, GroupUuid, InstanceUuid, RequestContext, RequestSpec, Verdict,
};
use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use crate::Orchestrator;
use crate::accept::{self, BootError};

/// The most hosts that an explanation names.
const HOSTS_NAMED_MAX: usize = 20;

/// Why a question about a verdict has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// The instance could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The request that is asked about would be refused.
    #[error(transparent)]
    Refused(#[from] BootError),
    /// The scheduler could not decide.
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    /// The embedder's scheduler decides in its own way, so that it cannot be asked how many fit.
    #[error("the plane's own scheduler does not say what it decides from; boot to learn what fits")]
    NoSnapshot,
    /// The runtime ended meanwhile.
    #[error("the runtime was shut down before the answer was computed")]
    Closed,
}

/// A burial, and how it looks now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Why it was buried. One who is not an admin gets [`Verdict::for_project`].
    pub verdict: Verdict,
    /// Whether it would find a host now.
    pub fits_now: bool,
    /// Which one, of which cell; for an admin.
    pub place: Option<Selection>,
    /// Why it would not; for an admin.
    pub verdict_now: Option<Verdict>,
    /// What has changed since, where the snapshot was kept; for an admin.
    pub since: Option<Since>,
}

/// What has changed since a verdict was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// When it was reached first.
    pub reached_at: Option<NaiveDateTime>,
    /// The generation of capacity then and now.
    pub generation: (i64, i64),
    /// Hosts that are new, or whose cell was not asked then.
    pub added: u32,
    /// Hosts that are gone, or whose cell is not asked now.
    pub gone: u32,
    /// Hosts that look different to a filter.
    pub changed: u32,
    /// The first twenty hosts of which something changed in favour of a request.
    pub helped: Vec<String>,
}

/// How many instances of a request fit now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatIf {
    /// How many; no more than were asked about.
    pub fit: u32,
    /// How many of them in each cell that takes one; for an admin.
    pub by_cell: BTreeMap<CellUuid, u32>,
    /// Why one more does not fit; none where as many fit as were asked about. For an admin.
    pub next: Option<Verdict>,
}

/// The verdict of a buried instance, computed again from what was kept of it: the same, to the last
/// bit. None where it is not buried, or nothing was kept: no snapshot of the hosts was taken for its
/// verdict, or it was too large.
///
/// # Errors
/// [`ExplainError::Read`].
pub async fn replay(
    router: &Router,
    ctx: &RequestContext,
    uuid: InstanceUuid,
) -> Result<Option<Verdict>, ExplainError> {
    let Some(kept) = router.kept_verdict(ctx, uuid).await? else { return Ok(None) };
    let again = off_thread(move || -> Result<Option<Verdict>, ReadError> {
        let basis = read_basis(uuid, &kept)?;
        Ok(basis.and_then(|(asked, snapshot)| cellzero_scheduler::replay(&snapshot, &asked)))
    });
    let verdict = again.await??;
    Ok(verdict.map(|verdict| if ctx.is_admin { verdict } else { verdict.for_project() }))
}

/// Computes beside the runtime: thousands of hosts take some milliseconds.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ExplainError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(ExplainError::Closed),
    }
}

fn read_basis(
    uuid: InstanceUuid,
    kept: &KeptVerdict,
) -> Result<Option<(Asked, Snapshot)>, ReadError> {
    let Some((asked, snapshot)) = &kept.basis else { return Ok(None) };
    let damaged = |what: &str, error: &dyn std::fmt::Display| {
        DatabaseError::damaged(format!("{what} behind the verdict of instance {uuid}: {error}"))
    };
    let asked = serde_json::from_str(asked).map_err(|error| damaged("the request", &error))?;
    let snapshot = Snapshot::decode(snapshot).map_err(|error| damaged("the snapshot", &error))?;
    Ok(Some((asked, snapshot)))
}

impl Orchestrator {
    /// Why an instance is buried, and whether it would find a host now, alone; none where it is not
    /// buried. Its quota is not asked.
    ///
    /// # Errors
    /// [`ExplainError`].
    pub async fn explain(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Option<Explanation>, ExplainError> {
        let Some(kept) = self.0.router.kept_verdict(ctx, uuid).await? else { return Ok(None) };
        let deadline = Deadline::after(ctx.timeout);
        let mut specs = self
            .api()
            .run("read_request_spec", deadline, move |conn| {
                request_spec::of_instances(conn, &[uuid])
            })
            .await
            .map_err(ReadError::from)?;
        let Some(spec) = specs.pop() else { return Ok(None) };
        let Decision { answers, snapshot } = self.decide_now(spec, deadline).await?;
        let answer = answers.into_iter().next();
        let fits_now = matches!(answer, Some(Ok(_)));
        let verdict = kept.verdict.clone();
        if !ctx.is_admin {
            let verdict = verdict.for_project();
            return Ok(Some(Explanation {
                verdict,
                fits_now,
                place: None,
                verdict_now: None,
                since: None,
            }));
        }
        let compared = off_thread(move || -> Result<Option<Since>, ReadError> {
            let both = read_basis(uuid, &kept)?.zip(snapshot);
            Ok(both.map(|((_, then), now)| since(&kept, &then, &now)))
        });
        let since = compared.await??;
        let (place, verdict_now) = match answer {
            Some(Ok(selection)) => (Some(selection), None),
            Some(Err(verdict)) => (None, Some(verdict)),
            None => (None, None),
        };
        Ok(Some(Explanation { verdict, fits_now, place, verdict_now, since }))
    }

    /// How many instances of a request, up to `most`, would find a host now. What the request says
    /// of counts does not matter, and the quota is not asked. One who is not an admin learns the
    /// number alone.
    ///
    /// # Errors
    /// [`ExplainError`]: a request that would be refused, or a scheduler that cannot say.
    pub async fn what_if(
        &self,
        ctx: &RequestContext,
        request: &BootRequest,
        most: u32,
    ) -> Result<WhatIf, ExplainError> {
        let deadline = Deadline::after(ctx.timeout);
        let uuid = InstanceUuid(self.0.uuids.instance());
        let spec = self.spec_of(ctx, request, uuid, deadline).await?;
        let decision = self.decide_now(spec.clone(), deadline).await?;
        let snapshot: Arc<Snapshot> = decision.snapshot.ok_or(ExplainError::NoSnapshot)?;
        let fit = off_thread(move || how_many_fit(&snapshot, &spec, most)).await?;
        Ok(match ctx.is_admin {
            true => WhatIf { fit: fit.instances, by_cell: fit.by_cell, next: fit.next },
            false => WhatIf { fit: fit.instances, by_cell: BTreeMap::new(), next: None },
        })
    }

    /// The request spec of a request that is not accepted.
    async fn spec_of(
        &self,
        ctx: &RequestContext,
        request: &BootRequest,
        uuid: InstanceUuid,
        deadline: Deadline,
    ) -> Result<RequestSpec, BootError> {
        request.check()?;
        accept::check_policy(ctx, request)?;
        let (ctx, request) = (ctx.clone(), request.clone());
        self.api()
            .run("read_what_if", deadline, move |conn| {
                accept::spec_alone(conn, &ctx, &request, uuid)
            })
            .await
    }

    /// What the scheduler answers for one instance now.
    async fn decide_now(
        &self,
        spec: RequestSpec,
        deadline: Deadline,
    ) -> Result<Decision, SchedulerError> {
        let group = GroupUuid(self.0.uuids.row());
        let request = SelectRequest::without_claims(group, vec![spec], deadline);
        self.0.scheduler.decide(&request).await
    }
}

fn since(kept: &KeptVerdict, then: &Snapshot, now: &Snapshot) -> Since {
    let mut changes = then.changes_to(now);
    changes.helped.truncate(HOSTS_NAMED_MAX);
    Since {
        reached_at: kept.reached_at,
        generation: (then.generation, now.generation),
        added: changes.added,
        gone: changes.gone,
        changed: changes.changed,
        helped: changes.helped,
    }
}
