//! Placement: zones, traits, server groups, forced and disabled hosts, unmapped hosts, quotas.

use std::collections::BTreeMap;

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, admin_of, count, request, user};

async fn home_of(test: &TestPlane, request: BootRequest) -> (Home, Option<String>) {
    let ctx = user();
    let accepted = test.boot(&ctx, request).await;
    let instance = test.plane.show(&ctx, accepted[0]).await.unwrap();
    (instance.home, instance.host)
}

#[rstest]
#[tokio::test]
async fn zone_trait_and_forced_host_lead_to_their_host(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(9, 9000, 90)], &[(4, 4096, 40), (4, 4096, 40)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let zone = BTreeMap::from([("availability_zone".to_owned(), "az2".to_owned())]);
    test.plane.aggregates().create("az2", &zone, &["cell2-host1"]).await.unwrap();
    let with_trait = ComputeNode::new("cell2-host2", 4, 4096, 40)
        .with_ratios(1.0, 1.0, 1.0)
        .with_trait("HW_SSD");
    test.plane.hosts().report(test.cell(1), &with_trait).await.unwrap();
    let ssd = Flavor::new("ssd", "ssd", 1, 512, 1).with_extra_spec("trait:HW_SSD", "required");
    test.plane.flavors().create(&ssd).await.unwrap();
    let cell2 = Home::Cell(test.cell(1));

    let zoned = request("a", "1").availability_zone("az2").build().unwrap();
    assert_eq!(home_of(&test, zoned).await, (cell2, Some("cell2-host1".into())));
    let with_ssd = request("b", "ssd").build().unwrap();
    assert_eq!(home_of(&test, with_ssd).await, (cell2, Some("cell2-host2".into())));
    let forced = request("c", "1").force_host("cell2-host2").build().unwrap();
    let accepted = test.boot(&admin_of(&user()), forced).await;
    let forced = test.plane.show(&user(), accepted[0]).await.unwrap();
    assert_eq!((forced.home, forced.host), (cell2, Some("cell2-host2".into())));
    let nowhere = request("d", "1").availability_zone("mars").build().unwrap();
    assert_eq!(home_of(&test, nowhere).await, (Home::Cell(CellUuid::CELL0), None));
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn disabled_hosts_and_cells_get_nothing_and_cell0_never_does(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(9, 9000, 90)], &[(4, 4096, 40)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    test.plane.hosts().disable("cell1-host1", "maintenance").await.unwrap();
    let one = || request("a", "1").build().unwrap();
    assert_eq!(home_of(&test, one()).await.0, Home::Cell(test.cell(1)));
    test.plane.cells().disable(test.cell(1)).await.unwrap();
    assert!(home_of(&test, one()).await.0.is_cell0());
    test.plane.hosts().enable("cell1-host1").await.unwrap();
    assert_eq!(home_of(&test, one()).await.0, Home::Cell(test.cell(0)));
    assert!(test.plane.cells().disable(CellUuid::CELL0).await.is_err());
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn an_unmapped_host_buries_its_instance_and_its_siblings_go_on(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(1, 4096, 40)], &[(1, 4096, 40)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let ctx = user();
    assert!(test.plane.hosts().unmap("cell1-host1").await.unwrap());
    let accepted = test.boot(&ctx, request("web", "1").count(2).build().unwrap()).await;
    let mut homes = Vec::new();
    for uuid in &accepted.instances {
        let instance = test.plane.show(&ctx, *uuid).await.unwrap();
        if let Some(fault) = &instance.fault {
            assert!(fault.message.contains("not mapped to any cell"), "{}", fault.message);
            assert!(!fault.message.contains("cell1-host1"), "a user reads no host");
            assert!(fault.details.as_ref().unwrap().contains("cell1-host1"));
        }
        homes.push(instance.home);
    }
    homes.sort();
    let mut expected = [Home::Cell(CellUuid::CELL0), Home::Cell(test.cell(1))];
    expected.sort();
    assert_eq!(homes, expected);
    assert_eq!(count(&test.api, "claims"), 1);
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn anti_affinity_holds_across_requests(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(9, 9000, 90), (9, 9000, 90)]]).await else {
        return;
    };
    let group = test.plane.server_groups().create(&user(), "ha", "anti-affinity", 1).await.unwrap();
    let mut hosts = Vec::new();
    for _ in 0..3 {
        hosts.push(home_of(&test, request("a", "1").server_group(group).build().unwrap()).await.1);
    }
    hosts.sort();
    assert_eq!(hosts, [None, Some("cell1-host1".into()), Some("cell1-host2".into())]);
}

#[rstest]
#[tokio::test]
async fn a_buried_instance_costs_no_quota_and_a_group_is_trimmed_to_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(9, 9000, 90)]]).await else { return };
    let ctx = user();
    test.plane.quotas().set("project-a", "instances", Some(3)).await.unwrap();
    test.boot(&ctx, request("big", "huge").count(3).build().unwrap()).await;
    let trimmed = test.boot(&ctx, request("web", "1").counts(1, 9).build().unwrap()).await;
    assert_eq!(trimmed.instances.len(), 3);
    let refused = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap_err();
    let Some(BootError::QuotaExceeded { resource, limit, used, requested }) = refused.failed()
    else {
        panic!("{refused}");
    };
    assert_eq!((*resource, *limit, *used, *requested), ("instances", 3, 3, 1));
    test.plane.delete(&ctx, trimmed[0]).await.unwrap();
    test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
}

/// Flavor `1` has one vcpu and 512 MiB, flavor `2` one vcpu and 1024 MiB.
#[rstest]
#[case::exactly_enough("ram", 2048, 2)]
#[case::one_less("ram", 2047, 1)]
#[case::cores("cores", 2, 2)]
#[tokio::test]
async fn a_quota_trims_a_group_to_what_is_left_of_the_resource(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[case] resource: &str,
    #[case] limit: i32,
    #[case] trimmed: usize,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(9, 9000, 90)]]).await else { return };
    let ctx = user();
    test.plane.quotas().set("project-a", resource, Some(limit)).await.unwrap();
    let refused = test.plane.boot(&ctx, request("web", "2").count(3).build().unwrap()).await;
    let Err(Write::Failed(BootError::QuotaExceeded { resource: named, requested, .. })) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(named, resource);
    assert_eq!(requested, if resource == "ram" { 3 * 1024 } else { 3 });
    let accepted = test.plane.boot(&ctx, request("web", "2").counts(1, 9).build().unwrap()).await;
    assert_eq!(accepted.unwrap().instances.len(), trimmed);
}

#[rstest]
#[tokio::test]
async fn a_host_that_is_mapped_to_cell0_gets_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(9, 9000, 90)]]).await else { return };
    let cell0 = format!("SELECT id FROM cell_mappings WHERE uuid = '{}'", CellUuid::CELL0);
    test.api.execute(&format!("UPDATE host_mappings SET cell_id = ({cell0})")).unwrap();
    let accepted = test.boot(&user(), request("web", "1").build().unwrap()).await;
    let buried = test.plane.show(&user(), accepted[0]).await.unwrap();
    assert!(buried.home.is_cell0() && buried.host.is_none(), "{buried:?}");
    let message = buried.fault.unwrap().message;
    assert!(message.ends_with("is not mapped to any cell."), "{message}");
    test.check_at_rest();
}
