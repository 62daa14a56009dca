//! The filters, in the order in which they run. A host that one refuses is not shown to the next,
//! so the counts of a failure add up to the number of hosts.

use cellzero_types::{RequestSpec, Resources};

use crate::host::{GroupPolicy, HostState, ServerGroup};
use crate::select::SelectOptions;

/// The prefix of flavor extra specs that ask for an aggregate's metadata.
pub(crate) const AGGREGATE_PREFIX: &str = "aggregate_instance_extra_specs:";

/// What the filters judge by.
pub(crate) struct Question<'a> {
    pub(crate) spec: &'a RequestSpec,
    pub(crate) resources: Resources,
    pub(crate) options: &'a SelectOptions,
}

/// A filter that looks at what does not change while a group is placed.
pub(crate) struct Filter {
    pub(crate) name: &'static str,
    /// What it found wanting: the end of the sentence "n hosts …".
    pub(crate) reason: &'static str,
    pub(crate) passes: fn(&Question<'_>, &HostState) -> bool,
}

/// Those that look at the host alone.
pub(crate) const STATIC_FILTERS: [Filter; 5] = [
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
];

/// Those that look at what is free, which shrinks as a group is placed.
pub(crate) const CAPACITY_FILTERS: [Filter; 3] = [
    Filter { name: "vcpus", reason: "have too few vcpus", passes: vcpus },
    Filter { name: "memory", reason: "have too little memory", passes: memory },
    Filter { name: "disk", reason: "have too little disk", passes: disk },
];

/// The name and the reason of the server group's filter, which runs last.
pub(crate) const GROUP_FILTER: (&str, &str) =
    ("server_group", "do not satisfy the server group's policy");

fn service(question: &Question<'_>, host: &HostState) -> bool {
    let options = question.options;
    let is_up = host
        .last_seen_up
        .is_some_and(|seen| options.now.signed_duration_since(seen) <= options.service_down_after);
    is_up && !host.service_disabled && !host.forced_down
}

fn availability_zone(question: &Question<'_>, host: &HostState) -> bool {
    let default = question.options.default_availability_zone.as_str();
    question
        .spec
        .availability_zone
        .as_deref()
        .is_none_or(|wanted| host.availability_zone().unwrap_or(default) == wanted)
}

fn forced_host(question: &Question<'_>, host: &HostState) -> bool {
    let forced = question.spec.force_host.as_deref();
    forced.is_none_or(|forced| host.host == forced || host.node == forced)
}

fn traits(question: &Question<'_>, host: &HostState) -> bool {
    question.spec.flavor.extra_specs.iter().all(|(key, value)| {
        match (key.strip_prefix("trait:"), value.as_str()) {
            (Some(name), "required") => host.traits.contains(name),
            (Some(name), "forbidden") => !host.traits.contains(name),
            _ => true,
        }
    })
}

/// Every wanted item must be in some aggregate of the host, equal to the letter; Nova's operators
/// (`<or>`, `<in>`, `>=`) are taken as text.
fn aggregate(question: &Question<'_>, host: &HostState) -> bool {
    let mut wanted = question
        .spec
        .flavor
        .extra_specs
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(AGGREGATE_PREFIX)?, value)));
    wanted.all(|(key, value)| host.aggregates.iter().any(|a| a.metadata.get(key) == Some(value)))
}

fn vcpus(question: &Question<'_>, host: &HostState) -> bool {
    question.resources.vcpus <= host.free().vcpus
}

fn memory(question: &Question<'_>, host: &HostState) -> bool {
    question.resources.memory_mb <= host.free().memory_mb
}

fn disk(question: &Question<'_>, host: &HostState) -> bool {
    question.resources.disk_gb <= host.free().disk_gb
}

/// Whether one more member may go to this host.
pub(crate) fn server_group(group: &ServerGroup, host: &str) -> bool {
    match group.policy {
        // The first member chooses; the others follow it.
        GroupPolicy::Affinity => {
            group.members_by_host.values().all(|members| *members == 0)
                || group.members_on(host) > 0
        }
        GroupPolicy::AntiAffinity => group.members_on(host) < group.max_server_per_host,
        GroupPolicy::SoftAffinity | GroupPolicy::SoftAntiAffinity => true,
    }
}
