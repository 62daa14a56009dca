//! What hosts report is stored, then acknowledged.

use std::time::Duration;

use cellzero::*;
use cellzero_amqp::*;
use cellzero_test_support::{Engine, shared_broker};
use rstest::rstest;

use crate::support::{TestHost, TestPlane, no_build, options, until, user, well};

#[rstest]
#[tokio::test]
async fn a_failed_build_goes_to_the_next_host_and_is_error_after_the_last(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(broker) = shared_broker() else { return };
    let url = broker.new_vhost();
    let dispatch = AmqpDispatch::new(options());
    let Some(mut test) = TestPlane::new(engine, |config| config.dispatch(dispatch)).await else {
        return;
    };
    let bad = TestHost::start(&url, "bad", no_build).await;
    let good = TestHost::start(&url, "good", well).await;
    // The larger one is chosen first.
    test.add_cell(&url, &[("bad", 9), ("good", 3)]).await;
    let reports = ReportConsumer::start(&test.plane, options());
    let accepted = test.boot_and_send(1).await;
    until("ACTIVE", async || test.status(accepted[0]).await == "ACTIVE").await;
    let admin = RequestContext { is_admin: true, ..user() };
    let shown = test.plane.show(&admin, accepted[0]).await.unwrap();
    assert_eq!(shown.host.as_deref(), Some("good"));
    assert_eq!((bad.seen().len(), good.seen().len()), (1, 1));
    test.plane.hosts().disable("good", "none").await.unwrap();
    let last = test.boot_and_send(1).await;
    until("ERROR", async || test.status(last[0]).await == "ERROR").await;
    let fault = test.plane.show(&user(), last[0]).await.unwrap().fault.unwrap();
    assert!(fault.message.ends_with("no space left"), "{fault:?}");
    reports.stop().await;
    test.check_fsck().await;
}

#[tokio::test]
async fn a_host_that_reports_is_known_and_built_on() {
    let Some(broker) = shared_broker() else { return };
    let url = broker.new_vhost();
    let dispatch = AmqpDispatch::new(options());
    let mut test =
        TestPlane::new(Engine::Sqlite, |config| config.dispatch(dispatch)).await.unwrap();
    let cell = test.add_cell(&url, &[]).await;
    let reports = ReportConsumer::start(&test.plane, options());
    let agent = HostAgent::connect(&url, "ant", &options()).await.unwrap();
    let node = ComputeNode::new("ant", 4, 4_096, 40).with_trait("HW_CPU_X86_AVX2");
    agent.report(&Report::Host(node)).await.unwrap();
    until("known", async || !test.api.query("SELECT host FROM host_capacity").unwrap().is_empty())
        .await;
    drop(agent);
    let _host = TestHost::start(&url, "ant", well).await;
    let accepted = test.boot_and_send(1).await;
    until("ACTIVE", async || test.status(accepted[0]).await == "ACTIVE").await;
    assert_eq!(test.plane.show(&user(), accepted[0]).await.unwrap().home, Home::Cell(cell));
    reports.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_or_is_out_of_date_stops_no_other_report() {
    let Some(broker) = shared_broker() else { return };
    let url = broker.new_vhost();
    let dispatch = AmqpDispatch::new(options());
    let mut test =
        TestPlane::new(Engine::Sqlite, |config| config.dispatch(dispatch)).await.unwrap();
    test.add_cell(&url, &[("ant", 9)]).await;
    let reports = ReportConsumer::start(&test.plane, options());
    let agent = HostAgent::connect(&url, "ant", &options()).await.unwrap();
    let unknown = InstanceUuid(uuid_of(7));
    for report in [
        Report::Built { instance_uuid: unknown, host: "ant".into(), sequence: 1 },
        Report::Destroyed { instance_uuid: unknown, host: "ant".into(), sequence: 1 },
        Report::Failed {
            instance_uuid: unknown,
            host: "ant".into(),
            sequence: 1,
            reason: String::new(),
        },
    ] {
        agent.report(&report).await.unwrap();
    }
    drop(agent);
    let _host = TestHost::start(&url, "ant", well).await;
    let accepted = test.boot_and_send(1).await;
    until("ACTIVE", async || test.status(accepted[0]).await == "ACTIVE").await;
    reports.stop().await;
}

fn uuid_of(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

/// A report whose database is away comes again until it is stored.
#[tokio::test]
async fn a_report_is_acknowledged_only_once_it_is_stored() {
    let Some(broker) = shared_broker() else { return };
    let url = broker.new_vhost();
    let dispatch = AmqpDispatch::new(options());
    let mut test =
        TestPlane::new(Engine::Sqlite, |config| config.dispatch(dispatch)).await.unwrap();
    test.add_cell(&url, &[("ant", 9)]).await;
    let _host = TestHost::start(&url, "ant", well).await;
    let accepted = test.boot_and_send(1).await;
    // The table that the report needs is away.
    test.cells[0].1.execute("ALTER TABLE instance_fences RENAME TO away").unwrap();
    let reports = ReportConsumer::start(&test.plane, options());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(test.status(accepted[0]).await, "BUILD");
    test.cells[0].1.execute("ALTER TABLE away RENAME TO instance_fences").unwrap();
    until("ACTIVE", async || test.status(accepted[0]).await == "ACTIVE").await;
    reports.stop().await;
}

#[tokio::test]
async fn what_a_host_says_of_itself_is_stored_in_its_order_however_much_waits() {
    const LAST: i32 = 60;
    let Some(broker) = shared_broker() else { return };
    let url = broker.new_vhost();
    let mut test = TestPlane::new(Engine::Sqlite, |config| config).await.unwrap();
    test.add_cell(&url, &[]).await;
    let agent = HostAgent::connect(&url, "ant", &options()).await.unwrap();
    let node = |host: &str, room| {
        Report::Host(ComputeNode::new(host, room, 4_096, 40).with_ratios(1.0, 1.0, 1.0))
    };
    for room in 1..=LAST {
        agent.report(&node("ant", room)).await.unwrap();
    }
    // It comes last of all, so those before it are stored, or being stored.
    agent.report(&node("bee", 1)).await.unwrap();
    let reports = ReportConsumer::start(&test.plane, options());
    let of_bee = "SELECT host FROM host_capacity WHERE host = 'bee'";
    until("all", async || !test.api.query(of_bee).unwrap().is_empty()).await;
    reports.stop().await;
    let of_ant = "SELECT vcpus_limit FROM host_capacity WHERE host = 'ant'";
    assert_eq!(test.api.query(of_ant).unwrap()[0][0], Some(LAST.to_string()));
}
