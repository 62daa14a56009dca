//! Actions on live instances, and what an instance in cell0 or without a home answers to them.

use std::sync::{Arc, Mutex};

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{IMAGE, PUBLIC_KEY, TestPlane, admin_of, request, user};

const OTHER_IMAGE: &str = "11111111-2222-3333-4444-555555555555";

/// A plane with one live and one buried instance of the user.
async fn plane(engine: Engine) -> Option<(TestPlane, InstanceUuid, InstanceUuid)> {
    let test = TestPlane::with_cells(engine, &[&[(8, 8192, 100)]]).await?;
    let live = test.boot(&user(), request("web", "1").build().unwrap()).await[0];
    let buried = test.boot(&user(), request("big", "huge").build().unwrap()).await[0];
    Some((test, live, buried))
}

fn action_error<T: std::fmt::Debug>(result: Result<T, Write<ActionError>>) -> ActionError {
    match result.unwrap_err() {
        Write::Failed(error) => error,
        Write::ReadOnly(error) => panic!("{error}"),
    }
}

fn is_invalid_state<T: std::fmt::Debug>(result: Result<T, Write<ActionError>>) -> bool {
    matches!(action_error(result), ActionError::InstanceInvalidState { .. })
}

/// vm_state, task_state, power_state and status.
fn state(instance: &Instance) -> (&str, Option<&str>, i32, &str) {
    (
        instance.vm_state.as_ref().unwrap().as_str(),
        instance.task_state.as_ref().map(TaskState::as_str),
        instance.power_state.unwrap().0,
        instance.status(),
    )
}

#[rstest]
#[tokio::test]
async fn each_action_leads_to_novas_state_and_is_recorded_with_its_event(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, uuid, _)) = plane(engine).await else { return };
    let ctx = user();
    let steps = [
        (Action::Stop, ("stopped", None, 4, "SHUTOFF")),
        (Action::Start, ("active", None, 1, "ACTIVE")),
        (Action::Reboot, ("active", None, 1, "ACTIVE")),
        (Action::Pause, ("paused", None, 3, "PAUSED")),
        (Action::Unpause, ("active", None, 1, "ACTIVE")),
        (Action::Suspend, ("suspended", None, 4, "SUSPENDED")),
        (Action::Resume, ("active", None, 1, "ACTIVE")),
        (Action::HardReboot, ("active", None, 1, "ACTIVE")),
    ];
    for (action, expected) in steps {
        test.plane.act(&ctx, uuid, action).await.unwrap();
        assert_eq!(state(&test.plane.show(&ctx, uuid).await.unwrap()), expected, "{action:?}");
    }
    let actions = test.plane.actions(&ctx, uuid).await.unwrap();
    let names: Vec<&str> = actions.iter().map(|action| action.action.as_str()).collect();
    let expected =
        ["create", "stop", "start", "reboot", "pause", "unpause", "suspend", "resume", "reboot"];
    assert_eq!(names, expected);
    for (recorded, (action, _)) in actions[1..].iter().zip(steps) {
        assert_eq!(recorded.request_id.as_deref(), Some(ctx.request_id.as_str()));
        let [event] = &recorded.events[..] else { panic!("{recorded:?}") };
        assert_eq!(event.event, action.event());
        assert_eq!(event.result.as_deref(), Some("Success"));
        assert_eq!(event.host.as_deref(), Some("cell1-host1"));
        assert!(event.finish_time.is_some() && recorded.updated_at.is_some());
    }
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn an_action_that_the_state_does_not_allow_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, uuid, _)) = plane(engine).await else { return };
    let ctx = user();
    for action in [Action::Start, Action::Unpause, Action::Resume] {
        assert!(is_invalid_state(test.plane.act(&ctx, uuid, action).await), "{action:?}");
    }
    test.plane.act(&ctx, uuid, Action::Stop).await.unwrap();
    for action in [Action::Stop, Action::Reboot, Action::Pause, Action::Suspend] {
        let refused = action_error(test.plane.act(&ctx, uuid, action).await);
        assert!(refused.to_string().contains("vm_state stopped"), "{refused}");
    }
    let asked = action_error(test.plane.act(&ctx, uuid, Action::Rebuild).await);
    assert!(matches!(asked, ActionError::Invalid(_)), "{asked}");
    assert_eq!(test.plane.actions(&ctx, uuid).await.unwrap().len(), 2);
    let stranger = RequestContext::new("project-b", "user-b");
    let hidden = action_error(test.plane.act(&stranger, uuid, Action::Start).await);
    assert!(matches!(hidden, ActionError::Read(ReadError::InstanceNotFound { .. })), "{hidden}");
}

#[rstest]
#[tokio::test]
async fn what_is_buried_or_has_no_home_yet_allows_no_action(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, _, buried)) = plane(engine).await else { return };
    let ctx = admin_of(&user());
    // Whatever somebody wrote into its row.
    test.cell0
        .execute("UPDATE instances SET vm_state = 'active', host = 'h', launched_at = created_at")
        .unwrap();
    let waiting = test.plane.boot(&user(), request("new", "1").build().unwrap()).await.unwrap()[0];
    let rebuild = || Rebuild::new(OTHER_IMAGE.parse().unwrap());
    for uuid in [buried, waiting] {
        for action in Action::ALL.into_iter().filter(|action| *action != Action::Rebuild) {
            assert!(is_invalid_state(test.plane.act(&ctx, uuid, action).await), "{action:?}");
        }
        assert!(is_invalid_state(test.plane.rebuild(&ctx, uuid, rebuild()).await));
        assert!(is_invalid_state(test.plane.lock(&ctx, uuid, None).await));
        assert!(is_invalid_state(test.plane.unlock(&ctx, uuid).await));
        assert!(is_invalid_state(test.plane.reset_state(&ctx, uuid, VmState::Active).await));
        let tag = TagChange::Add("a".into());
        assert!(is_invalid_state(test.plane.change_tags(&ctx, uuid, tag).await));
        let item = MetadataChange::Update([("a".into(), "b".into())].into());
        assert!(is_invalid_state(test.plane.change_metadata(&ctx, uuid, item).await));
    }
}

#[rstest]
#[tokio::test]
async fn a_locked_instance_is_an_admins_alone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, uuid, _)) = plane(engine).await else { return };
    let (ctx, admin) = (user(), RequestContext::admin());
    test.plane.lock(&ctx, uuid, Some("mine")).await.unwrap();
    test.plane.lock(&ctx, uuid, Some("again")).await.unwrap();
    let shown = test.plane.show(&ctx, uuid).await.unwrap();
    assert!(shown.locked);
    assert_eq!((shown.locked_by.as_deref(), shown.locked_reason()), (Some("owner"), Some("mine")));

    let locked = |error| matches!(error, ActionError::InstanceIsLocked { .. });
    assert!(locked(action_error(test.plane.act(&ctx, uuid, Action::Stop).await)));
    let item = || MetadataChange::Update([("a".into(), "b".into())].into());
    assert!(locked(action_error(test.plane.change_metadata(&ctx, uuid, item()).await)));
    let kept = test.plane.delete(&ctx, uuid).await.unwrap_err();
    assert!(matches!(kept.failed(), Some(DeleteError::InstanceIsLocked { .. })), "{kept}");
    test.plane.act(&admin, uuid, Action::Stop).await.unwrap();

    // An admin's lock is an admin's to take away.
    test.plane.lock(&admin, uuid, None).await.unwrap();
    let shown = test.plane.show(&ctx, uuid).await.unwrap();
    assert_eq!((shown.locked_by.as_deref(), shown.locked_reason()), (Some("admin"), None));
    let refused = action_error(test.plane.unlock(&ctx, uuid).await);
    assert!(matches!(refused, ActionError::AdminOnly { .. }), "{refused}");
    test.plane.unlock(&admin, uuid).await.unwrap();
    let shown = test.plane.show(&ctx, uuid).await.unwrap();
    assert_eq!((shown.locked, shown.locked_by), (false, None));
    let names: Vec<String> =
        test.plane.actions(&ctx, uuid).await.unwrap().into_iter().map(|a| a.action).collect();
    assert_eq!(names, ["create", "lock", "stop", "lock", "unlock"]);
    test.plane.delete(&ctx, uuid).await.unwrap();
    assert!(test.plane.actions(&ctx, uuid).await.is_err());
    let past = test.plane.actions_with_deleted(&ctx, uuid).await.unwrap();
    assert_eq!(past.last().map(|action| action.action.as_str()), Some("delete"));
}

#[rstest]
#[tokio::test]
async fn a_rebuild_writes_what_changes_and_keeps_the_rest(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, _, _)) = plane(engine).await else { return };
    let ctx = user();
    test.plane.key_pairs().create(&ctx, "mine", PUBLIC_KEY).await.unwrap();
    let asked = request("old", "1")
        .metadata("a", "1")
        .metadata("b", "2")
        .tag("kept")
        .with(|r| drop(r.image_properties.insert("os".into(), "old".into())))
        .build()
        .unwrap();
    let uuid = test.boot(&ctx, asked).await[0];
    let before = test.plane.show(&ctx, uuid).await.unwrap();
    test.plane.act(&ctx, uuid, Action::Stop).await.unwrap();
    let rebuild = Rebuild {
        image_properties: [("min_disk".to_owned(), "1".to_owned())].into(),
        change: InstanceChange { display_name: Some("new".into()), ..Default::default() },
        metadata: Some([("b".into(), "3".into())].into()),
        key_name: Some(Some("mine".into())),
        ..Rebuild::new(OTHER_IMAGE.parse().unwrap())
    };
    let unknown = Rebuild { key_name: Some(Some("none".into())), ..rebuild.clone() };
    let refused = action_error(test.plane.rebuild(&ctx, uuid, unknown).await);
    assert!(refused.to_string().contains("key_name"), "{refused}");
    let shown = test.plane.rebuild(&ctx, uuid, rebuild).await.unwrap();
    assert_eq!(state(&shown), ("stopped", None, 4, "SHUTOFF"));
    assert_eq!(shown.image_ref.as_deref(), Some(OTHER_IMAGE));
    assert_ne!(before.image_ref.as_deref(), Some(OTHER_IMAGE));
    assert_eq!(shown.display_name.as_deref(), Some("new"));
    assert_eq!(shown.metadata, [("b".into(), "3".into())].into());
    assert_eq!(shown.system_metadata, [("image_min_disk".into(), "1".into())].into());
    assert_eq!(shown.key_data.as_deref(), Some(PUBLIC_KEY));
    assert_eq!((shown.tags, shown.hostname), (before.tags, before.hostname));
    assert_eq!(before.image_ref.as_deref(), Some(IMAGE));
}

/// A receiver that builds at once and keeps actions for later.
#[derive(Debug, Clone, Default)]
struct Later(Arc<Mutex<Vec<ActionOperation>>>);

#[async_trait::async_trait]
impl Dispatch for Later {
    async fn build(&self, _: &BuildOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn destroy(&self, _: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn release(&self, _: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn act(&self, o: &ActionOperation) -> Result<Dispatched, DispatchError> {
        self.0.lock().unwrap().push(o.clone());
        Ok(Dispatched::Taken)
    }
}

#[rstest]
#[tokio::test]
async fn only_the_report_of_the_last_action_counts_and_a_failure_is_a_fault(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let later = Later::default();
    let dispatch = later.clone();
    let Some(mut test) = TestPlane::with(engine, |config| config.dispatch(dispatch)).await else {
        return;
    };
    test.fill(&[&[(8, 8192, 100)]]).await;
    let (ctx, cell, host) = (user(), test.cell(0), "cell1-host1");
    let uuid = test.boot(&ctx, request("web", "1").build().unwrap()).await[0];
    let shown = async || test.plane.show(&ctx, uuid).await.unwrap();
    let last = || later.0.lock().unwrap().last().unwrap().sequence;
    let said = async |host: &str, sequence: i64, failure: Option<&str>| match test
        .plane
        .compute()
        .acted(cell, uuid, (host, sequence), failure)
        .await
    {
        Ok(()) => true,
        Err(Write::Failed(ReportError::Stale { .. })) => false,
        Err(error) => panic!("{error}"),
    };
    test.plane.act(&ctx, uuid, Action::Reboot).await.unwrap();
    let first = last();
    assert_eq!(state(&shown().await), ("active", Some("rebooting"), 1, "REBOOT"));
    assert!(is_invalid_state(test.plane.act(&ctx, uuid, Action::Stop).await));
    // A hard reboot breaks in, and a lock in between does not make its report an old one.
    test.plane.act(&ctx, uuid, Action::HardReboot).await.unwrap();
    test.plane.lock(&ctx, uuid, None).await.unwrap();
    test.plane.unlock(&ctx, uuid).await.unwrap();
    assert!(last() > first);
    assert!(!said(host, first, None).await, "a later one is under way");
    assert!(!said("another", last(), None).await);
    assert!(said(host, last(), None).await);
    assert!(!said(host, last(), None).await, "it is done already");
    assert_eq!(state(&shown().await), ("active", None, 1, "ACTIVE"));

    test.plane.act(&ctx, uuid, Action::Pause).await.unwrap();
    assert!(said(host, last(), Some("The guest does not answer.")).await);
    let after = shown().await;
    assert_eq!(state(&after), ("active", None, 1, "ACTIVE"));
    let actions = test.plane.actions(&ctx, uuid).await.unwrap();
    let failed = actions.last().unwrap();
    assert_eq!((failed.action.as_str(), failed.message.as_deref()), ("pause", Some("Error")));
    assert_eq!(failed.events[0].details.as_deref(), Some("The guest does not answer."));

    let image = OTHER_IMAGE.parse().unwrap();
    let rebuilding = test.plane.rebuild(&ctx, uuid, Rebuild::new(image)).await.unwrap();
    assert_eq!(rebuilding.status(), "REBUILD");
    let sent = later.0.lock().unwrap().last().unwrap().rebuild.clone();
    assert_eq!(sent, Some(RebuildFrom { image, preserve_ephemeral: false }));
    assert!(said(host, last(), Some("No such image.")).await);
    let after = shown().await;
    assert_eq!(state(&after), ("error", None, 1, "ERROR"));
    assert_eq!(after.fault.unwrap().message, "No such image.");
    test.plane.reset_state(&RequestContext::admin(), uuid, VmState::Active).await.unwrap();
    assert_eq!(shown().await.status(), "ACTIVE");
    let refused = action_error(test.plane.reset_state(&ctx, uuid, VmState::Active).await);
    assert!(matches!(refused, ActionError::AdminOnly { .. }), "{refused}");
    test.plane.delete(&ctx, uuid).await.unwrap();
    test.plane.settle().await.unwrap();
    test.check_at_rest();
}
