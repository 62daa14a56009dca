//! Effects outside the databases: at least once, in order, only what is decided.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase};
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
        // Long enough that another process looks while it is being sent.
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.answer(("release", o.id, o.sequence, o.attempt))
    }

    async fn act(&self, o: &ActionOperation) -> Result<Dispatched, DispatchError> {
        self.answer((o.action.name(), o.id, o.sequence, o.attempt))
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

fn with_volume() -> BootRequest {
    let volume = BlockDevice {
        source_type: "volume".into(),
        destination_type: "volume".into(),
        source_id: Some("18623572-8e9e-4f3c-b009-aa26d5b69a9c".parse().unwrap()),
        ..BlockDevice::default()
    };
    request("db", "1").block_device(volume).build().unwrap()
}

/// Whether what an outbox holds is sent again later, but long before the lease of a sender ends.
fn is_put_off_for_a_moment(database: &TestDatabase) -> bool {
    let times = &database.query("SELECT created_at, not_before FROM outbox").unwrap()[0];
    let [created, due] = [0, 1].map(|index| {
        let text = times[index].as_ref().unwrap().replace('T', " ");
        chrono::NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").unwrap()
    });
    created < due && due < created + chrono::TimeDelta::seconds(30)
}

#[rstest]
#[tokio::test]
async fn a_release_that_was_refused_is_repeated_with_its_id(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, moody)) = plane(engine).await else { return };
    let ctx = user();
    let accepted = test.plane.boot(&ctx, with_volume()).await.unwrap();
    moody.refuse(true);
    test.plane.delete(&ctx, accepted[0]).await.unwrap();
    let first = settle_until_sent(&test, &moody).await;
    let ("release", id, sequence, 1) = first[0] else { panic!("{first:?}") };
    // It is not sent before its time, which is soon, and then with the next attempt.
    assert!(is_put_off_for_a_moment(&test.api));
    test.api.execute("UPDATE outbox SET not_before = '2096-01-01 00:00:00'").unwrap();
    test.plane.settle().await.unwrap();
    assert_eq!(moody.take(), []);
    test.api.execute("UPDATE outbox SET not_before = NULL").unwrap();
    assert_eq!(settle_until_sent(&test, &moody).await, [("release", id, sequence, 2)]);
    moody.refuse(false);
    assert_eq!(settle_until_sent(&test, &moody).await, [("release", id, sequence, 3)]);
    assert_eq!(count(&test.api, "outbox"), 0);
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
        test.plane.act(&ctx, accepted[0], Action::Reboot).await.unwrap();
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

/// The bound of one batch is 200.
#[rstest]
#[tokio::test]
async fn builds_that_wait_for_their_decision_do_not_stand_in_the_way_of_others(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let moody = Moody::default();
    let dispatch = moody.clone();
    let Some(mut test) = TestPlane::with(engine, |config| config.dispatch(dispatch)).await else {
        return;
    };
    test.plane.flavors().create(&Flavor::new("1", "tiny", 1, 1, 1)).await.unwrap();
    test.add_cell(&[(999, 999_000, 9990)]).await;
    moody.refuse(true);
    test.boot(&user(), request("web", "1").count(210).build().unwrap()).await;
    assert_eq!(moody.take().len(), 210, "all batches of an outbox are sent in one pass");
    moody.refuse(false);
    let cell = &test.cells[0].1;
    let last = cell.query("SELECT MAX(id) FROM outbox").unwrap()[0][0].clone().unwrap();
    // All but one are of an epoch that was not decided, and older.
    cell.execute("UPDATE outbox SET not_before = NULL").unwrap();
    cell.execute(&format!(
        "UPDATE outbox SET created_at = '2026-01-01 00:00:00', sequence = sequence + 1 WHERE \
         id <> '{last}'"
    ))
    .unwrap();
    test.plane.settle().await.unwrap();
    assert!(matches!(moody.take()[..], [("build", ..)]));
    assert_eq!(count(cell, "outbox"), 209);
    assert!(count(cell, "outbox WHERE not_before IS NOT NULL") >= 200);
}

#[rstest]
#[tokio::test]
async fn releases_that_another_process_sends_are_left_to_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, moody)) = plane(engine).await else { return };
    let other = ControlPlane::open(test.config.clone()).await.unwrap();
    let ctx = user();
    for _ in 0..20 {
        let accepted = test.plane.boot(&ctx, with_volume()).await.unwrap();
        test.plane.delete(&ctx, accepted[0]).await.unwrap();
    }
    let (here, there) = tokio::join!(test.plane.settle(), other.settle());
    here.unwrap();
    there.unwrap();
    assert_eq!(moody.take().len(), 20);
    other.close().await.unwrap();
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

/// A receiver that takes builds and does them later.
#[derive(Debug, Clone, Default)]
struct Later(Arc<Mutex<Vec<BuildOperation>>>);

#[async_trait::async_trait]
impl Dispatch for Later {
    async fn build(&self, o: &BuildOperation) -> Result<Dispatched, DispatchError> {
        self.0.lock().unwrap().push(o.clone());
        Ok(Dispatched::Taken)
    }

    async fn destroy(&self, _: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Taken)
    }

    async fn release(&self, _: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Taken)
    }

    async fn act(&self, _: &ActionOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Taken)
    }
}

#[rstest]
#[tokio::test]
async fn only_the_host_that_was_told_to_build_says_that_it_has(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let later = Later::default();
    let dispatch = later.clone();
    let Some(mut test) = TestPlane::with(engine, |config| config.dispatch(dispatch)).await else {
        return;
    };
    test.plane.flavors().create(&Flavor::new("1", "tiny", 1, 512, 1)).await.unwrap();
    let cell = test.add_cell(&[(9, 9000, 90)]).await;
    let ctx = user();
    let accepted = test.boot(&ctx, request("web", "1").build().unwrap()).await;
    let build = later.0.lock().unwrap()[0].clone();
    let (uuid, host) = (accepted[0], build.host.as_str());
    let status = async || test.plane.show(&ctx, uuid).await.unwrap().status();
    let said = async |host: &str, sequence| {
        let built = test.plane.compute().built(cell, uuid, host, sequence).await;
        match built {
            Ok(()) => true,
            Err(Write::Failed(ReportError::Stale { .. })) => false,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(!said("another", build.sequence).await);
    assert!(!said(host, build.sequence - 1).await);
    assert_eq!(status().await, "BUILD");
    assert!(said(host, build.sequence).await);
    assert!(!said(host, build.sequence).await, "it is built already");
    assert_eq!(status().await, "ACTIVE");
    let alive = test.plane.compute().destroyed(uuid, build.sequence + 1).await.unwrap_err();
    assert!(matches!(alive.failed(), Some(ReportError::Stale { .. })), "{alive}");
    // Its claim is freed when its host says that it is gone, and not before.
    test.plane.delete(&ctx, uuid).await.unwrap();
    test.plane.settle().await.unwrap();
    assert_eq!(count(&test.api, "claims"), 1);
    let before = test.plane.compute().destroyed(uuid, build.sequence).await.unwrap_err();
    assert!(matches!(before.failed(), Some(ReportError::Stale { .. })), "{before}");
    assert_eq!(count(&test.api, "claims"), 1);
    test.plane.compute().destroyed(uuid, build.sequence + 1).await.unwrap();
    assert_eq!(count(&test.api, "claims"), 0);
    test.check_at_rest();
}
