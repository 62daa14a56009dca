//! What operators set up: quotas with their classes, flavors, aggregates.

use std::collections::BTreeMap;

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::auto_retry::{grow, hurried, settle_all};
use crate::support::{TestPlane, admin_of, count, request, user};

fn one(name: &str) -> BootRequest {
    request(name, "1").build().unwrap()
}

/// Whether the quota lets the project have one more.
async fn is_let(test: &TestPlane, ctx: &RequestContext) -> bool {
    match test.plane.boot(ctx, one("more")).await {
        Ok(_) => true,
        Err(Write::Failed(BootError::QuotaExceeded { .. })) => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[rstest]
#[tokio::test]
async fn a_limit_is_the_projects_or_its_classs_or_there_is_none(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(64, 65_536, 400)]]).await else { return };
    let quotas = test.plane.quotas();
    let of = |quota: &Quota, resource| quota.sources[&resource];
    let none = quotas.show("project-a").await.unwrap();
    assert_eq!((none.limits, none.used), (QuotaLimits::default(), Usage::default()));
    assert_eq!(of(&none, QuotaResource::Cores), LimitSource::Configuration);

    quotas.set_default("instances", Some(2)).await.unwrap();
    quotas.set_default("instances", Some(1)).await.unwrap();
    quotas.set_default("ram", Some(9_000)).await.unwrap();
    quotas.set("project-b", "instances", None).await.unwrap();
    quotas.set("project-a", "ram", Some(2_048)).await.unwrap();
    assert_eq!(count(&test.api, "quota_classes"), 2, "the second replaces the first");
    let a = quotas.show("project-a").await.unwrap();
    assert_eq!((a.limits.instances, a.limits.ram_mb, a.limits.cores), (Some(1), Some(2_048), None));
    assert_eq!(of(&a, QuotaResource::Instances), LimitSource::Class);
    assert_eq!(of(&a, QuotaResource::Ram), LimitSource::Project);
    let b = quotas.show("project-b").await.unwrap();
    assert_eq!((b.limits.instances, b.limits.ram_mb), (None, Some(9_000)));
    assert_eq!(of(&b, QuotaResource::Instances), LimitSource::Project);

    let (a, b) = (user(), RequestContext::new("project-b", "user-b"));
    assert!(is_let(&test, &a).await && !is_let(&test, &a).await, "the class's one");
    assert!(is_let(&test, &b).await && is_let(&test, &b).await, "no limit of its own");
    assert!(quotas.unset("project-b", "instances").await.unwrap());
    assert!(!quotas.unset("project-b", "instances").await.unwrap(), "it is gone");
    assert!(!is_let(&test, &b).await, "the class's again");
    assert!(quotas.unset_default("instances").await.unwrap());
    assert!(is_let(&test, &b).await && is_let(&test, &a).await);
    let refused = quotas.set_default("floppies", Some(1)).await;
    assert!(matches!(refused, Err(AdminError::Invalid(e)) if e.field == "resource"));
    let refused = quotas.set_default("cores", Some(-2)).await;
    assert!(matches!(refused, Err(AdminError::Invalid(e)) if e.field == "limit"));
}

#[rstest]
#[tokio::test]
async fn a_buried_instance_costs_no_quota_a_retried_one_does_and_a_delete_frees_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = TestPlane::with(engine, hurried).await else { return };
    test.fill(&[&[(1, 512, 10)]]).await;
    let (plane, ctx) = (&test.plane, user());
    plane.quotas().set_default("instances", Some(2)).await.unwrap();
    let first = test.boot(&ctx, one("first")).await;
    let mut buried = Vec::new();
    for name in ["b1", "b2", "b3"] {
        buried.push(test.boot(&ctx, one(name)).await[0]);
    }
    let used = plane.quotas().show("project-a").await.unwrap().used;
    assert_eq!(used, Usage { instances: 1, cores: 1, ram_mb: 512 }, "the buried cost nothing");

    grow(&test, 3).await;
    let retried = plane.retry(&ctx, buried[0]).await.unwrap();
    plane.settle_accepted(&retried).await.unwrap();
    let refused = plane.retry(&ctx, buried[1]).await;
    assert!(
        matches!(
            refused,
            Err(Write::Failed(RetryError::Refused(BootError::QuotaExceeded { used: 2, .. })))
        ),
        "{refused:?}"
    );
    assert!(!is_let(&test, &ctx).await);
    plane.delete(&ctx, first[0]).await.unwrap();
    assert_eq!(plane.quotas().show("project-a").await.unwrap().used.instances, 1);
    plane.retry(&ctx, buried[1]).await.unwrap();
    plane.delete(&ctx, buried[2]).await.unwrap();
    assert_eq!(plane.quotas().show("project-a").await.unwrap().used.instances, 2);
}

#[rstest]
#[tokio::test]
async fn a_deleted_flavor_cannot_be_asked_for_and_its_instances_keep_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = TestPlane::with(engine, hurried).await else { return };
    test.fill(&[&[(1, 512, 10)]]).await;
    let (plane, ctx) = (&test.plane, user());
    let flavor = Flavor { is_public: false, ..Flavor::new("p", "private", 1, 512, 1) };
    let flavor = flavor.with_extra_spec("hw:cpu_policy", "shared");
    plane.flavors().create_for(&flavor, &["project-a", "project-c"]).await.unwrap();
    assert_eq!(plane.flavors().projects("p").await.unwrap(), ["project-a", "project-c"]);
    let taken = plane.flavors().create(&Flavor::new("p", "other", 1, 1, 1)).await;
    assert!(matches!(taken, Err(AdminError::Exists { .. })), "{taken:?}");
    let public = plane.flavors().create_for(&Flavor::new("q", "q", 1, 1, 1), &["x"]).await;
    assert!(matches!(public, Err(AdminError::Invalid(e)) if e.field == "projects"));
    let twice = plane.flavors().allow("p", "project-a").await;
    assert!(matches!(twice, Err(AdminError::Exists { .. })), "{twice:?}");

    let of_p = |name: &str| request(name, "p").build().unwrap();
    let live = test.boot(&ctx, of_p("live")).await;
    let buried = test.boot(&ctx, of_p("buried")).await;
    plane.flavors().delete("p").await.unwrap();
    for table in ["flavor_extra_specs", "flavor_projects", "flavors WHERE flavorid = 'p'"] {
        assert_eq!(count(&test.api, table), 0, "{table}");
    }
    assert!(plane.boot(&ctx, of_p("late")).await.is_err());
    let kept = plane.show(&ctx, live[0]).await.unwrap().flavor.unwrap();
    assert_eq!((kept.name.as_str(), kept.extra_specs.len()), ("private", 1));
    grow(&test, 2).await;
    let retried = plane.retry(&ctx, buried[0]).await.unwrap();
    plane.settle_accepted(&retried).await.unwrap();
    // What it left in cell0 is swept.
    plane.settle().await.unwrap();
    assert!(!plane.show(&ctx, buried[0]).await.unwrap().home.is_cell0());
    for gone in [plane.flavors().delete("p").await, plane.flavors().allow("p", "x").await] {
        assert!(matches!(gone, Err(AdminError::NotFound { kind: "flavor", .. })), "{gone:?}");
    }
    assert!(plane.flavors().projects("p").await.is_err());
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn each_change_of_an_aggregate_wakes_what_it_can_help(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = TestPlane::with(engine, hurried).await else { return };
    test.fill(&[&[(9, 9_000, 90), (9, 9_000, 90)]]).await;
    let (plane, ctx, aggregates) = (&test.plane, user(), test.plane.aggregates());
    aggregates.create("fast", &BTreeMap::new(), &[]).await.unwrap();
    aggregates.create("other", &BTreeMap::new(), &[]).await.unwrap();
    let zoned = |name: &str, zone: &str| {
        request(name, "1").availability_zone(zone).auto_retry(true).build().unwrap()
    };
    let home = async |uuid| plane.show(&ctx, uuid).await.unwrap().host;

    // A host that joins a zone, a zone that is named, and a host that is in none again.
    let az = test.boot(&ctx, zoned("az", "az1")).await[0];
    aggregates.set("fast", "availability_zone", Some("az1")).await.unwrap();
    assert_eq!(settle_all(plane).await, 0, "no host yet");
    assert!(aggregates.add_host("fast", "cell1-host1").await.unwrap());
    assert!(!aggregates.add_host("fast", "cell1-host1").await.unwrap(), "it is in it");
    assert_eq!(settle_all(plane).await, 1);
    assert_eq!(home(az).await.as_deref(), Some("cell1-host1"));
    let az2 = test.boot(&ctx, zoned("az2", "az2")).await[0];
    aggregates.set("fast", "availability_zone", Some("az2")).await.unwrap();
    assert_eq!(settle_all(plane).await, 1);
    assert_eq!(home(az2).await.as_deref(), Some("cell1-host1"));
    aggregates.add_host("other", "cell1-host2").await.unwrap();
    aggregates.set("other", "availability_zone", Some("az3")).await.unwrap();
    let default = test.boot(&ctx, zoned("nova", "nova")).await[0];
    assert!(home(default).await.is_none(), "both are in zones");
    aggregates.remove_host("other", "cell1-host2").await.unwrap();
    assert_eq!(settle_all(plane).await, 1);
    assert_eq!(home(default).await.as_deref(), Some("cell1-host2"));

    // A host is in one zone; an unknown one in none; what has hosts is not deleted.
    let zone = aggregates.add_host("other", "cell1-host1").await;
    assert!(matches!(zone, Err(AdminError::Invalid(e)) if e.field == "host"));
    let map = BTreeMap::from([("availability_zone".to_owned(), "az9".to_owned())]);
    let zone = aggregates.create("third", &map, &["cell1-host1"]).await;
    assert!(matches!(zone, Err(AdminError::Invalid(e)) if e.field == "host"));
    let unknown = aggregates.add_host("other", "nobody").await;
    assert!(matches!(unknown, Err(AdminError::NotFound { kind: "host", .. })), "{unknown:?}");
    let in_use = aggregates.delete("fast").await;
    assert!(matches!(in_use, Err(AdminError::InUse { .. })), "{in_use:?}");
    let taken = aggregates.create("fast", &BTreeMap::new(), &[]).await;
    assert!(matches!(taken, Err(AdminError::Exists { .. })), "{taken:?}");
    let not_in = aggregates.remove_host("other", "cell1-host1").await;
    assert!(matches!(not_in, Err(AdminError::NotFound { .. })), "{not_in:?}");

    let shown = aggregates.show("fast").await.unwrap();
    assert_eq!((shown.hosts.len(), shown.zone()), (1, Some("az2")));
    assert_eq!(aggregates.show(shown.uuid.as_deref().unwrap()).await.unwrap(), shown);
    aggregates.set("fast", "ssd", Some("true")).await.unwrap();
    aggregates.set("fast", "ssd", None).await.unwrap();
    assert_eq!(aggregates.show("fast").await.unwrap().metadata.len(), 1);
    aggregates.remove_host("fast", "cell1-host1").await.unwrap();
    aggregates.delete("fast").await.unwrap();
    assert!(matches!(aggregates.show("fast").await, Err(AdminError::NotFound { .. })));
    assert_eq!(aggregates.list().await.unwrap().len(), 1);
    assert_eq!(count(&test.api, "aggregate_metadata"), 1, "az3 of the other");
}

#[rstest]
#[tokio::test]
async fn what_is_buried_waits_when_it_is_asked_to_and_until_it_is_told_not_to(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = TestPlane::with(engine, hurried).await else { return };
    test.fill(&[&[(1, 512, 10)]]).await;
    let (plane, ctx) = (&test.plane, user());
    let live = test.boot(&ctx, one("live")).await[0];
    let mut buried = Vec::new();
    for name in ["b1", "b2", "b3"] {
        buried.push(test.boot(&ctx, one(name)).await[0]);
    }
    grow(&test, 1).await;
    for (uuid, new) in [(buried[0], true), (buried[1], true), (buried[1], false)] {
        assert_eq!(plane.retry_when_it_fits(&ctx, uuid).await.unwrap(), new);
    }
    assert!(plane.waiting(&ctx, buried[0]).await.unwrap().is_some());
    assert!(plane.waiting(&ctx, buried[2]).await.unwrap().is_none());
    assert!(plane.stop_waiting(&ctx, buried[1]).await.unwrap());
    assert!(!plane.stop_waiting(&ctx, buried[1]).await.unwrap(), "it does not wait");
    assert_eq!(settle_all(plane).await, 0, "nothing fits");
    grow(&test, 4).await;
    assert_eq!(settle_all(plane).await, 1);
    let home = async |uuid| plane.show(&ctx, uuid).await.unwrap().home;
    assert!(!home(buried[0]).await.is_cell0());
    assert!(home(buried[1]).await.is_cell0() && home(buried[2]).await.is_cell0());

    let not_buried = plane.retry_when_it_fits(&ctx, live).await;
    assert!(
        matches!(not_buried, Err(Write::Failed(RetryError::NotBuried { .. }))),
        "{not_buried:?}"
    );
    let other = RequestContext::new("project-b", "user-b");
    for refused in [
        plane.retry_when_it_fits(&other, buried[2]).await,
        plane.stop_waiting(&other, buried[2]).await,
        plane.stop_waiting(&ctx, InstanceUuid(uuid::Uuid::from_u128(7))).await,
    ] {
        assert!(
            matches!(refused, Err(Write::Failed(RetryError::InstanceNotFound { .. }))),
            "{refused:?}"
        );
    }
    // An admin may, and it stays so when it is buried again.
    grow(&test, 2).await;
    assert!(plane.retry_when_it_fits(&admin_of(&other), buried[2]).await.unwrap());
    plane.stop_waiting(&ctx, buried[2]).await.unwrap();
    assert!(plane.retry_when_it_fits(&ctx, buried[2]).await.unwrap());
    test.api.execute("DELETE FROM waiting_instances").unwrap();
    let retried = plane.retry(&ctx, buried[2]).await.unwrap();
    plane.settle_accepted(&retried).await.unwrap();
    assert!(plane.waiting(&ctx, buried[2]).await.unwrap().is_some(), "its request says so now");
    plane.delete(&ctx, live).await.unwrap();
    assert_eq!(settle_all(plane).await, 1);
    assert!(!home(buried[2]).await.is_cell0());
    test.check_at_rest();
}
