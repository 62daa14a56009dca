//! What a check of a large plane costs, in time and in the memory of a process that does nothing
//! else.
//!
//! The process is this program again, told so by [`API_DATABASE`]: what was done to fill the plane
//! is not in its memory.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cellzero::{Config, ControlPlane, FsckOptions};
use cellzero_test_support::Engine;

use crate::measure::status_mb;
use crate::plane::Plane;

/// How many cells are checked.
const CELLS: u32 = 16;
/// How many instances: 100,000, and what makes the batches even.
const INSTANCES: u32 = 102_400;
/// With `--quick`.
const INSTANCES_QUICK: u32 = 6_400;
/// What a check may take.
const TIME_MAX: Duration = Duration::from_secs(30);
/// What the process of a check may hold at its highest.
const MEMORY_MAX_MB: f64 = 64.0;
/// The variable that makes this program the process that checks the plane of this API database.
pub(crate) const API_DATABASE: &str = "CELLZERO_BENCH_FSCK";

/// A check as it was measured.
struct Checked {
    instances: u64,
    seconds: f64,
    memory_mb: f64,
}

/// Fills a plane and checks it; fails where a bound is missed.
pub(crate) fn run(engine: Engine, quick: bool) -> anyhow::Result<()> {
    let instances = if quick { INSTANCES_QUICK } else { INSTANCES };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rooms = vec![i32::try_from(instances / CELLS)?; CELLS as usize];
    let plane = runtime.block_on(Plane::open(engine, &rooms))?;
    let began = Instant::now();
    runtime.block_on(plane.fill(instances))?;
    eprintln!(
        "{instances} instances in {CELLS} cells after {:.0} s",
        began.elapsed().as_secs_f64()
    );
    plane.analyze()?;
    runtime.block_on(plane.plane.close())?;
    let checked = in_a_process(plane.api.url())?;
    println!(
        "{}: fsck of {} instances in {CELLS} cells: {:.2} s, {:.1} MB",
        engine.name(),
        checked.instances,
        checked.seconds,
        checked.memory_mb
    );
    ensure!(checked.seconds < TIME_MAX.as_secs_f64(), "it took longer than {TIME_MAX:?}");
    ensure!(checked.memory_mb < MEMORY_MAX_MB, "it held more than {MEMORY_MAX_MB} MB");
    Ok(())
}

fn in_a_process(api: &str) -> anyhow::Result<Checked> {
    let program = std::env::current_exe().context("the path of this program")?;
    let output = Command::new(program)
        .env(API_DATABASE, api)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run the process that checks")?;
    ensure!(output.status.success(), "the process that checks failed");
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [instances, seconds, memory_mb] = numbers[..] else { bail!("{text:?} has no figures") };
    Ok(Checked { instances: instances as u64, seconds, memory_mb })
}

/// The process that checks: prints instances, seconds and megabytes.
pub(crate) fn child(api: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let plane = ControlPlane::open(Config::new(api).without_worker()).await?;
        let began = Instant::now();
        let report = plane.fsck(FsckOptions::default()).await?;
        let seconds = began.elapsed().as_secs_f64();
        ensure!(report.is_clean(), "{:?}", report.findings.first());
        println!("{} {seconds} {}", report.uuids_checked, status_mb("VmHWM:")?);
        plane.close().await?;
        Ok(())
    })
}
