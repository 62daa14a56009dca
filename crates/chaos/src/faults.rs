//! Faults as they happen: a thread for each target, which takes its faults one after another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow};
use cellzero_test_support::PrivateServer;
use rustix::process::Signal;

use crate::process::Slot;
use crate::schedule::{Fault, Kind, Target};

/// How often each target was hit in each way.
pub(crate) type Hits = BTreeMap<(Target, Kind), u64>;

/// Hands each fault to its target's thread.
#[derive(Debug)]
pub(crate) struct Injector {
    orders: BTreeMap<Target, Sender<Fault>>,
    servers: Vec<JoinHandle<anyhow::Result<PrivateServer>>>,
    slots: Vec<JoinHandle<anyhow::Result<()>>>,
    hits: Arc<Mutex<Hits>>,
    pending: Arc<AtomicUsize>,
}

/// What a target's thread works with.
struct Turn {
    faults: Receiver<Fault>,
    hits: Arc<Mutex<Hits>>,
    pending: Arc<AtomicUsize>,
}

impl Injector {
    /// Takes the servers, which it gives back when it ends. `pending` counts the faults that wait
    /// or happen.
    pub(crate) fn new(
        servers: Vec<PrivateServer>,
        slots: &[Arc<Slot>],
        pending: Arc<AtomicUsize>,
    ) -> Injector {
        let hits = Arc::<Mutex<Hits>>::default();
        let mut orders = BTreeMap::new();
        let mut turn = |target| {
            let (sender, faults) = channel();
            orders.insert(target, sender);
            Turn { faults, hits: Arc::clone(&hits), pending: Arc::clone(&pending) }
        };
        let servers: Vec<_> = servers
            .into_iter()
            .enumerate()
            .map(|(number, server)| (turn(Target::Server(number)), server))
            .collect();
        let slots: Vec<_> = slots
            .iter()
            .enumerate()
            .map(|(number, slot)| (turn(Target::Orchestrator(number)), Arc::clone(slot)))
            .collect();
        let servers = servers
            .into_iter()
            .map(|(turn, mut server)| {
                std::thread::spawn(move || {
                    turn.take_all(|fault| hit_server(&mut server, fault))?;
                    Ok(server)
                })
            })
            .collect();
        let slots = slots
            .into_iter()
            .map(|(turn, slot)| {
                std::thread::spawn(move || turn.take_all(|fault| hit_slot(&slot, fault)))
            })
            .collect();
        Injector { orders, servers, slots, hits, pending }
    }

    /// Lets a fault happen as soon as its target has had the ones before.
    ///
    /// # Errors
    /// Where the target could not be brought back after an earlier one.
    pub(crate) fn hit(&self, fault: Fault) -> anyhow::Result<()> {
        let target = fault.target;
        let orders = self.orders.get(&target).with_context(|| format!("there is no {target:?}"))?;
        self.pending.fetch_add(1, Ordering::Relaxed);
        orders.send(fault).map_err(|_| anyhow!("{target:?} could not be brought back"))
    }

    /// How often each target was hit so far.
    pub(crate) fn hits(&self) -> Hits {
        self.hits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all faults are over and gives the servers back, which run.
    ///
    /// # Errors
    /// Where a target could not be brought back, or an orchestrator ended by itself.
    pub(crate) fn end(self) -> anyhow::Result<Vec<PrivateServer>> {
        drop(self.orders);
        for slot in self.slots {
            slot.join().map_err(|_| anyhow!("the thread of an orchestrator failed"))??;
        }
        let servers = self
            .servers
            .into_iter()
            .map(|server| server.join().map_err(|_| anyhow!("the thread of a server failed"))?);
        servers.collect()
    }
}

impl Turn {
    fn take_all(self, mut hit: impl FnMut(&Fault) -> anyhow::Result<()>) -> anyhow::Result<()> {
        for fault in &self.faults {
            hit(&fault).with_context(|| fault.to_string()).inspect_err(|error| {
                eprintln!("a fault failed: {error:#}");
            })?;
            let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
            *hits.entry((fault.target, fault.kind)).or_default() += 1;
            self.pending.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn hit_server(server: &mut PrivateServer, fault: &Fault) -> anyhow::Result<()> {
    match fault.kind {
        Kind::Kill => {
            server.kill()?;
            std::thread::sleep(fault.lasting);
            server.start()
        }
        Kind::Stop => {
            server.pause()?;
            std::thread::sleep(fault.lasting);
            server.resume()
        }
    }
}

fn hit_slot(slot: &Slot, fault: &Fault) -> anyhow::Result<()> {
    match fault.kind {
        Kind::Kill => {
            slot.kill()?;
            std::thread::sleep(fault.lasting);
            slot.start()
        }
        Kind::Stop => {
            slot.signal(Signal::STOP)?;
            std::thread::sleep(fault.lasting);
            slot.signal(Signal::CONT)
        }
    }
}
