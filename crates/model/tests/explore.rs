//! What an ordinary test run can afford of the model, explored to its end.

use cellzero_model::run::{PARTS, WALK, counterexample, explore, walk};
use cellzero_model::waiting::{self, WaitingGuards};
use cellzero_model::{Bounds, Grain, Guards};

#[test]
fn no_step_of_the_protocol_breaks_an_invariant() {
    for part in PARTS {
        let report = explore(part.bounds, Guards::ALL, 1);
        let (states, depth, time) = (report.states, report.depth, report.time);
        println!("{}: {states} states, depth {depth}, {time:?}", part.name);
        assert!(report.violation.is_none(), "{}: {:#?}", part.name, report.violation);
    }
}

/// Two instances without the reductions of the group parts, to one epoch less.
#[test]
fn two_instances_in_the_fine_grain_break_no_invariant() {
    for part in PARTS.iter().filter(|part| part.bounds.instances > 1) {
        let epoch_max = part.bounds.epoch_max - 1;
        let bounds = Bounds { grain: Grain::Fine, epoch_max, ..part.bounds };
        let report = explore(bounds, Guards::ALL, 1);
        println!("{}: {} states, {:?}", part.name, report.states, report.time);
        assert!(report.violation.is_none(), "{}: {:#?}", part.name, report.violation);
    }
}

#[test]
fn random_walks_beyond_the_bounds_break_no_invariant() {
    for seed in 1..=3 {
        let report = walk(WALK.bounds, Guards::ALL, seed, 100_000);
        assert!(report.violation.is_none(), "seed {seed}: {:#?}", report.violation);
    }
}

#[test]
fn every_guard_is_needed_but_the_implied_one() {
    for (name, guards) in Guards::each_removed().filter(|(name, _)| *name != Guards::IMPLIED) {
        let found = counterexample(guards, 1);
        let Some((part, violation)) = found else { panic!("nothing breaks without {name}") };
        let (property, trace) = (violation.property, violation.trace);
        println!("without {name}: {property} in {} steps ({})", trace.len(), part.name);
        trace.iter().for_each(|action| println!("    {action:?}"));
    }
}

#[test]
fn the_null_check_of_the_mapping_is_implied_by_the_others() {
    let guards = Guards { null_check: false, ..Guards::ALL };
    for part in PARTS.iter().filter(|part| part.bounds.instances == 1) {
        let bounds = Bounds { epoch_max: part.bounds.epoch_max - 1, ..part.bounds };
        assert!(explore(bounds, guards, 1).violation.is_none(), "{}", part.name);
    }
}

#[test]
fn no_wake_up_is_lost() {
    let report = waiting::explore(WaitingGuards::ALL, 1);
    println!("waiting: {} states, {:.1} s", report.states, report.seconds);
    assert!(report.violation.is_none(), "{:#?}", report.violation);
}

#[test]
fn every_guard_of_the_waiting_index_is_needed() {
    for (name, guards) in WaitingGuards::each_removed() {
        let found = waiting::explore(guards, 1).violation;
        let Some(trace) = found else { panic!("nothing breaks without {name}") };
        println!("without {name}: a lost wake-up in {} steps", trace.len());
        trace.iter().for_each(|action| println!("    {action:?}"));
    }
}
