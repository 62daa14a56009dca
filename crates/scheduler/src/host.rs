//! A host and a server group, as the filters and weighers see them.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use cellzero_types::{CellUuid, InvalidField, Resources};
use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

/// A set of hosts that one of them is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Aggregate {
    /// Its name.
    pub name: String,
    /// What its hosts have in common.
    pub metadata: BTreeMap<String, String>,
}

/// A host of an enabled cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostState {
    /// The host.
    pub host: String,
    /// Its hypervisor's name.
    pub node: String,
    /// Its cell.
    pub cell: CellUuid,
    /// What may be claimed, after allocation ratios.
    pub limit: Resources,
    /// What is claimed.
    pub used: Resources,
    /// What it offers besides size.
    pub traits: BTreeSet<String>,
    /// Whether an operator has taken it out of scheduling.
    pub service_disabled: bool,
    /// Whether an operator has declared it down.
    pub forced_down: bool,
    /// When it reported last; one that never did is down.
    pub last_seen_up: Option<NaiveDateTime>,
    /// Rises with each change of it that can help a request that waits.
    pub generation: i64,
    /// The aggregates that it is in.
    pub aggregates: Vec<Aggregate>,
}

impl HostState {
    /// What is left to claim.
    pub fn free(&self) -> Resources {
        self.limit.less(&self.used)
    }

    /// The zone that one of its aggregates names.
    pub fn availability_zone(&self) -> Option<&str> {
        self.aggregates
            .iter()
            .find_map(|aggregate| aggregate.metadata.get("availability_zone"))
            .map(String::as_str)
    }
}

/// What a server group asks of the hosts of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupPolicy {
    /// All on one host.
    Affinity,
    /// No more than `max_server_per_host` on one host.
    AntiAffinity,
    /// On one host where that is possible.
    SoftAffinity,
    /// On different hosts where that is possible.
    SoftAntiAffinity,
}

impl FromStr for GroupPolicy {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<GroupPolicy, InvalidField> {
        match text {
            "affinity" => Ok(GroupPolicy::Affinity),
            "anti-affinity" => Ok(GroupPolicy::AntiAffinity),
            "soft-affinity" => Ok(GroupPolicy::SoftAffinity),
            "soft-anti-affinity" => Ok(GroupPolicy::SoftAntiAffinity),
            _ => Err(InvalidField::new(
                "policy",
                text,
                "affinity, anti-affinity, soft-affinity or soft-anti-affinity",
            )),
        }
    }
}

/// A server group and where its members are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServerGroup {
    /// What it asks.
    pub policy: GroupPolicy,
    /// With anti-affinity: the most members on one host.
    pub max_server_per_host: u32,
    /// How many members each host has.
    pub members_by_host: BTreeMap<String, u32>,
}

impl ServerGroup {
    /// How many members are on this host.
    pub fn members_on(&self, host: &str) -> u32 {
        self.members_by_host.get(host).copied().unwrap_or(0)
    }
}
