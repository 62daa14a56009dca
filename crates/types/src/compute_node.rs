//! What a compute host reports of itself.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::resources::Resources;
use crate::text::{self, InvalidField};

/// A compute host's report: its size and what it offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComputeNode {
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
    /// What the host offers besides size, such as `HW_CPU_X86_AVX2`.
    #[serde(default)]
    pub traits: BTreeSet<String>,
}

impl ComputeNode {
    /// A host of this size, with Nova's initial ratios: 4 for processors, 1 for memory and disk.
    pub fn new(host: impl Into<String>, vcpus: i32, memory_mb: i32, local_gb: i32) -> ComputeNode {
        let host = host.into();
        ComputeNode {
            hypervisor_hostname: host.clone(),
            host,
            vcpus,
            memory_mb,
            local_gb,
            cpu_allocation_ratio: 4.0,
            ram_allocation_ratio: 1.0,
            disk_allocation_ratio: 1.0,
            hypervisor_type: "QEMU".to_owned(),
            hypervisor_version: 8_002_000,
            traits: BTreeSet::new(),
        }
    }

    /// The same with other ratios for processors, memory and disk.
    pub fn with_ratios(self, cpu: f64, ram: f64, disk: f64) -> ComputeNode {
        ComputeNode {
            cpu_allocation_ratio: cpu,
            ram_allocation_ratio: ram,
            disk_allocation_ratio: disk,
            ..self
        }
    }

    /// The same with one more trait.
    pub fn with_trait(mut self, name: impl Into<String>) -> ComputeNode {
        self.traits.insert(name.into());
        self
    }

    /// What may be promised to instances: the sizes times their ratios, rounded down.
    pub fn limit(&self) -> Resources {
        let times = |size: i32, ratio: f64| (f64::from(size) * ratio).floor() as i64;
        Resources {
            vcpus: times(self.vcpus, self.cpu_allocation_ratio),
            memory_mb: times(self.memory_mb, self.ram_allocation_ratio),
            disk_gb: times(self.local_gb, self.disk_allocation_ratio),
        }
    }

    /// Checks names, sizes and ratios.
    ///
    /// # Errors
    /// [`InvalidField`]: which field, its value, and what would be right.
    pub fn check(&self) -> Result<(), InvalidField> {
        text::check_name("host", &self.host)?;
        text::check_name("hypervisor_hostname", &self.hypervisor_hostname)?;
        text::check("hypervisor_type", &self.hypervisor_type, text::TEXT_LENGTH_MAX)?;
        let sizes =
            [("vcpus", self.vcpus), ("memory_mb", self.memory_mb), ("local_gb", self.local_gb)];
        for (field, size) in sizes {
            if size < 0 {
                return Err(InvalidField::new(field, size, "at least 0"));
            }
        }
        let ratios = [
            ("cpu_allocation_ratio", self.cpu_allocation_ratio),
            ("ram_allocation_ratio", self.ram_allocation_ratio),
            ("disk_allocation_ratio", self.disk_allocation_ratio),
        ];
        for (field, ratio) in ratios {
            if !ratio.is_finite() || ratio <= 0.0 {
                return Err(InvalidField::new(field, ratio, "a number above 0"));
            }
        }
        let limit = self.limit();
        for (field, limit) in
            [("vcpus", limit.vcpus), ("memory_mb", limit.memory_mb), ("local_gb", limit.disk_gb)]
        {
            if limit > i64::from(i32::MAX) {
                let expected = format!("at most {} after its allocation ratio", i32::MAX);
                return Err(InvalidField::new(field, limit, expected));
            }
        }
        self.traits.iter().try_for_each(|name| text::check_name("traits", name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn the_limit_is_the_size_times_its_ratio() {
        let node = ComputeNode::new("h", 8, 1000, 100).with_ratios(4.0, 1.5, 0.5);
        assert_eq!(node.limit(), Resources { vcpus: 32, memory_mb: 1500, disk_gb: 50 });
    }

    #[rstest]
    #[case(ComputeNode::new("", 1, 1, 1), "host")]
    #[case(ComputeNode::new("h", -1, 1, 1), "vcpus")]
    #[case(ComputeNode::new("h", 1, i32::MAX, 1).with_ratios(1.0, 2.0, 1.0), "memory_mb")]
    #[case(ComputeNode::new("h", 1, 1, 1).with_ratios(f64::NAN, 1.0, 1.0), "cpu_allocation_ratio")]
    #[case(ComputeNode::new("h", 1, 1, 1).with_ratios(1.0, 0.0, 1.0), "ram_allocation_ratio")]
    fn a_bad_report_is_refused_with_its_field(#[case] node: ComputeNode, #[case] field: &str) {
        assert_eq!(node.check().unwrap_err().field, field);
    }
}
