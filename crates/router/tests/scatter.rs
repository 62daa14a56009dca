//! One cell's failure is its own answer and never the others'.

use std::time::Duration;

use cellzero_api_db::{ApiDatabase, CellMapping, cell_mapping};
use cellzero_cell_db::{CellDatabase, instance};
use cellzero_database::{DatabaseUrl, Deadline, Identity, Options};
use cellzero_router::{CellError, Cells, CellsOptions, scatter_gather};
use cellzero_test_support::{Engine, TestDatabase, create_database};
use cellzero_types::{CellUuid, PlaneUuid};
use rstest::rstest;
use uuid::Uuid;

const PLANE: PlaneUuid = PlaneUuid(Uuid::from_u128(1));

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

async fn api(engine: Engine, cells: &[(CellUuid, String)]) -> Option<(Cells, TestDatabase)> {
    let test = create_database(engine, "api")?;
    let api = ApiDatabase::new(DatabaseUrl::parse(test.url()).unwrap(), Options::default());
    api.migrate(deadline()).await.unwrap();
    for (cell, url) in cells {
        let mapping = CellMapping {
            id: 0,
            uuid: *cell,
            name: None,
            transport_url: None,
            database_connection: Some(url.clone()),
            disabled: false,
        };
        let insert = move |conn: &mut _| {
            let now = cellzero_database::Connection::now(conn);
            cell_mapping::insert(conn, &mapping, now)
        };
        api.run("map", deadline(), insert).await.unwrap();
    }
    let options = CellsOptions {
        breaker: None,
        database: Options::default(),
        plane: Some(PLANE),
        base_url: None,
        base_dir: None,
    };
    Some((Cells::new(api, options), test))
}

async fn cell(engine: Engine, number: u128) -> Option<(CellUuid, TestDatabase)> {
    let test = create_database(engine, "cell")?;
    let database = CellDatabase::new(DatabaseUrl::parse(test.url()).unwrap(), Options::default());
    database.migrate(deadline()).await.unwrap();
    let cell = Uuid::from_u128(number);
    let identity = Identity { plane: PLANE.0, cell: Some(cell) };
    database.stamp(deadline(), identity).await.unwrap();
    Some((CellUuid(cell), test))
}

#[rstest]
#[tokio::test]
async fn cells_that_answer_are_told_from_those_that_do_not(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((up, first)) = cell(engine, 7).await else { return };
    let Some((_, other)) = cell(engine, 8).await else { return };
    let (unreachable, swapped) = (CellUuid(Uuid::from_u128(9)), CellUuid(Uuid::from_u128(10)));
    let mapped = [
        (up, first.url().to_owned()),
        (unreachable, "postgres://u:p@127.0.0.1:1/none".to_owned()),
        // Another cell's database at a known URL is never used.
        (swapped, other.url().to_owned()),
        (CellUuid(Uuid::from_u128(11)), "gopher://x/y".to_owned()),
    ];
    let Some((cells, _api)) = api(engine, &mapped).await else { return };
    let (handles, unusable) = cells.all(deadline()).await.unwrap();
    assert!(matches!(&unusable[..], [(_, CellError::Url { .. })]), "{unusable:?}");
    let gathered =
        scatter_gather(&handles, "count", deadline(), |conn, _| instance::count(conn)).await;
    let (answers, down) = gathered.split();
    assert_eq!(answers, [(up, 0)]);
    assert_eq!(down.iter().map(|(cell, _)| *cell).collect::<Vec<_>>(), [unreachable, swapped]);
    let unknown = cells.get(CellUuid(Uuid::from_u128(99)), deadline()).await;
    assert!(matches!(unknown, Err(CellError::Unknown { .. })));
}
