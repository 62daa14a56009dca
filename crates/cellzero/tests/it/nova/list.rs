//! Lists of a Nova-made plane: every list and every walk that Nova answered, and ours.

use std::collections::{BTreeMap, BTreeSet};

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;
use serde_json::Value;

use super::answers::{Answer, LISTS, WALKS};
use super::oracle::Oracle;
use super::query::{Unsayable, function_of, query_of};
use super::{Nova, text_of, uuid_of};

/// The row of a table for each of Nova's answers; every row and every answer has its other half.
fn by_name<'a>(answers: &'a Value, table: &[(&str, Answer)]) -> Vec<(&'a Value, Answer)> {
    for (name, answer) in table {
        let reason = answer.reason();
        assert!(reason.is_none_or(|reason| !reason.is_empty()), "{name}: the row says why");
    }
    let rows: BTreeMap<&str, Answer> = table.iter().copied().collect();
    assert_eq!(rows.len(), table.len(), "no name stands twice in the table");
    let answers = answers.as_array().unwrap();
    let names: BTreeSet<&str> = answers.iter().map(|answer| text_of(&answer["name"])).collect();
    assert_eq!(rows.keys().copied().collect::<BTreeSet<_>>(), names);
    answers.iter().map(|answer| (answer, rows[text_of(&answer["name"])])).collect()
}

/// `docs/list.md` has a row for each reason, with the lists and walks that it is the reason of.
#[test]
fn the_document_has_every_difference() {
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/list.md"));
    let document = document.unwrap();
    for (name, answer) in LISTS.iter().chain(WALKS) {
        let Some(reason) = answer.reason() else { continue };
        let row = document.lines().find(|line| {
            line.starts_with(&format!("| {reason} |")) && line.contains(&format!("`{name}`"))
        });
        assert!(row.is_some(), "docs/list.md lacks {name}: {reason}");
    }
}

fn uuids(list: &Value) -> Vec<InstanceUuid> {
    list.as_array().map_or_else(Vec::new, |all| all.iter().map(uuid_of).collect())
}

fn uuids_of(page: &Page) -> Vec<InstanceUuid> {
    assert!(page.is_complete(), "{:?}", page.cells);
    page.instances.iter().map(|instance| instance.uuid).collect()
}

/// The whole list in pages, each after the last instance of the one before.
async fn walk(nova: &Nova, ctx: &RequestContext, query: &ListQuery) -> Vec<InstanceUuid> {
    let mut query = query.clone();
    let mut walked = Vec::new();
    loop {
        let page = nova.plane.list(ctx, &query).await.unwrap();
        walked.extend(uuids_of(&page));
        assert!(page.instances.len() <= query.limit as usize);
        assert!(walked.len() < 1_000, "the walk comes to its end");
        match page.next {
            // By cursor and by marker in turns.
            Some(next) if walked.len() % 2 == 0 => query = query.after(next),
            Some(_) => query = query.after(*walked.last().unwrap()),
            None => return walked,
        }
    }
}

#[rstest]
#[tokio::test]
async fn every_list_is_novas_or_differs_as_the_table_says(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    let oracle = Oracle::of(&nova).await;
    let mut not_as_said = Vec::new();
    for (list, answer) in by_name(&nova.expected()["lists"], LISTS) {
        let name = text_of(&list["name"]);
        let ctx = nova.context(text_of(&list["context"]));
        let query = match (answer, query_of(list)) {
            (Answer::Refused(_), Err(Unsayable::Refused(error))) => {
                assert!(
                    ["sort_key", "sort_dir"].contains(&error.field.as_str()),
                    "{name}: {error}"
                );
                continue;
            }
            (_, query) => query.unwrap_or_else(|error| panic!("{name}: {error:?}")),
        };
        let ours = nova.plane.list(&ctx, &query).await;
        let differs = match (answer, &ours) {
            (Answer::Refused(_), Err(ReadError::MarkerNotFound { .. })) => continue,
            (Answer::Differs(engines, _), _) => engines.contains(&engine),
            (Answer::Same, _) => false,
            _ => panic!("{name}: not as the table says: {ours:?}"),
        };
        assert_eq!(uuids_of(&ours.unwrap()), oracle.ours(&ctx, &query), "{name}: ours");
        let by_rules = oracle.novas(function_of(list), &ctx, &query);
        if (by_rules != uuids(&list["uuids"])) != differs {
            not_as_said.push(name);
        }
    }
    assert!(not_as_said.is_empty(), "the table is wrong of {not_as_said:?}");
}

#[rstest]
#[tokio::test]
async fn every_walk_is_novas_or_differs_as_the_table_says(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    let oracle = Oracle::of(&nova).await;
    let mut not_as_said = Vec::new();
    for (list, answer) in by_name(&nova.expected()["walks"], WALKS) {
        let name = text_of(&list["name"]);
        let ctx = nova.context(text_of(&list["context"]));
        let query = query_of(list).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let limit = u32::try_from(list["page"].as_u64().unwrap()).unwrap();
        let walked = walk(&nova, &ctx, &query.clone().limit(limit)).await;
        assert_eq!(walked, oracle.ours(&ctx, &query), "{name}: ours");
        let differs = matches!(answer, Answer::Differs(engines, _) if engines.contains(&engine));
        let pages = list["pages"].as_array().unwrap();
        let novas: Vec<InstanceUuid> = pages.iter().flat_map(uuids).collect();
        let by_rules = oracle.novas(function_of(list), &ctx, &query);
        if (by_rules != novas) != differs {
            not_as_said.push(name);
        }
    }
    assert!(not_as_said.is_empty(), "the table is wrong of {not_as_said:?}");
}

/// Every key in both directions, and some keys together: times that repeat within and across
/// cells, names that are NULL or differ in case only, hosts that are NULL in cell0 and elsewhere.
fn orders() -> Vec<Vec<(SortKey, SortDirection)>> {
    use SortDirection::{Ascending, Descending};
    let mut orders = vec![
        vec![(SortKey::DisplayName, Ascending), (SortKey::CreatedAt, Descending)],
        vec![(SortKey::Host, Descending), (SortKey::LaunchedAt, Ascending)],
        vec![
            (SortKey::VmState, Ascending),
            (SortKey::TaskState, Descending),
            (SortKey::PowerState, Ascending),
        ],
    ];
    for (key, _) in SortKey::ALL.iter().copied() {
        orders.extend([vec![(key, Ascending)], vec![(key, Descending)]]);
    }
    orders
}

#[rstest]
#[tokio::test]
async fn in_every_order_the_pages_are_the_list_whatever_their_size(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    let oracle = Oracle::of(&nova).await;
    let admin = RequestContext::admin();
    for order in orders() {
        let query = ListQuery::default().all_projects().sort_by(order.clone());
        let whole = oracle.ours(&admin, &query);
        assert_eq!(whole.len(), 64);
        assert_eq!(walk(&nova, &admin, &query).await, whole, "{order:?}");
        for limit in [9, 63] {
            let walked = walk(&nova, &admin, &query.clone().limit(limit)).await;
            assert_eq!(walked, whole, "{order:?} by {limit}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn one_by_one_every_place_in_the_order_is_found_again(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    use SortDirection::{Ascending, Descending};
    let Some(nova) = Nova::open(engine).await else { return };
    let oracle = Oracle::of(&nova).await;
    let admin = RequestContext::admin();
    for (key, direction) in [(SortKey::DisplayName, Ascending), (SortKey::Host, Descending)] {
        let query = ListQuery::default().all_projects().sort_by([(key, direction)]);
        let walked = walk(&nova, &admin, &query.clone().limit(1)).await;
        assert_eq!(walked, oracle.ours(&admin, &query), "{key:?} {direction:?}");
    }
}

/// What is listed is what Nova made, less what must not be seen, each once.
#[rstest]
#[tokio::test]
async fn every_live_instance_is_listed_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    let admin = RequestContext::admin();
    let list = |filters| ListQuery::default().all_projects().filter(filters);
    let sorted = |mut uuids: Vec<InstanceUuid>| {
        uuids.sort();
        uuids
    };
    let page = nova.plane.list(&admin, &list(ListFilters::default())).await.unwrap();
    let soft = ListFilters::default().vm_states(&[VmState::SoftDeleted]);
    let soft = uuids_of(&nova.plane.list(&admin, &list(soft)).await.unwrap());
    assert_eq!(soft.len(), 2, "one that is deleted softly is listed where its state is named");
    let hidden = nova.plan("hidden");
    assert_eq!(hidden.len(), 1);
    let made = ["cell0", "cell1", "cell2", "unscheduled"].into_iter().flat_map(|p| nova.plan(p));
    let seen = made.filter(|uuid| !soft.contains(uuid) && !hidden.contains(uuid)).collect();
    assert_eq!(sorted(uuids_of(&page)), sorted(seen));
}

/// What is listed is what is shown, whole.
#[rstest]
#[tokio::test]
async fn a_listed_instance_is_the_shown_one(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    for name in ["p0", "p1", "p2"] {
        let ctx = nova.context(name);
        let page = nova.plane.list(&ctx, &ListQuery::default()).await.unwrap();
        assert!(!page.instances.is_empty());
        for instance in page.instances {
            assert_eq!(instance, nova.plane.show(&ctx, instance.uuid).await.unwrap());
        }
    }
}
