//! Pages put together are the list: random instances, random keys and filters, pages of any size,
//! and what boots, is buried, retried or deleted between them.

use std::collections::{BTreeMap, BTreeSet};

use cellzero::list_order::compare;
use cellzero::*;
use cellzero_test_support::Engine;
use futures_util::TryStreamExt as _;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use rstest::rstest;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::support::{TestPlane, admin_of, both_ways, request, user};

/// How many random queries each engine is asked.
const CASES: u32 = 150;
/// Keys that are NULL for some instances and equal for many.
const TIED: &[SortKey] = &[
    SortKey::VmState,
    SortKey::TaskState,
    SortKey::Host,
    SortKey::DisplayName,
    SortKey::LaunchedAt,
    SortKey::KeyName,
    SortKey::AccessIpV4,
];

/// Instances in two cells, far more in the one than in the other, so that a page needs a second batch
/// of it; in cell0 and without a home; with columns that are NULL, equal, or differ
/// in case only.
async fn populated(engine: Engine) -> Option<TestPlane> {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(60, 90_000, 900)], &[(60, 90_000, 900)]];
    let test = TestPlane::with_cells(engine, hosts).await?;
    let crowd = request("web", "1").count(45).force_host("cell1-host1").tag("web");
    let crowd = crowd.metadata("role", "web").build().unwrap();
    test.boot(&admin_of(&user()), crowd).await;
    for (name, flavor, count) in [("Web", "huge", 8), ("ünch", "2", 9)] {
        let asked = request(name, flavor).count(count).tag(name).metadata("role", name);
        test.boot(&user(), asked.build().unwrap()).await;
    }
    let building = request("new", "1").count(5).tag("web").build().unwrap();
    test.plane.boot(&user(), building).await.unwrap();
    let cells = test.cells.iter().map(|(_, cell)| cell).chain([&test.cell0]);
    for cell in cells {
        for (column, modulus, value) in [
            ("display_name", 4, "NULL"),
            ("display_name", 5, "'web-1'"),
            ("vm_state", 3, "'stopped'"),
            ("task_state", 3, "'rebooting'"),
            ("host", 5, "'other'"),
            ("launched_at", 4, "'2026-01-01 00:00:00'"),
            ("access_ip_v4", 3, "'10.0.0.9'"),
            ("locked", 3, "'1'"),
            ("key_name", 4, "'Key'"),
            ("progress", 4, "7"),
        ] {
            let change =
                format!("UPDATE instances SET {column} = {value} WHERE id % {modulus} = 1");
            cell.execute(&change).unwrap();
        }
    }
    Some(test)
}

fn orders() -> impl Strategy<Value = SortOrder> {
    // Often those that are NULL or equal for many, where the next key has to decide.
    let key = prop_oneof![
        3 => prop::sample::select(TIED),
        1 => prop::sample::select(SortKey::ALL).prop_map(|(key, _)| key),
    ];
    let direction = prop::sample::select(vec![SortDirection::Ascending, SortDirection::Descending]);
    prop::collection::vec((key, direction), 1..4)
}

fn filters() -> impl Strategy<Value = ListFilters> {
    let none = ListFilters::default;
    let some = prop::sample::select(vec![
        none().name("^web").unwrap(),
        none().name("(?i)WEB").unwrap(),
        none().name("n").unwrap(),
        none().vm_states(&[VmState::Stopped, VmState::Building]),
        none().task_states(&[None]),
        none().status("REBOOT").unwrap().status("ERROR").unwrap(),
        none().host("other"),
        none().locked(true),
        none().locked(false),
        none().flavor("2"),
        none().tag("web"),
        ListFilters { tags_any: vec!["web".into(), "ünch".into()], ..none() },
        ListFilters { not_tags: vec!["web".into()], ..none() },
        ListFilters { not_tags_any: vec!["Web".into(), "ünch".into()], ..none() },
        none().metadata("role", "Web"),
        none().text(SortKey::AccessIpV4, "10.0.0.9"),
        none().column(SortKey::LaunchedAt, ColumnFilter::OneOf(vec![None])),
        none().column(SortKey::Progress, ColumnFilter::OneOf(vec![Some(SortValue::Number(7))])),
    ]);
    prop_oneof![Just(none()), some]
}

/// Every instance, as it is shown.
async fn all(plane: &ControlPlane) -> Vec<Instance> {
    let mut all: Vec<Instance> =
        plane.list_stream(&user(), &ListQuery::default()).try_collect().await.unwrap();
    for instance in &mut all {
        *instance = plane.show(&user(), instance.uuid).await.unwrap();
    }
    all
}

async fn walk(plane: &ControlPlane, query: &ListQuery) -> Vec<InstanceUuid> {
    let mut query = query.clone();
    let mut walked = Vec::new();
    loop {
        let page = plane.list(&user(), &query).await.unwrap();
        assert!(page.is_complete(), "{:?}", page.cells);
        assert!(page.instances.len() <= query.limit as usize);
        walked.extend(page.instances.iter().map(|instance| instance.uuid));
        assert!(walked.len() < 1_000, "the walk comes to its end");
        match page.next {
            // As a client keeps it.
            Some(next) => query = query.after(next.to_string().parse::<Cursor>().unwrap()),
            None => return walked,
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_put_together_are_the_whole_list_sorted_and_cut(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = populated(engine).await else { return };
    let all = all(&test.plane).await;
    assert_eq!(all.len(), 67);
    let flavor = all.iter().find(|i| i.flavor.as_ref().is_some_and(|f| f.flavorid == "2"));
    let flavor = flavor.unwrap().instance_type_id.map(|id| SortValue::Number(id.into()));
    let mut runner = TestRunner::new(Cases { cases: CASES, ..Cases::default() });
    let cases = (orders(), filters(), prop_oneof![1u32..6, 1u32..70]);
    let done = runner.run(&cases, |(order, filters, limit)| {
        let query = ListQuery::default().sort_by(order).filter(filters).limit(limit);
        let mut judged = query.filters.clone();
        if !std::mem::take(&mut judged.flavors).is_empty() {
            let filter = ColumnFilter::OneOf(vec![flavor.clone()]);
            judged = judged.column(SortKey::InstanceTypeId, filter);
        }
        let order = query.total_order();
        let mut expected: Vec<&Instance> = all.iter().filter(|i| judged.matches(i)).collect();
        expected.sort_by(|a, b| compare(&order, &a.sort_values(&order), &b.sort_values(&order)));
        let expected: Vec<InstanceUuid> = expected.iter().map(|i| i.uuid).collect();
        let walked = block_in_place(|| Handle::current().block_on(walk(&test.plane, &query)));
        prop_assert_eq!(walked, expected);
        Ok(())
    });
    done.unwrap();
}

/// What happens between two pages.
#[derive(Debug, Clone, Copy)]
enum Between {
    Boot,
    Bury,
    Settle,
    Retry,
    Delete,
}

fn happenings() -> impl Strategy<Value = Vec<(Between, usize)>> {
    use Between::{Boot, Bury, Delete, Retry, Settle};
    let what = prop::sample::select(vec![Boot, Bury, Settle, Settle, Retry, Delete]);
    prop::collection::vec((what, 0..100usize), 4..12)
}

/// The homes of instances, as a test knows them.
#[derive(Default)]
struct Known {
    alive: BTreeMap<InstanceUuid, bool>,
    deleted: BTreeSet<InstanceUuid>,
}

impl Known {
    async fn happen(&mut self, test: &TestPlane, what: Between, number: usize) {
        let ctx = user();
        match what {
            Between::Boot | Between::Bury => {
                let huge = matches!(what, Between::Bury);
                let flavor = if huge { "huge" } else { "1" };
                let new = request(&format!("n{number}"), flavor).count(2).build().unwrap();
                for uuid in test.plane.boot(&ctx, new).await.unwrap().instances {
                    self.alive.insert(uuid, huge);
                }
            }
            Between::Settle => {
                test.plane.settle().await.unwrap();
            }
            Between::Retry => {
                let buried: Vec<InstanceUuid> =
                    self.alive.iter().filter(|(_, huge)| **huge).map(|(uuid, _)| *uuid).collect();
                if let Some(uuid) = buried.get(number % buried.len().max(1)) {
                    // It may not be in cell0 yet.
                    let _ = test.plane.retry(&ctx, *uuid).await;
                }
            }
            Between::Delete => {
                let uuid = self.alive.keys().nth(number % self.alive.len().max(1)).copied();
                if let Some(uuid) = uuid {
                    test.plane.delete(&ctx, uuid).await.unwrap();
                    self.alive.remove(&uuid);
                    self.deleted.insert(uuid);
                }
            }
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_between_pages_what_stays_is_listed_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(900, 900_000, 9_000)], &[(900, 900_000, 9_000)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    let mut known = Known::default();
    for number in 0..6 {
        let what = if number % 2 == 0 { Between::Boot } else { Between::Bury };
        known.happen(&test, what, number).await;
    }
    let known = std::sync::Mutex::new(known);
    // Keys that were fixed at accept: in one order the mappings are the list, in the others the cells
    // are merged.
    let keys = prop::sample::select(vec![
        SortKey::CreatedAt,
        SortKey::DisplayName,
        SortKey::Uuid,
        SortKey::ReservationId,
    ]);
    let mut runner = TestRunner::new(Cases { cases: 12, ..Cases::default() });
    let done = runner.run(&(keys, happenings(), 1u32..5), |(key, happenings, limit)| {
        let mut known = known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = &mut *known;
        let before: BTreeSet<InstanceUuid> = known.alive.keys().copied().collect();
        let listed = block_in_place(|| {
            Handle::current().block_on(async {
                let mut query =
                    ListQuery::default().sort_by([(key, SortDirection::Ascending)]).limit(limit);
                let mut happenings = happenings.into_iter();
                let mut listed = Vec::new();
                loop {
                    let page = test.plane.list(&user(), &query).await.unwrap();
                    listed.extend(page.instances.iter().map(|instance| instance.uuid));
                    let Some(next) = page.next else { return listed };
                    query = query.after(next);
                    if let Some((what, number)) = happenings.next() {
                        known.happen(&test, what, number).await;
                    }
                }
            })
        });
        let unique: BTreeSet<InstanceUuid> = listed.iter().copied().collect();
        prop_assert_eq!(unique.len(), listed.len(), "one is listed twice");
        let stayed = before.iter().filter(|uuid| known.alive.contains_key(uuid));
        let lost: Vec<_> = stayed.filter(|uuid| !unique.contains(uuid)).collect();
        prop_assert!(lost.is_empty(), "lost: {:?}", lost);
        Ok(())
    });
    done.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_stream_goes_on_over_all_pages(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[]).await else { return };
    let mut expected = BTreeSet::new();
    for name in ["a", "b", "c"] {
        let many = request(name, "huge").count(200).build().unwrap();
        expected.extend(test.boot(&user(), many).await.instances);
    }
    for query in both_ways() {
        let streamed: Vec<Instance> =
            test.plane.list_stream(&user(), &query.clone().limit(7)).try_collect().await.unwrap();
        let order = query.total_order();
        let sorted = streamed.windows(2).all(|pair| {
            let (left, right) = (pair[0].sort_values(&order), pair[1].sort_values(&order));
            compare(&order, &left, &right).is_lt()
        });
        assert!(sorted);
        assert_eq!(streamed.into_iter().map(|i| i.uuid).collect::<BTreeSet<_>>(), expected);
    }
}
