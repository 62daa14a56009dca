//! A sync that ends at each of its places in turn: before each statement, and on both sides of each
//! commit. The next one completes what it left.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cellzero::*;
use cellzero_database::{FaultPlace, Faults};
use cellzero_test_support::{Engine, TestDatabase, create_database};
use rstest::rstest;
use serde_json::{Value, json};

use super::{assert_sound, databases, set_back_all, sync};
use crate::support::TestPlane;

/// Tells a child what to do.
const TASK: &str = "CELLZERO_SYNC_CHILD";
/// The test that is a child when it is told to be.
const ENTRY: &str = "sync::walk::a_process_is_killed_where_it_is_told_to_be";
/// The number of the signal by which an aborted process ends.
const SIGABRT: i32 = 6;
/// Set by `cargo xtask crash-walk`: every place on every backend.
const WHOLE: &str = "CELLZERO_CRASH_WALK_WHOLE";

/// A process that is dead from this place on: nothing that it sends arrives any more.
fn dead_from(place: u64, met: &Arc<AtomicU64>) -> Faults {
    let met = Arc::clone(met);
    Faults::new(move |at| match at {
        FaultPlace::Uncounted => met.load(Ordering::SeqCst) > place,
        _ => met.fetch_add(1, Ordering::SeqCst) >= place,
    })
}

fn with_faults(config: Config, faults: Faults) -> Config {
    let durability = Durability::Normal;
    config.options(Options { faults, durability, ..Options::default() })
}

/// How many places a sync of these databases has.
async fn places(config: &Config) -> u64 {
    let met = Arc::new(AtomicU64::new(0));
    let report = sync(with_faults(config.clone(), dead_from(u64::MAX, &met))).await;
    assert!(report.is_done(), "{report:?}");
    met.load(Ordering::SeqCst)
}

/// Every place on SQLite, and a part on the servers unless all are asked for. The last ones are met
/// on all: there the version is recorded.
fn takes(engine: Engine, place: u64, places: u64) -> bool {
    let whole = std::env::var_os(WHOLE).is_some() || engine == Engine::Sqlite;
    whole || place % 9 == 4 || place + 6 >= places
}

/// Dies at a place and is run again: it is done then, whatever the first left.
async fn die_and_run_again(config: &Config, place: u64, count: usize) {
    let met = Arc::new(AtomicU64::new(0));
    let died = sync(with_faults(config.clone(), dead_from(place, &met))).await;
    let left = databases(config.clone()).state().await;
    // Nobody is told that it is done where it is not.
    for one in &died.databases {
        let shown = left.databases.iter().find(|shown| shown.database == one.database);
        if one.outcome.is_ok() {
            assert!(shown.is_some_and(ShownDatabase::is_sound), "place {place}: {shown:?}");
        }
    }
    let again = sync(config.clone()).await;
    assert!(again.is_done(), "place {place}: {again:?}");
    let state = databases(config.clone()).state().await;
    assert_eq!(state.databases.len(), count);
    assert!(state.databases.iter().all(ShownDatabase::is_sound), "place {place}: {state:?}");
}

#[rstest]
#[tokio::test]
async fn an_upgrade_that_is_killed_anywhere_is_completed_by_the_next(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[]]).await else { return };
    test.plane.close().await.unwrap();
    let config = test.config.clone();
    set_back_all(&test);
    let places = places(&config).await;
    let mut walked = 0;
    for place in (0..places).filter(|place| takes(engine, *place, places)) {
        set_back_all(&test);
        die_and_run_again(&config, place, 3).await;
        walked += 1;
    }
    println!("{}: an upgrade killed at {walked} of {places} places", engine.name());
    assert!(walked > 10);
    assert_sound(config, 3).await;
}

#[rstest]
#[tokio::test]
async fn a_first_sync_that_is_killed_anywhere_is_completed_by_the_next(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(first) = create_database(engine, "api") else { return };
    let of = |api: &TestDatabase| Config::new(api.url()).without_worker().existing();
    let places = places(&of(&first)).await;
    let mut walked = 0;
    for place in (0..places).filter(|place| takes(engine, *place, places)) {
        let api = create_database(engine, "api").unwrap();
        die_and_run_again(&of(&api), place, 1).await;
        walked += 1;
    }
    println!("{}: a first sync killed at {walked} of {places} places", engine.name());
    assert!(walked > 10);
}

/// In the child: runs a sync and aborts at its place.
async fn follow(task: &Value) {
    let met = AtomicU64::new(0);
    let place = task["place"].as_u64().unwrap();
    let faults = Faults::new(move |at| {
        if at != FaultPlace::Uncounted && met.fetch_add(1, Ordering::SeqCst) == place {
            std::process::abort();
        }
        false
    });
    sync(with_faults(Config::new(task["api"].as_str().unwrap()), faults)).await;
}

/// A real process, with its sockets, its locks and its half-written journal.
#[rstest]
#[tokio::test]
async fn a_process_is_killed_where_it_is_told_to_be(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    if let Ok(task) = std::env::var(TASK) {
        return follow(&serde_json::from_str(&task).unwrap()).await;
    }
    let Some(test) = TestPlane::with_cells(engine, &[&[]]).await else { return };
    test.plane.close().await.unwrap();
    let config = test.config.clone();
    set_back_all(&test);
    let places = places(&config).await;
    for place in [0, places / 5, places / 3, places / 2, places - 2] {
        set_back_all(&test);
        let task = json!({ "place": place, "api": test.api.url() });
        let output = Command::new(std::env::current_exe().unwrap())
            .args([ENTRY, "--nocapture", "--test-threads=1"])
            .env(TASK, task.to_string())
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(SIGABRT), "{task}: {output:?}");
        let again = sync(config.clone()).await;
        assert!(again.is_done(), "place {place}: {again:?}");
        assert_sound(config.clone(), 3).await;
    }
}
