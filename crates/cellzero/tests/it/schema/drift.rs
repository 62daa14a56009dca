//! Drift: a cell whose tables are not what its migrations made is not used, and says why.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, failing_cells, request, user};

/// A change behind the back of the migrations, and how it is named.
#[derive(Clone, Copy, Debug)]
struct Drift {
    sqlite: &'static str,
    postgres: &'static str,
    mariadb: &'static str,
    named: &'static str,
}

impl Drift {
    fn statements(self, engine: Engine) -> &'static str {
        match engine {
            Engine::Sqlite => self.sqlite,
            Engine::Postgres => self.postgres,
            Engine::MariaDb => self.mariadb,
        }
    }
}

/// SQLite changes a column only by making its table anew, or in the text of the table.
const TYPE: Drift = Drift {
    sqlite: "PRAGMA writable_schema = ON; \
             UPDATE sqlite_master SET sql = replace(sql, 'vcpus INTEGER', 'vcpus BIGINT') \
             WHERE name = 'instances'; PRAGMA writable_schema = RESET",
    postgres: "ALTER TABLE instances ALTER COLUMN vcpus TYPE BIGINT",
    mariadb: "ALTER TABLE instances MODIFY vcpus BIGINT",
    named: "column instances.vcpus: expected INTEGER, found BIGINT",
};

const NULLABILITY: Drift = Drift {
    sqlite: "PRAGMA writable_schema = ON; \
             UPDATE sqlite_master \
             SET sql = replace(sql, 'hostname VARCHAR(255)', 'hostname VARCHAR(255) NOT NULL') \
             WHERE name = 'instances'; PRAGMA writable_schema = RESET",
    postgres: "ALTER TABLE instances ALTER COLUMN hostname SET NOT NULL",
    mariadb: "ALTER TABLE instances MODIFY hostname VARCHAR(255) NOT NULL",
    named: "column instances.hostname: expected NULL, found NOT NULL",
};

const INDEX: Drift = Drift {
    sqlite: "DROP INDEX instances_deleted_created_at_uuid_idx",
    postgres: "DROP INDEX instances_deleted_created_at_uuid_idx",
    mariadb: "DROP INDEX instances_deleted_created_at_uuid_idx ON instances",
    named: "index instances(deleted, created_at, uuid): missing",
};

const UNIQUE: Drift = Drift {
    sqlite: "CREATE UNIQUE INDEX one_host ON instance_faults (host)",
    postgres: "CREATE UNIQUE INDEX one_host ON instance_faults (host)",
    mariadb: "CREATE UNIQUE INDEX one_host ON instance_faults (host)",
    named: "unique key instance_faults(host): not expected",
};

const COLUMN: Drift = Drift {
    sqlite: "ALTER TABLE tags ADD COLUMN colour VARCHAR(8)",
    postgres: "ALTER TABLE tags ADD COLUMN colour VARCHAR(8)",
    mariadb: "ALTER TABLE tags ADD COLUMN colour VARCHAR(8)",
    named: "column tags.colour: not expected, found VARCHAR(8)",
};

/// The error of a cell that has drifted: of its kind, and naming the first difference.
fn assert_names(error: &CellError, named: &str) {
    let database = error.database().unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!(database.kind(), ErrorKind::SchemaDrift, "{database:?}");
    assert!(database.to_string().contains(named), "{database}");
}

#[rstest]
#[tokio::test]
async fn a_cell_that_has_drifted_is_not_used_and_names_the_first_difference(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[values(TYPE, NULLABILITY, INDEX, UNIQUE, COLUMN)] drift: Drift,
) {
    let Some(mut test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    let drifted = test.boot(&ctx, request("web", "1").build().unwrap()).await[0];
    let buried = test.boot(&ctx, request("db", "huge").build().unwrap()).await[0];
    let cell = test.cell(0);
    test.plane.close().await.unwrap();
    test.cells[0].1.execute(drift.statements(engine)).unwrap();

    test.plane = ControlPlane::open(test.config.clone()).await.expect("a cell is not the plane");
    match test.plane.show(&ctx, drifted).await.unwrap_err() {
        ReadError::CellUnavailable { cell: down, source, .. } => {
            assert_eq!(down, cell);
            assert_names(&source, drift.named);
        }
        other => panic!("{other:?}"),
    }
    // It says so at every use, and takes nothing in.
    let node = ComputeNode::new("late-host", 4, 4096, 40);
    match test.plane.hosts().report(cell, &node).await.unwrap_err() {
        Write::Failed(HostError::Cell(error)) => assert_names(&error, drift.named),
        other => panic!("{other:?}"),
    }
    // Cell0 goes on, and a list names the other one.
    let page = test.plane.list(&ctx, &ListQuery::default()).await.unwrap();
    let whole = page.instances.iter().filter(|instance| instance.known_at.is_none());
    assert_eq!(whole.map(|instance| instance.uuid).collect::<Vec<_>>(), [buried]);
    let failing = failing_cells(&test.plane).await;
    assert_eq!(failing.len(), 1);
    assert_eq!(failing[0].0, cell);
    assert_names(&failing[0].1, drift.named);
}

#[rstest]
#[tokio::test]
async fn an_api_database_that_has_drifted_is_not_opened(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine).await else { return };
    test.plane.close().await.unwrap();
    test.api.execute("ALTER TABLE claims ADD COLUMN colour VARCHAR(8)").unwrap();
    match ControlPlane::open(test.config.clone()).await.unwrap_err() {
        OpenError::Api { source, .. } => {
            assert_eq!(source.kind(), ErrorKind::SchemaDrift);
            assert!(source.to_string().contains("column claims.colour: not expected"), "{source}");
        }
        other => panic!("{other:?}"),
    }
}
