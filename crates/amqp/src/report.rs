//! What a host says: what became of an operation, and what it has room for. As JSON it is the body of a
//! message to the queue `reports` of its cell's broker.

use std::collections::BTreeSet;

use cellzero::{ComputeNode, InstanceUuid};
use serde::{Deserialize, Serialize};

/// A host's report. `sequence` is that of the operation that it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Report {
    /// It has built an instance.
    Built {
        /// The instance.
        instance_uuid: InstanceUuid,
        /// The host.
        host: String,
        /// Of the build.
        sequence: i64,
    },
    /// It could not build one, and has cleaned up.
    Failed {
        /// The instance.
        instance_uuid: InstanceUuid,
        /// The host.
        host: String,
        /// Of the build.
        sequence: i64,
        /// Why, in a sentence that the instance's user may read.
        reason: String,
    },
    /// It has destroyed one.
    Destroyed {
        /// The instance.
        instance_uuid: InstanceUuid,
        /// The host.
        host: String,
        /// Of the destroy.
        sequence: i64,
    },
    /// It has done with one what an action asked for, or could not.
    #[serde(alias = "rebooted")]
    Acted {
        /// The instance.
        instance_uuid: InstanceUuid,
        /// The host.
        host: String,
        /// Of the action.
        sequence: i64,
        /// Why it could not, in a sentence that the instance's user may read; none where it is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// It is there, and has this size.
    Host(HostReport),
}

impl Report {
    /// Its name: `built`, `failed`, `destroyed`, `acted` or `host`.
    pub fn name(&self) -> &'static str {
        match self {
            Report::Built { .. } => "built",
            Report::Failed { .. } => "failed",
            Report::Destroyed { .. } => "destroyed",
            Report::Acted { .. } => "acted",
            Report::Host(_) => "host",
        }
    }
}

/// A host's size and what it offers: a [`ComputeNode`] as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostReport {
    /// The host, unique in the plane.
    pub host: String,
    /// The hypervisor's own name; mostly the host's.
    pub hypervisor_hostname: String,
    /// Physical processors.
    pub vcpus: i32,
    /// Memory, in MiB.
    pub memory_mb: i32,
    /// Disk, in GiB.
    pub local_gb: i32,
    /// How many virtual processors one physical one stands for.
    pub cpu_allocation_ratio: f64,
    /// How often memory may be promised.
    pub ram_allocation_ratio: f64,
    /// How often disk may be promised.
    pub disk_allocation_ratio: f64,
    /// Such as `QEMU`.
    pub hypervisor_type: String,
    /// Such as 8002000.
    pub hypervisor_version: i32,
    /// What the host offers besides size.
    #[serde(default)]
    pub traits: BTreeSet<String>,
}

impl From<ComputeNode> for HostReport {
    fn from(node: ComputeNode) -> HostReport {
        HostReport {
            host: node.host,
            hypervisor_hostname: node.hypervisor_hostname,
            vcpus: node.vcpus,
            memory_mb: node.memory_mb,
            local_gb: node.local_gb,
            cpu_allocation_ratio: node.cpu_allocation_ratio,
            ram_allocation_ratio: node.ram_allocation_ratio,
            disk_allocation_ratio: node.disk_allocation_ratio,
            hypervisor_type: node.hypervisor_type,
            hypervisor_version: node.hypervisor_version,
            traits: node.traits,
        }
    }
}

impl From<HostReport> for ComputeNode {
    fn from(report: HostReport) -> ComputeNode {
        ComputeNode {
            host: report.host,
            hypervisor_hostname: report.hypervisor_hostname,
            vcpus: report.vcpus,
            memory_mb: report.memory_mb,
            local_gb: report.local_gb,
            cpu_allocation_ratio: report.cpu_allocation_ratio,
            ram_allocation_ratio: report.ram_allocation_ratio,
            disk_allocation_ratio: report.disk_allocation_ratio,
            hypervisor_type: report.hypervisor_type,
            hypervisor_version: report.hypervisor_version,
            traits: report.traits,
        }
    }
}
