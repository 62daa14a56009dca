//! The weighers: which of the hosts that pass is the best.

use std::cmp::Reverse;

use cellzero_types::Resources;

use crate::filters::Candidate;
use crate::host::GroupPolicy;

/// How good a host is. The order of the fields is their priority; greater is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score {
    /// What a soft policy of the server group prefers. It stands first: a user who asks for it
    /// wants it wherever there is room.
    group: i64,
    /// The sum of the free shares of vcpus, memory and disk.
    free: i64,
    /// The first name of the alphabet wins a tie, so that the same input has the same answer.
    rank: Reverse<u32>,
}

/// The measure of free capacity: what a unit counts for, by the largest of the hosts that pass.
///
/// It stands still while a batch is placed, so that taking from one host changes no other's score.
/// Nova measures by the difference between the fullest and the emptiest host, which would count
/// nothing at all among equal hosts until the measure is taken anew.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    vcpu: i64,
    mb: i64,
    gb: i64,
}

/// What the largest host counts for in each of its three shares. Their sum fits.
const WHOLE: i64 = 1 << 60;

impl Scale {
    /// The measure of these hosts. Those that a filter refused play no part: one that is down must
    /// not change which of the others is chosen.
    pub(crate) fn of<'a>(passing: impl Iterator<Item = &'a Candidate<'a>>) -> Scale {
        let smallest = Resources { vcpus: 1, memory_mb: 1, disk_gb: 1 };
        let largest = passing.map(|candidate| candidate.limit).fold(smallest, |a, b| Resources {
            vcpus: a.vcpus.max(b.vcpus),
            memory_mb: a.memory_mb.max(b.memory_mb),
            disk_gb: a.disk_gb.max(b.disk_gb),
        });
        Scale {
            vcpu: WHOLE / largest.vcpus,
            mb: WHOLE / largest.memory_mb,
            gb: WHOLE / largest.disk_gb,
        }
    }

    /// The score of a host, under the policy of the server group where there is one.
    pub(crate) fn score(&self, candidate: &Candidate<'_>, policy: Option<GroupPolicy>) -> Score {
        let members = i64::from(candidate.members);
        let group = match policy {
            Some(GroupPolicy::SoftAffinity) => members,
            Some(GroupPolicy::SoftAntiAffinity) => -members,
            Some(GroupPolicy::Affinity | GroupPolicy::AntiAffinity) | None => 0,
        };
        let free = &candidate.free;
        // Whole numbers, so that equal hosts are equal to the last digit, and what one unit counts for
        // is divided out once and not for each host. What is free can be less than nothing, without
        // bound, on a host that claims more than it has.
        let free = free
            .vcpus
            .saturating_mul(self.vcpu)
            .saturating_add(free.memory_mb.saturating_mul(self.mb))
            .saturating_add(free.disk_gb.saturating_mul(self.gb));
        Score { group, free, rank: Reverse(candidate.rank) }
    }
}
