//! Notifications: what is told of an instance, once, and by whom it is owned.

use std::sync::{Arc, Mutex};

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, request, user};

/// Who listens, in the order in which it was told.
#[derive(Debug, Clone, Default)]
struct Listener(Arc<Mutex<Vec<Notification>>>);

impl Notifier for Listener {
    fn notify(&self, notification: &Notification) {
        self.0.lock().unwrap().push(notification.clone());
    }
}

impl Listener {
    fn take(&self) -> Vec<Notification> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// What was told since the last time, each with its host.
    fn told(&self) -> Vec<(EventType, Option<String>)> {
        self.take().into_iter().map(|one| (one.event_type, one.payload.host)).collect()
    }
}

/// A receiver that takes everything and keeps what it was told last.
#[derive(Debug, Clone, Default)]
struct Later(Arc<Mutex<Option<(String, i64)>>>);

impl Later {
    fn note(&self, host: &str, sequence: i64) -> Dispatched {
        *self.0.lock().unwrap() = Some((host.to_owned(), sequence));
        Dispatched::Taken
    }

    fn last(&self) -> (String, i64) {
        self.0.lock().unwrap().clone().unwrap()
    }
}

#[async_trait::async_trait]
impl Dispatch for Later {
    async fn build(&self, o: &BuildOperation) -> Result<Dispatched, DispatchError> {
        Ok(self.note(&o.host, o.sequence))
    }

    async fn destroy(&self, o: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        Ok(self.note(&o.host, o.sequence))
    }

    async fn release(&self, _: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn act(&self, o: &ActionOperation) -> Result<Dispatched, DispatchError> {
        Ok(self.note(&o.host, o.sequence))
    }
}

#[rstest]
#[tokio::test]
async fn each_step_of_an_instance_is_told_once_with_its_owner_and_its_request(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let (listener, later) = (Listener::default(), Later::default());
    let configure = |config: Config| config.notifier(listener.clone()).dispatch(later.clone());
    let Some(mut test) = TestPlane::with(engine, configure).await else { return };
    test.fill(&[&[(9, 9_000, 90), (3, 3_000, 30)]]).await;
    let (ctx, cell, compute) = (user(), test.cell(0), test.plane.compute());
    let accepted = test.boot(&ctx, request("web", "1").build().unwrap()).await;
    let uuid = accepted[0];
    let (one, two) = (Some("cell1-host1".to_owned()), Some("cell1-host2".to_owned()));
    let started = listener.take();
    assert_eq!(started.len(), 1, "{started:?}");
    let start = &started[0];
    assert_eq!(
        (start.event_type, start.priority),
        (EventType::InstanceCreateStart, Priority::Info)
    );
    assert_eq!((start.payload.cell, &start.payload.host), (Some(cell), &one));

    let (host, sequence) = later.last();
    compute.failed(cell, uuid, &host, sequence, "no space left").await.unwrap();
    compute.failed(cell, uuid, &host, sequence, "no space left").await.unwrap_err();
    let failed = listener.take();
    assert_eq!(failed.len(), 2, "a stale report is not told: {failed:?}");
    assert_eq!(failed[0].event_type, EventType::InstanceCreateError);
    let fault = failed[0].payload.fault.as_ref().unwrap();
    assert_eq!((fault.code, fault.message.as_str()), (500, "no space left"));
    assert_eq!(
        (failed[0].payload.host.clone(), failed[1].payload.host.clone()),
        (one, two.clone())
    );
    for told in failed.iter().chain(&started) {
        let payload = &told.payload;
        assert_eq!((payload.instance_uuid, payload.project_id.as_str()), (uuid, "project-a"));
        assert_eq!(payload.user_id.as_deref(), Some("user-a"));
        assert_eq!(payload.request_id.as_ref(), Some(&ctx.request_id));
        assert_eq!(told.publisher_id, "cellzero:cellzero");
    }

    let (host, sequence) = later.last();
    compute.built(cell, uuid, &host, sequence).await.unwrap();
    compute.built(cell, uuid, &host, sequence).await.unwrap_err();
    assert_eq!(listener.told(), [(EventType::InstanceCreateEnd, two.clone())]);

    // An admin deletes it: it is told of the owner's project.
    let admin = RequestContext::admin();
    test.plane.delete(&admin, uuid).await.unwrap();
    test.plane.settle().await.unwrap();
    let deleted = listener.take();
    assert_eq!(deleted.len(), 1, "its host has it still: {deleted:?}");
    assert_eq!(deleted[0].event_type, EventType::InstanceDeleteStart);
    assert_eq!(deleted[0].payload.project_id, "project-a");
    assert_eq!(deleted[0].payload.request_id, Some(admin.request_id));
    let (_, sequence) = later.last();
    for _ in 0..2 {
        compute.destroyed(uuid, sequence).await.unwrap();
    }
    assert_eq!(listener.told(), [(EventType::InstanceDeleteEnd, two)]);
}

#[rstest]
#[tokio::test]
async fn a_burial_is_told_with_its_fault_and_what_was_asked_and_no_secret(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let listener = Listener::default();
    let configure = |config: Config| config.notifier(listener.clone());
    let Some(mut test) = TestPlane::with(engine, configure).await else { return };
    test.fill(&[&[(4, 4096, 40)]]).await;
    let ctx = user();
    let asked = request("big", "huge").count(2).metadata("key", "secret");
    let asked = asked.with(|asked| asked.user_data = Some("c2VjcmV0".to_owned())).build().unwrap();
    let accepted = test.boot(&ctx, asked).await;
    let told = listener.take();
    let mut uuids: Vec<InstanceUuid> = told.iter().map(|one| one.payload.instance_uuid).collect();
    uuids.sort();
    let mut expected = accepted.instances.clone();
    expected.sort();
    assert_eq!(uuids, expected);
    for one in &told {
        assert_eq!(one.event_type, EventType::BuildInstancesError);
        assert_eq!((one.priority, one.payload.cell), (Priority::Error, Some(CellUuid::CELL0)));
        let shown = test.plane.show(&ctx, one.payload.instance_uuid).await.unwrap();
        let fault = one.payload.fault.as_ref().unwrap();
        assert!(shown.fault.unwrap().message.starts_with(fault.message.trim_end_matches('…')));
        let spec = one.payload.request_spec.as_ref().unwrap();
        assert_eq!((spec.flavorid.as_str(), spec.vcpus, spec.num_instances), ("huge", 9_999, 2));
        let text = serde_json::to_string(one).unwrap();
        assert!(!text.contains("secret") && !text.contains("c2VjcmV0"), "{text}");
    }
    test.plane.settle().await.unwrap();
    assert_eq!(listener.told(), [], "a burial is told once");
    test.plane.delete(&ctx, accepted[0]).await.unwrap();
    let ended =
        [EventType::InstanceDeleteStart, EventType::InstanceDeleteEnd].map(|told| (told, None));
    assert_eq!(listener.told(), ended);
    let building = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    test.plane.delete(&ctx, building[0]).await.unwrap();
    assert_eq!(listener.told(), ended);
}
