//! Lists over many cells, ours and the floor's in turns.

use std::time::Duration;

use anyhow::{bail, ensure};
use cellzero::{Cursor, ListQuery, Page, RequestContext, SortDirection, SortKey, SortValue};
use cellzero_test_support::{Engine, silent_listener};
use chrono::NaiveDateTime;

use crate::engine::{Runs, Runtimes};
use crate::floor::{ListReader, Place};
use crate::grow::{Crowd, LISTED, Seeds};
use crate::measure::{Clock, Counts, Measured};
use crate::memory;
use crate::plane::Plane;

/// List: the mappings, the cells of the page at once.
const LIST_DEPTH: u32 = 2;
/// List by a column without an index: build requests, all cells, the mappings, the cells of the page.
const MERGED_DEPTH: u32 = 4;
/// How many instances are on a page.
pub(crate) const PAGE: u32 = 1_000;
/// How many pages are walked.
const PAGES: u32 = 10;
/// The number of cells that most targets are about.
pub(crate) const WIDE: usize = 64;
/// Where the first page in the order of a column stands.
const EVENLY: &str = "in all cells";
/// The deadline of a list while cells hang.
const DEADLINE: Duration = Duration::from_millis(200);

/// Which page, and of what.
#[derive(Clone)]
enum Which {
    /// The first pages in the default order, so many.
    Pages(u32),
    /// The page after this place.
    After(Place),
    /// The first page in the order of a column.
    By(SortKey),
}

struct Case {
    name: String,
    crowd: Crowd,
    which: Which,
    bare: bool,
}

impl Case {
    fn new(name: String, crowd: Crowd, which: Which) -> Case {
        Case { name, crowd, which, bare: false }
    }
}

/// A plane of many cells with the sessions of the floor.
struct Wide {
    engine: Engine,
    runs: Runs,
    runtimes: Runtimes,
    plane: Plane,
    seeds: Seeds,
    floor: ListReader,
}

/// All lists of one engine.
pub(crate) fn run(engine: Engine, runs: Runs) -> anyhow::Result<Vec<Measured>> {
    let mut wide = Wide::open(engine, runs)?;
    let mut all = Vec::new();
    let crowd = |cells| Crowd { cells, per_cell: runs.per_cell };
    for cells in runs.widths() {
        wide.grow(crowd(cells), 0)?;
    }
    for cells in runs.widths() {
        let case = Case::new(list_name(cells), crowd(cells), Which::Pages(1));
        all.push(wide.list(&case)?);
        let name = format!("{}, bare", case.name);
        all.push(wide.list(&Case { name, bare: true, ..case })?);
    }
    let of = crowd(WIDE.min(runs.cells));
    for (key, how) in [
        (SortKey::DisplayName, EVENLY),
        (SortKey::DisplayDescription, "in ten cells"),
        (SortKey::Hostname, "in one cell"),
    ] {
        let name = sorted_name(of.cells, key, how);
        all.push(wide.list(&Case::new(name, of, Which::By(key)))?);
    }
    let name = walk_name(of.cells);
    all.push(wide.list(&Case::new(name, of, Which::Pages(PAGES)))?);
    all.extend(wide.hung(crowd(runs.cells))?);
    let large = Crowd { cells: runs.cells, per_cell: runs.per_cell_large };
    wide.grow(large, runs.per_cell)?;
    let over = format!("{} x {}", cells_name(large.cells), large.per_cell);
    let name = large_name(runs);
    let mut first = wide.list(&Case::new(name, large, Which::Pages(1)))?;
    first.memory = Some(memory::in_a_process(wide.plane.api.url(), &large.project())?);
    all.push(first);
    let middle = large.place(large.cells as u32 * large.per_cell / 2);
    let name = format!("list {PAGE} over {over}, a middle page");
    all.push(wide.list(&Case::new(name, large, Which::After(middle)))?);
    wide.runtimes.ours.block_on(wide.plane.plane.close())?;
    Ok(all)
}

/// The name of the list over so many cells.
pub(crate) fn list_name(cells: usize) -> String {
    format!("list {PAGE} over {}", cells_name(cells))
}

/// The name of the list in the order of a column.
fn sorted_name(cells: usize, key: SortKey, how: &str) -> String {
    format!("{} by {}: rows {how}", list_name(cells), key.name())
}

/// The name of the list by a column whose first page stands in all cells.
pub(crate) fn even_name(cells: usize) -> String {
    sorted_name(cells, SortKey::DisplayName, EVENLY)
}

/// The name of the walk over so many cells.
pub(crate) fn walk_name(cells: usize) -> String {
    format!("walk {} over {}", PAGE * PAGES, cells_name(cells))
}

/// The name of the first page of the largest crowd.
pub(crate) fn large_name(runs: Runs) -> String {
    format!("list {PAGE} over {} x {}", cells_name(runs.cells), runs.per_cell_large)
}

fn cells_name(cells: usize) -> String {
    if cells == 1 { "1 cell".to_owned() } else { format!("{cells} cells") }
}

impl Wide {
    fn open(engine: Engine, runs: Runs) -> anyhow::Result<Wide> {
        let runtimes = Runtimes::new()?;
        let plane = runtimes.ours.block_on(Plane::open(engine, &vec![1; runs.cells]))?;
        let seeds = runtimes.ours.block_on(Seeds::boot(&plane))?;
        let uuids = plane.cell_uuids().into_iter().map(|uuid| uuid.to_string());
        let cells: Vec<(String, &str)> = uuids.zip(plane.cells.iter().map(|c| c.url())).collect();
        let floor = ListReader::open(engine, plane.api.url(), &cells);
        let floor = runtimes.floor.block_on(floor)?;
        Ok(Wide { engine, runs, runtimes, plane, seeds, floor })
    }

    fn grow(&self, crowd: Crowd, before: u32) -> anyhow::Result<()> {
        eprintln!("{}: {} x {} instances …", self.engine.name(), crowd.cells, crowd.per_cell);
        self.runtimes.floor.block_on(self.seeds.grow(&self.plane, crowd, before, LISTED))
    }

    fn list(&mut self, case: &Case) -> anyhow::Result<Measured> {
        eprintln!("{}: {} …", self.engine.name(), case.name);
        let depth = if matches!(case.which, Which::By(_)) { MERGED_DEPTH } else { LIST_DEPTH };
        let mut measured = Measured::new(&case.name, depth);
        let warm_up = self.runs.warm_up.min(3);
        for round in 0..warm_up + self.runs.lists {
            let mut unused = Measured::new("", 0);
            let counted = if round < warm_up { &mut unused } else { &mut measured };
            let ours = self.ours(case, counted)?;
            let floor = self.floors(case, counted)?;
            counted.rows = Some((ours.1, floor.1));
            let wanted = case.wanted();
            ensure!((ours.0, floor.0) == (wanted, wanted), "{} and {} listed", ours.0, floor.0);
        }
        Ok(measured)
    }

    /// Lists once; says how many instances, and how many rows were read for them.
    fn ours(&self, case: &Case, measured: &mut Measured) -> anyhow::Result<(usize, u64)> {
        let plane = &self.plane.plane;
        let (ctx, query) = (case.user(), case.query()?);
        let before = plane.counters();
        let clock = Clock::start();
        let pages = self.runtimes.ours.block_on(async {
            let mut pages = vec![plane.list(&ctx, &query).await?];
            for _ in 1..case.pages() {
                let next = pages.last().and_then(|page: &Page| page.next.clone());
                let Some(next) = next else { bail!("no next page") };
                pages.push(plane.list(&ctx, &query.clone().after(next)).await?);
            }
            Ok(pages)
        })?;
        measured.add_ours(clock.stop(), Counts::between(&before, &plane.counters()));
        ensure!(pages.iter().all(Page::is_complete), "a cell is down");
        let rows = pages.iter().flat_map(|page| &page.cells).map(|cell| cell.rows_read as u64);
        Ok((pages.iter().map(|page| page.instances.len()).sum(), rows.sum()))
    }

    fn floors(&mut self, case: &Case, measured: &mut Measured) -> anyhow::Result<(usize, u64)> {
        let (project, before) = (case.crowd.project(), self.floor.sent());
        let floor = &mut self.floor;
        let clock = Clock::start();
        let read = self.runtimes.floor.block_on(async {
            if let Which::By(key) = case.which {
                let page = floor.page_by(&project, key.name(), PAGE as usize).await?;
                return Ok::<_, anyhow::Error>((page.instances, page.rows));
            }
            let mut place = match &case.which {
                Which::After(place) => Some(place.clone()),
                Which::Pages(_) | Which::By(_) => None,
            };
            let mut all = (0, 0);
            for _ in 0..case.pages() {
                let page = floor.page(&project, place.as_ref(), PAGE as usize, case.bare).await?;
                place = page.last;
                all = (all.0 + page.instances, all.1 + page.rows);
            }
            Ok(all)
        })?;
        measured.add_floor(clock.stop(), before, self.floor.sent());
        Ok(read)
    }

    /// The list over all cells while some never answer, with the breaker and without it.
    fn hung(&self, crowd: Crowd) -> anyhow::Result<Vec<Measured>> {
        let listener = silent_listener();
        let mute = listener.url(Engine::Postgres);
        let mut all = Vec::new();
        for hung in self.runs.hung {
            for (with, config) in [
                ("with", self.plane.config.clone()),
                ("without", self.plane.config.clone().breaker(None)),
            ] {
                let name = format!(
                    "{}, {hung} hung, {} ms, {with} breaker",
                    list_name(crowd.cells),
                    DEADLINE.as_millis()
                );
                eprintln!("{}: {name} …", self.engine.name());
                let plane = self.runtimes.ours.block_on(cellzero::ControlPlane::open(config))?;
                let ctx = RequestContext::new(crowd.project(), "bench-user");
                let query = ListQuery::default().limit(PAGE);
                for _ in 0..3 {
                    self.runtimes.ours.block_on(plane.list(&ctx, &query))?;
                }
                let urls = self.plane.point_to(&mute, hung)?;
                let hurried = ctx.with_timeout(DEADLINE);
                let mut measured = Measured::new(name, LIST_DEPTH);
                // The first one meets the silence; with a breaker the others do not.
                self.runtimes.ours.block_on(plane.list(&hurried, &query))?;
                let mut down = 0;
                for _ in 0..self.runs.lists {
                    let before = plane.counters();
                    let clock = Clock::start();
                    let page = self.runtimes.ours.block_on(plane.list(&hurried, &query))?;
                    measured.add_ours(clock.stop(), Counts::between(&before, &plane.counters()));
                    down = down.max(page.down_cells().count());
                    ensure!(page.instances.len() == PAGE as usize, "a page is not full");
                }
                measured.operation += &format!(", {down} down");
                self.plane.point(&urls)?;
                self.runtimes.ours.block_on(plane.close())?;
                all.push(measured);
            }
        }
        Ok(all)
    }
}

impl Case {
    fn user(&self) -> RequestContext {
        RequestContext::new(self.crowd.project(), "bench-user")
    }

    fn pages(&self) -> u32 {
        if let Which::Pages(pages) = self.which { pages } else { 1 }
    }

    fn wanted(&self) -> usize {
        let all = self.crowd.cells * self.crowd.per_cell as usize;
        all.min((self.pages() * PAGE) as usize)
    }

    fn query(&self) -> anyhow::Result<ListQuery> {
        let query = ListQuery::default().limit(PAGE);
        let query = if self.bare { query.bare() } else { query };
        Ok(match &self.which {
            Which::Pages(_) => query,
            Which::By(key) => query.sort_by([(*key, SortDirection::Ascending)]),
            Which::After(place) => {
                let time = NaiveDateTime::parse_from_str(&place.created_at, "%F %T")?;
                let time = SortValue::Time(time);
                let values = vec![Some(time), Some(SortValue::Text(place.uuid.clone()))];
                let cursor = Cursor::new(query.total_order(), values);
                query.after(cursor)
            }
        })
    }
}
