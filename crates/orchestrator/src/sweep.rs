//! Step 6: intents that were not decided are swept, and deletes that a down cell held up end.

use std::collections::{BTreeMap, HashMap};

use cellzero_api_db::boot_intent::{self, BootIntent};
use cellzero_api_db::instance_mapping::{self, InstanceMapping};
use cellzero_cell_db::whole;
use cellzero_database::DatabaseError;
use cellzero_router::CellError;
use cellzero_types::{CellUuid, InstanceUuid, RequestContext};

use crate::Orchestrator;

/// The most intents that are read at once.
const INTENTS_MAX: u32 = 500;

/// An intent with the epoch that its instance has reached.
type Due = (BootIntent, i64);

impl Orchestrator {
    /// Erases what undecided intents may have left in their cells, and ends deletes; says how many
    /// intents were done with. What needs a cell that does not answer stays for the next time.
    ///
    /// # Errors
    /// The API database's.
    pub async fn sweep(&self) -> Result<usize, DatabaseError> {
        let (due, mappings) = self
            .api()
            .run("find_intents_to_sweep", self.step_deadline(), |conn| {
                let due = boot_intent::to_sweep(conn, INTENTS_MAX)?;
                let uuids: Vec<InstanceUuid> =
                    due.iter().map(|(intent, _)| intent.instance_uuid).collect();
                let mappings = match uuids.is_empty() {
                    true => HashMap::new(),
                    false => instance_mapping::of_instances(conn, &uuids)?,
                };
                Ok::<_, DatabaseError>((due, mappings))
            })
            .await?;
        let mut by_cell: BTreeMap<CellUuid, Vec<Due>> = BTreeMap::new();
        for (intent, epoch) in due {
            by_cell.entry(intent.cell).or_default().push((intent, epoch));
        }
        let mut swept = 0;
        for (cell, due) in by_cell {
            match self.sweep_cell(cell, due, &mappings).await {
                Ok(done) => swept += self.forget(done).await?,
                Err(error) => {
                    tracing::warn!(%cell, error = &error as &dyn std::error::Error, "cell not swept; it is swept later");
                }
            }
        }
        Ok(swept)
    }

    async fn sweep_cell(
        &self,
        cell: CellUuid,
        due: Vec<Due>,
        mappings: &HashMap<InstanceUuid, InstanceMapping>,
    ) -> Result<Vec<BootIntent>, CellError> {
        let mut done = Vec::new();
        let mut left_over = Vec::new();
        for (intent, epoch) in due {
            match mappings.get(&intent.instance_uuid) {
                // Its home: the delete that was decided ends here.
                Some(mapping) if mapping.cell == Some(cell) && mapping.queued_for_delete => {
                    let ctx = owner_of(mapping);
                    let uuid = intent.instance_uuid;
                    let networks = self.networks_of(uuid).await.map_err(CellError::Api)?;
                    let reached = BootIntent { epoch, ..intent };
                    self.delete_in_cell(&ctx, reached, networks).await?;
                }
                _ => left_over.push((intent.instance_uuid, epoch)),
            }
            done.push(intent);
        }
        if !left_over.is_empty() {
            let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
            handle
                .run("sweep", self.step_deadline(), move |conn| whole::sweep(conn, &left_over))
                .await
                .map_err(|source| CellError::Database { cell, source })?;
        }
        Ok(done)
    }

    pub(crate) async fn forget(&self, done: Vec<BootIntent>) -> Result<usize, DatabaseError> {
        let count = done.len();
        let mut by_epoch: BTreeMap<i64, Vec<InstanceUuid>> = BTreeMap::new();
        for intent in done {
            by_epoch.entry(intent.epoch).or_default().push(intent.instance_uuid);
        }
        self.api()
            .run("forget_intents", self.step_deadline(), move |conn| {
                for (epoch, uuids) in &by_epoch {
                    boot_intent::forget_epoch(conn, uuids, *epoch)?;
                }
                Ok::<_, DatabaseError>(())
            })
            .await?;
        Ok(count)
    }
}

/// Whoever asked for the delete is not known any more: the action names the instance's owner.
fn owner_of(mapping: &InstanceMapping) -> RequestContext {
    let user = mapping.user_id.clone().unwrap_or_default();
    RequestContext::new(mapping.project_id.clone(), user)
}
