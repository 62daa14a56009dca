//! Adopting: the mapping is made to name what stands.

use cellzero_api_db::claim::{self, Claim};
use cellzero_api_db::{
    ApiConnection, boot_intent, boot_state, build_request, instance_mapping, request_spec,
};
use cellzero_cell_db::instance::WithDeleted;
use cellzero_cell_db::whole;
use cellzero_database::DatabaseError;
use cellzero_types::{CellUuid, GroupUuid, Instance, InstanceUuid};

use super::super::judge::Sighting;
use super::super::report::Dump;
use super::{RepairError, dump_api, highest_epoch};
use crate::Orchestrator;
use crate::map_instances::derive_spec;

impl Orchestrator {
    /// The live row of an instance, whole.
    pub(super) async fn read_row(
        &self,
        uuid: InstanceUuid,
        cell: CellUuid,
    ) -> Result<Instance, RepairError> {
        let read = move |conn: &mut _| whole::read(conn, cell, &[uuid], WithDeleted::No);
        let found = self.in_cell(cell, read).await?.pop();
        found.ok_or(RepairError::Left("its row is gone"))
    }

    /// The row is the home. An older API database does not cost a live instance: whatever epoch it
    /// is at, the epoch of the row counts as decided. Intents for this cell are forgotten first, so
    /// that no sweep takes the row for a left-over.
    pub(super) async fn adopt_row(
        &self,
        seen: &Sighting,
        uuid: InstanceUuid,
        cell: CellUuid,
    ) -> Result<Vec<Dump>, RepairError> {
        let instance = self.read_row(uuid, cell).await?;
        let cell_id = self.0.router.cells().get(cell, self.step_deadline()).await?.mapping().id;
        let standing = seen.cells.iter().find(|(standing, _)| *standing == cell);
        let written = standing.and_then(|(_, seen)| seen.fence).and_then(|(_, written)| written);
        let epoch = highest_epoch(seen);
        let group = GroupUuid(self.0.uuids.row());
        self.mend(seen, uuid, move |conn, now| {
            let mut dumped = dump_api(conn, "build_requests", uuid)?;
            dumped.extend(dump_api(conn, "instance_mappings", uuid)?);
            dumped.extend(dump_api(conn, "boot_states", uuid)?);
            let epochs = (epoch, written.or(Some(epoch)));
            boot_state::adopt(conn, (uuid, group), epochs, Some(&(&instance).into()), now)?;
            boot_intent::forget_cell(conn, uuid, cell)?;
            instance_mapping::adopt(conn, &instance, Some(cell_id), now)?;
            build_request::delete(conn, &[uuid])?;
            Ok(dumped)
        })
        .await
    }

    /// The build request is the home: what it needs to be booted is made from it.
    pub(super) async fn adopt_request(
        &self,
        seen: &Sighting,
        uuid: InstanceUuid,
    ) -> Result<Vec<Dump>, RepairError> {
        let group = GroupUuid(self.0.uuids.row());
        let request_id = self.0.uuids.row().to_string();
        let (api, epoch) = (seen.api.clone(), highest_epoch(seen));
        self.mend(seen, uuid, move |conn, now| {
            let Some(instance) = build_request::find(conn, uuid)? else { return Ok(Vec::new()) };
            if api.boot_state.is_none() {
                let known = Some(&(&instance).into());
                boot_state::adopt(conn, (uuid, group), (epoch, None), known, now)?;
            }
            if api.mapping.is_none() {
                instance_mapping::adopt(conn, &instance, None, now)?;
            }
            if api.request_spec.is_none() {
                let spec = derive_spec(&instance, &request_id)
                    .ok_or_else(|| DatabaseError::damaged("a build request without flavor"))?;
                request_spec::insert(conn, &[spec], now)?;
            }
            Ok(Vec::new())
        })
        .await
    }

    /// The row says on which host the instance is.
    pub(super) async fn claim_from_row(
        &self,
        seen: &Sighting,
        uuid: InstanceUuid,
        cell: CellUuid,
    ) -> Result<Vec<Dump>, RepairError> {
        let instance = self.read_row(uuid, cell).await?;
        let host = instance.host.clone().ok_or(RepairError::Left("its row has no host"))?;
        let epoch = seen.api.boot_state.and_then(|(_, decided)| decided);
        let epoch = epoch.unwrap_or(boot_state::FIRST_EPOCH);
        self.mend(seen, uuid, move |conn: &mut ApiConnection, now| {
            let dumped = dump_api(conn, "claims", uuid)?;
            let spec = request_spec::of_instances(conn, &[uuid])?.pop();
            let resources = spec
                .map(|spec| spec.resources())
                .or_else(|| instance.flavor.as_ref().map(|flavor| flavor.resources()))
                .ok_or_else(|| DatabaseError::damaged("neither spec nor row says its size"))?;
            let (host, alternates) = (host.clone(), Vec::new());
            let claim = Claim { instance_uuid: uuid, epoch, host, resources, alternates };
            claim::replace(conn, uuid, Some(&claim), now)?;
            Ok(dumped)
        })
        .await
    }
}
