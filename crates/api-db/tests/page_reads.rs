//! A page of the instance mappings is a range of an index: what else stands in the table costs
//! nothing.

mod measured;

use std::time::Duration;

use cellzero_api_db::ApiDatabase;
use cellzero_api_db::instance_mapping::{self, MappedQuery};
use cellzero_database::{DatabaseError, DatabaseUrl, Deadline, Options};
use cellzero_test_support::{Engine, create_database};
use cellzero_types::SortDirection::{Ascending, Descending};
use measured::check_reads;
use rstest::rstest;

const TABLE: &str = "instance_mappings";
const ROWS: u32 = 6_000;
const PAGE: usize = 101;

/// Two of three are of one project, one of three is deleted, and three at a time are of one second.
fn rows(engine: Engine) -> Vec<String> {
    let flag = |is| match (engine, is) {
        (Engine::Postgres, true) => "true",
        (Engine::Postgres, false) => "false",
        (_, true) => "1",
        (_, false) => "0",
    };
    let row = |number: u32| {
        let project = if number % 3 < 2 { "large" } else { "small" };
        let (second, deleted) = (number / 3, flag((number / 7).is_multiple_of(3)));
        let (minute, hour) = (second / 60 % 60, second / 3600);
        format!(
            "('2026-01-01 {hour:02}:{minute:02}:{:02}', \
             '{:08x}-0000-4000-8000-{number:012}', '{project}', {deleted}, 'user')",
            second % 60,
            number.wrapping_mul(2_654_435_761),
        )
    };
    (0..ROWS).map(row).collect()
}

#[rstest]
#[tokio::test]
async fn a_page_of_mappings_reads_its_rows_from_an_index_and_no_others(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = create_database(engine, "api") else { return };
    let database = ApiDatabase::new(DatabaseUrl::parse(test.url()).unwrap(), Options::default());
    let deadline = Deadline::after(Duration::from_secs(60));
    database.migrate(deadline).await.unwrap();
    for rows in rows(engine).chunks(1_000) {
        let into = "(created_at, instance_uuid, project_id, queued_for_delete, user_id)";
        let insert = format!("INSERT INTO {TABLE} {into} VALUES {}", rows.join(", "));
        test.execute(&insert).unwrap();
    }
    let analyze = if engine == Engine::MariaDb { "ANALYZE TABLE" } else { "ANALYZE" };
    test.execute(&format!("{analyze} {TABLE}")).unwrap();
    let looked = database.run("test", deadline, |conn| {
        for project_id in [None, Some("large"), Some("small")] {
            for directions in [(Descending, Descending), (Ascending, Ascending)] {
                let mut query = MappedQuery {
                    project_id: project_id.map(str::to_owned),
                    uuids: None,
                    cell_ids: None,
                    directions,
                    after: None,
                    limit: PAGE,
                };
                // The first page, the second, and one of the middle.
                for page in 0..3 {
                    let found = check_reads(conn, TABLE, PAGE, |conn| {
                        instance_mapping::page(conn, &query)
                    })?;
                    assert_eq!(found.len(), PAGE, "page {page} of {query:?}");
                    let all = MappedQuery { limit: 600, ..query.clone() };
                    let last = match page {
                        0 => found.last().cloned(),
                        _ => instance_mapping::page(conn, &all)?.pop(),
                    };
                    query.after = last.map(|last| (last.created_at, last.uuid.text()));
                }
            }
        }
        Ok::<_, DatabaseError>(())
    });
    looked.await.unwrap();
}
