//! Delete: while building, in a live cell, and in cell0.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, count, request, user};

fn is_not_found(shown: Result<Instance, ReadError>) -> bool {
    matches!(shown, Err(ReadError::InstanceNotFound { .. }))
}

#[rstest]
#[tokio::test]
async fn a_deleted_instance_is_gone_and_its_claim_is_free(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    let live = test.boot(&ctx, request("web", "1").tag("x").build().unwrap()).await;
    let buried = test.boot(&ctx, request("big", "huge").tag("x").build().unwrap()).await;
    for uuid in [live[0], buried[0]] {
        test.plane.delete(&ctx, uuid).await.unwrap();
        assert!(is_not_found(test.plane.show(&ctx, uuid).await));
    }
    test.plane.settle().await.unwrap();
    assert_eq!(count(&test.api, "claims"), 0);
    assert!(test.plane.list(&ctx, &ListQuery::default()).await.unwrap().instances.is_empty());
    for database in [&test.cell0, &test.cells[0].1] {
        assert_eq!(count(database, "instances WHERE deleted = id AND vm_state = 'deleted'"), 1);
        assert_eq!(count(database, "instance_extra WHERE deleted = id"), 1);
        assert_eq!(count(database, "tags"), 0);
        assert_eq!(count(database, "instance_actions WHERE action = 'delete'"), 1);
        assert_eq!(count(database, "outbox"), 0);
    }
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_delete_while_building_leaves_nothing_to_build(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    let accepted = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    let shown = test.plane.show(&ctx, accepted[0]).await.unwrap();
    assert_eq!(shown.home, Home::BuildRequest);
    assert_eq!(shown.status(), "BUILD");
    test.plane.delete(&ctx, accepted[0]).await.unwrap();
    assert!(is_not_found(test.plane.show(&ctx, accepted[0]).await));
    let settled = test.plane.settle().await.unwrap();
    assert_eq!((settled.in_cells, settled.in_cell0), (0, 0));
    assert!(is_not_found(test.plane.show(&ctx, accepted[0]).await));
    test.check_at_rest();
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_at_the_same_time_succeed_or_find_it_gone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    for flavor in ["1", "huge"] {
        for settled in [false, true] {
            let asked = request("web", flavor).build().unwrap();
            let accepted = test.plane.boot(&ctx, asked).await.unwrap();
            if settled {
                test.plane.settle().await.unwrap();
            }
            let uuid = accepted[0];
            let delete = |plane: ControlPlane| async move { plane.delete(&user(), uuid).await };
            let deletes: Vec<_> =
                (0..4).map(|_| tokio::spawn(delete(test.plane.clone()))).collect();
            let mut succeeded = 0;
            for deleted in deletes {
                match deleted.await.unwrap() {
                    Ok(()) => succeeded += 1,
                    Err(Write::Failed(DeleteError::InstanceNotFound { .. })) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(succeeded > 0);
        }
    }
    test.plane.settle().await.unwrap();
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_second_delete_and_another_projects_are_not_found(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let (ctx, other) = (user(), RequestContext::new("project-b", "user-b"));
    let accepted = test.boot(&ctx, request("big", "huge").build().unwrap()).await;
    let uuid = accepted[0];
    assert!(is_not_found(test.plane.show(&other, uuid).await));
    let refused = test.plane.delete(&other, uuid).await.unwrap_err();
    assert!(matches!(refused.failed(), Some(DeleteError::InstanceNotFound { .. })));
    assert!(test.plane.list(&other, &ListQuery::default()).await.unwrap().instances.is_empty());
    test.plane.delete(&ctx, uuid).await.unwrap();
    let refused = test.plane.delete(&ctx, uuid).await.unwrap_err();
    assert!(matches!(refused.failed(), Some(DeleteError::InstanceNotFound { .. })));
}

#[rstest]
#[tokio::test]
async fn a_buried_instance_allows_no_action_whatever_its_row_says(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    let live = test.boot(&ctx, request("web", "1").build().unwrap()).await;
    let buried = test.boot(&ctx, request("big", "huge").build().unwrap()).await;
    test.plane.act(&ctx, live[0], Action::Reboot).await.unwrap();
    let after = test.plane.show(&ctx, live[0]).await.unwrap();
    assert_eq!((after.vm_state, after.task_state), (Some(VmState::Active), None));
    let (cell, host) = (test.cell(0), after.host.as_deref().unwrap());
    let late =
        test.plane.compute().acted(cell, live[0], (host, (1 << 20) + 2), None).await.unwrap_err();
    assert!(matches!(late.failed(), Some(ReportError::Stale { .. })), "{late}");
    // An operator's reset of the state does not raise the dead.
    test.cell0.execute("UPDATE instances SET vm_state = 'active', host = 'h'").unwrap();
    let refused = test.plane.act(&ctx, buried[0], Action::Reboot).await.unwrap_err();
    assert!(
        matches!(refused.failed(), Some(ActionError::InstanceInvalidState { .. })),
        "{refused}"
    );
    test.plane.delete(&ctx, buried[0]).await.unwrap();
    assert!(is_not_found(test.plane.show(&ctx, buried[0]).await));
}

#[rstest]
#[tokio::test]
async fn volumes_and_ports_of_a_buried_instance_are_released_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let recorder = crate::support::Recorder::default();
    let configure = |config: Config| config.dispatch(recorder.clone());
    let Some(test) = TestPlane::with(engine, configure).await else { return };
    test.plane.flavors().create(&Flavor::new("1", "tiny", 1, 512, 1)).await.unwrap();
    let ctx = user();
    let volume: uuid::Uuid = "18623572-8e9e-4f3c-b009-aa26d5b69a9c".parse().unwrap();
    let with_volume = || {
        let device = BlockDevice {
            source_type: "volume".into(),
            destination_type: "volume".into(),
            source_id: Some(volume),
            ..BlockDevice::default()
        };
        request("db", "1").block_device(device).build().unwrap()
    };
    let buried = test.boot(&ctx, with_volume()).await;
    let building = test.plane.boot(&ctx, with_volume()).await.unwrap();
    for uuid in [buried[0], building[0]] {
        test.plane.delete(&ctx, uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    test.plane.settle().await.unwrap();
    let mut released = recorder.released();
    released.sort();
    let mut expected = vec![buried[0], building[0]];
    expected.sort();
    assert_eq!(released, expected);
}
