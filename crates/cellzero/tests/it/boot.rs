//! Boot: what fits lands in a cell, what does not is buried in cell0, whole.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{PUBLIC_KEY, TestPlane, request, user};

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
    whole_request_of("huge").build().unwrap()
}

fn whole_request_of(flavor: &str) -> BootRequestBuilder {
    request("db", flavor)
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
    assert_eq!(
        fault.message,
        "No valid host was found. 0/1 host can take it: 1 has too few vcpus."
    );

    let actions = test.plane.actions(&ctx, uuid).await.unwrap();
    assert_eq!(actions.len(), 1);
    assert_eq!(actions[0].action, "create");
    assert_eq!(actions[0].request_id.as_deref(), Some(ctx.request_id.as_str()));
    assert_eq!(actions[0].message.as_deref(), Some("Error"));
    assert_eq!(actions[0].events.len(), 1);
    let event = &actions[0].events[0];
    assert_eq!(event.result.as_deref(), Some("Error"));
    assert!(event.finish_time.is_some());
    assert!(event.details.as_ref().is_some_and(|text| text.contains("too few")), "{event:?}");

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

/// A request with all that a client can say of an instance itself.
fn fullest_request(flavor: &str) -> BootRequest {
    whole_request_of(flavor)
        .key_name("mine")
        .availability_zone("nova")
        .with(|request| {
            request.hostname = Some("db-host".into());
            request.user_data = Some("IyEvYmluL3NoCg==".into());
            request.config_drive = true;
            request.auto_disk_config = true;
            request.access_ip_v4 = Some("10.0.0.9".parse().unwrap());
            request.access_ip_v6 = Some("fe80::9".parse().unwrap());
        })
        .build()
        .unwrap()
}

#[rstest]
#[case::a_cell("2")]
#[case::cell0("huge")]
#[tokio::test]
async fn what_was_asked_for_is_shown_before_the_schedule_and_after_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
    #[case] flavor: &str,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(4, 4096, 40)]]).await else { return };
    let ctx = user();
    test.plane.key_pairs().create(&ctx, "mine", PUBLIC_KEY).await.unwrap();
    let asked = fullest_request(flavor);
    let accepted = test.plane.boot(&ctx, asked.clone()).await.unwrap();
    let building = test.plane.show(&ctx, accepted[0]).await.unwrap();
    assert!(accepted.reservation_id.starts_with("r-") && accepted.reservation_id.len() == 10);
    assert!(building.created_at.is_some());
    assert_eq!(building.flavor.as_ref().unwrap().flavorid, flavor);
    let expected = Instance {
        display_name: Some("db".into()),
        display_description: Some("the database".into()),
        hostname: Some("db-host".into()),
        vm_state: Some(VmState::Building),
        task_state: Some(TaskState::SCHEDULING),
        power_state: Some(PowerState::NO_STATE),
        availability_zone: Some("nova".into()),
        instance_type_id: building.flavor.as_ref().map(|flavor| flavor.id),
        flavor: building.flavor.clone(),
        image_ref: Some(crate::support::IMAGE.into()),
        kernel_id: Some(String::new()),
        ramdisk_id: Some(String::new()),
        progress: Some(0),
        key_name: Some("mine".into()),
        key_data: Some(PUBLIC_KEY.into()),
        reservation_id: Some(accepted.reservation_id.clone()),
        launch_index: Some(0),
        user_data: Some("IyEvYmluL3NoCg==".into()),
        config_drive: Some("True".into()),
        auto_disk_config: true,
        root_device_name: Some("/dev/vda".into()),
        access_ip_v4: Some("10.0.0.9".into()),
        access_ip_v6: Some("fe80::9".into()),
        metadata: asked.metadata.clone(),
        system_metadata: [("image_os_distro".into(), "debian".into())].into(),
        tags: vec!["blue".into(), "prod".into()],
        block_devices: asked.block_devices.clone(),
        security_groups: vec!["default".into(), "web".into()],
        created_at: building.created_at,
        ..Instance::new(accepted[0], "project-a", "user-a")
    };
    assert_eq!(building, expected);

    test.plane.settle().await.unwrap();
    let settled = test.plane.show(&ctx, accepted[0]).await.unwrap();
    let but_for_its_home = Instance {
        id: None,
        vm_state: building.vm_state.clone(),
        task_state: building.task_state.clone(),
        power_state: building.power_state,
        host: None,
        node: None,
        fault: None,
        updated_at: None,
        launched_at: None,
        ..settled
    };
    let is_buried = but_for_its_home.home.is_cell0();
    assert_eq!(Instance { home: Home::BuildRequest, ..but_for_its_home }, building);

    if is_buried {
        test.plane.retry(&ctx, accepted[0]).await.unwrap();
        assert_eq!(test.plane.show(&ctx, accepted[0]).await.unwrap(), building);
    }
}

#[rstest]
#[tokio::test]
async fn settle_and_recover_say_what_they_did(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::with_cells(engine, &[&[(9, 9000, 90)]]).await else { return };
    let ctx = user();
    let boot = async |flavor: &str, count| {
        let asked = request("web", flavor).count(count).build().unwrap();
        test.plane.boot(&ctx, asked).await.unwrap()
    };
    let live = boot("1", 3).await;
    boot("2", 1).await;
    boot("huge", 2).await;
    let settled = test.plane.settle().await.unwrap();
    let expected = Settled { in_cells: 4, in_cell0: 2, dispatched: 4, ..Settled::default() };
    assert_eq!(settled, expected);
    assert_eq!(test.plane.settle().await.unwrap(), Settled::default());
    assert_eq!(test.plane.counters().claim_conflicts, 0);

    // What another process accepted, and a delete that its cell has not heard of.
    boot("1", 2).await;
    boot("2", 1).await;
    boot("huge", 1).await;
    test.plane.close().await.unwrap();
    let plane = ControlPlane::open(test.config.clone()).await.unwrap();
    let expected = Settled { in_cells: 3, in_cell0: 1, dispatched: 3, ..Settled::default() };
    assert_eq!(plane.recover().await.unwrap(), expected);
    plane.delete(&ctx, live[0]).await.unwrap();
    let sent = Settled { dispatched: 1, ..Settled::default() };
    assert_eq!(plane.recover().await.unwrap(), sent);
    assert_eq!(plane.recover().await.unwrap(), Settled::default());
    plane.close().await.unwrap();
}
