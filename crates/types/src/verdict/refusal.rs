//! Why hosts were refused: stable codes, and counts of them.

use serde::{Deserialize, Serialize};

use crate::{CellUuid, Resources};

/// Why a filter refused a host. The names and their order are stable: programs read the code, and
/// the first of several is the primary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// It has not reported lately, or an operator has declared it down.
    ServiceDown,
    /// An operator has taken it out of scheduling.
    ServiceDisabled,
    /// It is in another availability zone than the one that was asked for.
    AvailabilityZone,
    /// It is not the host that was asked for.
    ForcedHost,
    /// It lacks a required trait, or has a forbidden one.
    Traits,
    /// No aggregate of it has the required metadata.
    Aggregate,
    /// Too few vcpus are free.
    Vcpus,
    /// Too little memory is free.
    Memory,
    /// Too little disk is free.
    Disk,
    /// The policy of the server group forbids it.
    ServerGroup,
}

impl Refusal {
    /// Every one, in the order of the filters.
    pub const ALL: [Refusal; 10] = [
        Refusal::ServiceDown,
        Refusal::ServiceDisabled,
        Refusal::AvailabilityZone,
        Refusal::ForcedHost,
        Refusal::Traits,
        Refusal::Aggregate,
        Refusal::Vcpus,
        Refusal::Memory,
        Refusal::Disk,
        Refusal::ServerGroup,
    ];

    /// The code, as JSON has it.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::ServiceDown => "service_down",
            Refusal::ServiceDisabled => "service_disabled",
            Refusal::AvailabilityZone => "availability_zone",
            Refusal::ForcedHost => "forced_host",
            Refusal::Traits => "traits",
            Refusal::Aggregate => "aggregate",
            Refusal::Vcpus => "vcpus",
            Refusal::Memory => "memory",
            Refusal::Disk => "disk",
            Refusal::ServerGroup => "server_group",
        }
    }

    /// What was found wanting of one host: the end of "1 …", or of several: of "2 …".
    pub fn predicate(self, hosts: u32) -> &'static str {
        let of_one = hosts == 1;
        match self {
            Refusal::ServiceDown if of_one => "is down",
            Refusal::ServiceDown => "are down",
            Refusal::ServiceDisabled if of_one => "is disabled",
            Refusal::ServiceDisabled => "are disabled",
            Refusal::AvailabilityZone if of_one => "is in another availability zone",
            Refusal::AvailabilityZone => "are in other availability zones",
            Refusal::ForcedHost if of_one => "is not the host that was asked for",
            Refusal::ForcedHost => "are not the host that was asked for",
            Refusal::Traits if of_one => "lacks a required trait or has a forbidden one",
            Refusal::Traits => "lack a required trait or have a forbidden one",
            Refusal::Aggregate if of_one => "is in no aggregate with the required metadata",
            Refusal::Aggregate => "are in no aggregate with the required metadata",
            Refusal::Vcpus if of_one => "has too few vcpus",
            Refusal::Vcpus => "have too few vcpus",
            Refusal::Memory if of_one => "has too little memory",
            Refusal::Memory => "have too little memory",
            Refusal::Disk if of_one => "has too little disk",
            Refusal::Disk => "have too little disk",
            Refusal::ServerGroup if of_one => "does not satisfy the server group's policy",
            Refusal::ServerGroup => "do not satisfy the server group's policy",
        }
    }

    /// How much of the resource that it is about; none where it is about something else.
    pub fn amount(self, resources: &Resources) -> Option<i64> {
        match self {
            Refusal::Vcpus => Some(resources.vcpus),
            Refusal::Memory => Some(resources.memory_mb),
            Refusal::Disk => Some(resources.disk_gb),
            _ => None,
        }
    }

    /// The unit of that resource, as a sentence has it after the number.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Refusal::Memory => " MB",
            Refusal::Disk => " GB",
            _ => "",
        }
    }
}

/// How many hosts were refused for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalCount {
    /// The reason.
    pub refusal: Refusal,
    /// How many hosts; at least 1.
    pub hosts: u32,
}

/// The hosts of one cell, or of all, none of which can take the instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// How many hosts were looked at.
    pub hosts: u32,
    /// Each host once, under the first filter that refuses it: these add up to `hosts`.
    pub primary: Vec<RefusalCount>,
    /// Each host under every filter that refuses it.
    pub every: Vec<RefusalCount>,
    /// Where resources are the primary reason: what is missing.
    pub shortfalls: Vec<Shortfall>,
}

/// By how much the best host falls short of what was asked, among those whose primary reason it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortfall {
    /// Vcpus, memory in MiB or disk in GiB.
    pub refusal: Refusal,
    /// How much was asked for.
    pub asked: i64,
    /// How much the best of these hosts has free; negative where it has promised too much.
    pub best: i64,
    /// How much it lacks: `asked - best`, at least 1.
    pub missing: i64,
    /// That host, the first by name.
    pub host: String,
}

/// What one cell says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRefusals {
    /// The cell.
    pub cell: CellUuid,
    /// Its hosts.
    #[serde(flatten)]
    pub refusals: Refusals,
}

/// Why the hosts of a cell were not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotAsked {
    /// An operator has disabled the cell.
    CellDisabled,
    /// It could not be written just before.
    CellDown,
}

/// A cell whose hosts were not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UnaskedCell {
    /// The cell.
    pub cell: CellUuid,
    /// Why not.
    pub why: NotAsked,
    /// How many hosts it has.
    pub hosts: u32,
}
