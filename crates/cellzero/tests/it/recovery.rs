//! Recovery: what is damaged or away never stands in the way of the rest.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, count, request, user};

#[rstest]
#[tokio::test]
async fn a_build_request_without_its_spec_stops_no_other(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(9, 9000, 90)]]).await else { return };
    let ctx = user();
    let asked = || request("web", "1").build().unwrap();
    let damaged = test.plane.boot(&ctx, asked()).await.unwrap();
    test.plane.close().await.unwrap();
    let missing = format!("DELETE FROM request_specs WHERE instance_uuid = '{}'", damaged[0]);
    test.api.execute(&missing).unwrap();
    let plane = ControlPlane::open(test.config.clone()).await.unwrap();
    let sound = plane.boot(&ctx, asked()).await.unwrap();
    let settled = plane.settle().await.unwrap();
    assert_eq!(settled.in_cells, 1);
    assert_eq!(plane.show(&ctx, sound[0]).await.unwrap().home, Home::Cell(test.cell(0)));
    assert_eq!(plane.show(&ctx, damaged[0]).await.unwrap().home, Home::BuildRequest);
    plane.close().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn intents_of_a_cell_that_is_away_let_others_be_swept(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(9, 9000, 90)]]).await else { return };
    let ctx = user();
    let accepted = test.boot(&ctx, request("web", "1").build().unwrap()).await;
    // More than one pass reads, all in front of the one that can be swept.
    let uuid = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    let states: Vec<String> = (0..600)
        .map(|n| format!("('{0}', '{0}', 0, 1, 2, 0, 0, 1, 1, 1, '2026-01-01 00:00:00')", uuid(n)))
        .collect();
    let away = uuid(999_999);
    let intents: Vec<String> = (0..600)
        .map(|n| format!("('{}', 1, '{away}', '2026-01-01 00:00:00')", uuid(n)))
        .chain([format!("('{}', 1, '{}', '2026-01-01 00:00:00')", accepted[0], test.cell(0))])
        .collect();
    for (into, rows) in [
        (
            "boot_states (instance_uuid, group_uuid, group_index, group_min, epoch, attempts, \
             placements, request_version, vcpus, memory_mb, created_at)",
            states,
        ),
        ("boot_intents (instance_uuid, epoch, cell_uuid, created_at)", intents),
    ] {
        test.api.execute(&format!("INSERT INTO {into} VALUES {}", rows.join(", "))).unwrap();
    }
    for _ in 0..2 {
        test.plane.recover().await.unwrap();
    }
    assert_eq!(count(&test.api, "boot_intents"), 600);
    assert_eq!(count(&test.api, &format!("boot_intents WHERE cell_uuid = '{away}'")), 600);
}

#[rstest]
#[tokio::test]
async fn a_build_request_beside_a_decided_mapping_moves_no_instance(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(mut test) = TestPlane::with_cells(engine, &[&[(2, 2048, 20)]]).await else { return };
    let ctx = user();
    let accepted = test.plane.boot(&ctx, request("web", "1").build().unwrap()).await.unwrap();
    test.api.execute("CREATE TABLE kept AS SELECT * FROM build_requests").unwrap();
    test.plane.settle().await.unwrap();
    // A larger host, so that another placement would go there.
    test.add_cell(&[(64, 65_536, 400)]).await;
    test.api.execute("INSERT INTO build_requests SELECT * FROM kept").unwrap();
    test.plane.settle().await.unwrap();
    let shown = test.plane.show(&ctx, accepted[0]).await.unwrap();
    assert_eq!(shown.home, Home::Cell(test.cell(0)));
    let named = format!(
        "instance_mappings im JOIN cell_mappings cm ON cm.id = im.cell_id WHERE cm.uuid = '{}'",
        test.cell(0)
    );
    assert_eq!(count(&test.api, &named), 1);
}
