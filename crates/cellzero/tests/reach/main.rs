//! A hundred cells, of which some never answer: a list is back by its deadline, says what is
//! missing, and costs neither memory nor threads. In a program of its own, since it measures time,
//! memory and threads.

use std::time::{Duration, Instant};

use cellzero::*;
use cellzero_test_support::{
    Engine, SilentListener, TestDatabase, create_database, silent_listener,
};
use rstest::rstest;

const CELLS: usize = 100;
const DEADLINE: Duration = Duration::from_millis(200);
/// What a list may take beyond its deadline.
const SLACK: Duration = Duration::from_millis(15);
/// How many lists come first: the first of all checks each cell, and takes longer.
const WARM_UPS: usize = 5;
/// How many of them may miss cells that answer, on a machine that stands still for a moment.
const SHORT_MAX: usize = CALLS / 100;
/// How often a list is asked for.
const CALLS: usize = 200;
/// Memory after the last call is compared with that of this one: in the first ones the operations of
/// a hundred cells touch their stacks.
const SETTLED: usize = CALLS / 2;
/// How many threads there may be, however many cells are silent: operations on SQLite, of which a
/// hundred come at once, have as many as there are processors, and some for those that took long where
/// the machine stood still, and those on servers as many; the rest is the runtime's and the test's.
const THREADS_MAX: u64 = 32;
const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

/// A plane with an instance in each of a hundred cells.
struct Wide {
    config: Config,
    api: TestDatabase,
    _directory: Vec<TestDatabase>,
    cells: Vec<(CellUuid, String)>,
    listener: SilentListener,
}

async fn wide() -> Wide {
    let create = |hint: &str| create_database(Engine::Sqlite, hint).expect("a file");
    let (api, cell0) = (create("api"), create("cell0"));
    let config = Config::new(api.url()).cell0(cell0.url()).without_worker();
    let config = config.durability(cellzero_database::Durability::Normal);
    let plane = ControlPlane::open(config.clone()).await.unwrap();
    plane.flavors().create(&Flavor::new("1", "small", 1, 512, 1)).await.unwrap();
    let (mut cells, mut kept) = (Vec::new(), vec![cell0]);
    for number in 0..CELLS {
        let database = create("cell");
        let name = format!("cell{number}");
        let cell = plane.cells().create(NewCell::new(&name, database.url())).await.unwrap();
        let node = ComputeNode::new(format!("{name}-host"), 1, 4096, 40);
        plane.hosts().report(cell, &node.with_ratios(1.0, 1.0, 1.0)).await.unwrap();
        // As the mapping has it: another text of the same place would be another cell to check.
        let of_cell =
            format!("SELECT database_connection FROM cell_mappings WHERE uuid = '{cell}'");
        cells.push((cell, api.query(&of_cell).unwrap()[0][0].clone().unwrap()));
        kept.push(database);
    }
    let request = BootRequest::builder("web", "1", IMAGE).count(CELLS as u32).build().unwrap();
    plane.boot(&user(), request).await.unwrap();
    let settled = plane.settle().await.unwrap();
    assert_eq!(settled.in_cells, CELLS);
    plane.close().await.unwrap();
    Wide { config, api, _directory: kept, cells, listener: silent_listener() }
}

fn user() -> RequestContext {
    RequestContext::new("project-a", "user-a")
}

impl Wide {
    /// Points the first `hung` cells to a listener that never answers, and the others to themselves.
    fn hang(&self, hung: usize) {
        for (index, (cell, url)) in self.cells.iter().enumerate() {
            let mute = self.listener.url(Engine::Postgres);
            let url = if index < hung { &mute } else { url };
            let change = format!(
                "UPDATE cell_mappings SET database_connection = '{url}' WHERE uuid = '{cell}'"
            );
            self.api.execute(&change).unwrap();
        }
    }
}

/// A line of `/proc/self/status`, as a number.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Whether a page says of each cell what is so: the first `hung` are down, the others have answered.
fn is_right(page: &Page, wide: &Wide, hung: usize) -> bool {
    wide.cells.iter().enumerate().all(|(index, (cell, _))| {
        let report = page.cells.iter().find(|report| report.cell == *cell).unwrap();
        report.answered.is_down() == (index < hung)
    })
}

async fn lists(wide: &Wide, hung: usize, config: Config) {
    let plane = ControlPlane::open(config).await.unwrap();
    // Every connection is made: how many operations of a list meet is chance, and of several lists at
    // once more do than of one.
    for _ in 0..WARM_UPS {
        let (ctx, query) = (user(), ListQuery::default());
        let lists = tokio::join!(
            plane.list(&ctx, &query),
            plane.list(&ctx, &query),
            plane.list(&ctx, &query)
        );
        assert!(lists.0.is_ok() && lists.1.is_ok() && lists.2.is_ok());
    }
    wide.hang(hung);
    let hurried = user().with_timeout(DEADLINE);
    let query = ListQuery::default();
    let (mut slowest, mut before, mut short) = (Duration::ZERO, (0, 0), 0);
    for call in 0..CALLS {
        let began = Instant::now();
        let page = plane.list(&hurried, &query).await.unwrap();
        let took = began.elapsed();
        slowest = slowest.max(took);
        assert!(took <= DEADLINE + SLACK, "call {call} with {hung} hung took {took:?}");
        assert_eq!(page.instances.len(), CELLS);
        let unknown = page.instances.iter().filter(|instance| instance.known_at.is_some()).count();
        assert!(unknown >= hung, "call {call}: {unknown} unknown with {hung} hung");
        match unknown > hung {
            true => short += 1,
            false => assert!(is_right(&page, wide, hung), "call {call}: {:?}", page.cells),
        }
        if call == SETTLED {
            before = (status("VmRSS:"), status("Threads:"));
        }
    }
    let after = (status("VmRSS:"), status("Threads:"));
    assert!(short <= SHORT_MAX, "{short} of {CALLS} lists missed cells that answer");
    println!("{hung} hung: slowest {slowest:?}, memory and threads {before:?} then {after:?}");
    assert!(after.0 <= before.0 + 8_192, "memory in kB: {before:?} then {after:?}");
    assert!(after.1 <= THREADS_MAX, "threads: {after:?}, at most {THREADS_MAX}");
    wide.hang(0);
    plane.close().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_over_a_hundred_cells_is_back_by_its_deadline_however_many_hang() {
    let wide = wide().await;
    for hung in [1, 10, 50, 99] {
        lists(&wide, hung, wide.config.clone()).await;
        lists(&wide, hung, wide.config.clone().breaker(None)).await;
    }
}
