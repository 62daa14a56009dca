//! A page of a cell in the default order is a range of an index: what else stands in the table costs
//! nothing.

#[path = "../../api-db/tests/measured/mod.rs"]
mod measured;

use std::time::Duration;

use cellzero_cell_db::CellDatabase;
use cellzero_cell_db::listing::{self, CellListQuery};
use cellzero_database::{DatabaseError, DatabaseUrl, Deadline, Options};
use cellzero_test_support::{Engine, create_database};
use cellzero_types::SortDirection::{Ascending, Descending};
use cellzero_types::{ListFilters, SortKey};
use measured::check_reads;
use rstest::rstest;

const TABLE: &str = "instances";
const ROWS: u32 = 6_000;
const PAGE: usize = 101;

/// Two of three are of one project, one of three is deleted, and three at a time are of one second.
fn rows() -> Vec<String> {
    let row = |number: u32| {
        let project = if number % 3 < 2 { "large" } else { "small" };
        let second = number / 3;
        let deleted = if (number / 7).is_multiple_of(3) { number + 1 } else { 0 };
        let (minute, hour) = (second / 60 % 60, second / 3600);
        format!(
            "('2026-01-01 {hour:02}:{minute:02}:{:02}', \
             '{:08x}-0000-4000-8000-{number:012}', '{project}', {deleted}, 'user', 'n{number}', \
             'active')",
            second % 60,
            number.wrapping_mul(2_654_435_761),
        )
    };
    (0..ROWS).map(row).collect()
}

#[rstest]
#[tokio::test]
async fn a_page_of_a_cell_reads_its_rows_from_an_index_and_no_others(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = create_database(engine, "cell") else { return };
    let database = CellDatabase::new(DatabaseUrl::parse(test.url()).unwrap(), Options::default());
    let deadline = Deadline::after(Duration::from_secs(60));
    database.migrate(deadline).await.unwrap();
    for rows in rows().chunks(1_000) {
        let into = "(created_at, uuid, project_id, deleted, user_id, display_name, vm_state)";
        let insert = format!("INSERT INTO {TABLE} {into} VALUES {}", rows.join(", "));
        test.execute(&insert).unwrap();
    }
    let analyze = if engine == Engine::MariaDb { "ANALYZE TABLE" } else { "ANALYZE" };
    test.execute(&format!("{analyze} {TABLE}")).unwrap();
    let looked = database.run("test", deadline, |conn| {
        for project_id in [None, Some("large"), Some("small")] {
            for direction in [Descending, Ascending] {
                let order = vec![(SortKey::CreatedAt, direction), (SortKey::Uuid, direction)];
                let project_id = project_id.map(str::to_owned);
                let filters = ListFilters { project_id, ..ListFilters::default() };
                let mut query =
                    CellListQuery { filters, order, after: None, limit: PAGE, foreign: false };
                // The first page, the second, and one of the middle.
                for page in 0..3 {
                    let found = check_reads(conn, TABLE, PAGE, |conn| listing::page(conn, &query))?;
                    assert_eq!(found.rows.len(), PAGE, "page {page} of {query:?}");
                    let all = CellListQuery { limit: 600, ..query.clone() };
                    let last = match page {
                        0 => found.rows.last().cloned(),
                        _ => listing::page(conn, &all)?.rows.pop(),
                    };
                    query.after = last.map(|last| last.values);
                }
            }
        }
        Ok::<_, DatabaseError>(())
    });
    looked.await.unwrap();
}
