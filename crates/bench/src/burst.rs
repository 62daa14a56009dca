//! The floor of many callers at once: each has a thread and connections of its own.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use anyhow::Context as _;
use cellzero_test_support::Engine;

use crate::engine::CALLERS;
use crate::floor::{Boot, Names, Pair, Sent};
use crate::measure::{Clock, Run};

/// The callers, who wait for an order.
pub(crate) struct Burst {
    callers: Vec<Caller>,
    sent: Sent,
}

struct Caller {
    /// How often to boot; the thread ends when nobody can say any more.
    orders: Sender<usize>,
    done: Receiver<anyhow::Result<Sent>>,
    _thread: JoinHandle<()>,
}

impl Burst {
    /// Connects each caller to the two databases.
    pub(crate) fn start(
        engine: Engine,
        (api, cell): (&str, &str),
        boot: &Boot,
    ) -> anyhow::Result<Burst> {
        let start = |_| {
            let (orders, orders_taken) = channel();
            let (done_told, done) = channel();
            let (api, cell, boot) = (api.to_owned(), cell.to_owned(), boot.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let mut pair = runtime.block_on(Pair::open(engine, &api, &cell))?;
            let thread = std::thread::spawn(move || {
                for boots in orders_taken {
                    let ended = runtime.block_on(boot_each(&mut pair, &boot, boots));
                    if done_told.send(ended).is_err() {
                        return;
                    }
                }
            });
            Ok(Caller { orders, done, _thread: thread })
        };
        let callers = (0..CALLERS).map(start).collect::<anyhow::Result<_>>()?;
        Ok(Burst { callers, sent: Sent::default() })
    }

    /// Everybody boots so often.
    pub(crate) fn run(&mut self, boots: usize) -> anyhow::Result<Run> {
        let clock = Clock::start();
        for caller in &self.callers {
            caller.orders.send(boots).context("a caller is there")?;
        }
        for caller in &self.callers {
            let sent = caller.done.recv().context("a caller is there")??;
            self.sent.statements += sent.statements;
            self.sent.commits += sent.commits;
        }
        Ok(clock.stop())
    }

    /// What all have sent so far.
    pub(crate) fn sent(&self) -> Sent {
        self.sent
    }
}

async fn boot_each(pair: &mut Pair, boot: &Boot, boots: usize) -> anyhow::Result<Sent> {
    let before = pair.sent();
    for _ in 0..boots {
        pair.run(&boot.boot(&[Names::fresh()])).await?;
    }
    let after = pair.sent();
    Ok(Sent {
        statements: after.statements - before.statements,
        commits: after.commits - before.commits,
    })
}
