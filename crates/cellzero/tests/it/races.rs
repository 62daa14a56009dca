//! What happens between two steps of an operation, made to happen just there.

use std::sync::{Arc, Mutex};

use cellzero::*;
use cellzero_database::{CommitFate, Stop, with_gate};
use cellzero_test_support::{Engine, silent_listener};
use rstest::rstest;

use crate::before::Before;
use crate::support::{TestPlane, count, request, user};

fn decide(stop: &Stop) -> bool {
    matches!(stop, Stop::Operation { name: "decide", .. })
}

fn place(stop: &Stop) -> bool {
    matches!(stop, Stop::Operation { name: "place", .. })
}

fn report(stop: &Stop) -> bool {
    matches!(stop, Stop::Operation { name: "report_host", .. })
}

fn delete(stop: &Stop) -> bool {
    matches!(stop, Stop::Transaction { name: "delete" })
}

fn delete_in_cell(stop: &Stop) -> bool {
    matches!(stop, Stop::Operation { name: "delete_instance", .. })
}

/// The epochs of all instances, in the order of a multi-create.
fn epochs(test: &TestPlane) -> Vec<i64> {
    let rows = test.api.query("SELECT epoch FROM boot_states ORDER BY group_index").unwrap();
    rows.iter().map(|row| row[0].as_ref().unwrap().parse().unwrap()).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_deletes_that_saw_it_both_succeed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[values(false, true)] settled: bool,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let uuid = test.plane.boot(&user(), request("web", "1").build().unwrap()).await.unwrap()[0];
    if settled {
        test.plane.settle().await.unwrap();
    }
    let other = test.plane.clone();
    let gate = Before::new(delete, async move { other.delete(&user(), uuid).await.unwrap() });
    with_gate(gate.clone(), test.plane.delete(&user(), uuid)).await.unwrap();
    assert!(gate.has_happened());
    let third = test.plane.delete(&user(), uuid).await.unwrap_err();
    assert!(matches!(third.failed(), Some(DeleteError::InstanceNotFound { .. })), "{third}");
    test.plane.settle().await.unwrap();
    test.check_at_rest();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_just_before_the_decision_sweeps_and_costs_the_siblings_no_epoch(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let asked = request("web", "1").count(3).build().unwrap();
    let accepted = test.plane.boot(&user(), asked).await.unwrap();
    let (other, uuid) = (test.plane.clone(), accepted[1]);
    let gate = Before::new(decide, async move { other.delete(&user(), uuid).await.unwrap() });
    let settled = with_gate(gate.clone(), test.plane.settle()).await.unwrap();
    assert!(gate.has_happened());
    // What it had written is gone with the delete itself, before any sweep.
    assert_eq!((settled.in_cells, settled.swept), (2, 0), "{settled:?}");
    assert_eq!(count(&test.cells[0].1, "instances"), 2);
    assert_eq!(epochs(&test), [1, 2, 1]);
    test.check_at_rest();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cell_that_is_disabled_just_before_the_decision_gets_none(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(2, 4096, 40)], &[(4, 4096, 40)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let asked = request("web", "1").count(4).build().unwrap();
    test.plane.boot(&user(), asked).await.unwrap();
    let (other, cell) = (test.plane.clone(), test.cell(0));
    let gate = Before::new(decide, async move { other.cells().disable(cell).await.unwrap() });
    let settled = with_gate(gate.clone(), test.plane.settle()).await.unwrap();
    assert!(gate.has_happened());
    assert_eq!((settled.in_cells, settled.in_cell0), (4, 0), "{settled:?}");
    test.plane.settle().await.unwrap();
    assert_eq!(count(&test.cells[0].1, "instances WHERE deleted = 0"), 0);
    let mut epochs = epochs(&test);
    epochs.sort();
    assert_eq!(epochs.len(), 4);
    assert!(epochs[0] == 1 && epochs[3] > 1, "{epochs:?}");
    test.check_at_rest();
}

/// What was not acknowledged is read: it stands, or it is decided anew.
#[rstest]
#[case::it_stands(CommitFate::Unacknowledged, 1)]
#[case::it_was_lost(CommitFate::Lost, 2)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_without_an_answer_is_read_and_not_guessed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[case] fate: CommitFate,
    #[case] epoch: i64,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    test.plane.boot(&user(), request("web", "1").count(2).build().unwrap()).await.unwrap();
    let gate = Before::commit(decide, fate);
    let settled = with_gate(gate.clone(), test.plane.settle()).await.unwrap();
    assert!(gate.has_happened());
    assert_eq!((settled.in_cells, settled.waiting), (2, 0), "{settled:?}");
    assert_eq!(epochs(&test), [epoch, epoch]);
    test.plane.settle().await.unwrap();
    test.check_at_rest();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leased_group_is_left_to_the_one_that_has_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    test.plane.boot(&user(), request("web", "1").build().unwrap()).await.unwrap();
    // Its lease is given back, so that another process takes it.
    test.plane.close().await.unwrap();
    let plane = ControlPlane::open(test.config.clone()).await.unwrap();
    let other = ControlPlane::open(test.config.clone()).await.unwrap();
    let third = other.clone();
    let gate = Before::new(place, async move {
        assert_eq!(third.recover().await.unwrap(), Settled::default());
    });
    let settled = with_gate(gate.clone(), plane.recover()).await.unwrap();
    assert!(gate.has_happened());
    assert_eq!(settled.in_cells, 1);
    assert_eq!(epochs(&test), [2]);
    plane.close().await.unwrap();
    other.close().await.unwrap();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_another_cell_maps_just_before_it_reports_stays_there(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[], &[]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let node = ComputeNode::new("host", 4, 4096, 40);
    let (other, theirs, cell) = (test.plane.clone(), node.clone(), test.cell(0));
    let gate = Before::new(report, async move {
        other.hosts().report(cell, &theirs).await.unwrap();
    });
    let refused = with_gate(gate.clone(), test.plane.hosts().report(test.cell(1), &node)).await;
    assert!(gate.has_happened());
    let refused = refused.unwrap_err();
    let Some(HostError::MappedElsewhere { mapped, .. }) = refused.failed() else {
        panic!("{refused}")
    };
    assert_eq!(*mapped, cell);
}

/// A dispatch that keeps the networks of what it is told to release.
#[derive(Debug, Clone, Default)]
struct Ports(Arc<Mutex<Vec<Networks>>>);

#[async_trait::async_trait]
impl Dispatch for Ports {
    async fn build(&self, _: &BuildOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn destroy(&self, _: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn release(&self, o: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        self.0.lock().unwrap().push(o.networks.clone());
        Ok(Dispatched::Done)
    }

    async fn act(&self, _: &ActionOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_that_does_not_reach_cell0_releases_its_ports_when_it_is_swept(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[values(false, true)] recover: bool,
) {
    let ports = Ports::default();
    let dispatch = ports.clone();
    // A commit without an answer opens the breaker, and then the sweep waits for a probe.
    let configure = |config: Config| config.dispatch(dispatch).breaker(None);
    let Some(test) = TestPlane::with(engine, configure).await else { return };
    test.plane.flavors().create(&Flavor::new("1", "tiny", 1, 512, 1)).await.unwrap();
    let port = RequestedNetwork {
        port_id: Some("18623572-8e9e-4f3c-b009-aa26d5b69a9c".parse().unwrap()),
        ..RequestedNetwork::default()
    };
    let networks = Networks::Requested(vec![port]);
    let asked = request("web", "1").networks(networks.clone()).build().unwrap();
    let uuid = test.boot(&user(), asked).await[0];
    let gate = Before::commit(delete_in_cell, CommitFate::Lost);
    with_gate(gate.clone(), test.plane.delete(&user(), uuid)).await.unwrap();
    assert!(gate.has_happened());
    assert_eq!(*ports.0.lock().unwrap(), []);
    assert_eq!(count(&test.cell0, "instances WHERE deleted = 0"), 1);
    let settled = match recover {
        true => test.plane.recover().await.unwrap(),
        false => test.plane.settle().await.unwrap(),
    };
    assert_eq!((settled.swept, settled.dispatched), (1, 1));
    assert_eq!(*ports.0.lock().unwrap(), [networks]);
    test.check_at_rest();
}

/// A list for which cell0 is silent; while it reads the outlines in its place, cell0 answers again
/// and the buried instance leaves it.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_leaves_a_silent_cell0_meanwhile_is_listed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(1, 512, 10)]]).await else { return };
    let asked = request("big", "huge").build().unwrap();
    let uuid = test.boot(&user(), asked).await.instances[0];
    let lister = ControlPlane::open(test.config.clone()).await.unwrap();
    let listener = silent_listener();
    let point_to = |url: &str| {
        format!(
            "UPDATE cell_mappings SET database_connection = '{url}' WHERE uuid = '{}'",
            CellUuid::CELL0
        )
    };
    test.api.execute(&point_to(&listener.url(Engine::Postgres))).unwrap();
    let (other, back) = (test.plane.clone(), point_to(test.cell0.url()));
    let api = test.api.session();
    let gate = Before::new(
        |stop| matches!(stop, Stop::Operation { name: "read_outlines", .. }),
        async move {
            api.query(&back).unwrap();
            other.retry(&user(), uuid).await.unwrap();
        },
    );
    let hurried = user().with_timeout(std::time::Duration::from_secs(1));
    let page = with_gate(gate.clone(), lister.list(&hurried, &ListQuery::default())).await.unwrap();
    assert!(gate.has_happened());
    assert_eq!(page.instances.iter().map(|one| one.uuid).collect::<Vec<_>>(), [uuid]);
}
