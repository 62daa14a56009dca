//! Burying what has lost its rows, so that its user sees it and can delete it.

use cellzero_api_db::boot_state::Outline;
use cellzero_api_db::{
    ApiConnection, boot_history, boot_state, build_request, claim, instance_mapping, request_spec,
};
use cellzero_cell_db::action::NewEvent;
use cellzero_cell_db::whole::{self, NewInstance, WriteBatch};
use cellzero_database::DatabaseError;
use cellzero_types::instance::hostname_of;
use cellzero_types::{CellUuid, GroupUuid, Instance, InstanceUuid, PowerState, RequestSpec};
use chrono::NaiveDateTime;

use super::super::judge::Sighting;
use super::super::report::Dump;
use super::{RepairError, dump_api, highest_epoch};
use crate::Orchestrator;

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
            let outline = boot_state::outlines(conn, &[uuid])?.remove(&uuid).unwrap_or_default();
            let known = request.or_else(|| spec.as_ref().map(|spec| instance_of(spec, outline)));
            let history = boot_history::of_instances(conn, &[uuid])?.remove(&uuid);
            begin_epoch(conn, (uuid, group), epoch, now)?;
            Ok((known.map(|known| (known, history)), now))
        });
        let (known, accepted_at) = read.await?;
        let mut now_seen = seen.clone();
        let decided = seen.api.boot_state.and_then(|(_, decided)| decided);
        now_seen.api.boot_state = Some((epoch, decided));
        let Some(known) = known else { return self.queue_for_delete(&now_seen, uuid).await };
        let (instance, history) = known;
        let instance = self.as_buried(instance, LOST, None);
        let buried = instance.clone();
        let lost = NewInstance { instance, epoch, build: None, verdict: None, history };
        self.write_lost(lost, accepted_at).await?;
        let cell0 = self.0.router.cells().get(CellUuid::CELL0, self.step_deadline()).await?;
        let cell_id = cell0.mapping().id;
        self.mend(&now_seen, uuid, move |conn, now| {
            let mut dumped = Vec::new();
            for table in ["instance_mappings", "build_requests", "claims"] {
                dumped.extend(dump_api(conn, table, uuid)?);
            }
            boot_state::adopt(conn, (uuid, group), (epoch, Some(epoch)), None, now)?;
            instance_mapping::adopt(conn, &buried, Some(cell_id), now)?;
            build_request::delete(conn, &[uuid])?;
            claim::replace(conn, uuid, None, now)?;
            Ok(dumped)
        })
        .await
    }

    async fn write_lost(
        &self,
        lost: NewInstance,
        accepted_at: NaiveDateTime,
    ) -> Result<(), RepairError> {
        let uuid = lost.instance.uuid;
        let batch = WriteBatch {
            instances: vec![lost],
            request_id: self.0.uuids.row().to_string(),
            accepted_at,
            event: NewEvent {
                finish_time: Some(accepted_at),
                ..self.failed_schedule(accepted_at, Some(LOST.to_owned()))
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
            begin_epoch(conn, (uuid, group), epoch, now)?;
            if let Some(mapping) = instance_mapping::find(conn, uuid)? {
                instance_mapping::queue_for_delete(conn, uuid, mapping.cell, now)?;
            }
            Ok(dumped)
        })
        .await
    }
}

/// A new epoch, so that whatever is on its way decides nothing any more; what was decided stays.
fn begin_epoch(
    conn: &mut ApiConnection,
    (uuid, group): (InstanceUuid, GroupUuid),
    epoch: i64,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let decided = boot_state::find(conn, uuid)?.and_then(|state| state.decided_epoch);
    boot_state::adopt(conn, (uuid, group), (epoch, decided), None, now)
}

/// What a request spec and the boot state say of their instance.
fn instance_of(spec: &RequestSpec, outline: Outline) -> Instance {
    let uuid = spec.instance_uuid;
    let name = outline.display_name;
    Instance {
        hostname: Some(hostname_of(name.as_deref().unwrap_or_default(), uuid.0)),
        display_name: Some(name.unwrap_or_else(|| uuid.text())),
        key_name: outline.key_name,
        power_state: Some(PowerState::NO_STATE),
        availability_zone: spec.availability_zone.clone(),
        instance_type_id: Some(spec.flavor.id),
        flavor: Some(spec.flavor.clone()),
        image_ref: Some(spec.image.map(|image| image.to_string()).unwrap_or_default()),
        launch_index: Some(0),
        security_groups: spec.security_groups.clone(),
        ..Instance::new(uuid, &spec.project_id, &spec.user_id)
    }
}
