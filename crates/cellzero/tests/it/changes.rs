//! New values of an instance's own fields, wherever it lives; its metadata and its tags.

use std::collections::BTreeMap;

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, request, user};

async fn plane(engine: Engine) -> Option<TestPlane> {
    TestPlane::with_cells(engine, &[&[(8, 8192, 100)]]).await
}

fn named(name: &str) -> InstanceChange {
    InstanceChange { display_name: Some(name.to_owned()), ..InstanceChange::default() }
}

fn items(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn failed<T: std::fmt::Debug>(result: Result<T, Write<ActionError>>) -> ActionError {
    match result.unwrap_err() {
        Write::Failed(error) => error,
        Write::ReadOnly(error) => panic!("{error}"),
    }
}

#[rstest]
#[tokio::test]
async fn an_update_reaches_every_home_and_changes_nothing_else(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine).await else { return };
    let ctx = user();
    let live = test.boot(&ctx, request("web", "1").build().unwrap()).await[0];
    let buried = test.boot(&ctx, request("big", "huge").build().unwrap()).await[0];
    let building = test.plane.boot(&ctx, request("new", "1").build().unwrap()).await.unwrap()[0];
    let change = InstanceChange {
        display_name: Some("Renamed".into()),
        description: Some(Some("about it".into())),
        hostname: Some("other.example.org".into()),
        access_ip_v4: Some(Some("10.0.0.1".parse().unwrap())),
        access_ip_v6: Some(Some("fd00::1".parse().unwrap())),
        auto_disk_config: Some(false),
    };
    for uuid in [live, buried, building] {
        let mut expected = test.plane.show(&ctx, uuid).await.unwrap();
        change.apply(&mut expected);
        let changed = test.plane.update(&ctx, uuid, change.clone()).await.unwrap();
        assert!(changed.updated_at.is_some());
        expected.updated_at = changed.updated_at;
        assert_eq!(changed, expected);
        let cleared = InstanceChange {
            description: Some(None),
            access_ip_v4: Some(None),
            ..InstanceChange::default()
        };
        let cleared = test.plane.update(&ctx, uuid, cleared).await.unwrap();
        assert_eq!((cleared.display_description, cleared.access_ip_v4), (None, None));
        assert_eq!(cleared.display_name.as_deref(), Some("Renamed"));
        let bad = failed(test.plane.update(&ctx, uuid, named(" ")).await);
        assert!(matches!(bad, ActionError::Invalid(_)), "{bad}");
        let stranger = RequestContext::new("project-b", "user-b");
        let hidden = failed(test.plane.update(&stranger, uuid, named("theirs")).await);
        assert!(matches!(hidden, ActionError::Read(ReadError::InstanceNotFound { .. })));
    }
    let outlines = "boot_states WHERE display_name = 'Renamed'";
    assert_eq!(crate::support::count(&test.api, outlines), 3);
    test.plane.settle().await.unwrap();
    test.check_at_rest();
}

/// The acceptor holds the request in its memory; what it would write is out of date.
#[rstest]
#[tokio::test]
async fn an_update_while_it_is_built_is_what_its_home_gets_and_blames_no_cell(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine).await else { return };
    let ctx = user();
    for flavor in ["1", "huge"] {
        let request = request("web", flavor).count(2).build().unwrap();
        let accepted = test.plane.boot(&ctx, request).await.unwrap();
        test.plane.update(&ctx, accepted[1], named("renamed")).await.unwrap();
        test.plane.settle_accepted(&accepted).await.unwrap();
        let names = [accepted[0], accepted[1]].map(async |uuid| {
            let shown = test.plane.show(&ctx, uuid).await.unwrap();
            assert_ne!(shown.home, Home::BuildRequest);
            shown.display_name.unwrap()
        });
        let [first, second] = names;
        assert_eq!((first.await.as_str(), second.await.as_str()), ("web-1", "renamed"));
    }
    assert_eq!(crate::support::count(&test.api, "boot_states WHERE placements > 0"), 0);
    // What was placed before the update is swept.
    test.plane.recover().await.unwrap();
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn updates_that_race_a_retry_are_never_lost(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine).await else { return };
    let ctx = user();
    let uuid = test.boot(&ctx, request("big", "huge").build().unwrap()).await[0];
    for round in 0..10 {
        let name = format!("name-{round}");
        let (updated, retried) =
            tokio::join!(test.plane.update(&ctx, uuid, named(&name)), test.plane.retry(&ctx, uuid));
        updated.unwrap();
        retried.unwrap();
        test.plane.settle().await.unwrap();
        let shown = test.plane.show(&ctx, uuid).await.unwrap();
        assert!(shown.home.is_cell0());
        assert_eq!(shown.display_name.as_deref(), Some(name.as_str()));
    }
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn metadata_is_replaced_updated_and_removed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine).await else { return };
    let ctx = user();
    let asked = request("web", "1").metadata("a", "1").metadata("b", "2").build().unwrap();
    let uuid = test.boot(&ctx, asked).await[0];
    let change = async |change| test.plane.change_metadata(&ctx, uuid, change).await;
    let steps = [
        (
            MetadataChange::Update(items(&[("b", "3"), ("c", "é")])),
            items(&[("a", "1"), ("b", "3"), ("c", "é")]),
        ),
        (MetadataChange::Remove("a".into()), items(&[("b", "3"), ("c", "é")])),
        (MetadataChange::Replace(items(&[("b", "3"), ("d", "")])), items(&[("b", "3"), ("d", "")])),
        (MetadataChange::Replace(items(&[])), items(&[])),
    ];
    for (step, expected) in steps {
        assert_eq!(change(step).await.unwrap(), expected);
        assert_eq!(test.plane.show(&ctx, uuid).await.unwrap().metadata, expected);
    }
    let missing = failed(change(MetadataChange::Remove("a".into())).await);
    assert!(matches!(missing, ActionError::ItemNotFound { .. }), "{missing}");
    let many: BTreeMap<String, String> =
        (0..129).map(|n| (format!("k{n}"), String::new())).collect();
    let over = failed(change(MetadataChange::Update(many)).await);
    assert!(matches!(over, ActionError::OverLimit { limit: 128, requested: 129, .. }), "{over}");
    let bad = failed(change(MetadataChange::Update(items(&[("", "1")]))).await);
    assert!(matches!(bad, ActionError::Invalid(_)), "{bad}");
}

#[rstest]
#[tokio::test]
async fn tags_are_replaced_added_and_removed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine).await else { return };
    let ctx = user();
    let uuid = test.boot(&ctx, request("web", "1").tag("b").build().unwrap()).await[0];
    let change = async |change| test.plane.change_tags(&ctx, uuid, change).await;
    let steps: [(TagChange, &[&str], bool); 6] = [
        (TagChange::Add("a".into()), &["a", "b"], true),
        (TagChange::Add("a".into()), &["a", "b"], false),
        (TagChange::Remove("b".into()), &["a"], false),
        (TagChange::Replace(vec!["c".into(), "a".into()]), &["a", "c"], true),
        (TagChange::RemoveAll, &[], false),
        (TagChange::RemoveAll, &[], false),
    ];
    for (step, tags, is_new) in steps {
        let tags: Vec<String> = tags.iter().map(|&tag| tag.to_owned()).collect();
        assert_eq!(change(step).await.unwrap(), TagsChanged { tags: tags.clone(), is_new });
        assert_eq!(test.plane.show(&ctx, uuid).await.unwrap().tags, tags);
    }
    let missing = failed(change(TagChange::Remove("x".into())).await);
    assert!(matches!(missing, ActionError::ItemNotFound { .. }), "{missing}");
    let many: Vec<String> = (0..51).map(|n| format!("t{n}")).collect();
    let over = failed(change(TagChange::Replace(many.clone())).await);
    assert!(matches!(over, ActionError::Invalid(_)), "{over}");
    change(TagChange::Replace(many[..50].to_vec())).await.unwrap();
    let over = failed(change(TagChange::Add("more".into())).await);
    assert!(matches!(over, ActionError::Invalid(_)), "{over}");
    let long = failed(change(TagChange::Replace(vec!["t".repeat(61)])).await);
    assert!(matches!(long, ActionError::Invalid(_)), "{long}");
}

#[rstest]
#[tokio::test]
async fn changes_at_once_are_all_there_afterwards(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = plane(engine).await else { return };
    let ctx = user();
    let uuid = test.boot(&ctx, request("web", "1").build().unwrap()).await[0];
    let one = async |n: u32| {
        let item = items(&[(&format!("k{n}"), "v")]);
        test.plane.change_metadata(&ctx, uuid, MetadataChange::Update(item)).await.unwrap();
        test.plane.change_tags(&ctx, uuid, TagChange::Add(format!("t{n}"))).await.unwrap();
    };
    tokio::join!(one(0), one(1), one(2), one(3), one(4), one(5));
    let shown = test.plane.show(&ctx, uuid).await.unwrap();
    assert_eq!((shown.metadata.len(), shown.tags.len()), (6, 6));
}
