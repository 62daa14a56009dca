//! Bad input gets a typed error that names the field, and nothing is written.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, count, request, user};

#[rstest]
#[tokio::test]
async fn what_is_refused_at_accept_is_stored_nowhere(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let mut private = Flavor::new("private", "private", 1, 512, 1);
    private.is_public = false;
    let mut disabled = Flavor::new("disabled", "disabled", 1, 512, 1);
    disabled.disabled = true;
    for flavor in [&private, &disabled] {
        test.plane.flavors().create(flavor).await.unwrap();
    }
    let group = uuid::Uuid::from_u128(5);
    let refused = [
        (request("web", "nope"), "flavorRef"),
        (request("web", "private"), "flavorRef"),
        (request("web", "disabled"), "flavorRef"),
        (request("web", "1").key_name("none"), "key_name"),
        (request("web", "1").server_group(group), "group"),
    ];
    for (builder, field) in refused {
        let error = test.plane.boot(&user(), builder.build().unwrap()).await.unwrap_err();
        let Some(BootError::Invalid(invalid)) = error.failed() else { panic!("{error:?}") };
        assert_eq!(invalid.field, field);
    }
    let forced = request("web", "1").force_host("cell1-host1").build().unwrap();
    let error = test.plane.boot(&user(), forced).await.unwrap_err();
    let Some(BootError::AdminOnly { field, value }) = error.failed() else { panic!("{error:?}") };
    assert_eq!((*field, value.as_str()), ("force_host", "cell1-host1"));
    for table in ["build_requests", "request_specs", "instance_mappings", "boot_states"] {
        assert_eq!(count(&test.api, table), 0, "{table}");
    }
    test.plane.flavors().allow("private", "project-a").await.unwrap();
    test.plane.boot(&user(), request("web", "private").build().unwrap()).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_request_changed_after_its_check_is_checked_again(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let mut changed = request("web", "1").build().unwrap();
    changed.name = "with\0nul".into();
    let error = test.plane.boot(&user(), changed).await.unwrap_err();
    assert!(matches!(error.failed(), Some(BootError::Invalid(e)) if e.field == "name"), "{error}");
    assert_eq!(count(&test.api, "request_specs"), 0);
}

#[rstest]
#[tokio::test]
async fn text_at_its_limits_survives_in_every_home(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    // The longest of each, of characters that take four bytes, with blanks and case that matter.
    let long = |n: usize| "🦀".repeat(n);
    for flavor in ["1", "huge"] {
        let asked = request(&long(255), flavor)
            .tag(long(80))
            .tag("Tag")
            .tag("tag")
            .metadata(long(200), long(255))
            .metadata("k", "trailing blank ")
            .build()
            .unwrap();
        let accepted = test.boot(&ctx, asked.clone()).await;
        let shown = test.plane.show(&ctx, accepted[0]).await.unwrap();
        assert_eq!(shown.home.is_cell0(), flavor == "huge");
        assert_eq!(shown.display_name, Some(long(255)));
        assert_eq!(shown.metadata, asked.metadata);
        assert_eq!(shown.tags, ["Tag".to_owned(), "tag".to_owned(), long(80)]);
    }
}

#[rstest]
#[tokio::test]
async fn operators_mistakes_are_named(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let negative = test.plane.flavors().create(&Flavor::new("n", "n", 1, -1, 1)).await;
    assert!(matches!(negative, Err(AdminError::Invalid(e)) if e.field == "flavor memory_mb"));
    let quota = test.plane.quotas().set("p", "elephants", Some(1)).await;
    assert!(matches!(quota, Err(AdminError::Invalid(e)) if e.field == "resource"));
    let policy = test.plane.server_groups().create(&user(), "g", "love", 1).await;
    assert!(matches!(policy, Err(AdminError::Invalid(e)) if e.field == "policy"));
    let unknown = test.plane.cells().disable(CellUuid(uuid::Uuid::from_u128(1))).await;
    assert!(matches!(unknown, Err(AdminError::Invalid(e)) if e.field == "cell"));
    let node = ComputeNode::new("h", 1, 1, 1);
    let cell0 = test.plane.hosts().report(CellUuid::CELL0, &node).await.unwrap_err();
    assert!(matches!(cell0.failed(), Some(HostError::Cell0 { .. })), "{cell0}");
    assert_eq!(count(&test.cell0, "compute_nodes"), 0);
    let twice = test.plane.flavors().create(&Flavor::new("1", "again", 1, 1, 1)).await;
    assert!(matches!(twice, Err(AdminError::Exists { kind: "flavor", .. })));
}
