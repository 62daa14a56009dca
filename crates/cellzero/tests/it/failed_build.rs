//! A build that failed: the next alternate in the same cell, then ERROR there; never cell0.

use std::sync::{Arc, Mutex};

use cellzero::*;
use cellzero_database::{Stop, with_gate};
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::before::Before;
use crate::cost::{Cost, cost};
use crate::support::{TestPlane, admin_of, count, request, user};

/// A receiver that takes everything and does it later.
#[derive(Debug, Clone, Default)]
struct Later {
    builds: Arc<Mutex<Vec<BuildOperation>>>,
    destroys: Arc<Mutex<Vec<DestroyOperation>>>,
}

impl Later {
    fn builds(&self) -> Vec<BuildOperation> {
        std::mem::take(&mut self.builds.lock().unwrap())
    }

    fn destroys(&self) -> Vec<DestroyOperation> {
        std::mem::take(&mut self.destroys.lock().unwrap())
    }
}

#[async_trait::async_trait]
impl Dispatch for Later {
    async fn build(&self, o: &BuildOperation) -> Result<Dispatched, DispatchError> {
        assert!(o.cell.is_some(), "a build names its cell");
        self.builds.lock().unwrap().push(o.clone());
        Ok(Dispatched::Taken)
    }

    async fn destroy(&self, o: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        self.destroys.lock().unwrap().push(o.clone());
        Ok(Dispatched::Taken)
    }

    async fn release(&self, _: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn act(&self, _: &ActionOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Taken)
    }
}

/// A plane with one cell of three hosts, the first of which is chosen first, and so on.
async fn plane(engine: Engine) -> Option<(TestPlane, Later)> {
    let later = Later::default();
    let dispatch = later.clone();
    let mut test = TestPlane::with(engine, |config| config.dispatch(dispatch)).await?;
    test.fill(&[&[(9, 9_000, 90), (6, 6_000, 60), (3, 3_000, 30)]]).await;
    Some((test, later))
}

/// Boots one, and gives the build that was sent.
async fn boot(test: &TestPlane, later: &Later) -> BuildOperation {
    test.boot(&user(), request("web", "1").build().unwrap()).await;
    let builds = later.builds();
    assert_eq!(builds.len(), 1);
    builds[0].clone()
}

async fn fail(
    test: &TestPlane,
    build: &BuildOperation,
) -> Result<Option<String>, Write<ReportError>> {
    let compute = test.plane.compute();
    let (uuid, host) = (build.instance_uuid, build.host.as_str());
    compute.failed(test.cell(0), uuid, host, build.sequence, "no space left").await
}

fn is_stale<T: std::fmt::Debug>(said: Result<T, Write<ReportError>>) -> bool {
    matches!(said, Err(Write::Failed(ReportError::Stale { .. })))
}

/// Which host is claimed, and how many vcpus each of the hosts has claimed.
fn claimed(test: &TestPlane) -> (Vec<String>, Vec<String>) {
    let text = |query: &str| -> Vec<String> {
        let rows = test.api.query(query).unwrap();
        rows.into_iter().map(|mut row| row.remove(0).unwrap()).collect()
    };
    (text("SELECT host FROM claims"), text("SELECT vcpus_used FROM host_capacity ORDER BY host"))
}

async fn check_fsck(test: &TestPlane) {
    let none = std::time::Duration::ZERO;
    let options = FsckOptions { age: none, claim_age: none, ..FsckOptions::default() };
    let report = test.plane.fsck(options).await.unwrap();
    assert!(report.is_clean() && report.moving.is_empty(), "{:?}", report.findings);
}

#[rstest]
#[tokio::test]
async fn a_failed_build_goes_on_with_each_alternate_and_is_error_in_its_cell_after_the_last(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, later)) = plane(engine).await else { return };
    let ctx = user();
    let first = boot(&test, &later).await;
    let uuid = first.instance_uuid;
    let hosts = ["cell1-host1", "cell1-host2", "cell1-host3"];
    let alternates: Vec<&str> = first.alternates.iter().map(String::as_str).collect();
    assert_eq!((first.host.as_str(), &alternates[..]), (hosts[0], &hosts[1..]));
    let mut build = first.clone();
    for (tried, next) in hosts.iter().zip(&hosts[1..]) {
        assert_eq!(build.host, *tried);
        let foreign = BuildOperation { host: (*next).to_owned(), ..build.clone() };
        let older = BuildOperation { sequence: build.sequence - 1, ..build.clone() };
        assert!(is_stale(fail(&test, &foreign).await) && is_stale(fail(&test, &older).await));
        assert_eq!(fail(&test, &build).await.unwrap().as_deref(), Some(*next));
        assert!(is_stale(fail(&test, &build).await), "it is stored already");
        let compute = test.plane.compute();
        assert!(is_stale(compute.built(test.cell(0), uuid, &build.host, build.sequence).await));
        let sent = later.builds();
        assert_eq!(sent.len(), 1, "the next build is sent at once");
        assert!(sent[0].sequence > build.sequence && sent[0].id != build.id);
        assert_eq!(sent[0].networks, build.networks);
        build = sent[0].clone();
        let shown = test.plane.show(&ctx, uuid).await.unwrap();
        assert_eq!((shown.status(), shown.host.as_deref()), ("BUILD", Some(*next)));
        assert_eq!(shown.node.as_deref(), Some(*next));
        assert_eq!(claimed(&test).0, [*next]);
        check_fsck(&test).await;
    }
    assert_eq!(build.alternates, Vec::<String>::new());
    assert_eq!(fail(&test, &build).await.unwrap(), None);
    let shown = test.plane.show(&ctx, uuid).await.unwrap();
    assert_eq!((shown.status(), shown.host), ("ERROR", None));
    assert_eq!(shown.home, Home::Cell(test.cell(0)), "a failed build is never buried");
    let fault = shown.fault.unwrap();
    assert!(fault.message.ends_with("no space left"), "{fault:?}");
    assert_eq!(count(&test.cells[0].1, "instance_faults"), 4);
    let (claims, used) = claimed(&test);
    assert_eq!((claims.len(), used), (0, ["0"; 3].map(String::from).to_vec()));
    let actions = test.plane.actions(&admin_of(&ctx), uuid).await.unwrap();
    assert_eq!((actions.len(), actions[0].message.as_deref()), (1, Some("Error")));
    let events: Vec<_> = actions[0].events.iter().map(|event| event.result.as_deref()).collect();
    assert_eq!(events, [Some("Error"); 3]);
    test.check_at_rest();
    check_fsck(&test).await;
    test.plane.delete(&ctx, uuid).await.unwrap();
    test.plane.settle().await.unwrap();
    assert!(later.destroys().is_empty() && later.builds().is_empty());
    test.check_at_rest();
    check_fsck(&test).await;
}

#[rstest]
#[tokio::test]
async fn the_alternate_that_builds_it_makes_it_active(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, later)) = plane(engine).await else { return };
    let first = boot(&test, &later).await;
    fail(&test, &first).await.unwrap();
    let second = later.builds().remove(0);
    let (cell, uuid) = (test.cell(0), first.instance_uuid);
    test.plane.compute().built(cell, uuid, &second.host, second.sequence).await.unwrap();
    assert!(is_stale(fail(&test, &second).await), "it is built already");
    let shown = test.plane.show(&user(), uuid).await.unwrap();
    assert_eq!((shown.status(), shown.host), ("ACTIVE", Some(second.host.clone())));
    let actions = test.plane.actions(&admin_of(&user()), uuid).await.unwrap();
    let results: Vec<_> = actions[0].events.iter().map(|event| event.result.as_deref()).collect();
    assert_eq!(results, [Some("Error"), Some("Success")]);
    test.plane.delete(&user(), uuid).await.unwrap();
    test.plane.settle().await.unwrap();
    let destroy = later.destroys().remove(0);
    assert_eq!(destroy.host, second.host);
    assert!(destroy.sequence > second.sequence);
    test.plane.compute().destroyed(uuid, destroy.sequence).await.unwrap();
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn an_alternate_without_room_or_out_of_scheduling_or_of_another_cell_is_left_out(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, later)) = plane(engine).await else { return };
    let full = boot(&test, &later).await;
    test.api
        .execute("UPDATE host_capacity SET vcpus_limit = 0 WHERE host = 'cell1-host2'")
        .unwrap();
    assert_eq!(fail(&test, &full).await.unwrap().as_deref(), Some("cell1-host3"));
    test.api
        .execute("UPDATE host_capacity SET vcpus_limit = 6 WHERE host = 'cell1-host2'")
        .unwrap();
    later.builds();

    let closed = boot(&test, &later).await;
    test.plane.hosts().disable("cell1-host2", "broken").await.unwrap();
    assert_eq!(fail(&test, &closed).await.unwrap().as_deref(), Some("cell1-host3"));
    test.plane.hosts().enable("cell1-host2").await.unwrap();
    later.builds();

    let moved = boot(&test, &later).await;
    test.api.execute("UPDATE host_mappings SET cell_id = 1 WHERE host <> 'cell1-host1'").unwrap();
    assert_eq!(fail(&test, &moved).await.unwrap(), None);
    test.check_at_rest();
}

fn decide(stop: &Stop) -> bool {
    matches!(stop, Stop::Operation { name: "decide_again", .. })
}

fn tell(stop: &Stop) -> bool {
    matches!(stop, Stop::Operation { name: "read_move", .. })
}

fn go_on(stop: &Stop) -> bool {
    matches!(stop, Stop::Operation { name: "go_on_after_failed_build", .. })
}

fn forget(stop: &Stop) -> bool {
    matches!(stop, Stop::Operation { name: "forget_intents", .. })
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_at_any_step_of_a_failed_build_leaves_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, later)) = plane(engine).await else { return };
    for step in [decide, tell, go_on, forget] {
        let build = boot(&test, &later).await;
        let (other, uuid) = (test.plane.clone(), build.instance_uuid);
        let gate = Before::new(step, async move { other.delete(&user(), uuid).await.unwrap() });
        let said = with_gate(gate.clone(), fail(&test, &build)).await;
        assert!(gate.has_happened());
        assert!(said.is_ok() || is_stale(said));
        test.plane.settle().await.unwrap();
        // Nothing more is built, and the host of its row destroys it: the one that failed, or the next,
        // to which nothing was sent.
        assert_eq!(later.builds(), []);
        let destroy = later.destroys().remove(0);
        assert!([&build.host, &build.alternates[0]].contains(&&destroy.host), "{destroy:?}");
        assert!(destroy.sequence > build.sequence);
        test.plane.compute().destroyed(uuid, destroy.sequence).await.unwrap();
        test.check_at_rest();
        check_fsck(&test).await;
        let shown = test.plane.show(&user(), uuid).await;
        assert!(matches!(shown, Err(ReadError::InstanceNotFound { .. })));
    }
}

/// The report was stored, and its process went away: another one goes on.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_beside_a_failed_build_takes_it_to_the_same_host(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, later)) = plane(engine).await else { return };
    for step in [tell, go_on, forget] {
        let build = boot(&test, &later).await;
        let other = ControlPlane::open(test.config.clone()).await.unwrap();
        let sweeper = other.clone();
        let gate = Before::new(step, async move {
            sweeper.recover().await.unwrap();
        });
        let next = with_gate(gate.clone(), fail(&test, &build)).await.unwrap().unwrap();
        assert!(gate.has_happened());
        test.plane.settle().await.unwrap();
        let sent = later.builds();
        assert_eq!((sent.len(), &sent[0].host), (1, &next));
        test.check_at_rest();
        check_fsck(&test).await;
        other.close().await.unwrap();
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_said_it_failed_cannot_say_that_it_built(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, later)) = plane(engine).await else { return };
    for step in [decide, tell, go_on] {
        let build = boot(&test, &later).await;
        let (plane, cell, said) = (test.plane.clone(), test.cell(0), build.clone());
        let gate = Before::new(step, async move {
            let (uuid, host) = (said.instance_uuid, said.host);
            assert!(is_stale(plane.compute().built(cell, uuid, &host, said.sequence).await));
        });
        with_gate(gate.clone(), fail(&test, &build)).await.unwrap();
        assert!(gate.has_happened());
        later.builds();
        test.check_at_rest();
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_reports_at_once_one_moves_the_claim(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, later)) = plane(engine).await else { return };
    let build = boot(&test, &later).await;
    let (cell, uuid) = (test.cell(0), build.instance_uuid);
    let reports: Vec<_> = (0..6)
        .map(|_| {
            let (plane, build) = (test.plane.clone(), build.clone());
            tokio::spawn(async move {
                let (host, sequence) = (build.host.as_str(), build.sequence);
                plane.compute().failed(cell, uuid, host, sequence, "no").await
            })
        })
        .collect();
    let mut stored = 0;
    for report in reports {
        match report.await.unwrap() {
            Ok(next) => {
                assert_eq!(next.as_deref(), Some("cell1-host2"));
                stored += 1;
            }
            said => assert!(is_stale(said)),
        }
    }
    assert_eq!(stored, 1);
    test.plane.settle().await.unwrap();
    assert_eq!(later.builds().len(), 1);
    assert_eq!(count(&test.cells[0].1, "instance_faults"), 1);
    test.check_at_rest();
    check_fsck(&test).await;
}

/// Two that swap their hosts lock the same rows.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_failed_builds_at_once_leave_claims_that_match(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, later)) = plane(engine).await else { return };
    test.boot(&user(), request("web", "1").count(16).build().unwrap()).await;
    let cell = test.cell(0);
    for _ in 0..2 {
        let reports: Vec<_> = later
            .builds()
            .into_iter()
            .map(|build| {
                let plane = test.plane.clone();
                tokio::spawn(async move {
                    let (uuid, host) = (build.instance_uuid, build.host.as_str());
                    plane.compute().failed(cell, uuid, host, build.sequence, "no").await.unwrap()
                })
            })
            .collect();
        assert!(!reports.is_empty());
        for report in reports {
            report.await.unwrap();
        }
        test.plane.settle().await.unwrap();
        test.check_at_rest();
        check_fsck(&test).await;
    }
}

#[rstest]
#[tokio::test]
async fn a_failed_build_costs_what_is_documented(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, later)) = plane(engine).await else { return };
    let build = boot(&test, &later).await;
    let (moved, next) = cost(&test.plane, fail(&test, &build)).await;
    assert!(next.unwrap().is_some());
    assert_eq!(moved, Cost { api: 18, cell0: 0, cells: 16, commits: 4, asked: 2 });
}
