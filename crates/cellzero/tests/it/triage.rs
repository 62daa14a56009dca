//! The report of cell0: every buried instance in its group, recounted from list, verdict and flavor.

use std::collections::{BTreeMap, BTreeSet};

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, request, user};

const HOSTS: &[&[(i32, i32, i32)]] = &[&[(4, 4096, 40), (2, 1024, 40)], &[(4, 4096, 40)]];

fn other() -> RequestContext {
    RequestContext::new("project-b", "user-b")
}

/// Buries for several causes, in two projects, zones and days; some leave again.
async fn bury(test: &TestPlane) {
    let plane = &test.plane;
    let gpu = Flavor::new("gpu", "gpu", 1, 512, 1)
        .with_extra_spec("trait:GPU", "required")
        .with_extra_spec("trait:OLD", "forbidden")
        .with_extra_spec("aggregate_instance_extra_specs:pool", "gold");
    plane.flavors().create(&gpu).await.unwrap();
    let zone = BTreeMap::from([("availability_zone".to_owned(), "az1".to_owned())]);
    plane.aggregates().create("az1", &zone, &["cell1-host1"]).await.unwrap();
    // More than a page, with a live one before and after.
    test.boot(&user(), request("fits", "1").build().unwrap()).await;
    test.boot(&user(), request("many", "huge").count(300).build().unwrap()).await;
    test.boot(&user(), request("trait", "gpu").count(3).build().unwrap()).await;
    test.boot(&other(), request("trait", "gpu").count(2).build().unwrap()).await;
    let zoned = |zone: &str| request("zone", "1").availability_zone(zone).count(2).build().unwrap();
    test.boot(&user(), zoned("mars")).await;
    test.boot(&other(), zoned("venus")).await;
    test.boot(&other(), request("too few", "2").counts(40, 50).build().unwrap()).await;
    test.boot(&user(), request("fits", "1").build().unwrap()).await;

    let deleted = test.boot(&user(), request("deleted", "huge").build().unwrap()).await;
    plane.delete(&user(), deleted[0]).await.unwrap();
    let back = request("back", "1").availability_zone("az2").build().unwrap();
    let back = test.boot(&user(), back).await;
    let zone = BTreeMap::from([("availability_zone".to_owned(), "az2".to_owned())]);
    plane.aggregates().create("az2", &zone, &["cell2-host1"]).await.unwrap();
    plane.retry(&user(), back[0]).await.unwrap();
    plane.settle().await.unwrap();
    assert!(!plane.show(&user(), back[0]).await.unwrap().home.is_cell0());
}

/// Every group with how many it has and what they ask for in all, from what list and verdict say.
async fn recounted(test: &TestPlane) -> BTreeMap<BuriedAs, (u64, Resources)> {
    let admin = RequestContext::admin();
    let fences = "SELECT instance_uuid, COALESCE(updated_at, created_at) FROM instance_fences";
    let days: BTreeMap<String, String> = test
        .cell0
        .query(fences)
        .unwrap()
        .into_iter()
        .map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap()[..10].to_owned()))
        .collect();
    let mut groups: BTreeMap<BuriedAs, (u64, Resources)> = BTreeMap::new();
    let query = ListQuery::default().all_projects().limit(1000);
    for instance in test.plane.list(&admin, &query).await.unwrap().instances {
        if !instance.home.is_cell0() {
            continue;
        }
        let verdict = test.plane.verdict(&admin, instance.uuid).await.unwrap().unwrap();
        let primary = verdict.no_host().map(|no_host| no_host.all.primary.clone());
        let flavor = instance.flavor.unwrap();
        let key = BuriedAs {
            code: verdict.code().to_owned(),
            refusal: primary.unwrap_or_default().iter().map(|count| count.refusal).max(),
            project_id: instance.project_id,
            flavor: Some(flavor.name.clone()),
            zone: instance.availability_zone,
            day: Some(days[&instance.uuid.to_string()].parse().unwrap()),
        };
        let (count, asked) = groups.entry(key).or_default();
        *count += 1;
        *asked = *asked + flavor.resources();
    }
    groups
}

#[rstest]
#[tokio::test]
async fn the_report_of_cell0_is_right_by_recount(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, HOSTS).await else { return };
    bury(&test).await;
    // Some were buried the day before.
    let uuids = test.cell0.query("SELECT instance_uuid FROM instance_fences").unwrap();
    for row in uuids.iter().step_by(3) {
        let uuid = row[0].as_deref().unwrap();
        let earlier = "updated_at = '2026-01-02 23:59:59.5'";
        let of = format!("WHERE instance_uuid = '{uuid}'");
        test.cell0.execute(&format!("UPDATE instance_fences SET {earlier} {of}")).unwrap();
    }
    let report = test.plane.cell0_report(&RequestContext::admin()).await.unwrap();
    let found: BTreeMap<BuriedAs, (u64, Resources)> = report
        .groups
        .iter()
        .map(|group| (group.buried_as.clone(), (group.instances, group.clearance.in_all)))
        .collect();
    assert_eq!(found.len(), report.groups.len(), "each group once");
    assert_eq!(found, recounted(&test).await);
    assert_eq!((report.instances, report.beyond), (300 + 3 + 2 + 2 + 2 + 50, 0));
    assert!(report.groups.is_sorted_by_key(|group| std::cmp::Reverse(group.instances)));

    let codes: BTreeSet<&str> = report.groups.iter().map(|g| g.buried_as.code.as_str()).collect();
    assert_eq!(codes, BTreeSet::from(["min_count_not_met", "no_valid_host"]));
    let of_flavor = |name: &str| {
        report.groups.iter().find(|group| group.buried_as.flavor.as_deref() == Some(name)).unwrap()
    };
    let gpu = of_flavor("gpu");
    assert_eq!(gpu.buried_as.refusal, Some(Refusal::Traits));
    assert_eq!(gpu.clearance.required_traits, BTreeSet::from(["GPU".to_owned()]));
    assert_eq!(gpu.clearance.forbidden_traits, BTreeSet::from(["OLD".to_owned()]));
    let pool = BTreeMap::from([("pool".to_owned(), "gold".to_owned())]);
    assert_eq!(gpu.clearance.aggregate_metadata, pool);
    let huge = of_flavor("flavor-huge");
    assert_eq!(huge.clearance.each, Resources { vcpus: 9_999, memory_mb: 9_999_999, disk_gb: 1 });
}

#[rstest]
#[tokio::test]
async fn what_clears_a_group_does(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, HOSTS).await else { return };
    let gpu = Flavor::new("gpu", "gpu", 3, 600, 2).with_extra_spec("trait:GPU", "required");
    test.plane.flavors().create(&gpu).await.unwrap();
    let buried = test.boot(&user(), request("web", "gpu").count(4).build().unwrap()).await;
    let report = test.plane.cell0_report(&RequestContext::admin()).await.unwrap();
    let [group] = &report.groups[..] else { panic!("{report:?}") };
    let Clearance { in_all, required_traits, .. } = &group.clearance;
    let size = |size: i64| i32::try_from(size).unwrap();
    let node =
        ComputeNode::new("new", size(in_all.vcpus), size(in_all.memory_mb), size(in_all.disk_gb));
    let node = required_traits.iter().fold(node, |node, name| node.with_trait(name));
    let node = node.with_ratios(1.0, 1.0, 1.0);
    test.plane.hosts().report(test.cell(0), &node).await.unwrap();
    for uuid in &buried.instances {
        test.plane.retry(&user(), *uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    let report = test.plane.cell0_report(&RequestContext::admin()).await.unwrap();
    assert_eq!(report, Cell0Report::default());
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn only_an_admin_gets_a_report_of_cell0(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, HOSTS).await else { return };
    let refused = test.plane.cell0_report(&user()).await.unwrap_err();
    assert!(matches!(refused, TriageError::AdminOnly), "{refused}");
    let report = test.plane.cell0_report(&RequestContext::admin()).await.unwrap();
    assert_eq!(report, Cell0Report::default());
}
