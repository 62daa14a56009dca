//! What a whole run deletes at its end, since it belongs to nobody any more.

use std::sync::Arc;

use cellzero_api_db::client_token::TOKEN_LIFETIME;
use cellzero_api_db::{ApiConnection, archive, prune};
use cellzero_cell_db::{CellConnection, prune as cell_prune};
use cellzero_database::{DatabaseError, Deadline};
use cellzero_router::CellHandle;
use cellzero_types::InstanceUuid;
use chrono::NaiveDateTime;

use super::report::Rows;
use super::walk::Walk;

/// The most rows that one transaction deletes.
const ROWS_MAX: u32 = 500;

impl Walk<'_> {
    pub(super) async fn prune(&mut self) -> Result<(), DatabaseError> {
        self.prune_tokens().await?;
        let before = self.report.before;
        self.prune_api("retries", prune::delete_retries).await?;
        self.prune_api("waiting_classes", prune::delete_waiting_classes).await?;
        self.prune_api("boot_groups", prune::delete_boot_groups).await?;
        let cells: Vec<Arc<CellHandle>> = self.cells.values().cloned().collect();
        for cell in cells {
            match self.prune_cell(&cell, before).await {
                Ok(rows) => {
                    self.report.pruned_cells.insert(cell.uuid(), rows);
                }
                Err(Failed::Cell(error)) => self.lose(cell.uuid(), &error),
                Err(Failed::Api(error)) => return Err(error),
            }
        }
        Ok(())
    }

    async fn prune_tokens(&mut self) -> Result<(), DatabaseError> {
        let before = self.report.before;
        let mut after = prune::TokenPlace::default();
        loop {
            let delete = move |conn: &mut ApiConnection| {
                let over = conn.now() - TOKEN_LIFETIME;
                prune::delete_tokens(conn, before.min(over), after, ROWS_MAX)
            };
            let (deleted, next) =
                self.orchestrator.api().run("prune_client_tokens", self.deadline(), delete).await?;
            count(&mut self.report.pruned_api, "client_tokens", deleted);
            match next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }

    async fn prune_api(
        &mut self,
        table: &'static str,
        delete: fn(&mut ApiConnection, NaiveDateTime, u32) -> Result<u64, DatabaseError>,
    ) -> Result<(), DatabaseError> {
        let before = self.report.before;
        loop {
            let work = move |conn: &mut ApiConnection| delete(conn, before, ROWS_MAX);
            let deleted = self.orchestrator.api().run("prune", self.deadline(), work).await?;
            count(&mut self.report.pruned_api, table, deleted);
            if deleted < u64::from(ROWS_MAX) {
                return Ok(());
            }
        }
    }

    async fn prune_cell(&self, cell: &CellHandle, before: NaiveDateTime) -> Result<Rows, Failed> {
        let mut rows = Rows::new();
        count(&mut rows, "instance_fences", self.prune_fences(cell, before).await?);
        for (table, work) in [
            ("verdicts", cell_prune::delete_verdicts as DeleteInCell),
            ("host_snapshots", cell_prune::delete_snapshots),
        ] {
            let deleted = loop_in_cell(cell, self.options.step_timeout, before, work).await;
            count(&mut rows, table, deleted.map_err(Failed::Cell)?);
        }
        Ok(rows)
    }

    /// Deletes fences of instances that the API database knows no more.
    async fn prune_fences(&self, cell: &CellHandle, before: NaiveDateTime) -> Result<u64, Failed> {
        let (mut after, mut deleted): (Option<InstanceUuid>, u64) = (None, 0);
        loop {
            let read = move |conn: &mut _| cell_prune::lone_fences(conn, before, after, ROWS_MAX);
            let lone = cell.ask("find_lone_fences", self.deadline(), read).await;
            let lone = lone.map_err(Failed::Cell)?;
            let Some(last) = lone.last().copied() else { return Ok(deleted) };
            let asked = lone.clone();
            let read = move |conn: &mut _| archive::known(conn, &asked);
            let known = self.orchestrator.api().run("find_known", self.deadline(), read).await;
            let known = known.map_err(Failed::Api)?;
            let unknown: Vec<InstanceUuid> =
                lone.into_iter().filter(|uuid| !known.contains(uuid)).collect();
            let delete = move |conn: &mut _| cell_prune::delete_fences(conn, &unknown, before);
            let number = cell.ask("prune_fences", self.deadline(), delete).await;
            deleted += number.map_err(Failed::Cell)?;
            after = Some(last);
        }
    }
}

/// Which database failed: without a cell the run goes on.
enum Failed {
    Api(DatabaseError),
    Cell(DatabaseError),
}

type DeleteInCell = fn(&mut CellConnection, NaiveDateTime, u32) -> Result<u64, DatabaseError>;

/// Deletes batch by batch, until one is not full.
async fn loop_in_cell(
    cell: &CellHandle,
    timeout: std::time::Duration,
    before: NaiveDateTime,
    delete: DeleteInCell,
) -> Result<u64, DatabaseError> {
    let mut all = 0;
    loop {
        let work = move |conn: &mut CellConnection| delete(conn, before, ROWS_MAX);
        let deleted = cell.ask("prune", Deadline::after(timeout), work).await?;
        all += deleted;
        if deleted < u64::from(ROWS_MAX) {
            return Ok(all);
        }
    }
}

fn count(rows: &mut Rows, table: &str, number: u64) {
    if number > 0 {
        *rows.entry(table.to_owned()).or_default() += number;
    }
}
