//! The crash walk: a boot, a burial, a delete, a retry, a failed build and a recovery, made to fail at each place
//! of the connection layer in turn, then recovered by another process, then compared with what
//! must be.
//!
//! What a caller was told when an acknowledgement is lost on the way is in `lost`.
//!
//! The places are met, not listed: a walk goes on until an operation meets no fault any more, and
//! that last run shows that there are as many places as statements, and two for each commit.

mod archive;
mod child;
mod lost;
mod oracle;
mod receiver;
mod script;
mod stage;
#[path = "../it/support.rs"]
#[allow(dead_code, reason = "the support is the other tests' too")]
mod support;
mod walked;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use cellzero::*;
use cellzero_test_support::Engine;
use futures_util::FutureExt as _;
use rstest::rstest;

use oracle::Oracle;
use script::{Fault, Where};
use stage::Stage;
use walked::{Told, Walked, Word};

/// More places than any operation has: a walk that gets there does not end.
const PLACES_MAX: u64 = 400;
/// Set by `cargo xtask crash-walk`: every fault at every place.
const WHOLE: &str = "CELLZERO_CRASH_WALK_WHOLE";
/// Recoveries share their places: each has its crash on one of the backends.
const BACKENDS: u64 = Engine::ALL.len() as u64;
/// At every place there is a crash; of the other faults, each comes at one of so many places.
const OTHERS_EVERY: u64 = 11;

fn is_whole() -> bool {
    std::env::var_os(WHOLE).is_some()
}

/// The faults of one place. Without any, the place is another backend's.
fn faults(engine: Engine, walked: Walked, place: u64) -> Vec<Fault> {
    let whole = is_whole();
    let turn = Engine::ALL.into_iter().zip(0..).find(|(known, _)| *known == engine);
    let is_recovery = matches!(walked, Walked::Recover(..));
    if is_recovery && !whole && turn.is_some_and(|(_, turn)| place % BACKENDS != turn) {
        return Vec::new();
    }
    let others = [(Fault::Break, 0), (Fault::Panic, 4), (Fault::Abort, 8)];
    let others = others.into_iter().filter(|(_, nth)| whole || place % OTHERS_EVERY == *nth);
    std::iter::once(Fault::Crash).chain(others.map(|(fault, _)| fault)).collect()
}

/// What was walked.
#[derive(Debug, Default)]
struct Walk {
    places: u64,
    faults: u64,
}

/// Walks through an operation to its end.
async fn walk(stage: &Stage, engine: Engine, walked: Walked) -> Walk {
    let mut faults_met = 0;
    for place in 0..PLACES_MAX {
        for fault in faults(engine, walked, place) {
            if let Some(places) = strike(stage, walked, fault, place).await {
                // Those that were struck before are places of the last run too: one that did less
                // than they did would end the walk too early.
                assert!(
                    places + BACKENDS > place,
                    "{walked:?}: {places} places, and {place} tried"
                );
                return Walk { places, faults: faults_met };
            }
            faults_met += 1;
        }
    }
    panic!("the walk does not end");
}

/// One run with a fault at one place; where the operation does not get there, how many it has.
async fn strike(stage: &Stage, walked: Walked, fault: Fault, place: u64) -> Option<u64> {
    let prepared = stage.prepare(walked).await;
    let (told, places) = match fault {
        Fault::Abort => (child::abort_at(stage, walked, place, &prepared), None),
        _ => run_with_fault(stage, walked, fault, place, &prepared).await,
    };
    let name = format!("{walked:?}, {fault:?} at place {place}");
    recover_and_check(stage, walked, &prepared, &told, &name).await;
    places
}

async fn run_with_fault(
    stage: &Stage,
    walked: Walked,
    fault: Fault,
    place: u64,
    prepared: &[InstanceUuid],
) -> (Told, Option<u64>) {
    let told = Told::default();
    // The mapping of a cell that failed is read again before the cell is asked, which would be one
    // place more than without the fault of before. A list reads it.
    stage.victim.list(&support::user(), &ListQuery::default()).await.expect("a list");
    let before = cost(&stage.victim);
    stage.script.arm(fault, Where::Place(place));
    let run = walked::run(stage.victim.clone(), walked, prepared.to_vec(), told.clone());
    let ended = tokio::spawn(run).await;
    let met = stage.script.disarm();
    let struck = stage.script.has_struck();
    assert_eq!(ended.is_err(), struck && fault == Fault::Panic);
    if !struck {
        // No place is missing: there is one for each statement, and two for each commit.
        assert_eq!(met, cost(&stage.victim) - before, "{walked:?}");
        let is_recovery = matches!(walked, Walked::Recover(..));
        assert_eq!(told.words().contains(&Word::Recovered), is_recovery, "{walked:?}");
    }
    (told, (!struck).then_some(met))
}

/// Statements, and twice the commits, that a plane's databases have counted.
fn cost(plane: &ControlPlane) -> u64 {
    let counters = plane.counters();
    let cells = counters.cells.into_iter().map(|(_, counters)| counters);
    std::iter::once(counters.api).chain(cells).map(|c| c.statements + 2 * c.commits).sum()
}

async fn recover_and_check(
    stage: &Stage,
    walked: Walked,
    prepared: &[InstanceUuid],
    told: &Told,
    name: &str,
) {
    let oracle = Oracle { stage, walked, prepared, told };
    let checked = async {
        if matches!(walked, Walked::Fail | Walked::FailLast) {
            walked::report_failure(&stage.test.plane, walked, prepared).await;
        }
        stage.recover().await;
        oracle.check().await;
        stage.clean().await;
        oracle.check_ended();
    };
    // Each check panics with what is wrong; the place that led to it is said beside it.
    if let Err(panic) = AssertUnwindSafe(checked).catch_unwind().await {
        eprintln!("{name}");
        std::panic::resume_unwind(panic);
    }
}

async fn walk_all(engine: Engine, all: &[Walked]) {
    let Some(stage) = Stage::open(engine).await else { return };
    for walked in all {
        let began = Instant::now();
        let Walk { places, faults } = walk(&stage, engine, *walked).await;
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "{}: {walked:?}: {faults} faults at {places} places survived, {seconds:.1} s",
            engine.name()
        );
    }
    stage.test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_fault_at_any_place_of_a_boot_is_survived(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    walk_all(engine, &Walked::ALL[..3]).await;
}

#[rstest]
#[tokio::test]
async fn a_fault_at_any_place_of_a_delete_is_survived(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    walk_all(engine, &Walked::ALL[3..7]).await;
}

#[rstest]
#[tokio::test]
async fn a_fault_at_any_place_of_a_retry_is_survived(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    walk_all(engine, &Walked::ALL[7..9]).await;
}

#[rstest]
#[tokio::test]
async fn a_fault_at_any_place_of_a_failed_build_is_survived(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    walk_all(engine, &Walked::ALL[9..11]).await;
}

#[rstest]
#[tokio::test]
async fn a_fault_at_any_place_of_a_recovery_is_survived(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    walk_all(engine, &Walked::ALL[11..]).await;
}

/// The walk holds this of each operation at its end; this says it of all, by itself.
#[rstest]
#[tokio::test]
async fn there_is_a_place_for_each_statement_and_two_for_each_commit(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(stage) = Stage::open(engine).await else { return };
    let documented = documented_places();
    assert_eq!(documented.len(), Walked::ALL.len());
    let mut wrong = Vec::new();
    for (walked, documented) in Walked::ALL.into_iter().zip(documented) {
        let places = strike(&stage, walked, Fault::Break, PLACES_MAX).await;
        let places = places.expect("no place is struck");
        // A statement or two depend on what came before.
        if places.abs_diff(documented) > 2 {
            wrong.push(format!("{walked:?}: {places}, documented {documented}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The table of `docs/testing.md`: its left half from top to bottom, then its right half.
fn documented_places() -> Vec<u64> {
    let document = include_str!("../../../../docs/testing.md");
    let (_, table) = document.split_once("| operation | places | operation | places |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
    let column = |index: usize| rows.iter().map(move |row| row[index].parse().unwrap());
    column(2).chain(column(4)).collect()
}
