//! Traces of the model of the boot protocol, replayed by the library on real databases.
//!
//! Each step of the model is one step of the real code: an operation that runs as a task and stops
//! before each of its transactions. After each step the databases must hold what the model holds.
//! `CELLZERO_REPLAY_SEEDS` says how many walks are replayed on each backend, and
//! `CELLZERO_REPLAY_FIRST` with which seed they begin.

mod actor;
mod replay;
mod world;

use cellzero_model::run::{ONE, counterexample};
use cellzero_model::{Bounds, Guards, Protocol, Readers};
use cellzero_test_support::Engine;
use rstest::rstest;

use replay::Replay;
use world::World;

/// Walks on each backend in an ordinary run.
const SEEDS: u64 = 10;
/// The longest walk.
const STEPS_MAX: usize = 40;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[rstest]
#[tokio::test]
async fn walks_of_the_model_leave_the_databases_as_it_says(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(world) = World::new(engine).await else { return };
    let bounds = Bounds { epoch_max: 5, readers: Readers::All, ..ONE };
    let protocol = Protocol { bounds, guards: Guards::ALL };
    let (first, seeds) =
        (number("CELLZERO_REPLAY_FIRST", 1), number("CELLZERO_REPLAY_SEEDS", SEEDS));
    let mut actions = 0;
    for seed in first..first + seeds {
        let steps = protocol.walk(seed, STEPS_MAX);
        actions += steps.len();
        Replay::run(&world, &format!("seed {seed}"), steps).await;
    }
    println!("{}: {seeds} traces, {actions} actions replayed", engine.name());
}

/// What goes wrong without a guard, tried on the real code: its guard stops it.
#[rstest]
#[tokio::test]
async fn no_counterexample_of_a_removed_guard_gets_past_the_real_one(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(world) = World::new(engine).await else { return };
    let protocol = Protocol { bounds: ONE, guards: Guards::ALL };
    let of_one = |guards: &Guards| !guards.is_of_groups();
    let mut traces = 0;
    for (name, guards) in Guards::each_removed().filter(|(_, guards)| of_one(guards)) {
        if name == Guards::IMPLIED {
            continue;
        }
        let (part, violation) = counterexample(guards, 1).expect("a counterexample");
        let broken = Protocol { bounds: part.bounds, guards };
        let tried = broken.with_identities(&violation);
        let protocol = Protocol { bounds: part.bounds, ..protocol };
        let steps = protocol.follow(tried);
        Replay::run(&world, &format!("without {name}"), steps).await;
        traces += 1;
    }
    println!("{}: {traces} counterexamples replayed", engine.name());
}
