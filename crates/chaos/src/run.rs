//! The driver: makes the plane, starts its processes, lets clients and faults at it, and checks it
//! when everything is at rest.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cellzero::{FsckReport, RequestContext, Settled};
use cellzero_test_support::{Engine, PrivateServer};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::beside::Beside;
use crate::client::{Client, Scene};
use crate::faults::{Hits, Injector};
use crate::history::{History, Wrong};
use crate::orchestrator::Decided;
use crate::plane::{self, Databases, Opening};
use crate::population::Population;
use crate::process::{Recipe, Slot};
use crate::receiver::Receiver;
use crate::report::Report;
use crate::rest::Found;
use crate::schedule::{Fault, Shape, schedule};
use crate::{log, rest};

/// The lease of a run with faults.
const LEASE: Duration = Duration::from_secs(2);
/// The lease of a calm run: so short that processes take each other's work all the time.
const CALM_LEASE: Duration = Duration::from_millis(40);
const ORCHESTRATORS: usize = 3;
const CALM_ORCHESTRATORS: usize = 2;
/// How long processes may take to open the plane.
const OPEN_LIMIT: Duration = Duration::from_secs(60);
/// How long a run may go on without an accepted boot.
const STALL_LIMIT: Duration = Duration::from_secs(180);
const TICK: Duration = Duration::from_millis(10);
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// How soon each cell must answer again when the faults are over.
const ANSWERS_IN: Duration = Duration::from_secs(60);
/// The most passes of `recover` until nothing is left to do.
const PASSES_MAX: usize = 50;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Decides every fault of the run; a new one each time where none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// How many instances are booted.
    #[arg(long, default_value_t = 30_000)]
    boots: u64,
    /// The engines, one after another.
    #[arg(long, value_delimiter = ',', value_parser = parse_engine, default_value = "sqlite,postgres,mariadb")]
    backends: Vec<Engine>,
    /// No faults: two processes that settle and recover without a pause, for some seconds.
    #[arg(long)]
    calm: bool,
    /// How long a calm run goes on.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Where the effects and the warnings of the processes are kept.
    #[arg(long, default_value = "target/chaos")]
    output: PathBuf,
    /// Print the schedule of faults and run nothing.
    #[arg(long)]
    schedule_only: bool,
}

fn parse_engine(name: &str) -> Result<Engine, String> {
    let known = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    known.ok_or_else(|| "one of sqlite, postgres, mariadb".to_owned())
}

/// What differs between a run with faults and a calm one.
#[derive(Debug, Clone)]
struct Plan {
    seed: u64,
    population: Population,
    lease: Duration,
    orchestrators: usize,
    boots: u64,
    /// None where the run ends by its boots.
    time: Option<Duration>,
    faults: bool,
}

/// Runs on each engine; fails where a promise was broken on one.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("seed {seed}");
    let plan = plan(arguments, seed);
    if arguments.schedule_only {
        for engine in &arguments.backends {
            println!("{}:", engine.name());
            faults(&plan, if *engine == Engine::Sqlite { 0 } else { 2 })
                .iter()
                .for_each(|fault| println!("  {fault}"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    std::fs::create_dir_all(&arguments.output).context("cannot make the output folder")?;
    log::to_file(&arguments.output.join(format!("driver-{seed}.log")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut holds = true;
    for engine in &arguments.backends {
        let folder = arguments.output.join(format!("{}-{seed}", engine.name()));
        let report = run_engine(&runtime, *engine, &plan, &folder)
            .with_context(|| format!("{}, seed {seed}", engine.name()))?;
        holds &= report.holds();
        println!("{report}");
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan(arguments: &Arguments, seed: u64) -> Plan {
    if arguments.calm {
        return Plan {
            seed,
            population: Population::CALM,
            lease: CALM_LEASE,
            orchestrators: CALM_ORCHESTRATORS,
            boots: u64::MAX,
            time: Some(Duration::from_secs(arguments.seconds)),
            faults: false,
        };
    }
    Plan {
        seed,
        population: Population::CHAOS,
        lease: LEASE,
        orchestrators: ORCHESTRATORS,
        boots: arguments.boots,
        time: None,
        faults: true,
    }
}

fn faults(plan: &Plan, servers: usize) -> Vec<Fault> {
    let shape = Shape { servers, orchestrators: plan.orchestrators };
    if plan.faults { schedule(plan.seed, plan.boots, shape) } else { Vec::new() }
}

fn run_engine(
    runtime: &Runtime,
    engine: Engine,
    plan: &Plan,
    folder: &Path,
) -> anyhow::Result<Report> {
    let began = Instant::now();
    // What an earlier run with this seed left.
    if folder.exists() {
        std::fs::remove_dir_all(folder).context("cannot clear the folder of the run")?;
    }
    std::fs::create_dir_all(folder).context("cannot make the folder of the run")?;
    let effects = folder.join("effects.log");
    let servers = plane::start_servers(engine)?;
    let made = (&plan.population, plan.lease, effects.as_path());
    let (plane, databases, opening) = runtime.block_on(plane::make(engine, &servers, made))?;
    let databases = Arc::new(databases);
    let slots = start_processes(plan, &opening, folder, &effects)?;
    let faults = faults(plan, servers.len());
    let scene = Arc::new(Scene {
        history: History::default(),
        plane: Arc::clone(&plane),
        slots,
        population: plan.population,
        boots: plan.boots,
        faults_pending: Arc::default(),
        over: AtomicBool::new(false),
    });
    let beside = Beside::start(runtime, &scene, &databases);
    let (servers, hits) = disturb(runtime, plan, &scene, servers, faults)?;
    let over_limit_seen = beside.end(runtime)?;
    eprintln!("{}: clients have ended; waiting for rest", engine.name());
    let (to_rest, decided) = come_to_rest(runtime, plan, &scene, &databases)?;
    let (found, effects, fsck) = runtime.block_on(check(&scene, &databases, &effects))?;
    let decided = match plan.faults {
        true => None,
        false => Some((decided, rest::to_decide(&databases)?)),
    };
    runtime.block_on(plane.close())?;
    let (counts, violations) = {
        let inner = scene.history.lock();
        (inner.counts, inner.violations.clone())
    };
    let report = Report {
        engine,
        seed: plan.seed,
        took: began.elapsed(),
        to_rest,
        counts,
        found,
        hits,
        effects,
        fsck,
        decided,
        over_limit_seen,
        violations,
    };
    drop(databases);
    drop(servers);
    Ok(report)
}

fn start_processes(
    plan: &Plan,
    opening: &Opening,
    folder: &Path,
    effects: &Path,
) -> anyhow::Result<Vec<Arc<Slot>>> {
    let recipe = Recipe {
        opening: opening.clone(),
        effects: effects.to_owned(),
        folder: folder.to_owned(),
        restless: !plan.faults,
    };
    let slots: Vec<Arc<Slot>> =
        (0..plan.orchestrators).map(|n| Arc::new(Slot::new(n + 1, recipe.clone()))).collect();
    for slot in &slots {
        slot.start()?;
    }
    let deadline = Instant::now() + OPEN_LIMIT;
    while !slots.iter().all(|slot| slot.is_open()) {
        if Instant::now() > deadline {
            bail!("the processes did not open the plane within {OPEN_LIMIT:?}");
        }
        std::thread::sleep(TICK);
    }
    Ok(slots)
}

/// Lets clients and faults at the plane until its boots are done, or its time is up.
fn disturb(
    runtime: &Runtime,
    plan: &Plan,
    scene: &Arc<Scene>,
    servers: Vec<PrivateServer>,
    faults: Vec<Fault>,
) -> anyhow::Result<(Vec<PrivateServer>, Hits)> {
    let injector = Injector::new(servers, &scene.slots, Arc::clone(&scene.faults_pending));
    let clients: Vec<JoinHandle<()>> = (0..plan.population.clients as u64)
        .map(|number| runtime.spawn(Client::new(Arc::clone(scene), plan.seed, number).run()))
        .collect();
    let driven = drive(plan, scene, &injector, faults);
    scene.end();
    let hits_so_far = injector.hits();
    // The servers run again before clients end, so that what they wait for is answered.
    let servers = match driven {
        Ok(()) => injector.end()?,
        Err(error) => return Err(error.context(format!("after {hits_so_far:?}"))),
    };
    for client in clients {
        runtime.block_on(client).context("a client failed")?;
    }
    Ok((servers, hits_so_far))
}

fn drive(
    plan: &Plan,
    scene: &Scene,
    injector: &Injector,
    faults: Vec<Fault>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut faults = faults.into_iter().peekable();
    let (mut last, mut moved, mut told) = (0, began, began);
    loop {
        let accepted = scene.history.accepted_count();
        while let Some(fault) = faults.next_if(|fault| fault.after <= accepted) {
            injector.hit(fault)?;
        }
        let pending = scene.faults_pending.load(Ordering::Relaxed);
        let done = match plan.time {
            Some(time) => began.elapsed() >= time,
            None => accepted >= plan.boots && faults.peek().is_none() && pending == 0,
        };
        if done {
            return Ok(());
        }
        if accepted != last {
            (last, moved) = (accepted, Instant::now());
        }
        if moved.elapsed() > STALL_LIMIT {
            bail!("nothing was accepted for {STALL_LIMIT:?}, {accepted} before");
        }
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            progress(scene, injector, (accepted, pending), began.elapsed());
        }
        std::thread::sleep(TICK);
    }
}

fn progress(
    scene: &Scene,
    injector: &Injector,
    (accepted, pending): (u64, usize),
    elapsed: Duration,
) {
    let counts = scene.history.lock().counts;
    let hits: u64 = injector.hits().values().sum();
    eprintln!(
        "{:5.0} s: {accepted} accepted, {} alive, {} deleted, {} retried, {hits} faults over and \
         {pending} pending, {} unknown, {} wrong",
        elapsed.as_secs_f64(),
        scene.history.alive_count(),
        counts.deleted,
        counts.retried,
        counts.unknown,
        counts.lost + counts.doubled + counts.resurrected,
    );
}

/// Waits until nothing is left to do, and ends the processes; what they decided, where they count.
///
/// Those of a calm run end first, and the driver brings home what they leave: on a busy machine a
/// step takes longer than their lease, and then they take the rest from one another for minutes.
fn come_to_rest(
    runtime: &Runtime,
    plan: &Plan,
    scene: &Scene,
    databases: &Databases,
) -> anyhow::Result<(Duration, Decided)> {
    if plan.faults {
        let to_rest = rest::wait(databases)?;
        return Ok((to_rest, end_processes(scene)?));
    }
    let mut decided = end_processes(scene)?;
    let to_rest = runtime.block_on(rest::bring(&scene.plane, databases, &mut decided))?;
    Ok((to_rest, decided))
}

/// Ends every process; what they decided, where they count.
fn end_processes(scene: &Scene) -> anyhow::Result<Decided> {
    let mut all = Decided::default();
    for slot in &scene.slots {
        let decided = slot.end()?;
        all.in_cells += decided.in_cells;
        all.in_cell0 += decided.in_cell0;
    }
    Ok(all)
}

/// Waits until no breaker is open any more: what a silent cell holds is not recovered.
async fn every_cell_answers(scene: &Scene) -> anyhow::Result<()> {
    let began = Instant::now();
    while !scene.plane.count(&RequestContext::admin()).await?.down_cells.is_empty() {
        anyhow::ensure!(began.elapsed() < ANSWERS_IN, "a cell does not answer after the faults");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Recovers until nothing is left to do, and reads everything.
async fn check(
    scene: &Scene,
    databases: &Databases,
    effects: &Path,
) -> anyhow::Result<(Found, Receiver, FsckReport)> {
    every_cell_answers(scene).await?;
    let mut passes = 0;
    while scene.plane.recover().await? != Settled::default() {
        passes += 1;
        if passes == PASSES_MAX {
            let what = format!("there is something to recover after {PASSES_MAX} passes");
            scene.history.wrong(Wrong::Other, what);
            break;
        }
    }
    let fsck = rest::fsck(&scene.plane).await?;
    let log = std::fs::read_to_string(effects)
        .with_context(|| format!("cannot read {}", effects.display()))?;
    let effects = Receiver::replay(&log, scene.population.room)?;
    let found = rest::examine(&scene.plane, databases, &scene.history, &effects).await?;
    Ok((found, effects, fsck))
}
