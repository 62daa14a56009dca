//! The purge: what stands in the shadow tables is deleted for good, all databases at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use cellzero_api_db::archive;
use cellzero_cell_db::archive as cell_archive;
use cellzero_database::{DatabaseError, Deadline, transaction};
use cellzero_router::CellHandle;
use cellzero_types::CellUuid;
use futures_util::future::join_all;

use super::ArchiveError;
use super::report::{Progress, PurgeOptions, PurgeReport, add, why};
use crate::Orchestrator;

/// The table whose rows are one for each instance.
const INSTANCES: &str = "instances";

/// A purge under way.
pub(super) struct Purge<'a> {
    orchestrator: &'a Orchestrator,
    options: &'a PurgeOptions,
    /// The cells with something left to purge.
    cells: BTreeMap<CellUuid, Arc<CellHandle>>,
    report: PurgeReport,
}

impl<'a> Purge<'a> {
    pub(super) async fn begin(
        orchestrator: &'a Orchestrator,
        options: &'a PurgeOptions,
    ) -> Result<Purge<'a>, ArchiveError> {
        let deadline = Deadline::after(options.step_timeout);
        let (cells, unusable) = orchestrator.0.router.cells().all(deadline).await?;
        let cells = cells.into_iter().map(|cell| (cell.uuid(), cell)).collect();
        let mut purge = Purge { orchestrator, options, cells, report: PurgeReport::default() };
        for (cell, error) in unusable {
            purge.lose(cell, &error);
        }
        Ok(purge)
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.options.step_timeout)
    }

    fn lose(&mut self, cell: CellUuid, error: &dyn std::error::Error) {
        self.cells.remove(&cell);
        self.report.unreachable.insert(cell, why(error));
    }

    /// Cells first: as long as a mapping stands in the shadow table, it says where its rows were.
    pub(super) async fn run(
        mut self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<PurgeReport, ArchiveError> {
        let mut state = Progress { done: 0, of: self.count().await };
        progress(state);
        while !self.cells.is_empty() {
            state.done += self.purge_cells().await;
            progress(state);
            tokio::time::sleep(self.options.pause).await;
        }
        loop {
            let (before, batch) = (self.options.before, self.options.batch);
            let delete = move |conn: &mut _| {
                transaction(conn, "purge_instances", |conn| archive::purge(conn, before, batch))
            };
            let deleted =
                self.orchestrator.api().run("purge_instances", self.deadline(), delete).await?;
            if deleted.is_empty() {
                return Ok(self.report);
            }
            add(&mut self.report.api, deleted);
            tokio::time::sleep(self.options.pause).await;
        }
    }

    /// How many instances there are to purge in the cells that answer.
    async fn count(&mut self) -> u64 {
        let (before, deadline) = (self.options.before, self.deadline());
        let asked = self.cells.values().map(|cell| async move {
            let count = move |conn: &mut _| cell_archive::count_archived(conn, before);
            (cell.uuid(), cell.ask("count_archived", deadline, count).await)
        });
        let mut all = 0;
        let mut lost: Vec<(CellUuid, DatabaseError)> = Vec::new();
        for (cell, answer) in join_all(asked).await {
            match answer {
                Ok(count) => all += count,
                Err(error) => lost.push((cell, error)),
            }
        }
        for (cell, error) in lost {
            self.lose(cell, &error);
        }
        all
    }

    /// One batch in each cell; says how many instances.
    async fn purge_cells(&mut self) -> u64 {
        let (before, batch, deadline) = (self.options.before, self.options.batch, self.deadline());
        let asked = self.cells.values().map(|cell| async move {
            let delete = move |conn: &mut _| cell_archive::purge(conn, before, batch);
            (cell.uuid(), cell.ask("purge_instances", deadline, delete).await)
        });
        let mut instances = 0;
        for (cell, answer) in join_all(asked).await {
            match answer {
                Ok(deleted) if deleted.is_empty() => {
                    self.cells.remove(&cell);
                }
                Ok(deleted) => {
                    instances += deleted.get(INSTANCES).copied().unwrap_or(0);
                    add(self.report.cells.entry(cell).or_default(), deleted);
                }
                Err(error) => self.lose(cell, &error),
            }
        }
        instances
    }
}
