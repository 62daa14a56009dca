//! What is repaired of hosts and outboxes.

use cellzero_api_db::{host_capacity, host_mapping, outbox as api_outbox};
use cellzero_cell_db::{compute_node, outbox, service};
use cellzero_database::{DatabaseError, transaction};
use cellzero_types::CellUuid;
use chrono::NaiveDateTime;

use super::super::class::Plan;
use super::super::report::Dump;
use super::{RepairError, dump};
use crate::Orchestrator;

impl Orchestrator {
    pub(in crate::fsck) async fn repair_host(
        &self,
        host: &str,
        plan: &Plan,
        dumps: &mut Vec<Dump>,
    ) -> Result<(), RepairError> {
        match plan {
            Plan::CountClaims => self.count_claims(host.to_owned()).await,
            Plan::RemoveFromCell0 => {
                dumps.extend(self.remove_from_cell0(host.to_owned()).await?);
                dumps.extend(self.delete_host_mapping(host.to_owned()).await?);
                Ok(())
            }
            Plan::DeleteHostMapping => {
                dumps.extend(self.delete_host_mapping(host.to_owned()).await?);
                Ok(())
            }
            _ => Err(RepairError::Left("it is to be repaired by hand")),
        }
    }

    async fn count_claims(&self, host: String) -> Result<(), RepairError> {
        self.api()
            .run("count_claims", self.step_deadline(), move |conn| {
                transaction(conn, "count_claims", |conn| {
                    let now = conn.now();
                    host_capacity::count_claims(conn, &host, now)
                })
            })
            .await
            .map_err(RepairError::Database)
    }

    async fn remove_from_cell0(&self, host: String) -> Result<Vec<Dump>, RepairError> {
        self.in_cell(CellUuid::CELL0, move |conn| {
            transaction(conn, "remove_host", |conn| {
                let (now, cell) = (conn.now(), Some(CellUuid::CELL0));
                let mut dumped = dump(conn, cell, ("compute_nodes", "host"), &host)?;
                dumped.extend(dump(conn, cell, ("services", "host"), &host)?);
                compute_node::delete(conn, &host, now)?;
                service::delete(conn, &host, now)?;
                Ok::<_, DatabaseError>(dumped)
            })
        })
        .await
    }

    /// Also forgets a capacity that names cell0. A mapping to a live cell that has the host stays.
    async fn delete_host_mapping(&self, host: String) -> Result<Vec<Dump>, RepairError> {
        let hosts = vec![host.clone()];
        let mapped = self
            .api()
            .run("read_host_mapping", self.step_deadline(), move |conn| {
                host_mapping::cells_of(conn, &hosts)
            })
            .await?;
        let reports = match mapped.get(&host).copied() {
            Some(cell) if !cell.is_cell0() => {
                let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
                let seen = handle
                    .run("read_hosts", self.step_deadline(), cellzero_cell_db::census::hosts)
                    .await?;
                seen.nodes.contains_key(&host) || seen.services.contains(&host)
            }
            _ => false,
        };
        self.api()
            .run("delete_host_mapping", self.step_deadline(), move |conn| {
                transaction(conn, "delete_host_mapping", |conn| {
                    let mut dumped = dump(conn, None, ("host_capacity", "host"), &host)?;
                    host_capacity::forget_in_cell0(conn, &host)?;
                    if !reports {
                        dumped.extend(dump(conn, None, ("host_mappings", "host"), &host)?);
                        host_mapping::delete(conn, &host)?;
                    }
                    Ok::<_, DatabaseError>(dumped)
                })
            })
            .await
            .map_err(RepairError::Database)
    }

    /// Sends what has waited in one outbox since before `since`.
    pub(in crate::fsck) async fn send_overdue(
        &self,
        cell: Option<CellUuid>,
        since: NaiveDateTime,
    ) -> Result<(), RepairError> {
        match cell {
            Some(cell) => {
                self.in_cell(cell, move |conn| outbox::hurry(conn, since)).await?;
                self.dispatch_cell(cell).await?;
            }
            None => {
                let hurry = move |conn: &mut _| api_outbox::hurry(conn, since);
                self.api().run("hurry_outbox", self.step_deadline(), hurry).await?;
                self.dispatch_releases().await?;
            }
        }
        Ok(())
    }
}
