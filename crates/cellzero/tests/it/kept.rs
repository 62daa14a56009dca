//! What earlier versions wrote is read by this one: verdicts and what they were computed from,
//! stored requests, histories, and instances that wait.
//!
//! Each directory of `kept` has the databases of a plane as one version left them, as SQL, and what
//! that version said of its instances. A version that changes what is stored adds its own, and leaves
//! these as they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase, create_database};
use rstest::rstest;
use serde_json::Value;

use crate::schema::soon;
use crate::support::user;

fn versions() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kept");
    let entries = std::fs::read_dir(all).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

/// The plane that a version left, opened by this one.
async fn open(version: &Path) -> (ControlPlane, [TestDatabase; 3]) {
    let databases = ["api", "cell0", "cell1"].map(|name| {
        let database = create_database(Engine::Sqlite, name).unwrap();
        let dump = std::fs::read_to_string(version.join(format!("{name}.sql"))).unwrap();
        database.execute(&dump).unwrap();
        database
    });
    for name in ["cell0", "cell1"] {
        let is = databases.iter().find(|database| database.name().starts_with(name)).unwrap();
        databases[0]
            .execute(&format!(
                "UPDATE cell_mappings SET database_connection = '{}' WHERE database_connection = \
                 '{name}.db'",
                is.url()
            ))
            .unwrap();
    }
    // The API database is migrated when it is opened, cells by their operator.
    for cell in &databases[1..] {
        let url = DatabaseUrl::parse(cell.url()).unwrap();
        let cell = CellDatabase::new(url, Options::default());
        cell.migrate(soon()).await.unwrap();
        cell.close().await;
    }
    let config = Config::new(databases[0].url()).without_worker();
    (ControlPlane::open(config).await.unwrap(), databases)
}

fn expected(version: &Path) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(version.join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn uuid_of(instance: &Value) -> InstanceUuid {
    InstanceUuid(instance["uuid"].as_str().unwrap().parse().unwrap())
}

#[rstest]
#[tokio::test]
async fn verdicts_requests_and_histories_of_every_version_are_read() {
    assert!(!versions().is_empty());
    for version in versions() {
        let (plane, _databases) = open(&version).await;
        let admin = RequestContext::admin();
        let mut replayed = 0;
        for (name, instance) in expected(&version) {
            let uuid = uuid_of(&instance);
            let shown = plane.show(&user(), uuid).await.unwrap();
            assert_eq!(shown.display_name.as_ref(), Some(&name));
            assert_eq!(shown.status(), instance["status"].as_str().unwrap(), "{name}");
            let fault = shown.fault.map(|fault| fault.message);
            assert_eq!(fault.as_deref(), instance["fault"].as_str(), "{name}");
            let verdict = plane.verdict(&admin, uuid).await.unwrap();
            assert_eq!(serde_json::json!(verdict), instance["verdict"], "{name}");
            if let Some(again) = plane.replay(&admin, uuid).await.unwrap() {
                assert_eq!(Some(again), verdict, "{name}");
                replayed += 1;
            }
        }
        assert!(replayed >= 4, "{replayed} replayed of {}", version.display());
        plane.close().await.unwrap();
    }
}

#[rstest]
#[tokio::test]
async fn what_every_version_left_is_brought_home_with_its_past() {
    for version in versions() {
        let (plane, databases) = open(&version).await;
        let expected = expected(&version);
        let cells = plane.cells().list().await.unwrap();
        let cell = cells.iter().find(|cell| !cell.is_cell0()).unwrap().uuid;
        let node = ComputeNode::new("cell1-host1", 64, 65_536, 640).with_ratios(1.0, 1.0, 1.0);
        plane.hosts().report(cell, &node).await.unwrap();
        let web = uuid_of(&expected["web"]);
        let before = plane.actions(&user(), web).await.unwrap().len();
        plane.retry(&user(), web).await.unwrap();
        let settled = plane.settle().await.unwrap();
        assert_eq!((settled.woken, settled.waiting), (1, 0), "one has waited for this");
        for name in ["web", "waits"] {
            let shown = plane.show(&user(), uuid_of(&expected[name])).await.unwrap();
            assert_eq!(shown.home, Home::Cell(cell), "{name}");
        }
        assert_eq!(plane.actions(&user(), web).await.unwrap().len(), before + 1);
        let building = plane.show(&user(), uuid_of(&expected["building"])).await.unwrap();
        assert!(building.home.is_cell0(), "its stored request was scheduled");
        let report = plane.fsck(Repair::No).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
        plane.close().await.unwrap();
        drop(databases);
    }
}
