//! Hosts, outboxes: what is checked besides instances.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cellzero_api_db::census as api_census;
use cellzero_api_db::census::HostSeen;
use cellzero_cell_db::census as cell_census;
use cellzero_cell_db::census::HostsSeen;
use cellzero_database::{DatabaseError, Whose};
use cellzero_types::{CellUuid, Resources};
use chrono::NaiveDateTime;
use futures_util::future::join_all;

use super::FsckError;
use super::class::{Class, Plan};
use super::judge::Terms;
use super::report::Finding;
use super::walk::Walk;

/// What is wrong with one host, by what the API database and the cells that answer know of it.
fn judge_host(
    host: &str,
    api: &HostSeen,
    cells: &[(CellUuid, HostsSeen)],
    terms: &Terms,
) -> Option<Finding> {
    let mapped = api.mapped.and_then(|id| terms.cells.get(&id)).copied();
    let stands = |seen: &HostsSeen| seen.nodes.contains_key(host) || seen.services.contains(host);
    let in_cell0 = cells.iter().any(|(cell, seen)| cell.is_cell0() && stands(seen));
    let reported = api.capacity.as_ref().is_some_and(|c| c.cell == CellUuid::CELL0.text());
    if in_cell0 || reported || mapped.is_some_and(|cell| cell.is_cell0()) {
        return Some(
            Finding::new(Class::HostInCell0, host, Plan::RemoveFromCell0)
                .cell(CellUuid::CELL0)
                .detail("cell0 never has a host"),
        );
    }
    if let Some(cell) = mapped
        && let Some((_, seen)) = cells.iter().find(|(standing, _)| *standing == cell)
        && !stands(seen)
    {
        return Some(
            Finding::new(Class::HostMappingWithoutNode, host, Plan::DeleteHostMapping)
                .cell(cell)
                .detail(format!("mapped to {cell}, which has no compute node or service of it")),
        );
    }
    match &api.capacity {
        Some(capacity) => judge_claims(host, capacity.used, capacity.limit, api.claimed),
        None if terms.whose == Whose::Novas && api.mapped.is_none() => {
            unmapped_node(host, cells, terms.old_before)
        }
        None => None,
    }
}

fn judge_claims(
    host: &str,
    used: Resources,
    limit: Resources,
    claimed: Resources,
) -> Option<Finding> {
    if used != claimed {
        let detail = format!("{used} are counted as claimed, and the claims come to {claimed}");
        return Some(Finding::new(Class::ClaimsMiscounted, host, Plan::CountClaims).detail(detail));
    }
    if claimed.fits_in(&limit) {
        return None;
    }
    let what = "delete instances, or let the host report its true size; nothing is placed on it \
                until then"
        .into();
    let detail = format!("{claimed} are claimed of {limit}");
    Some(Finding::new(Class::HostOverCapacity, host, Plan::ByHand { what }).detail(detail))
}

/// Nova's nodes are mapped by its operator some time after they appear.
pub(super) fn unmapped_node(
    host: &str,
    cells: &[(CellUuid, HostsSeen)],
    old_before: NaiveDateTime,
) -> Option<Finding> {
    let (cell, made) = cells.iter().find_map(|(cell, seen)| Some((cell, seen.nodes.get(host)?)))?;
    if made.is_some_and(|made| made > old_before) {
        return None;
    }
    let what = "discover the host, or delete its compute node".into();
    Some(
        Finding::new(Class::NodeWithoutHostMapping, host, Plan::ByHand { what })
            .cell(*cell)
            .detail(format!("a compute node in {cell}, and no host mapping")),
    )
}

impl Walk<'_> {
    /// The API database is read first: a report writes the cell first, so what is mapped there has
    /// its compute node here.
    async fn all_hosts(
        &mut self,
    ) -> Result<(BTreeMap<String, HostSeen>, Vec<(CellUuid, HostsSeen)>), FsckError> {
        let api = self.read_hosts().await?;
        let deadline = self.deadline();
        let asked = self.cells.iter().map(|cell| async move {
            (cell.uuid(), cell.run("read_hosts", deadline, cell_census::hosts).await)
        });
        let mut cells = Vec::new();
        for (cell, answer) in join_all(asked).await {
            match answer {
                Ok(seen) => cells.push((cell, seen)),
                Err(error) => self.lose(cell, &error),
            }
        }
        Ok((api, cells))
    }

    /// Hosts are few beside instances: they are held together.
    pub(super) async fn check_hosts(&mut self) -> Result<(), FsckError> {
        let (api, cells) = self.all_hosts().await?;
        let mut names: BTreeSet<String> = api.keys().cloned().collect();
        for (_, seen) in &cells {
            names.extend(seen.nodes.keys().cloned());
            names.extend(seen.services.iter().cloned());
        }
        self.report.hosts_checked = names.len() as u64;
        let none = HostSeen::default();
        for host in names {
            let known = api.get(&host).unwrap_or(&none);
            let Some(mut finding) = judge_host(&host, known, &cells, &self.terms) else { continue };
            self.note_instances(&host, &mut finding).await;
            if let Some(orchestrator) = self.orchestrator {
                let dumps = &mut self.report.dumps;
                match orchestrator.repair_host(&host, &finding.plan, dumps).await {
                    Ok(()) => finding.repaired = self.is_sound(&host, &mut finding).await?,
                    Err(error) => finding.notes.push(format!("not repaired: {error}")),
                }
            }
            self.report.add(finding);
        }
        Ok(())
    }

    async fn is_sound(&mut self, host: &str, finding: &mut Finding) -> Result<bool, FsckError> {
        let (api, cells) = self.all_hosts().await?;
        let known = api.get(host).cloned().unwrap_or_default();
        let left = judge_host(host, &known, &cells, &self.terms);
        if let Some(next) = &left
            && next.class != finding.class
        {
            finding.notes.push(format!("then {}: {}", next.class, next.detail));
        }
        Ok(left.is_none())
    }

    /// The instances on a host that is named follow from it.
    async fn note_instances(&mut self, host: &str, finding: &mut Finding) {
        for cell in self.cells.iter().filter(|cell| finding.cells.contains(&cell.uuid())) {
            let name = host.to_owned();
            let count = cell
                .run("count_on_host", self.deadline(), move |conn| {
                    cell_census::instances_on(conn, &name)
                })
                .await;
            match count {
                Ok(0) => {}
                Ok(count) => {
                    finding.notes.push(format!("{count} instances in {} are on it", cell.uuid()))
                }
                Err(error) => {
                    finding.notes.push(format!("its instances were not counted: {error}"))
                }
            }
        }
    }

    /// Effects that were to be sent long ago. A plane that Nova made has no outbox.
    pub(super) async fn check_outboxes(&mut self) -> Result<(), FsckError> {
        if self.terms.whose == Whose::Novas {
            return Ok(());
        }
        let overdue = self.overdue_in_api().await?;
        self.name_overdue(None, overdue).await?;
        for cell in self.cells.clone() {
            match self.overdue_in_cell(&cell).await {
                Ok(overdue) => self.name_overdue(Some(cell.uuid()), overdue).await?,
                Err(error) => self.lose(cell.uuid(), &error),
            }
        }
        Ok(())
    }

    async fn overdue_in_api(&self) -> Result<Vec<(String, String)>, DatabaseError> {
        let (since, rows_max) = (self.terms.old_before, self.options.slice);
        let read = move |conn: &mut _| api_census::overdue(conn, since, rows_max);
        self.router.api().run("read_overdue", self.deadline(), read).await
    }

    async fn overdue_in_cell(
        &self,
        cell: &Arc<cellzero_router::CellHandle>,
    ) -> Result<Vec<(String, String)>, DatabaseError> {
        let (since, rows_max) = (self.terms.old_before, self.options.slice);
        let read = move |conn: &mut _| cell_census::overdue(conn, since, rows_max);
        cell.run("read_overdue", self.deadline(), read).await
    }

    async fn name_overdue(
        &mut self,
        cell: Option<CellUuid>,
        overdue: Vec<(String, String)>,
    ) -> Result<(), FsckError> {
        if overdue.is_empty() {
            return Ok(());
        }
        let mut left = None;
        if let Some(orchestrator) = self.orchestrator {
            match orchestrator.send_overdue(cell, self.terms.old_before).await {
                Ok(()) => {
                    let handle = self.cells.iter().find(|handle| Some(handle.uuid()) == cell);
                    left = Some(match handle.cloned() {
                        Some(handle) => self.overdue_in_cell(&handle).await?,
                        None => self.overdue_in_api().await?,
                    });
                }
                Err(error) => tracing::warn!(%error, "overdue effects not sent"),
            }
        }
        for (uuid, operation) in overdue {
            let plan = Plan::Send { cell };
            let mut finding = Finding::new(Class::UndeliveredDispatch, &uuid, plan)
                .detail(format!("its {operation} was not sent for longer than allowed"));
            finding.cells.extend(cell);
            finding.repaired = left.as_ref().is_some_and(|left| !left.contains(&(uuid, operation)));
            self.report.add(finding);
        }
        Ok(())
    }
}
