//! Step 3: a target for every instance of a group, with its claim and its intent.
//!
//! The scheduler proposes outside any transaction. The proposal becomes the placement in one
//! transaction of the API database, which claims the hosts: a host that was taken meanwhile makes
//! it start over with a new proposal. The proposal of the default scheduler is one statement, two
//! where an instance fits. Statements of the transaction: the lock, the verdict of a group of
//! several, the intents; with hosts also their mappings, one claim update for each host, and the
//! claims.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cellzero_api_db::boot_group::{self, GroupVerdict};
use cellzero_api_db::boot_intent::{self, BootIntent};
use cellzero_api_db::boot_state;
use cellzero_api_db::claim::{self, Claim, ClaimError};
use cellzero_api_db::{ApiConnection, host_mapping};
use cellzero_database::{DatabaseError, transaction};
use cellzero_scheduler::{Asked, Decision, SchedulerError, SelectRequest, Selection};
use cellzero_types::{CellUuid, GroupUuid, InstanceUuid, Verdict, VerdictReason};

use crate::Orchestrator;
use crate::basis::{Basis, Burial};
use crate::settle::{LeasedGroup, Member};

/// How often a placement starts over because a faster scheduler took a host. Each time somebody
/// else has got on, so the limit is met only where far more is asked for than there is.
const CONFLICTS_MAX: u32 = 200;

/// Where an instance is to be created.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// On this host of this live cell.
    Host(Selection),
    /// In cell0, for this reason.
    Bury(Burial),
}

impl Target {
    /// The cell that is to be written.
    pub fn cell(&self) -> CellUuid {
        match self {
            Target::Host(selection) => selection.cell,
            Target::Bury(_) => CellUuid::CELL0,
        }
    }
}

/// The placement of a group: a target for each instance that is still this epoch's.
pub type Placement = HashMap<InstanceUuid, Target>;

/// Why a group could not be placed now. It stays accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("no placement was possible: {CONFLICTS_MAX} times another scheduler was faster")]
    Contended,
    #[error("nothing fits without the cells that could not be written just now")]
    CellsAway,
    #[error(transparent)]
    Scheduler(#[from] SchedulerError),
    #[error("the placement could not be stored in the API database")]
    Database(#[from] DatabaseError),
}

type Proposal = Vec<(Member, Target)>;

impl Orchestrator {
    /// Places the instances of a leased group. `forced` are buried whatever the scheduler says.
    #[tracing::instrument(
        level = "debug", skip_all, fields(group = %leased.group, instance = leased.alone())
    )]
    pub(crate) async fn place(
        &self,
        leased: &LeasedGroup,
        forced: &HashMap<InstanceUuid, Verdict>,
    ) -> Result<Placement, PlaceError> {
        for conflict in 0..CONFLICTS_MAX {
            let proposal = self.propose(leased, forced).await?;
            match self.claim(leased, proposal).await {
                Ok(placement) => return Ok(placement),
                Err(ClaimError::Conflict { .. }) => {
                    self.0.claim_conflicts.fetch_add(1, Ordering::Relaxed);
                    metrics::counter!("cellzero_claim_conflicts_total").increment(1);
                    // A short, growing wait with a different length for each instance's uuid.
                    let spread = leased.group.0.as_u128() as u64 % 7;
                    let wait = u64::from(conflict.min(10)) + spread;
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                }
                Err(ClaimError::Database(error)) => return Err(error.into()),
                Err(_) => return Err(PlaceError::Contended),
            }
        }
        Err(PlaceError::Contended)
    }

    async fn propose(
        &self,
        leased: &LeasedGroup,
        forced: &HashMap<InstanceUuid, Verdict>,
    ) -> Result<Proposal, PlaceError> {
        let (buried, asked): (Vec<&Member>, Vec<&Member>) =
            leased.members.iter().partition(|m| forced.contains_key(&m.instance.uuid));
        let mut proposal: Proposal = buried
            .into_iter()
            .map(|member| {
                let verdict = forced[&member.instance.uuid].clone();
                (member.clone(), Target::Bury(verdict.into()))
            })
            .collect();
        if asked.is_empty() {
            return Ok(proposal);
        }
        let request = SelectRequest {
            group: leased.group,
            specs: asked.iter().map(|member| member.spec.clone()).collect(),
            tickets: asked.iter().map(|member| member.ticket).collect(),
            excluded_cells: leased.excluded_cells.clone(),
            deadline: self.step_deadline(),
        };
        let Decision { answers, snapshot } = self.0.scheduler.decide(&request).await?;
        if answers.len() != asked.len() {
            let reason = format!("{} answers for {} instances", answers.len(), asked.len());
            return Err(SchedulerError::Unavailable { reason }.into());
        }
        // A cell that is away for a moment is no reason to bury: it is tried again, to a bound.
        if !leased.excluded_cells.is_empty() && answers.iter().any(Result::is_err) {
            return Err(PlaceError::CellsAway);
        }
        let all_fit = answers.iter().all(Result::is_ok);
        let basis = snapshot.filter(|_| !all_fit).zip(Asked::of(&request.specs));
        let basis = basis.map(|(snapshot, asked)| Arc::new(Basis { asked, snapshot }));
        let bury = |verdict| Target::Bury(Burial { verdict, basis: basis.clone() });
        proposal.extend(asked.into_iter().zip(answers).map(|(member, answer)| {
            let target = answer.map_or_else(bury, Target::Host);
            (member.clone(), target)
        }));
        Ok(proposal)
    }

    async fn claim(
        &self,
        leased: &LeasedGroup,
        proposal: Proposal,
    ) -> Result<Placement, ClaimError> {
        let group = leased.group;
        let min_count = leased.min_count;
        let first = leased.members.iter().all(|m| m.ticket.epoch == boot_state::FIRST_EPOCH);
        self.api()
            .run("place", self.step_deadline(), move |conn| {
                // Should another epoch have placed it after all, its verdict's unique key says so,
                // and the group is placed again in the next epoch.
                let placed_before = if first { PlacedBefore::Never } else { PlacedBefore::Maybe };
                transaction(conn, "place", |conn| {
                    place_in_transaction(conn, (group, min_count), &proposal, placed_before)
                })
            })
            .await
    }
}

/// Whether an earlier epoch may have placed the group.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PlacedBefore {
    Never,
    Maybe,
}

fn place_in_transaction(
    conn: &mut ApiConnection,
    (group, min_count): (GroupUuid, u32),
    proposal: &Proposal,
    placed_before: PlacedBefore,
) -> Result<Placement, ClaimError> {
    let now = conn.now();
    let uuids: Vec<InstanceUuid> =
        proposal.iter().map(|(member, _)| member.instance.uuid).collect();
    let locked = boot_state::lock_undecided(conn, &uuids)?;
    let epochs: HashMap<InstanceUuid, i64> =
        locked.iter().map(|state| (state.instance_uuid, state.epoch)).collect();
    // Those that were deleted, or taken by another epoch, are no longer ours to place.
    let ours: Vec<&(Member, Target)> = proposal
        .iter()
        .filter(|(member, _)| epochs.get(&member.instance.uuid) == Some(&member.ticket.epoch))
        .collect();
    if ours.is_empty() {
        return Ok(Placement::new());
    }
    let decision = decide_group(conn, (group, min_count), proposal, placed_before)?;
    let mut targets = Vec::with_capacity(ours.len());
    for (member, target) in ours {
        let target = match target {
            Target::Host(_) if !decision.min_count_met && !member.is_retried() => {
                Target::Bury(decision.shared.clone().unwrap_or_else(nothing_known))
            }
            target => target.clone(),
        };
        targets.push((member, target));
    }
    correct_cells(conn, &mut targets)?;
    if placed_before == PlacedBefore::Maybe {
        let ours: Vec<InstanceUuid> = targets.iter().map(|(m, _)| m.instance.uuid).collect();
        claim::free(conn, &ours, now)?;
    }
    let claims: Vec<Claim> = targets.iter().filter_map(|(m, target)| claim_of(m, target)).collect();
    claim::take(conn, &claims, now)?;
    let intents: Vec<BootIntent> = targets
        .iter()
        .map(|(member, target)| BootIntent {
            instance_uuid: member.instance.uuid,
            epoch: member.ticket.epoch,
            cell: target.cell(),
        })
        .collect();
    boot_intent::insert(conn, &intents, now)?;
    Ok(targets.into_iter().map(|(member, target)| (member.instance.uuid, target)).collect())
}

/// What was decided for a group.
struct GroupDecision {
    min_count_met: bool,
    /// Why those are buried that would have fitted alone.
    shared: Option<Burial>,
}

/// The group's verdict: the one that stands, once an instance was decided by it; until then the one
/// that this proposal makes, so that nothing is buried for an old reason. That of an instance
/// without siblings is not kept: it stands with the instance.
fn decide_group(
    conn: &mut ApiConnection,
    (group, min_count): (GroupUuid, u32),
    proposal: &Proposal,
    placed_before: PlacedBefore,
) -> Result<GroupDecision, DatabaseError> {
    let made = new_decision(min_count, proposal);
    if is_alone(proposal) {
        return Ok(made);
    }
    let standing = match placed_before {
        PlacedBefore::Never => None,
        PlacedBefore::Maybe => boot_group::find(conn, group)?,
    };
    if let Some(standing) = &standing
        && boot_state::any_decided(conn, group)?
    {
        let shared = standing.verdict.clone().map(Burial::from);
        return Ok(GroupDecision { min_count_met: standing.min_count_met, shared });
    }
    let kept = GroupVerdict {
        min_count_met: made.min_count_met,
        verdict: made.shared.as_ref().map(|shared| shared.verdict.clone()),
    };
    let now = conn.now();
    match standing {
        None => boot_group::insert(conn, group, &kept, now)?,
        Some(_) => boot_group::replace(conn, group, &kept, now)?,
    }
    Ok(made)
}

/// Whether nobody shares the group, so that no verdict has to stand for others.
fn is_alone(proposal: &Proposal) -> bool {
    matches!(proposal.as_slice(), [(member, _)] if member.spec.num_instances == 1)
}

fn new_decision(min_count: u32, proposal: &Proposal) -> GroupDecision {
    let fit = proposal.iter().filter(|(_, target)| matches!(target, Target::Host(_))).count();
    let fit = u32::try_from(fit).unwrap_or(u32::MAX);
    let reason = proposal.iter().find_map(|(_, target)| match target {
        Target::Bury(burial) => Some(burial.clone()),
        Target::Host(_) => None,
    });
    let min_count_met = fit >= min_count;
    let shared = match reason {
        Some(reason) if !min_count_met && fit > 0 => Some(reason.of_group(fit, min_count)),
        reason => reason,
    };
    GroupDecision { min_count_met, shared }
}

fn nothing_known() -> Burial {
    Verdict::new(VerdictReason::NoValidHost(Arc::default())).into()
}

/// Takes the cell of each chosen host from its host mapping, which alone decides it. An instance
/// whose host has none is buried with that reason; its siblings go on.
fn correct_cells(
    conn: &mut ApiConnection,
    targets: &mut [(&Member, Target)],
) -> Result<(), DatabaseError> {
    let mut hosts: BTreeMap<String, ()> = BTreeMap::new();
    for (_, target) in targets.iter() {
        if let Target::Host(selection) = target {
            hosts.insert(selection.host.clone(), ());
        }
    }
    if hosts.is_empty() {
        return Ok(());
    }
    let hosts: Vec<String> = hosts.into_keys().collect();
    let mut cells = HashMap::new();
    for chunk in hosts.chunks(cellzero_api_db::IN_LIST_MAX) {
        cells.extend(host_mapping::cells_of(conn, chunk)?);
    }
    for (_, target) in targets.iter_mut() {
        if let Target::Host(selection) = target {
            match cells.get(&selection.host) {
                Some(cell) if !cell.is_cell0() => selection.cell = *cell,
                _ => {
                    let host = selection.host.clone();
                    let verdict = Verdict::new(VerdictReason::HostMappingNotFound { host });
                    *target = Target::Bury(verdict.into());
                }
            }
        }
    }
    Ok(())
}

fn claim_of(member: &Member, target: &Target) -> Option<Claim> {
    let Target::Host(selection) = target else { return None };
    Some(Claim {
        instance_uuid: member.instance.uuid,
        epoch: member.ticket.epoch,
        host: selection.host.clone(),
        resources: member.spec.resources(),
        alternates: selection.alternates.clone(),
    })
}
