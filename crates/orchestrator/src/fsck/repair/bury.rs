//! Burying what has lost its rows, so that its user sees it and can delete it.

use cellzero_api_db::{boot_state, build_request, claim, instance_mapping, request_spec};
use cellzero_cell_db::action::NewEvent;
use cellzero_cell_db::whole::{self, NewInstance, WriteBatch};
use cellzero_types::instance::hostname_of;
use cellzero_types::{
    CellUuid, GroupUuid, Home, Instance, InstanceFault, InstanceUuid, PowerState, RequestSpec,
    VmState,
};

use super::super::judge::Sighting;
use super::super::report::Dump;
use super::{RepairError, dump_api, highest_epoch};
use crate::Orchestrator;
use crate::create::EVENT_SCHEDULE;

const FAULT_CODE: i32 = 500;
const LOST: &str = "The instance has lost its rows. What is known of it was kept.";

impl Orchestrator {
    /// In the order of a boot: a new epoch, the rows in cell0, then the decision. After a crash in
    /// between, the next check adopts the row in cell0.
    pub(super) async fn bury(
        &self,
        seen: &Sighting,
        uuid: InstanceUuid,
    ) -> Result<Vec<Dump>, RepairError> {
        let epoch = highest_epoch(seen) + 1;
        let group = GroupUuid(self.0.uuids.row());
        let read = self.mend(seen, uuid, move |conn, now| {
            let request = build_request::find(conn, uuid)?;
            let spec = request_spec::of_instances(conn, &[uuid])?.pop();
            let known = request.or_else(|| spec.as_ref().map(instance_of));
            let decided = boot_state::find(conn, uuid)?.and_then(|state| state.decided_epoch);
            boot_state::adopt(conn, (uuid, group), (epoch, decided), (0, 0), now)?;
            Ok((known, now))
        });
        let (known, accepted_at) = read.await?;
        let mut now_seen = seen.clone();
        let decided = seen.api.boot_state.and_then(|(_, decided)| decided);
        now_seen.api.boot_state = Some((epoch, decided));
        let Some(known) = known else { return self.queue_for_delete(&now_seen, uuid).await };
        self.write_lost(known, epoch, accepted_at).await?;
        let cell0 = self.0.router.cells().get(CellUuid::CELL0, self.step_deadline()).await?;
        let cell_id = cell0.mapping().id;
        self.mend(&now_seen, uuid, move |conn, now| {
            let mut dumped = Vec::new();
            for table in ["instance_mappings", "build_requests", "claims"] {
                dumped.extend(dump_api(conn, table, uuid)?);
            }
            boot_state::adopt(conn, (uuid, group), (epoch, Some(epoch)), (0, 0), now)?;
            instance_mapping::adopt(conn, uuid, Some(cell_id), ("", ""), now)?;
            build_request::delete(conn, &[uuid])?;
            claim::replace(conn, uuid, None, now)?;
            Ok(dumped)
        })
        .await
    }

    async fn write_lost(
        &self,
        mut instance: Instance,
        epoch: i64,
        accepted_at: chrono::NaiveDateTime,
    ) -> Result<(), RepairError> {
        instance.vm_state = Some(VmState::Error);
        (instance.task_state, instance.host, instance.node) = (None, None, None);
        let host = Some(self.0.options.host.clone());
        instance.fault = Some(InstanceFault {
            code: FAULT_CODE,
            message: LOST.to_owned(),
            details: None,
            host: host.clone(),
            created_at: None,
        });
        let uuid = instance.uuid;
        let batch = WriteBatch {
            instances: vec![NewInstance {
                instance,
                epoch,
                build: None,
                verdict: None,
                history: None,
            }],
            request_id: self.0.uuids.row().to_string(),
            accepted_at,
            event: NewEvent {
                event: EVENT_SCHEDULE.to_owned(),
                host,
                result: Some("Error".to_owned()),
                details: Some(LOST.to_owned()),
                start_time: accepted_at,
                finish_time: Some(accepted_at),
            },
            action_message: Some("Error".to_owned()),
        };
        let written = self.in_cell(CellUuid::CELL0, move |conn| whole::write(conn, &batch)).await?;
        match written.written.contains(&uuid) {
            true => Ok(()),
            false => Err(RepairError::Left("cell0 refused its rows")),
        }
    }

    /// The mapping becomes a tombstone.
    pub(super) async fn queue_for_delete(
        &self,
        seen: &Sighting,
        uuid: InstanceUuid,
    ) -> Result<Vec<Dump>, RepairError> {
        let epoch = highest_epoch(seen) + 1;
        let group = GroupUuid(self.0.uuids.row());
        self.mend(seen, uuid, move |conn, now| {
            let dumped = dump_api(conn, "instance_mappings", uuid)?;
            let decided = boot_state::find(conn, uuid)?.and_then(|state| state.decided_epoch);
            boot_state::adopt(conn, (uuid, group), (epoch, decided), (0, 0), now)?;
            if let Some(mapping) = instance_mapping::find(conn, uuid)? {
                instance_mapping::queue_for_delete(conn, uuid, mapping.cell, now)?;
            }
            Ok(dumped)
        })
        .await
    }
}

/// What a request spec says of its instance.
fn instance_of(spec: &RequestSpec) -> Instance {
    let uuid = spec.instance_uuid;
    Instance {
        id: None,
        uuid,
        home: Home::BuildRequest,
        project_id: spec.project_id.clone(),
        user_id: spec.user_id.clone(),
        display_name: Some(uuid.text()),
        display_description: None,
        hostname: Some(hostname_of("", uuid.0)),
        vm_state: None,
        task_state: None,
        power_state: Some(PowerState::NO_STATE),
        host: None,
        node: None,
        availability_zone: spec.availability_zone.clone(),
        instance_type_id: Some(spec.flavor.id),
        flavor: Some(spec.flavor.clone()),
        image_ref: Some(spec.image.map(|image| image.to_string()).unwrap_or_default()),
        key_name: None,
        key_data: None,
        reservation_id: None,
        launch_index: Some(0),
        user_data: None,
        config_drive: None,
        auto_disk_config: false,
        root_device_name: None,
        access_ip_v4: None,
        access_ip_v6: None,
        locked: false,
        hidden: false,
        metadata: Default::default(),
        system_metadata: Default::default(),
        tags: Vec::new(),
        block_devices: Vec::new(),
        security_groups: spec.security_groups.clone(),
        network_info: serde_json::Value::Array(Vec::new()),
        fault: None,
        created_at: None,
        updated_at: None,
        launched_at: None,
        terminated_at: None,
        deleted: false,
        deleted_at: None,
    }
}
