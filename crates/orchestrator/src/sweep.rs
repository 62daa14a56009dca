//! Step 6: intents that were not decided are swept, and what a down cell held up ends: deletes, and
//! failed builds that go on.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use cellzero_api_db::boot_intent::{self, BootIntent, DueIntent};
use cellzero_cell_db::whole;
use cellzero_database::DatabaseError;
use cellzero_router::CellError;
use cellzero_types::{CellUuid, InstanceUuid, RequestContext};

use crate::Orchestrator;

/// The most intents that are read at once.
const INTENTS_MAX: u32 = 500;

impl Orchestrator {
    /// Erases what undecided intents may have left in their cells, ends deletes, and tells cells on
    /// which host a build goes on that failed; says how many intents were done with. What needs a cell
    /// that does not answer stays for the next time, and a silent one is not asked; a pass goes on
    /// where the last one ended, so that those never stand in the way of others.
    ///
    /// # Errors
    /// The API database's.
    pub async fn sweep(&self) -> Result<usize, DatabaseError> {
        let due = self.next_intents().await?;
        let mut by_cell: BTreeMap<CellUuid, Vec<DueIntent>> = BTreeMap::new();
        for due in due {
            by_cell.entry(due.intent.cell).or_default().push(due);
        }
        let cells = by_cell.into_iter().map(|(cell, due)| async move {
            let done = Box::pin(self.sweep_cell(cell, due)).await;
            done.unwrap_or_else(|error| {
                tracing::warn!(%cell, error = &error as &dyn std::error::Error, "cell not swept; it is swept later");
                Vec::new()
            })
        });
        let done: Vec<BootIntent> =
            futures_util::future::join_all(cells).await.into_iter().flatten().collect();
        if done.is_empty() { Ok(0) } else { self.forget(done).await }
    }

    /// The next intents to sweep, after those of the last pass; from the first on after the last.
    async fn next_intents(&self) -> Result<Vec<DueIntent>, DatabaseError> {
        let after = *self.0.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let due = self
            .api()
            .run("find_intents_to_sweep", self.step_deadline(), move |conn| {
                match boot_intent::to_sweep(conn, after, INTENTS_MAX)? {
                    due if due.is_empty() && after.is_some() => {
                        boot_intent::to_sweep(conn, None, INTENTS_MAX)
                    }
                    due => Ok(due),
                }
            })
            .await?;
        let last = due.last().map(|due| (due.intent.instance_uuid, due.intent.epoch));
        let is_full = due.len() == INTENTS_MAX as usize;
        *self.0.swept.lock().unwrap_or_else(PoisonError::into_inner) = last.filter(|_| is_full);
        Ok(due)
    }

    #[tracing::instrument(
        name = "sweep", level = "debug", skip_all, fields(%cell, instances = due.len())
    )]
    async fn sweep_cell(
        &self,
        cell: CellUuid,
        due: Vec<DueIntent>,
    ) -> Result<Vec<BootIntent>, CellError> {
        let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
        if handle.is_silent() {
            return Ok(Vec::new());
        }
        let mut done = Vec::new();
        let mut left_over = Vec::new();
        for DueIntent { intent, reached, moving, dying } in due {
            let uuid = intent.instance_uuid;
            match dying {
                None if moving => self.go_on(&handle, intent).await?,
                Some(owner) => {
                    let networks = self.networks_of(uuid).await.map_err(CellError::Api)?;
                    let reached = BootIntent { epoch: reached, ..intent };
                    let told = owner.clone().into();
                    self.delete_in_cell((&context_of(owner), told), reached, networks).await?;
                }
                None => left_over.push((uuid, reached)),
            }
            done.push(intent);
        }
        if !left_over.is_empty() {
            handle
                .ask("sweep", self.step_deadline(), move |conn| whole::sweep(conn, &left_over))
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
fn context_of((project, user): (String, Option<String>)) -> RequestContext {
    RequestContext::new(project, user.unwrap_or_default())
}
