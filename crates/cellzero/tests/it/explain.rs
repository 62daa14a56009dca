//! What is kept of a verdict: replayed to the last bit, compared with now, and asked beforehand.

use std::collections::BTreeMap;

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, admin_of, count, request, user};

const HOSTS: &[&[(i32, i32, i32)]] = &[&[(4, 4096, 40), (2, 1024, 40)], &[(4, 4096, 40)]];

fn admin() -> RequestContext {
    RequestContext::admin()
}

fn node(name: &str, vcpus: i32, memory_mb: i32) -> ComputeNode {
    ComputeNode::new(name, vcpus, memory_mb, 40).with_ratios(1.0, 1.0, 1.0)
}

/// Requests that are buried for different causes, and who asks.
async fn hopeless(test: &TestPlane) -> Vec<(RequestContext, BootRequest)> {
    let gpu = Flavor::new("gpu", "gpu", 1, 512, 1).with_extra_spec("trait:GPU", "required");
    test.plane.flavors().create(&gpu).await.unwrap();
    let zone = BTreeMap::from([("availability_zone".to_owned(), "az1".to_owned())]);
    test.plane.aggregates().create("az1", &zone, &["cell1-host1"]).await.unwrap();
    let apart =
        test.plane.server_groups().create(&user(), "apart", "anti-affinity", 1).await.unwrap();
    let admin = admin_of(&user());
    vec![
        (user(), request("size", "huge").build().unwrap()),
        (user(), request("trait", "gpu").build().unwrap()),
        (user(), request("zone", "1").availability_zone("mars").build().unwrap()),
        (user(), request("too few", "2").counts(40, 50).build().unwrap()),
        (user(), request("apart", "1").counts(4, 4).server_group(apart).build().unwrap()),
        (admin, request("forced", "1").force_host("nowhere").build().unwrap()),
    ]
}

/// Every buried instance's verdict and its replay, as bytes.
async fn replayed(
    plane: &ControlPlane,
    ctx: &RequestContext,
    buried: &[InstanceUuid],
) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for uuid in buried {
        let verdict = plane.verdict(ctx, *uuid).await.unwrap().expect("it is buried");
        let again = plane.replay(ctx, *uuid).await.unwrap().expect("its snapshot was kept");
        all.push((verdict.to_json(), again.to_json()));
    }
    all
}

#[rstest]
#[tokio::test]
async fn a_verdict_is_replayed_to_the_last_bit(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, HOSTS).await else { return };
    test.plane.hosts().disable("cell1-host2", "broken").await.unwrap();
    let mut buried = Vec::new();
    for (ctx, request) in hopeless(&test).await {
        buried.extend(test.boot(&ctx, request).await.instances);
    }
    let before = replayed(&test.plane, &admin(), &buried).await;
    for (verdict, again) in &before {
        assert_eq!(verdict, again);
    }
    let codes = |code: &str| before.iter().filter(|(verdict, _)| verdict.contains(code)).count();
    assert!(codes("min_count_not_met") > 0 && codes("no_valid_host") > 0);

    // Whatever has changed since, and who asks.
    test.plane.hosts().report(test.cell(1), &node("cell2-host1", 400, 999_999)).await.unwrap();
    test.plane.hosts().enable("cell1-host2").await.unwrap();
    test.plane.cells().disable(test.cell(0)).await.unwrap();
    assert_eq!(replayed(&test.plane, &admin(), &buried).await, before);
    for (verdict, again) in replayed(&test.plane, &user(), &buried).await {
        assert_eq!(verdict, again);
        assert!(!verdict.contains("cell1-host"), "{verdict}");
    }
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_burst_keeps_one_verdict_for_each_cause_and_one_snapshot(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, HOSTS).await else { return };
    let gpu = Flavor::new("gpu", "gpu", 1, 512, 1).with_extra_spec("trait:GPU", "required");
    test.plane.flavors().create(&gpu).await.unwrap();
    for flavor in ["huge", "gpu"] {
        for number in 0..10 {
            let asked = request(&format!("{flavor}{number}"), flavor).count(3).build().unwrap();
            test.plane.boot(&user(), asked).await.unwrap();
        }
    }
    test.plane.settle().await.unwrap();
    assert_eq!(count(&test.cell0, "instances WHERE deleted = 0"), 60);
    assert_eq!((count(&test.cell0, "verdicts"), count(&test.cell0, "host_snapshots")), (2, 1));

    // One host has less, so both are others.
    test.boot(&user(), request("small", "1").build().unwrap()).await;
    test.boot(&user(), request("again", "huge").build().unwrap()).await;
    assert_eq!((count(&test.cell0, "verdicts"), count(&test.cell0, "host_snapshots")), (3, 2));
}

#[rstest]
#[tokio::test]
async fn an_explanation_says_whether_it_would_fit_now_and_where(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, HOSTS).await else { return };
    let flavor = Flavor::new("big", "big", 8, 8_192, 1);
    test.plane.flavors().create(&flavor).await.unwrap();
    let uuid = test.boot(&user(), request("big", "big").build().unwrap()).await[0];
    let explained = test.plane.explain(&admin(), uuid).await.unwrap().expect("it is buried");
    assert!(!explained.fits_now && explained.place.is_none());
    assert_eq!(explained.verdict_now.as_ref(), Some(&explained.verdict));
    let since = explained.since.expect("the snapshot was kept");
    assert_eq!((since.added, since.gone, since.changed), (0, 0, 0));
    assert_eq!(since.generation.0, since.generation.1);
    assert!(since.helped.is_empty() && since.reached_at.is_some());

    test.boot(&user(), request("small", "1").build().unwrap()).await;
    test.plane.hosts().report(test.cell(1), &node("cell2-new", 8, 8_192)).await.unwrap();
    let explained = test.plane.explain(&admin(), uuid).await.unwrap().unwrap();
    let place = explained.place.expect("there is room");
    assert!(explained.fits_now && explained.verdict_now.is_none());
    let since = explained.since.unwrap();
    assert_eq!((place.host.as_str(), place.cell), ("cell2-new", test.cell(1)));
    assert_eq!((since.added, since.gone, since.changed), (1, 0, 1));
    assert_eq!(since.helped, ["cell2-new"]);
    assert!(since.generation.0 < since.generation.1);

    // Its owner learns whether, and no more.
    let owner = test.plane.explain(&user(), uuid).await.unwrap().unwrap();
    let all = serde_json::json!(owner).to_string();
    assert!(owner.fits_now && owner.place.is_none() && owner.since.is_none());
    assert!(!all.contains("cell2-new") && !all.contains(&test.cell(1).to_string()), "{all}");
    let stranger = RequestContext::new("project-b", "user-b");
    let refused = test.plane.explain(&stranger, uuid).await.unwrap_err();
    assert!(matches!(
        refused,
        Write::Failed(ExplainError::Read(ReadError::InstanceNotFound { .. }))
    ));

    // What it says comes true.
    test.plane.retry(&user(), uuid).await.unwrap();
    test.plane.settle().await.unwrap();
    assert_eq!(test.plane.show(&user(), uuid).await.unwrap().host, Some(place.host));
    assert_eq!(test.plane.explain(&admin(), uuid).await.unwrap(), None);
    assert_eq!(test.plane.replay(&admin(), uuid).await.unwrap(), None);
    test.check_at_rest();
}

/// What the databases hold, by table.
fn rows(test: &TestPlane) -> Vec<i64> {
    let api = ["build_requests", "request_specs", "boot_states", "claims", "boot_intents"];
    let in_api = api.iter().map(|table| count(&test.api, table));
    in_api.chain([count(&test.cell0, "verdicts"), count(&test.cell0, "instances")]).collect()
}

#[rstest]
#[tokio::test]
async fn what_if_counts_what_fits_and_writes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, HOSTS).await else { return };
    test.boot(&user(), request("first", "2").build().unwrap()).await;
    let asked = |count| request("web", "2").count(count).build().unwrap();
    let before = rows(&test);
    // Nine slots, of which one is taken.
    let fit = test.plane.what_if(&admin(), &asked(1), 100).await.unwrap();
    assert_eq!(fit.fit, 8);
    assert_eq!(fit.by_cell.values().sum::<u32>(), 8);
    assert!(fit.by_cell.keys().all(|cell| [test.cell(0), test.cell(1)].contains(cell)));
    assert_eq!(fit.next.as_ref().map(Verdict::code), Some("no_valid_host"));
    let few = test.plane.what_if(&admin(), &asked(1), 5).await.unwrap();
    assert_eq!((few.fit, few.next), (5, None));
    let owner = test.plane.what_if(&user(), &asked(1), 100).await.unwrap();
    assert_eq!(owner, WhatIf { fit: 8, by_cell: BTreeMap::new(), next: None });
    assert_eq!(rows(&test), before);

    // What a boot would refuse is refused here.
    let unknown = request("web", "unknown").build().unwrap();
    let refused = test.plane.what_if(&user(), &unknown, 1).await.unwrap_err();
    assert!(matches!(refused, Write::Failed(ExplainError::Refused(BootError::Invalid(_)))));
    let forced = request("web", "1").force_host("cell1-host1").build().unwrap();
    let refused = test.plane.what_if(&user(), &forced, 1).await.unwrap_err();
    assert!(matches!(refused, Write::Failed(ExplainError::Refused(BootError::AdminOnly { .. }))));

    // What it says comes true, and the next is buried for what it named.
    let accepted = test.boot(&user(), request("web", "2").counts(1, 9).build().unwrap()).await;
    let mut verdicts = Vec::new();
    let mut in_cells = BTreeMap::new();
    for uuid in &accepted.instances {
        match test.plane.show(&user(), *uuid).await.unwrap().home {
            Home::Cell(cell) if !cell.is_cell0() => *in_cells.entry(cell).or_insert(0) += 1,
            _ => verdicts.push(test.plane.verdict(&admin(), *uuid).await.unwrap()),
        }
    }
    assert_eq!(in_cells, fit.by_cell);
    assert_eq!(verdicts, [fit.next]);
    test.check_at_rest();
}

/// The generation of each host, by name.
fn generations(test: &TestPlane) -> BTreeMap<String, i64> {
    let rows = test.api.query("SELECT host, generation FROM host_capacity").unwrap();
    let text = |value: &Option<String>| value.clone().expect("a value");
    rows.iter().map(|row| (text(&row[0]), text(&row[1]).parse().unwrap())).collect()
}

/// The hosts whose generation has risen.
fn risen(test: &TestPlane, before: &mut BTreeMap<String, i64>) -> Vec<String> {
    let now = generations(test);
    let risen = now.iter().filter(|(host, generation)| before.get(*host) < Some(*generation));
    let risen = risen.map(|(host, _)| host.clone()).collect();
    *before = now;
    risen
}

#[rstest]
#[tokio::test]
async fn the_generation_rises_with_each_change_that_can_help_and_with_no_other(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(2, 2048, 40), (4, 4096, 40)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let (plane, cell) = (&test.plane, test.cell(0));
    let mut known = generations(&test);
    assert_eq!(known.len(), 2);
    let big = node("cell1-host2", 4, 4096);

    // A report that says nothing new, or less; a host that is taken or closed; a cell that is closed.
    plane.hosts().report(cell, &big).await.unwrap();
    plane.hosts().report(cell, &node("cell1-host2", 3, 4000)).await.unwrap();
    let booted = test.boot(&user(), request("web", "1").build().unwrap()).await;
    plane.hosts().disable("cell1-host1", "full").await.unwrap();
    plane.cells().disable(cell).await.unwrap();
    assert_eq!(risen(&test, &mut known), [""; 0]);

    plane.cells().enable(cell).await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host1", "cell1-host2"]);
    plane.hosts().enable("cell1-host1").await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host1"]);
    plane.hosts().report(cell, &big).await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host2"], "it is larger");
    let big = big.with_trait("GPU");
    plane.hosts().report(cell, &big).await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host2"], "a trait");
    plane.delete(&user(), booted[0]).await.unwrap();
    plane.settle().await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host2"], "a claim is freed");
    let zone = BTreeMap::from([("availability_zone".to_owned(), "az1".to_owned())]);
    plane.aggregates().create("az1", &zone, &["cell1-host1"]).await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host1"], "a zone");
    plane.aggregates().create("empty", &BTreeMap::new(), &[]).await.unwrap();
    plane.aggregates().set("empty", "ssd", Some("true")).await.unwrap();
    assert_eq!(risen(&test, &mut known), [""; 0], "no host is in it");
    plane.aggregates().add_host("empty", "cell1-host2").await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host2"], "an aggregate");
    for value in [Some("false"), None] {
        plane.aggregates().set("empty", "ssd", value).await.unwrap();
        assert_eq!(risen(&test, &mut known), ["cell1-host2"], "its metadata");
    }
    plane.aggregates().remove_host("empty", "cell1-host2").await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host2"], "in no aggregate any more");
    plane.aggregates().delete("empty").await.unwrap();
    plane.flavors().delete("2").await.unwrap();
    plane.quotas().set_default("instances", Some(9)).await.unwrap();
    plane.hosts().discover(&DiscoverOptions::default()).await.unwrap();
    plane.hosts().unmap("cell1-host1").await.unwrap();
    assert_eq!(risen(&test, &mut known), [""; 0]);
    plane.hosts().discover(&DiscoverOptions::default()).await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host1"], "it is discovered again");
    plane.hosts().unmap("cell1-host1").await.unwrap();
    assert_eq!(risen(&test, &mut known), [""; 0]);
    plane.hosts().report(cell, &node("cell1-host1", 2, 2048)).await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host1"], "it is mapped again");
    let silent = "UPDATE host_capacity SET last_seen_up = '2020-01-01 00:00:00'";
    test.api.execute(silent).unwrap();
    plane.hosts().report(cell, &big).await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host2"], "it is back");
    plane.hosts().report(cell, &node("cell1-host3", 1, 512)).await.unwrap();
    assert_eq!(risen(&test, &mut known), ["cell1-host3"], "it is new");
}
