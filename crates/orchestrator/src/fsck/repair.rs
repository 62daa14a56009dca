//! The repairs. Each can be repeated, and changes nothing where what was seen is not so any more.
//!
//! What is in the API database is changed in one transaction there, under the lock of the boot
//! state, after what was seen has been read again. Rows are destroyed only where the plan carries
//! its evidence; what is deleted or replaced is dumped first.

mod adopt;
mod bury;
mod hosts;
mod rows;

use cellzero_api_db::census as api_census;
use cellzero_api_db::{ApiConnection, boot_state, build_request, claim, request_spec};
use cellzero_database::{
    DatabaseError, Scope, Whose, database_error_source, dump_rows, transaction,
};
use cellzero_router::CellError;
use cellzero_types::{CellUuid, InstanceUuid};
use chrono::NaiveDateTime;

use super::class::Plan;
use super::judge::Sighting;
use super::report::Dump;
use crate::Orchestrator;

/// Why something was not repaired. A later check tries again.
#[derive(Debug, thiserror::Error)]
pub(super) enum RepairError {
    #[error("{0}")]
    Left(&'static str),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Cell(#[from] CellError),
}

database_error_source!(RepairError);

/// The rows of a table, as they are, for the report.
fn dump<K>(
    conn: &mut cellzero_database::Connection<K>,
    cell: Option<CellUuid>,
    (table, key): (&'static str, &'static str),
    value: &str,
) -> Result<Vec<Dump>, DatabaseError> {
    let rows = dump_rows(conn, table, key, value)?;
    let as_json = |text: String| match serde_json::from_str(&text) {
        Ok(row) => row,
        Err(_) => serde_json::Value::String(text),
    };
    let dumped =
        rows.into_iter().map(|row| Dump { cell, table: table.to_owned(), row: as_json(row) });
    Ok(dumped.collect())
}

fn dump_api(
    conn: &mut ApiConnection,
    table: &'static str,
    uuid: InstanceUuid,
) -> Result<Vec<Dump>, DatabaseError> {
    dump(conn, None, (table, "instance_uuid"), &uuid.text())
}

/// The highest epoch that was seen anywhere.
pub(super) fn highest_epoch(seen: &Sighting) -> i64 {
    let state = seen.api.boot_state.map(|(epoch, decided)| epoch.max(decided.unwrap_or(0)));
    let fences = seen.cells.iter().filter_map(|(_, cell)| cell.fence);
    let fences = fences.map(|(fence, written)| fence.max(written.unwrap_or(0)));
    fences.chain(state).max().unwrap_or(0).max(boot_state::FIRST_EPOCH)
}

impl Orchestrator {
    pub(super) async fn repair_instance(
        &self,
        seen: &Sighting,
        plan: &Plan,
        dumps: &mut Vec<Dump>,
    ) -> Result<(), RepairError> {
        let uuid: InstanceUuid =
            seen.uuid.parse().map_err(|_| RepairError::Left("its uuid is not one"))?;
        let dumped = match plan {
            Plan::AdoptRow { cell } => self.adopt_row(seen, uuid, *cell).await?,
            Plan::AdoptRequest => self.adopt_request(seen, uuid).await?,
            Plan::Bury => self.bury(seen, uuid).await?,
            Plan::QueueForDelete => self.queue_for_delete(seen, uuid).await?,
            Plan::FinishDelete { cell } => self.finish_delete(seen, uuid, *cell).await?,
            Plan::EraseRows { cell, written_epoch } => {
                self.erase_rows(seen, uuid, *cell, *written_epoch).await?
            }
            Plan::DeleteBuildRequest => {
                let delete = move |conn: &mut ApiConnection, _| {
                    let dumped = dump_api(conn, "build_requests", uuid)?;
                    build_request::delete(conn, &[uuid])?;
                    Ok(dumped)
                };
                self.mend(seen, uuid, delete).await?
            }
            Plan::DeleteRequestSpec => {
                let delete = move |conn: &mut ApiConnection, _| {
                    let dumped = dump_api(conn, "request_specs", uuid)?;
                    request_spec::delete(conn, &[uuid])?;
                    Ok(dumped)
                };
                self.mend(seen, uuid, delete).await?
            }
            Plan::FreeClaim => {
                let free = move |conn: &mut ApiConnection, now| {
                    let dumped = dump_api(conn, "claims", uuid)?;
                    claim::replace(conn, uuid, None, now)?;
                    Ok(dumped)
                };
                self.mend(seen, uuid, free).await?
            }
            Plan::ClaimFromRow { cell } => self.claim_from_row(seen, uuid, *cell).await?,
            Plan::CompleteBurial => self.complete_burial(seen, uuid).await?,
            Plan::CompleteRows { cell } => self.complete_rows(uuid, *cell).await?,
            Plan::TakeHostFromClaim { cell } => self.take_host(seen, uuid, *cell).await?,
            _ => return Err(RepairError::Left("it is to be repaired by hand")),
        };
        dumps.extend(dumped);
        Ok(())
    }

    /// Changes an instance in the API database, but only while it is as it was seen.
    async fn mend<T: Send + 'static>(
        &self,
        seen: &Sighting,
        uuid: InstanceUuid,
        work: impl Fn(&mut ApiConnection, NaiveDateTime) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, RepairError> {
        let expected = seen.api.clone();
        self.api()
            .run("repair_instance", self.step_deadline(), move |conn| {
                transaction(conn, "repair_instance", |conn| {
                    let now = conn.now();
                    boot_state::lock(conn, uuid)?;
                    let mut scope = Scope::These(vec![uuid.text()]);
                    let mut found = api_census::read(conn, &mut scope, Whose::Ours)?;
                    if found.remove(&uuid.text()).unwrap_or_default() != expected {
                        return Err(RepairError::Left("it moved since it was looked at"));
                    }
                    Ok(work(conn, now)?)
                })
            })
            .await
    }

    /// Runs one operation on a cell.
    async fn in_cell<T: Send + 'static>(
        &self,
        cell: CellUuid,
        work: impl FnOnce(&mut cellzero_cell_db::CellConnection) -> Result<T, DatabaseError>
        + Send
        + 'static,
    ) -> Result<T, RepairError> {
        let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
        let done = handle.run("repair_instance", self.step_deadline(), work).await;
        done.map_err(|source| RepairError::Cell(CellError::Database { cell, source }))
    }
}
