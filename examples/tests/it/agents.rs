//! The reference compute agent does each operation once, whenever it is killed.

use std::path::Path;
use std::time::Duration;

use cellzero::*;
use cellzero_amqp::{
    AmqpDispatch, AmqpOptions, HostAgent, OperationMessage, Report, ReportConsumer,
};
use cellzero_test_support::shared_broker;

use crate::compute_agent::agent::{Agent, Knobs};
use crate::compute_agent::journal::Journal;

const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

fn agent(url: &str, host: &str, state: &Path, fail_every: u64) -> Agent {
    let node = ComputeNode::new(host, 16, 16_384, 200).with_ratios(1.0, 1.0, 1.0);
    let build_time = Duration::from_millis(5);
    let knobs = Knobs { fail_every, build_time, report_every: Duration::from_millis(200) };
    let journal = Journal::open(&state.join(format!("{host}.jsonl"))).unwrap();
    Agent::new(url.to_owned(), node, knobs, journal)
}

/// Lets an agent work for a while, then kills it in the middle of whatever it does.
async fn work(mut agent: Agent, time: Duration) {
    let options = AmqpOptions::default();
    let worked = tokio::time::timeout(time, agent.run(&options, |_| {})).await;
    assert!(worked.is_err(), "an agent works until it is killed: {worked:?}");
}

async fn statuses(plane: &ControlPlane, ctx: &RequestContext) -> Vec<String> {
    let page = plane.list(ctx, &ListQuery::default()).await.unwrap();
    page.instances.iter().map(|instance| instance.status().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_that_are_killed_all_the_while_build_and_destroy_each_instance_once() {
    let Some(broker) = shared_broker() else { return };
    let url = broker.new_vhost();
    let state = tempfile::tempdir().unwrap();
    let options = AmqpOptions::default();
    let config = Config::embedded(state.path()).dispatch(AmqpDispatch::new(options.clone()));
    let plane = ControlPlane::open(config).await.unwrap();
    let path = state.path().join("cell1.db").display().to_string();
    let new = NewCell { transport_url: url.clone(), ..NewCell::new("cell1", path) };
    plane.cells().create(new).await.unwrap();
    plane.flavors().create(&Flavor::new("1", "m1.tiny", 1, 512, 1)).await.unwrap();
    let reports = ReportConsumer::start(&plane, options);
    let hosts = [("ant", 3), ("bee", 0)];
    let killed = hosts.map(|(host, fail_every)| {
        let (url, state) = (url.clone(), state.path().to_owned());
        tokio::spawn(async move {
            for _ in 0..60 {
                work(agent(&url, host, &state, fail_every), Duration::from_millis(330)).await;
            }
        })
    });
    let ctx = RequestContext::new("my-project", "me");
    // The hosts are known by what they report.
    for _ in 0..200 {
        if plane.what_if(&RequestContext::admin(), &request(), 32).await.unwrap().fit == 32 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let accepted = plane.boot(&ctx, request()).await.unwrap();
    plane.wait(&ctx, &accepted).await.unwrap();
    let mut last = Vec::new();
    for _ in 0..300 {
        last = statuses(&plane, &ctx).await;
        if last.iter().all(|status| status == "ACTIVE" || status == "ERROR") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(last.iter().all(|status| status == "ACTIVE" || status == "ERROR"), "{last:?}");
    let active = last.iter().filter(|status| *status == "ACTIVE").count();
    assert!(active >= 16, "{last:?}");
    for uuid in &accepted.instances[..8] {
        plane.delete(&ctx, *uuid).await.unwrap();
    }
    for killed in killed {
        killed.await.unwrap();
    }
    let page = plane.list(&ctx, &ListQuery::default()).await.unwrap();
    let mut live: Vec<InstanceUuid> = page
        .instances
        .iter()
        .filter(|instance| instance.status() == "ACTIVE")
        .map(|instance| instance.uuid)
        .collect();
    let journals =
        hosts.map(|(host, _)| Journal::open(&state.path().join(format!("{host}.jsonl"))).unwrap());
    let mut running: Vec<InstanceUuid> = journals.iter().flat_map(Journal::running).collect();
    live.sort();
    running.sort();
    assert_eq!(running, live, "what runs is what the plane shows");
    reports.stop().await;
    let none = Duration::ZERO;
    let options = FsckOptions { age: none, claim_age: none, ..FsckOptions::default() };
    let report = plane.fsck(options).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    plane.close().await.unwrap();
}

fn request() -> BootRequest {
    BootRequest::builder("web", "1", IMAGE).count(20).build().unwrap()
}

/// The end of the file may be torn: then the operation was not reported.
#[test]
fn a_torn_line_is_no_operation() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.jsonl");
    let mut journal = Journal::open(&path).unwrap();
    let uuid = |number: u128| format!("00000000-0000-0000-0000-{number:012}");
    for number in [1, 2] {
        let applied = serde_json::json!({
            "id": uuid(number), "instance_uuid": uuid(number), "sequence": 7,
            "report": {"report": "built", "instance_uuid": uuid(number), "host": "h", "sequence": 7},
        });
        journal.keep(serde_json::from_value(applied).unwrap()).unwrap();
    }
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let journal = Journal::open(&path).unwrap();
    assert_eq!((journal.running().len(), journal.builds()), (1, 1));
    assert_eq!(std::fs::read(&path).unwrap().iter().filter(|byte| **byte == b'\n').count(), 1);
}

/// A message that comes again is answered again, and done once.
#[tokio::test]
async fn a_repeated_build_is_answered_again_and_built_once() {
    let Some(broker) = shared_broker() else { return };
    let url = broker.new_vhost();
    let state = tempfile::tempdir().unwrap();
    let options = AmqpOptions::default();
    let config = Config::embedded(state.path()).dispatch(AmqpDispatch::new(options.clone()));
    let plane = ControlPlane::open(config).await.unwrap();
    let path = state.path().join("cell1.db").display().to_string();
    let new = NewCell { transport_url: url.clone(), ..NewCell::new("cell1", path) };
    let cell = plane.cells().create(new).await.unwrap();
    let node = ComputeNode::new("ant", 8, 16_384, 200);
    plane.hosts().report(cell, &node).await.unwrap();
    plane.flavors().create(&Flavor::new("1", "m1.tiny", 1, 512, 1)).await.unwrap();
    // It receives a build, and dies before it has acknowledged it.
    let mut dies = HostAgent::connect(&url, "ant", &options).await.unwrap();
    let ctx = RequestContext::new("my-project", "me");
    let one = BootRequest::builder("web", "1", IMAGE).build().unwrap();
    let accepted = plane.boot(&ctx, one).await.unwrap();
    let received = dies.next().await.unwrap();
    assert!(matches!(received.operation, OperationMessage::Build(_)) && !received.is_repeat);
    let (uuid, sequence) = (received.operation.instance_uuid(), received.operation.sequence());
    dies.report(&Report::Built { instance_uuid: uuid, host: "ant".into(), sequence })
        .await
        .unwrap();
    drop((dies, received));
    let reports = ReportConsumer::start(&plane, options);
    work(agent(&url, "ant", state.path(), 0), Duration::from_secs(1)).await;
    assert_eq!(plane.show(&ctx, accepted[0]).await.unwrap().status(), "ACTIVE");
    let journal = Journal::open(&state.path().join("ant.jsonl")).unwrap();
    assert_eq!((journal.running(), journal.builds()), (accepted.instances.clone(), 1));
    reports.stop().await;
    plane.close().await.unwrap();
}
