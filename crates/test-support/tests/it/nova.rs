//! The Nova-made plane: restored whole, and reachable by its own cell mappings.

use cellzero_test_support::{Engine, NovaPlane, TestDatabase, nova_plane};
use rstest::rstest;

fn count(database: &TestDatabase, text: &str) -> usize {
    let rows = database.query(text).unwrap();
    rows[0][0].as_deref().unwrap().parse().unwrap()
}

/// Name and URL of each cell mapping, cell0 first.
fn mappings(plane: &NovaPlane) -> Vec<String> {
    let rows =
        plane.api().query("SELECT database_connection FROM cell_mappings ORDER BY name").unwrap();
    rows.into_iter().map(|row| row.into_iter().next().unwrap().unwrap()).collect()
}

#[rstest]
fn the_plane_holds_as_many_instances_as_nova_answered(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(plane) = nova_plane(engine) else { return };
    let live = "SELECT count(*) FROM instances WHERE deleted = 0";
    let all = "SELECT count(*) FROM instances";
    let counts: Vec<(usize, usize)> =
        (0..3).map(|cell| (count(plane.cell(cell), live), count(plane.cell(cell), all))).collect();
    assert_eq!(counts, [(12, 14), (25, 26), (25, 26)]);
    assert_eq!(count(plane.api(), "SELECT count(*) FROM instance_mappings"), 71);
    assert_eq!(count(plane.api(), "SELECT count(*) FROM build_requests"), 5);
    assert_eq!(plane.expected["instances"].as_object().unwrap().len(), 71);
}

#[rstest]
fn the_cell_mappings_lead_to_the_restored_cells(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(plane) = nova_plane(engine) else { return };
    let urls = mappings(&plane);
    if engine == Engine::Sqlite {
        let names = ["nova_cell0", "nova_cell1", "nova_cell2"];
        assert_eq!(urls, names.map(|name| format!("sqlite:///{name}.db")));
        return;
    }
    let end = if engine == Engine::MariaDb { "?{query}" } else { "" };
    let template = |cell: usize| {
        format!(
            "{{scheme}}://{{username}}:{{password}}@{{hostname}}:{{port}}/{}{end}",
            plane.cell(cell).name()
        )
    };
    assert_eq!(urls[..2], [template(0), template(1)]);
    let reachable = urls[2].replace("+pymysql", "").replace("postgresql+psycopg2", "postgres");
    assert_eq!(reachable.split('?').next().unwrap(), plane.cell(2).url());
    assert!(plane.base_url.contains(&format!("/{}", plane.cell(0).name())), "{}", plane.base_url);
}

/// Two tests at once each write into their own.
#[rstest]
fn two_planes_share_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| nova_plane(engine));
        let second = scope.spawn(|| nova_plane(engine));
        (first.join().unwrap(), second.join().unwrap())
    });
    let (Some(first), Some(second)) = (first, second) else { return };
    first.cell(1).execute("DELETE FROM tags").unwrap();
    assert_eq!(count(first.cell(1), "SELECT count(*) FROM tags"), 0);
    assert!(count(second.cell(1), "SELECT count(*) FROM tags") > 0);
}
