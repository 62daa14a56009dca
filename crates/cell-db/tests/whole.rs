//! An instance is written, replaced, swept and deleted whole, under its fence.

use std::collections::BTreeMap;
use std::time::Duration;

use cellzero_cell_db::action::NewEvent;
use cellzero_cell_db::instance::WithDeleted;
use cellzero_cell_db::whole::{self, NewInstance, WriteBatch, Written};
use cellzero_cell_db::{CellConnection, CellDatabase, fence};
use cellzero_database::{DatabaseError, DatabaseUrl, Deadline, Options};
use cellzero_test_support::{Engine, TestDatabase, create_database};
use cellzero_types::{
    BlockDevice, CellUuid, Flavor, Home, Instance, InstanceUuid, RequestContext, VmState,
};
use rstest::rstest;
use uuid::Uuid;

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

async fn cell(engine: Engine) -> Option<(CellDatabase, TestDatabase)> {
    let test = create_database(engine, "cell")?;
    let url = DatabaseUrl::parse(test.url()).unwrap();
    let database = CellDatabase::new(url, Options::default());
    database.migrate(deadline()).await.unwrap();
    Some((database, test))
}

fn uuid(number: u128) -> InstanceUuid {
    InstanceUuid(Uuid::from_u128(number))
}

fn instance(number: u128, name: &str) -> Instance {
    Instance {
        home: Home::Cell(CellUuid::CELL0),
        display_name: Some(name.into()),
        hostname: Some(name.into()),
        vm_state: Some(VmState::Error),
        flavor: Some(Flavor::new("1", "tiny", 1, 512, 1)),
        instance_type_id: Some(1),
        image_ref: Some(String::new()),
        launch_index: Some(0),
        auto_disk_config: true,
        access_ip_v4: Some("192.0.2.1".into()),
        metadata: BTreeMap::from([("k".to_owned(), name.to_owned())]),
        tags: vec!["a".into(), "b".into()],
        block_devices: vec![BlockDevice {
            source_type: "blank".into(),
            destination_type: "local".into(),
            ..BlockDevice::default()
        }],
        security_groups: vec!["default".into()],
        ..Instance::new(uuid(number), "p", "u")
    }
}

fn batch(instances: Vec<(Instance, i64)>) -> WriteBatch {
    let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().naive_utc();
    let new = |(instance, epoch)| NewInstance {
        instance,
        epoch,
        build: None,
        verdict: None,
        history: None,
    };
    WriteBatch {
        instances: instances.into_iter().map(new).collect(),
        request_id: "req-1".into(),
        accepted_at: now,
        event: NewEvent {
            event: "e".into(),
            host: None,
            result: None,
            details: None,
            start_time: now,
            finish_time: None,
        },
        action_message: None,
    }
}

async fn write(database: &CellDatabase, instances: Vec<(Instance, i64)>) -> Written {
    let batch = batch(instances);
    database.run("write", deadline(), move |conn| whole::write(conn, &batch)).await.unwrap()
}

async fn read(database: &CellDatabase, number: u128) -> Option<Instance> {
    let read = move |conn: &mut CellConnection| {
        whole::read(conn, CellUuid::CELL0, &[uuid(number)], WithDeleted::No)
    };
    database.run("read", deadline(), read).await.unwrap().pop()
}

/// Rows of one instance in every table that can hold some, fences left out.
fn rows(test: &TestDatabase, number: u128) -> i64 {
    let tables = [
        ("instances", "uuid"),
        ("instance_extra", "instance_uuid"),
        ("instance_info_caches", "instance_uuid"),
        ("instance_metadata", "instance_uuid"),
        ("security_group_instance_association", "instance_uuid"),
        ("block_device_mapping", "instance_uuid"),
        ("instance_actions", "instance_uuid"),
        ("tags", "resource_id"),
    ];
    tables
        .iter()
        .map(|(table, column)| {
            let text = format!("SELECT COUNT(*) FROM {table} WHERE {column} = '{}'", uuid(number));
            test.query(&text).unwrap()[0][0].clone().unwrap().parse::<i64>().unwrap()
        })
        .sum()
}

#[rstest]
#[tokio::test]
async fn what_was_written_is_read_back_and_the_same_epoch_changes_nothing(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((database, test)) = cell(engine).await else { return };
    let first = write(&database, vec![(instance(1, "one"), 1)]).await;
    assert_eq!(first.written, [uuid(1)]);
    let written = rows(&test, 1);
    let again = write(&database, vec![(instance(1, "another name"), 1)]).await;
    assert_eq!(again.written, [uuid(1)]);
    assert_eq!(rows(&test, 1), written);
    let read = read(&database, 1).await.unwrap();
    let expected = Instance { id: read.id, updated_at: read.updated_at, ..instance(1, "one") };
    assert_eq!(read, expected);
}

#[rstest]
#[tokio::test]
async fn a_higher_epoch_replaces_rows_and_a_lower_one_is_fenced(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((database, test)) = cell(engine).await else { return };
    write(&database, vec![(instance(1, "old"), 2)]).await;
    let before = rows(&test, 1);
    let written = write(&database, vec![(instance(1, "new"), 3), (instance(2, "two"), 1)]).await;
    assert_eq!(written.written.len(), 2);
    assert_eq!(rows(&test, 1), before);
    assert_eq!(read(&database, 1).await.unwrap().display_name.as_deref(), Some("new"));
    let late = write(&database, vec![(instance(1, "late"), 2), (instance(3, "three"), 1)]).await;
    assert_eq!(late.fenced, [uuid(1)]);
    assert_eq!(late.written, [uuid(3)]);
    assert_eq!(read(&database, 1).await.unwrap().display_name.as_deref(), Some("new"));
}

#[rstest]
#[tokio::test]
async fn a_row_that_the_database_rejects_never_fails_its_siblings(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((database, test)) = cell(engine).await else { return };
    let mut twice = instance(3, "bad");
    // The primary key of tags refuses the second one, on every backend.
    twice.tags = vec!["same".into(), "same".into()];
    let all = (1..=7).map(|n| (if n == 3 { twice.clone() } else { instance(n, "good") }, 1));
    let written = write(&database, all.collect()).await;
    assert_eq!(written.rejected.iter().map(|(uuid, _)| *uuid).collect::<Vec<_>>(), [uuid(3)]);
    assert_eq!(written.written.len(), 6);
    assert_eq!(rows(&test, 3), 0);
    assert!(read(&database, 7).await.is_some());
}

#[rstest]
#[tokio::test]
async fn a_sweep_erases_lower_epochs_and_stops_late_writers(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((database, test)) = cell(engine).await else { return };
    write(&database, vec![(instance(1, "left over"), 1), (instance(2, "ours"), 5)]).await;
    let due = vec![(uuid(1), 2), (uuid(2), 5), (uuid(3), 4)];
    database.run("sweep", deadline(), move |conn| whole::sweep(conn, &due)).await.unwrap();
    assert_eq!(rows(&test, 1), 0);
    assert!(read(&database, 2).await.is_some(), "its own epoch's rows stay");
    let late = write(&database, vec![(instance(1, "late"), 1), (instance(3, "late"), 3)]).await;
    assert_eq!(late.fenced.len(), 2);
    assert_eq!(rows(&test, 1) + rows(&test, 3), 0);
}

#[rstest]
#[tokio::test]
async fn a_delete_is_soft_once_and_raises_the_fence(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((database, _test)) = cell(engine).await else { return };
    write(&database, vec![(instance(1, "one"), 1)]).await;
    let ctx = RequestContext::new("p", "u");
    let done = database
        .run("delete", deadline(), move |conn| {
            let first = whole::delete(conn, &ctx, uuid(1), 2, &[])?;
            let second = whole::delete(conn, &ctx, uuid(1), 2, &[])?;
            let fence = fence::find(conn, uuid(1))?;
            Ok::<_, DatabaseError>((first, second, fence.map(|fence| fence.fence)))
        })
        .await
        .unwrap();
    assert_eq!(done, (true, false, Some(2)));
    assert!(read(&database, 1).await.is_none());
    let late = write(&database, vec![(instance(1, "late"), 1)]).await;
    assert_eq!(late.fenced, [uuid(1)]);
}
