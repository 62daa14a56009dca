//! Hosts: each is in one live cell, and none in cell0.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use super::rows;
use crate::support::TestPlane;

fn failed(result: Result<(), Write<HostError>>) -> HostError {
    match result.unwrap_err() {
        Write::Failed(error) => error,
        Write::ReadOnly(error) => panic!("{error:?}"),
    }
}

#[rstest]
#[tokio::test]
async fn a_host_in_cell0_is_refused_and_stands_nowhere(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine).await else { return };
    let before = rows(&test.cell0);
    let node = ComputeNode::new("host1", 4, 4096, 40);
    match failed(test.plane.hosts().report(CellUuid::CELL0, &node).await) {
        HostError::Cell0 { host } => assert_eq!(host, "host1"),
        other => panic!("{other:?}"),
    }
    assert_eq!(rows(&test.cell0), before);
    for table in ["host_mappings", "host_capacity"] {
        let count = test.api.query(&format!("SELECT COUNT(*) FROM {table}")).unwrap();
        assert_eq!(count[0][0].as_deref(), Some("0"), "{table}");
    }
}

#[rstest]
#[tokio::test]
async fn a_host_of_one_cell_is_refused_in_another(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)], &[]]).await else { return };
    let before = rows(&test.cells[1].1);
    let node = ComputeNode::new("cell1-host1", 4, 4096, 40);
    match failed(test.plane.hosts().report(test.cell(1), &node).await) {
        HostError::MappedElsewhere { host, mapped } => {
            assert_eq!((host.as_str(), mapped), ("cell1-host1", test.cell(0)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(rows(&test.cells[1].1), before);
    // Where it belongs it may report again.
    test.plane.hosts().report(test.cell(0), &node).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_host_in_a_cell_that_does_not_exist_is_refused(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine).await else { return };
    let unknown: CellUuid = uuid::Uuid::from_u128(7).into();
    let node = ComputeNode::new("host1", 4, 4096, 40);
    match failed(test.plane.hosts().report(unknown, &node).await) {
        HostError::Cell(CellError::Unknown { cell }) => assert_eq!(cell, unknown),
        other => panic!("{other:?}"),
    }
}
