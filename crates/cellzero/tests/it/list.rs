//! List: one total order over build requests, cell0 and all cells, page after page.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, both_ways, request, user};

/// Some in cell1, some in cell2, some buried, some still building.
async fn populated(engine: Engine) -> Option<(TestPlane, Vec<InstanceUuid>)> {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(5, 9000, 90)], &[(5, 9000, 90)]];
    let test = TestPlane::with_cells(engine, hosts).await?;
    let ctx = user();
    let mut all = Vec::new();
    for (name, flavor, count) in [("web", "1", 6), ("Big", "huge", 5), ("db", "2", 3)] {
        let asked = request(name, flavor).count(count).tag(name).metadata("name", name);
        all.extend(test.boot(&ctx, asked.build().unwrap()).await.instances);
    }
    let building = request("new", "1").count(3).build().unwrap();
    all.extend(test.plane.boot(&ctx, building).await.unwrap().instances);
    Some((test, all))
}

async fn walk(plane: &ControlPlane, query: ListQuery) -> Vec<Instance> {
    let ctx = user();
    let mut all = Vec::new();
    let mut query = query;
    for _ in 0..100 {
        let page = plane.list(&ctx, &query).await.unwrap();
        assert!(page.is_complete());
        assert!(page.instances.len() <= query.limit as usize);
        all.extend(page.instances);
        match page.next {
            Some(cursor) => query = query.after(cursor),
            None => return all,
        }
    }
    panic!("endless pagination");
}

#[rstest]
#[tokio::test]
async fn every_page_size_and_order_lists_each_instance_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, all)) = populated(engine).await else { return };
    let mut expected = all.clone();
    expected.sort();
    for (key, _) in SortKey::ALL.iter().copied() {
        for direction in [SortDirection::Ascending, SortDirection::Descending] {
            let query = ListQuery::default().sort_by([(key, direction)]);
            let whole = walk(&test.plane, query.clone()).await;
            let order = query.total_order();
            let sorted = whole.windows(2).all(|pair| {
                let (left, right) = (pair[0].sort_values(&order), pair[1].sort_values(&order));
                list_order::compare(&order, &left, &right).is_lt()
            });
            assert!(sorted, "{key:?} {direction:?}");
            let mut listed: Vec<InstanceUuid> = whole.iter().map(|i| i.uuid).collect();
            let paged: Vec<InstanceUuid> =
                walk(&test.plane, query.limit(4)).await.iter().map(|i| i.uuid).collect();
            assert_eq!(listed, paged, "{key:?} {direction:?}");
            listed.sort();
            assert_eq!(listed, expected, "{key:?} {direction:?}");
        }
    }
}

/// Statements that a plane has sent to its cells, cell0 among them.
fn asked_of_cells(plane: &ControlPlane) -> u64 {
    plane.counters().cells.iter().map(|(_, counters)| counters.statements).sum()
}

#[rstest]
#[tokio::test]
async fn a_bare_list_is_the_same_without_what_belongs_to_the_instances(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, all)) = populated(engine).await else { return };
    for query in both_ways() {
        let whole = walk(&test.plane, query.clone()).await;
        let before = asked_of_cells(&test.plane);
        let bare = walk(&test.plane, query.clone().bare()).await;
        let batches = if query == both_ways()[0] { 0 } else { 3 };
        assert_eq!(asked_of_cells(&test.plane) - before, 3 + batches, "one for each cell");
        assert_eq!(bare.len(), all.len());
        for (whole, bare) in whole.iter().zip(&bare) {
            if bare.home != Home::BuildRequest {
                assert!(bare.metadata.is_empty() && bare.tags.is_empty() && bare.fault.is_none());
                assert!(!whole.metadata.is_empty() && !whole.tags.is_empty());
            }
            let known = |one: &Instance| (one.uuid, one.status(), one.display_name.clone());
            assert_eq!(known(whole), known(bare));
            assert_eq!(whole.flavor, bare.flavor);
        }
    }
}

#[rstest]
#[tokio::test]
async fn filters_reach_every_home(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, _)) = populated(engine).await else { return };
    let names = async |filters: ListFilters| {
        let found = walk(&test.plane, ListQuery::default().filter(filters).limit(2)).await;
        let mut names: Vec<String> = found.into_iter().filter_map(|i| i.display_name).collect();
        names.sort();
        names
    };
    let default = ListFilters::default;
    assert_eq!(names(default().vm_states(&[VmState::Error])).await.len(), 5);
    assert_eq!(
        names(default().name("ig-").unwrap()).await,
        ["Big-1", "Big-2", "Big-3", "Big-4", "Big-5"]
    );
    let lower = default().name("big").unwrap();
    assert!(names(lower).await.is_empty(), "text means the same on every backend");
    assert_eq!(names(default().tag("db")).await, ["db-1", "db-2", "db-3"]);
    assert_eq!(names(default().metadata("name", "web")).await.len(), 6);
    assert_eq!(names(default().vm_states(&[VmState::Building])).await, ["new-1", "new-2", "new-3"]);
    assert!(!names(default().host("cell1-host1")).await.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_marker_that_does_not_exist_is_an_error_and_a_deleted_one_is_a_place(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, _)) = populated(engine).await else { return };
    let ctx = user();
    let unknown = InstanceUuid(uuid::Uuid::from_u128(7));
    let error = test.plane.list(&ctx, &ListQuery::default().after(unknown)).await.unwrap_err();
    assert!(matches!(error, ReadError::MarkerNotFound { marker } if marker == unknown));
    let other = RequestContext::new("project-b", "user-b");
    let all = walk(&test.plane, ListQuery::default()).await;
    let marker = all[4].uuid;
    let error = test.plane.list(&other, &ListQuery::default().after(marker)).await.unwrap_err();
    assert!(matches!(error, ReadError::MarkerNotFound { .. }), "{error}");
    let position = all.iter().position(|i| i.home != Home::BuildRequest).unwrap();
    let marker = all[position].uuid;
    test.plane.delete(&ctx, marker).await.unwrap();
    let after = test.plane.list(&ctx, &ListQuery::default().after(marker)).await.unwrap();
    assert_eq!(after.instances.first().map(|i| i.uuid), all.get(position + 1).map(|i| i.uuid));
}

#[rstest]
#[tokio::test]
async fn rows_that_the_mapping_does_not_name_are_never_listed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, all)) = populated(engine).await else { return };
    // Left-over rows: the same instance in a second cell, and one that no mapping knows.
    let ghost = "INSERT INTO instances (uuid, project_id, deleted, display_name) VALUES";
    let (twice, unknown) = (all[0], uuid::Uuid::from_u128(3));
    for (_, cell) in &test.cells {
        let row = format!("{ghost} ('{unknown}', 'project-a', 0, 'ghost')");
        cell.execute(&row).unwrap();
    }
    test.cell0.execute(&format!("{ghost} ('{twice}', 'project-a', 0, 'ghost')")).unwrap();
    // A left-over row has no time, so in one direction it comes before the real one.
    for direction in [SortDirection::Ascending, SortDirection::Descending] {
        for query in both_ways() {
            let query = query.sort_by([(SortKey::CreatedAt, direction)]).limit(3);
            let listed = walk(&test.plane, query).await;
            assert_eq!(listed.len(), all.len());
            assert!(listed.iter().all(|i| i.display_name.as_deref() != Some("ghost")));
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_left_over_row_at_the_same_place_hides_no_instance_at_the_end_of_a_page(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, all)) = populated(engine).await else { return };
    // As a retried instance leaves in cell0 until it is swept: the same uuid and time of creation.
    let columns = "uuid, project_id, created_at FROM instances WHERE deleted = 0";
    for (_, cell) in &test.cells {
        for row in cell.query(&format!("SELECT {columns}")).unwrap() {
            let values: Vec<String> = row.into_iter().map(Option::unwrap_or_default).collect();
            let row = format!(
                "INSERT INTO instances (uuid, project_id, created_at, deleted) VALUES ('{}', 0)",
                values.join("', '")
            );
            test.cell0.execute(&row).unwrap();
        }
    }
    for query in both_ways() {
        for limit in [1, 2, 5] {
            let listed = walk(&test.plane, query.clone().limit(limit)).await;
            assert_eq!(listed.len(), all.len(), "pages of {limit}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn instances_are_counted_by_cell_and_state_as_they_are_listed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((test, all)) = populated(engine).await else { return };
    // One that is on its way through cell0 is no second instance.
    let stray = all[0];
    test.api
        .execute(&format!(
            "INSERT INTO boot_intents (instance_uuid, epoch, cell_uuid, created_at) \
             VALUES ('{stray}', 77, '{}', '2026-01-01 00:00:00')",
            CellUuid::CELL0
        ))
        .unwrap();
    test.cell0
        .execute(&format!(
            "INSERT INTO instances (uuid, project_id, vm_state, deleted) \
             VALUES ('{stray}', 'project-a', 'error', 0)"
        ))
        .unwrap();
    let counts = test.plane.count(&user()).await.unwrap();
    assert!(counts.down_cells.is_empty());
    assert_eq!(counts.total(), all.len() as u64);
    let mut listed: std::collections::BTreeMap<String, u64> = Default::default();
    for instance in walk(&test.plane, ListQuery::default()).await {
        *listed.entry(format!("{:?} {:?}", instance.home, instance.vm_state)).or_default() += 1;
    }
    let counted = counts.counts.iter().map(|count| {
        let home = count.cell.map_or(Home::BuildRequest, Home::Cell);
        (format!("{home:?} {:?}", count.vm_state), count.count)
    });
    assert_eq!(counted.collect::<std::collections::BTreeMap<_, _>>(), listed);
    let others = test.plane.count(&RequestContext::new("project-b", "user-b")).await.unwrap();
    assert_eq!(others.total(), 0);
    let admins = test.plane.count(&RequestContext::admin()).await.unwrap();
    assert_eq!(admins.total(), all.len() as u64);
}

#[rstest]
#[tokio::test]
async fn a_query_that_cannot_be_asked_is_refused_with_what_would_be_right(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine).await else { return };
    let refused = async |query: ListQuery| match test.plane.list(&user(), &query).await {
        Err(ReadError::Invalid(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let many = (0..1_001).map(|n| InstanceUuid(uuid::Uuid::from_u128(n))).collect();
    let filters = ListFilters { uuids: Some(many), ..ListFilters::default() };
    let error = refused(ListQuery::default().filter(filters)).await;
    assert!(error.contains("at most 1000"), "{error}");
    let error = refused(ListQuery::default().filter(ListFilters::default().tag("a\0b"))).await;
    assert!(error.contains("NUL"), "{error}");
    let by_host = [(SortKey::Host, SortDirection::Ascending)];
    let place = ListQuery::default().sort_by(by_host).total_order();
    let cursor = Cursor::new(place.clone(), vec![None; place.len()]);
    let error = refused(ListQuery::default().after(cursor)).await;
    assert!(error.contains("created_at desc"), "{error}");
}
