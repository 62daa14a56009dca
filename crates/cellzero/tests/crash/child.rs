//! A process of its own that aborts at a place: this test program, started again.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use cellzero::*;
use serde_json::{Value, json};

use crate::receiver::{Effect, Receiver};
use crate::script::{Fault, Script, Where};
use crate::stage::{self, Stage};
use crate::walked::{self, Told, Walked, Word};

/// Tells a child what to do.
const TASK: &str = "CELLZERO_CRASH_CHILD";
/// The test that is a child when it is told to be.
const ENTRY: &str = "child::a_child_aborts_where_it_is_told_and_its_parent_knows_what_it_said";
/// The number of the signal by which an aborted process ends.
const SIGABRT: i32 = 6;

/// Runs the operation in a process that aborts at the place; says what it was told and what it
/// sent.
///
/// # Panics
/// Where the process does not end so.
pub(crate) fn abort_at(
    stage: &Stage,
    walked: Walked,
    place: u64,
    prepared: &[InstanceUuid],
) -> Told {
    let task = json!({
        "walked": format!("{walked:?}"),
        "place": place,
        "api": stage.test.api.url(),
        "cell0": stage.test.cell0.url(),
        "prepared": prepared.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", ENTRY, "--nocapture", "--test-threads=1"])
        .env(TASK, task.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(SIGABRT), "{task}: {said}{error}");
    let told = Told::default();
    for line in said.lines() {
        if let Some(effect) = Effect::parse(line) {
            stage.receiver.receive(&effect);
        } else if let Some(word) = Word::parse(line) {
            told.note(word);
        }
    }
    told
}

/// In the child: opens the databases that stand, and runs the operation to its place.
async fn follow(task: &Value) {
    // The test program has begun a line with the name of this test.
    println!();
    let text = |name: &str| task[name].as_str().unwrap().to_owned();
    let walked = Walked::parse(&text("walked")).unwrap();
    let prepared = task["prepared"].as_array().unwrap().iter();
    let prepared = prepared.map(|uuid| uuid.as_str().unwrap().parse().unwrap()).collect();
    let script = Script::default();
    let config = Config::new(text("api")).cell0(text("cell0")).without_worker();
    let config = stage::with_script(stage::config(config, Receiver::printing()), &script);
    let plane = ControlPlane::open(config).await.unwrap();
    script.arm(Fault::Abort, Where::Place(task["place"].as_u64().unwrap()));
    walked::run(plane, walked, prepared, Told::printing()).await;
}

#[tokio::test]
async fn a_child_aborts_where_it_is_told_and_its_parent_knows_what_it_said() {
    if let Ok(task) = std::env::var(TASK) {
        return follow(&serde_json::from_str(&task).unwrap()).await;
    }
    let stage = Stage::open(cellzero_test_support::Engine::Sqlite).await.unwrap();
    // Before its first statement nothing is accepted.
    let told = abort_at(&stage, Walked::Boot, 0, &[]);
    assert_eq!(told.words(), []);
    assert!(stage.listed().await.is_empty());
    stage.clean().await;
}
