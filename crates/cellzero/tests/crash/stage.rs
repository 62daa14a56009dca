//! The plane that is walked on: its databases, the process that meets faults, and the one that
//! comes after it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cellzero::*;
use cellzero_test_support::{Engine, Row, Session, TestDatabase};

use crate::receiver::Receiver;
use crate::script::{Fault, Script, Where};
use crate::support::{TestPlane, Way, user};
use crate::walked::{self, FITS, FITS_LATER, FITS_ONCE, HOSTS, NEVER_FITS, Told, Walked, asked};

/// How often recovery may find something to do.
const RECOVERIES_MAX: u32 = 30;
/// How long something may wait that recovery cannot do: for a lease that is over by another clock, or
/// a server that has not seen yet that the process before is gone. On a busy machine that takes as
/// long as it takes.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How long after a lease of no length another process sees at last that it is over.
const PAUSE: Duration = Duration::from_millis(2);

/// Well before a host that does not report counts as down.
const REPORT_AFTER: Duration = Duration::from_secs(60);

const SMALL: i32 = 4;
const LARGE: i32 = 8;
/// The second host: vcpus, memory in MiB, disk in GiB.
const OTHER_HOST: (i32, i32, i32) = (2, 4_096, 40);

/// One plane on real databases.
pub(crate) struct Stage {
    /// Its plane is the process that comes after.
    pub(crate) test: TestPlane,
    /// The process that meets faults.
    pub(crate) victim: ControlPlane,
    pub(crate) script: Script,
    pub(crate) receiver: Receiver,
    /// Open connections past our own code, by the name of the database.
    sessions: HashMap<String, Session>,
    /// What the host has reported last, and when.
    reported: Mutex<(i32, Instant)>,
}

/// What each process of the plane has in common.
pub(crate) fn config(config: Config, receiver: Receiver) -> Config {
    let options = OrchestratorOptions {
        lease: Duration::ZERO,
        back_off: Duration::ZERO,
        resend_after: Duration::ZERO,
        ..OrchestratorOptions::default()
    };
    // A breaker that a fault opened would leave out what comes after it.
    let config = config.breaker(None);
    // A process that ends takes nothing with it that was committed, and no more is needed here.
    config.durability(Durability::Normal).orchestrator(options).dispatch(receiver)
}

/// The same with faults by this script.
pub(crate) fn with_script(config: Config, script: &Script) -> Config {
    let options =
        Options { faults: script.faults(), durability: Durability::Normal, ..Options::default() };
    config.options(options)
}

impl Stage {
    pub(crate) async fn open(engine: Engine) -> Option<Stage> {
        Stage::open_by(engine, Arc::new(str::to_owned)).await
    }

    /// With databases that both processes reach in this way.
    pub(crate) async fn open_by(engine: Engine, way: Way) -> Option<Stage> {
        let (script, receiver) = (Script::default(), Receiver::default());
        let common = receiver.clone();
        let mut test = TestPlane::with_way(engine, way, |new| config(new, common)).await?;
        test.add_cell(&[(SMALL, 8_192, 80), OTHER_HOST]).await;
        for (id, vcpus) in [(FITS, 1), (FITS_ONCE, 3), (FITS_LATER, 6), (NEVER_FITS, 9_999)] {
            let flavor = Flavor::new(id, id, vcpus, 512, 1);
            test.plane.flavors().create(&flavor).await.expect("a new flavor");
        }
        let config = with_script(test.config.clone(), &script);
        let victim = ControlPlane::open(config).await.expect("the plane opens");
        let cells = test.cells.iter().map(|(_, cell)| cell);
        let databases = [&test.api, &test.cell0].into_iter().chain(cells);
        let sessions = databases.map(|d| (d.name().to_owned(), d.session())).collect();
        let reported = Mutex::new((SMALL, Instant::now()));
        let stage = Stage { test, victim, script, receiver, sessions, reported };
        stage.warm().await;
        Some(stage)
    }

    /// The same, where the process that meets faults syncs each commit and opens its files anew.
    pub(crate) async fn with_full_durability(self) -> Stage {
        self.victim.close().await.expect("closed");
        let config = with_script(self.test.config.clone(), &self.script);
        let config = config.durability(Durability::Full);
        let victim = ControlPlane::open(config).await.expect("the plane opens");
        let stage = Stage { victim, ..self };
        stage.warm().await;
        stage
    }

    /// Both processes have used every database, so that an operation always takes the same.
    async fn warm(&self) {
        for plane in [&self.victim, &self.test.plane] {
            for flavor in [FITS, NEVER_FITS] {
                plane.boot(&user(), asked(flavor).build().unwrap()).await.expect("accepted");
                plane.settle().await.expect("settled");
            }
        }
        self.clean().await;
    }

    /// What has to stand before the operation.
    pub(crate) async fn prepare(&self, walked: Walked) -> Vec<InstanceUuid> {
        self.resize(SMALL).await;
        match walked {
            Walked::Boot | Walked::Bury | Walked::BootTwo => Vec::new(),
            Walked::DeleteLive => self.settled(FITS).await,
            Walked::DeleteBuried | Walked::RetryBuried => self.settled(NEVER_FITS).await,
            Walked::DeleteAccepted => self.half_done(Walked::Boot, walked::ACCEPTED).await,
            Walked::DeleteWritten => self.half_done(Walked::Boot, walked::WRITTEN).await,
            Walked::RetryFits => {
                let buried = self.settled(FITS_LATER).await;
                self.resize(LARGE).await;
                buried
            }
            Walked::Fail => self.building().await,
            Walked::FailLast => {
                let building = self.building().await;
                self.receiver.build_later(true);
                walked::report_failure(&self.test.plane, Walked::Fail, &building).await;
                self.receiver.build_later(false);
                building.iter().for_each(|uuid| self.receiver.could_not_build(*uuid));
                building
            }
            Walked::Recover(died, commits) => {
                let prepared = Box::pin(self.prepare(died.walked())).await;
                let left = match prepared.is_empty() {
                    true => self.half_done(died.walked(), commits).await,
                    false => {
                        self.die(died.walked(), prepared.clone(), commits).await;
                        prepared
                    }
                };
                self.let_time_pass();
                left
            }
        }
    }

    async fn settled(&self, flavor: &str) -> Vec<InstanceUuid> {
        let asked = asked(flavor).build().unwrap();
        let accepted = self.test.plane.boot(&user(), asked).await.expect("accepted");
        self.test.plane.settle().await.expect("settled");
        accepted.instances
    }

    /// One that its host was told to build, and could not.
    async fn building(&self) -> Vec<InstanceUuid> {
        self.receiver.build_later(true);
        let building = self.settled(FITS).await;
        self.receiver.build_later(false);
        building.iter().for_each(|uuid| self.receiver.could_not_build(*uuid));
        building
    }

    /// A boot whose process died after so many commits.
    async fn half_done(&self, walked: Walked, commits: u64) -> Vec<InstanceUuid> {
        self.die(walked, Vec::new(), commits).await;
        self.listed().await.iter().map(|instance| instance.uuid).collect()
    }

    async fn die(&self, walked: Walked, prepared: Vec<InstanceUuid>, commits: u64) {
        self.script.arm(Fault::Crash, Where::AfterCommit(commits));
        walked::run(self.victim.clone(), walked, prepared, Told::default()).await;
        self.script.disarm();
        assert!(self.script.has_struck(), "{walked:?} has no {commits} commits");
    }

    /// Every lease and pause is over by any clock, so that a recovery finds all that is to be done.
    fn let_time_pass(&self) {
        let leases =
            "UPDATE boot_states SET lease_until = '2000-01-01 00:00:00', not_before = NULL";
        let pauses = "UPDATE outbox SET not_before = NULL";
        self.ask(&self.test.api, leases);
        for database in [&self.test.api, &self.test.cell0, &self.test.cells[0].1] {
            self.ask(database, pauses);
        }
    }

    /// A host reports when its size changes, and often enough to count as up.
    async fn resize(&self, vcpus: i32) {
        let (known, at) = *self.reported.lock().unwrap();
        if known == vcpus && at.elapsed() < REPORT_AFTER {
            return;
        }
        for (host, (vcpus, memory_mb, disk_gb)) in
            HOSTS.into_iter().zip([(vcpus, 8_192, 80), OTHER_HOST])
        {
            let node = ComputeNode::new(host, vcpus, memory_mb, disk_gb).with_ratios(1.0, 1.0, 1.0);
            self.test.plane.hosts().report(self.test.cell(0), &node).await.expect("a report");
        }
        *self.reported.lock().unwrap() = (vcpus, Instant::now());
    }

    /// The process that comes after finishes or undoes what is left, until nothing is.
    pub(crate) async fn recover(&self) {
        let (mut recoveries, end) = (0, Instant::now() + WAIT_MAX);
        loop {
            let settled = self.test.plane.recover().await.expect("recovered");
            let is_done = Settled { waiting: 0, ..settled } == Settled::default();
            if is_done && settled.waiting == 0 && self.is_at_rest() {
                return;
            }
            assert!(Instant::now() < end, "recovery does not end: {settled:?}");
            if is_done {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            recoveries += 1;
            assert!(recoveries < RECOVERIES_MAX, "recovery finds ever more to do: {settled:?}");
        }
    }

    /// Whether nothing waits: by another clock, a lease or a pause may just not be over.
    fn is_at_rest(&self) -> bool {
        let api = "build_requests UNION ALL SELECT COUNT(*) FROM boot_intents \
                   UNION ALL SELECT COUNT(*) FROM outbox";
        let cell = "outbox";
        self.count(&self.test.api, api) == 0
            && self.count(&self.test.cells[0].1, cell) == 0
            && self.count(&self.test.cell0, cell) == 0
    }

    /// How many rows a statement finds.
    pub(crate) fn count(&self, database: &TestDatabase, from: &str) -> i64 {
        let rows = self.ask(database, &format!("SELECT COUNT(*) FROM {from}"));
        rows.iter().flatten().flatten().map(|text| text.parse::<i64>().expect("a number")).sum()
    }

    pub(crate) fn ask(&self, database: &TestDatabase, text: &str) -> Vec<Row> {
        self.sessions[database.name()].query(text).expect("an answer")
    }

    pub(crate) async fn listed(&self) -> Vec<Instance> {
        let page = self.test.plane.list(&user(), &ListQuery::default()).await.expect("a list");
        page.instances
    }

    /// Deletes all, so that the next place begins with an empty plane.
    pub(crate) async fn clean(&self) {
        for instance in self.listed().await {
            self.test.plane.delete(&user(), instance.uuid).await.expect("deleted");
        }
        self.test.plane.settle().await.expect("settled");
    }
}
