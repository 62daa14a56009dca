//! What a check of a large plane costs, in time and in the memory of a process that does nothing
//! else.

use std::time::{Duration, Instant};

use anyhow::ensure;
use cellzero::{Config, ControlPlane, FsckOptions};
use cellzero_test_support::Engine;

use crate::plane::Plane;
use crate::process::{self, status_mb};

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
    let [checked, seconds, memory_mb] = process::figures(&[(API_DATABASE, plane.api.url())])?;
    println!(
        "{}: fsck of {checked} instances in {CELLS} cells: {seconds:.2} s, {memory_mb:.1} MB",
        engine.name()
    );
    ensure!(seconds < TIME_MAX.as_secs_f64(), "it took longer than {TIME_MAX:?}");
    ensure!(memory_mb < MEMORY_MAX_MB, "it held more than {MEMORY_MAX_MB} MB");
    Ok(())
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
