//! Choose a host for each instance, or say why none fits.
//!
//! [`Scheduler`] is the trait that an embedder may implement; [`FilterScheduler`] is the default.
//! Its decision is pure and synchronous ([`select`]); what it reads stands in the API database, so
//! a placement costs one read there, and one more where availability zones are needed. A choice is
//! only a proposal: the placement of the orchestrator claims it, by updates that succeed only
//! where enough is left, so that two schedulers at once never overcommit a host.

mod explain;
mod extra_specs;
mod filter_scheduler;
mod filters;
mod host;
mod kept;
mod nearest;
mod select;
mod weigh;

pub use filter_scheduler::{FilterScheduler, FilterSchedulerOptions};
pub use host::{Aggregate, GroupPolicy, HostState, ServerGroup};
pub use kept::{Asked, Changes, DamagedSnapshot, replay};
pub use select::{Fit, SelectOptions, Selection, Snapshot, how_many_fit, select};

use std::sync::Arc;

use cellzero_api_db::boot_state::{FIRST_EPOCH, FIRST_VERSION, Ticket};
use cellzero_database::{DatabaseError, Deadline};
use cellzero_types::{CellUuid, GroupUuid, RequestSpec, Verdict};

/// What a scheduler is asked: hosts for the instances of one group.
#[derive(Debug, Clone)]
pub struct SelectRequest {
    /// The multi-create.
    pub group: GroupUuid,
    /// One for each instance, in the order of their numbers in the group.
    pub specs: Vec<RequestSpec>,
    /// Uuid and epoch of each, in the same order: what a claim is made under.
    pub tickets: Vec<Ticket>,
    /// Cells that could not be written and must not be chosen.
    pub excluded_cells: Vec<CellUuid>,
    /// When the answer is wanted at the latest.
    pub deadline: Deadline,
}

impl SelectRequest {
    /// A question about instances that have claimed nothing, in any enabled cell.
    pub fn without_claims(
        group: GroupUuid,
        specs: Vec<RequestSpec>,
        deadline: Deadline,
    ) -> SelectRequest {
        let ticket = |spec: &RequestSpec| Ticket {
            instance_uuid: spec.instance_uuid,
            epoch: FIRST_EPOCH,
            request_version: FIRST_VERSION,
        };
        let tickets = specs.iter().map(ticket).collect();
        SelectRequest { group, specs, tickets, excluded_cells: Vec::new(), deadline }
    }
}

/// Why a scheduler gave no answer at all. The group stays accepted and is asked for again; only an
/// answer buries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulerError {
    /// The API database could not be read.
    #[error("the scheduler could not read the API database")]
    Database(#[from] DatabaseError),
    /// The embedder's scheduler cannot answer now.
    #[error("the scheduler cannot answer: {reason}")]
    Unavailable {
        /// Why, in its own words.
        reason: String,
    },
}

/// What a scheduler decided, and from what.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The answer for each spec, in order.
    pub answers: Vec<Result<Selection, Verdict>>,
    /// What [`select`] made them from; none where the scheduler decides in another way.
    pub snapshot: Option<Arc<Snapshot>>,
}

/// Chooses hosts.
///
/// ```
/// use cellzero_scheduler::{Scheduler, SchedulerError, SelectRequest, Selection};
/// use cellzero_types::{Verdict, VerdictReason};
///
/// /// Buries everything.
/// #[derive(Debug)]
/// struct Closed;
///
/// #[async_trait::async_trait]
/// impl Scheduler for Closed {
///     async fn select_destinations(
///         &self,
///         request: &SelectRequest,
///     ) -> Result<Vec<Result<Selection, Verdict>>, SchedulerError> {
///         let message = "We are closed on Mondays.".to_owned();
///         let verdict = Verdict::new(VerdictReason::Scheduler { message });
///         Ok(request.specs.iter().map(|_| Err(verdict.clone())).collect())
///     }
/// }
/// ```
#[async_trait::async_trait]
pub trait Scheduler: std::fmt::Debug + Send + Sync {
    /// For each spec, in order: a host of an enabled cell, never of cell0, with alternates of the
    /// same cell; or why there is none. A host without a host mapping buries its instance.
    ///
    /// # Errors
    /// [`SchedulerError`] where there is no answer now; the group is then asked for again.
    async fn select_destinations(
        &self,
        request: &SelectRequest,
    ) -> Result<Vec<Result<Selection, Verdict>>, SchedulerError>;

    /// The same, with what the answers were made from, so that the verdicts can be replayed. Only a
    /// scheduler whose decision is [`select`] has that to give; any other leaves this as it is.
    ///
    /// # Errors
    /// As [`select_destinations`](Self::select_destinations).
    async fn decide(&self, request: &SelectRequest) -> Result<Decision, SchedulerError> {
        let answers = self.select_destinations(request).await?;
        Ok(Decision { answers, snapshot: None })
    }
}
