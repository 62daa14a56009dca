//! What was measured of one operation: times and counts, ours and the floor's.

use std::time::{Duration, Instant};

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

/// One run of an operation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Run {
    /// From the question to the answer.
    pub(crate) wall: Duration,
    /// What this process computed for it, on all its threads.
    pub(crate) cpu: Duration,
}

/// A stopwatch for [`Run`].
pub(crate) struct Clock(Instant, Duration);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now(), process_time())
    }

    pub(crate) fn stop(&self) -> Run {
        Run { wall: self.0.elapsed(), cpu: process_time().saturating_sub(self.1) }
    }
}

fn process_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// One operation, done many times by the plane and by the floor in turns.
#[derive(Debug)]
pub(crate) struct Measured {
    /// What was done.
    pub(crate) operation: String,
    /// How many questions to databases wait for one another, by design.
    pub(crate) depth: u32,
    /// The rows of instances that one run read from cells, ours and the floor's.
    pub(crate) rows: Option<(u64, u64)>,
    /// By how many megabytes a process grows for it, and for many pages one after another.
    pub(crate) memory: Option<(f64, f64)>,
    ours: Vec<Run>,
    floor: Vec<Run>,
    counts: Counts,
    varied: bool,
    sent: Sent,
}

impl Measured {
    pub(crate) fn new(operation: impl Into<String>, depth: u32) -> Measured {
        Measured {
            operation: operation.into(),
            depth,
            rows: None,
            memory: None,
            ours: Vec::new(),
            floor: Vec::new(),
            counts: Counts::default(),
            varied: false,
            sent: Sent::default(),
        }
    }

    /// Takes one run of the plane.
    pub(crate) fn add_ours(&mut self, run: Run, counts: Counts) {
        self.varied |= !self.ours.is_empty() && counts != self.counts;
        self.counts = self.counts.max(counts);
        self.ours.push(run);
    }

    /// Takes one run of the floor.
    pub(crate) fn add_floor(&mut self, run: Run, before: Sent, after: Sent) {
        self.sent.statements = self.sent.statements.max(after.statements - before.statements);
        self.sent.commits = self.sent.commits.max(after.commits - before.commits);
        self.floor.push(run);
    }

    /// How often it was done.
    pub(crate) fn runs(&self) -> usize {
        self.ours.len()
    }

    pub(crate) fn ours(&self) -> Spread {
        Spread::of(&self.ours)
    }

    /// None where nothing was measured beside it.
    pub(crate) fn floor(&self) -> Option<Spread> {
        (!self.floor.is_empty()).then(|| Spread::of(&self.floor))
    }

    /// By how much the plane takes longer than the floor, in the middle.
    pub(crate) fn ratio(&self) -> Option<f64> {
        Some(self.ours().p50 / self.floor()?.p50)
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
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// The middle of the processor times.
    pub(crate) cpu: f64,
}

impl Spread {
    fn of(runs: &[Run]) -> Spread {
        let wall = sorted(runs.iter().map(|run| run.wall));
        let cpu = sorted(runs.iter().map(|run| run.cpu));
        Spread { p50: at(&wall, 0.5), p99: at(&wall, 0.99), cpu: at(&cpu, 0.5) }
    }
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<f64> {
    let mut micros: Vec<f64> = times.map(|time| time.as_secs_f64() * 1e6).collect();
    micros.sort_by(f64::total_cmp);
    micros
}

fn at(micros: &[f64], part: f64) -> f64 {
    let index = (micros.len().saturating_sub(1) as f64 * part).round() as usize;
    micros.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p50_is_the_middle_and_p99_near_the_end() {
        let run = |n| Run { wall: Duration::from_micros(n), cpu: Duration::from_micros(2 * n) };
        let runs: Vec<Run> = (1..=101).rev().map(run).collect();
        let spread = Spread::of(&runs);
        assert_eq!((spread.p50.round(), spread.p99.round()), (51.0, 100.0));
        assert_eq!(spread.cpu.round(), 102.0);
    }
}
