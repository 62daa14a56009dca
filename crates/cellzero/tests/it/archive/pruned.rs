//! What belongs to nobody is deleted at the end of a whole run, and nothing else is.

use cellzero::*;
use cellzero_test_support::{Engine, Session};
use rstest::rstest;

use super::*;

const OLD: &str = "2020-01-01 00:00:00";

/// Makes everything in these tables old.
fn age(database: &TestDatabase, tables: &[(&str, &str)]) {
    for (table, column) in tables {
        database.execute(&format!("UPDATE {table} SET {column} = '{OLD}'")).unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn what_belongs_to_nobody_is_deleted_once_it_is_old(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(8, 8192, 80)]]).await else { return };
    let ctx = user();
    let token = |name: &str| full("web", "1").client_token(name).build().unwrap();
    let live = test.boot(&ctx, token("old")).await;
    test.boot(&ctx, token("young")).await;
    // A group that is buried for its verdict, a retry, a class in which nothing waits any more.
    let waits = full("big", "huge").count(2).auto_retry(true).build().unwrap();
    let buried = test.boot(&ctx, waits).await;
    test.plane.retry(&ctx, buried[0]).await.unwrap();
    test.plane.settle().await.unwrap();
    let stays = test.boot(&ctx, full("other", "huge").build().unwrap()).await[0];
    for uuid in &buried.instances {
        test.plane.delete(&ctx, *uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    // A fence in a cell that was not its home, as a sweep leaves it, and that of a live one.
    for uuid in [buried[1], live[0]] {
        let fence = "INSERT INTO instance_fences (instance_uuid, fence, created_at) VALUES";
        let database = if uuid == live[0] { &test.cell0 } else { &test.cells[0].1 };
        database.execute(&format!("{fence} ('{uuid}', 9, '{OLD}')")).unwrap();
    }
    let verdict = "INSERT INTO verdicts (uuid, body, snapshot_uuid, created_at) VALUES";
    let snapshot = "INSERT INTO host_snapshots (uuid, generation, body, created_at) VALUES";
    for (unused, bytes) in [("u1", "''"), ("u2", "''")] {
        test.cell0
            .execute(&format!(
                "{verdict} ('{unused}', '{{}}', 's-{unused}', '{OLD}'); \
                 {snapshot} ('s-{unused}', 1, {bytes}, '{OLD}')"
            ))
            .unwrap();
    }
    let verdicts = count(&test.cell0, "verdicts");
    let explained = test.plane.verdict(&RequestContext::admin(), stays).await.unwrap();
    assert!(explained.is_some());

    // All of it is younger than a day, or belongs to somebody.
    let report = test.plane.archive(&ArchiveOptions::default(), |_| {}).await.unwrap();
    assert_eq!(report.pruned_api, Default::default());
    let pruned = &report.pruned_cells[&CellUuid::CELL0];
    assert_eq!((pruned.get("verdicts"), pruned.get("host_snapshots")), (Some(&2), Some(&2)));
    assert_eq!(pruned.get("instance_fences"), None, "its instance lives");
    assert_eq!(report.pruned_cells[&test.cell(0)], Default::default());

    test.api
        .execute(&format!("UPDATE client_tokens SET created_at = '{OLD}' WHERE token = 'old'"))
        .unwrap();
    age(&test.api, &[("retries", "created_at"), ("boot_groups", "created_at")]);
    age(&test.api, &[("waiting_classes", "created_at"), ("waiting_classes", "served_at")]);
    age(&test.cell0, &[("verdicts", "created_at"), ("host_snapshots", "created_at")]);
    let report = archive(&test).await;
    assert_eq!(report.instances, 2);
    assert_eq!(report.pruned_api["client_tokens"], 1);
    assert_eq!(report.pruned_api["retries"], 1);
    assert_eq!(report.pruned_api["waiting_classes"], 1);
    assert_eq!(count(&test.api, "client_tokens WHERE token = 'young'"), 1);
    assert_eq!(count(&test.api, "retries"), 0);
    assert_eq!(count(&test.api, "waiting_classes"), 0);
    let groups = "boot_groups g WHERE NOT EXISTS \
                  (SELECT 1 FROM boot_states s WHERE s.group_uuid = g.uuid)";
    assert_eq!(count(&test.api, groups), 0);
    assert_eq!(
        count(&test.cell0, &format!("instance_fences WHERE instance_uuid = '{}'", live[0])),
        1
    );
    let fence = format!("instance_fences WHERE instance_uuid = '{}'", buried[1]);
    assert_eq!(count(&test.cells[0].1, &fence), 0);
    assert_eq!(report.pruned_cells[&test.cell(0)]["instance_fences"], 1);
    assert!(count(&test.cell0, "verdicts") < verdicts);
    assert_eq!(test.plane.verdict(&RequestContext::admin(), stays).await.unwrap(), explained);
    assert_eq!(test.plane.replay(&RequestContext::admin(), stays).await.unwrap(), explained);
    assert_sound(&test).await;
}

/// What comes first in a burial, or in an entry into the waiting index: it inserts what stands
/// already. Nothing that is named by the end of its transaction may be deleted beside it.
async fn beside_one_that_names(
    test: &TestPlane,
    database: &TestDatabase,
    insert: &str,
    name: &str,
) -> ArchiveReport {
    let session: Session = database.session();
    let ignore = match database.engine() {
        Engine::Postgres => format!("INSERT INTO {insert} ON CONFLICT DO NOTHING"),
        Engine::Sqlite => format!("INSERT OR IGNORE INTO {insert}"),
        Engine::MariaDb => format!("INSERT IGNORE INTO {insert}"),
    };
    let begin = if database.engine() == Engine::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
    for text in [begin, &ignore] {
        session.query(text).unwrap();
    }
    let plane = test.plane.clone();
    let archiving = tokio::spawn(async move { plane.archive(&at_once(), |_| {}).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!archiving.is_finished(), "it waits for the other");
    for text in [name, "COMMIT"] {
        session.query(text).unwrap();
    }
    archiving.await.unwrap()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_that_is_named_at_the_same_time_stays(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[]).await else { return };
    let verdict = format!("verdicts (uuid, body, created_at) VALUES ('v1', '{{}}', '{OLD}')");
    test.cell0.execute(&format!("INSERT INTO {verdict}")).unwrap();
    let fence = format!(
        "INSERT INTO instance_fences (instance_uuid, fence, verdict_uuid, created_at) \
         VALUES ('{}', 1, 'v1', '2100-01-01 00:00:00')",
        InstanceUuid(uuid::Uuid::new_v4())
    );
    let report = beside_one_that_names(&test, &test.cell0, &verdict, &fence).await;
    assert!(report.unreachable.is_empty(), "{report:?}");
    assert_eq!(count(&test.cell0, "verdicts"), 1);
    test.cell0.execute("DELETE FROM instance_fences").unwrap();
    let report = archive(&test).await;
    assert_eq!(report.pruned_cells[&CellUuid::CELL0]["verdicts"], 1);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_class_that_is_entered_at_the_same_time_stays(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[]).await else { return };
    let class = format!("waiting_classes VALUES ('c1', 'p', 1, 1, 1, '{OLD}', '{OLD}')");
    test.api.execute(&format!("INSERT INTO {class}")).unwrap();
    let enter = format!(
        "INSERT INTO waiting_instances (instance_uuid, class_uuid, state, version, attempts, \
         expires_at, created_at) \
         VALUES ('{}', 'c1', 'check', 1, 0, '2100-01-01 00:00:00', '{OLD}')",
        InstanceUuid(uuid::Uuid::new_v4())
    );
    beside_one_that_names(&test, &test.api, &class, &enter).await;
    assert_eq!(count(&test.api, "waiting_classes"), 1);
    test.api.execute("DELETE FROM waiting_instances").unwrap();
    assert_eq!(archive(&test).await.pruned_api["waiting_classes"], 1);
}
