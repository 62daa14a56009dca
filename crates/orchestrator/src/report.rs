//! What the compute side reports: hosts and their size, and operations that are done.

use std::collections::HashMap;

use cellzero_api_db::{boot_state, cell_mapping, claim, host_capacity, host_mapping};
use cellzero_cell_db::{action, change, compute_node, fence, instance, service};
use cellzero_database::{DatabaseError, Deadline, database_error_source, transaction};
use cellzero_router::{CellError, CellHandle};
use cellzero_types::{Action, CellUuid, ComputeNode, InstanceUuid, InvalidField};
use chrono::TimeDelta;

use crate::Orchestrator;
use crate::notification::EventType;
use crate::operation::{sequence_of, sequence_of_action};

/// Why a host's report was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// A field of the report cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// Cell0 never has a host.
    #[error("host {host} was reported in cell0, which never has hosts; report it to a live cell")]
    Cell0 {
        /// The host.
        host: String,
    },
    /// The host belongs to another cell.
    #[error("host {host} is mapped to cell {mapped}; remove it there first, or report it there")]
    MappedElsewhere {
        /// The host.
        host: String,
        /// Its cell.
        mapped: CellUuid,
    },
    /// No such host has reported.
    #[error("host {host} is not known; it must report first")]
    NotFound {
        /// The host.
        host: String,
    },
    /// Something lives on the host, or is on its way to or from it.
    #[error(
        "host {host} has {count} instances; delete them, or wait for the host to destroy them, first"
    )]
    HasInstances {
        /// The host.
        host: String,
        /// How many.
        count: i64,
    },
    /// Its cell failed.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// The API database failed.
    #[error("what is known of the hosts could not be changed in the API database")]
    Database(#[from] DatabaseError),
}

database_error_source!(HostError);

/// Why a report about an instance changed nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The instance is not there, or another operation has been sent for it since.
    #[error("the report about instance {uuid} is out of date: {reason}")]
    Stale {
        /// The instance.
        uuid: InstanceUuid,
        /// How.
        reason: &'static str,
    },
    /// Its cell could not be reached.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// A database failed; report again.
    #[error("the report could not be stored")]
    Database(#[from] DatabaseError),
}

impl Orchestrator {
    /// Takes a host's report: its size into its cell, and its mapping and capacity into the API
    /// database, from where the scheduler reads it.
    ///
    /// # Errors
    /// [`HostError`].
    pub async fn report_host(
        &self,
        cell: CellUuid,
        node: &ComputeNode,
        deadline: Deadline,
    ) -> Result<(), HostError> {
        node.check()?;
        if cell.is_cell0() {
            return Err(HostError::Cell0 { host: node.host.clone() });
        }
        let handle = self.0.router.cells().get(cell, deadline).await?;
        self.check_mapping(cell, node.host.clone(), deadline).await?;
        let reported = node.clone();
        handle
            .run("report_host", deadline, move |conn| {
                transaction(conn, "report_host", |conn| {
                    let now = conn.now();
                    compute_node::report(conn, &reported, now)?;
                    service::report_up(conn, &reported.host, now)
                })
            })
            .await
            .map_err(|source| CellError::Database { cell, source })?;
        let reported = node.clone();
        let cell_id = handle.mapping().id;
        let silent_after =
            TimeDelta::from_std(self.0.options.host_silent_after).unwrap_or(TimeDelta::MAX);
        self.api()
            .run("report_host", deadline, move |conn| {
                transaction(conn, "report_host", |conn| {
                    let now = conn.now();
                    let host = reported.host.clone();
                    let mapped: HashMap<String, CellUuid> = host_mapping::cells_of(conn, &[host])?;
                    match mapped.get(&reported.host) {
                        Some(mapped) if *mapped != cell => {
                            let host = reported.host.clone();
                            return Err(HostError::MappedElsewhere { host, mapped: *mapped });
                        }
                        Some(_) => {}
                        None => {
                            // Adopted instances may claim it already: they are counted by either.
                            cell_mapping::lock(conn, cell)?;
                            host_mapping::insert(conn, &reported.host, cell_id, now)?;
                            // It may be known from a time when it was mapped before.
                            let host = std::slice::from_ref(&reported.host);
                            host_capacity::raise(conn, host, now)?;
                        }
                    }
                    Ok(host_capacity::report(conn, cell, &reported, silent_after, now)?)
                })
            })
            .await
    }

    /// Refuses a host of another cell before its own cell is touched.
    async fn check_mapping(
        &self,
        cell: CellUuid,
        host: String,
        deadline: Deadline,
    ) -> Result<(), HostError> {
        let hosts = vec![host.clone()];
        let mapped = self
            .api()
            .run("read_host_mapping", deadline, move |conn| host_mapping::cells_of(conn, &hosts))
            .await?;
        match mapped.get(&host) {
            Some(mapped) if *mapped != cell => {
                Err(HostError::MappedElsewhere { host, mapped: *mapped })
            }
            _ => Ok(()),
        }
    }

    /// Takes a host out of scheduling, with a reason, or back in with none.
    ///
    /// # Errors
    /// [`HostError::NotFound`] for a host that never reported, or a database's.
    pub async fn set_host_disabled(
        &self,
        host: &str,
        reason: Option<&str>,
        deadline: Deadline,
    ) -> Result<(), HostError> {
        let name = host.to_owned();
        let disabled = reason.is_some();
        let known = self
            .api()
            .run("set_host_disabled", deadline, move |conn| {
                let now = conn.now();
                host_capacity::set_disabled(conn, &name, disabled, now)?;
                host_capacity::find(conn, &name)
            })
            .await?;
        let Some(known) = known else { return Err(HostError::NotFound { host: host.to_owned() }) };
        let handle = self.0.router.cells().get(known.cell, deadline).await?;
        let (host, reason) = (host.to_owned(), reason.map(str::to_owned));
        handle
            .run("set_service_disabled", deadline, move |conn| {
                let now = conn.now();
                service::set_disabled(conn, &host, reason.as_deref(), now)
            })
            .await
            .map_err(|source| CellError::Database { cell: known.cell, source })?;
        Ok(())
    }

    /// Removes a host's mapping: nothing new is created on it. Says whether there was one.
    ///
    /// # Errors
    /// The API database's.
    pub async fn unmap_host(&self, host: &str, deadline: Deadline) -> Result<bool, HostError> {
        let host = host.to_owned();
        Ok(self
            .api()
            .run("unmap_host", deadline, move |conn| host_mapping::delete(conn, &host))
            .await?)
    }

    /// A host has built an instance. Only the host that was told to, and only for the epoch whose
    /// rows stand in the cell (`sequence` of the build operation), can say so.
    ///
    /// # Errors
    /// [`ReportError::Stale`] where that is no longer so.
    pub async fn built(
        &self,
        cell: CellUuid,
        uuid: InstanceUuid,
        host: &str,
        sequence: i64,
    ) -> Result<(), ReportError> {
        let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
        let fence = handle
            .run("read_fence", self.step_deadline(), move |conn| fence::find(conn, uuid))
            .await?;
        let written = fence.and_then(|fence| fence.written_epoch);
        if written.map(sequence_of) != Some(sequence) {
            return Err(ReportError::Stale { uuid, reason: "it was placed anew" });
        }
        self.apply_built(&handle, uuid, host).await
    }

    /// A host has done what it was asked to do with an instance, or says in `failure` why it could not.
    /// Only the host that has it, and only for the last action (`sequence` of its operation), can say
    /// so.
    ///
    /// # Errors
    /// [`ReportError::Stale`] where it is not under way by that operation.
    pub async fn acted(
        &self,
        cell: CellUuid,
        uuid: InstanceUuid,
        (host, sequence): (&str, i64),
        failure: Option<&str>,
    ) -> Result<(), ReportError> {
        let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
        let host = host.to_owned();
        let under_way = handle
            .run("read_action", self.step_deadline(), move |conn| {
                let written = fence::find(conn, uuid)?.and_then(|fence| fence.written_epoch);
                let last = sequence_of_action(written.unwrap_or(0), action::count(conn, uuid)?);
                let is_there = instance::host(conn, uuid)?.is_some_and(|there| there == host);
                let under_way = change::state_in_task(conn, uuid)?;
                let action = under_way.and_then(|(_, task)| Action::of_task(&task));
                Ok::<_, DatabaseError>(action.filter(|_| is_there && last == sequence))
            })
            .await?;
        match under_way {
            Some(action) => self.apply_acted(&handle, uuid, action, failure).await,
            None => Err(ReportError::Stale {
                uuid,
                reason: "another action came, or none is under way",
            }),
        }
    }

    /// A host has destroyed an instance: its claim is freed. `sequence` is the destroy operation's,
    /// which went to one host only. Four statements where there is a claim, and a commit.
    ///
    /// # Errors
    /// [`ReportError::Stale`] where it is not deleted, or was decided anew since.
    pub async fn destroyed(&self, uuid: InstanceUuid, sequence: i64) -> Result<(), ReportError> {
        let freed = self
            .api()
            .run("free_claim", self.step_deadline(), move |conn| {
                transaction(conn, "free_claim", |conn| {
                    let now = conn.now();
                    let standing = boot_state::standings(conn, &[uuid])?.remove(&uuid);
                    let is_dead = standing.is_some_and(|standing| {
                        let decided = standing.decided_epoch.map_or(0, sequence_of);
                        standing.queued_for_delete && sequence > decided
                    });
                    let freed = is_dead.then(|| claim::free(conn, &[uuid], now)).transpose()?;
                    Ok::<_, DatabaseError>(freed)
                })
            })
            .await?;
        let reason = "its destroy was not asked for";
        let freed = freed.ok_or(ReportError::Stale { uuid, reason })?;
        self.tell_of_freed(freed).await;
        Ok(())
    }

    pub(crate) async fn apply_built(
        &self,
        handle: &CellHandle,
        uuid: InstanceUuid,
        host: &str,
    ) -> Result<(), ReportError> {
        let building = host.to_owned();
        let built = handle
            .run("built", self.step_deadline(), move |conn| {
                transaction(conn, "built", |conn| {
                    let now = conn.now();
                    let built = instance::mark_built(conn, uuid, &building, now)?;
                    if built {
                        action::finish_events(conn, uuid, "Success", now)?;
                    }
                    Ok::<_, DatabaseError>(built)
                })
            })
            .await?;
        if built {
            let told = EventType::InstanceCreateEnd;
            self.tell_of_report(told, handle, (uuid, host), |_| {}).await;
            Ok(())
        } else {
            Err(ReportError::Stale { uuid, reason: "it is not building on this host" })
        }
    }
}
