//! Multi-create: one verdict for the group, its own fault for each, and nothing shared after that.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, count, request, user};

#[rstest]
#[tokio::test]
async fn what_fits_of_a_group_is_built_and_the_rest_is_buried(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(2, 4096, 40)], &[(1, 4096, 40)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let ctx = user();
    let accepted = test.boot(&ctx, request("web", "1").counts(2, 5).build().unwrap()).await;
    assert_eq!(accepted.instances.len(), 5);
    let mut buried = 0;
    for (uuid, number) in accepted.instances.iter().zip(1..) {
        let instance = test.plane.show(&ctx, *uuid).await.unwrap();
        assert_eq!(instance.display_name, Some(format!("web-{number}")));
        assert_eq!(instance.reservation_id.as_ref(), Some(&accepted.reservation_id));
        if instance.home.is_cell0() {
            buried += 1;
            assert!(instance.fault.unwrap().message.contains("too few vcpus"));
        }
    }
    assert_eq!(buried, 2);
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_group_below_its_min_count_is_buried_whole(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(3, 4096, 40)]]).await else { return };
    let ctx = user();
    let accepted = test.boot(&ctx, request("web", "1").counts(4, 6).build().unwrap()).await;
    let mut messages = Vec::new();
    for uuid in &accepted.instances {
        let instance = test.plane.show(&ctx, *uuid).await.unwrap();
        assert!(instance.home.is_cell0());
        messages.push(instance.fault.unwrap().message);
    }
    // Those that would have fit say why they were not built, the others why they do not fit.
    let with = |text: &str| messages.iter().filter(|message| message.contains(text)).count();
    assert_eq!((with("Only 3 of at least 4"), messages.len()), (3, 6), "{messages:?}");
    assert_eq!(count(&test.api, "claims"), 0);
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn what_is_deleted_of_a_group_does_not_bury_the_rest(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(3, 4096, 40)]]).await else { return };
    let ctx = user();
    let asked = request("web", "1").counts(2, 2).build().unwrap();
    let accepted = test.plane.boot(&ctx, asked).await.unwrap();
    test.plane.delete(&ctx, accepted[0]).await.unwrap();
    // Another process takes what is left of the group.
    test.plane.close().await.unwrap();
    let plane = ControlPlane::open(test.config.clone()).await.unwrap();
    plane.settle().await.unwrap();
    assert_eq!(plane.show(&ctx, accepted[1]).await.unwrap().home, Home::Cell(test.cell(0)));
    test.check_at_rest();
    plane.close().await.unwrap();
}

#[rstest]
#[case::too_few_fit(1, false)]
#[case::enough_fit(2, true)]
#[tokio::test]
async fn the_least_of_a_group_is_counted_without_those_that_were_deleted(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[case] vcpus: i32,
    #[case] built: bool,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(vcpus, 4096, 40)]]).await else { return };
    let ctx = user();
    let asked = request("web", "1").counts(3, 3).build().unwrap();
    let accepted = test.plane.boot(&ctx, asked).await.unwrap();
    test.plane.delete(&ctx, accepted[0]).await.unwrap();
    test.plane.close().await.unwrap();
    let plane = ControlPlane::open(test.config.clone()).await.unwrap();
    plane.settle().await.unwrap();
    for uuid in &accepted.instances[1..] {
        assert_eq!(plane.show(&ctx, *uuid).await.unwrap().home.is_cell0(), !built);
    }
    test.check_at_rest();
    plane.close().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_repeated_client_token_answers_with_the_first_instances(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(8, 4096, 40)]]).await else { return };
    let ctx = user();
    let ask = || request("web", "1").count(2).client_token("once").build().unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (plane, ctx, request) = (test.plane.clone(), ctx.clone(), ask());
            tokio::spawn(async move { plane.boot(&ctx, request).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(count(&test.api, "instance_mappings"), 2);
    let another = request("web", "2").count(2).client_token("once").build().unwrap();
    let refused = test.plane.boot(&ctx, another).await.unwrap_err();
    assert!(matches!(refused.failed(), Some(BootError::TokenReused { token }) if token == "once"));
    assert_eq!(count(&test.api, "instance_mappings"), 2);
    // Another project's token is another token.
    let other = RequestContext::new("project-b", "user-b");
    assert_ne!(test.plane.boot(&other, ask()).await.unwrap().group, answers[0].group);
}

#[rstest]
#[tokio::test]
async fn a_batch_of_200_is_buried_and_listed_once_each(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(8, 4096, 40)]]).await else { return };
    let ctx = user();
    let wanted = request("n", "huge").count(200).tag("a").metadata("k", "v").build().unwrap();
    let accepted = test.boot(&ctx, wanted).await;
    let page = test.plane.list(&ctx, &ListQuery::default()).await.unwrap();
    let mut listed: Vec<InstanceUuid> = page.instances.iter().map(|i| i.uuid).collect();
    let mut expected = accepted.instances.clone();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    assert!(page.instances.iter().all(|i| i.tags == ["a"] && i.fault.is_some()));
    test.check_at_rest();
}
