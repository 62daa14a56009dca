//! A plane whose cells have a broker, and hosts that answer.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cellzero::*;
use cellzero_amqp::*;
use cellzero_test_support::{Engine, TestDatabase, create_database};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub(crate) const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

/// A plane on real databases.
pub(crate) struct TestPlane {
    pub(crate) plane: ControlPlane,
    pub(crate) api: TestDatabase,
    pub(crate) cells: Vec<(CellUuid, TestDatabase)>,
    engine: Engine,
    _cell0: TestDatabase,
}

impl TestPlane {
    pub(crate) async fn new(
        engine: Engine,
        configure: impl FnOnce(Config) -> Config,
    ) -> Option<TestPlane> {
        let api = create_database(engine, "api")?;
        let cell0 = create_database(engine, "cell0")?;
        let config = Config::new(api.url()).cell0(cell0.url()).without_worker();
        let options = OrchestratorOptions {
            resend_after: Duration::from_millis(50),
            ..OrchestratorOptions::default()
        };
        let config = configure(config.orchestrator(options).durability(Durability::Normal));
        let plane = ControlPlane::open(config).await.expect("a new plane opens");
        plane.flavors().create(&Flavor::new("1", "tiny", 1, 1, 1)).await.expect("a flavor");
        plane.flavors().create(&Flavor::new("9", "huge", 9_999, 1, 1)).await.expect("a flavor");
        Some(TestPlane { plane, api, cells: Vec::new(), engine, _cell0: cell0 })
    }

    /// Adds a cell with this broker and these hosts, each with room for so many.
    pub(crate) async fn add_cell(
        &mut self,
        transport_url: &str,
        hosts: &[(&str, i32)],
    ) -> CellUuid {
        let name = format!("cell{}", self.cells.len() + 1);
        let database = create_database(self.engine, &name).expect("the backend is there");
        let new = NewCell {
            transport_url: transport_url.to_owned(),
            ..NewCell::new(&name, database.url())
        };
        let cell = self.plane.cells().create(new).await.expect("a new cell");
        for (host, room) in hosts {
            let node = ComputeNode::new(*host, *room, 99_999, 9_999).with_ratios(1.0, 1.0, 1.0);
            self.plane.hosts().report(cell, &node).await.expect("a host's report");
        }
        self.cells.push((cell, database));
        cell
    }

    pub(crate) async fn boot(&self, count: u32) -> Accepted {
        let request = request("1").count(count).build().unwrap();
        let accepted = self.plane.boot(&user(), request).await.expect("accepted");
        self.plane.settle().await.expect("settled");
        accepted
    }

    /// Boots, and waits until the builds are sent: a broker under load may refuse them at first.
    pub(crate) async fn boot_and_send(&self, count: u32) -> Accepted {
        let accepted = self.boot(count).await;
        until("sent", async || {
            self.plane.settle().await.expect("settled");
            self.cells.iter().all(|(_, cell)| {
                let left = cell.query("SELECT COUNT(*) FROM outbox").expect("a count");
                left[0][0].as_deref() == Some("0")
            })
        })
        .await;
        accepted
    }

    pub(crate) async fn status(&self, uuid: InstanceUuid) -> String {
        let shown = self.plane.show(&user(), uuid).await.expect("shown");
        shown.status().to_owned()
    }

    pub(crate) async fn check_fsck(&self) {
        let none = Duration::ZERO;
        let options = FsckOptions { age: none, claim_age: none, ..FsckOptions::default() };
        let report = self.plane.fsck(options).await.expect("a check");
        assert!(report.is_clean() && report.moving.is_empty(), "{:?}", report.findings);
    }
}

pub(crate) fn user() -> RequestContext {
    RequestContext::new("project-a", "user-a")
}

pub(crate) fn request(flavor: &str) -> BootRequestBuilder {
    BootRequest::builder("web", flavor, IMAGE)
}

/// Options for tests: short pauses.
pub(crate) fn options() -> AmqpOptions {
    let mut options = AmqpOptions::default();
    options.back_off = Duration::from_millis(20);
    options.back_off_max = Duration::from_millis(200);
    options.refresh = Duration::from_millis(100);
    options.report_retry = Duration::from_millis(50);
    options
}

/// Waits until something is so, and fails where it is not so after 30 seconds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so().await {
        assert!(Instant::now() < deadline, "not so after 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One delivery of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) id: OperationUuid,
    pub(crate) instance: InstanceUuid,
    pub(crate) sequence: i64,
    pub(crate) attempt: u32,
    pub(crate) is_repeat: bool,
}

/// A host that answers each operation once, and notes each delivery. It ends when it is dropped.
pub(crate) struct TestHost {
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for TestHost {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a test host answers to an operation.
pub(crate) type Answer = fn(&OperationMessage, &str) -> Report;

/// What a host answers that can do everything.
pub(crate) fn well(operation: &OperationMessage, host: &str) -> Report {
    let (instance_uuid, sequence) = (operation.instance_uuid(), operation.sequence());
    let host = host.to_owned();
    match operation {
        OperationMessage::Build(_) => Report::Built { instance_uuid, host, sequence },
        OperationMessage::Action(_) => {
            Report::Acted { instance_uuid, host, sequence, failure: None }
        }
        _ => Report::Destroyed { instance_uuid, host, sequence },
    }
}

/// What a host answers that cannot build.
pub(crate) fn no_build(operation: &OperationMessage, host: &str) -> Report {
    match well(operation, host) {
        Report::Built { instance_uuid, host, sequence } => {
            Report::Failed { instance_uuid, host, sequence, reason: "no space left".to_owned() }
        }
        report => report,
    }
}

impl TestHost {
    /// Begins, and waits until its queue is there.
    pub(crate) async fn start(url: &str, host: &str, answer: Answer) -> TestHost {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connected = Arc::new(Notify::new());
        let tell = Arc::clone(&connected);
        let (url, host, noted) = (url.to_owned(), host.to_owned(), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            let mut applied: HashMap<InstanceUuid, (i64, Report)> = HashMap::new();
            loop {
                if let Ok(agent) = HostAgent::connect(&url, &host, &options()).await {
                    tell.notify_one();
                    // Whatever the error is, it connects anew.
                    let _ = serve(agent, &host, answer, &noted, &mut applied).await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        connected.notified().await;
        TestHost { seen, task }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut agent: HostAgent,
    host: &str,
    answer: Answer,
    noted: &Mutex<Vec<Seen>>,
    applied: &mut HashMap<InstanceUuid, (i64, Report)>,
) -> Result<(), AmqpError> {
    loop {
        let received = agent.next().await?;
        let operation = &received.operation;
        noted.lock().unwrap().push(Seen {
            name: operation.name(),
            id: operation.id(),
            instance: operation.instance_uuid(),
            sequence: operation.sequence(),
            attempt: operation.attempt(),
            is_repeat: received.is_repeat,
        });
        let (uuid, sequence) = (operation.instance_uuid(), operation.sequence());
        if applied.get(&uuid).is_none_or(|(last, _)| *last < sequence) {
            applied.insert(uuid, (sequence, answer(operation, host)));
        }
        if let Some((last, report)) = applied.get(&uuid)
            && *last == sequence
        {
            agent.report(report).await?;
        }
        received.acknowledge().await?;
    }
}
