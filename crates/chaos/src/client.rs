//! A client: boots, deletes, retries, shows and lists without end, in the driver's own process or
//! through an orchestrator's, and holds every answer against the history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cellzero::{ControlPlane, InstanceUuid, ReadError};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::history::{History, Wrong};
use crate::listing::list;
use crate::order::{Answer, Boot, Order, perform, user};
use crate::population::{HUGE, PROJECTS, Population, SMALL};
use crate::process::Slot;

/// No more boots while so many faults wait for their turn: each is to meet a plane that works.
const FAULTS_WAITING_MAX: usize = 6;
/// How often a client asks again while nobody knows what became of its order.
const ATTEMPTS_MAX: u32 = 200;
/// The most deletes of one round.
const DELETES_MAX: usize = 10;
/// How long a client waits after an answer that says nothing.
const PAUSE_MILLIS: std::ops::Range<u64> = 30..200;

/// What clients work on.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) history: History,
    pub(crate) plane: Arc<ControlPlane>,
    pub(crate) slots: Vec<Arc<Slot>>,
    pub(crate) population: Population,
    /// How many instances are booted in all.
    pub(crate) boots: u64,
    /// Faults that wait for their turn or happen now.
    pub(crate) faults_pending: Arc<AtomicUsize>,
    /// Set when clients are to end.
    pub(crate) over: AtomicBool,
}

impl Scene {
    /// Lets clients, and what goes on beside them, end.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn may_boot(&self) -> bool {
        self.history.accepted_count() < self.boots
            && self.faults_pending.load(Ordering::Relaxed) < FAULTS_WAITING_MAX
    }
}

/// One client.
pub(crate) struct Client {
    scene: Arc<Scene>,
    rng: StdRng,
}

impl Client {
    /// The client with this number in the run of a seed.
    pub(crate) fn new(scene: Arc<Scene>, seed: u64, number: u64) -> Client {
        Client { scene, rng: StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(number)) }
    }

    /// Works until the scene is over.
    pub(crate) async fn run(mut self) {
        while !self.scene.is_over() {
            let booted = self.scene.may_boot();
            if booted {
                self.boot().await;
            }
            let alive = self.scene.history.alive_count();
            for _ in 0..alive.saturating_sub(self.scene.population.alive).min(DELETES_MAX) {
                self.delete().await;
            }
            self.look().await;
            if self.rng.random_bool(0.3) {
                self.retry().await;
            }
            if !booted {
                self.pause().await;
            }
        }
    }

    async fn pause(&mut self) {
        let millis = self.rng.random_range(PAUSE_MILLIS);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    /// Does what was asked for, wherever.
    async fn ask(&mut self, order: Order) -> Answer {
        let here = self.rng.random_bool(0.3);
        match self.scene.slots.choose(&mut self.rng) {
            Some(slot) if !here && slot.is_open() => slot.order(order).await,
            _ => perform(&self.scene.plane, order).await,
        }
    }

    async fn unknown(&mut self) {
        self.scene.history.count(|counts| counts.unknown += 1);
        self.pause().await;
    }

    async fn boot(&mut self) {
        let boot = self.new_boot();
        let mut first: Option<Vec<InstanceUuid>> = None;
        for _ in 0..ATTEMPTS_MAX {
            match self.ask(Order::Boot(boot.clone())).await {
                Answer::Accepted { uuids } => {
                    self.scene.history.accepted(&boot.project, &uuids, boot.volume);
                    if let Some(first) = &first {
                        return self.compare(first, &uuids);
                    }
                    // Some clients missed the answer, and ask once more.
                    if boot.token.is_none() || self.rng.random_bool(0.7) {
                        return;
                    }
                    first = Some(uuids);
                }
                Answer::Unknown { .. } => {
                    self.unknown().await;
                    if boot.token.is_none() {
                        return;
                    }
                }
                other => return self.strange(&format!("a boot was answered with {other:?}")),
            }
        }
        self.strange(&format!("a boot had no answer in {ATTEMPTS_MAX} attempts"));
    }

    fn new_boot(&mut self) -> Boot {
        let batch = self.scene.population.batch_max;
        let max = if self.rng.random_bool(0.4) { 1 } else { self.rng.random_range(1..=batch) };
        let token: u128 = self.rng.random();
        Boot {
            project: self.project(),
            flavor: if self.rng.random_bool(0.2) { HUGE } else { SMALL }.to_owned(),
            min: self.rng.random_range(1..=max),
            max,
            token: self.rng.random_bool(0.5).then(|| format!("token-{token:x}")),
            volume: self.rng.random_bool(0.3),
        }
    }

    fn project(&mut self) -> String {
        PROJECTS.choose(&mut self.rng).copied().unwrap_or(PROJECTS[0]).to_owned()
    }

    fn compare(&self, first: &[InstanceUuid], again: &[InstanceUuid]) {
        if first == again {
            self.scene.history.count(|counts| counts.tokens_repeated += 1);
        } else {
            let what = format!("a client token answered with {first:?} and then with {again:?}");
            self.scene.history.wrong(Wrong::Doubled, what);
        }
    }

    async fn delete(&mut self) {
        let Some((uuid, project)) = self.scene.history.take_to_delete() else { return };
        for attempt in 0..ATTEMPTS_MAX {
            match self.ask(Order::Delete { project: project.clone(), uuid }).await {
                Answer::Deleted => {
                    self.scene.history.deleted(uuid);
                    // A second delete may find it gone, or under way; it must not fail otherwise.
                    if attempt > 0 || self.rng.random_bool(0.95) {
                        return;
                    }
                }
                Answer::NotFound => {
                    if attempt == 0 {
                        let what = format!("{uuid} was not found by its first delete");
                        self.scene.history.wrong(Wrong::Lost, what);
                    }
                    return self.scene.history.deleted(uuid);
                }
                Answer::Unknown { .. } => self.unknown().await,
                other => return self.strange(&format!("a delete was answered with {other:?}")),
            }
        }
        self.strange(&format!("a delete had no answer in {ATTEMPTS_MAX} attempts"));
    }

    async fn retry(&mut self) {
        let Some((uuid, project)) = self.scene.history.take_buried() else { return };
        match self.ask(Order::Retry { project, uuid }).await {
            Answer::Accepted { uuids } if uuids == [uuid] => {
                self.scene.history.count(|counts| counts.retried += 1);
            }
            Answer::NotFound => self.scene.history.not_found(uuid, "retry"),
            // It is retried already, or on its way.
            Answer::Refused { .. } => {}
            Answer::Unknown { .. } => self.unknown().await,
            other => self.strange(&format!("a retry was answered with {other:?}")),
        }
    }

    async fn look(&mut self) {
        for _ in 0..2 {
            let alive = self.scene.history.pick_alive();
            self.show(alive).await;
        }
        if self.rng.random_bool(0.3) {
            let deleted = self.scene.history.pick_deleted();
            self.show(deleted).await;
        }
        if self.rng.random_bool(0.1) {
            let project = self.project();
            list(&self.scene.plane, &self.scene.history, &project).await;
        }
    }

    async fn show(&mut self, which: Option<(InstanceUuid, String)>) {
        let Some((uuid, project)) = which else { return };
        let history = &self.scene.history;
        let began = history.now();
        history.count(|counts| counts.shows += 1);
        match self.scene.plane.show(&user(&project), uuid).await {
            Ok(instance) => history.found(uuid, &project, began, instance.home.is_cell0()),
            Err(ReadError::InstanceNotFound { .. }) => history.not_found(uuid, "show"),
            Err(_) => self.unknown().await,
        }
    }

    fn strange(&self, what: &str) {
        self.scene.history.wrong(Wrong::Other, what.to_owned());
    }
}
