//! What was measured of one operation: times and counts, ours and the floor's.

use std::time::Duration;

use cellzero::{CellUuid, Counters, PlaneCounters};

use crate::floor::Sent;

/// What one operation asked of the plane's databases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Statements to the API database.
    pub(crate) api: u64,
    /// Statements to cell0.
    pub(crate) cell0: u64,
    /// Statements to all live cells together.
    pub(crate) cells: u64,
    /// Transactions of all databases together.
    pub(crate) commits: u64,
    /// How many databases were asked at all.
    pub(crate) databases: u64,
}

impl Counts {
    /// What happened between two looks at the plane's counters.
    pub(crate) fn between(before: &PlaneCounters, after: &PlaneCounters) -> Counts {
        let mut counts = Counts::default();
        let api = counts.add(&before.api, &after.api);
        counts.api = api;
        for (cell, after) in &after.cells {
            let before = before.cells.iter().find(|(known, _)| known == cell);
            let before = before.map_or_else(Counters::default, |(_, counters)| counters.clone());
            let statements = counts.add(&before, after);
            match *cell {
                CellUuid::CELL0 => counts.cell0 += statements,
                _ => counts.cells += statements,
            }
        }
        counts
    }

    fn add(&mut self, before: &Counters, after: &Counters) -> u64 {
        let statements = after.statements - before.statements;
        self.commits += after.commits - before.commits;
        self.databases += u64::from(statements > 0);
        statements
    }

    /// Statements to all databases.
    pub(crate) fn statements(&self) -> u64 {
        self.api + self.cell0 + self.cells
    }

    fn max(self, other: Counts) -> Counts {
        Counts {
            api: self.api.max(other.api),
            cell0: self.cell0.max(other.cell0),
            cells: self.cells.max(other.cells),
            commits: self.commits.max(other.commits),
            databases: self.databases.max(other.databases),
        }
    }
}

/// One operation, done many times by the plane and by the floor in turns.
#[derive(Debug)]
pub(crate) struct Measured {
    /// What was done.
    pub(crate) operation: String,
    /// How many questions to databases wait for one another, by design.
    pub(crate) depth: u32,
    ours: Vec<Duration>,
    floor: Vec<Duration>,
    counts: Counts,
    varied: bool,
    sent: Sent,
}

impl Measured {
    pub(crate) fn new(operation: impl Into<String>, depth: u32) -> Measured {
        Measured {
            operation: operation.into(),
            depth,
            ours: Vec::new(),
            floor: Vec::new(),
            counts: Counts::default(),
            varied: false,
            sent: Sent::default(),
        }
    }

    /// Takes one run of the plane.
    pub(crate) fn add_ours(&mut self, took: Duration, counts: Counts) {
        self.varied |= !self.ours.is_empty() && counts != self.counts;
        self.counts = self.counts.max(counts);
        self.ours.push(took);
    }

    /// Takes one run of the floor.
    pub(crate) fn add_floor(&mut self, took: Duration, before: Sent, after: Sent) {
        self.sent.statements = self.sent.statements.max(after.statements - before.statements);
        self.sent.commits = self.sent.commits.max(after.commits - before.commits);
        self.floor.push(took);
    }

    /// How often it was done.
    pub(crate) fn runs(&self) -> usize {
        self.ours.len()
    }

    pub(crate) fn ours(&self) -> Spread {
        Spread::of(&self.ours)
    }

    pub(crate) fn floor(&self) -> Spread {
        Spread::of(&self.floor)
    }

    /// By how much the plane takes longer than the floor, in the middle.
    pub(crate) fn ratio(&self) -> f64 {
        self.ours().median / self.floor().median
    }

    /// The most that one run asked for.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether the runs differed in what they asked for.
    pub(crate) fn varied(&self) -> bool {
        self.varied
    }

    /// The most that one run of the floor sent.
    pub(crate) fn sent(&self) -> Sent {
        self.sent
    }
}

/// The middle and the upper end of many times, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) p95: f64,
}

impl Spread {
    fn of(times: &[Duration]) -> Spread {
        let mut micros: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
        micros.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let index = (micros.len().saturating_sub(1) as f64 * part).round() as usize;
            micros.get(index).copied().unwrap_or(f64::NAN)
        };
        Spread { median: at(0.5), p95: at(0.95) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_p95_near_the_end() {
        let times: Vec<Duration> = (1..=101).rev().map(Duration::from_micros).collect();
        let spread = Spread::of(&times);
        assert_eq!((spread.median.round(), spread.p95.round()), (51.0, 96.0));
    }
}
