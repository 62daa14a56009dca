//! What archive and purge of 100,000 deleted instances cost, in time and in the memory of a process
//! that does nothing else: killed on the way and run again, while the live ones are listed.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cellzero::*;
use cellzero_test_support::Engine;

use crate::grow::{Copied, Crowd, Seeds};
use crate::plane::{self, Plane};
use crate::process::status_mb;

const CELLS: usize = 4;
/// How many deleted instances each cell has.
const DEAD: u32 = 25_000;
/// With `--quick`.
const DEAD_QUICK: u32 = 1_000;
/// How many live instances there are.
const LIVE: u32 = 2_000;
/// What the process may hold at its highest.
const MEMORY_MAX_MB: f64 = 64.0;
/// How far the first run gets before it is killed, in percent.
const KILLED_AT: u64 = 30;
/// The variable that makes this program the process that archives the plane of this API database.
pub(crate) const API_DATABASE: &str = "CELLZERO_BENCH_ARCHIVE";
/// Its variable that has it purge instead.
const PURGE: &str = "CELLZERO_BENCH_PURGE";

const DELETED: Copied = Copied {
    api: &[
        ("boot_states", "instance_uuid"),
        ("instance_mappings", "instance_uuid"),
        ("request_specs", "instance_uuid"),
    ],
    cell: &[
        ("instance_fences", "instance_uuid"),
        ("instances", "uuid"),
        ("instance_extra", "instance_uuid"),
        ("instance_info_caches", "instance_uuid"),
        ("instance_metadata", "instance_uuid"),
        ("block_device_mapping", "instance_uuid"),
        ("security_group_instance_association", "instance_uuid"),
        ("instance_actions", "instance_uuid"),
    ],
};

/// What a child said at its end.
#[derive(Debug, Clone, Copy)]
struct Figures {
    instances: u64,
    rows: u64,
    seconds: f64,
    memory_mb: f64,
}

/// Fills a plane, archives and purges; fails where a bound is missed or anything else is not right.
pub(crate) fn run(engine: Engine, quick: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let per_cell = if quick { DEAD_QUICK } else { DEAD };
    let dead = u64::from(per_cell) * CELLS as u64 + CELLS as u64;
    let plane = runtime.block_on(fill(engine, per_cell))?;
    let stop = Arc::new(AtomicBool::new(false));
    let listing = runtime.spawn(list(plane.plane.clone(), Arc::clone(&stop)));

    let killed_at = child_run(plane.api.url(), false, Some(KILLED_AT))?.err();
    let killed_at = killed_at.context("the first run was to be killed")?;
    let Ok(archived) = child_run(plane.api.url(), false, None)? else { bail!("it was killed") };
    ensure!(archived.instances >= dead - killed_at - 2_000, "{archived:?} after {killed_at}");
    let left = "SELECT COUNT(*) FROM instance_mappings WHERE queued_for_delete";
    let numbers = |text: &str| -> anyhow::Result<u64> {
        let value = plane.api.query(text)?.into_iter().flatten().flatten().next();
        Ok(value.context("a count")?.parse()?)
    };
    ensure!(numbers(left)? == 0, "deleted instances are left");
    ensure!(numbers("SELECT COUNT(*) FROM shadow_instance_mappings")? == dead, "each once");
    let mut rows = 0;
    for cell in &plane.cells {
        let count = cell.query("SELECT COUNT(*) FROM shadow_instances")?;
        rows += count.into_iter().flatten().flatten().next().context("a count")?.parse::<u64>()?;
    }
    ensure!(rows == dead, "{rows} rows of {dead} instances in the shadow tables");
    let checked = runtime.block_on(plane.plane.fsck(Repair::No))?;
    ensure!(checked.is_clean(), "{:?}", checked.findings.first());

    let Ok(purged) = child_run(plane.api.url(), true, None)? else { bail!("it was killed") };
    ensure!(numbers("SELECT COUNT(*) FROM shadow_instance_mappings")? == 0, "all is purged");
    stop.store(true, Ordering::Relaxed);
    let (lists, slowest) = runtime.block_on(listing)??;
    println!(
        "{}: archive of {dead} instances in {CELLS} cells, killed after {killed_at}: the other {} in \
         {:.1} s ({:.0} a second, {} rows), {:.1} MB; purge: {:.1} s ({:.0} a second), {:.1} MB; {LIVE} \
         live ones listed {lists} times meanwhile, at most {:.2} s",
        engine.name(),
        archived.instances,
        archived.seconds,
        archived.instances as f64 / archived.seconds,
        archived.rows,
        archived.memory_mb,
        purged.seconds,
        dead as f64 / purged.seconds,
        purged.memory_mb,
        slowest.as_secs_f64(),
    );
    for figures in [archived, purged] {
        let memory = figures.memory_mb;
        ensure!(memory < MEMORY_MAX_MB, "{memory} MB is more than {MEMORY_MAX_MB} MB");
    }
    runtime.block_on(plane.plane.close())?;
    Ok(())
}

/// A plane with live instances and with many that are deleted, whole but for what no boot writes.
async fn fill(engine: Engine, per_cell: u32) -> anyhow::Result<Plane> {
    let began = Instant::now();
    let room = i32::try_from(LIVE)? / CELLS as i32 + 1;
    let plane = Plane::open(engine, &[room; CELLS]).await?;
    let seeds = Seeds::boot(&plane).await?;
    for seed in seeds.uuids() {
        plane.plane.delete(&plane::user(), seed).await?;
    }
    plane.plane.settle().await?;
    plane.fill(LIVE).await?;
    let crowd = Crowd { cells: CELLS, per_cell };
    seeds.grow(&plane, crowd, 0, DELETED).await?;
    // Events belong to actions, and these have new ids.
    for (seed, cell) in seeds.uuids().zip(&plane.cells) {
        let columns =
            "created_at, updated_at, event, start_time, finish_time, result, deleted, host";
        let of_seed: Vec<String> = columns.split(", ").map(|name| format!("e.{name}")).collect();
        cell.execute(&format!(
            "INSERT INTO instance_actions_events ({columns}, action_id) \
             SELECT {}, a.id FROM instance_actions s \
             JOIN instance_actions_events e ON e.action_id = s.id \
             JOIN instance_actions a ON a.action = s.action AND a.project_id = '{}' \
             WHERE s.instance_uuid = '{seed}'",
            of_seed.join(", "),
            crowd.project(),
        ))?;
    }
    plane.analyze()?;
    eprintln!("filled after {:.0} s", began.elapsed().as_secs_f64());
    Ok(plane)
}

/// Lists the live instances in pages until it is told to stop; each time there must be all of them.
/// Gives how often, and the longest time.
async fn list(plane: ControlPlane, stop: Arc<AtomicBool>) -> anyhow::Result<(u32, Duration)> {
    let (mut lists, mut slowest) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let (mut seen, mut query) = (0, ListQuery::default().limit(500));
        loop {
            let page = plane.list(&plane::user(), &query).await?;
            ensure!(page.is_complete(), "a page is not complete");
            seen += page.instances.len();
            let Some(next) = page.next else { break };
            query = query.after(next);
        }
        ensure!(seen == LIVE as usize, "{seen} of {LIVE} live instances are listed");
        slowest = slowest.max(began.elapsed());
        lists += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok((lists, slowest))
}

/// Runs the process that archives or purges; kills it after so many percent, and then gives how far
/// it came.
fn child_run(api: &str, purge: bool, kill: Option<u64>) -> anyhow::Result<Result<Figures, u64>> {
    let program = std::env::current_exe().context("the path of this program")?;
    let mut command = Command::new(program);
    command.env(API_DATABASE, api).stdout(Stdio::piped());
    if purge {
        command.env(PURGE, "1");
    }
    let mut child = command.spawn().context("cannot run the process that is measured")?;
    let output = child.stdout.take().context("it has no standard output")?;
    let mut shown = 0;
    for line in BufReader::new(output).lines() {
        let line = line.context("cannot read from it")?;
        let words: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        match words[..] {
            [done, of] => {
                let percent = (done * 100.0 / of.max(1.0)) as u64;
                if percent >= shown + 10 {
                    shown = percent;
                    eprintln!("{percent} % of {of}");
                }
                if kill.is_some_and(|kill| percent >= kill) {
                    child.kill().context("cannot kill it")?;
                    child.wait()?;
                    return Ok(Err(done as u64));
                }
            }
            [instances, rows, seconds, memory_mb] => {
                let (instances, rows) = (instances as u64, rows as u64);
                ensure!(child.wait()?.success(), "the process that is measured failed");
                return Ok(Ok(Figures { instances, rows, seconds, memory_mb }));
            }
            _ => bail!("it said {line:?}"),
        }
    }
    bail!("the process that is measured failed")
}

/// The process that archives, or purges: prints how far it is, and at its end instances, rows,
/// seconds and megabytes.
pub(crate) fn child(api: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let plane = ControlPlane::open(Config::new(api).without_worker()).await?;
        let began = Instant::now();
        let progress = |step: Progress| println!("{} {}", step.done, step.of);
        let (instances, rows) = if std::env::var_os(PURGE).is_some() {
            let report = plane.purge(&PurgeOptions::all(), progress).await?;
            ensure!(report.unreachable.is_empty(), "{:?}", report.unreachable);
            (report.api.get("instance_mappings").copied().unwrap_or(0), report.rows())
        } else {
            let options = ArchiveOptions { age_min: Duration::ZERO, ..ArchiveOptions::default() };
            let report = plane.archive(&options, progress).await?;
            ensure!(report.complete && report.unsettled == 0, "{report:?}");
            ensure!(report.unreachable.is_empty(), "{:?}", report.unreachable);
            (report.instances, report.rows())
        };
        let seconds = began.elapsed().as_secs_f64();
        println!("{instances} {rows} {seconds} {}", status_mb("VmHWM:")?);
        plane.close().await?;
        Ok(())
    })
}
