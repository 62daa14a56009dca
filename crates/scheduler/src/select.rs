//! The decision: which host each instance of a group gets. Pure: the same input gives the same
//! answer.
//!
//! All instances of a group ask for the same, so the filters run over the hosts once; what changes
//! from one instance to the next is the one host that was taken. For n hosts and m instances the
//! cost is n log n for the filters and the order, and log n for each instance (n where a server
//! group holds, whose policy moves every host).

use std::collections::BTreeSet;

use cellzero_types::{CellUuid, FilterCount, RequestSpec, Resources, Verdict, VerdictReason};
use chrono::{NaiveDateTime, TimeDelta};

use crate::filters::{
    CAPACITY_FILTERS, Filter, GROUP_FILTER, Question, STATIC_FILTERS, server_group,
};
use crate::host::{GroupPolicy, HostState, ServerGroup};

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
    /// The next best hosts of the same cell.
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

/// How good a host is; the first field decides, the host's name last. Greater is better.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    /// What a soft policy of the server group prefers.
    group: i64,
    /// The sum of its free shares of memory, vcpus and disk, in millionths of the largest host.
    free: i64,
    /// The first name of the alphabet wins a tie.
    name: std::cmp::Reverse<String>,
}

/// What the largest of the candidates has: the measure of free capacity.
struct Largest(Resources);

impl Largest {
    fn of(hosts: &[HostState]) -> Largest {
        let largest = |of: fn(&Resources) -> i64| {
            hosts.iter().map(|host| of(&host.limit)).max().unwrap_or(0).max(1)
        };
        Largest(Resources {
            vcpus: largest(|r| r.vcpus),
            memory_mb: largest(|r| r.memory_mb),
            disk_gb: largest(|r| r.disk_gb),
        })
    }

    fn share(&self, free: &Resources) -> i64 {
        const MILLION: i128 = 1_000_000;
        let share = |free: i64, largest: i64| i128::from(free) * MILLION / i128::from(largest);
        let sum = share(free.vcpus, self.0.vcpus)
            + share(free.memory_mb, self.0.memory_mb)
            + share(free.disk_gb, self.0.disk_gb);
        i64::try_from(sum).unwrap_or(i64::MAX)
    }
}

fn score(host: &HostState, largest: &Largest, group: Option<&ServerGroup>) -> Score {
    let group = group.map_or(0, |group| {
        let members = i64::from(group.members_on(&host.host));
        match group.policy {
            GroupPolicy::SoftAffinity => members,
            GroupPolicy::SoftAntiAffinity => -members,
            GroupPolicy::Affinity | GroupPolicy::AntiAffinity => 0,
        }
    });
    Score { group, free: largest.share(&host.free()), name: std::cmp::Reverse(host.host.clone()) }
}

/// Chooses a host for each spec, in order, or says why there is none. The specs are those of one
/// group: they differ in their uuid only. What one takes is gone for the next, and counts for the
/// server group's policy.
pub fn select(
    hosts: &[HostState],
    specs: &[RequestSpec],
    group: Option<&ServerGroup>,
    options: &SelectOptions,
) -> Vec<Result<Selection, Verdict>> {
    let Some(spec) = specs.first() else { return Vec::new() };
    let question = Question { spec, resources: spec.resources(), options };
    let largest = Largest::of(hosts);
    let mut race = Race::new(hosts, &question, largest, group.cloned());
    specs.iter().map(|_| race.next()).collect()
}

/// The hosts that are left, best first.
struct Race<'a> {
    question: &'a Question<'a>,
    hosts: Vec<HostState>,
    all: usize,
    refused: Vec<FilterCount>,
    order: BTreeSet<(Score, usize)>,
    largest: Largest,
    group: Option<ServerGroup>,
}

impl<'a> Race<'a> {
    fn new(
        hosts: &[HostState],
        question: &'a Question<'a>,
        largest: Largest,
        group: Option<ServerGroup>,
    ) -> Race<'a> {
        let mut left: Vec<&HostState> = hosts.iter().collect();
        let mut refused = Vec::new();
        for filter in &STATIC_FILTERS {
            refuse(filter, question, &mut left, &mut refused);
        }
        let hosts_left: Vec<HostState> = left.into_iter().cloned().collect();
        let mut race = Race {
            question,
            all: hosts.len(),
            hosts: hosts_left,
            refused,
            order: BTreeSet::new(),
            largest,
            group,
        };
        race.order = (0..race.hosts.len())
            .filter(|index| race.has_room(*index))
            .map(|index| (race.score(index), index))
            .collect();
        race
    }

    fn score(&self, index: usize) -> Score {
        score(&self.hosts[index], &self.largest, self.group.as_ref())
    }

    fn has_room(&self, index: usize) -> bool {
        CAPACITY_FILTERS.iter().all(|filter| (filter.passes)(self.question, &self.hosts[index]))
    }

    fn next(&mut self) -> Result<Selection, Verdict> {
        let group = self.group.as_ref();
        let fits = |host: &HostState| group.is_none_or(|group| server_group(group, &host.host));
        let best = self.order.iter().rev().find(|(_, index)| fits(&self.hosts[*index])).cloned();
        let Some((score, index)) = best else { return Err(self.verdict()) };
        let selection = self.selection(index);
        self.take(score, index);
        Ok(selection)
    }

    fn selection(&self, index: usize) -> Selection {
        let host = &self.hosts[index];
        let alternates = self
            .order
            .iter()
            .rev()
            .filter(|(_, other)| *other != index && self.hosts[*other].cell == host.cell)
            .filter(|(_, other)| {
                let name = &self.hosts[*other].host;
                self.group.as_ref().is_none_or(|group| server_group(group, name))
            })
            .take(self.question.options.alternates_max)
            .map(|(_, other)| self.hosts[*other].host.clone())
            .collect();
        let zone = host.availability_zone();
        let zone = zone.unwrap_or(&self.question.options.default_availability_zone);
        Selection {
            host: host.host.clone(),
            node: host.node.clone(),
            cell: host.cell,
            availability_zone: Some(zone.to_owned()),
            alternates,
        }
    }

    /// Takes the host's resources, and puts it back into the order where it has room for more.
    fn take(&mut self, score: Score, index: usize) {
        self.order.remove(&(score, index));
        let host = &mut self.hosts[index];
        host.used = host.used + self.question.resources;
        if let Some(group) = &mut self.group {
            *group.members_by_host.entry(host.host.clone()).or_insert(0) += 1;
        }
        if self.has_room(index) {
            self.order.insert((self.score(index), index));
        }
    }

    /// How many hosts each filter refuses now.
    fn verdict(&self) -> Verdict {
        let mut filters = self.refused.clone();
        let mut left: Vec<&HostState> = self.hosts.iter().collect();
        for filter in &CAPACITY_FILTERS {
            refuse(filter, self.question, &mut left, &mut filters);
        }
        let (name, reason) = GROUP_FILTER;
        count(name, reason, left.len(), &mut filters);
        let hosts = u32::try_from(self.all).unwrap_or(u32::MAX);
        Verdict::new(VerdictReason::NoValidHost { hosts, filters })
    }
}

fn refuse(
    filter: &Filter,
    question: &Question<'_>,
    left: &mut Vec<&HostState>,
    refused: &mut Vec<FilterCount>,
) {
    let before = left.len();
    left.retain(|host| (filter.passes)(question, host));
    count(filter.name, filter.reason, before - left.len(), refused);
}

fn count(name: &str, reason: &str, hosts: usize, refused: &mut Vec<FilterCount>) {
    if hosts > 0 {
        refused.push(FilterCount {
            filter: name.to_owned(),
            reason: reason.to_owned(),
            refused: u32::try_from(hosts).unwrap_or(u32::MAX),
        });
    }
}

#[cfg(test)]
mod tests;
