//! All databases of a plane brought to one version: from nothing, from an older version, killed
//! anywhere, several at once, and with cells that fail.

mod down;
mod walk;

use std::path::Path;
use std::time::Duration;

use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase, create_database};
use rstest::rstest;

use crate::support::{TestPlane, request, user};

/// What an older binary left: the last migration is taken back, as its own way back does.
pub(crate) fn set_back(database: &TestDatabase, kind: &str) {
    let folder = match database.engine() {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
        Engine::MariaDb => "mysql",
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(kind);
    let entries = std::fs::read_dir(root.join(folder)).unwrap();
    let last = entries.map(|entry| entry.unwrap().path()).max().unwrap();
    database.execute(&std::fs::read_to_string(last.join("down.sql")).unwrap()).unwrap();
    let name = last.file_name().unwrap().to_str().unwrap();
    let (version, _) = name.split_once('_').unwrap();
    let version = version.replace('-', "");
    database
        .execute(&format!(
            "DELETE FROM __diesel_schema_migrations WHERE version = '{version}'; \
             UPDATE database_identity SET schema_version = schema_version - 1"
        ))
        .unwrap();
}

/// The same of all databases of a plane.
pub(crate) fn set_back_all(test: &TestPlane) {
    set_back(&test.api, "api");
    set_back(&test.cell0, "cell");
    test.cells.iter().for_each(|(_, cell)| set_back(cell, "cell"));
}

pub(crate) fn databases(config: Config) -> Databases {
    Databases::new(config.admin_timeout(Duration::from_secs(20))).unwrap()
}

pub(crate) async fn sync(config: Config) -> SyncReport {
    databases(config).sync(|_| {}).await
}

/// Every database is at this binary's version without drift, and says so.
pub(crate) async fn assert_sound(config: Config, count: usize) {
    let state = databases(config).state().await;
    assert_eq!(state.databases.len(), count, "{state:?}");
    for one in &state.databases {
        assert!(one.is_sound(), "{one:?}");
        assert_eq!(one.state.as_ref().unwrap().fit, Fit::Equal);
    }
    assert!(state.cell0_is_mapped);
}

#[rstest]
#[case::sqlite(Engine::Sqlite, Engine::Sqlite)]
#[case::postgres(Engine::Postgres, Engine::Postgres)]
#[case::mariadb(Engine::MariaDb, Engine::MariaDb)]
#[case::mixed(Engine::Postgres, Engine::MariaDb)]
#[tokio::test]
async fn a_plane_begins_with_a_sync_and_cell0(#[case] first: Engine, #[case] second: Engine) {
    let Some(api) = create_database(first, "api") else { return };
    let Some(cell0) = create_database(second, "cell0") else { return };
    let Some(cell1) = create_database(second, "cell1") else { return };
    let config = Config::new(api.url()).cell0(cell0.url()).without_worker().existing();

    // Nothing is there, and nobody but a sync makes it.
    let state = databases(config.clone()).state().await;
    assert_eq!(state.databases.len(), 1);
    match &state.databases[0].state {
        Ok(state) => assert_eq!((state.fit, state.recorded), (Fit::Empty, None)),
        Err(SchemaError::Database(error)) => assert_eq!(error.kind(), ErrorKind::Unreachable),
        Err(error) => panic!("{error:?}"),
    }
    match ControlPlane::open(config.clone()).await.unwrap_err() {
        OpenError::Api { source, .. } if first == Engine::Sqlite => {
            assert_eq!(source.kind(), ErrorKind::Unreachable, "{source}");
        }
        error @ OpenError::NoPlane { .. } => {
            assert!(error.to_string().contains("cellzero db sync"), "{error}");
        }
        other => panic!("{other:?}"),
    }

    let mut told = Vec::new();
    let report = databases(config.clone()).sync(|one| told.push(one.database.clone())).await;
    assert!(report.is_done() && !report.cell0_is_mapped, "{report:?}");
    assert_eq!(told, [PlaneDatabase::Api]);
    assert_eq!(report.databases[0].outcome.as_ref().unwrap().before, None);

    let plane = ControlPlane::open(config.clone()).await.unwrap();
    assert!(plane.cells().list().await.unwrap().is_empty(), "opening makes no cell");
    let made = plane.cells().map_cell0(None).await.unwrap();
    assert!(made.is_new);
    let again = plane.cells().map_cell0(Some(cell1.url())).await.unwrap();
    assert_eq!((again.is_new, again.mapping), (false, made.mapping));
    plane.cells().create(NewCell::new("cell1", cell1.url())).await.unwrap();
    plane.flavors().create(&Flavor::new("1", "small", 1, 512, 1)).await.unwrap();
    let accepted = plane.boot(&user(), request("web", "1").build().unwrap()).await.unwrap();
    plane.settle().await.unwrap();
    let buried = plane.show(&user(), accepted[0]).await.unwrap();
    assert_eq!(buried.home, Home::Cell(CellUuid::CELL0));
    assert_sound(config, 3).await;
}

#[rstest]
#[tokio::test]
async fn an_older_plane_is_opened_once_it_was_synced(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)], &[]]).await else { return };
    let uuid = test.boot(&user(), request("web", "1").build().unwrap()).await[0];
    test.plane.close().await.unwrap();
    set_back_all(&test);

    let config = test.config.clone().existing();
    match ControlPlane::open(config.clone()).await.unwrap_err() {
        OpenError::Api { source, .. } => {
            assert_eq!(source.kind(), ErrorKind::SchemaVersion);
            assert!(source.to_string().contains("cellzero db sync"), "{source}");
        }
        other => panic!("{other:?}"),
    }
    let state = databases(config.clone()).state().await;
    assert_eq!(state.databases.len(), 4);
    for one in &state.databases {
        assert!(one.is_behind() && !one.is_sound(), "{one:?}");
    }
    let report = sync(config.clone()).await;
    assert!(report.is_done() && report.cell0_is_mapped);
    for one in &report.databases {
        let Migrated { before, after } = *one.outcome.as_ref().unwrap();
        assert_eq!(before.map(|before| before + 1), Some(after), "{one:?}");
    }
    let order: Vec<String> = report.databases.iter().map(|one| one.database.to_string()).collect();
    assert_eq!(order[..2], ["API database", "cell0"]);
    assert!(order[2].starts_with("cell1 (") && order[3].starts_with("cell2 ("), "{order:?}");
    assert_sound(config.clone(), 4).await;
    // A second one finds nothing to do.
    for one in sync(config.clone()).await.databases {
        let Migrated { before, after } = one.outcome.unwrap();
        assert_eq!(before, Some(after));
    }
    let plane = ControlPlane::open(config).await.unwrap();
    assert_eq!(plane.show(&user(), uuid).await.unwrap().vm_state, Some(VmState::Active));
}

/// An embedder of files does nothing for an upgrade; cells on servers wait for a sync.
#[rstest]
#[tokio::test]
async fn opening_with_migration_migrates_the_cells_that_are_files(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let uuid = test.boot(&user(), request("web", "1").build().unwrap()).await[0];
    test.plane.close().await.unwrap();
    set_back_all(&test);
    let plane = ControlPlane::open(test.config.clone()).await.unwrap();
    match plane.show(&user(), uuid).await {
        Ok(shown) => {
            assert_eq!((engine, shown.vm_state), (Engine::Sqlite, Some(VmState::Active)));
        }
        Err(ReadError::CellUnavailable { source, .. }) => {
            assert_ne!(engine, Engine::Sqlite);
            let source = source.database().unwrap();
            assert_eq!(source.kind(), ErrorKind::SchemaVersion);
            assert!(source.to_string().contains("cellzero db sync"), "{source}");
        }
        Err(error) => panic!("{error:?}"),
    }
    // The plane that runs uses them from then on.
    assert!(sync(test.config.clone()).await.is_done());
    assert_eq!(plane.show(&user(), uuid).await.unwrap().vm_state, Some(VmState::Active));
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn several_at_once_do_no_harm(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    // A new plane has one uuid, whoever was first.
    let Some(api) = create_database(engine, "api") else { return };
    let config = Config::new(api.url()).without_worker().existing();
    sync_many(&config).await;
    let stamps = api.query("SELECT COUNT(DISTINCT plane_uuid) FROM database_identity").unwrap();
    assert_eq!(stamps, [[Some("1".to_owned())]]);

    let test = TestPlane::with_cells(engine, &[&[], &[]]).await.unwrap();
    set_back_all(&test);
    sync_many(&test.config).await;
    assert_sound(test.config.clone(), 4).await;
}

async fn sync_many(config: &Config) {
    let all: Vec<_> = (0..5)
        .map(|_| {
            let databases = databases(config.clone());
            tokio::spawn(async move { databases.sync(|_| {}).await })
        })
        .collect();
    for one in all {
        let report = one.await.unwrap();
        assert!(report.is_done(), "{report:?}");
    }
}
