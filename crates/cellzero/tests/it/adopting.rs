//! Cells that others filled come into a plane: their hosts are discovered and their instances mapped.
//! The rows are those of cells that Nova itself made.

pub(crate) mod nova_cell;
mod tools;
mod walk;

use std::collections::BTreeMap;

use cellzero::*;
use cellzero_test_support::{Engine, NovaPlane, TestDatabase, nova_plane};
use rstest::rstest;

use crate::fsck::{found, options};
use crate::nova::{show::as_nova, uuid_of};
use crate::support::{TestPlane, both_ways, count, request, user, uuids};
use nova_cell::copy_rows;

/// A plane of our own with the rows of Nova's cell0, cell1 and cell2, and Nova's own answers.
pub(crate) struct Adopting {
    pub(crate) test: TestPlane,
    pub(crate) nova: NovaPlane,
}

impl Adopting {
    pub(crate) async fn new(engine: Engine) -> Option<Adopting> {
        Adopting::with(engine, |config| config).await
    }

    pub(crate) async fn with(
        engine: Engine,
        configure: impl FnOnce(Config) -> Config,
    ) -> Option<Adopting> {
        let nova = nova_plane(engine)?;
        let mut test = TestPlane::with(engine, configure).await?;
        test.fill(&[&[], &[]]).await;
        copy_rows(nova.cell(0), &test.cell0);
        for number in [1, 2] {
            copy_rows(nova.cell(number), &test.cells[number - 1].1);
        }
        // Nova's hosts have reported long ago.
        let now = chrono::Utc::now().naive_utc().format("%Y-%m-%d %H:%M:%S");
        for (_, cell) in &test.cells {
            cell.execute(&format!("UPDATE services SET last_seen_up = '{now}'")).unwrap();
        }
        Some(Adopting { test, nova })
    }

    pub(crate) fn cells(&self) -> [CellUuid; 3] {
        [CellUuid::CELL0, self.test.cell(0), self.test.cell(1)]
    }

    pub(crate) fn plan(&self, part: &str) -> Vec<InstanceUuid> {
        let members = self.nova.expected["_about"]["plan"][part].as_array().expect("a part");
        members.iter().map(uuid_of).collect()
    }

    /// Nova's live instances, those in cell0 too.
    pub(crate) fn live(&self) -> Vec<InstanceUuid> {
        ["cell0", "cell1", "cell2"].into_iter().flat_map(|part| self.plan(part)).collect()
    }

    fn is_soft_deleted(&self, uuid: InstanceUuid) -> bool {
        self.nova.expected["instances"][uuid.to_string()]["show"]["vm_state"] == "soft-delete"
    }

    pub(crate) async fn map_all(&self, options: MapOptions) -> Vec<Mapped> {
        let mut all = Vec::new();
        for cell in self.cells() {
            all.push(map(&self.test.plane, cell, options).await);
        }
        all
    }
}

pub(crate) async fn map(plane: &ControlPlane, cell: CellUuid, options: MapOptions) -> Mapped {
    plane.map_instances(cell, options, &mut |_| {}).await.expect("mapped")
}

/// What hosts are said to have claimed, by what stands in the cells, past our own code.
fn used(test: &TestPlane) -> BTreeMap<String, (i64, i64)> {
    let read = "SELECT host, vcpus_used, memory_mb_used FROM host_capacity";
    let number = |text: &Option<String>| text.as_deref().unwrap().parse().unwrap();
    let rows = test.api.query(read).unwrap().into_iter();
    rows.map(|row| (row[0].clone().unwrap(), (number(&row[1]), number(&row[2])))).collect()
}

fn standing(cells: &[(CellUuid, TestDatabase)]) -> BTreeMap<String, (i64, i64)> {
    let read = "SELECT host, CAST(SUM(vcpus) AS CHAR(20)), CAST(SUM(memory_mb) AS CHAR(20)) \
                FROM instances WHERE deleted = 0 AND host IS NOT NULL GROUP BY host";
    let number = |text: &Option<String>| text.as_deref().unwrap().trim().parse().unwrap();
    let rows = cells.iter().flat_map(|(_, cell)| cell.query(read).unwrap());
    rows.map(|row| (row[0].clone().unwrap(), (number(&row[1]), number(&row[2])))).collect()
}

#[rstest]
#[tokio::test]
async fn what_nova_filled_is_adopted_and_then_like_all_others(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(adopting) = Adopting::new(engine).await else { return };
    let (test, plane) = (&adopting.test, &adopting.test.plane);
    let admin = RequestContext::admin();
    let mut before = found(test).await;
    before.sort();
    let mut unmapped: Vec<(Class, String)> =
        adopting.live().iter().map(|uuid| (Class::RowWithoutMapping, uuid.to_string())).collect();
    unmapped.sort();
    assert_eq!(before, unmapped, "the live rows, and nothing else");

    let discovery = plane.hosts().discover(&DiscoverOptions::default()).await.unwrap();
    assert_eq!(discovery.new.len(), 8, "{discovery:?}");
    let mapped = adopting.map_all(MapOptions::default()).await;
    let numbers = |m: &Mapped| (m.total, m.looked_at, m.mapped, m.deleted, m.known, m.more);
    let all: Vec<_> = mapped.iter().map(numbers).collect();
    assert_eq!(
        all,
        [(14, 14, 14, 2, 0, false), (26, 26, 26, 1, 0, false), (26, 26, 26, 1, 0, false)]
    );
    assert_eq!(found(test).await, []);
    let report = plane.fsck(options(Repair::Yes)).await.unwrap();
    assert!(report.is_clean() && report.dumps.is_empty(), "{report:?}");
    assert_eq!(used(test), standing(&test.cells));

    for uuid in adopting.live() {
        let mut nova = adopting.nova.expected["instances"][uuid.to_string()]["show"].clone();
        let mut ours = as_nova(&plane.show(&admin, uuid).await.unwrap());
        for answer in [&mut nova, &mut ours] {
            // Nova always answers none: `nova::show` holds that difference.
            answer["security_groups"].take();
        }
        let text = nova.to_string().replace("\"<not set>\"", "null");
        assert_eq!(ours, serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }
    for uuid in adopting.plan("deleted") {
        let shown = plane.show(&admin, uuid).await;
        assert!(matches!(shown, Err(ReadError::InstanceNotFound { .. })), "{shown:?}");
        let deleted = plane.delete(&admin, uuid).await;
        assert!(
            matches!(deleted, Err(Write::Failed(DeleteError::InstanceNotFound { .. }))),
            "{deleted:?}"
        );
    }
    for query in both_ways() {
        let page = plane.list(&admin, &query.all_projects().limit(500)).await.unwrap();
        let mut listed = uuids(&page);
        listed.sort();
        // As Nova's lists: what is hidden or deleted softly is listed where it is asked for only.
        let hidden = adopting.plan("hidden");
        let mut live = adopting.live();
        live.retain(|uuid| !hidden.contains(uuid) && !adopting.is_soft_deleted(*uuid));
        live.sort();
        assert_eq!(live.len(), 59);
        assert_eq!(listed, live);
    }
}

#[rstest]
#[tokio::test]
async fn an_adopted_instance_is_deleted_retried_and_known_in_a_silent_cell(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(adopting) = Adopting::new(engine).await else { return };
    let (test, plane) = (&adopting.test, &adopting.test.plane);
    let admin = RequestContext::admin();
    // The instances first: a host that is discovered later counts what they claim.
    adopting.map_all(MapOptions::default()).await;
    plane.hosts().discover(&DiscoverOptions::default()).await.unwrap();
    assert_eq!(used(test), standing(&test.cells));

    let (living, buried) = (adopting.plan("cell1"), adopting.plan("cell0"));
    plane.delete(&admin, living[0]).await.unwrap();
    plane.delete(&admin, buried[0]).await.unwrap();
    let retried = plane.retry(&admin, buried[1]).await.unwrap();
    plane.settle_accepted(&retried).await.unwrap();
    plane.settle().await.unwrap();
    let shown = plane.show(&admin, buried[1]).await.unwrap();
    assert!(!shown.home.is_cell0() && shown.host.is_some(), "{shown:?}");
    assert_eq!(count(&test.cell0, &format!("instances WHERE uuid = '{}'", buried[1])), 0);
    for uuid in [living[0], buried[0]] {
        let shown = plane.show(&admin, uuid).await;
        assert!(matches!(shown, Err(ReadError::InstanceNotFound { .. })), "{shown:?}");
    }
    assert_eq!(used(test), standing(&test.cells));
    assert_eq!(found(test).await, []);
    let report = plane.cell0_report(&admin).await.unwrap();
    assert_eq!(report.instances, 10, "{report:?}");

    let nowhere = match engine {
        Engine::Sqlite => "sqlite:///nowhere/at/all.db",
        Engine::Postgres => "postgres://nobody@127.0.0.1:1/nothing",
        Engine::MariaDb => "mysql://nobody@127.0.0.1:1/nothing",
    };
    let whole = plane.show(&admin, living[1]).await.unwrap();
    test.point(test.cell(0), nowhere);
    let page = plane.list(&admin, &ListQuery::default().all_projects().limit(500)).await.unwrap();
    let outline = page.instances.iter().find(|instance| instance.uuid == living[1]).unwrap();
    assert!(outline.known_at.is_some(), "its cell is silent");
    let known = |i: &Instance| {
        (i.display_name.clone(), i.image_ref.clone(), i.project_id.clone(), i.created_at)
    };
    assert_eq!(known(outline), known(&whole));
    assert_eq!(
        outline.flavor.as_ref().map(|flavor| &flavor.name),
        whole.flavor.as_ref().map(|flavor| &flavor.name)
    );
    let verified = plane.verify(&admin, living[1]).await;
    assert!(matches!(verified, Err(ReadError::CellUnavailable { .. })), "{verified:?}");
}

#[rstest]
#[tokio::test]
async fn mapping_goes_on_where_it_stopped_and_passes_over_what_is_done(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(adopting) = Adopting::new(engine).await else { return };
    let (test, cell) = (&adopting.test, adopting.cells()[1]);
    let some = MapOptions { max_count: Some(10), batch: 3, ..MapOptions::default() };
    let mut heard = Vec::new();
    let mut progress = |mapped: &Mapped| heard.push(mapped.looked_at);
    let first = test.plane.map_instances(cell, some, &mut progress).await.unwrap();
    assert_eq!((first.total, first.mapped, first.more), (26, 10, true));
    assert_eq!(heard, [3, 6, 9, 10]);
    let oldest = "SELECT uuid FROM instances WHERE id <= 10 ORDER BY uuid";
    let done = "SELECT instance_uuid FROM instance_mappings ORDER BY instance_uuid";
    assert_eq!(test.cells[0].1.query(oldest).unwrap(), test.api.query(done).unwrap());

    // Another process goes on.
    let other = ControlPlane::open(test.config.clone()).await.unwrap();
    let second = map(&other, cell, some).await;
    assert_eq!((second.total, second.mapped, second.known, second.more), (16, 10, 0, true));
    let last = map(&other, cell, some).await;
    assert_eq!((last.total, last.mapped, last.more), (6, 6, false));
    let none = map(&test.plane, cell, some).await;
    assert_eq!((none.total, none.looked_at, none.more), (0, 0, false));
    let zero = MapOptions { max_count: Some(0), ..some };
    assert_eq!(map(&test.plane, cell, zero).await.looked_at, 0);

    // What an older backup of the API database has lost is found by looking at every row.
    let lost = adopting.plan("cell1");
    for table in ["instance_mappings", "request_specs", "boot_states", "claims"] {
        let lose = format!("DELETE FROM {table} WHERE instance_uuid = '{}'", lost[0]);
        test.api.execute(&lose).unwrap();
    }
    let lose = format!("DELETE FROM instance_mappings WHERE instance_uuid = '{}'", lost[1]);
    test.api.execute(&lose).unwrap();
    assert_eq!(map(&test.plane, cell, MapOptions::default()).await.looked_at, 0);
    let again = MapOptions { reset: true, ..MapOptions::default() };
    let again = map(&test.plane, cell, again).await;
    assert_eq!((again.looked_at, again.mapped, again.known), (26, 2, 24));
    adopting.map_all(MapOptions::default()).await;
    test.plane.hosts().discover(&DiscoverOptions::default()).await.unwrap();
    assert_eq!(found(test).await, []);
    assert_eq!(used(test), standing(&test.cells));
    let unknown = CellUuid(uuid::Uuid::from_u128(7));
    let refused = test.plane.map_instances(unknown, MapOptions::default(), &mut |_| {}).await;
    assert!(
        matches!(refused, Err(Write::Failed(MapError::Cell(CellError::Unknown { .. })))),
        "{refused:?}"
    );
}

#[rstest]
#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_holds_up_no_other(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(adopting) = Adopting::new(engine).await else { return };
    let (test, cell) = (&adopting.test, adopting.cells()[1]);
    let members = adopting.plan("cell1");
    let of = |uuid: InstanceUuid| format!("WHERE instance_uuid = '{uuid}'");
    let flavor = "SELECT flavor FROM instance_extra";
    let kept = test.cells[0].1.query(&format!("{flavor} {}", of(members[3]))).unwrap();
    let damage = |flavor: &str, uuid| {
        let set = format!("UPDATE instance_extra SET flavor = {flavor} {}", of(uuid));
        test.cells[0].1.execute(&set).unwrap();
    };
    damage("'no json'", members[3]);
    damage("NULL", members[4]);
    let mapped = map(&test.plane, cell, MapOptions { batch: 10, ..MapOptions::default() }).await;
    assert_eq!((mapped.looked_at, mapped.mapped), (26, 25));
    let unreadable: Vec<&String> = mapped.unreadable.iter().map(|(uuid, _)| uuid).collect();
    assert_eq!(unreadable, [&members[3].to_string()]);
    assert_eq!(mapped.without_flavor, [members[4]]);
    let kept = kept[0][0].clone().unwrap().replace('\'', "''");
    damage(&format!("'{kept}'"), members[3]);
    let mapped = map(&test.plane, cell, MapOptions::default()).await;
    assert_eq!((mapped.total, mapped.mapped, mapped.unreadable.len()), (1, 1, 0));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn boots_and_deletes_beside_two_mappings_lose_nothing_and_count_all(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(adopting) = Adopting::new(engine).await else { return };
    let test = &adopting.test;
    let few = MapOptions { batch: 2, ..MapOptions::default() };
    // The hosts are known from the start, so that boots go where mapped instances count.
    test.plane.hosts().discover(&DiscoverOptions::default()).await.unwrap();
    let other = ControlPlane::open(test.config.clone()).await.unwrap();
    let mapping: Vec<_> = [test.plane.clone(), other]
        .into_iter()
        .map(|plane| {
            let cells = adopting.cells();
            tokio::spawn(async move {
                let mut mapped = 0;
                for cell in cells {
                    mapped += map(&plane, cell, few).await.mapped;
                }
                mapped
            })
        })
        .collect();
    let booting: Vec<_> = (0..4)
        .map(|number| {
            let plane = test.plane.clone();
            tokio::spawn(async move {
                let ctx = user();
                for round in 0..6 {
                    let flavor = if round % 3 == 2 { "huge" } else { "1" };
                    let asked = request(&format!("b{number}-{round}"), flavor).build().unwrap();
                    let accepted = plane.boot(&ctx, asked).await.unwrap();
                    plane.settle_accepted(&accepted).await.unwrap();
                    if round % 2 == 1 {
                        plane.delete(&ctx, accepted[0]).await.unwrap();
                    }
                }
            })
        })
        .collect();
    let mut mapped = 0;
    for task in mapping {
        mapped += task.await.unwrap();
    }
    for task in booting {
        task.await.unwrap();
    }
    test.plane.settle().await.unwrap();
    assert_eq!(mapped, 66, "each once");
    assert_eq!(count(&test.api, "instance_mappings"), 66 + 24);
    assert_eq!(found(test).await, []);
    assert_eq!(used(test), standing(&test.cells));
}

#[rstest]
#[tokio::test]
async fn verify_says_where_an_instance_stands(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let (plane, ctx, cell) = (&test.plane, user(), test.cell(0));
    let booted = test.boot(&ctx, request("web", "1").count(2).build().unwrap()).await;
    let buried = test.boot(&ctx, request("big", "huge").build().unwrap()).await;
    let building = plane.boot(&ctx, request("next", "1").build().unwrap()).await.unwrap();
    let is = |uuid| plane.verify(&ctx, uuid);
    assert_eq!(is(booted[0]).await.unwrap(), Whereabouts::Alive { cell });
    assert_eq!(is(buried[0]).await.unwrap(), Whereabouts::Alive { cell: CellUuid::CELL0 });
    assert_eq!(is(building[0]).await.unwrap(), Whereabouts::NoCell);
    let nobody = InstanceUuid(uuid::Uuid::from_u128(7));
    assert_eq!(is(nobody).await.unwrap(), Whereabouts::NotMapped);
    let other = RequestContext::new("project-b", "user-b");
    assert_eq!(plane.verify(&other, booted[0]).await.unwrap(), Whereabouts::NotMapped);
    plane.delete(&ctx, booted[0]).await.unwrap();
    assert_eq!(is(booted[0]).await.unwrap(), Whereabouts::Deleted { cell });
    for table in ["instance_extra", "instance_info_caches"] {
        let erase = format!("DELETE FROM {table} WHERE instance_uuid = '{}'", booted[1]);
        test.cells[0].1.execute(&erase).unwrap();
    }
    let cell_db = &test.cells[0].1;
    let of = format!("instance_uuid = '{}'", booted[1]);
    let actions = format!("SELECT id FROM instance_actions WHERE {of}");
    cell_db
        .execute(&format!(
            "DELETE FROM instance_actions_events WHERE action_id IN ({actions}); \
             DELETE FROM instance_actions WHERE {of}; \
             DELETE FROM instance_system_metadata WHERE {of}; \
             DELETE FROM security_group_instance_association WHERE {of}; \
             DELETE FROM block_device_mapping WHERE {of}; \
             DELETE FROM instances WHERE uuid = '{}'",
            booted[1]
        ))
        .unwrap();
    assert_eq!(is(booted[1]).await.unwrap(), Whereabouts::Archived { cell });
}
