//! Every database knows who it is: a wrong or swapped URL is a typed error, never a change of
//! somebody else's rows.

mod cells;
mod hosts;
mod passwords;
mod urls;
mod versions;

use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase};

use crate::support::TestPlane;

/// The kind of a cell's error, and that its text has this in it.
pub(crate) fn assert_cell_error(error: &CellError, kind: ErrorKind, says: &str) {
    let database = error.database().unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!(database.kind(), kind, "{database:?}");
    assert!(database.to_string().contains(says), "{says} is not in: {database}");
}

/// The error of a plane that cannot reach the cell of an instance.
pub(crate) fn unavailable(error: ReadError) -> CellError {
    match error {
        ReadError::CellUnavailable { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

/// Why a cell was not made in this database.
pub(crate) async fn refusal(plane: &ControlPlane, url: &str) -> CreateCellError {
    match plane.cells().create(NewCell::new("another", url)).await.unwrap_err() {
        Write::Failed(error) => error,
        Write::ReadOnly(error) => panic!("{error:?}"),
    }
}

/// Points a cell mapping to another database, as an operator does by SQL.
pub(crate) fn point_to(test: &TestPlane, cell: CellUuid, url: &str) {
    let change = format!(
        "UPDATE cell_mappings SET database_connection = '{url}' WHERE uuid = '{}'",
        cell.text()
    );
    test.api.execute(&change).unwrap();
}

/// How many rows each table has in which an instance or a host stands.
pub(crate) fn rows(database: &TestDatabase) -> Vec<(&'static str, String)> {
    let tables = ["instances", "instance_actions", "instance_fences", "compute_nodes", "outbox"];
    let count = |table: &'static str| {
        let rows = database.query(&format!("SELECT COUNT(*) FROM {table}")).unwrap();
        (table, rows[0][0].clone().unwrap())
    };
    tables.map(count).to_vec()
}

/// Another URL of the same database, which its text does not give away; none on SQLite, where
/// every path to a file is seen through.
pub(crate) fn alias(database: &TestDatabase) -> Option<String> {
    match database.engine() {
        Engine::Sqlite => None,
        _ => Some(database.url().replace("@127.0.0.1:", "@localhost:")),
    }
}
