//! Operations reach the queue of their host, or are refused in time.

use std::time::{Duration, Instant};

use cellzero::*;
use cellzero_amqp::*;
use cellzero_test_support::{Engine, private_broker, shared_broker};

use crate::support::{TestHost, TestPlane, options, until, user, well};

#[tokio::test]
async fn each_operation_reaches_the_queue_of_its_host_with_id_sequence_and_attempt() {
    let Some(broker) = shared_broker() else { return };
    let url = broker.new_vhost();
    let dispatch = AmqpDispatch::new(options());
    let mut test =
        TestPlane::new(Engine::Sqlite, |config| config.dispatch(dispatch)).await.unwrap();
    let hosts =
        [TestHost::start(&url, "ant", well).await, TestHost::start(&url, "bee", well).await];
    test.add_cell(&url, &[("ant", 2), ("bee", 2)]).await;
    let reports = ReportConsumer::start(&test.plane, options());
    let accepted = test.boot(4).await;
    for uuid in &accepted.instances {
        until("ACTIVE", async || test.status(*uuid).await == "ACTIVE").await;
    }
    test.plane.act(&user(), accepted[0], Action::Reboot).await.unwrap();
    until("rebooted", async || {
        let shown = test.plane.show(&user(), accepted[0]).await.unwrap();
        shown.task_state.is_none()
    })
    .await;
    for uuid in &accepted.instances {
        test.plane.delete(&user(), *uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    until("the claims are free", async || {
        test.api.query("SELECT host FROM claims").unwrap().is_empty()
    })
    .await;
    let seen: Vec<_> = hosts.iter().flat_map(TestHost::seen).collect();
    assert_eq!(
        hosts
            .iter()
            .map(|host| host.seen().iter().filter(|s| s.name == "build").count())
            .collect::<Vec<_>>(),
        [2, 2]
    );
    assert!(seen.iter().all(|seen| seen.attempt == 1 && !seen.is_repeat), "{seen:?}");
    for uuid in &accepted.instances {
        let of: Vec<_> = seen.iter().filter(|seen| seen.instance == *uuid).collect();
        assert!(of.is_sorted_by(|a, b| a.sequence < b.sequence && a.id != b.id), "{of:?}");
        assert_eq!((of[0].name, of[of.len() - 1].name), ("build", "destroy"));
    }
    reports.stop().await;
    test.check_fsck().await;
}

#[tokio::test]
async fn an_operation_without_a_queue_is_refused_and_comes_as_a_repeat_once_there_is_one() {
    let Some(broker) = shared_broker() else { return };
    let url = broker.new_vhost();
    let dispatch = AmqpDispatch::new(options());
    let mut test =
        TestPlane::new(Engine::Sqlite, |config| config.dispatch(dispatch)).await.unwrap();
    test.add_cell(&url, &[("ant", 2)]).await;
    test.boot(1).await;
    let kept = test.cells[0].1.query("SELECT attempts FROM outbox").unwrap();
    assert_eq!(kept.len(), 1, "it waits in the outbox");
    let host = TestHost::start(&url, "ant", well).await;
    until("sent", async || {
        test.plane.settle().await.unwrap();
        !host.seen().is_empty()
    })
    .await;
    let seen = host.seen();
    assert!(seen[0].is_repeat && seen[0].attempt > 1, "{seen:?}");
    assert!(test.cells[0].1.query("SELECT id FROM outbox").unwrap().is_empty());
}

/// The longest time is of one message, and of the first only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_hangs_costs_its_longest_time_once_and_other_cells_nothing() {
    let (Some(broker), Some(hung)) = (shared_broker(), private_broker()) else { return };
    let (url, hung_url) = (broker.new_vhost(), hung.new_vhost());
    let limit = Duration::from_secs(1);
    let dispatch = AmqpDispatch::new(options().send_timeout(limit));
    let mut test =
        TestPlane::new(Engine::Sqlite, |config| config.dispatch(dispatch)).await.unwrap();
    let hosts =
        [TestHost::start(&url, "ant", well).await, TestHost::start(&hung_url, "bee", well).await];
    test.add_cell(&url, &[("ant", 20)]).await;
    test.add_cell(&hung_url, &[("bee", 20)]).await;
    // Both are connected.
    test.boot(20).await;
    for host in &hosts {
        until("a build", async || !host.seen().is_empty()).await;
    }
    hung.pause().unwrap();
    let before: Vec<usize> = hosts.iter().map(|host| host.seen().len()).collect();
    let began = Instant::now();
    let accepted = test.boot(20).await;
    let took = began.elapsed();
    // Ten builds to the hung one: one waits, nine are told at once. The slack is the machine's.
    assert!(took >= limit && took < limit * 3, "{took:?}");
    let began = Instant::now();
    test.plane.settle().await.unwrap();
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    until("the other cell has all of its own", async || hosts[0].seen().len() >= before[0] + 10)
        .await;
    hung.resume().unwrap();
    until("all are sent", async || {
        test.plane.settle().await.unwrap();
        test.cells[1].1.query("SELECT id FROM outbox").unwrap().is_empty()
    })
    .await;
    until("all have come", async || {
        let seen = hosts[1].seen();
        accepted.instances.iter().filter(|uuid| seen.iter().any(|s| s.instance == **uuid)).count()
            == 10
    })
    .await;
}

#[tokio::test]
async fn another_transport_url_is_heard_without_a_restart() {
    let Some(broker) = shared_broker() else { return };
    let (old, new) = (broker.new_vhost(), broker.new_vhost());
    let dispatch = AmqpDispatch::new(options());
    let mut test =
        TestPlane::new(Engine::Sqlite, |config| config.dispatch(dispatch)).await.unwrap();
    let hosts =
        [TestHost::start(&old, "ant", well).await, TestHost::start(&new, "ant", well).await];
    test.add_cell(&old, &[("ant", 9)]).await;
    let reports = ReportConsumer::start(&test.plane, options());
    let first = test.boot(1).await;
    until("ACTIVE", async || test.status(first[0]).await == "ACTIVE").await;
    let update = format!("UPDATE cell_mappings SET transport_url = '{new}' WHERE name = 'cell1'");
    test.api.execute(&update).unwrap();
    test.plane.settle().await.unwrap();
    let second = test.boot(1).await;
    until("ACTIVE", async || test.status(second[0]).await == "ACTIVE").await;
    let seen =
        hosts.each_ref().map(|host| host.seen().iter().map(|s| s.instance).collect::<Vec<_>>());
    assert_eq!(seen, [first.instances, second.instances]);
    reports.stop().await;
}

#[tokio::test]
async fn what_has_no_broker_is_refused_or_done_by_another() {
    for (instead, status) in [(false, "BUILD"), (true, "ACTIVE")] {
        let dispatch = AmqpDispatch::new(options());
        let dispatch = match instead {
            true => dispatch.without_broker(InProcessDispatch),
            false => dispatch,
        };
        let mut test =
            TestPlane::new(Engine::Sqlite, |config| config.dispatch(dispatch)).await.unwrap();
        test.add_cell("none:///", &[("ant", 9)]).await;
        let accepted = test.boot(1).await;
        assert_eq!(test.status(accepted[0]).await, status);
        let waits = test.cells[0].1.query("SELECT id FROM outbox").unwrap().len();
        assert_eq!(waits, usize::from(!instead));
    }
}
