//! What clients read beside instances: key pairs, server groups, flavors of a project, usage, services,
//! hypervisors and zones.

use std::time::Duration;

use cellzero::*;
use cellzero_test_support::Engine;
use chrono::{NaiveDateTime, TimeDelta, Utc};
use rstest::rstest;

use crate::support::{PUBLIC_KEY, TestPlane, request, user};

fn stranger() -> RequestContext {
    RequestContext::new("project-b", "user-b")
}

#[rstest]
#[tokio::test]
async fn a_key_pair_is_its_users_alone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine).await else { return };
    let (keys, ctx) = (test.plane.key_pairs(), user());
    let made = keys.create(&ctx, "mine", PUBLIC_KEY).await.unwrap();
    assert_eq!(made.fingerprint, "0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba");
    assert_eq!((made.key_type.as_str(), made.user_id.as_str()), ("ssh", "user-a"));
    assert!(made.created_at.is_some());
    let again = keys.create(&ctx, "mine", PUBLIC_KEY).await.unwrap_err();
    assert!(matches!(again, AdminError::Exists { .. }), "{again}");
    let bad = keys.create(&ctx, "bad", "ssh-rsa AAAA").await.unwrap_err();
    assert!(matches!(bad, AdminError::Invalid(_)), "{bad}");
    // Another user may have one of the same name, and sees no other.
    let theirs = keys.create(&stranger(), "mine", PUBLIC_KEY).await.unwrap();
    assert_ne!(theirs.id, made.id);
    keys.create(&ctx, "a second", PUBLIC_KEY).await.unwrap();
    let names: Vec<String> =
        keys.list(&ctx).await.unwrap().into_iter().map(|key| key.name).collect();
    assert_eq!(names, ["a second", "mine"]);
    keys.delete(&ctx, "mine").await.unwrap();
    for gone in [keys.delete(&ctx, "mine").await, keys.show(&ctx, "mine").await.map(drop)] {
        assert!(matches!(gone, Err(AdminError::NotFound { .. })), "{gone:?}");
    }
    assert_eq!(keys.show(&stranger(), "mine").await.unwrap(), theirs);
}

#[rstest]
#[tokio::test]
async fn a_server_group_has_the_members_that_live(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[(i32, i32, i32)] = &[(8, 8192, 100), (8, 8192, 100)];
    let Some(test) = TestPlane::with_cells(engine, &[hosts]).await else { return };
    let (groups, ctx) = (test.plane.server_groups(), user());
    let uuid = groups.create(&ctx, "apart", "anti-affinity", 2).await.unwrap();
    let other = groups.create(&stranger(), "apart", "affinity", 1).await.unwrap();
    let asked = request("web", "1").count(3).server_group(uuid).build().unwrap();
    let accepted = test.boot(&ctx, asked).await;
    test.plane.delete(&ctx, accepted[1]).await.unwrap();
    let shown = groups.show(&ctx, uuid).await.unwrap();
    assert_eq!(shown.members, [accepted[0], accepted[2]]);
    assert_eq!(
        (shown.group.name.as_str(), shown.group.policy.as_str()),
        ("apart", "anti-affinity")
    );
    assert_eq!(shown.group.max_server_per_host, 2);
    assert_eq!(groups.list(&ctx).await.unwrap(), [shown]);
    assert_eq!(groups.list_all().await.unwrap().len(), 2);
    for hidden in [groups.show(&ctx, other).await.map(drop), groups.delete(&ctx, other).await] {
        assert!(matches!(hidden, Err(AdminError::NotFound { .. })), "{hidden:?}");
    }
    let specs = test.plane.request_specs(&ctx, &accepted.instances).await.unwrap();
    assert_eq!(specs.len(), 2, "the deleted one is left out");
    assert_eq!(specs[&accepted[0]].server_group, Some(uuid));
    assert!(test.plane.request_specs(&stranger(), &accepted.instances).await.unwrap().is_empty());
    // What is damaged and not shown stops nobody.
    let deleted = format!("WHERE instance_uuid = '{}'", accepted[1]);
    test.api.execute(&format!("UPDATE request_specs SET spec = '{{' {deleted}")).unwrap();
    let damaged = test.api.query(&format!("SELECT spec FROM request_specs {deleted}")).unwrap();
    assert_eq!(damaged, [[Some("{".to_owned())]]);
    assert_eq!(test.plane.request_specs(&ctx, &accepted.instances).await.unwrap().len(), 2);
    groups.delete(&ctx, uuid).await.unwrap();
    assert!(groups.list(&ctx).await.unwrap().is_empty());
    assert_eq!(test.plane.show(&ctx, accepted[0]).await.unwrap().status(), "ACTIVE");
}

#[rstest]
#[tokio::test]
async fn a_private_flavor_is_found_by_those_who_may_use_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine).await else { return };
    let flavors = test.plane.flavors();
    flavors.create(&Flavor::new("1", "all", 1, 512, 1)).await.unwrap();
    let private = Flavor { is_public: false, ..Flavor::new("2", "few", 1, 512, 1) };
    flavors.create_for(&private, &["project-a"]).await.unwrap();
    let of = async |ctx: RequestContext| {
        let all = flavors.list_for(&ctx).await.unwrap();
        let names: Vec<String> = all.into_iter().map(|flavor| flavor.name).collect();
        let found = flavors.find_for(&ctx, "2").await.unwrap().is_some();
        assert_eq!(names.contains(&"few".to_owned()), found);
        names
    };
    assert_eq!(of(user()).await, ["all", "few"]);
    assert_eq!(of(stranger()).await, ["all"]);
    assert_eq!(of(RequestContext::admin()).await, ["all", "few"]);
    flavors.deny("2", "project-a").await.unwrap();
    assert_eq!(of(user()).await, ["all"]);
    for none in [flavors.deny("2", "project-a").await, flavors.deny("3", "project-a").await] {
        assert!(matches!(none, Err(AdminError::NotFound { .. })), "{none:?}");
    }
}

fn now() -> NaiveDateTime {
    Utc::now().naive_utc()
}

#[rstest]
#[tokio::test]
async fn usage_counts_what_ran_in_all_cells_deleted_ones_too(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let one: &[(i32, i32, i32)] = &[(2, 1024, 100)];
    let Some(test) = TestPlane::with_cells(engine, &[one, one]).await else { return };
    let ctx = user();
    let ran = test.boot(&ctx, request("web", "1").count(4).build().unwrap()).await;
    test.boot(&ctx, request("big", "huge").build().unwrap()).await;
    for (_, cell) in &test.cells {
        let first = "UPDATE instances SET launched_at = '2026-01-01 00:00:00'";
        cell.execute(first).unwrap();
    }
    test.plane.delete(&ctx, ran[0]).await.unwrap();
    for (_, cell) in &test.cells {
        let ended = "UPDATE instances SET terminated_at = '2026-01-01 06:00:00', \
                     deleted_at = '2026-01-01 06:00:00' WHERE deleted <> 0";
        cell.execute(ended).unwrap();
    }
    let at = |text: &str| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
    let query = UsageQuery {
        project_id: Some(ctx.project_id.clone()),
        start: at("2026-01-01 03:00:00"),
        end: at("2026-01-01 13:00:00"),
        detailed: true,
    };
    let usages = test.plane.usage(&ctx, &query).await.unwrap();
    assert!(usages.down_cells.is_empty());
    let [usage] = &usages.projects[..] else { panic!("{usages:?}") };
    // Three whole periods and three hours; a flavor of 1 vcpu, 512 MiB and 1 GiB.
    let hours = 33.0;
    assert!((usage.total_hours - hours).abs() < 1e-6, "{usage:?}");
    assert!((usage.total_memory_mb_usage - hours * 512.0).abs() < 1e-3, "{usage:?}");
    assert!((usage.total_vcpus_usage - hours).abs() < 1e-6, "{usage:?}");
    assert!((usage.total_local_gb_usage - hours).abs() < 1e-6, "{usage:?}");
    assert_eq!(usage.instances.len(), 4);
    let ended: Vec<&InstanceUsage> =
        usage.instances.iter().filter(|one| one.state == "terminated").collect();
    assert_eq!((ended.len(), ended[0].uuid, ended[0].uptime), (1, ran[0], 6 * 3600));
    assert_eq!(ended[0].flavor, "flavor-1");

    let sums = UsageQuery { detailed: false, project_id: None, ..query.clone() };
    let all = test.plane.usage(&RequestContext::admin(), &sums).await.unwrap();
    assert!(all.projects[0].instances.is_empty());
    assert!((all.projects[0].total_hours - hours).abs() < 1e-6);
    let before = UsageQuery {
        end: at("2025-12-31 00:00:00"),
        start: at("2025-01-01 00:00:00"),
        ..query.clone()
    };
    assert!(test.plane.usage(&ctx, &before).await.unwrap().projects.is_empty());
    let backwards = UsageQuery { end: query.start - TimeDelta::hours(1), ..query.clone() };
    let others = UsageQuery { project_id: Some("project-b".into()), ..query.clone() };
    for bad in [backwards, others, sums] {
        let refused = test.plane.usage(&ctx, &bad).await.unwrap_err();
        assert!(matches!(refused, ReadError::Invalid(_)), "{refused}");
    }
}

#[rstest]
#[tokio::test]
async fn services_hypervisors_and_zones_are_those_of_all_cells(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let one: &[(i32, i32, i32)] = &[(8, 8192, 100)];
    let Some(test) = TestPlane::with_cells(engine, &[one, one]).await else { return };
    let hosts = test.plane.hosts();
    test.plane
        .aggregates()
        .create("east", &[("availability_zone".into(), "east".into())].into(), &["cell2-host1"])
        .await
        .unwrap();
    hosts.disable("cell1-host1", "for repair").await.unwrap();
    let ctx = user();
    test.boot(&ctx, request("web", "1").count(2).build().unwrap()).await;

    let services = hosts.services().await.unwrap();
    assert!(services.down_cells.is_empty());
    let shown: Vec<_> = services
        .services
        .iter()
        .map(|s| {
            (s.host.as_str(), s.zone.as_str(), s.disabled, s.is_up, s.disabled_reason.as_deref())
        })
        .collect();
    let expected = [
        ("cell1-host1", "nova", true, true, Some("for repair")),
        ("cell2-host1", "east", false, true, None),
    ];
    let mut sorted = shown.clone();
    sorted.sort();
    assert_eq!(sorted, expected);
    assert!(services.services.iter().all(|s| s.binary == "nova-compute" && s.uuid.is_some()));

    let hypervisors = hosts.hypervisors().await.unwrap().hypervisors;
    let second = hypervisors.iter().find(|one| one.node.host == "cell2-host1").unwrap();
    assert_eq!((second.node.vcpus, second.instances, second.cell), (8, 2, test.cell(1)));
    assert_eq!(second.used, Some(Resources { vcpus: 2, memory_mb: 1024, disk_gb: 2 }));
    assert!(second.service.as_ref().is_some_and(|service| service.is_up));

    let zones = hosts.zones().await.unwrap();
    let shown: Vec<_> = zones.iter().map(|zone| (zone.name.as_str(), zone.is_available)).collect();
    assert_eq!(shown, [("east", true), ("nova", false)]);
    assert_eq!(zones[0].hosts[0].host, "cell2-host1");

    // A host that is silent for long is down.
    let long_ago = (now() - TimeDelta::hours(1)).format("%Y-%m-%d %H:%M:%S");
    test.cells[1].1.execute(&format!("UPDATE services SET last_seen_up = '{long_ago}'")).unwrap();
    let services = hosts.services().await.unwrap().services;
    assert!(services.iter().any(|service| service.host == "cell2-host1" && !service.is_up));

    // A cell that does not answer is named, and the others are read.
    let nowhere = match engine {
        Engine::Sqlite => "sqlite:///nowhere/at/all.db",
        Engine::Postgres => "postgres://nobody@127.0.0.1:1/nothing",
        Engine::MariaDb => "mysql://nobody@127.0.0.1:1/nothing",
    };
    test.point(test.cell(0), nowhere);
    let partly = test.plane.hosts().services().await.unwrap();
    assert_eq!(partly.services.len(), 1);
    let down: Vec<CellUuid> = partly.down_cells.iter().map(|(cell, _)| *cell).collect();
    assert_eq!(down, [test.cell(0)]);
    let query = UsageQuery {
        project_id: None,
        start: now() - TimeDelta::days(1),
        end: now() + TimeDelta::days(1),
        detailed: false,
    };
    let admin = RequestContext::admin().with_timeout(Duration::from_secs(20));
    let usages = test.plane.usage(&admin, &query).await.unwrap();
    assert_eq!((usages.projects.len(), usages.down_cells.len()), (1, 1));
}
