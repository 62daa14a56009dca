//! What operators set up: cells, hosts, flavors, quotas, key pairs, server groups, aggregates; and
//! what the compute side reports.

mod aggregates;
mod compute_hosts;
mod flavors;
mod hosts;
mod key_pairs;
mod quotas;
mod server_groups;

pub use aggregates::Aggregates;
pub use compute_hosts::{ComputeService, Hypervisor, Hypervisors, Services, Zone, ZoneHost};
pub use flavors::Flavors;
pub use hosts::{Host, HostStatus, Hosts};
pub use key_pairs::KeyPairs;
pub use quotas::{Quota, Quotas};
pub use server_groups::{GroupWithMembers, ServerGroups};

use cellzero_api_db::ApiConnection;
use cellzero_database::{DatabaseError, database_error_source, transaction};
use cellzero_orchestrator::ReportError;
use cellzero_types::{CellUuid, InstanceUuid};

use crate::observed::{observed_alone, observed_in};
use crate::{AdminError, ControlPlane, Write};

database_error_source!(AdminError);

impl ControlPlane {
    /// Hosts: their reports, and whether they take work.
    pub fn hosts(&self) -> Hosts<'_> {
        Hosts(self)
    }

    /// Flavors: the sizes that can be asked for.
    pub fn flavors(&self) -> Flavors<'_> {
        Flavors(self)
    }

    /// Quotas of projects.
    pub fn quotas(&self) -> Quotas<'_> {
        Quotas(self)
    }

    /// Key pairs of users.
    pub fn key_pairs(&self) -> KeyPairs<'_> {
        KeyPairs(self)
    }

    /// Server groups: instances with a common placement policy.
    pub fn server_groups(&self) -> ServerGroups<'_> {
        ServerGroups(self)
    }

    /// Aggregates: sets of hosts, availability zones among them.
    pub fn aggregates(&self) -> Aggregates<'_> {
        Aggregates(self)
    }

    /// What compute hosts report about instances.
    pub fn compute(&self) -> Compute<'_> {
        Compute(self)
    }

    pub(crate) async fn change<T: Send + 'static>(
        &self,
        name: &'static str,
        mut work: impl FnMut(&mut ApiConnection) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        self.writer()?;
        let deadline = self.admin_deadline();
        let work = move |conn: &mut ApiConnection| transaction(conn, name, &mut work);
        observed_alone(name, self.inner().api.run(name, deadline, work)).await
    }

    pub(crate) async fn look<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut ApiConnection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, AdminError> {
        let looked = self.inner().api.run(name, self.admin_deadline(), work);
        Ok(observed_alone(name, looked).await?)
    }
}

/// What compute hosts report about instances.
#[derive(Debug)]
pub struct Compute<'a>(&'a ControlPlane);

impl Compute<'_> {
    /// A host has built an instance: it becomes ACTIVE. `sequence` is the build operation's.
    ///
    /// # Errors
    /// [`ReportError::Stale`] where another operation has been sent for it since.
    pub async fn built(
        &self,
        cell: CellUuid,
        uuid: InstanceUuid,
        host: &str,
        sequence: i64,
    ) -> Result<(), Write<ReportError>> {
        let built = self.0.orchestrator()?.built(cell, uuid, host, sequence);
        observed_in("built", (Some(cell), Some(uuid)), built).await.map_err(Write::Failed)
    }

    /// A host could not build an instance, and has cleaned up: the next alternate in the same cell
    /// takes its place, or it becomes ERROR there, never in cell0. `sequence` is the build operation's;
    /// the user reads `reason` in its fault. Gives the next host; none where no alternate is left.
    ///
    /// Once this is `Ok` or stale the report is stored; until then the host repeats it.
    ///
    /// Four commits, 18 statements in the API database and 16 in the cell, of which one commit and four
    /// statements in the cell are of the sending to the next host; one statement more in the API
    /// database for each alternate without room.
    ///
    /// # Errors
    /// [`ReportError::Stale`] where it is not being built there, or the report was stored before.
    pub async fn failed(
        &self,
        cell: CellUuid,
        uuid: InstanceUuid,
        host: &str,
        sequence: i64,
        reason: &str,
    ) -> Result<Option<String>, Write<ReportError>> {
        let failed = self.0.orchestrator()?.failed(cell, uuid, host, sequence, reason);
        observed_in("failed", (Some(cell), Some(uuid)), failed).await.map_err(Write::Failed)
    }

    /// A host has destroyed an instance: its claim is freed. `sequence` is the destroy operation's.
    ///
    /// # Errors
    /// [`ReportError::Stale`] where its destroy was not asked for.
    pub async fn destroyed(
        &self,
        uuid: InstanceUuid,
        sequence: i64,
    ) -> Result<(), Write<ReportError>> {
        let destroyed = self.0.orchestrator()?.destroyed(uuid, sequence);
        observed_in("destroyed", (None, Some(uuid)), destroyed).await.map_err(Write::Failed)
    }

    /// A host has done what it was asked to do with an instance: it is in the state that this leads to,
    /// with no task. Or it could not, and says why in `failure`: then the instance is in the state that
    /// it had, in ERROR after a rebuild, and the user reads the reason in its fault. `sequence` is the
    /// operation's.
    ///
    /// # Errors
    /// [`ReportError::Stale`] where it is not under way by that operation.
    pub async fn acted(
        &self,
        cell: CellUuid,
        uuid: InstanceUuid,
        (host, sequence): (&str, i64),
        failure: Option<&str>,
    ) -> Result<(), Write<ReportError>> {
        let acted = self.0.orchestrator()?.acted(cell, uuid, (host, sequence), failure);
        observed_in("acted", (Some(cell), Some(uuid)), acted).await.map_err(Write::Failed)
    }
}
