//! A plane that is open read-only: every write is a typed error, and nothing changes.

use std::collections::BTreeMap;
use std::path::Path;

use cellzero::*;
use cellzero_test_support::{Engine, NovaPlane, TestDatabase};
use rstest::rstest;
use uuid::Uuid;

use super::Nova;

/// Every bit of a plane: of each file in its folder, or of each table on its server.
fn contents(files: &NovaPlane) -> BTreeMap<String, String> {
    let databases = [files.api(), files.cell(0), files.cell(1), files.cell(2)];
    match files.api().engine() {
        Engine::Sqlite => files_in(folder_of(files)),
        Engine::Postgres | Engine::MariaDb => databases.into_iter().flat_map(tables).collect(),
    }
}

fn folder_of(files: &NovaPlane) -> &Path {
    Path::new(files.api_url.strip_prefix("sqlite://").unwrap()).parent().unwrap()
}

fn files_in(folder: &Path) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            let sum = Uuid::from_u128(fold(&bytes)).to_string();
            (path.display().to_string(), format!("{} bytes, {sum}", bytes.len()))
        })
        .collect()
}

/// FNV-1a of 128 bits: enough to tell a file from a changed one.
fn fold(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

/// A checksum over all rows of each table.
fn tables(database: &TestDatabase) -> Vec<(String, String)> {
    let of_schema = match database.engine() {
        Engine::Postgres => "current_schema()",
        _ => "DATABASE()",
    };
    let list = format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = {of_schema}"
    );
    let names: Vec<String> =
        database.query(&list).unwrap().into_iter().map(|row| row[0].clone().unwrap()).collect();
    assert!(names.len() > 20, "a database of Nova's has many tables");
    let sums = match database.engine() {
        Engine::Postgres => {
            let sum = |name: &String| {
                format!(
                    "SELECT '{name}', COUNT(*) || ' rows, ' || \
                     md5(COALESCE(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {name} t"
                )
            };
            names.iter().map(sum).collect::<Vec<_>>().join(" UNION ALL ")
        }
        _ => format!("CHECKSUM TABLE {} EXTENDED", names.join(", ")),
    };
    let sums = database.query(&sums).unwrap();
    assert_eq!(sums.len(), names.len());
    sums.into_iter()
        .map(|row| (format!("{}.{:?}", database.name(), row[0]), row[1].clone().unwrap()))
        .collect()
}

async fn show_and_list_all(nova: &Nova) {
    let admin = RequestContext::admin();
    let page = nova.plane.list(&admin, &ListQuery::default().all_projects()).await.unwrap();
    assert_eq!(page.instances.len(), 64);
    for uuid in page.instances.iter().map(|instance| instance.uuid) {
        nova.plane.show(&admin, uuid).await.unwrap();
        nova.plane.actions(&admin, uuid).await.unwrap();
        assert_eq!(nova.plane.verdict(&admin, uuid).await.unwrap(), None);
        assert_eq!(nova.plane.waiting(&admin, uuid).await.unwrap(), None);
    }
    assert_eq!(nova.plane.cells().list().await.unwrap().len(), 3);
    assert!(!nova.plane.flavors().list().await.unwrap().is_empty());
    assert!(nova.plane.flavors().find("4").await.unwrap().is_some());
}

/// Whether a write was refused because the plane is read-only.
trait Refused {
    fn is_refused(&self) -> bool;
}

impl<T, E: std::error::Error> Refused for Result<T, Write<E>> {
    fn is_refused(&self) -> bool {
        matches!(self, Err(Write::ReadOnly(ReadOnlyPlane)))
    }
}

impl<T> Refused for Result<T, AdminError> {
    fn is_refused(&self) -> bool {
        matches!(self, Err(AdminError::ReadOnly(ReadOnlyPlane)))
    }
}

/// What changes instances, each with whether it was refused.
async fn write_instances(nova: &Nova) -> Vec<(&'static str, bool)> {
    let (plane, admin) = (&nova.plane, RequestContext::admin());
    let (uuid, cell1) = (nova.plan("cell1")[0], nova.cell("cell1"));
    let (buried, building) = (nova.plan("cell0")[0], nova.plan("unscheduled")[0]);
    let unknown: InstanceUuid = Uuid::from_u128(1).into();
    let accepted = Accepted {
        group: Uuid::from_u128(2).into(),
        reservation_id: "r-1".into(),
        instances: vec![building],
    };
    let request = crate::support::request("web", "1").build().unwrap();
    vec![
        ("boot", plane.boot(&admin, request).await.is_refused()),
        ("settle", plane.settle().await.is_refused()),
        ("settle_accepted", plane.settle_accepted(&accepted).await.is_refused()),
        ("delete", plane.delete(&admin, uuid).await.is_refused()),
        ("delete buried", plane.delete(&admin, buried).await.is_refused()),
        ("delete building", plane.delete(&admin, building).await.is_refused()),
        ("delete unknown", plane.delete(&admin, unknown).await.is_refused()),
        ("reboot", plane.act(&admin, uuid, Action::Reboot).await.is_refused()),
        ("reboot buried", plane.act(&admin, buried, Action::Reboot).await.is_refused()),
        ("built", plane.compute().built(cell1, uuid, "cell1-host1", 1).await.is_refused()),
        ("failed", plane.compute().failed(cell1, uuid, "h", 1, "no").await.is_refused()),
        ("destroyed", plane.compute().destroyed(uuid, 1).await.is_refused()),
    ]
}

/// What changes the plane's own things, with good fields and with bad ones: the plane is read-only
/// whatever one wants of it.
async fn write_administration(nova: &Nova) -> Vec<(&'static str, bool)> {
    let (plane, admin) = (&nova.plane, RequestContext::admin());
    let (cells, hosts, flavors) = (plane.cells(), plane.hosts(), plane.flavors());
    let cell1 = nova.cell("cell1");
    let node = ComputeNode::new("cell1-host1", 8, 16_384, 100);
    let good = Flavor::new("new", "m1.new", 1, 512, 1);
    let bad = Flavor::new("new", "", 0, 0, 0);
    let labels = BTreeMap::from([("availability_zone".to_owned(), "az9".to_owned())]);
    let groups = plane.server_groups();
    vec![
        ("create cell", cells.create(NewCell::new("c", &nova.files.api_url)).await.is_refused()),
        ("create bad cell", cells.create(NewCell::new("", "no://url")).await.is_refused()),
        ("create embedded cell", cells.create_embedded("cell9").await.is_refused()),
        ("create bad embedded cell", cells.create_embedded("a/b").await.is_refused()),
        ("disable cell", cells.disable(cell1).await.is_refused()),
        ("disable cell0", cells.disable(CellUuid::CELL0).await.is_refused()),
        ("enable cell", cells.enable(cell1).await.is_refused()),
        ("report host", hosts.report(cell1, &node).await.is_refused()),
        ("report host in cell0", hosts.report(CellUuid::CELL0, &node).await.is_refused()),
        ("disable host", hosts.disable("cell1-host1", "why").await.is_refused()),
        ("enable host", hosts.enable("cell1-host1").await.is_refused()),
        ("unmap host", hosts.unmap("cell1-host1").await.is_refused()),
        ("create flavor", flavors.create(&good).await.is_refused()),
        ("create bad flavor", flavors.create(&bad).await.is_refused()),
        ("allow flavor", flavors.allow("4", "project").await.is_refused()),
        ("set quota", plane.quotas().set("project", "cores", Some(1)).await.is_refused()),
        ("set bad quota", plane.quotas().set("project", "luck", Some(-1)).await.is_refused()),
        ("create key pair", plane.key_pairs().create(&admin, "key", "ssh-rsa").await.is_refused()),
        ("create bad key pair", plane.key_pairs().create(&admin, "", "").await.is_refused()),
        ("create group", groups.create(&admin, "group", "affinity", 1).await.is_refused()),
        ("create bad group", groups.create(&admin, "", "love", 0).await.is_refused()),
        ("create aggregate", plane.aggregates().create("a", &labels, &[]).await.is_refused()),
        ("create bad aggregate", plane.aggregates().create("", &labels, &[]).await.is_refused()),
    ]
}

#[rstest]
#[tokio::test]
async fn every_write_is_refused_and_not_a_bit_changes(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    let before = contents(&nova.files);
    show_and_list_all(&nova).await;
    let writes = [write_instances(&nova).await, write_administration(&nova).await].concat();
    for (write, is_refused) in writes {
        assert!(is_refused, "{write} on a read-only plane");
    }
    // A boot that never was keeps nobody waiting.
    show_and_list_all(&nova).await;
    nova.plane.close().await.unwrap();
    assert_eq!(contents(&nova.files), before);
}

/// Whoever opens it cannot write there: not the files, and none beside them.
#[cfg(unix)]
#[tokio::test]
async fn files_in_a_read_only_directory_are_read() {
    use std::os::unix::fs::PermissionsExt as _;

    let files = cellzero_test_support::nova_plane(Engine::Sqlite).unwrap();
    let folder = folder_of(&files).to_owned();
    let set = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for entry in std::fs::read_dir(&folder).unwrap() {
        set(&entry.unwrap().path(), 0o444);
    }
    set(&folder, 0o555);
    let before = files_in(&folder);
    let config = Config::new(&files.api_url).base_url(&files.base_url);
    let plane = ControlPlane::open_read_only(config).await.unwrap();
    let nova = Nova { files, plane };
    show_and_list_all(&nova).await;
    nova.plane.close().await.unwrap();
    assert_eq!(files_in(&folder), before);
    // The folder is removed with the plane.
    set(&folder, 0o755);
}
