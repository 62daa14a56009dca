//! What an instance takes from its host.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};

/// Vcpus, memory in MiB and disk in GiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// Virtual processors.
    pub vcpus: i64,
    /// Memory, in MiB.
    pub memory_mb: i64,
    /// Disk, in GiB: root, ephemeral and swap.
    pub disk_gb: i64,
}

impl Resources {
    /// Whether this much can be taken from `free`.
    pub fn fits_in(&self, free: &Resources) -> bool {
        self.vcpus <= free.vcpus && self.memory_mb <= free.memory_mb && self.disk_gb <= free.disk_gb
    }

    /// What is left of this when `taken` is taken; negative where it was overcommitted.
    pub fn less(&self, taken: &Resources) -> Resources {
        Resources {
            vcpus: self.vcpus - taken.vcpus,
            memory_mb: self.memory_mb - taken.memory_mb,
            disk_gb: self.disk_gb - taken.disk_gb,
        }
    }
}

impl Add for Resources {
    type Output = Resources;

    fn add(self, other: Resources) -> Resources {
        Resources {
            vcpus: self.vcpus + other.vcpus,
            memory_mb: self.memory_mb + other.memory_mb,
            disk_gb: self.disk_gb + other.disk_gb,
        }
    }
}

impl Sum for Resources {
    fn sum<I: Iterator<Item = Resources>>(all: I) -> Resources {
        all.fold(Resources::default(), Add::add)
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} vcpus, {} MB memory, {} GB disk", self.vcpus, self.memory_mb, self.disk_gb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_short_resource_is_enough_not_to_fit() {
        let free = Resources { vcpus: 4, memory_mb: 4096, disk_gb: 40 };
        assert!(Resources { vcpus: 4, memory_mb: 4096, disk_gb: 40 }.fits_in(&free));
        assert!(!Resources { vcpus: 5, memory_mb: 1, disk_gb: 1 }.fits_in(&free));
        assert!(!Resources { vcpus: 1, memory_mb: 1, disk_gb: 41 }.fits_in(&free));
    }
}
