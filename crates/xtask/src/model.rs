//! `cargo xtask model`: the model of the boot protocol, explored to its end; then without each guard.

use std::process::ExitCode;

use anyhow::bail;
use cellzero_model::Guards;
use cellzero_model::run::{PARTS, Report, WALK, counterexample, explore, walk};
use cellzero_model::waiting::{self, WaitingGuards};

/// The seed of the first random walk.
const SEED: u64 = 1;
/// The states that random walks visit.
const WALK_STATES: usize = 3_000_000;
/// The name of the part that removes each guard in turn.
const GUARDS: &str = "guards";

/// The name of the part of the waiting index, with and without its guards.
const WAITING: &str = "waiting";

/// What to explore.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only these parts: one, show, list, group-1, group-2, walk, waiting, guards
    #[arg(long)]
    part: Vec<String>,
    /// Threads of the search
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Seed of the random walks
    #[arg(long, default_value_t = SEED)]
    seed: u64,
}

impl Arguments {
    fn asks_for(&self, name: &str) -> bool {
        self.part.is_empty() || self.part.iter().any(|part| part == name)
    }
}

/// Prints the figures of each part and the counterexample of each removed guard; fails where a part
/// has a violation, or where a guard can be removed without one and should not.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let known = |name: &String| {
        [WALK.name, WAITING, GUARDS].contains(&name.as_str())
            || PARTS.iter().any(|part| part.name == name)
    };
    if let Some(unknown) = arguments.part.iter().find(|name| !known(name)) {
        bail!("there is no part named {unknown}");
    }
    let mut holds = true;
    for part in PARTS.iter().filter(|part| arguments.asks_for(part.name)) {
        let report = explore(part.bounds, Guards::ALL, arguments.threads);
        holds &= print(part.name, part.about, &report);
    }
    if arguments.asks_for(WALK.name) {
        let report = walk(WALK.bounds, Guards::ALL, arguments.seed, WALK_STATES);
        println!("seed {}", arguments.seed);
        holds &= print(WALK.name, WALK.about, &report);
    }
    if arguments.asks_for(WAITING) {
        holds &= explore_waiting(arguments.threads);
    }
    if arguments.asks_for(GUARDS) {
        holds &= remove_each_guard(arguments.threads);
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(name: &str, about: &str, report: &Report) -> bool {
    let violations = usize::from(report.violation.is_some());
    println!(
        "{name} ({about}): {} states, depth {}, {:.1} s, {violations} violations",
        report.states,
        report.depth,
        report.time.as_secs_f64(),
    );
    if let Some(violation) = &report.violation {
        println!("  {}", violation.property);
        violation.trace.iter().for_each(|action| println!("    {action:?}"));
    }
    report.violation.is_none()
}

fn explore_waiting(threads: usize) -> bool {
    let report = waiting::explore(WaitingGuards::ALL, threads);
    let violations = usize::from(report.violation.is_some());
    println!(
        "{WAITING} (a burial, retries, capacity at any step): {} states, {:.1} s, {violations} violations",
        report.states, report.seconds
    );
    let mut as_expected = report.violation.is_none();
    for (name, guards) in WaitingGuards::each_removed() {
        let Some(trace) = waiting::explore(guards, threads).violation else {
            println!("without {name}: no counterexample");
            as_expected = false;
            continue;
        };
        println!("without {name}: a lost wake-up ({} steps, part {WAITING})", trace.len());
        trace.iter().for_each(|action| println!("    {action:?}"));
    }
    as_expected
}

fn remove_each_guard(threads: usize) -> bool {
    let mut as_expected = true;
    for (name, guards) in Guards::each_removed() {
        let found = counterexample(guards, threads);
        as_expected &= found.is_some() != (name == Guards::IMPLIED);
        let Some((part, violation)) = found else {
            println!("without {name}: no counterexample");
            continue;
        };
        let steps = violation.trace.len();
        println!("without {name}: {} ({steps} steps, part {})", violation.property, part.name);
        violation.trace.iter().for_each(|action| println!("    {action:?}"));
    }
    as_expected
}
