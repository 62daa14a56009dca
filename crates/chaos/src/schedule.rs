//! The schedule of faults: what is killed or stopped, after how many accepted instances, for how
//! long. The seed and the number of boots alone decide it.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// What a fault hits, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Target {
    Server(usize),
    Orchestrator(usize),
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// `kill -9`, and a new start after the fault's time.
    Kill,
    /// SIGSTOP, and SIGCONT after the fault's time.
    Stop,
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// It comes when so many instances are accepted.
    pub(crate) after: u64,
    pub(crate) target: Target,
    pub(crate) kind: Kind,
    pub(crate) lasting: Duration,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { after, target, kind, lasting } = self;
        write!(f, "after {after}: {kind:?} {target:?} for {} ms", lasting.as_millis())
    }
}

/// What there is to be hit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) servers: usize,
    pub(crate) orchestrators: usize,
}

/// The number of boots for which the numbers below are meant; other runs have their share.
const WHOLE_RUN: u64 = 30_000;
/// For each server of a whole run.
const SERVER_KILLS: u64 = 100;
const SERVER_STOPS: u64 = 20;
/// For all orchestrators of a whole run together.
const ORCHESTRATOR_KILLS: u64 = 200;
const ORCHESTRATOR_STOPS: u64 = 60;
/// Where there is no server, orchestrators are hit in the place of so many.
const SERVERS_REPLACED: u64 = 2;

/// All faults of a run, in order.
pub(crate) fn schedule(seed: u64, boots: u64, shape: Shape) -> Vec<Fault> {
    let share = |whole: u64| (whole * boots).div_ceil(WHOLE_RUN).max(2);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut hits: Vec<(Target, Kind)> = Vec::new();
    let mut add = |target: &mut dyn FnMut(u64) -> Target, kind, count| {
        hits.extend((0..count).map(|number| (target(number), kind)));
    };
    for server in 0..shape.servers {
        add(&mut |_| Target::Server(server), Kind::Kill, share(SERVER_KILLS));
        add(&mut |_| Target::Server(server), Kind::Stop, share(SERVER_STOPS));
    }
    let in_place = if shape.servers == 0 { SERVERS_REPLACED } else { 0 };
    let kills = share(ORCHESTRATOR_KILLS) + in_place * share(SERVER_KILLS);
    let stops = share(ORCHESTRATOR_STOPS) + in_place * share(SERVER_STOPS);
    let each = shape.orchestrators as u64;
    let mut in_turn = |number: u64| Target::Orchestrator((number % each) as usize);
    add(&mut in_turn, Kind::Kill, kills);
    add(&mut in_turn, Kind::Stop, stops);
    hits.shuffle(&mut rng);
    // The last part of a run is left free, so that no fault waits for boots that do not come.
    let step = boots as f64 * 0.95 / (hits.len() as f64 + 1.0);
    hits.into_iter()
        .zip(1..)
        .map(|((target, kind), number)| Fault {
            after: (step * (f64::from(number) - rng.random_range(0.0..0.9))) as u64,
            target,
            kind,
            lasting: lasting(target, kind, &mut rng),
        })
        .collect()
}

/// Stops are often longer than a lease, so that who wakes up is late.
fn lasting(target: Target, kind: Kind, rng: &mut StdRng) -> Duration {
    let millis = match (target, kind) {
        (Target::Server(_), Kind::Kill) => 50..800,
        (Target::Server(_), Kind::Stop) => 200..3_000,
        (Target::Orchestrator(_), Kind::Kill) => 0..600,
        (Target::Orchestrator(_), Kind::Stop) => 300..5_000,
    };
    Duration::from_millis(rng.random_range(millis))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SERVERS: Shape = Shape { servers: 2, orchestrators: 3 };

    fn counts(faults: &[Fault]) -> BTreeMap<(Target, Kind), u64> {
        let mut counts = BTreeMap::new();
        for fault in faults {
            *counts.entry((fault.target, fault.kind)).or_default() += 1;
        }
        counts
    }

    #[test]
    fn a_seed_gives_the_same_faults_again_and_another_seed_gives_others() {
        assert_eq!(schedule(7, 900, SERVERS), schedule(7, 900, SERVERS));
        assert_ne!(schedule(7, 900, SERVERS), schedule(8, 900, SERVERS));
    }

    #[test]
    fn a_whole_run_kills_and_stops_each_server_and_kills_orchestrators_as_often_as_promised() {
        let faults = schedule(1, WHOLE_RUN, SERVERS);
        let counts = counts(&faults);
        for server in 0..2 {
            assert_eq!(counts[&(Target::Server(server), Kind::Kill)], 100);
            assert_eq!(counts[&(Target::Server(server), Kind::Stop)], 20);
        }
        let killed: u64 =
            (0..3).map(|number| counts[&(Target::Orchestrator(number), Kind::Kill)]).sum();
        assert_eq!(killed, 200);
        assert!(faults.is_sorted_by_key(|fault| fault.after));
        assert!(faults.iter().all(|fault| fault.after < WHOLE_RUN));
    }

    #[test]
    fn without_servers_the_orchestrators_are_hit_in_their_place() {
        let faults = schedule(1, WHOLE_RUN, Shape { servers: 0, orchestrators: 3 });
        let of_kind = |kind| faults.iter().filter(|fault| fault.kind == kind).count();
        assert_eq!(of_kind(Kind::Kill), 400);
        assert_eq!(of_kind(Kind::Stop), 100);
    }
}
