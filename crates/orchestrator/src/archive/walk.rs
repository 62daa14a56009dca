//! The walk over the instances that are queued for delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use cellzero_api_db::archive::{self, Deleted};
use cellzero_cell_db::archive as cell_archive;
use cellzero_database::{DatabaseError, Deadline, transaction};
use cellzero_router::CellHandle;
use cellzero_types::{CellUuid, InstanceUuid};
use chrono::TimeDelta;
use futures_util::future::join_all;

use super::ArchiveError;
use super::report::{ArchiveOptions, ArchiveReport, Progress, add, why};
use crate::Orchestrator;

/// A run under way.
pub(super) struct Walk<'a> {
    pub(super) orchestrator: &'a Orchestrator,
    pub(super) options: &'a ArchiveOptions,
    /// The cells that answer.
    pub(super) cells: BTreeMap<CellUuid, Arc<CellHandle>>,
    pub(super) report: ArchiveReport,
}

impl<'a> Walk<'a> {
    pub(super) async fn begin(
        orchestrator: &'a Orchestrator,
        options: &'a ArchiveOptions,
    ) -> Result<Walk<'a>, ArchiveError> {
        let deadline = Deadline::after(options.step_timeout);
        let (cells, unusable) = orchestrator.0.router.cells().all(deadline).await?;
        let now = orchestrator
            .api()
            .run("read_clock", deadline, |conn| Ok::<_, DatabaseError>(conn.now()))
            .await?;
        let age = TimeDelta::from_std(options.age_min).unwrap_or(TimeDelta::MAX);
        let youngest = now.checked_sub_signed(age).unwrap_or_default();
        let before = options.before.map_or(youngest, |before| before.min(youngest));
        let cells = cells.into_iter().map(|cell| (cell.uuid(), cell)).collect();
        let report = ArchiveReport { before, ..ArchiveReport::default() };
        let mut walk = Walk { orchestrator, options, cells, report };
        for (cell, error) in unusable {
            walk.lose(cell, &error);
        }
        Ok(walk)
    }

    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.options.step_timeout)
    }

    /// Goes on without a cell.
    pub(super) fn lose(&mut self, cell: CellUuid, error: &dyn std::error::Error) {
        self.cells.remove(&cell);
        self.report.unreachable.insert(cell, why(error));
    }

    pub(super) async fn run(
        mut self,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<ArchiveReport, ArchiveError> {
        let most = self.options.instances_max.unwrap_or(u64::MAX);
        let before = self.report.before;
        let count = move |conn: &mut _| archive::count_deleted(conn, before);
        let all = self.orchestrator.api().run("count_deleted", self.deadline(), count).await?;
        let mut state = Progress { done: 0, of: all.min(most) };
        progress(state);
        let mut after: Option<Deleted> = None;
        while self.report.instances < most {
            let batch = self.next_batch(after.take(), most - self.report.instances).await?;
            let Some(last) = batch.last().cloned() else {
                self.report.complete = true;
                break;
            };
            let looked_at = batch.len() as u64;
            let moved = self.archive_batch(batch).await?;
            // Those that stay do not count towards the most of a run.
            state.done += if most == u64::MAX { looked_at } else { moved };
            progress(state);
            after = Some(last);
            tokio::time::sleep(self.options.pause).await;
        }
        if self.report.complete {
            self.prune().await?;
        }
        metrics::counter!("cellzero_archived_instances_total").increment(self.report.instances);
        Ok(self.report)
    }

    async fn next_batch(
        &self,
        after: Option<Deleted>,
        most: u64,
    ) -> Result<Vec<Deleted>, DatabaseError> {
        let limit = u64::from(self.options.batch.clamp(1, 500)).min(most);
        let limit = u32::try_from(limit).unwrap_or(1);
        let before = self.report.before;
        self.orchestrator
            .api()
            .run("find_deleted", self.deadline(), move |conn| {
                archive::deleted(conn, before, after.as_ref(), limit)
            })
            .await
    }

    /// Moves what of a batch is settled; says how many instances.
    async fn archive_batch(&mut self, batch: Vec<Deleted>) -> Result<u64, ArchiveError> {
        let uuids: Vec<InstanceUuid> = batch.iter().map(|deleted| deleted.uuid).collect();
        let read = move |conn: &mut _| archive::unsettled(conn, &uuids);
        let unsettled =
            self.orchestrator.api().run("find_unsettled", self.deadline(), read).await?;
        self.report.unsettled += unsettled.len() as u64;
        let mut ready = Vec::new();
        let mut by_cell: BTreeMap<CellUuid, Vec<InstanceUuid>> = BTreeMap::new();
        for Deleted { uuid, cell, .. } in batch {
            match cell {
                _ if unsettled.contains(&uuid) => {}
                Some(cell) => by_cell.entry(cell).or_default().push(uuid),
                None => ready.push(uuid),
            }
        }
        ready.extend(self.archive_in_cells(by_cell).await);
        let moved = self.archive_in_api(ready).await?;
        self.report.instances += moved;
        Ok(moved)
    }

    /// Moves the rows of these instances in their cells, all cells at once; gives those of which
    /// nothing stands there any more.
    async fn archive_in_cells(
        &mut self,
        by_cell: BTreeMap<CellUuid, Vec<InstanceUuid>>,
    ) -> Vec<InstanceUuid> {
        let mut asked = Vec::new();
        for (cell, uuids) in by_cell {
            match self.cells.get(&cell) {
                Some(handle) => asked.push((Arc::clone(handle), uuids)),
                None => *self.report.left.entry(cell).or_default() += uuids.len() as u64,
            }
        }
        let deadline = self.deadline();
        let answers = asked.into_iter().map(|(cell, uuids)| async move {
            let count = uuids.len() as u64;
            let work = move |conn: &mut _| cell_archive::archive(conn, &uuids);
            (cell.uuid(), count, cell.ask("archive_instances", deadline, work).await)
        });
        let mut gone = Vec::new();
        for (cell, count, answer) in join_all(answers).await {
            match answer {
                Ok(archived) => {
                    self.report.unsettled += archived.kept.len() as u64;
                    add(self.report.cells.entry(cell).or_default(), archived.rows);
                    gone.extend(archived.gone);
                }
                Err(error) => {
                    *self.report.left.entry(cell).or_default() += count;
                    self.lose(cell, &error);
                }
            }
        }
        gone
    }

    async fn archive_in_api(&mut self, uuids: Vec<InstanceUuid>) -> Result<u64, DatabaseError> {
        if uuids.is_empty() {
            return Ok(0);
        }
        let archived = self
            .orchestrator
            .api()
            .run("archive_instances", self.deadline(), move |conn| {
                transaction(conn, "archive_instances", |conn| archive::archive(conn, &uuids))
            })
            .await?;
        add(&mut self.report.api, archived.rows);
        Ok(archived.instances)
    }
}
