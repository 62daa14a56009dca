//! The filters. A decision asks them in their order until one refuses a host; a verdict asks all
//! of them of every host.

use cellzero_types::{Flavor, Refusal, RequestSpec, Resources};
use chrono::NaiveDateTime;

use crate::extra_specs;
use crate::host::{GroupPolicy, HostState, ServerGroup};
use crate::select::SelectOptions;

/// What the filters judge by, read out of a request once for all hosts.
pub(crate) struct Question<'a> {
    pub(crate) spec: &'a RequestSpec,
    pub(crate) resources: Resources,
    pub(crate) options: &'a SelectOptions,
    pub(crate) group: Option<&'a ServerGroup>,
    /// Whether the server group has a member on any host yet, be it one that is not offered.
    pub(crate) group_has_members: bool,
    /// Traits by name, and whether a host must have them or must not.
    pub(crate) traits: Vec<(&'a str, bool)>,
    /// Metadata by key, and what some aggregate of a host must say of it.
    pub(crate) metadata: Vec<(&'a str, &'a str)>,
}

impl<'a> Question<'a> {
    pub(crate) fn new(
        spec: &'a RequestSpec,
        options: &'a SelectOptions,
        group: Option<&'a ServerGroup>,
        group_has_members: bool,
    ) -> Question<'a> {
        let extra_specs = &spec.flavor.extra_specs;
        let traits = extra_specs.iter().filter_map(|(key, value)| {
            let name = key.strip_prefix(Flavor::TRAIT_PREFIX)?;
            match value.as_str() {
                "required" => Some((name, true)),
                "forbidden" => Some((name, false)),
                _ => None,
            }
        });
        let metadata = extra_specs.iter().filter_map(|(key, wanted)| {
            Some((key.strip_prefix(Flavor::AGGREGATE_PREFIX)?, wanted.as_str()))
        });
        Question {
            spec,
            resources: spec.resources(),
            options,
            group,
            group_has_members,
            traits: traits.collect(),
            metadata: metadata.collect(),
        }
    }
}

/// A host with what changes while instances are placed, and what every decision asks of it: a decision
/// goes over thousands of these several times, and reads each host once.
#[derive(Clone)]
pub(crate) struct Candidate<'a> {
    pub(crate) host: &'a HostState,
    /// Whether it has reported in time.
    pub(crate) is_up: bool,
    pub(crate) is_enabled: bool,
    /// What may be claimed in all.
    pub(crate) limit: Resources,
    /// What is left to claim.
    pub(crate) free: Resources,
    /// How many members of the server group are on it.
    pub(crate) members: u32,
    /// Its place among the names of all hosts.
    pub(crate) rank: u32,
}

/// Whether a host passes.
type Passes = fn(&Question<'_>, &Candidate<'_>) -> bool;

macro_rules! filters {
    ($($refusal:ident => $passes:ident,)*) => {
        /// Each filter with what it refuses for.
        const FILTERS: [(Refusal, Passes); Refusal::ALL.len()] =
            [$((Refusal::$refusal, $passes)),*];

        /// Whether no filter refuses this host. A decision asks it of every host, so it calls them
        /// by name: through a table the compiler could not see what they do.
        pub(crate) fn passes(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
            $($passes(question, candidate))&&*
        }
    };
}

// Cheap ones and those that never change their mind first, the server group's last: the order of
// `Refusal::ALL`.
filters! {
    ServiceDown => reports,
    ServiceDisabled => is_enabled,
    AvailabilityZone => availability_zone,
    ForcedHost => forced_host,
    Traits => traits,
    Aggregate => aggregate,
    Vcpus => vcpus,
    Memory => memory,
    Disk => disk,
    ServerGroup => server_group,
}

/// Some of the reasons to refuse a host.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RefusalSet(u16);

impl RefusalSet {
    /// All for which this host is refused.
    pub(crate) fn of(question: &Question<'_>, candidate: &Candidate<'_>) -> RefusalSet {
        let refused = FILTERS.iter().filter(|(_, passes)| !passes(question, candidate));
        refused.map(|(refusal, _)| *refusal).collect()
    }

    pub(crate) fn contains(self, refusal: Refusal) -> bool {
        self.0 & bit(refusal) != 0
    }

    pub(crate) fn is_within(self, other: RefusalSet) -> bool {
        self.0 & !other.0 == 0
    }

    pub(crate) fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// In the order of the filters; the first is the primary one.
    pub(crate) fn iter(self) -> impl Iterator<Item = Refusal> {
        Refusal::ALL.into_iter().filter(move |refusal| self.contains(*refusal))
    }
}

impl FromIterator<Refusal> for RefusalSet {
    fn from_iter<I: IntoIterator<Item = Refusal>>(refusals: I) -> RefusalSet {
        RefusalSet(refusals.into_iter().fold(0, |set, refusal| set | bit(refusal)))
    }
}

fn bit(refusal: Refusal) -> u16 {
    1 << refusal as u16
}

fn reports(_: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    candidate.is_up
}

pub(crate) fn reported(
    host: &HostState,
    (earliest, latest): (NaiveDateTime, NaiveDateTime),
) -> bool {
    !host.forced_down && host.last_seen_up.is_some_and(|seen| earliest <= seen && seen <= latest)
}

/// Whether a host is up.
pub(crate) fn is_up(host: &HostState, options: &SelectOptions) -> bool {
    reported(host, options.up())
}

fn is_enabled(_: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    candidate.is_enabled
}

fn availability_zone(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    let Some(wanted) = question.spec.availability_zone.as_deref() else { return true };
    zones(question.options, candidate.host).any(|zone| zone == wanted)
}

/// The zones of a host: those of its aggregates, or the default one.
pub(crate) fn zones<'a>(
    options: &'a SelectOptions,
    host: &'a HostState,
) -> impl Iterator<Item = &'a str> {
    let mut zones = aggregate_values(host, "availability_zone").peekable();
    let default = zones.peek().is_none().then_some(options.default_availability_zone.as_str());
    zones.chain(default)
}

fn forced_host(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    let forced = question.spec.force_host.as_deref();
    forced.is_none_or(|forced| candidate.host.host == forced || candidate.host.node == forced)
}

fn traits(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    question.traits.iter().all(|wish| has_trait(candidate.host, *wish))
}

pub(crate) fn has_trait(host: &HostState, (name, required): (&str, bool)) -> bool {
    host.traits.contains(name) == required
}

/// Every wanted item must be met by some aggregate of the host. Only keys with the prefix count;
/// Nova also takes keys without any, which its documents advise against.
fn aggregate(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    question.metadata.iter().all(|wish| has_metadata(candidate.host, *wish))
}

pub(crate) fn has_metadata(host: &HostState, (key, wanted): (&str, &str)) -> bool {
    aggregate_values(host, key).any(|value| extra_specs::matches(value, wanted))
}

/// What the aggregates of a host say of `key`; one may list several values between commas, as in
/// Nova.
fn aggregate_values<'a>(host: &'a HostState, key: &str) -> impl Iterator<Item = &'a str> {
    host.aggregates
        .iter()
        .filter_map(move |aggregate| aggregate.metadata.get(key))
        .flat_map(|values| values.split(',').map(str::trim))
}

fn vcpus(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    question.resources.vcpus <= candidate.free.vcpus
}

fn memory(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    question.resources.memory_mb <= candidate.free.memory_mb
}

fn disk(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    question.resources.disk_gb <= candidate.free.disk_gb
}

fn server_group(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    let Some(group) = question.group else { return true };
    match group.policy {
        // The first member chooses; the others follow it.
        GroupPolicy::Affinity => !question.group_has_members || candidate.members > 0,
        GroupPolicy::AntiAffinity => candidate.members < group.max_server_per_host,
        GroupPolicy::SoftAffinity | GroupPolicy::SoftAntiAffinity => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_stand_in_the_order_of_the_refusals() {
        assert_eq!(FILTERS.map(|(refusal, _)| refusal), Refusal::ALL);
        for (index, refusal) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(refusal as usize, index);
        }
    }
}
