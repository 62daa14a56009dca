//! Runs: the parts of the model, each explored to its end, and the search for counterexamples.

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, UniformChooser};

use crate::action::Action;
use crate::guards::Guards;
use crate::protocol::{AT_REST, Bounds, Grain, Protocol, Readers};
use crate::rest::Unrest;

/// One instance in full.
pub const ONE: Bounds = Bounds {
    instances: 1,
    epoch_max: 3,
    live_cells: 1,
    slots: 1,
    min_count: 1,
    readers: Readers::None,
    grain: Grain::Fine,
};
/// Two instances in one group, with one slot.
const TWO: Bounds = Bounds { instances: 2, epoch_max: 2, grain: Grain::Coarse, ..ONE };
/// Larger than can be exhausted.
const WALKS: Bounds =
    Bounds { instances: 2, epoch_max: 4, live_cells: 2, readers: Readers::All, ..ONE };

/// A part of the model: a name for the command line, and its bounds.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// What it covers, in a few words.
    pub about: &'static str,
    /// How large it is.
    pub bounds: Bounds,
}

/// The parts that are explored to their end.
pub const PARTS: [Part; 5] = [
    Part { name: "one", about: "one instance, dispatch, epoch <= 3", bounds: ONE },
    Part {
        name: "show",
        about: "one instance, a show, epoch <= 3",
        bounds: Bounds { readers: Readers::Show, ..ONE },
    },
    Part {
        name: "list",
        about: "one instance, a list, epoch <= 3",
        bounds: Bounds { readers: Readers::List, ..ONE },
    },
    Part { name: "group-1", about: "two in a group, min_count 1, epoch <= 2", bounds: TWO },
    Part {
        name: "group-2",
        about: "two in a group, min_count 2, epoch <= 2",
        bounds: Bounds { min_count: 2, ..TWO },
    },
];

/// The part of random walks.
pub const WALK: Part =
    Part { name: "walk", about: "random walks, two live cells, epoch <= 4", bounds: WALKS };

/// A property that does not hold, and the steps that lead there.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The property.
    pub property: &'static str,
    /// The steps from the beginning.
    pub trace: Vec<Action>,
}

/// What a run has found.
#[derive(Debug)]
pub struct Report {
    /// Different states.
    pub states: usize,
    /// The longest of the shortest ways to a state; of walks, the longest walk.
    pub depth: usize,
    /// How long it took.
    pub time: Duration,
    /// The shortest violation; none where every property holds.
    pub violation: Option<Violation>,
}

/// Explores all states within the bounds, or up to the first violation.
pub fn explore(bounds: Bounds, guards: Guards, threads: usize) -> Report {
    let started = Instant::now();
    let checker = Protocol { bounds, guards }
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    report(&checker, started)
}

/// Walks at random until so many states were seen; the same seed walks the same way.
pub fn walk(bounds: Bounds, guards: Guards, seed: u64, states: usize) -> Report {
    let started = Instant::now();
    let checker = Protocol { bounds, guards }
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(states)
        .spawn_simulation(seed, UniformChooser)
        .join();
    report(&checker, started)
}

fn report(checker: &impl Checker<Protocol>, started: Instant) -> Report {
    let violation = checker
        .discoveries()
        .into_iter()
        .map(|(property, path)| {
            // Judged together; the last state says which it is.
            let unrest = || checker.model().unrest(path.last_state());
            let at_rest = (property == AT_REST).then(unrest).flatten();
            let property = at_rest.map_or(property, Unrest::property);
            Violation { property, trace: path.into_actions() }
        })
        .min_by_key(|violation| (violation.trace.len(), violation.property));
    Report {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        time: started.elapsed(),
        violation,
    }
}

/// Searches the parts with one epoch less, then in full, for a state that the guards do not prevent:
/// those with one instance, or with two where the guard is of groups.
pub fn counterexample(guards: Guards, threads: usize) -> Option<(Part, Violation)> {
    let instances = if guards.is_of_groups() { 2 } else { 1 };
    let parts = || PARTS.into_iter().filter(|part| part.bounds.instances == instances);
    let lower = parts().map(|mut part| {
        part.bounds.epoch_max -= 1;
        part
    });
    lower.chain(parts()).find_map(|part| {
        let violation = explore(part.bounds, guards, threads).violation?;
        Some((part, violation))
    })
}
