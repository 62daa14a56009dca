//! A row that a cell's database refuses is taken out, and its siblings go on.

use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase};
use rstest::rstest;

use crate::support::{TestPlane, count, request, user};

/// Lets a database refuse every instance of this name.
fn refuse(engine: Engine, database: &TestDatabase, name: &str) {
    let refusal = match engine {
        Engine::Sqlite => format!(
            "CREATE TRIGGER refuse BEFORE INSERT ON instances WHEN NEW.display_name = '{name}' \
             BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
        ),
        _ => {
            format!("ALTER TABLE instances ADD CONSTRAINT refuse CHECK (display_name <> '{name}')")
        }
    };
    database.execute(&refusal).unwrap();
}

fn allow(engine: Engine, database: &TestDatabase) {
    let allowance = match engine {
        Engine::Sqlite => "DROP TRIGGER refuse",
        _ => "ALTER TABLE instances DROP CONSTRAINT refuse",
    };
    database.execute(allowance).unwrap();
}

#[rstest]
#[tokio::test]
async fn what_a_cell_refuses_is_buried_with_its_words_and_its_siblings_are_built(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(9, 9000, 90)]]).await else { return };
    refuse(engine, &test.cells[0].1, "web-2");
    let ctx = user();
    let accepted = test.boot(&ctx, request("web", "1").count(3).build().unwrap()).await;
    for (uuid, is_buried) in accepted.instances.iter().zip([false, true, false]) {
        let shown = test.plane.show(&ctx, *uuid).await.unwrap();
        assert_eq!(shown.home.is_cell0(), is_buried, "{shown:?}");
        assert_eq!(shown.fault.is_some(), is_buried);
    }
    assert_eq!(count(&test.api, "claims"), 2);
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn what_cell0_refuses_waits_and_its_siblings_are_buried(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(9, 9000, 90)]]).await else { return };
    refuse(engine, &test.cell0, "web-2");
    let ctx = user();
    let asked = request("web", "huge").count(3).build().unwrap();
    let accepted = test.plane.boot(&ctx, asked).await.unwrap();
    let settled = test.plane.settle().await.unwrap();
    assert_eq!((settled.in_cell0, settled.waiting), (2, 1), "{settled:?}");
    assert_eq!(test.plane.show(&ctx, accepted[1]).await.unwrap().status(), "BUILD");
    allow(engine, &test.cell0);
    test.api.execute("UPDATE boot_states SET not_before = NULL").unwrap();
    assert_eq!(test.plane.settle().await.unwrap().in_cell0, 1);
    test.check_at_rest();
}

/// The wait doubles with each attempt, from half a second to a minute.
#[rstest]
#[case::at_first(0, 1)]
#[case::after_many(9, 60)]
#[tokio::test]
async fn the_more_often_it_has_waited_the_longer_it_waits(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[case] attempts: u32,
    #[case] seconds: i64,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(9, 9000, 90)]]).await else { return };
    refuse(engine, &test.cell0, "web");
    test.plane.boot(&user(), request("web", "huge").build().unwrap()).await.unwrap();
    test.api.execute(&format!("UPDATE boot_states SET attempts = {attempts}")).unwrap();
    // Its lease is given back, so that what is in the database counts.
    test.plane.close().await.unwrap();
    let plane = ControlPlane::open(test.config.clone()).await.unwrap();
    assert_eq!(plane.recover().await.unwrap().waiting, 1);
    let rows = test.api.query("SELECT updated_at, not_before FROM boot_states").unwrap();
    let [updated, due] = [0, 1].map(|index| {
        let text = rows[0][index].as_ref().unwrap().replace('T', " ");
        chrono::NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").unwrap()
    });
    let waits = due - updated;
    let (least, most) =
        (chrono::TimeDelta::seconds(seconds) / 2, chrono::TimeDelta::seconds(seconds));
    assert!(least <= waits && waits <= most, "{waits}");
    plane.close().await.unwrap();
}
