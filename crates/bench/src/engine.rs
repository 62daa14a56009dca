//! All operations on one engine, the plane's and the floor's in turns, so that both see the same
//! load of the machine.

use std::future::Future;

use anyhow::ensure;
use cellzero::{
    Accepted, BootRequest, CellUuid, ControlPlane, Counters, InstanceUuid, PlaneCounters,
};
use cellzero_test_support::Engine;
use tokio::runtime::Runtime;

use crate::burst::Burst;
use crate::floor::{Boot, Names, Pair, Sent, ShowReader};
use crate::measure::{Clock, Counts, Measured, Run};
use crate::plane::{self, Plane};
use crate::process::status_mb;

/// Boot: accept, the hosts, the placement, cell0, the decision.
const BOOT_DEPTH: u32 = 5;
/// Show: the mapping, then the cell.
const SHOW_DEPTH: u32 = 2;
/// Delete: the decision, cell0, the intent that is forgotten.
const DELETE_DEPTH: u32 = 3;
/// Boot to a cell: the same, and the build that is sent and forgotten.
const BOOT_TO_CELL_DEPTH: u32 = 7;
/// Open: the API database, cell0.
const OPEN_DEPTH: u32 = 2;

/// The operations that the targets are about, by name.
pub(crate) const BOOT: &str = "boot to cell0";
pub(crate) const SHOW: &str = "show";
/// How many instances a batch has.
pub(crate) const BATCH: u32 = 200;
/// How many callers boot at once, and how often each.
pub(crate) const CALLERS: usize = 8;
const BOOTS_EACH: usize = 5;

/// How often each operation is done, and on how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runs {
    boots: usize,
    batches: usize,
    bursts: usize,
    /// How many batches come at once.
    storm: usize,
    shows: usize,
    opens: usize,
    pub(crate) lists: usize,
    pub(crate) warm_up: usize,
    /// How many cells the widest list goes over.
    pub(crate) cells: usize,
    /// How many instances a cell has.
    pub(crate) per_cell: u32,
    /// How many it has at the end.
    pub(crate) per_cell_large: u32,
    /// How many cells hang.
    pub(crate) hung: [usize; 3],
}

impl Runs {
    /// For figures.
    pub(crate) const FULL: Runs = Runs {
        boots: 200,
        batches: 7,
        bursts: 15,
        storm: 50,
        shows: 500,
        opens: 20,
        lists: 15,
        warm_up: 10,
        cells: 100,
        per_cell: 1_000,
        per_cell_large: 10_000,
        hung: [1, 10, 50],
    };
    /// To see whether it works.
    pub(crate) const QUICK: Runs = Runs {
        boots: 10,
        batches: 2,
        bursts: 2,
        storm: 2,
        shows: 20,
        opens: 2,
        lists: 3,
        warm_up: 3,
        cells: 16,
        per_cell: 1_000,
        per_cell_large: 2_000,
        hung: [1, 4, 8],
    };

    /// Over how many cells lists go.
    pub(crate) fn widths(self) -> impl Iterator<Item = usize> {
        [1, 4, 16, 64, 100].into_iter().filter(move |cells| *cells <= self.cells)
    }
}

/// The name of a batch of boots.
pub(crate) fn batch_name() -> String {
    format!("batch of {BATCH} to cell0")
}

/// The name of the burst of requests that fit nowhere.
pub(crate) fn storm_name(runs: Runs) -> String {
    format!("burst of {} to cell0", runs.storm * BATCH as usize)
}

/// Runs everything.
pub(crate) fn run(engine: Engine, runs: Runs) -> anyhow::Result<Vec<Measured>> {
    let mut all = Vec::new();
    let mut bench = Bench::open(engine, runs, Destination::Cell0)?;
    let (booted, buried) = bench.boots(BOOT, BOOT_DEPTH, &mut all)?;
    bench.plane.analyze()?;
    bench.twin.analyze()?;
    bench.shows(&booted, &mut all)?;
    bench.batches(&mut all)?;
    bench.bursts(&mut all)?;
    bench.storm(&mut all)?;
    bench.deletes(&booted, &buried, &mut all)?;
    bench.opens(&mut all)?;
    bench.close()?;
    let mut bench = Bench::open(engine, runs, Destination::Cell)?;
    bench.boots("boot to a cell", BOOT_TO_CELL_DEPTH, &mut all)?;
    bench.close()?;
    all.extend(crate::lists::run(engine, runs)?);
    Ok(all)
}

/// Where boots end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Destination {
    Cell0,
    Cell,
}

impl Destination {
    fn request(self, count: u32) -> anyhow::Result<BootRequest> {
        match self {
            Destination::Cell0 => plane::hopeless(count),
            Destination::Cell => plane::fitting(count),
        }
    }

    /// The uuid and the URL of its database.
    fn of(self, plane: &Plane) -> (CellUuid, &str) {
        match self {
            Destination::Cell0 => (CellUuid::CELL0, plane.cell0.url()),
            Destination::Cell => (plane.cell_uuids()[0], plane.cells[0].url()),
        }
    }
}

/// Two runtimes: the plane's, and one for the floor that only this thread polls.
pub(crate) struct Runtimes {
    pub(crate) ours: Runtime,
    pub(crate) floor: Runtime,
}

impl Runtimes {
    pub(crate) fn new() -> anyhow::Result<Runtimes> {
        let ours = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let floor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Runtimes { ours, floor })
    }
}

struct Bench {
    engine: Engine,
    runs: Runs,
    destination: Destination,
    runtimes: Runtimes,
    plane: Plane,
    /// The floor's own databases, with the same schema.
    twin: Plane,
    floor: Pair,
    /// The plane's databases, past the plane.
    beside: Pair,
    boot: Boot,
}

impl Bench {
    fn open(engine: Engine, runs: Runs, destination: Destination) -> anyhow::Result<Bench> {
        let runtimes = Runtimes::new()?;
        let plane = runtimes.ours.block_on(Plane::open(engine, &[4_000]))?;
        let twin = runtimes.ours.block_on(Plane::open(engine, &[4_000]))?;
        let pair = |plane: &Plane| {
            let (_, cell) = destination.of(plane);
            runtimes.floor.block_on(Pair::open(engine, plane.api.url(), cell))
        };
        let (mut beside, mut floor) = (pair(&plane)?, pair(&twin)?);
        let boot = capture(&runtimes, &plane, &mut beside, destination)?;
        runtimes.floor.block_on(floor.run(&boot.prepare()))?;
        Ok(Bench { engine, runs, destination, runtimes, plane, twin, floor, beside, boot })
    }

    fn boots(
        &mut self,
        name: &str,
        depth: u32,
        all: &mut Vec<Measured>,
    ) -> anyhow::Result<(Vec<InstanceUuid>, Vec<Names>)> {
        let mut measured = Measured::new(name, depth);
        let (mut booted, mut buried) = (Vec::new(), Vec::new());
        for round in 0..self.runs.warm_up + self.runs.boots {
            let mut unused = Measured::new("", 0);
            let counted = if round < self.runs.warm_up { &mut unused } else { &mut measured };
            booted.extend(self.boot_ours(1, counted)?.instances);
            buried.extend(self.boot_floor(1, counted)?);
        }
        all.push(measured);
        Ok((booted, buried))
    }

    fn batches(&mut self, all: &mut Vec<Measured>) -> anyhow::Result<()> {
        let mut measured = Measured::new(batch_name(), BOOT_DEPTH);
        self.boot_ours(BATCH, &mut Measured::new("", 0))?;
        self.boot_floor(BATCH, &mut Measured::new("", 0))?;
        for _ in 0..self.runs.batches {
            self.boot_ours(BATCH, &mut measured)?;
            self.boot_floor(BATCH, &mut measured)?;
        }
        all.push(measured);
        Ok(())
    }

    fn boot_ours(&self, count: u32, measured: &mut Measured) -> anyhow::Result<Accepted> {
        let plane = &self.plane.plane;
        let before = plane.counters();
        let (run, accepted) =
            timed(&self.runtimes.ours, boot_once(plane, self.destination, count))?;
        measured.add_ours(run, Counts::between(&before, &plane.counters()));
        Ok(accepted)
    }

    /// Boots of many callers at once, each one after another.
    fn bursts(&mut self, all: &mut Vec<Measured>) -> anyhow::Result<()> {
        let name = format!("{} boots to cell0 from {CALLERS} callers", CALLERS * BOOTS_EACH);
        let mut measured = Measured::new(name, BOOT_DEPTH);
        let (api, (_, cell)) = (self.twin.api.url(), self.destination.of(&self.twin));
        let mut burst = Burst::start(self.engine, (api, cell), &self.boot)?;
        for round in 0..self.runs.bursts + 1 {
            let mut unused = Measured::new("", 0);
            let counted = if round == 0 { &mut unused } else { &mut measured };
            let plane = &self.plane.plane;
            let before = plane.counters();
            let destination = self.destination;
            let (run, ()) = timed(&self.runtimes.ours, async {
                let callers = (0..CALLERS).map(|_| {
                    let plane = plane.clone();
                    tokio::spawn(async move {
                        for _ in 0..BOOTS_EACH {
                            boot_once(&plane, destination, 1).await?;
                        }
                        Ok::<_, anyhow::Error>(())
                    })
                });
                for caller in callers.collect::<Vec<_>>() {
                    caller.await??;
                }
                Ok(())
            })?;
            counted.add_ours(run, Counts::between(&before, &plane.counters()));
            let before = burst.sent();
            let run = burst.run(BOOTS_EACH)?;
            counted.add_floor(run, before, burst.sent());
        }
        all.push(measured);
        Ok(())
    }

    /// Thousands at once that fit nowhere for one cause. The memory is that of this process, after a
    /// tenth of them and after all.
    fn storm(&mut self, all: &mut Vec<Measured>) -> anyhow::Result<()> {
        let mut measured = Measured::new(storm_name(self.runs), BOOT_DEPTH);
        let plane = &self.plane.plane;
        let memory = || status_mb("VmRSS:");
        let (before, began, mut first) = (memory()?, plane.counters(), None);
        let clock = Clock::start();
        for batch in 0..self.runs.storm {
            self.runtimes.ours.block_on(boot_once(plane, self.destination, BATCH))?;
            if batch >= self.runs.storm / 10 {
                first.get_or_insert(memory()? - before);
            }
        }
        measured.add_ours(clock.stop(), Counts::between(&began, &plane.counters()));
        measured.memory = Some((first.unwrap_or_default(), memory()? - before));
        let stored = self.plane.cell0.query("SELECT COUNT(*) FROM verdicts")?;
        let stored = stored.into_iter().flatten().flatten().next();
        ensure!(stored.as_deref() == Some("1"), "one cause has {stored:?} verdicts");
        let before = self.floor.sent();
        let clock = Clock::start();
        for _ in 0..self.runs.storm {
            self.boot_floor(BATCH, &mut Measured::new("", 0))?;
        }
        measured.add_floor(clock.stop(), before, self.floor.sent());
        all.push(measured);
        Ok(())
    }

    /// A plane that is opened and closed; the floor connects to both databases, asks once, and goes.
    fn opens(&mut self, all: &mut Vec<Measured>) -> anyhow::Result<()> {
        let mut measured = Measured::new("open and close of a plane", OPEN_DEPTH);
        let (api, (_, cell)) = (self.plane.api.url(), self.destination.of(&self.plane));
        for _ in 0..self.runs.opens {
            let config = self.plane.config.clone();
            let (run, counters) = timed(&self.runtimes.ours, async {
                let plane = ControlPlane::open(config).await?;
                let counters = plane.counters();
                plane.close().await?;
                Ok(counters)
            })?;
            measured.add_ours(run, Counts::between(&unused_yet(), &counters));
            let engine = self.engine;
            let (run, sent) = timed(&self.runtimes.floor, async {
                let mut pair = Pair::open(engine, api, cell).await?;
                pair.api.query("SELECT 1", &[]).await?;
                pair.cell.query("SELECT 1", &[]).await?;
                Ok(pair.sent())
            })?;
            measured.add_floor(run, Sent::default(), sent);
        }
        all.push(measured);
        Ok(())
    }

    fn boot_floor(&mut self, count: u32, measured: &mut Measured) -> anyhow::Result<Vec<Names>> {
        let first = Names::fresh();
        let others = (1..count).map(|_| first.sibling());
        let names: Vec<Names> = std::iter::once(first.clone()).chain(others).collect();
        let work = self.boot.boot(&names);
        let before = self.floor.sent();
        let (took, ()) = timed(&self.runtimes.floor, self.floor.run(&work))?;
        measured.add_floor(took, before, self.floor.sent());
        Ok(names)
    }

    fn shows(&mut self, booted: &[InstanceUuid], all: &mut Vec<Measured>) -> anyhow::Result<()> {
        let mut measured = Measured::new(SHOW, SHOW_DEPTH);
        let reader = ShowReader::new(self.engine);
        let plane = &self.plane.plane;
        for round in 0..self.runs.warm_up + self.runs.shows {
            let mut unused = Measured::new("", 0);
            let counted = if round < self.runs.warm_up { &mut unused } else { &mut measured };
            let uuid = booted[round * 7 % booted.len()];
            let ctx = plane::user();
            let before = plane.counters();
            let (took, _instance) =
                timed(&self.runtimes.ours, async { Ok(plane.show(&ctx, uuid).await?) })?;
            counted.add_ours(took, Counts::between(&before, &plane.counters()));
            let (uuid, before) = (uuid.to_string(), self.beside.sent());
            let (took, _rows) = timed(&self.runtimes.floor, reader.show(&mut self.beside, &uuid))?;
            counted.add_floor(took, before, self.beside.sent());
        }
        all.push(measured);
        Ok(())
    }

    fn deletes(
        &mut self,
        booted: &[InstanceUuid],
        buried: &[Names],
        all: &mut Vec<Measured>,
    ) -> anyhow::Result<()> {
        let mut measured = Measured::new("delete", DELETE_DEPTH);
        let plane = &self.plane.plane;
        for (round, (uuid, names)) in booted.iter().zip(buried).enumerate() {
            let mut unused = Measured::new("", 0);
            let counted = if round < self.runs.warm_up { &mut unused } else { &mut measured };
            let ctx = plane::user();
            let before = plane.counters();
            let (took, ()) =
                timed(&self.runtimes.ours, async { Ok(plane.delete(&ctx, *uuid).await?) })?;
            counted.add_ours(took, Counts::between(&before, &plane.counters()));
            let work = self.boot.delete(names);
            let before = self.floor.sent();
            let (took, ()) = timed(&self.runtimes.floor, self.floor.run(&work))?;
            counted.add_floor(took, before, self.floor.sent());
        }
        all.push(measured);
        Ok(())
    }

    fn close(self) -> anyhow::Result<()> {
        Ok(self.runtimes.ours.block_on(self.plane.plane.close())?)
    }
}

/// The counters of a plane that is not open yet.
fn unused_yet() -> PlaneCounters {
    PlaneCounters { api: Counters::default(), cells: Vec::new(), claim_conflicts: 0 }
}

/// Boots, and waits until all have their home.
async fn boot_once(
    plane: &ControlPlane,
    destination: Destination,
    count: u32,
) -> anyhow::Result<Accepted> {
    let accepted = plane.boot(&plane::user(), destination.request(count)?).await?;
    let settled = plane.settle_accepted(&accepted).await?;
    let done = match destination {
        Destination::Cell0 => settled.in_cell0,
        Destination::Cell => settled.in_cells,
    };
    ensure!(done == count as usize, "{done} of {count} came to {destination:?}");
    Ok(accepted)
}

/// Boots once and reads back what was written.
fn capture(
    runtimes: &Runtimes,
    plane: &Plane,
    beside: &mut Pair,
    destination: Destination,
) -> anyhow::Result<Boot> {
    let ctx = plane::user();
    let engine = plane.api.engine();
    let request = destination.request(1)?;
    let accepted = runtimes.ours.block_on(plane.plane.boot(&ctx, request))?;
    let instance = accepted[0].to_string();
    let rows = runtimes.floor.block_on(Boot::capture_accepted(beside, engine, &instance))?;
    runtimes.ours.block_on(plane.plane.settle_accepted(&accepted))?;
    let names = Names {
        instance,
        group: accepted.group.to_string(),
        device: String::new(),
        request: ctx.request_id,
    };
    let (cell, _) = destination.of(plane);
    runtimes.floor.block_on(Boot::capture(beside, engine, (names, cell), rows))
}

/// Runs a future and says how long it took.
fn timed<T>(
    runtime: &Runtime,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(Run, T)> {
    runtime.block_on(async {
        let clock = Clock::start();
        let done = work.await?;
        Ok((clock.stop(), done))
    })
}
