//! Each class is planted by SQL in a plane of our own, named with its subject and repaired.

use cellzero::*;
use cellzero_test_support::{Engine, TestDatabase};
use rstest::rstest;

use super::{found, options};
use crate::support::{TestPlane, count, request, user};

/// Three live instances in cell1, one in the way of each test, and two in cell0.
struct Planted {
    test: TestPlane,
    live: Vec<InstanceUuid>,
    buried: Vec<InstanceUuid>,
}

impl Planted {
    async fn new(engine: Engine) -> Option<Planted> {
        let hosts: &[&[(i32, i32, i32)]] = &[&[(8, 8192, 80)], &[(8, 8192, 80)]];
        let test = TestPlane::with_cells(engine, hosts).await?;
        let ctx = user();
        // All of them on the host of cell1, so that the test knows where.
        test.plane.hosts().disable("cell2-host1", "not now").await.unwrap();
        let asked = request("web", "1").availability_zone("nova").count(3).build().unwrap();
        let live = test.boot(&ctx, asked).await;
        let buried = test.boot(&ctx, request("big", "huge").count(2).build().unwrap()).await;
        let (live, buried) = (live.instances.clone(), buried.instances.clone());
        assert_eq!(found(&test).await, []);
        Some(Planted { test, live, buried })
    }

    fn api(&self, text: String) {
        self.test.api.execute(&text).unwrap();
    }

    fn cell1(&self, text: String) {
        self.test.cells[0].1.execute(&text).unwrap();
    }

    fn cell0(&self, text: String) {
        self.test.cell0.execute(&text).unwrap();
    }

    fn build_request(&self, uuid: InstanceUuid) {
        self.api(format!(
            "INSERT INTO build_requests (project_id, instance_uuid, instance, created_at) VALUES \
             ('project-a', '{uuid}', '{{}}', '2026-01-01 00:00:00')"
        ));
    }

    /// The claim of an instance of cell1 is freed.
    fn free(&self, uuid: InstanceUuid) {
        self.api(format!("DELETE FROM claims WHERE instance_uuid = '{uuid}'"));
        self.count(-1);
    }

    /// What the host of cell1 counts as claimed changes by so many instances.
    fn count(&self, by: i32) {
        self.api(format!(
            "UPDATE host_capacity SET vcpus_used = vcpus_used + {by}, memory_mb_used = \
             memory_mb_used + {}, disk_gb_used = disk_gb_used + {by} WHERE host = 'cell1-host1'",
            512 * by
        ));
    }

    fn unmap(&self, uuid: InstanceUuid) {
        self.api(format!(
            "UPDATE instance_mappings SET cell_id = NULL WHERE instance_uuid = '{uuid}'"
        ));
    }

    /// A number of the boot state of the instance that plantings are about.
    fn boot_state(&self, column: &str) -> Option<i64> {
        let text =
            format!("SELECT {column} FROM boot_states WHERE instance_uuid = '{}'", self.live[1]);
        let row = self.test.api.query(&text).unwrap().pop()?;
        row[0].as_ref().map(|number| number.parse().unwrap())
    }

    fn remap(&self, uuid: InstanceUuid, cell: CellUuid) {
        self.api(format!(
            "UPDATE instance_mappings SET cell_id = (SELECT id FROM cell_mappings WHERE \
             uuid = '{cell}') WHERE instance_uuid = '{uuid}'"
        ));
    }

    fn no_rows(&self, uuid: InstanceUuid) {
        no_rows(&self.test.cells[0].1, uuid);
    }

    fn queue(&self, uuid: InstanceUuid) {
        self.api(format!(
            "UPDATE instance_mappings SET queued_for_delete = TRUE WHERE instance_uuid = '{uuid}'"
        ));
    }

    /// The row of an instance of cell1 in another cell too, written by an earlier epoch.
    fn copy_to(&self, uuid: InstanceUuid, cell: &TestDatabase) {
        cell.execute(&format!(
            "INSERT INTO instances (uuid, project_id, user_id, vm_state, deleted) VALUES \
             ('{uuid}', 'project-a', 'user-a', 'building', 0); \
             INSERT INTO instance_extra (instance_uuid, deleted) VALUES ('{uuid}', 0); \
             INSERT INTO instance_info_caches (instance_uuid, deleted) VALUES ('{uuid}', 0); \
             INSERT INTO instance_fences (instance_uuid, fence, written_epoch) VALUES \
             ('{uuid}', 0, 0);"
        ))
        .unwrap();
    }
}

/// An instance loses all its rows in a cell.
fn no_rows(cell: &TestDatabase, uuid: InstanceUuid) {
    cell.execute(&format!(
        "DELETE FROM instance_actions_events WHERE action_id IN (SELECT id FROM \
         instance_actions WHERE instance_uuid = '{uuid}')"
    ))
    .unwrap();
    for table in [
        "instance_actions",
        "instance_extra",
        "instance_info_caches",
        "instance_faults",
        "instance_system_metadata",
        "instance_metadata",
        "security_group_instance_association",
        "block_device_mapping",
    ] {
        cell.execute(&format!("DELETE FROM {table} WHERE instance_uuid = '{uuid}'")).unwrap();
    }
    cell.execute(&format!("DELETE FROM instances WHERE uuid = '{uuid}'")).unwrap();
}

/// Plants a class, and says of which subject.
fn plant(planted: &Planted, class: Class) -> String {
    let test = &planted.test;
    let (live, buried, cell1) = (planted.live[1], planted.buried[1], test.cell(0));
    let subject = live.text();
    match class {
        Class::InNoPlace => planted.no_rows(live),
        Class::InTwoCells => planted.copy_to(live, &test.cell0),
        Class::InUnnamedCell => planted.remap(live, test.cell(1)),
        Class::RowWithoutMapping => {
            planted.free(live);
            for table in ["instance_mappings", "request_specs", "boot_states"] {
                planted.api(format!("DELETE FROM {table} WHERE instance_uuid = '{live}'"));
            }
        }
        Class::UndecidedRow => planted.unmap(live),
        Class::RowBesideBuildRequest => {
            planted.unmap(live);
            planted.build_request(live);
        }
        Class::MappingWithoutAnything => {
            planted.no_rows(live);
            planted.unmap(live);
        }
        Class::BuildRequestBesideMapping => planted.build_request(live),
        Class::RequestSpecWithoutMapping => {
            planted.no_rows(live);
            planted.api(format!("DELETE FROM instance_mappings WHERE instance_uuid = '{live}'"));
            planted.free(live);
        }
        Class::NoBootState => {
            planted.api(format!("DELETE FROM boot_states WHERE instance_uuid = '{live}'"));
        }
        Class::DeletedRowLiveMapping => {
            planted.free(live);
            planted.cell1(format!(
                "UPDATE instances SET deleted = id, vm_state = 'deleted' WHERE uuid = '{live}'"
            ));
        }
        Class::LiveRowDeadMapping => planted.queue(live),
        Class::HalfBuried => {
            planted.cell0(format!("DELETE FROM instance_faults WHERE instance_uuid = '{buried}'"));
            planted.cell0(format!(
                "UPDATE instances SET vm_state = 'building' WHERE uuid = '{buried}'"
            ));
            return buried.text();
        }
        Class::HalfWritten => {
            for table in ["instance_extra", "instance_info_caches"] {
                planted.cell1(format!("DELETE FROM {table} WHERE instance_uuid = '{live}'"));
            }
        }
        Class::HostInAnotherCell => planted
            .cell1(format!("UPDATE instances SET host = 'cell2-host1' WHERE uuid = '{live}'")),
        Class::InstanceWithoutClaim => {
            planted.free(live);
        }
        Class::ClaimWithoutInstance => {
            planted.api(format!(
                "INSERT INTO claims VALUES ('{buried}', 1, 'cell1-host1', 1, 512, 1, \
                 '2026-01-01 00:00:00', NULL)"
            ));
            planted.count(1);
            return buried.text();
        }
        Class::ClaimOfUnknownHost | Class::ClaimOnAnotherHost => {
            let host = if class == Class::ClaimOfUnknownHost { "nowhere" } else { "cell2-host1" };
            planted
                .api(format!("UPDATE claims SET host = '{host}' WHERE instance_uuid = '{live}'"));
            planted.count(-1);
            if class == Class::ClaimOnAnotherHost {
                planted.api(
                    "UPDATE host_capacity SET vcpus_used = 1, memory_mb_used = 512, \
                             disk_gb_used = 1 WHERE host = 'cell2-host1'"
                        .into(),
                );
            }
        }
        Class::ClaimsMiscounted => {
            planted
                .api("UPDATE host_capacity SET vcpus_used = 7 WHERE host = 'cell1-host1'".into());
            return "cell1-host1".into();
        }
        Class::HostInCell0 => {
            planted.cell0(
                "INSERT INTO services (host, \"binary\", report_count, deleted) VALUES \
                 ('cell1-host9', 'nova-compute', 0, 0)"
                    .replace('"', if test.is_mariadb() { "`" } else { "\"" }),
            );
            return "cell1-host9".into();
        }
        Class::HostMappingWithoutNode => {
            planted.api(format!(
                "INSERT INTO host_mappings (cell_id, host) SELECT id, 'cell1-host9' FROM \
                 cell_mappings WHERE uuid = '{cell1}'"
            ));
            return "cell1-host9".into();
        }
        Class::UndeliveredDispatch => planted.cell1(format!(
            "INSERT INTO outbox (id, instance_uuid, sequence, operation, host, payload, attempts, \
             not_before, created_at) VALUES ('{live}', '{live}', 9, 'release', NULL, '{}', 3, \
             '2100-01-01 00:00:00', '2026-01-01 00:00:00')",
            serde_json::json!({
                "operation": "release", "id": live, "instance_uuid": live, "sequence": 9,
                "block_devices": [], "networks": Networks::default(),
            })
        )),
        other => unreachable!("{other} has a test of its own"),
    }
    subject
}

#[rstest]
#[tokio::test]
async fn what_is_planted_is_named_and_repaired_and_nothing_is_left(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[values(
        Class::InNoPlace,
        Class::InTwoCells,
        Class::InUnnamedCell,
        Class::RowWithoutMapping,
        Class::UndecidedRow,
        Class::RowBesideBuildRequest,
        Class::MappingWithoutAnything,
        Class::BuildRequestBesideMapping,
        Class::RequestSpecWithoutMapping,
        Class::NoBootState,
        Class::DeletedRowLiveMapping,
        Class::LiveRowDeadMapping,
        Class::HalfBuried,
        Class::HalfWritten,
        Class::HostInAnotherCell,
        Class::InstanceWithoutClaim,
        Class::ClaimWithoutInstance,
        Class::ClaimOfUnknownHost,
        Class::ClaimOnAnotherHost,
        Class::ClaimsMiscounted,
        Class::HostInCell0,
        Class::HostMappingWithoutNode,
        Class::UndeliveredDispatch
    )]
    class: Class,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let subject = plant(&planted, class);
    let test = &planted.test;
    assert_eq!(found(test).await, [(class, subject.clone())], "the dry run");
    let epoch = planted.boot_state("epoch");
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    let named: Vec<_> = report.findings.iter().map(|f| (f.class, f.subject.clone())).collect();
    assert_eq!(named, [(class, subject)], "{report:#?}");
    assert!(report.findings[0].repaired, "{report:#?}");
    assert_eq!(report.counts, [(class, 1)].into());
    if matches!(class, Class::InNoPlace | Class::MappingWithoutAnything | Class::LiveRowDeadMapping)
        || class == Class::DeletedRowLiveMapping
    {
        // What is decided anew is beyond whatever is still on its way.
        assert!(planted.boot_state("epoch") > epoch);
    }
    assert_eq!(found(test).await, [], "after {report:#?}");
    // What lived is alive, but for what was deleted or lost its rows.
    let gone =
        [Class::DeletedRowLiveMapping, Class::LiveRowDeadMapping, Class::RequestSpecWithoutMapping];
    let ctx = user();
    for uuid in planted.live.iter().chain(&planted.buried) {
        let shown = test.plane.show(&ctx, *uuid).await;
        assert_eq!(
            shown.is_ok(),
            !(gone.contains(&class) && *uuid == planted.live[1]),
            "{shown:?}"
        );
    }
    let again = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert!(again.is_clean() && again.dumps.is_empty(), "{again:?}");
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_build_request_without_mapping_or_spec_is_booted(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[values("instance_mappings", "request_specs", "boot_states")] table: &str,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let test = &planted.test;
    let accepted = test.plane.boot(&user(), request("x", "1").build().unwrap()).await.unwrap();
    planted.api(format!("DELETE FROM {table} WHERE instance_uuid = '{}'", accepted[0]));
    let class = match table {
        "instance_mappings" => Class::BuildRequestWithoutMapping,
        "request_specs" => Class::BuildRequestWithoutSpec,
        _ => Class::NoBootState,
    };
    assert_eq!(found(test).await, [(class, accepted[0].text())]);
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert!(report.findings[0].repaired, "{report:#?}");
    test.plane.settle().await.unwrap();
    assert_eq!(test.plane.show(&user(), accepted[0]).await.unwrap().status(), "ACTIVE");
    assert_eq!(found(test).await, []);
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn what_no_repair_can_decide_is_named_and_left(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let (test, live) = (&planted.test, planted.live[1]);
    planted.copy_to(live, &test.cell0);
    planted.cell0(format!("DELETE FROM instance_fences WHERE instance_uuid = '{live}'"));
    planted.api("UPDATE host_capacity SET vcpus_limit = 2 WHERE host = 'cell1-host1'".into());
    let expected =
        [(Class::InTwoCells, live.text()), (Class::HostOverCapacity, "cell1-host1".to_owned())];
    assert_eq!(found(test).await, expected);
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert!(report.findings.iter().all(|finding| !finding.repaired), "{report:#?}");
    assert!(report.dumps.is_empty());
    assert_eq!(count(&test.cell0, &format!("instances WHERE uuid = '{live}'")), 1);
    // The host's own report ends the second.
    let node = ComputeNode::new("cell1-host1", 8, 8192, 80).with_ratios(1.0, 1.0, 1.0);
    test.plane.hosts().report(test.cell(0), &node).await.unwrap();
    assert_eq!(found(test).await, expected[..1]);
}

#[rstest]
#[tokio::test]
async fn a_database_of_another_cell_is_named_and_looked_at_no_further(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let (test, cell1) = (&planted.test, planted.test.cell(0));
    planted.cell1(format!("UPDATE database_identity SET cell_uuid = '{}'", test.cell(1)));
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    let named: Vec<_> = report.findings.iter().map(|f| (f.class, f.subject.clone())).collect();
    assert_eq!(named, [(Class::WrongIdentity, cell1.text())], "{report:#?}");
    assert!(report.unreachable.contains_key(&cell1) && !report.findings[0].repaired);
    planted.cell1(format!("UPDATE database_identity SET cell_uuid = '{cell1}'"));
    assert_eq!(found(test).await, []);
}

/// The API database of yesterday: it knows nothing of what was booted since, and still waits for
/// what was booted at that time.
#[rstest]
#[tokio::test]
async fn an_older_api_database_costs_no_live_instance(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let test = &planted.test;
    let waiting = planted.live[0];
    planted.unmap(waiting);
    planted.build_request(waiting);
    for uuid in planted.live[1..].iter().chain(&planted.buried) {
        for table in ["instance_mappings", "request_specs", "boot_states", "claims"] {
            planted.api(format!("DELETE FROM {table} WHERE instance_uuid = '{uuid}'"));
        }
    }
    // However the walk is cut, each is looked at once, also where only a cell knows it.
    for slice in 2..=6 {
        let report = test.plane.fsck(FsckOptions { slice, ..options(Repair::No) }).await.unwrap();
        assert_eq!((report.uuids_checked, report.findings.len()), (5, 6), "{report:#?}");
    }
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert!(report.findings.iter().all(|finding| finding.repaired), "{report:#?}");
    assert_eq!(found(test).await, []);
    let dumped = report.dumps.iter().filter(|dump| dump.table == "build_requests");
    assert_eq!(
        dumped.map(|d| d.row["instance_uuid"].clone()).collect::<Vec<_>>(),
        [waiting.text()]
    );
    test.check_at_rest();
    for uuid in planted.live.iter().chain(&planted.buried) {
        test.plane.show(&user(), *uuid).await.unwrap();
        test.plane.delete(&user(), *uuid).await.unwrap();
    }
    test.plane.settle().await.unwrap();
    assert_eq!((count(&test.api, "claims"), found(test).await), (0, vec![]));
}

/// An instance of which only the request spec and the boot state are left.
#[rstest]
#[tokio::test]
async fn what_has_lost_its_rows_is_buried_with_all_that_its_request_says(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let (test, uuid) = (&planted.test, planted.live[1]);
    let before = test.plane.show(&user(), uuid).await.unwrap();
    planted.no_rows(uuid);
    test.plane.fsck(options(Repair::Yes)).await.unwrap();
    let shown = test.plane.show(&user(), uuid).await.unwrap();
    let kept = test.plane.show(&user(), planted.live[0]).await.unwrap();
    assert_eq!((shown.display_name, shown.hostname), (before.display_name, before.hostname));
    assert_eq!(shown.vm_state, Some(VmState::Error));
    assert_eq!(shown.power_state, Some(PowerState::NO_STATE));
    assert_eq!(shown.availability_zone.as_deref(), Some("nova"));
    assert_eq!(shown.flavor, kept.flavor);
    assert!(shown.instance_type_id.is_some() && shown.instance_type_id == kept.instance_type_id);
    assert_eq!(shown.image_ref.as_deref(), Some(crate::support::IMAGE));
    assert_eq!(shown.launch_index, Some(0));
    assert_eq!(shown.security_groups, kept.security_groups);
    assert!(!shown.security_groups.is_empty());
    let actions = test.plane.actions(&user(), uuid).await.unwrap();
    assert!(actions[0].events[0].finish_time.is_some(), "{actions:?}");
}

#[rstest]
#[tokio::test]
async fn what_was_retried_and_lost_is_buried_with_its_past(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let (test, uuid) = (&planted.test, planted.buried[1]);
    let first = test.plane.show(&user(), uuid).await.unwrap().fault.unwrap();
    test.plane.retry(&user(), uuid).await.unwrap();
    planted.api(format!("DELETE FROM build_requests WHERE instance_uuid = '{uuid}'"));
    // While its rows stand in cell0, they are its home.
    assert_eq!(found(test).await, [(Class::UndecidedRow, uuid.text())]);
    planted.api("DELETE FROM boot_intents".into());
    no_rows(&test.cell0, uuid);
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert_eq!(report.findings[0].class, Class::MappingWithoutAnything, "{report:#?}");
    let shown = test.plane.show(&user(), uuid).await.unwrap();
    assert!(shown.fault.unwrap().message.contains("lost its rows"));
    let kept = format!(
        "instance_faults WHERE instance_uuid = '{uuid}' AND message = '{}'",
        first.message.replace('\'', "''")
    );
    assert_eq!(count(&test.cell0, &kept), 1);
    assert_eq!(found(test).await, []);
}

/// The epoch of the row that is adopted counts as decided, whatever epoch came later, and its size
/// counts for the quota.
#[rstest]
#[tokio::test]
async fn what_is_adopted_stands_as_its_row_was_written(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let (test, uuid) = (&planted.test, planted.live[1]);
    planted.unmap(uuid);
    planted.api(format!(
        "UPDATE boot_states SET epoch = 5, decided_epoch = NULL WHERE instance_uuid = '{uuid}'"
    ));
    planted.api(format!(
        "INSERT INTO boot_intents VALUES ('{uuid}', 5, '{}', '2026-01-01 00:00:00')",
        test.cell(0)
    ));
    assert_eq!(found(test).await, [(Class::UndecidedRow, uuid.text())]);
    test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert_eq!(
        (planted.boot_state("epoch"), planted.boot_state("decided_epoch")),
        (Some(5), Some(1))
    );
    test.check_at_rest();

    planted.api(format!("DELETE FROM boot_states WHERE instance_uuid = '{uuid}'"));
    test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert_eq!(
        (planted.boot_state("vcpus"), planted.boot_state("memory_mb")),
        (Some(1), Some(512))
    );
    assert_eq!(found(test).await, []);
}

/// Rows that an older API database knows nothing of, of a deleted instance.
#[rstest]
#[tokio::test]
async fn what_is_erased_is_fenced_beyond_the_epoch_that_wrote_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let (test, uuid) = (&planted.test, planted.live[1]);
    planted.copy_to(uuid, &test.cell0);
    planted.cell0(format!(
        "UPDATE instance_fences SET fence = 5, written_epoch = 5 WHERE instance_uuid = '{uuid}'"
    ));
    test.plane.delete(&user(), uuid).await.unwrap();
    test.plane.settle().await.unwrap();
    assert_eq!(found(test).await, [(Class::LiveRowDeadMapping, uuid.text())]);
    test.plane.fsck(options(Repair::Yes)).await.unwrap();
    let fence = format!("SELECT fence FROM instance_fences WHERE instance_uuid = '{uuid}'");
    assert_eq!(test.cell0.query(&fence).unwrap()[0][0].as_deref(), Some("6"));
    assert_eq!(found(test).await, []);
    test.check_at_rest();
}

#[rstest]
#[tokio::test]
async fn a_host_that_also_stands_in_cell0_keeps_its_own_cell(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[values("services", "compute_nodes")] left: &str,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let test = &planted.test;
    let service = "INSERT INTO services (host, \"binary\", report_count, deleted) VALUES \
         ('cell1-host1', 'nova-compute', 0, 0)";
    planted.cell0(service.replace('"', if test.is_mariadb() { "`" } else { "\"" }));
    // In its own cell it is known by one of the two.
    let other = if left == "services" { "compute_nodes" } else { "services" };
    planted.cell1(format!("UPDATE {other} SET deleted = id WHERE host = 'cell1-host1'"));
    assert_eq!(found(test).await, [(Class::HostInCell0, "cell1-host1".to_owned())]);
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert!(report.findings[0].repaired, "{report:#?}");
    assert_eq!(count(&test.api, "host_mappings WHERE host = 'cell1-host1'"), 1);
    test.plane.boot(&user(), request("web", "1").build().unwrap()).await.unwrap();
    test.plane.settle().await.unwrap();
    assert_eq!(count(&test.api, "claims"), 4);
}

/// A host that is wrong in two ways is not repaired before both are.
#[rstest]
#[tokio::test]
async fn a_host_that_stays_wrong_is_not_called_repaired(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let test = &planted.test;
    planted.api(
        "UPDATE host_capacity SET vcpus_used = 7, vcpus_limit = 2 WHERE host = 'cell1-host1'"
            .into(),
    );
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    let [finding] = &report.findings[..] else { panic!("{report:#?}") };
    assert_eq!((finding.class, finding.repaired), (Class::ClaimsMiscounted, false));
    assert!(finding.notes.iter().any(|note| note.contains("are claimed of")), "{finding:?}");
    assert_eq!(found(test).await, [(Class::HostOverCapacity, "cell1-host1".to_owned())]);
}

#[rstest]
#[tokio::test]
async fn releases_that_were_not_sent_for_long_are_named_and_sent(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let (test, uuid) = (&planted.test, planted.live[1]);
    planted.api(format!(
        "INSERT INTO outbox (id, instance_uuid, sequence, operation, payload, attempts, \
         not_before, created_at) VALUES ('{uuid}', '{uuid}', 9, 'release', '{}', 3, \
         '2100-01-01 00:00:00', '2026-01-01 00:00:00')",
        serde_json::json!({
            "id": uuid, "instance_uuid": uuid, "sequence": 9,
            "block_devices": [], "networks": Networks::default(),
        })
    ));
    assert_eq!(found(test).await, [(Class::UndeliveredDispatch, uuid.text())]);
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert!(report.findings[0].repaired, "{report:#?}");
    assert_eq!(count(&test.api, "outbox"), 0);
    // One that cannot be read is named, and stays.
    let other = planted.live[2];
    planted.api(format!(
        "INSERT INTO outbox (id, instance_uuid, sequence, operation, payload, attempts, \
         not_before, created_at) VALUES ('{other}', '{other}', 9, 'release', '{{}}', 3, NULL, \
         '2026-01-01 00:00:00')"
    ));
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert_eq!(report.findings.len(), 1);
    assert!(!report.findings[0].repaired, "{report:#?}");
}

#[rstest]
#[tokio::test]
async fn an_api_database_of_another_plane_is_named(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(planted) = Planted::new(engine).await else { return };
    let test = &planted.test;
    let identity = "UPDATE database_identity SET plane_uuid = ";
    let own = test.api.query("SELECT plane_uuid FROM database_identity").unwrap();
    planted.api(format!("{identity}'{}'", planted.live[0]));
    let report = test.plane.fsck(options(Repair::No)).await.unwrap();
    assert_eq!(
        (report.findings[0].class, &*report.findings[0].subject),
        (Class::WrongIdentity, "api")
    );
    planted.api(format!("{identity}'{}'", own[0][0].as_ref().unwrap()));
    assert_eq!(found(test).await, []);
}

/// An empty API database beside full cells: each cell ends a slice somewhere else.
#[rstest]
#[tokio::test]
async fn what_only_cells_know_is_looked_at_once_each(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let hosts: &[&[(i32, i32, i32)]] = &[&[(6, 8192, 80)], &[(6, 8192, 80)]];
    let Some(test) = TestPlane::with_cells(engine, hosts).await else { return };
    test.boot(&user(), request("web", "1").count(12).build().unwrap()).await;
    test.boot(&user(), request("big", "huge").count(12).build().unwrap()).await;
    for table in ["instance_mappings", "request_specs", "boot_states", "claims"] {
        test.api.execute(&format!("DELETE FROM {table}")).unwrap();
    }
    for slice in 2..=5 {
        let report = test.plane.fsck(FsckOptions { slice, ..options(Repair::No) }).await.unwrap();
        assert_eq!(report.uuids_checked, 24, "by {slice}");
        assert_eq!(report.counts[&Class::RowWithoutMapping], 24);
    }
    let report = test.plane.fsck(options(Repair::Yes)).await.unwrap();
    assert!(report.findings.iter().all(|finding| finding.repaired), "{report:#?}");
    assert_eq!(found(&test).await, []);
    test.check_at_rest();
}
