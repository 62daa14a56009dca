//! The decision: which host each instance of a group gets. Pure: the same input gives the same
//! answer, to the last bit.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use cellzero_types::{CellUuid, RequestSpec, UnaskedCell, Verdict, VerdictReason};
use chrono::{NaiveDateTime, TimeDelta};
use serde::{Deserialize, Serialize};

use crate::explain::explain;
use crate::filters::{Candidate, Question, passes, reported};
use crate::host::{HostState, ServerGroup};
use crate::weigh::{Scale, Score};

/// A host that was chosen for an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The host.
    pub host: String,
    /// Its hypervisor's name.
    pub node: String,
    /// Its cell.
    pub cell: CellUuid,
    /// Its availability zone.
    pub availability_zone: Option<String>,
    /// The next best hosts of the same cell that still have room, and satisfy the server group's
    /// policy, when all specs of the batch are placed.
    pub alternates: Vec<String>,
}

/// What the decision depends on besides hosts and specs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectOptions {
    /// The time, UTC.
    pub now: NaiveDateTime,
    /// A host that has not reported for so long is down.
    pub service_down_after: Duration,
    /// The zone of hosts that are in none.
    pub default_availability_zone: String,
    /// How many alternates are named.
    pub alternates_max: usize,
}

impl SelectOptions {
    /// Between which times a host that is up has reported last. A clock that is ahead by so much is
    /// as little trusted as one that stands still, as in Nova.
    pub(crate) fn up(&self) -> (NaiveDateTime, NaiveDateTime) {
        let age = TimeDelta::from_std(self.service_down_after).unwrap_or(TimeDelta::MAX);
        let earliest = self.now.checked_sub_signed(age).unwrap_or(NaiveDateTime::MIN);
        (earliest, self.now.checked_add_signed(age).unwrap_or(NaiveDateTime::MAX))
    }
}

/// All that a decision is made from besides the request. Kept, it gives the same decision again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The hosts that may be chosen, each name once.
    pub hosts: Vec<HostState>,
    /// The cells whose hosts may not.
    pub unasked: Vec<UnaskedCell>,
    /// The server group of the request, where it has one.
    pub group: Option<ServerGroup>,
    /// The rest.
    pub options: SelectOptions,
    /// The generation of capacity: those of the hosts of all live cells, in all.
    pub generation: i64,
}

/// Chooses a host for each spec, in order, or says why there is none.
///
/// What one instance takes is gone for the next, and counts for the server group's policy, which
/// holds for all specs.
///
/// Specs that ask for the same, as all of a group do, are one round: n hosts and m instances cost
/// n for the filters, log n for each instance, and one verdict for all that have no host. Specs
/// that alternate cost a round each.
pub fn select(snapshot: &Snapshot, specs: &[RequestSpec]) -> Vec<Result<Selection, Verdict>> {
    let group = snapshot.group.as_ref();
    let mut candidates = candidates(snapshot);
    let mut group_has_members = has_members(group);
    let mut answers = Vec::with_capacity(specs.len());
    for alike in specs.chunk_by(asks_for_the_same) {
        let question = Question::new(&alike[0], &snapshot.options, group, group_has_members);
        let mut round = Round::new(question, &mut candidates, &snapshot.unasked);
        let chosen = alike.iter().map(|_| round.next()).collect();
        group_has_members = round.question.group_has_members;
        answers.extend(round.selections(chosen));
    }
    answers
}

/// How many instances of one request fit, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fit {
    /// How many fit; no more than were asked about.
    pub instances: u32,
    /// How many of them stand in each cell that takes one.
    pub by_cell: BTreeMap<CellUuid, u32>,
    /// Why one more does not fit; none where as many fit as were asked about.
    pub next: Option<Verdict>,
}

/// How many instances like this one fit, up to `most`, by the same steps as [`select`].
pub fn how_many_fit(snapshot: &Snapshot, spec: &RequestSpec, most: u32) -> Fit {
    let group = snapshot.group.as_ref();
    let mut candidates = candidates(snapshot);
    let question = Question::new(spec, &snapshot.options, group, has_members(group));
    let mut round = Round::new(question, &mut candidates, &snapshot.unasked);
    let mut fit = Fit { instances: 0, by_cell: BTreeMap::new(), next: None };
    while fit.instances < most {
        match round.next() {
            Ok(index) => {
                fit.instances += 1;
                *fit.by_cell.entry(round.candidates[index].host.cell).or_default() += 1;
            }
            Err(verdict) => {
                fit.next = Some(verdict);
                break;
            }
        }
    }
    fit
}

/// Members on hosts that are not offered bind as well, so the group is asked, not the hosts.
fn has_members(group: Option<&ServerGroup>) -> bool {
    group.is_some_and(|group| group.members_by_host.values().any(|members| *members > 0))
}

fn candidates(snapshot: &Snapshot) -> Vec<Candidate<'_>> {
    let group = snapshot.group.as_ref();
    let up = snapshot.options.up();
    let candidate = |(index, host): (usize, _)| Candidate {
        host,
        is_up: reported(host, up),
        is_enabled: !host.service_disabled,
        limit: host.limit,
        free: host.free(),
        members: group.map_or(0, |group| group.members_on(&host.host)),
        rank: index as u32,
    };
    let mut candidates: Vec<Candidate<'_>> =
        snapshot.hosts.iter().enumerate().map(candidate).collect();
    rank(&mut candidates);
    candidates
}

/// Gives each its place among the names of all. Databases give them in this order already.
fn rank(candidates: &mut [Candidate<'_>]) {
    if candidates.is_sorted_by(|one, next| one.host.host <= next.host.host) {
        return;
    }
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|index| &candidates[*index].host.host);
    for (rank, index) in order.into_iter().enumerate() {
        candidates[index].rank = rank as u32;
    }
}

/// Whether the filters and weighers cannot tell these two apart.
pub(crate) fn asks_for_the_same(one: &RequestSpec, other: &RequestSpec) -> bool {
    one.flavor == other.flavor
        && one.availability_zone == other.availability_zone
        && one.force_host == other.force_host
        && one.is_boot_from_volume == other.is_boot_from_volume
}

/// The placement of specs that ask for the same.
struct Round<'h, 'r> {
    question: Question<'r>,
    candidates: &'r mut Vec<Candidate<'h>>,
    unasked: &'r [UnaskedCell],
    scale: Scale,
    /// The places in `candidates` of the hosts that pass now, the best on top.
    open: BinaryHeap<(Score, usize)>,
    /// Why no host passes now, once somebody has asked.
    verdict: Option<Verdict>,
}

impl<'h, 'r> Round<'h, 'r> {
    fn new(
        question: Question<'r>,
        candidates: &'r mut Vec<Candidate<'h>>,
        unasked: &'r [UnaskedCell],
    ) -> Round<'h, 'r> {
        let all = candidates.iter().enumerate();
        let passing: Vec<usize> =
            all.filter(|(_, one)| passes(&question, one)).map(|(index, _)| index).collect();
        let scale = Scale::of(passing.iter().map(|index| &candidates[*index]));
        let (open, verdict) = (BinaryHeap::new(), None);
        let mut round = Round { question, candidates, unasked, scale, open, verdict };
        round.open = passing.into_iter().map(|index| (round.score(index), index)).collect();
        round
    }

    fn score(&self, index: usize) -> Score {
        self.scale.score(&self.candidates[index], self.question.group.map(|group| group.policy))
    }

    /// Takes the best host for one more instance.
    fn next(&mut self) -> Result<usize, Verdict> {
        let Some((_, index)) = self.open.pop() else { return Err(self.verdict()) };
        let candidate = &mut self.candidates[index];
        candidate.free = candidate.free.less(&self.question.resources);
        candidate.members += 1;
        // The first member of a group may shut out every host but its own, and only that once.
        if self.question.group.is_some() && !self.question.group_has_members {
            self.question.group_has_members = true;
            for (_, other) in std::mem::take(&mut self.open) {
                self.judge(other);
            }
        }
        self.judge(index);
        Ok(index)
    }

    /// Opens the host for further instances where it still passes.
    fn judge(&mut self, index: usize) {
        if passes(&self.question, &self.candidates[index]) {
            self.open.push((self.score(index), index));
        }
    }

    /// Where nothing is left, nothing changes any more: it is the same for all that come after.
    fn verdict(&mut self) -> Verdict {
        let Round { question, candidates, unasked, .. } = self;
        let verdict = self.verdict.get_or_insert_with(|| {
            let no_host = explain(question, candidates, unasked);
            Verdict::new(VerdictReason::NoValidHost(Arc::new(no_host)))
        });
        verdict.clone()
    }

    /// Names the alternates, last of all: a host that a later instance filled, or to which the
    /// server group's policy now forbids another member, is of no use as one.
    fn selections(self, chosen: Vec<Result<usize, Verdict>>) -> Vec<Result<Selection, Verdict>> {
        let options = self.question.options;
        let mut best_of_cell: BTreeMap<CellUuid, Vec<(Score, usize)>> = BTreeMap::new();
        for index in chosen.iter().flatten() {
            best_of_cell.entry(self.candidates[*index].host.cell).or_default();
        }
        for open in self.open {
            if let Some(best) = best_of_cell.get_mut(&self.candidates[open.1].host.cell) {
                best.push(open);
            }
        }
        // One more than is named, for the chosen host may be among them.
        best_of_cell.values_mut().for_each(|best| keep_best(best, options.alternates_max + 1));
        let selection = |index: usize| {
            let host = self.candidates[index].host;
            let best = best_of_cell.get(&host.cell).map_or(&[][..], Vec::as_slice);
            let others = best.iter().filter(|(_, other)| *other != index);
            let zone = host.availability_zone().unwrap_or(&options.default_availability_zone);
            Selection {
                host: host.host.clone(),
                node: host.node.clone(),
                cell: host.cell,
                availability_zone: Some(zone.to_owned()),
                alternates: others
                    .take(options.alternates_max)
                    .map(|(_, other)| self.candidates[*other].host.host.clone())
                    .collect(),
            }
        };
        chosen.into_iter().map(|answer| answer.map(selection)).collect()
    }
}

/// Keeps the best so many, in order.
fn keep_best(scored: &mut Vec<(Score, usize)>, most: usize) {
    if scored.len() > most {
        scored.select_nth_unstable_by_key(most, |one| Reverse(*one));
        scored.truncate(most);
    }
    scored.sort_unstable_by_key(|one| Reverse(*one));
}

#[cfg(test)]
mod tests;
