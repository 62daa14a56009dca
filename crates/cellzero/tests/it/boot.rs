//! Boot: what fits lands in a cell, what does not is buried in cell0, whole.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{TestPlane, request, user};

#[rstest]
#[tokio::test]
async fn what_fits_runs_in_the_cell_of_its_host(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    let accepted = test.boot(&ctx, request("web", "1").build().unwrap()).await;
    let instance = test.plane.show(&ctx, accepted[0]).await.unwrap();
    assert_eq!(instance.home, Home::Cell(test.cell(0)));
    assert_eq!(instance.vm_state, Some(VmState::Active));
    assert_eq!(instance.task_state, None);
    assert_eq!(instance.host.as_deref(), Some("cell1-host1"));
    assert_eq!(instance.availability_zone.as_deref(), Some("nova"));
    assert!(instance.launched_at.is_some());
    assert_eq!(instance.fault, None);
}

fn whole_request() -> BootRequest {
    request("db", "huge")
        .metadata("role", "db")
        .metadata("tier", "1")
        .tag("prod")
        .tag("blue")
        .security_group("web")
        .security_group("default")
        .block_device(BlockDevice {
            source_type: "volume".into(),
            destination_type: "volume".into(),
            source_id: Some("18623572-8e9e-4f3c-b009-aa26d5b69a9c".parse().unwrap()),
            boot_index: Some(1),
            delete_on_termination: true,
            volume_size: Some(10),
            device_name: Some("/dev/vdb".into()),
            ..BlockDevice::default()
        })
        .with(|request| {
            request.description = Some("the database".into());
            request.image_properties.insert("os_distro".into(), "debian".into());
        })
        .build()
        .unwrap()
}

#[rstest]
#[tokio::test]
async fn a_buried_instance_is_read_back_whole(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    let asked = whole_request();
    let accepted = test.boot(&ctx, asked.clone()).await;
    let uuid = accepted[0];
    let instance = test.plane.show(&ctx, uuid).await.unwrap();

    assert_eq!(instance.uuid, uuid);
    assert_eq!(instance.home, Home::Cell(CellUuid::CELL0));
    assert_eq!(instance.display_name.as_deref(), Some("db"));
    assert_eq!(instance.display_description.as_deref(), Some("the database"));
    assert_eq!((instance.project_id.as_str(), instance.user_id.as_str()), ("project-a", "user-a"));
    assert_eq!(instance.flavor.as_ref().unwrap().flavorid, "huge");
    assert_eq!(instance.image_ref.as_deref(), Some(crate::support::IMAGE));
    assert_eq!(instance.metadata, asked.metadata);
    assert_eq!(instance.system_metadata["image_os_distro"], "debian");
    assert_eq!(instance.tags, ["blue", "prod"]);
    assert_eq!(instance.block_devices, asked.block_devices);
    assert_eq!(instance.security_groups, ["default", "web"]);
    assert_eq!(instance.vm_state, Some(VmState::Error));
    assert_eq!(instance.task_state, None);
    assert_eq!((instance.host, instance.node, instance.launched_at), (None, None, None));

    let fault = instance.fault.unwrap();
    assert_eq!(fault.code, 500);
    assert!(fault.message.starts_with("No valid host was found. Of 1 host"), "{}", fault.message);

    let actions = test.plane.actions(&ctx, uuid).await.unwrap();
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0].action, "create");
    assert_eq!(actions[0].request_id.as_deref(), Some(ctx.request_id.as_str()));
    assert_eq!(actions[0].message.as_deref(), Some("Error"));
    assert_eq!(actions[0].events.len(), 1);
    assert_eq!(actions[0].events[0].result.as_deref(), Some("Error"));

    // Mapped to cell0, no build request, no claim.
    let count = |table: &str, column: &str| {
        format!("SELECT COUNT(*) FROM {table} WHERE {column} = '{uuid}'")
    };
    for (table, column) in [("build_requests", "instance_uuid"), ("claims", "instance_uuid")] {
        assert_eq!(
            test.api.query(&count(table, column)).unwrap()[0][0].as_deref(),
            Some("0"),
            "{table}"
        );
    }
}
