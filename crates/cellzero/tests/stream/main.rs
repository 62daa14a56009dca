//! A stream over thousands of instances holds a page or two of them, and is right while instances
//! come and go. The memory is that of a process that does nothing else: this test program, started
//! again.

use std::collections::{BTreeSet, HashMap};
use std::process::Command;
use std::time::Duration;

use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase, create_database};
use futures_util::TryStreamExt as _;
use rstest::rstest;

const INSTANCES: usize = 3_000;
/// Of a stream whose memory is not measured.
const FEWER: usize = 2_000;
/// What each carries along, so that a page weighs 20 MB, and all of them 120.
const USER_DATA: usize = 40_000;
/// By how much a stream may make a process grow that has read a page: by two more.
const GROWTH_MAX_KB: u64 = 40_000;
/// What all of them take at least, held at once, beyond what the process has.
const ALL_KB: u64 = 80_000;
/// Tells a child where its databases are: the URLs of the API database and of cell0.
const TASK: [&str; 2] = ["CELLZERO_STREAM_API", "CELLZERO_STREAM_CELL0"];
/// The test that is a child when it is told to be.
const ENTRY: &str = "a_child_measures_the_streams_of_the_plane_that_it_is_given";
const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

fn user() -> RequestContext {
    RequestContext::new("project-a", "user-a").with_timeout(Duration::from_secs(120))
}

/// A plane whose instances live in two cells and in cell0.
struct Filled {
    plane: ControlPlane,
    databases: Vec<TestDatabase>,
    /// The length of the user data of each.
    user_data: usize,
}

fn config(api: &str, cell0: &str) -> Config {
    Config::new(api).cell0(cell0).without_worker().durability(cellzero_database::Durability::Normal)
}

async fn filled(engine: Engine, instances: usize, user_data: usize) -> Option<Filled> {
    let create = |hint: &str| create_database(engine, hint);
    let (api, cell0) = (create("api")?, create("cell0")?);
    let plane = ControlPlane::open(config(api.url(), cell0.url())).await.unwrap();
    let mut databases = vec![api, cell0];
    for name in ["cell1", "cell2"] {
        let database = create(name)?;
        let cell = plane.cells().create(NewCell::new(name, database.url())).await.unwrap();
        let node = ComputeNode::new(format!("{name}-host"), 1_100, 2_000_000, 90_000);
        plane.hosts().report(cell, &node.with_ratios(1.0, 1.0, 1.0)).await.unwrap();
        databases.push(database);
    }
    plane.flavors().create(&Flavor::new("1", "small", 1, 512, 1)).await.unwrap();
    let all = Filled { plane, databases, user_data };
    for number in 0..instances / 200 {
        // By name they go across each other.
        all.boot(&format!("n{}", number % 4), 200).await;
    }
    Some(all)
}

impl Filled {
    async fn boot(&self, name: &str, count: u32) -> Vec<InstanceUuid> {
        let asked = BootRequest::builder(name, "1", IMAGE).count(count);
        let asked = asked.with(|asked| asked.user_data = Some("A".repeat(self.user_data)));
        let accepted = self.plane.boot(&user(), asked.build().unwrap()).await.unwrap();
        self.plane.settle().await.unwrap();
        accepted.instances
    }
}

fn by_name() -> ListQuery {
    ListQuery::default().sort_by([(SortKey::DisplayName, SortDirection::Ascending)])
}

/// A line of `/proc/self/status`, in kB.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// By how much the process grew at most while `work` ran, in kB.
async fn growth(work: impl Future<Output = ()>) -> u64 {
    // The peak begins anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    work.await;
    status("VmHWM:").saturating_sub(before)
}

/// Streams a plane in the default order and in one that is merged of the cells.
async fn measure(api: &str, cell0: &str) {
    let plane = ControlPlane::open(config(api, cell0)).await.unwrap();
    let queries = [ListQuery::default(), by_name()];
    for query in &queries {
        // Threads and connections are there, and the memory of a page is the process's.
        for _ in 0..2 {
            plane.list(&user(), &query.clone().limit(500)).await.unwrap();
        }
        let streamed = growth(async {
            let mut stream = std::pin::pin!(plane.list_stream(&user(), query));
            let mut count = 0;
            while let Some(instance) = stream.try_next().await.unwrap() {
                assert_eq!(instance.user_data.as_ref().map(String::len), Some(USER_DATA));
                count += 1;
            }
            assert_eq!(count, INSTANCES);
        });
        let grown = streamed.await;
        println!("a stream of {INSTANCES} grew by {grown} kB");
        assert!(grown <= GROWTH_MAX_KB, "{grown} kB");
    }
    // That it would be seen if it held them.
    let held = growth(async {
        let all: Vec<Instance> =
            plane.list_stream(&user(), &queries[0]).try_collect().await.unwrap();
        assert_eq!(all.len(), INSTANCES);
    });
    let grown = held.await;
    println!("all of them took {grown} kB");
    assert!(grown >= ALL_KB, "{grown} kB");
    plane.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_measures_the_streams_of_the_plane_that_it_is_given() {
    if let [Ok(api), Ok(cell0)] = TASK.map(std::env::var) {
        measure(&api, &cell0).await;
    }
}

/// Runs the child on a plane.
fn measure_in_a_child(filled: &Filled) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", ENTRY, "--nocapture"])
        .env(TASK[0], filled.databases[0].url())
        .env(TASK[1], filled.databases[1].url())
        // What one thread has freed is there for the others.
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("all of them took"), "{said}{error}");
    println!("{said}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_holds_no_more_than_a_page_or_two(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(filled) = filled(engine, INSTANCES, USER_DATA).await else { return };
    measure_in_a_child(&filled);
    filled.plane.close().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_right_while_instances_come_and_go(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(filled) = filled(engine, FEWER, 4).await else { return };
    for query in [ListQuery::default(), by_name()] {
        come_and_go(&filled, &query).await;
    }
    filled.plane.close().await.unwrap();
}

/// While a stream runs, some that it has given and some that it has not are deleted, and some are
/// booted before its place and behind it. What stays is given once.
async fn come_and_go(filled: &Filled, query: &ListQuery) {
    let plane = &filled.plane;
    let all: Vec<Instance> = plane.list_stream(&user(), query).try_collect().await.unwrap();
    let all: Vec<InstanceUuid> = all.iter().map(|instance| instance.uuid).collect();
    let (mut deleted, mut booted) = (BTreeSet::new(), BTreeSet::new());
    let mut given: HashMap<InstanceUuid, usize> = HashMap::new();
    let mut stream = std::pin::pin!(plane.list_stream(&user(), query));
    let mut count = 0;
    while let Some(instance) = stream.try_next().await.unwrap() {
        *given.entry(instance.uuid).or_default() += 1;
        count += 1;
        if count % 300 == 0 {
            let behind = all.get(count + 700).copied();
            for uuid in [Some(all[count - 100]), Some(instance.uuid), behind].into_iter().flatten()
            {
                plane.delete(&user(), uuid).await.unwrap();
                deleted.insert(uuid);
            }
            for name in ["a", "n2", "z"] {
                booted.extend(filled.boot(name, 1).await);
            }
        }
    }
    assert!(given.values().all(|times| *times == 1), "one is given twice");
    let lost = all.iter().filter(|uuid| !deleted.contains(uuid) && !given.contains_key(uuid));
    assert_eq!(lost.count(), 0);
    let strange = given.keys().filter(|uuid| !all.contains(uuid) && !booted.contains(uuid));
    assert_eq!(strange.count(), 0);
    let ahead = deleted.iter().filter(|uuid| !given.contains_key(*uuid)).count();
    assert!(ahead > 0, "none was deleted before it was given");
}
