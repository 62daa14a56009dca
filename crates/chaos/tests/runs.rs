//! Small runs on each engine: the same program as `cargo xtask chaos`, with fewer boots.

use std::process::{Command, Output};

use cellzero_test_support::Engine;
use rstest::rstest;

/// Runs the chaos run on one engine; none where the engine is left out.
fn run(engine: Engine, kind: &str, arguments: &[&str]) -> Option<Output> {
    if engine.missing_binary().is_some() {
        return None;
    }
    let folder = format!("{}/{kind}", env!("CARGO_TARGET_TMPDIR"));
    let output = Command::new(env!("CARGO_BIN_EXE_cellzero-chaos"))
        .args(["run", "--seed", "1", "--backends", engine.name(), "--output", &folder])
        .args(arguments)
        .output()
        .unwrap();
    Some(output)
}

/// The printed text of a run that held.
fn held(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let progress = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{progress}");
    text
}

#[rstest]
fn nothing_is_lost_or_doubled_while_servers_and_processes_are_killed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(output) = run(engine, "faults", &["--boots", "240"]) else { return };
    let text = held(&output);
    assert!(
        text.contains("lost 0, doubled 0, orphaned 0, over-claimed 0, resurrected 0"),
        "{text}"
    );
    assert!(!text.contains("orchestrators: 0 kills"), "{text}");
}

#[rstest]
fn two_processes_that_boot_and_recover_at_once_decide_each_instance_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(output) = run(engine, "calm", &["--calm", "--seconds", "4"]) else { return };
    let text = held(&output);
    assert!(text.contains(", twice 0\n"), "{text}");
    assert!(!text.contains("into cells 0,"), "{text}");
}

#[test]
fn a_seed_prints_the_same_schedule_again() {
    let schedule = || run(Engine::Sqlite, "schedule", &["--schedule-only"]).unwrap().stdout;
    let first = schedule();
    assert!(first.starts_with(b"seed 1\n") && first.len() > 1_000);
    assert_eq!(first, schedule());
}
