//! The hosts of a plane.

use std::collections::HashMap;

use cellzero_api_db::host_capacity::{self, HostCapacity};
use cellzero_api_db::host_mapping;
use cellzero_database::{DatabaseError, Deadline};
use cellzero_orchestrator::{DiscoverOptions, Discovery, HostError};
use cellzero_router::ReadError;
use cellzero_types::{CellUuid, ComputeNode, RequestContext};
use chrono::{NaiveDateTime, TimeDelta};

use crate::observed::{observed, observed_alone, observed_in};
use crate::{AdminError, ControlPlane, Write};

/// A host that is mapped to a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its name.
    pub host: String,
    /// Its cell.
    pub cell: CellUuid,
    /// Its size and what is claimed of it; none while it has not said how large it is, and on a plane
    /// that Nova made.
    pub capacity: Option<HostCapacity>,
    /// Whether it has reported lately enough to get instances, and no operator says otherwise.
    pub is_up: bool,
}

/// What a host is to one who asks about its instances: `host_status` of the compute API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostStatus {
    /// It reports.
    Up,
    /// It is silent, or has never reported.
    Unknown,
    /// An operator has taken it out of scheduling.
    Maintenance,
    /// An operator has declared it down.
    Down,
}

impl HostStatus {
    /// The word of the compute API.
    pub fn as_str(self) -> &'static str {
        match self {
            HostStatus::Up => "UP",
            HostStatus::Unknown => "UNKNOWN",
            HostStatus::Maintenance => "MAINTENANCE",
            HostStatus::Down => "DOWN",
        }
    }

    fn of(host: &HostCapacity, now: NaiveDateTime, silent_after: TimeDelta) -> HostStatus {
        match host {
            _ if host.forced_down => HostStatus::Down,
            _ if host.service_disabled => HostStatus::Maintenance,
            _ if is_up(host, now, silent_after) => HostStatus::Up,
            _ => HostStatus::Unknown,
        }
    }
}

impl ControlPlane {
    /// What each of these hosts is to one who asks about its instances; a host that is not known is
    /// left out, and so is every one on a plane that Nova made. One statement for each five hundred.
    ///
    /// # Errors
    /// The API database's.
    pub async fn host_statuses(
        &self,
        ctx: &RequestContext,
        hosts: &[String],
    ) -> Result<HashMap<String, HostStatus>, ReadError> {
        if self.inner().router.cells().is_foreign() || hosts.is_empty() {
            return Ok(HashMap::new());
        }
        let (hosts, silent_after) = (hosts.to_vec(), self.silent_after());
        let read =
            self.inner().api.run("host_statuses", Deadline::after(ctx.timeout), move |conn| {
                let now = conn.now();
                let found = host_capacity::of_hosts(conn, &hosts)?.into_iter();
                let statuses =
                    found.map(|host| (host.host.clone(), HostStatus::of(&host, now, silent_after)));
                Ok::<_, DatabaseError>(statuses.collect())
            });
        let read = async { Ok(read.await?) };
        observed("host_statuses", ctx, None, read).await
    }

    /// After so long a silence a host is down.
    fn silent_after(&self) -> TimeDelta {
        TimeDelta::from_std(self.inner().service_down_after).unwrap_or(TimeDelta::MAX)
    }
}

/// The hosts of a plane.
#[derive(Debug)]
pub struct Hosts<'a>(pub(super) &'a ControlPlane);

impl Hosts<'_> {
    /// Takes a host's report: its first one maps it to its cell. A host that does not report for
    /// a while is down and gets no more instances.
    ///
    /// # Errors
    /// [`HostError`]: a bad field, a host in cell0 or of another cell, or a database.
    pub async fn report(&self, cell: CellUuid, node: &ComputeNode) -> Result<(), Write<HostError>> {
        let deadline = self.0.admin_deadline();
        let reported = self.0.orchestrator()?.report_host(cell, node, deadline);
        observed_in("report_host", (Some(cell), None), reported).await.map_err(Write::Failed)
    }

    /// Takes a host out of scheduling; what runs on it goes on.
    ///
    /// # Errors
    /// [`HostError::NotFound`], or a database's.
    pub async fn disable(&self, host: &str, reason: &str) -> Result<(), Write<HostError>> {
        let deadline = self.0.admin_deadline();
        let disabled = self.0.orchestrator()?.set_host_disabled(host, Some(reason), deadline);
        observed_alone("disable_host", disabled).await.map_err(Write::Failed)
    }

    /// Brings a host back into scheduling.
    ///
    /// # Errors
    /// [`HostError::NotFound`], or a database's.
    pub async fn enable(&self, host: &str) -> Result<(), Write<HostError>> {
        let deadline = self.0.admin_deadline();
        let enabled = self.0.orchestrator()?.set_host_disabled(host, None, deadline);
        observed_alone("enable_host", enabled).await.map_err(Write::Failed)
    }

    /// The hosts that are mapped, by name: of one cell, or of all. Two statements, one on a plane that
    /// Nova made.
    ///
    /// # Errors
    /// The API database's.
    pub async fn list(&self, cell: Option<CellUuid>) -> Result<Vec<Host>, AdminError> {
        let is_foreign = self.0.inner().router.cells().is_foreign();
        let silent_after = self.0.silent_after();
        self.0
            .look("list_hosts", move |conn| {
                let capacities = if is_foreign { Vec::new() } else { host_capacity::all(conn)? };
                let mut capacities: HashMap<String, HostCapacity> =
                    capacities.into_iter().map(|one| (one.host.clone(), one)).collect();
                let now = conn.now();
                let mapped = host_mapping::all(conn)?;
                let of_cell = mapped.into_iter().filter(|(_, of)| cell.is_none_or(|c| c == *of));
                let hosts = of_cell.map(|(host, cell)| {
                    let capacity = capacities.remove(&host);
                    let is_up = capacity.as_ref().is_some_and(|c| is_up(c, now, silent_after));
                    Host { host, cell, capacity, is_up }
                });
                Ok::<_, DatabaseError>(hosts.collect())
            })
            .await
    }

    /// Maps the hosts that somebody else wrote into the tables of their cells, such as a compute
    /// agent of Nova's, so that they get instances. A cell that does not answer is named, and the
    /// others are done; a host in cell0, of another cell, or with an unusable size is named too.
    ///
    /// What is derived: the size from the compute node and its ratios, whether it is disabled or
    /// forced down and when it was up last from its compute service, and what is claimed of it from
    /// the instances that are mapped. Traits and reserved amounts are not kept in a cell; the host's
    /// own report brings traits.
    ///
    /// Two statements in each cell, and one more where hosts are new; 4 in the API database for each
    /// cell, one more for each hundred new hosts, and three for each that instances claim.
    ///
    /// # Errors
    /// [`HostError::Cell`] for a cell that does not exist, or the API database's.
    pub async fn discover(&self, options: &DiscoverOptions) -> Result<Discovery, Write<HostError>> {
        let deadline = self.0.admin_deadline();
        let discovered = self.0.orchestrator()?.discover_hosts(options, deadline);
        observed_alone("discover_hosts", discovered).await.map_err(Write::Failed)
    }

    /// Removes a host from its cell: its mapping and what is known of its size. It can be discovered,
    /// or report, again. Two statements in the cell, and eight in the API database.
    ///
    /// # Errors
    /// [`HostError::Cell`] for a cell that does not exist or does not answer,
    /// [`HostError::NotFound`], [`HostError::MappedElsewhere`], and [`HostError::HasInstances`] while
    /// anything needs it; nothing is changed then.
    pub async fn delete(&self, cell: CellUuid, host: &str) -> Result<(), Write<HostError>> {
        let deadline = self.0.admin_deadline();
        let deleted = self.0.orchestrator()?.delete_host(cell, host, deadline);
        observed_in("delete_host", (Some(cell), None), deleted).await.map_err(Write::Failed)
    }

    /// Removes a host's mapping to its cell; an instance that is placed on it is buried with that
    /// reason. Its next report maps it again. Says whether it was mapped.
    ///
    /// # Errors
    /// The API database's.
    pub async fn unmap(&self, host: &str) -> Result<bool, Write<HostError>> {
        let deadline = self.0.admin_deadline();
        let unmapped = self.0.orchestrator()?.unmap_host(host, deadline);
        observed_alone("unmap_host", unmapped).await.map_err(Write::Failed)
    }
}

fn is_up(host: &HostCapacity, now: NaiveDateTime, silent_after: TimeDelta) -> bool {
    !host.forced_down && host.last_seen_up.is_some_and(|seen| now - seen <= silent_after)
}
