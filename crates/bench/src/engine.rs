//! All operations on one engine, the plane's and the floor's in turns, so that both see the same
//! load of the machine.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cellzero::{Accepted, InstanceUuid, ListQuery};
use cellzero_test_support::{Engine, TestDatabase};
use tokio::runtime::Runtime;

use crate::floor::{Boot, ListReader, Names, Pair, ShowReader};
use crate::measure::{Counts, Measured};
use crate::plane::{self, PROJECT, Plane};

/// Boot: accept, the hosts, the placement, cell0, the decision.
const BOOT_DEPTH: u32 = 5;
/// Show: the mapping, then the cell.
const SHOW_DEPTH: u32 = 2;
/// Delete: the decision, cell0, the intent that is forgotten.
const DELETE_DEPTH: u32 = 3;
/// List: the mappings, the cells of the page at once.
const LIST_DEPTH: u32 = 2;

/// The operations that the targets are about, by name.
pub(crate) const BOOT: &str = "boot to cell0";
pub(crate) const SHOW: &str = "show";
/// How many instances a batch has.
pub(crate) const BATCH: u32 = 200;
/// How many instances are listed.
const LISTED: u32 = 1_000;

/// How often each operation is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runs {
    boots: usize,
    batches: usize,
    shows: usize,
    lists: usize,
    warm_up: usize,
}

impl Runs {
    /// For figures.
    pub(crate) const FULL: Runs =
        Runs { boots: 200, batches: 7, shows: 500, lists: 30, warm_up: 10 };
    /// To see whether it works.
    pub(crate) const QUICK: Runs = Runs { boots: 10, batches: 2, shows: 20, lists: 3, warm_up: 3 };
}

/// The name of a batch of boots.
pub(crate) fn batch_name() -> String {
    format!("batch of {BATCH} to cell0")
}

/// Runs everything.
pub(crate) fn run(engine: Engine, runs: Runs) -> anyhow::Result<Vec<Measured>> {
    let mut bench = Bench::open(engine, runs)?;
    let mut all = Vec::new();
    let (booted, buried) = bench.boots(&mut all)?;
    bench.plane.analyze()?;
    bench.twin.analyze()?;
    bench.shows(&booted, &mut all)?;
    bench.batches(&mut all)?;
    bench.deletes(&booted, &buried, &mut all)?;
    bench.close()?;
    for cells in [1, 4, 16] {
        all.push(lists(engine, cells, runs)?);
    }
    Ok(all)
}

/// Two runtimes: the plane's, and one for the floor that only this thread polls.
struct Runtimes {
    ours: Runtime,
    floor: Runtime,
}

impl Runtimes {
    fn new() -> anyhow::Result<Runtimes> {
        let ours = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let floor = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Runtimes { ours, floor })
    }
}

struct Bench {
    engine: Engine,
    runs: Runs,
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
    fn open(engine: Engine, runs: Runs) -> anyhow::Result<Bench> {
        let runtimes = Runtimes::new()?;
        let plane = runtimes.ours.block_on(Plane::open(engine, &[4]))?;
        let twin = runtimes.ours.block_on(Plane::open(engine, &[]))?;
        let (api, cell0) = (plane.api.url(), plane.cell0.url());
        let mut beside = runtimes.floor.block_on(Pair::open(engine, api, cell0))?;
        let (api, cell0) = (twin.api.url(), twin.cell0.url());
        let mut floor = runtimes.floor.block_on(Pair::open(engine, api, cell0))?;
        let boot = capture(&runtimes, &plane, &mut beside, engine)?;
        runtimes.floor.block_on(floor.run(&boot.prepare()))?;
        Ok(Bench { engine, runs, runtimes, plane, twin, floor, beside, boot })
    }

    fn boots(
        &mut self,
        all: &mut Vec<Measured>,
    ) -> anyhow::Result<(Vec<InstanceUuid>, Vec<Names>)> {
        let mut measured = Measured::new(BOOT, BOOT_DEPTH);
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
        let (ctx, request) = (plane::user(), plane::hopeless(count)?);
        let before = plane.counters();
        let (took, accepted) = timed(&self.runtimes.ours, async {
            let accepted = plane.boot(&ctx, request).await?;
            let settled = plane.settle_accepted(&accepted).await?;
            if settled.in_cell0 != count as usize {
                bail!("{} of {count} were buried", settled.in_cell0);
            }
            Ok(accepted)
        })?;
        measured.add_ours(took, Counts::between(&before, &plane.counters()));
        Ok(accepted)
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

/// Boots once and reads back what was written.
fn capture(
    runtimes: &Runtimes,
    plane: &Plane,
    beside: &mut Pair,
    engine: Engine,
) -> anyhow::Result<Boot> {
    let ctx = plane::user();
    let accepted = runtimes.ours.block_on(plane.plane.boot(&ctx, plane::hopeless(1)?))?;
    let instance = accepted[0].to_string();
    let rows = runtimes.floor.block_on(Boot::capture_accepted(beside, engine, &instance))?;
    runtimes.ours.block_on(plane.plane.settle_accepted(&accepted))?;
    let names = Names {
        instance,
        group: accepted.group.to_string(),
        device: String::new(),
        request: ctx.request_id,
    };
    runtimes.floor.block_on(Boot::capture(beside, engine, names, rows))
}

/// The list of a thousand instances over so many cells.
fn lists(engine: Engine, cells: usize, runs: Runs) -> anyhow::Result<Measured> {
    let runtimes = Runtimes::new()?;
    let share =
        |cell: usize| (LISTED as usize * (cell + 1) / cells) - LISTED as usize * cell / cells;
    let rooms: Vec<i32> = (0..cells).map(share).map(i32::try_from).collect::<Result<_, _>>()?;
    let plane = runtimes.ours.block_on(Plane::open(engine, &rooms))?;
    runtimes.ours.block_on(plane.fill(LISTED)).context("the instances to be listed")?;
    plane.analyze()?;
    let mut urls: Vec<&str> = plane.cells.iter().map(TestDatabase::url).collect();
    urls.push(plane.cell0.url());
    let reader = ListReader::open(engine, plane.api.url(), &urls);
    let mut reader = runtimes.floor.block_on(reader)?;
    let cells = if cells == 1 { "1 cell".to_owned() } else { format!("{cells} cells") };
    let mut measured = Measured::new(format!("list {LISTED} over {cells}"), LIST_DEPTH);
    for round in 0..runs.warm_up.min(3) + runs.lists {
        let mut unused = Measured::new("", 0);
        let counted = if round < runs.warm_up.min(3) { &mut unused } else { &mut measured };
        let (ctx, query) = (plane::user(), ListQuery::default().limit(LISTED));
        let before = plane.plane.counters();
        let (took, page) =
            timed(&runtimes.ours, async { Ok(plane.plane.list(&ctx, &query).await?) })?;
        counted.add_ours(took, Counts::between(&before, &plane.plane.counters()));
        let before = reader.sent();
        let (took, listed) = timed(&runtimes.floor, reader.list(PROJECT, LISTED as usize))?;
        counted.add_floor(took, before, reader.sent());
        if (page.instances.len(), listed) != (LISTED as usize, LISTED as usize) {
            bail!("{} listed, {listed} by the floor", page.instances.len());
        }
    }
    runtimes.ours.block_on(plane.plane.close())?;
    Ok(measured)
}

/// Runs a future and says how long it took.
fn timed<T>(
    runtime: &Runtime,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(Duration, T)> {
    runtime.block_on(async {
        let start = Instant::now();
        let done = work.await?;
        Ok((start.elapsed(), done))
    })
}
