//! The decision: which host each instance of a group gets. Pure: the same input gives the same
//! answer.

use std::collections::{BTreeMap, BinaryHeap};

use cellzero_types::{CellUuid, FilterCount, RequestSpec, Verdict, VerdictReason};
use chrono::{NaiveDateTime, TimeDelta};

use crate::filters::{Candidate, FILTER_COUNT, FILTERS, Question, refused_by};
use crate::host::{HostState, ServerGroup};
use crate::weigh::{Scale, Score};

/// A host that was chosen for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone)]
pub struct SelectOptions {
    /// The time, UTC.
    pub now: NaiveDateTime,
    /// A host that has not reported for so long is down.
    pub service_down_after: TimeDelta,
    /// The zone of hosts that are in none.
    pub default_availability_zone: String,
    /// How many alternates are named.
    pub alternates_max: usize,
}

/// Chooses a host for each spec, in order, or says why there is none.
///
/// What one instance takes is gone for the next, and counts for the server group's policy, which
/// holds for all specs. The names of the hosts are unique.
///
/// Specs that ask for the same, as all of a group do, are one round: n hosts and m instances cost
/// n for the filters, n log n for the order of the alternates, and log n for each instance, a
/// failed one nothing but its verdict. Specs that alternate cost a round each.
pub fn select(
    hosts: &[HostState],
    specs: &[RequestSpec],
    group: Option<&ServerGroup>,
    options: &SelectOptions,
) -> Vec<Result<Selection, Verdict>> {
    let mut candidates: Vec<Candidate<'_>> = hosts
        .iter()
        .map(|host| Candidate {
            host,
            free: host.free(),
            members: group.map_or(0, |group| group.members_on(&host.host)),
        })
        .collect();
    // Members on hosts that are not offered bind as well, so the group is asked, not the hosts.
    let mut group_has_members =
        group.is_some_and(|group| group.members_by_host.values().any(|members| *members > 0));
    let mut answers = Vec::with_capacity(specs.len());
    for alike in specs.chunk_by(asks_for_the_same) {
        let question = Question {
            spec: &alike[0],
            resources: alike[0].resources(),
            options,
            group,
            group_has_members,
        };
        let mut round = Round::new(question, &mut candidates);
        let chosen = alike.iter().map(|_| round.next()).collect();
        group_has_members = round.question.group_has_members;
        answers.extend(round.selections(chosen));
    }
    answers
}

/// Whether the filters and weighers cannot tell these two apart.
fn asks_for_the_same(one: &RequestSpec, other: &RequestSpec) -> bool {
    one.flavor == other.flavor
        && one.availability_zone == other.availability_zone
        && one.force_host == other.force_host
        && one.is_boot_from_volume == other.is_boot_from_volume
}

/// The placement of specs that ask for the same.
struct Round<'h, 'r> {
    question: Question<'r>,
    candidates: &'r mut Vec<Candidate<'h>>,
    scale: Scale,
    /// How many hosts each filter refuses now.
    refused: [u32; FILTER_COUNT],
    /// The places in `candidates` of the hosts that pass now, the best on top.
    open: BinaryHeap<(Score<'h>, usize)>,
}

impl<'h, 'r> Round<'h, 'r> {
    fn new(question: Question<'r>, candidates: &'r mut Vec<Candidate<'h>>) -> Round<'h, 'r> {
        let mut refused = [0; FILTER_COUNT];
        let mut passing = Vec::new();
        for (index, candidate) in candidates.iter().enumerate() {
            match refused_by(&question, candidate) {
                Some(filter) => refused[filter] += 1,
                None => passing.push(index),
            }
        }
        let scale = Scale::of(passing.iter().map(|index| &candidates[*index]));
        let mut round = Round { question, candidates, scale, refused, open: BinaryHeap::new() };
        round.open = passing.into_iter().map(|index| (round.score(index), index)).collect();
        round
    }

    fn score(&self, index: usize) -> Score<'h> {
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

    /// Opens the host for further instances, or counts it for the filter that refuses it.
    fn judge(&mut self, index: usize) {
        match refused_by(&self.question, &self.candidates[index]) {
            Some(filter) => self.refused[filter] += 1,
            None => self.open.push((self.score(index), index)),
        }
    }

    fn verdict(&self) -> Verdict {
        let filters = FILTERS
            .iter()
            .zip(self.refused)
            .filter(|(_, refused)| *refused > 0)
            .map(|(filter, refused)| FilterCount {
                filter: filter.name.to_owned(),
                reason: filter.reason.to_owned(),
                refused,
            })
            .collect();
        let hosts = u32::try_from(self.candidates.len()).unwrap_or(u32::MAX);
        Verdict::new(VerdictReason::NoValidHost { hosts, filters })
    }

    /// Names the alternates, last of all: a host that a later instance filled, or to which the
    /// server group's policy now forbids another member, is of no use as one.
    fn selections(self, chosen: Vec<Result<usize, Verdict>>) -> Vec<Result<Selection, Verdict>> {
        let options = self.question.options;
        let mut best_of_cell: BTreeMap<CellUuid, Vec<&str>> = BTreeMap::new();
        for (_, index) in self.open.into_sorted_vec().into_iter().rev() {
            let host = self.candidates[index].host;
            let best = best_of_cell.entry(host.cell).or_default();
            // One more than is named, for the chosen host may be among them.
            if best.len() <= options.alternates_max {
                best.push(&host.host);
            }
        }
        let selection = |index: usize| {
            let host = self.candidates[index].host;
            let best = best_of_cell.get(&host.cell).map_or(&[][..], Vec::as_slice);
            let others = best.iter().filter(|other| **other != host.host);
            let zone = host.availability_zone().unwrap_or(&options.default_availability_zone);
            Selection {
                host: host.host.clone(),
                node: host.node.clone(),
                cell: host.cell,
                availability_zone: Some(zone.to_owned()),
                alternates: others
                    .take(options.alternates_max)
                    .map(|other| (*other).to_owned())
                    .collect(),
            }
        };
        chosen.into_iter().map(|answer| answer.map(selection)).collect()
    }
}

#[cfg(test)]
mod tests;
