//! No password of a transport URL is in a log, an error or a `Debug`, whatever level is logged, also by
//! the libraries below. A test program of its own, since the subscriber is the process's.

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "the support is the other tests' too")]
mod support;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use cellzero::*;
use cellzero_amqp::*;
use cellzero_test_support::{Engine, private_broker};
use tracing::field::{Field, Visit};
use tracing::span;

use support::{TestHost, TestPlane, options, until, well};

/// The password that no broker knows.
const WRONG: &str = "wr0ng-s3cr3t";

/// Keeps the text of every event and every span.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    spans: AtomicU64,
}

static LOG: Log = Log { text: Mutex::new(String::new()), spans: AtomicU64::new(1) };

struct Keeper;

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl tracing::Subscriber for Keeper {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let mut text = LOG.text.lock().unwrap();
        attributes.record(&mut Text(&mut text));
        span::Id::from_u64(LOG.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Text(&mut LOG.text.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = LOG.text.lock().unwrap();
        text.push_str(event.metadata().target());
        event.record(&mut Text(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_is_in_any_log_error_or_debug() {
    let Some(mut broker) = private_broker() else { return };
    tracing::subscriber::set_global_default(Keeper).unwrap();
    let url = broker.new_vhost();
    let wrong = broker.new_vhost().replace(broker.password(), WRONG);
    let dispatch = AmqpDispatch::new(options());
    let mut said = format!("{dispatch:?}");
    let configure = |config: Config| config.dispatch(dispatch.clone());
    let mut test = TestPlane::new(Engine::Sqlite, configure).await.unwrap();
    let _host = TestHost::start(&url, "ant", well).await;
    test.add_cell(&url, &[("ant", 9)]).await;
    test.add_cell(&wrong, &[("bee", 9)]).await;
    let reports = ReportConsumer::start(&test.plane, options());
    let notifier = AmqpNotifier::new(&wrong, options(), NotificationOptions::default()).unwrap();
    write!(said, "{notifier:?}{reports:?}{:?}{:?}", test.plane, test.plane.cells().list().await)
        .unwrap();
    let accepted = test.boot(4).await;
    until("one is ACTIVE", async || test.status(accepted[0]).await == "ACTIVE").await;
    let refused = HostAgent::connect(&wrong, "bee", &options()).await.unwrap_err();
    write!(said, "{refused} {refused:?}").unwrap();
    let refused =
        HostAgent::connect("kafka://u:wr0ng-s3cr3t@h/", "bee", &options()).await.unwrap_err();
    write!(said, "{refused} {refused:?}").unwrap();
    // The connection is lost in the middle of something, and does not come back.
    broker.kill().unwrap();
    test.boot(2).await;
    write!(said, "{dispatch:?}").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    reports.stop().await;
    let log = LOG.text.lock().unwrap().clone();
    assert!(log.contains("lapin") && log.contains("cellzero_amqp"), "something is logged");
    for secret in [WRONG, broker.password()] {
        assert!(!said.contains(secret), "{said}");
        if let Some(at) = log.find(secret) {
            panic!("logged: {}", &log[at.saturating_sub(300)..at + secret.len()]);
        }
    }
}
