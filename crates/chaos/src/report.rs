//! What a run ends with: counts, and whether everything held.

use std::fmt;
use std::time::Duration;

use cellzero::FsckReport;
use cellzero_test_support::Engine;

use crate::faults::Hits;
use crate::history::Counts;
use crate::orchestrator::Decided;
use crate::receiver::Receiver;
use crate::rest::Found;
use crate::schedule::{Kind, Target};

/// Everything that a run on one engine ends with.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) engine: Engine,
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) to_rest: Duration,
    pub(crate) counts: Counts,
    pub(crate) found: Found,
    pub(crate) hits: Hits,
    pub(crate) effects: Receiver,
    pub(crate) fsck: FsckReport,
    /// What the processes say they decided, and how many there were to decide; in calm runs.
    pub(crate) decided: Option<(Decided, i64)>,
    /// Samples in which a host had more than its limit.
    pub(crate) over_limit_seen: u64,
    pub(crate) violations: Vec<String>,
}

impl Report {
    /// Whether every promise was kept.
    pub(crate) fn holds(&self) -> bool {
        let wrong = self.counts.lost + self.counts.doubled + self.counts.resurrected;
        wrong == 0
            && self.over_limit_seen == 0
            && self.found.orphaned + self.found.over_claimed == 0
            && self.fsck.is_clean()
            && self.fsck.moving.is_empty()
            && self.effects.violations.is_empty()
            && self.violations.is_empty()
            && self.decided.is_none_or(|(decided, all)| decided.total() == all)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { counts, found, effects, fsck, .. } = self;
        writeln!(
            f,
            "{}, seed {}: {:.0} s",
            self.engine.name(),
            self.seed,
            self.took.as_secs_f64()
        )?;
        writeln!(
            f,
            "  accepted {} (and {} whose answer was lost), in cells {}, in cell0 {}, deleted {}, \
             retried {}, tokens repeated {}",
            counts.accepted,
            counts.adopted,
            found.in_cells,
            found.in_cell0,
            counts.deleted,
            counts.retried,
            counts.tokens_repeated,
        )?;
        writeln!(
            f,
            "  lost {}, doubled {}, orphaned {}, over-claimed {}, resurrected {}",
            counts.lost,
            counts.doubled,
            found.orphaned,
            found.over_claimed as u64 + self.over_limit_seen,
            counts.resurrected,
        )?;
        writeln!(
            f,
            "  shows {}, lists {} ({} without a cell), answers that say nothing {}",
            counts.shows, counts.lists, counts.partial_lists, counts.unknown,
        )?;
        write!(f, "  ")?;
        for (target, kills, stops) in by_target(&self.hits) {
            write!(f, "{target}: {kills} kills, {stops} stops; ")?;
        }
        writeln!(f, "at rest after {:.1} s", self.to_rest.as_secs_f64())?;
        writeln!(
            f,
            "  effects {}, repeated under the same id {}, late {}, wrong {}",
            effects.delivered,
            effects.repeated,
            effects.late,
            effects.violations.len(),
        )?;
        if let Some((decided, all)) = &self.decided {
            let twice = decided.total() - all;
            writeln!(
                f,
                "  decided into cells {}, into cell0 {}, twice {twice}",
                decided.in_cells, decided.in_cell0,
            )?;
        }
        writeln!(
            f,
            "  fsck: {} uuids, {} findings, {} moving, {} cells unreachable",
            fsck.uuids_checked,
            fsck.findings.len(),
            fsck.moving.len(),
            fsck.unreachable.len(),
        )?;
        for finding in &fsck.findings {
            writeln!(f, "    {:?} {}: {}", finding.class, finding.subject, finding.detail)?;
        }
        for violation in effects.violations.iter().chain(&self.violations) {
            writeln!(f, "    {violation}")?;
        }
        write!(f, "  {}", if self.holds() { "everything held" } else { "BROKEN" })
    }
}

/// Kills and stops of each server, and of all orchestrators together.
fn by_target(hits: &Hits) -> Vec<(String, u64, u64)> {
    let mut servers: Vec<usize> = Vec::new();
    for (target, _) in hits.keys() {
        if let Target::Server(number) = target
            && !servers.contains(number)
        {
            servers.push(*number);
        }
    }
    let sum = |of: &dyn Fn(&Target) -> bool, kind: Kind| -> u64 {
        hits.iter().filter(|((target, k), _)| of(target) && *k == kind).map(|(_, n)| n).sum()
    };
    let mut all: Vec<(String, u64, u64)> = servers
        .into_iter()
        .map(|number| {
            let of = |target: &Target| *target == Target::Server(number);
            (format!("server {}", number + 1), sum(&of, Kind::Kill), sum(&of, Kind::Stop))
        })
        .collect();
    let of = |target: &Target| matches!(target, Target::Orchestrator(_));
    all.push(("orchestrators".to_owned(), sum(&of, Kind::Kill), sum(&of, Kind::Stop)));
    all
}
