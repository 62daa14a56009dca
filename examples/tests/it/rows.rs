//! What boot_flow says about rows is what the databases hold.

use cellzero::{ControlPlane, RequestContext};
use cellzero_examples::databases::Databases;
use cellzero_examples::{bodies, fleet};
use cellzero_test_support::{Engine, TestDatabase, create_database};
use rstest::rstest;

use crate::boot_flow::{LINE_THAT_FITS, LINE_THAT_FITS_NOWHERE, story};

/// How many rows a table has.
fn count(database: &TestDatabase, table: &str) -> usize {
    let rows = database.query(&format!("SELECT COUNT(*) FROM {table}")).unwrap();
    rows[0][0].as_deref().unwrap().parse().unwrap()
}

/// Checks every line such as `     1 in instances`, and `     none in tags, …`.
fn check_told_rows(told: &str, cell: &TestDatabase) {
    let mut checked = 0;
    for line in told.lines().filter_map(|line| line.strip_prefix("     ")) {
        let (rows, tables) = line.split_once(" in ").expect("rows and tables");
        let rows = if rows == "none" { 0 } else { rows.parse().unwrap() };
        for table in tables.split(", ") {
            assert_eq!(count(cell, table), rows, "{table}");
            checked += 1;
        }
    }
    assert_eq!(checked, 11, "{told}");
}

#[rstest]
#[tokio::test]
async fn the_rows_that_the_story_tells_of_are_there(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let names = ["api", "cell0", "cell1"];
    let made: Option<Vec<_>> = names.iter().map(|name| create_database(engine, name)).collect();
    let Some(made) = made else { return };
    let [api, cell0, cell1] = &made[..] else { unreachable!() };
    let url = |database: &TestDatabase| database.url().parse().unwrap();
    let databases = Databases::new(url(api), url(cell0), vec![url(cell1)]);
    let plane = ControlPlane::open(databases.config()).await.unwrap();
    let cells = fleet::add_cells(&plane, &databases.cells).await.unwrap();
    fleet::add_flavors(&plane).await.unwrap();
    let ctx = RequestContext::new("project-a", "user-a");
    let all = bodies::all().unwrap();

    // One that lives and then one that is buried; only the first has a claim.
    let bodies = [(LINE_THAT_FITS, cell1), (LINE_THAT_FITS_NOWHERE, cell0)];
    for (booted, (line, home)) in (1..).zip(bodies) {
        let mut told = Vec::new();
        let body = all[line - 1].clone();
        story::tell(&plane, &ctx, &cells, body, &mut told).await.unwrap();
        check_told_rows(&String::from_utf8(told).unwrap(), home);
        for table in ["request_specs", "instance_mappings", "boot_states"] {
            assert_eq!(count(api, table), booted, "{table}");
        }
        for (table, rows) in
            [("build_requests", 0), ("boot_intents", 0), ("boot_groups", 0), ("claims", 1)]
        {
            assert_eq!(count(api, table), rows, "{table}");
        }
        assert_eq!((count(home, "instance_fences"), count(home, "outbox")), (1, 0));
    }
    plane.close().await.unwrap();
}
