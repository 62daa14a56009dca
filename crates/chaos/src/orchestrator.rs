//! One process of the plane: it takes orders on its standard input, answers on its standard output,
//! and its workers bring home what any process accepted.

use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use cellzero::{ControlPlane, Settled};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::log;
use crate::order::{Answer, Numbered, Order, chain, perform};
use crate::plane::Opening;

/// The variable with the URL of the API database, which holds a password.
pub(crate) const API_URL: &str = "CELLZERO_CHAOS_API_URL";
/// The number under which a process says that it is open.
pub(crate) const OPEN: u64 = 0;
/// The number under which a process says what it decided, as its last word.
pub(crate) const ENDED: u64 = u64::MAX;
const OPEN_AGAIN_AFTER: Duration = Duration::from_millis(200);
const WORKERS: usize = 2;

/// How a process is started.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Its name.
    #[arg(long)]
    name: String,
    /// The file that effects are appended to.
    #[arg(long)]
    effects: PathBuf,
    /// How long its leases hold.
    #[arg(long)]
    lease_ms: u64,
    /// Settle and recover without a pause, and count what is decided.
    #[arg(long)]
    restless: bool,
}

/// What a process decided, where it counts.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Decided {
    pub(crate) in_cells: usize,
    pub(crate) in_cell0: usize,
}

/// Works until its standard input ends.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    log::to(std::io::stderr());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no runtime")?;
    runtime.block_on(work(arguments))?;
    Ok(ExitCode::SUCCESS)
}

async fn work(arguments: &Arguments) -> anyhow::Result<()> {
    let plane = open(arguments).await?;
    say(OPEN, &())?;
    let mut orders = orders();
    let decided = if arguments.restless {
        settle_restlessly(&plane, &mut orders).await?
    } else {
        let workers = plane.run_workers(WORKERS)?;
        take_orders(&plane, &mut orders).await;
        // Leases that could not be handed back run out by themselves.
        if let Err(error) = workers.shutdown().await {
            eprintln!("{}", chain(&error));
        }
        Decided::default()
    };
    if let Err(error) = plane.close().await {
        eprintln!("{}", chain(&error));
    }
    say(ENDED, &decided)
}

/// Opens the plane, however long its API database is away.
async fn open(arguments: &Arguments) -> anyhow::Result<Arc<ControlPlane>> {
    let api_url = std::env::var(API_URL).with_context(|| format!("{API_URL} is not set"))?;
    let lease = Duration::from_millis(arguments.lease_ms);
    let opening = Opening { api_url, lease, process: arguments.name.clone() };
    let config = opening.config(&arguments.effects)?;
    loop {
        match ControlPlane::open(config.clone()).await {
            Ok(plane) => return Ok(Arc::new(plane)),
            Err(error) => eprintln!("not open yet: {}", chain(&error)),
        }
        tokio::time::sleep(OPEN_AGAIN_AFTER).await;
    }
}

/// The orders that come in, until there are no more.
fn orders() -> mpsc::UnboundedReceiver<Numbered<Order>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    // A thread of its own: reading the standard input cannot be given up.
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(order) => {
                    if sender.send(order).is_err() {
                        return;
                    }
                }
                Err(error) => eprintln!("not an order: {line}: {error}"),
            }
        }
    });
    receiver
}

async fn take_orders(
    plane: &Arc<ControlPlane>,
    orders: &mut mpsc::UnboundedReceiver<Numbered<Order>>,
) {
    while let Some(Numbered { number, what }) = orders.recv().await {
        let plane = Arc::clone(plane);
        tokio::spawn(async move {
            let answer: Answer = perform(&plane, what).await;
            if let Err(error) = say(number, &answer) {
                eprintln!("{error:#}");
            }
        });
    }
}

/// Several tasks that settle and recover beside one another, and beside those of other processes.
async fn settle_restlessly(
    plane: &Arc<ControlPlane>,
    orders: &mut mpsc::UnboundedReceiver<Numbered<Order>>,
) -> anyhow::Result<Decided> {
    let ended = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..WORKERS * 2)
        .map(|number| {
            let (plane, ended) = (Arc::clone(plane), Arc::clone(&ended));
            tokio::spawn(async move {
                let mut decided = Decided::default();
                while !ended.load(Ordering::Relaxed) {
                    let done = match number % 2 {
                        0 => plane.settle().await,
                        _ => plane.recover().await,
                    };
                    match done {
                        Ok(settled) => decided.add(settled),
                        Err(error) => eprintln!("not settled: {}", chain(&error)),
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                decided
            })
        })
        .collect();
    take_orders(plane, orders).await;
    ended.store(true, Ordering::Relaxed);
    let mut all = Decided::default();
    for task in tasks {
        let decided = task.await.context("a task that settles")?;
        all.in_cells += decided.in_cells;
        all.in_cell0 += decided.in_cell0;
    }
    Ok(all)
}

impl Decided {
    /// How many decisions that is.
    pub(crate) fn total(&self) -> i64 {
        i64::try_from(self.in_cells + self.in_cell0).unwrap_or(i64::MAX)
    }

    pub(crate) fn add(&mut self, settled: Settled) {
        self.in_cells += settled.in_cells;
        self.in_cell0 += settled.in_cell0;
    }
}

fn say<T: Serialize>(number: u64, what: &T) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(&Numbered { number, what })?);
    Ok(())
}
