//! What would have fitted: the smallest changes of a request that find it a host.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::sentence::grouped;
use crate::{Flavor, RequestSpec};

/// One change of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A flavor with so many vcpus.
    Vcpus {
        /// The most.
        at_most: i64,
    },
    /// A flavor with so much memory.
    Memory {
        /// The most, in MiB.
        at_most: i64,
    },
    /// A flavor with so much local disk: root, ephemeral and swap together.
    Disk {
        /// The most, in GiB.
        at_most: i64,
    },
    /// Another availability zone.
    Zone {
        /// The zone.
        zone: String,
    },
    /// Any host in place of the one that was asked for.
    AnyHost,
    /// Without these traits, whether they were required or forbidden.
    WithoutTraits {
        /// Their names.
        traits: BTreeSet<String>,
    },
    /// Without these wishes for the metadata of aggregates.
    WithoutAggregateMetadata {
        /// The keys.
        keys: BTreeSet<String>,
    },
    /// Outside the server group.
    WithoutServerGroup,
    /// So many instances in one request.
    Count {
        /// The most.
        at_most: u32,
    },
}

impl Change {
    /// How much of a request it takes away beyond the first: of two changes of a kind, one that
    /// drops fewer wishes is the smaller.
    pub fn wishes_dropped(&self) -> usize {
        match self {
            Change::WithoutTraits { traits } => traits.len(),
            Change::WithoutAggregateMetadata { keys } => keys.len(),
            _ => 1,
        }
    }

    /// The request with this change. The number of instances is the caller's.
    pub fn apply(&self, spec: &mut RequestSpec) {
        match self {
            Change::Vcpus { at_most } => spec.flavor.vcpus = size(*at_most),
            Change::Memory { at_most } => spec.flavor.memory_mb = size(*at_most),
            Change::Disk { at_most } => set_disk(spec, *at_most),
            Change::Zone { zone } => spec.availability_zone = Some(zone.clone()),
            Change::AnyHost => spec.force_host = None,
            Change::WithoutTraits { traits } => {
                spec.flavor.extra_specs.retain(|key, _| {
                    !key.strip_prefix(Flavor::TRAIT_PREFIX)
                        .is_some_and(|name| traits.contains(name))
                });
            }
            Change::WithoutAggregateMetadata { keys } => {
                spec.flavor.extra_specs.retain(|key, _| {
                    let key = key.strip_prefix(Flavor::AGGREGATE_PREFIX);
                    !key.is_some_and(|key| keys.contains(key))
                });
            }
            Change::WithoutServerGroup => spec.server_group = None,
            Change::Count { at_most } => spec.num_instances = *at_most,
        }
    }
}

fn size(at_most: i64) -> i32 {
    i32::try_from(at_most).unwrap_or(i32::MAX)
}

/// All local disk as one: the root's, or the ephemeral one's where the root is a volume.
fn set_disk(spec: &mut RequestSpec, gb: i64) {
    spec.flavor.swap = 0;
    let (root, ephemeral) = match spec.is_boot_from_volume {
        true => (spec.flavor.root_gb, size(gb)),
        false => (size(gb), 0),
    };
    (spec.flavor.root_gb, spec.flavor.ephemeral_gb) = (root, ephemeral);
}

/// As the end of "It would fit …".
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Vcpus { at_most } => write!(f, "with at most {} vcpus", grouped(*at_most)),
            Change::Memory { at_most } => {
                write!(f, "with at most {} MB memory", grouped(*at_most))
            }
            Change::Disk { at_most } => write!(f, "with at most {} GB disk", grouped(*at_most)),
            Change::Zone { zone } => write!(f, "in availability zone {zone}"),
            Change::AnyHost => f.write_str("on another host"),
            Change::WithoutTraits { traits } => {
                write!(f, "without the wish for {}", names("trait", traits))
            }
            Change::WithoutAggregateMetadata { keys } => {
                write!(f, "without the wish for {}", names("aggregate metadata", keys))
            }
            Change::WithoutServerGroup => f.write_str("outside the server group"),
            Change::Count { at_most } => write!(f, "with at most {at_most} instances"),
        }
    }
}

fn names(of: &str, names: &BTreeSet<String>) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("{of} {}", names.join(", "))
}

/// One change, or two together, with which the instance finds a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The changes; none of them would do alone where there are two.
    pub changes: Vec<Change>,
    /// How many hosts could take the instance then; for a count, how many instances fit.
    pub hosts: u32,
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, change) in self.changes.iter().enumerate() {
            let separator = if index == 0 { "" } else { " and " };
            write!(f, "{separator}{change}")?;
        }
        Ok(())
    }
}
