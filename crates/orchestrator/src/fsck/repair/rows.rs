//! What is repaired in the rows of a cell.

use cellzero_api_db::boot_intent::BootIntent;
use cellzero_api_db::{boot_intent, boot_state, instance_mapping, request_spec};
use cellzero_cell_db::{fault, instance, whole};
use cellzero_database::{DatabaseError, transaction};
use cellzero_types::{CellUuid, GroupUuid, InstanceUuid, RequestContext};

use super::super::judge::Sighting;
use super::super::report::Dump;
use super::{RepairError, dump, highest_epoch};
use crate::Orchestrator;

const NO_REASON: &str = "No valid host was found. Why was not written down.";
/// The tables of a cell that hold rows of an instance, with their key.
const TABLES: &[(&str, &str)] = &[
    ("instances", "uuid"),
    ("instance_extra", "instance_uuid"),
    ("instance_info_caches", "instance_uuid"),
    ("instance_faults", "instance_uuid"),
    ("instance_actions", "instance_uuid"),
    ("instance_metadata", "instance_uuid"),
    ("instance_system_metadata", "instance_uuid"),
    ("security_group_instance_association", "instance_uuid"),
    ("block_device_mapping", "instance_uuid"),
    ("tags", "resource_id"),
    ("outbox", "instance_uuid"),
    ("instance_fences", "instance_uuid"),
];

impl Orchestrator {
    /// The delete was decided: it is begun anew in a new epoch, as the delete itself does.
    pub(super) async fn finish_delete(
        &self,
        seen: &Sighting,
        uuid: InstanceUuid,
        cell: CellUuid,
    ) -> Result<Vec<Dump>, RepairError> {
        let epoch = highest_epoch(seen) + 1;
        let group = GroupUuid(self.0.uuids.row());
        let intent = BootIntent { instance_uuid: uuid, epoch, cell };
        let owner = self.mend(seen, uuid, move |conn, now| {
            let decided = boot_state::find(conn, uuid)?.and_then(|state| state.decided_epoch);
            boot_state::adopt(conn, (uuid, group), (epoch, decided), None, now)?;
            boot_intent::insert(conn, &[intent], now)?;
            instance_mapping::find(conn, uuid)
        });
        let Some(mapping) = owner.await? else { return Ok(Vec::new()) };
        let owner = (mapping.project_id.clone(), mapping.user_id.clone()).into();
        let user = mapping.user_id.unwrap_or_default();
        let ctx = RequestContext::new(mapping.project_id, user);
        let networks = self.networks_of(uuid).await?;
        self.delete_in_cell((&ctx, owner), intent, networks).await?;
        self.forget(vec![intent]).await?;
        // As after any delete: the destroy is sent, and frees the claim.
        self.dispatch_cell(cell).await?;
        Ok(Vec::new())
    }

    /// Nobody's rows are dumped and erased, while the epoch that wrote them still stands there.
    pub(super) async fn erase_rows(
        &self,
        seen: &Sighting,
        uuid: InstanceUuid,
        cell: CellUuid,
        written: Option<i64>,
    ) -> Result<Vec<Dump>, RepairError> {
        // What the evidence was taken from must stand unchanged; an epoch is never lowered.
        self.mend(seen, uuid, |_, _| Ok(())).await?;
        let decided = seen.api.boot_state.map(|(epoch, _)| epoch);
        let epoch = decided.unwrap_or(0).max(written.map_or(0, |written| written + 1));
        self.in_cell(cell, move |conn| {
            let mut dumped = Vec::new();
            for table in TABLES {
                dumped.extend(dump(conn, Some(cell), *table, &uuid.text())?);
            }
            let erased = whole::erase_unowned(conn, uuid, epoch, written)?;
            Ok(if erased { dumped } else { Vec::new() })
        })
        .await
    }

    pub(super) async fn complete_burial(
        &self,
        seen: &Sighting,
        uuid: InstanceUuid,
    ) -> Result<Vec<Dump>, RepairError> {
        let standing = seen.cells.iter().find(|(cell, _)| cell.is_cell0());
        let has_fault = standing.is_some_and(|(_, seen)| seen.has_fault);
        let missing = self.fault(NO_REASON, None);
        self.in_cell(CellUuid::CELL0, move |conn| {
            transaction(conn, "complete_burial", |conn| {
                let now = conn.now();
                let dumped = dump(conn, Some(CellUuid::CELL0), TABLES[0], &uuid.text())?;
                instance::mark_buried(conn, uuid, now)?;
                if !has_fault {
                    fault::add(conn, uuid, &missing, now)?;
                }
                Ok::<_, DatabaseError>(dumped)
            })
        })
        .await
    }

    pub(super) async fn complete_rows(
        &self,
        uuid: InstanceUuid,
        cell: CellUuid,
    ) -> Result<Vec<Dump>, RepairError> {
        let mut whole = self.read_row(uuid, cell).await?;
        if whole.flavor.is_none() {
            let read = move |conn: &mut _| request_spec::of_instances(conn, &[uuid]);
            let spec = self.api().run("read_request_spec", self.step_deadline(), read).await?.pop();
            let spec = spec.ok_or(RepairError::Left("no request spec says its flavor"))?;
            whole.flavor = Some(spec.flavor);
        }
        self.in_cell(cell, move |conn| {
            transaction(conn, "complete_rows", |conn| {
                let now = conn.now();
                whole::complete(conn, &whole, now)
            })
        })
        .await?;
        Ok(Vec::new())
    }

    pub(super) async fn take_host(
        &self,
        seen: &Sighting,
        uuid: InstanceUuid,
        cell: CellUuid,
    ) -> Result<Vec<Dump>, RepairError> {
        let claim = seen.api.claim.as_ref().ok_or(RepairError::Left("its claim is gone"))?;
        let host = claim.host.clone();
        self.in_cell(cell, move |conn| {
            let now = conn.now();
            let dumped = dump(conn, Some(cell), TABLES[0], &uuid.text())?;
            instance::correct_host(conn, uuid, &host, now)?;
            Ok(dumped)
        })
        .await
    }
}
