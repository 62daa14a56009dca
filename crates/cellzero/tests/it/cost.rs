//! What an operation costs: statements by database, commits, and how many databases it asks.
//!
//! The figures stand in the documentation of the operations; they are measured here.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, request, user};

/// What was asked of a plane's databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) api: u64,
    pub(crate) cell0: u64,
    pub(crate) cells: u64,
    pub(crate) commits: u64,
    /// Databases that were asked anything.
    pub(crate) asked: u64,
}

fn total(plane: &ControlPlane) -> Vec<(Option<CellUuid>, Counters)> {
    let counters = plane.counters();
    let cells = counters.cells.into_iter().map(|(cell, counters)| (Some(cell), counters));
    std::iter::once((None, counters.api)).chain(cells).collect()
}

/// What `work` costs.
pub(crate) async fn cost<T>(plane: &ControlPlane, work: impl Future<Output = T>) -> (Cost, T) {
    let before = total(plane);
    let done = work.await;
    let mut cost = Cost { api: 0, cell0: 0, cells: 0, commits: 0, asked: 0 };
    for (database, after) in total(plane) {
        let before = before.iter().find(|(known, _)| *known == database);
        let before = before.map_or_else(Counters::default, |(_, counters)| counters.clone());
        let statements = after.statements - before.statements;
        match database {
            None => cost.api += statements,
            Some(CellUuid::CELL0) => cost.cell0 += statements,
            Some(_) => cost.cells += statements,
        }
        cost.commits += after.commits - before.commits;
        cost.asked += u64::from(statements > 0);
    }
    (cost, done)
}

/// The request of the benchmark: 2 tags, 2 metadata, 1 block device, the default security group.
fn measured(flavor: &str) -> BootRequestBuilder {
    request("web", flavor)
        .tag("blue")
        .tag("green")
        .metadata("role", "web")
        .metadata("tier", "1")
        .block_device(BlockDevice {
            source_type: "image".into(),
            destination_type: "local".into(),
            source_id: Some(crate::support::IMAGE.parse().unwrap()),
            boot_index: Some(0),
            delete_on_termination: true,
            ..BlockDevice::default()
        })
}

/// A plane where cell0 and one cell have been used: each was checked, and has the project's
/// security group.
async fn warm_plane(engine: Engine) -> Option<TestPlane> {
    let test = TestPlane::with_cells(engine, &[&[(8, 16_384, 100)]]).await?;
    for flavor in ["1", "huge"] {
        test.boot(&user(), measured(flavor).build().unwrap()).await;
    }
    Some(test)
}

async fn buried(test: &TestPlane) -> InstanceUuid {
    test.boot(&user(), measured("huge").build().unwrap()).await[0]
}

#[rstest]
#[tokio::test]
async fn a_boot_to_cell0_takes_four_commits_and_at_most_25_statements(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = warm_plane(engine).await else { return };
    let ctx = user();
    let request = measured("huge").build().unwrap();
    let (accept, accepted) = cost(&test.plane, test.plane.boot(&ctx, request)).await;
    assert_eq!(accept, Cost { api: 6, cell0: 0, cells: 0, commits: 1, asked: 1 });
    let accepted = accepted.unwrap();
    let (settle, settled) = cost(&test.plane, test.plane.settle_accepted(&accepted)).await;
    assert_eq!(settled.unwrap().in_cell0, 1);
    assert_eq!(settle, Cost { api: 7, cell0: 12, cells: 0, commits: 3, asked: 2 });
}

#[rstest]
#[tokio::test]
async fn a_batch_of_200_takes_four_commits(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = warm_plane(engine).await else { return };
    let ctx = user();
    let request = measured("huge").count(200).build().unwrap();
    let (accept, accepted) = cost(&test.plane, test.plane.boot(&ctx, request)).await;
    let accepted = accepted.unwrap();
    let (settle, settled) = cost(&test.plane, test.plane.settle_accepted(&accepted)).await;
    assert_eq!(settled.unwrap().in_cell0, 200);
    assert_eq!(accept.commits + settle.commits, 4);
    // One insert for each hundred rows; of metadata and tags there are two to an instance.
    assert_eq!((accept.api, settle.api, settle.cell0), (10, 9, 26));
}

#[rstest]
#[tokio::test]
async fn a_show_asks_two_databases(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = warm_plane(engine).await else { return };
    let uuid = buried(&test).await;
    let (show, instance) = cost(&test.plane, test.plane.show(&user(), uuid)).await;
    assert_eq!(instance.unwrap().uuid, uuid);
    assert_eq!(show, Cost { api: 1, cell0: 4, cells: 0, commits: 0, asked: 2 });
}

#[rstest]
#[tokio::test]
async fn a_building_instance_is_shown_by_the_api_database_alone(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = warm_plane(engine).await else { return };
    let ctx = user();
    let accepted = test.plane.boot(&ctx, measured("1").build().unwrap()).await.unwrap();
    let (show, instance) = cost(&test.plane, test.plane.show(&ctx, accepted[0])).await;
    assert_eq!(instance.unwrap().home, Home::BuildRequest);
    assert_eq!(show, Cost { api: 2, cell0: 0, cells: 0, commits: 0, asked: 1 });
}

#[rstest]
#[tokio::test]
async fn a_delete_of_a_buried_instance_takes_two_commits(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = warm_plane(engine).await else { return };
    let uuid = buried(&test).await;
    let (delete, deleted) = cost(&test.plane, test.plane.delete(&user(), uuid)).await;
    deleted.unwrap();
    assert_eq!(delete, Cost { api: 7, cell0: 13, cells: 0, commits: 2, asked: 2 });
}

#[rstest]
#[tokio::test]
async fn a_retry_takes_one_commit(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = warm_plane(engine).await else { return };
    // The first of a plane makes the counter, and the first of an instance its history.
    let uuid = buried(&test).await;
    for history in [1, 0] {
        let another = buried(&test).await;
        test.plane.retry(&user(), another).await.unwrap();
        test.plane.settle().await.unwrap();
        let (retry, accepted) = cost(&test.plane, test.plane.retry(&user(), uuid)).await;
        accepted.unwrap();
        let api = 15 + history;
        assert_eq!(retry, Cost { api, cell0: 8, cells: 0, commits: 1, asked: 2 });
        test.plane.settle().await.unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn a_list_in_the_default_order_asks_the_mappings_and_each_cell_once(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = warm_plane(engine).await else { return };
    let (list, page) = cost(&test.plane, test.plane.list(&user(), &ListQuery::default())).await;
    let page = page.unwrap();
    assert_eq!(page.instances.len(), 2);
    let rows: Vec<usize> = page.cells.iter().map(|report| report.rows_read).collect();
    assert_eq!(rows, [1, 1], "no row is read that is not on the page");
    // The cells and the page; then the instances whole.
    assert_eq!(list, Cost { api: 2, cell0: 4, cells: 4, commits: 0, asked: 3 });
}

#[rstest]
#[tokio::test]
async fn another_list_asks_each_cell_once_for_its_rows_and_once_for_what_belongs_to_them(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = warm_plane(engine).await else { return };
    let query = ListQuery::default().sort_by([(SortKey::Host, SortDirection::Ascending)]);
    let (list, page) = cost(&test.plane, test.plane.list(&user(), &query)).await;
    assert_eq!(page.unwrap().instances.len(), 2);
    // Build requests, cells, those of the project, mappings and twice the counter of retries; then
    // the rows of each cell, and the instances whole.
    assert_eq!(list, Cost { api: 6, cell0: 5, cells: 5, commits: 0, asked: 3 });
}

/// One live instance, with its project's security group in its cell.
async fn live(test: &TestPlane) -> InstanceUuid {
    test.boot(&user(), measured("1").build().unwrap()).await[0]
}

#[rstest]
#[tokio::test]
async fn an_action_takes_a_show_one_transaction_and_its_sending(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = warm_plane(engine).await else { return };
    let uuid = live(&test).await;
    let (act, acted) = cost(&test.plane, test.plane.act(&user(), uuid, Action::Stop)).await;
    acted.unwrap();
    // Shown; marked, recorded and put in the outbox; sent, ended and forgotten.
    assert_eq!(act, Cost { api: 2, cell0: 0, cells: 20, commits: 3, asked: 2 });
}

#[rstest]
#[tokio::test]
async fn an_update_takes_one_question_to_each_database_between_two_shows(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = warm_plane(engine).await else { return };
    let uuid = buried(&test).await;
    let change = InstanceChange { display_name: Some("new".into()), ..Default::default() };
    let (update, updated) = cost(&test.plane, test.plane.update(&user(), uuid, change)).await;
    updated.unwrap();
    assert_eq!(update, Cost { api: 5, cell0: 9, cells: 0, commits: 1, asked: 2 });
}

#[rstest]
#[tokio::test]
async fn metadata_and_tags_take_one_transaction_after_a_show(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = warm_plane(engine).await else { return };
    let (ctx, uuid) = (user(), live(&test).await);
    let item = MetadataChange::Update([("role".into(), "db".into())].into());
    let (changed, items) = cost(&test.plane, test.plane.change_metadata(&ctx, uuid, item)).await;
    assert_eq!(items.unwrap().len(), 2);
    assert_eq!(changed, Cost { api: 1, cell0: 0, cells: 8, commits: 1, asked: 2 });
    let tag = TagChange::Add("new".into());
    let (changed, tags) = cost(&test.plane, test.plane.change_tags(&ctx, uuid, tag)).await;
    assert_eq!(tags.unwrap().tags.len(), 3);
    assert_eq!(changed, Cost { api: 1, cell0: 0, cells: 7, commits: 1, asked: 2 });
}
