//! The workers' passes while a cell is silent: it costs its time once, and what waited there is done
//! when it answers again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::halved::{Halved, Silence};
use crate::support::{Recorder, count, user};

/// What one question to a cell may take.
const STEP: Duration = Duration::from_secs(3);
/// A pass that asks no silent cell takes no part of that.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A dispatch that refuses everything until it is open.
#[derive(Debug, Clone, Default)]
struct Gated {
    open: Arc<AtomicBool>,
    recorder: Recorder,
}

impl Gated {
    fn check(&self) -> Result<(), DispatchError> {
        match self.open.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(DispatchError { reason: "closed".into() }),
        }
    }
}

#[async_trait::async_trait]
impl Dispatch for Gated {
    async fn build(&self, o: &BuildOperation) -> Result<Dispatched, DispatchError> {
        self.check()?;
        self.recorder.build(o).await
    }

    async fn destroy(&self, o: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        self.check()?;
        self.recorder.destroy(o).await
    }

    async fn release(&self, o: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        self.check()?;
        self.recorder.release(o).await
    }

    async fn act(&self, o: &ActionOperation) -> Result<Dispatched, DispatchError> {
        self.check()?;
        self.recorder.act(o).await
    }
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_cell_costs_the_passes_its_time_once_and_what_waits_there_is_done_later(
    #[case] engine: Engine,
    #[values(Silence::StoppedServer, Silence::Listener)] silence: Silence,
) {
    let dispatch = Gated::default();
    let (common, open) = (dispatch.clone(), Arc::clone(&dispatch.open));
    let configure = |config: Config| {
        let options = OrchestratorOptions {
            step_timeout: STEP,
            resend_after: Duration::from_millis(1),
            ..OrchestratorOptions::default()
        };
        config.orchestrator(options).dispatch(common)
    };
    let Some(halved) = Halved::new(engine, silence, 4, configure).await else { return };
    let plane = &halved.test.plane;
    // One waits to be deleted, one waits to be built.
    let dies = halved.boot_into_hung("dies", 2).await;
    let here = halved.boot_onto("cell1-host1", "here", 1).await;
    let lives = halved.boot_into_hung("lives", 1).await;
    halved.fall_silent();
    // The one who meets the silence waits for it.
    plane.recover().await.unwrap();
    plane.delete(&user(), dies[0]).await.unwrap();

    open.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let began = Instant::now();
        plane.delete(&user(), dies[1]).await.unwrap();
        plane.recover().await.unwrap();
        plane.settle().await.unwrap();
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    }
    // What waits elsewhere is done meanwhile, and nothing of the silent cell.
    assert_eq!(dispatch.recorder.of("build"), here.instances);
    assert_eq!(count(&halved.test.api, "boot_intents"), 2);

    halved.answer();
    let began = Instant::now();
    while count(&halved.test.api, "boot_intents") > 0 || count(&halved.database, "outbox") > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "it is not asked again");
        plane.recover().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(dispatch.recorder.of("build"), [here[0], lives[0]]);
    let mut destroyed = dispatch.recorder.of("destroy");
    destroyed.sort_unstable();
    let mut dead = dies.instances.clone();
    dead.sort_unstable();
    assert_eq!(destroyed, dead);
    assert_eq!(count(&halved.database, "instances WHERE deleted = 0"), 1);
    assert_eq!(count(&halved.test.api, "claims"), 2);
    plane.close().await.unwrap();
}
