//! The compute API under load beside the library's own calls, and beside a cell that hangs.
//!
//! The API is served by a process that does nothing else; `wrk` makes the requests, one that is
//! installed already.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cellzero::*;
use cellzero_test_support::{Durability, Engine, PrivateServer, ServerOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::plane::{Plane, user};
use crate::served::Served;
use crate::wrk::{Load, wrk};

const CELLS: usize = 16;
const INSTANCES: u32 = 1_600;
/// How many instances are on a page.
const PAGES: [u32; 2] = [10, 100];
/// How many connections make a load.
const CONNECTIONS: u32 = 16;
/// How often the API is listed while a cell hangs, and while none does.
const LIST_EVERY: Duration = Duration::from_secs(1);
/// The most that HTTP may add to a call, in the middle.
const OVERHEAD_MAX: Duration = Duration::from_micros(150);
/// By how much the slowest percent of what does not touch a hung cell may grow.
const GROWTH_MAX: f64 = 1.5;
/// The longest that a request may take here; lists come within it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);
/// What a list may take beyond it.
const SLACK: Duration = Duration::from_millis(250);

/// How long each load is kept up, and that beside a hung cell.
struct Times {
    load: Duration,
    hung: Duration,
    /// How often the library and HTTP take turns of a second.
    turns: u32,
}

/// Measures, prints, and says which bounds are missed.
pub(crate) fn run(engine: Engine, quick: bool) -> anyhow::Result<()> {
    let times = match quick {
        true => Times { load: Duration::from_secs(2), hung: Duration::from_secs(10), turns: 10 },
        false => Times { load: Duration::from_secs(10), hung: Duration::from_secs(600), turns: 20 },
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut rooms = vec![INSTANCES as i32 / CELLS as i32; CELLS];
        let hanging = match engine {
            Engine::Sqlite => None,
            _ => {
                rooms.pop();
                let options = ServerOptions::default().durability(Durability::Full);
                Some(PrivateServer::launch(engine, options)?)
            }
        };
        let mut plane = Plane::open(engine, &rooms).await?;
        if let Some(server) = &hanging {
            let database = server.create_database("hung")?;
            plane.add_cell("hung", database, INSTANCES as i32 / CELLS as i32).await?;
        }
        plane.fill(INSTANCES).await?;
        plane.analyze()?;
        let served = Served::start(plane.api.url())?;
        beside_the_library(engine, &plane, &served, &times).await?;
        if let Some(server) = &hanging {
            beside_a_hung_cell(engine, &plane, &served, server, &times).await?;
        }
        served.end()?;
        plane.plane.close().await?;
        Ok(())
    })
}

async fn beside_the_library(
    engine: Engine,
    plane: &Plane,
    served: &Served,
    times: &Times,
) -> anyhow::Result<()> {
    let [few, whole] = PAGES;
    let show = Call::Show(healthy(plane).await?);
    let calls = [show, Call::Names(whole), Call::List(few), Call::List(whole)];
    // All turns before any load: a process that many have asked at once is slower for a while, and
    // the library's has no such load.
    let mut measured = Vec::new();
    for call in calls {
        let floor = wrk(&served.url(call.floor()), 1, times.load).await?.p50;
        let url = served.url(&call.path());
        let turns = Turns::take(call, &plane.plane, &url, times.turns).await?;
        measured.push((call, floor, turns));
    }
    for (call, floor, turns) in measured {
        let path = call.path();
        let many = wrk(&served.url(&path), CONNECTIONS, times.load).await?;
        let [low, more, high] = turns.more.map(|seconds| seconds * 1e6);
        println!(
            "{}: {} over {CELLS} cells: library {:.2?} p50; HTTP {:.2?} p50, {more:.0} us more, \
             {low:.0} to {high:.0} in half of the turns (at most {OVERHEAD_MAX:?}{}), {floor:.2?} \
             where no database is asked; {CONNECTIONS} connections: {:.0} a second, {:.1?} p99; \
             {} KB; {:.1} MB",
            engine.name(),
            call.name(),
            turns.library,
            turns.http,
            missed(more > OVERHEAD_MAX.as_secs_f64() * 1e6),
            many.per_second,
            many.p99,
            get(served.port(), &path).await?.len() / 1_000,
            served.memory_mb()?,
        );
    }
    Ok(())
}

/// What is asked, of the library and over HTTP.
#[derive(Clone, Copy)]
enum Call {
    Show(InstanceUuid),
    /// A page of so many, without details.
    Names(u32),
    /// A page of so many, with details.
    List(u32),
}

impl Call {
    fn name(self) -> String {
        match self {
            Call::Show(_) => "show".to_owned(),
            Call::Names(limit) => format!("list of {limit} without details"),
            Call::List(limit) => format!("list of {limit}"),
        }
    }

    fn path(self) -> String {
        match self {
            Call::Show(uuid) => format!("/v2.1/servers/{uuid}"),
            Call::Names(limit) => format!("/v2.1/servers?limit={limit}"),
            Call::List(limit) => format!("/v2.1/servers/detail?limit={limit}"),
        }
    }

    /// A path that asks no database, and answers as much as a show, or more than any list.
    fn floor(self) -> &'static str {
        match self {
            Call::Show(_) => "/v2.1/",
            Call::Names(_) | Call::List(_) => "/openapi.json",
        }
    }

    /// The middle of what the library alone takes, asked again and again for a while in a task, as an
    /// embedder does: for what an admin is shown at the latest microversion.
    async fn alone(self, plane: ControlPlane, time: Duration) -> anyhow::Result<Duration> {
        let ask = async move {
            let (mut times, end) = (Vec::new(), Instant::now() + time);
            while Instant::now() < end {
                let began = Instant::now();
                match self {
                    Call::Show(uuid) => show(&plane, uuid).await?,
                    Call::Names(limit) => names(&plane, limit).await?,
                    Call::List(limit) => list(&plane, limit).await?,
                }
                times.push(began.elapsed());
            }
            anyhow::Ok(middle(times))
        };
        tokio::spawn(ask).await?
    }
}

/// What a call takes the library and what it takes over HTTP, in the middle of turns: whatever else
/// the machine does in a minute counts for both.
struct Turns {
    library: Duration,
    http: Duration,
    /// By how many seconds HTTP took more, after a quarter of the turns, in the middle and before the
    /// last quarter; may be below nothing.
    more: [f64; 3],
}

impl Turns {
    async fn take(
        call: Call,
        plane: &ControlPlane,
        url: &str,
        count: u32,
    ) -> anyhow::Result<Turns> {
        const TURN: Duration = Duration::from_secs(1);
        let mut turns = Vec::new();
        for _ in 0..count {
            let library = call.alone(plane.clone(), TURN).await?;
            turns.push((library, wrk(url, 1, TURN).await?.p50));
        }
        let mut more: Vec<f64> = turns
            .iter()
            .map(|(library, http)| http.as_secs_f64() - library.as_secs_f64())
            .collect();
        more.sort_by(f64::total_cmp);
        let more = [1, 2, 3].map(|quarter| more[more.len() * quarter / 4]);
        let (library, http) = turns.into_iter().unzip();
        Ok(Turns { library: middle(library), http: middle(http), more })
    }
}

/// A show as the API does it for an admin.
async fn show(plane: &ControlPlane, uuid: InstanceUuid) -> anyhow::Result<()> {
    let (user, uuids) = (user(), [uuid]);
    let (instance, specs) =
        tokio::try_join!(plane.show(&user, uuid), plane.request_specs(&user, &uuids))?;
    let statuses = plane.host_statuses(&user, &hosts([&instance])).await?;
    ensure!((specs.len(), statuses.len()) == (1, 1), "both are known");
    Ok(())
}

/// A list without details.
async fn names(plane: &ControlPlane, limit: u32) -> anyhow::Result<()> {
    let query = ListQuery { bare: true, ..ListQuery::default().limit(limit) };
    let page = plane.list(&user(), &query).await?;
    ensure!(page.instances.len() == limit as usize, "a full page");
    Ok(())
}

/// A list with details, as the API does it for an admin.
async fn list(plane: &ControlPlane, limit: u32) -> anyhow::Result<()> {
    let user = user();
    let page = plane.list(&user, &ListQuery::default().limit(limit)).await?;
    let uuids: Vec<InstanceUuid> = page.instances.iter().map(|one| one.uuid).collect();
    let hosts = hosts(&page.instances);
    let (specs, statuses) =
        tokio::try_join!(plane.request_specs(&user, &uuids), plane.host_statuses(&user, &hosts))?;
    let found = (specs.len(), statuses.len());
    ensure!(found == (limit as usize, hosts.len()), "a full page, and all are known");
    Ok(())
}

/// The hosts of these instances, each once.
fn hosts<'a>(instances: impl IntoIterator<Item = &'a Instance>) -> Vec<String> {
    let hosts = instances.into_iter().filter_map(|instance| instance.host.clone());
    hosts.collect::<BTreeSet<String>>().into_iter().collect()
}

/// The same loads without and with a hung cell, with a list every second beside them.
async fn beside_a_hung_cell(
    engine: Engine,
    plane: &Plane,
    served: &Served,
    server: &PrivateServer,
    times: &Times,
) -> anyhow::Result<()> {
    let show = served.url(&format!("/v2.1/servers/{}", healthy(plane).await?));
    let (calm, _) = with_lists(served, &show, times.load).await?;
    server.pause()?;
    // The first who ask learn that it hangs; what it costs them is in the lists below. Then two
    // halves: what is kept for good grows in the second as in the first.
    let (mut p99, mut lists) = (Duration::ZERO, Lists::default());
    let (mut memory, mut things) = (Vec::new(), Vec::new());
    for time in [times.load, times.hung / 2, times.hung / 2] {
        let (load, more) = with_lists(served, &show, time).await?;
        p99 = p99.max(load.p99);
        lists = lists.with(&more);
        memory.push(format!("{:.0}", served.memory_mb()?));
        things.push(format!("{:?}", served.threads_and_files()?));
    }
    server.resume()?;
    let growth = p99.as_secs_f64() / calm.p99.as_secs_f64();
    println!(
        "{}: a cell hangs for {:.0?} under load: show elsewhere {p99:.1?} p99, {:.1?} before it, \
         {growth:.2} times (at most {GROWTH_MAX}{}); {} lists, at most {:.2?} ({DEADLINE:?} and \
         {SLACK:?}{}), {} with UNKNOWN rows; at the beginning, in the middle and at the end {} MB, \
         threads and files {}",
        engine.name(),
        times.load + times.hung,
        calm.p99,
        missed(growth > GROWTH_MAX),
        lists.count,
        lists.slowest,
        missed(lists.slowest > DEADLINE + SLACK),
        lists.unknown,
        memory.join(", "),
        things.join(", "),
    );
    Ok(())
}

fn missed(is_missed: bool) -> &'static str {
    if is_missed { ": missed" } else { "" }
}

/// What lists beside a load came to.
#[derive(Default)]
struct Lists {
    count: u32,
    /// How many had rows of a cell that did not answer.
    unknown: u32,
    slowest: Duration,
}

impl Lists {
    fn with(self, more: &Lists) -> Lists {
        Lists {
            count: self.count + more.count,
            unknown: self.unknown + more.unknown,
            slowest: self.slowest.max(more.slowest),
        }
    }
}

async fn with_lists(served: &Served, url: &str, time: Duration) -> anyhow::Result<(Load, Lists)> {
    let load = wrk(url, CONNECTIONS, time);
    let listing = async {
        let (mut lists, end) = (Lists::default(), Instant::now() + time);
        while Instant::now() < end {
            let began = Instant::now();
            let body =
                get(served.port(), &format!("/v2.1/servers/detail?limit={INSTANCES}")).await?;
            lists.slowest = lists.slowest.max(began.elapsed());
            lists.count += 1;
            lists.unknown += u32::from(body.contains("\"UNKNOWN\""));
            tokio::time::sleep(LIST_EVERY).await;
        }
        Ok::<_, anyhow::Error>(lists)
    };
    tokio::try_join!(load, listing)
}

/// One request on a connection of its own; its answer must be 200.
async fn get(port: u16, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nOpenStack-API-Version: compute 2.69\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.lines().next().unwrap_or_default();
    ensure!(status.starts_with("HTTP/1.1 200"), "{path}: {status}");
    Ok(answer)
}

/// An instance of a cell that never hangs.
async fn healthy(plane: &Plane) -> anyhow::Result<InstanceUuid> {
    let first = *plane.cell_uuids().first().context("a cell")?;
    let page = plane.plane.list(&user(), &ListQuery::default()).await?;
    let found = page.instances.iter().find(|instance| instance.home == Home::Cell(first));
    Ok(found.context("the first cell has instances")?.uuid)
}

/// The middle of times, of which there are some.
fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
