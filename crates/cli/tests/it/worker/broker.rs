//! Cells whose hosts are reached by a message queue.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cellzero::ComputeNode;
use cellzero_amqp::{AmqpOptions, HostAgent, OperationMessage, Report};
use cellzero_test_support::{Broker, Engine, TestDatabase, create_database, shared_broker};
use rstest::rstest;

use super::Worker;
use crate::support::{IMAGE, Ran, TestPlane};

/// A plane with one cell behind a broker, and everything that was printed about it.
struct Site {
    test: TestPlane,
    broker: &'static Broker,
    transport_url: String,
    _cell: TestDatabase,
}

impl Site {
    fn new(engine: Engine) -> Option<Site> {
        let (broker, test) = (shared_broker()?, TestPlane::new(engine, 0)?);
        let cell = create_database(engine, "cell1")?;
        let transport_url = broker.new_vhost();
        let site = Site { test, broker, transport_url, _cell: cell };
        site.run(&[
            &["cell", "create", "--name", "cell1", "--database-connection", site._cell.url()][..],
            &["--transport-url", &site.transport_url],
        ].concat());
        Some(site)
    }

    /// Runs a command that ends well, and says nothing of the broker's password.
    #[track_caller]
    fn run(&self, args: &[&str]) -> Ran {
        let ran = self.test.run_alone(&[args, &["--verbose"]].concat()).ends(0);
        self.check_silent(&ran);
        ran
    }

    #[track_caller]
    fn check_silent(&self, ran: &Ran) {
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(self.broker.password()), "{text}");
        }
    }

    fn worker(&self, more: &[&str]) -> Worker {
        let mut command = self.test.cellzero.command(&[&["worker", "--verbose"], more].concat());
        Worker::run(command.env("CELLZERO_SIMULATED_COMPUTE", "false"))
    }

    /// A host that reports itself, and does at once what it is asked for.
    fn start_host(&self, name: &'static str) {
        let url = self.transport_url.clone();
        self.test.spawn(async move {
            let options = AmqpOptions::default();
            let mut agent = HostAgent::connect(&url, name, &options).await.expect("connected");
            let node = ComputeNode::new(name, 4, 4_096, 100).with_ratios(1.0, 1.0, 1.0);
            agent.report(&Report::Host(node)).await.expect("reported");
            while let Ok(received) = agent.next().await {
                let operation = &received.operation;
                let (instance_uuid, sequence) = (operation.instance_uuid(), operation.sequence());
                let host = name.to_owned();
                let report = match operation {
                    OperationMessage::Build(_) => Report::Built { instance_uuid, host, sequence },
                    OperationMessage::Destroy(_) => {
                        Report::Destroyed { instance_uuid, host, sequence }
                    }
                    other => panic!("nobody has asked for {}", other.name()),
                };
                agent.report(&report).await.expect("reported");
                received.acknowledge().await.expect("acknowledged");
            }
        });
    }

    fn status(&self, name: &str) -> String {
        let shown = self.run(&["instance", "show", name, "--json"]).json();
        shown["status"].as_str().expect("a status").to_owned()
    }
}

/// Waits until something is so, and fails where it is not so after 60 seconds.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "not so after 60 s: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The counters of docs/dispatch.md.
fn documented() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dispatch.md");
    let text = std::fs::read_to_string(path).expect("docs/dispatch.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `cellzero_"));
    rows.map(|row| format!("cellzero_{}", row.split('`').next().expect("a name"))).collect()
}

#[rstest]
fn a_worker_has_instances_built_and_destroyed_by_hosts_behind_a_broker(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(site) = Site::new(engine) else { return };
    let worker = site.worker(&["--notify", "log", "--notify", &site.transport_url]);
    site.start_host("host1");
    until("the host has reported itself", || {
        site.run(&["host", "list", "--json"]).stdout.contains("host1")
    });
    site.run(&["instance", "boot", "web", "--flavor", "small", "--image", IMAGE]);
    until("it is built", || site.status("web") == "ACTIVE");
    site.run(&["instance", "delete", "web"]);
    let destroyed = "cellzero_amqp_reports_total{report=\"destroyed\",outcome=\"stored\"} 1";
    until("it is destroyed", || worker.ask("GET /metrics").contains(destroyed));

    let metrics = worker.ask("GET /metrics");
    let names: BTreeSet<String> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .filter(|name| name.contains("_amqp_") || name.contains("_notifications_"))
        .collect();
    // It takes a broker that is away, or a thousand notifications at once.
    let rare = "cellzero_notifications_dropped_total".to_owned();
    assert_eq!(names.iter().chain([&rare]).cloned().collect::<BTreeSet<_>>(), documented());
    for event in ["instance.create.start", "instance.create.end", "instance.delete.end"] {
        let told = format!("cellzero_notifications_total{{event_type=\"{event}\"}} 1");
        assert!(metrics.contains(&told), "{told}:\n{metrics}");
    }
    let ran = worker.end().ends(0);
    site.check_silent(&ran);
    for event in ["instance.create.start", "instance.create.end", "instance.delete.end"] {
        let told = format!("event_type=\"{event}\"");
        assert!(ran.stderr.contains(&told), "{told}:\n{}", ran.stderr);
    }
    site.run(&["fsck"]);
}

#[test]
fn what_a_cell_without_a_broker_is_to_do_waits_for_a_worker_that_does_it() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    let mut command = test.cellzero.command(&["worker"]);
    let worker = Worker::run(command.env("CELLZERO_SIMULATED_COMPUTE", "false"));
    test.run_alone(&["instance", "boot", "web", "--flavor", "small", "--image", IMAGE]).ends(0);
    let shown = test.run_alone(&["instance", "show", "web", "--json"]).ends(0).json();
    assert_eq!(shown["status"], "BUILD", "{shown:#}");
    let ran = worker.end().ends(0);
    assert!(ran.stderr.contains("has no broker"), "{}", ran.stderr);
    let worker = Worker::start(&test, &[]);
    until("it is built", || {
        let shown = test.run_alone(&["instance", "show", "web", "--json"]).json();
        shown["status"] == "ACTIVE"
    });
    worker.end().ends(0);
}

#[test]
fn whoever_is_to_be_notified_is_a_setting_and_its_password_is_told_by_nobody() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    for (listener, said) in [
        ("kafka://u:s3cret@h/", "the transport URL kafka://u:***@h/ cannot be used"),
        ("none:///", "it names no broker"),
        ("logs", "it has no scheme"),
    ] {
        let file = test.cellzero.write("c.toml", &format!("notify = {listener:?}\n"));
        let by_flag = test.run(&["worker", "--notify", listener]);
        let by_file = test.run(&["--config", file.to_str().expect("UTF-8"), "worker"]);
        for ran in [by_flag, by_file] {
            let ran = ran.ends(78);
            assert!(ran.stderr.contains(said), "{}", ran.stderr);
            assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
        }
    }
    // A broker that is away holds up nothing.
    let away = "rabbit://nova:s3cret@127.0.0.1:1/";
    let mut command = test.cellzero.command(&["worker", "--verbose"]);
    let worker = Worker::run(command.env("CELLZERO_NOTIFY", away));
    let booted =
        test.run_alone(&["instance", "boot", "giant", "--flavor", "huge", "--image", IMAGE]);
    booted.ends(2);
    let dropped = "cellzero_notifications_dropped_total{reason=\"away\"} 1";
    until("it is dropped", || worker.ask("GET /metrics").contains(dropped));
    let ran = worker.end().ends(0);
    assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
}
