//! Effects outside the databases: at least once, in order, only what is decided.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, count, request, user};

/// What was sent: its name, id, sequence number and attempt.
type Sent = (&'static str, OperationUuid, i64, u32);

/// A receiver that refuses while it is told to, and notes what it was sent either way.
#[derive(Debug, Clone, Default)]
struct Moody {
    refuses: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Moody {
    fn answer(&self, sent: Sent) -> Result<Dispatched, DispatchError> {
        self.sent.lock().unwrap().push(sent);
        match self.refuses.load(Ordering::SeqCst) {
            true => Err(DispatchError { reason: "not now".to_owned() }),
            false => Ok(Dispatched::Done),
        }
    }

    fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }
}

#[async_trait::async_trait]
impl Dispatch for Moody {
    async fn build(&self, o: &BuildOperation) -> Result<Dispatched, DispatchError> {
        self.answer(("build", o.id, o.sequence, o.attempt))
    }

    async fn destroy(&self, o: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        self.answer(("destroy", o.id, o.sequence, o.attempt))
    }

    async fn release(&self, o: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        self.answer(("release", o.id, o.sequence, o.attempt))
    }

    async fn reboot(&self, o: &RebootOperation) -> Result<Dispatched, DispatchError> {
        self.answer(("reboot", o.id, o.sequence, o.attempt))
    }
}

async fn plane(engine: Engine) -> Option<(TestPlane, Moody)> {
    let moody = Moody::default();
    let dispatch = moody.clone();
    let mut test = TestPlane::with(engine, |config| config.dispatch(dispatch)).await?;
    test.plane.flavors().create(&Flavor::new("1", "tiny", 1, 512, 1)).await.unwrap();
    test.add_cell(&[(99, 99_000, 990)]).await;
    Some((test, moody))
}

/// Settles until something was sent, a bounded number of times.
async fn settle_until_sent(test: &TestPlane, moody: &Moody) -> Vec<Sent> {
    for _ in 0..100 {
        test.plane.settle().await.unwrap();
        let sent = moody.take();
        if !sent.is_empty() {
            return sent;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing was sent");
}

#[rstest]
#[tokio::test]
async fn a_repeat_has_the_id_of_the_first_sending_and_the_next_attempt(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, moody)) = plane(engine).await else { return };
    moody.refuse(true);
    test.boot(&user(), request("web", "1").build().unwrap()).await;
    let first = moody.take();
    let second = settle_until_sent(&test, &moody).await;
    moody.refuse(false);
    let third = settle_until_sent(&test, &moody).await;
    let ("build", id, sequence, 1) = first[0] else { panic!("{first:?}") };
    assert_eq!(second, [("build", id, sequence, 2)]);
    assert_eq!(third, [("build", id, sequence, 3)]);
    assert_eq!(count(&test.cells[0].1, "outbox"), 0);
}

#[rstest]
#[tokio::test]
async fn sequence_numbers_rise_from_build_over_reboots_to_destroy(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, moody)) = plane(engine).await else { return };
    let ctx = user();
    let accepted = test.boot(&ctx, request("web", "1").build().unwrap()).await;
    for _ in 0..2 {
        test.plane.reboot(&ctx, accepted[0]).await.unwrap();
    }
    test.plane.delete(&ctx, accepted[0]).await.unwrap();
    test.plane.settle().await.unwrap();
    let sent = moody.take();
    let names: Vec<&str> = sent.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, ["build", "reboot", "reboot", "destroy"]);
    assert!(sent.is_sorted_by(|a, b| a.2 < b.2), "{sent:?}");
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_build_that_was_not_sent_before_the_delete_never_is(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, moody)) = plane(engine).await else { return };
    let ctx = user();
    moody.refuse(true);
    let accepted = test.boot(&ctx, request("web", "1").build().unwrap()).await;
    assert_eq!(moody.take().len(), 1);
    test.plane.delete(&ctx, accepted[0]).await.unwrap();
    moody.refuse(false);
    let sent = settle_until_sent(&test, &moody).await;
    assert!(matches!(sent[..], [("destroy", _, _, 1)]), "{sent:?}");
    assert_eq!(count(&test.cells[0].1, "outbox"), 0);
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_build_of_an_epoch_that_was_not_decided_is_not_sent(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, moody)) = plane(engine).await else { return };
    let ctx = user();
    moody.refuse(true);
    test.boot(&ctx, request("web", "1").build().unwrap()).await;
    assert_eq!(moody.take().len(), 1);
    moody.refuse(false);
    let cell = &test.cells[0].1;
    cell.execute("UPDATE outbox SET sequence = sequence + 1, not_before = NULL").unwrap();
    test.plane.settle().await.unwrap();
    assert_eq!(moody.take(), []);
    cell.execute("UPDATE outbox SET sequence = sequence - 1").unwrap();
    assert!(matches!(settle_until_sent(&test, &moody).await[..], [("build", ..)]));
}

#[rstest]
#[tokio::test]
async fn effects_that_another_process_sends_are_left_to_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, moody)) = plane(engine).await else { return };
    let other = ControlPlane::open(test.config.clone()).await.unwrap();
    moody.refuse(true);
    test.boot(&user(), request("web", "1").count(50).build().unwrap()).await;
    assert_eq!(moody.take().len(), 50);
    moody.refuse(false);
    test.cells[0].1.execute("UPDATE outbox SET not_before = NULL").unwrap();
    let (here, there) = tokio::join!(test.plane.settle(), other.settle());
    here.unwrap();
    there.unwrap();
    let mut ids: Vec<OperationUuid> = moody.take().into_iter().map(|sent| sent.1).collect();
    assert_eq!(ids.len(), 50);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 50, "some were sent twice");
    other.close().await.unwrap();
}
