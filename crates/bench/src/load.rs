//! The compute API under load beside the library's own calls, and beside a cell that hangs.
//!
//! The API is served by a process that does nothing else; `wrk` makes the requests, one that is
//! installed already.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cellzero::*;
use cellzero_test_support::{Durability, Engine, PrivateServer, ServerOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::call::{Call, middle};
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

/// How many pairs of processes, one that calls the library and one that serves, take turns: two of
/// the same program differ by more than HTTP may add.
const PAIRS: u32 = 5;
/// How long a turn is.
pub(crate) const TURN: Duration = Duration::from_secs(1);

/// How long each load is kept up, that beside a cell that hangs or will, and for how long it does.
struct Times {
    load: Duration,
    calm: Duration,
    hung: Duration,
    /// How many turns each pair of processes takes.
    turns: u32,
}

/// Measures, prints, and says which bounds are missed.
pub(crate) fn run(engine: Engine, quick: bool) -> anyhow::Result<()> {
    let seconds = Duration::from_secs;
    let times = match quick {
        true => Times { load: seconds(2), calm: seconds(2), hung: seconds(10), turns: 2 },
        false => Times { load: seconds(10), calm: seconds(60), hung: seconds(600), turns: 4 },
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
        let served = beside_the_library(engine, &plane, &times).await?;
        if let Some(server) = &hanging {
            beside_a_hung_cell(engine, &plane, &served, server, &times).await?;
        }
        served.end()?;
        plane.plane.close().await?;
        Ok(())
    })
}

/// Two fresh processes of the same program: one is asked over HTTP alone, the other calls the library
/// alone.
struct Pair {
    calls: Served,
    served: Served,
}

impl Pair {
    fn start(plane: &Plane) -> anyhow::Result<Pair> {
        let api = plane.api.url();
        Ok(Pair { calls: Served::start(api)?, served: Served::start(api)? })
    }

    /// Ends both.
    fn end(self) -> anyhow::Result<()> {
        self.calls.end()?;
        self.served.end()
    }
}

/// Measures and prints; gives the last process that served.
async fn beside_the_library(
    engine: Engine,
    plane: &Plane,
    times: &Times,
) -> anyhow::Result<Served> {
    let [few, whole] = PAGES;
    let show = Call::Show(healthy(plane).await?);
    let calls = [show, Call::Names(whole), Call::List(few), Call::List(whole)];
    let mut measured = calls.map(|call| (call, Turns::default()));
    let mut pair = Pair::start(plane)?;
    for number in 1..=PAIRS {
        // All turns before any load: a process that many have asked at once is slower for a while,
        // and the library's has no such load.
        for (call, turns) in &mut measured {
            turns.take(*call, &mut pair, times.turns).await?;
        }
        if number < PAIRS {
            std::mem::replace(&mut pair, Pair::start(plane)?).end()?;
        }
    }
    let Pair { calls, served } = pair;
    calls.end()?;
    for (call, turns) in measured {
        let path = call.path();
        let floor = wrk(&served.url(call.floor()), 1, times.load).await?.p50;
        let many = wrk(&served.url(&path), CONNECTIONS, times.load).await?;
        let micros = |parts: [f64; 3]| parts.map(|seconds| seconds * 1e6);
        let [low, more, high] = micros(turns.more_than(&turns.library));
        let [least, beside, most] = micros(turns.more_than(&turns.within));
        println!(
            "{}: {} over {CELLS} cells: library {:.2?} p50; HTTP {:.2?} p50, {beside:.0} us beside the \
             library's calls in the same requests, {least:.0} to {most:.0} in half of the turns (at \
             most {OVERHEAD_MAX:?}{}), {more:.0} us ({low:.0} to {high:.0}) more than the library in \
             another process, {floor:.2?} where no database is asked; {CONNECTIONS} connections: \
             {:.0} a second, {:.1?} p99; {} KB; {:.1} MB",
            engine.name(),
            call.name(),
            middle(turns.library),
            middle(turns.http),
            missed(beside > OVERHEAD_MAX.as_secs_f64() * 1e6),
            many.per_second,
            many.p99,
            get(served.port(), &path).await?.len() / 1_000,
            served.memory_mb()?,
        );
    }
    Ok(served)
}

/// What a call took the library and what it took over HTTP, in turns: whatever else the machine does
/// in a minute counts for both. And what the library's calls took within the requests.
#[derive(Default)]
struct Turns {
    library: Vec<Duration>,
    http: Vec<Duration>,
    within: Vec<Duration>,
}

impl Turns {
    /// So many more turns, each of both.
    async fn take(&mut self, call: Call, pair: &mut Pair, count: u32) -> anyhow::Result<()> {
        let url = pair.served.url(&call.path());
        for _ in 0..count {
            self.library.push(pair.calls.ask(call)?);
            // What was asked before this turn is forgotten.
            pair.served.within(call)?;
            self.http.push(wrk(&url, 1, TURN).await?.p50);
            let within = pair.served.within(call)?;
            ensure!(!within.is_zero(), "a call of the library was not recorded");
            self.within.push(within);
        }
        Ok(())
    }

    /// By how many seconds HTTP took more than these, after a quarter of the turns, in the middle and
    /// before the last quarter; may be below nothing.
    fn more_than(&self, others: &[Duration]) -> [f64; 3] {
        let turns = others.iter().zip(&self.http);
        let mut more: Vec<f64> =
            turns.map(|(other, http)| http.as_secs_f64() - other.as_secs_f64()).collect();
        more.sort_by(f64::total_cmp);
        [1, 2, 3].map(|quarter| more[more.len() * quarter / 4])
    }
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
    let (before, _) = with_lists(served, &show, times.calm).await?;
    server.pause()?;
    // The first who ask learn that it hangs; what it costs them is in the lists below. Then two
    // halves: what is kept for good grows in the second as in the first.
    let (mut p99, mut lists) = (Vec::new(), Lists::default());
    let (mut memory, mut things) = (Vec::new(), Vec::new());
    for time in [times.load, times.hung / 2, times.hung / 2] {
        let (load, more) = with_lists(served, &show, time).await?;
        p99.push(load.p99);
        lists = lists.with(&more);
        memory.push(format!("{:.0}", served.memory_mb()?));
        things.push(format!("{:?}", served.threads_and_files()?));
    }
    server.resume()?;
    let (after, _) = with_lists(served, &show, times.calm).await?;
    let hung = p99.iter().max().context("three loads")?;
    let calm = (before.p99 + after.p99) / 2;
    let growth = hung.as_secs_f64() / calm.as_secs_f64();
    println!(
        "{}: a cell hangs for {:.0?} under load: show elsewhere {p99:.1?} p99, {:.1?} before it and \
         {:.1?} after it, {growth:.2} times (at most {GROWTH_MAX}{}); {} lists, at most {:.2?} \
         ({DEADLINE:?} and {SLACK:?}{}), {} with UNKNOWN rows; at the beginning, in the middle and \
         at the end {} MB, threads and files {}",
        engine.name(),
        times.load + times.hung,
        before.p99,
        after.p99,
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
