//! The filters, in the order in which they run. A host that one refuses is not shown to the next,
//! so the counts of a failure add up to the number of hosts.

use cellzero_types::{RequestSpec, Resources};

use crate::extra_specs;
use crate::host::{GroupPolicy, HostState, ServerGroup};
use crate::select::SelectOptions;

/// The prefix of flavor extra specs that ask for an aggregate's metadata.
pub(crate) const AGGREGATE_PREFIX: &str = "aggregate_instance_extra_specs:";

/// What the filters judge by.
pub(crate) struct Question<'a> {
    pub(crate) spec: &'a RequestSpec,
    pub(crate) resources: Resources,
    pub(crate) options: &'a SelectOptions,
    pub(crate) group: Option<&'a ServerGroup>,
    /// Whether the server group has a member on any host yet, be it one that is not offered.
    pub(crate) group_has_members: bool,
}

/// A host with what changes while instances are placed.
pub(crate) struct Candidate<'a> {
    pub(crate) host: &'a HostState,
    /// What is left to claim.
    pub(crate) free: Resources,
    /// How many members of the server group are on it.
    pub(crate) members: u32,
}

/// A named reason to refuse a host.
pub(crate) struct Filter {
    pub(crate) name: &'static str,
    /// What it found wanting: the end of the sentence "n hosts …".
    pub(crate) reason: &'static str,
    passes: fn(&Question<'_>, &Candidate<'_>) -> bool,
}

/// How many filters there are.
pub(crate) const FILTER_COUNT: usize = 9;

/// Cheap ones and those that never change their mind first, the server group's last.
pub(crate) const FILTERS: [Filter; FILTER_COUNT] = [
    Filter { name: "service", reason: "are down or disabled", passes: service },
    Filter {
        name: "availability_zone",
        reason: "are in another availability zone",
        passes: availability_zone,
    },
    Filter {
        name: "forced_host",
        reason: "are not the host that was asked for",
        passes: forced_host,
    },
    Filter { name: "traits", reason: "lack a required trait", passes: traits },
    Filter {
        name: "aggregate",
        reason: "are in no aggregate with the required metadata",
        passes: aggregate,
    },
    Filter { name: "vcpus", reason: "have too few vcpus", passes: vcpus },
    Filter { name: "memory", reason: "have too little memory", passes: memory },
    Filter { name: "disk", reason: "have too little disk", passes: disk },
    Filter {
        name: "server_group",
        reason: "do not satisfy the server group's policy",
        passes: server_group,
    },
];

/// The place in [`FILTERS`] of the first filter that refuses this host.
pub(crate) fn refused_by(question: &Question<'_>, candidate: &Candidate<'_>) -> Option<usize> {
    FILTERS.iter().position(|filter| !(filter.passes)(question, candidate))
}

fn service(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    let (host, options) = (candidate.host, question.options);
    // A clock that is ahead by so much is as little trusted as one that stands still, as in Nova.
    let is_up = host.last_seen_up.is_some_and(|seen| {
        options.now.signed_duration_since(seen).abs() <= options.service_down_after
    });
    is_up && !host.service_disabled && !host.forced_down
}

fn availability_zone(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    let Some(wanted) = question.spec.availability_zone.as_deref() else { return true };
    let mut zones = aggregate_values(candidate.host, "availability_zone").peekable();
    match zones.peek() {
        Some(_) => zones.any(|zone| zone == wanted),
        None => question.options.default_availability_zone == wanted,
    }
}

fn forced_host(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    let forced = question.spec.force_host.as_deref();
    forced.is_none_or(|forced| candidate.host.host == forced || candidate.host.node == forced)
}

fn traits(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    let traits = &candidate.host.traits;
    question.spec.flavor.extra_specs.iter().all(|(key, value)| {
        match (key.strip_prefix("trait:"), value.as_str()) {
            (Some(name), "required") => traits.contains(name),
            (Some(name), "forbidden") => !traits.contains(name),
            _ => true,
        }
    })
}

/// Every wanted item must be met by some aggregate of the host. Only keys with the prefix count;
/// Nova also takes keys without any, which its documents advise against.
fn aggregate(question: &Question<'_>, candidate: &Candidate<'_>) -> bool {
    question
        .spec
        .flavor
        .extra_specs
        .iter()
        .filter_map(|(key, wanted)| Some((key.strip_prefix(AGGREGATE_PREFIX)?, wanted)))
        .all(|(key, wanted)| {
            aggregate_values(candidate.host, key).any(|value| extra_specs::matches(value, wanted))
        })
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
