//! Capacity that arrives at any step of a burial, of a retry or of a waking ends in the placement of
//! the one that waits, whether the process that was at that step goes on or is gone.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cellzero::*;
use cellzero_database::{CommitFate, Gate, Passed, Stop, with_gate};
use cellzero_test_support::Engine;
use rstest::rstest;
use tokio::sync::Notify;

use crate::auto_retry::{grow, hurried, settle_all, waits};
use crate::support::{TestPlane, request, user};

/// What becomes of the process once capacity has arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Process {
    GoesOn,
    /// It stands where it was, and is never heard of again.
    Dies,
}

/// During what capacity arrives.
#[derive(Debug, Clone, Copy)]
enum During {
    /// Boot, placement, burial.
    Burial,
    /// A user's retry of one that is asleep, and its second burial.
    Retry,
    /// The comparison that puts to sleep.
    Comparison,
}

type Arrival = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Counts the steps of a task, and lets capacity arrive before one of them.
struct Arrivals {
    at: usize,
    passed: AtomicUsize,
    arrival: Mutex<Option<Arrival>>,
    process: Process,
    /// The process has died.
    died: Notify,
}

impl Gate for Arrivals {
    fn pass(&self, stop: Stop) -> Pin<Box<dyn Future<Output = Passed> + Send + '_>> {
        Box::pin(async move {
            if self.passed.fetch_add(1, Ordering::SeqCst) == self.at {
                let arrival = self.arrival.lock().unwrap().take().expect("it arrives once");
                // Outside of this task, so that it meets no gate itself.
                tokio::spawn(arrival).await.unwrap();
                // Inside an operation a thread stands here, which cannot be left.
                if self.process == Process::Dies && matches!(stop, Stop::Operation { .. }) {
                    self.died.notify_one();
                    std::future::pending::<()>().await;
                }
            }
            Passed { fate: CommitFate::Real, guard: Arc::new(()) }
        })
    }
}

/// Leases that are over at once: the next process need not wait for those of a dead one.
fn short_leases(config: Config) -> Config {
    let mut options = OrchestratorOptions::default();
    options.auto_retry.back_off = Duration::from_millis(1);
    options.auto_retry.back_off_max = Duration::from_millis(4);
    options.back_off = Duration::from_millis(1);
    options.lease = Duration::from_millis(1);
    config.orchestrator(options)
}

fn with_token(token: &str) -> BootRequest {
    request("web", "1").auto_retry(true).client_token(token).build().unwrap()
}

async fn settled(plane: &ControlPlane) {
    for _ in 0..3 {
        plane.settle().await.unwrap();
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Does it once, with capacity that arrives before step `at`; says whether there was such a step,
/// and which instance it is about.
async fn once(
    test: &TestPlane,
    during: During,
    process: Process,
    (at, room): (usize, i32),
) -> (bool, InstanceUuid) {
    let before = match during {
        During::Burial => None,
        During::Retry | During::Comparison => {
            let uuid = test.plane.boot(&user(), waits("web")).await.unwrap()[0];
            if matches!(during, During::Retry) {
                settle_all(&test.plane).await;
            }
            Some(uuid)
        }
    };
    let plane = ControlPlane::open(test.config.clone()).await.unwrap();
    let host = test.plane.clone();
    let cell = test.cell(0);
    let arrival = Box::pin(async move {
        let node = ComputeNode::new("cell1-host1", room, 512 * room, 10 * room);
        host.hosts().report(cell, &node.with_ratios(1.0, 1.0, 1.0)).await.unwrap();
        // Another process looks at the change at once, and is done with it.
        host.settle().await.unwrap();
        host.settle().await.unwrap();
    });
    let gate = Arc::new(Arrivals {
        at,
        passed: AtomicUsize::new(0),
        arrival: Mutex::new(Some(arrival)),
        process,
        died: Notify::new(),
    });
    let token = format!("step-{at}-{room}");
    let work = async {
        match (during, before) {
            (During::Retry, Some(uuid)) => {
                // The process that saw the capacity may have been faster.
                let _ = plane.retry(&user(), uuid).await;
            }
            (During::Burial, _) => {
                let asked = with_token(&token);
                plane.boot(&user(), asked).await.unwrap();
            }
            _ => {}
        }
        plane.settle().await.unwrap();
    };
    let gated = with_gate(Arc::clone(&gate) as Arc<dyn Gate>, work);
    tokio::select! {
        () = gated => {}
        () = gate.died.notified() => {}
    }
    let arrived = gate.arrival.lock().unwrap().is_none();
    if process == Process::GoesOn {
        plane.close().await.unwrap();
    }
    let uuid = match before {
        Some(uuid) => uuid,
        // Where the process died before it was accepted, the user asks again.
        None => {
            let asked = with_token(&token);
            test.plane.boot(&user(), asked).await.unwrap()[0]
        }
    };
    (arrived, uuid)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn capacity_at_any_step_ends_in_a_placement(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[values(During::Burial, During::Retry, During::Comparison)] during: During,
    #[values(Process::GoesOn, Process::Dies)] process: Process,
) {
    let configure = if process == Process::Dies { short_leases } else { hurried };
    let Some(mut test) = TestPlane::with(engine, configure).await else { return };
    test.fill(&[&[(1, 1, 1)]]).await;
    // One that never fits, so that there is somebody to look at changes for.
    let huge = request("huge", "huge").auto_retry(true).build().unwrap();
    test.boot(&user(), huge).await;
    let mut steps = 0;
    loop {
        let room = i32::try_from(steps + 1).unwrap();
        let (arrived, uuid) = once(&test, during, process, (steps, room)).await;
        if !arrived {
            break;
        }
        let mut home = Home::BuildRequest;
        for _ in 0..50 {
            settled(&test.plane).await;
            home = test.plane.show(&user(), uuid).await.unwrap().home;
            if home == Home::Cell(test.cell(0)) {
                break;
            }
        }
        assert_eq!(home, Home::Cell(test.cell(0)), "capacity before step {steps} of {during:?}");
        steps += 1;
    }
    println!("{steps} steps of {during:?} on {}", engine.name());
    assert!(steps >= 5, "{steps} steps");
    grow(&test, 100).await;
    settle_all(&test.plane).await;
    test.check_at_rest();
}
