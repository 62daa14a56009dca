//! What operators set up: cells, hosts, flavors, quotas, key pairs, server groups, aggregates; and
//! what the compute side reports.

mod aggregates;
mod flavors;
mod hosts;
mod quotas;

pub use aggregates::Aggregates;
pub use flavors::Flavors;
pub use hosts::{Host, Hosts};
pub use quotas::{Quota, Quotas};

use cellzero_api_db::{ApiConnection, instance_group, key_pair};
use cellzero_database::{DatabaseError, database_error_source, transaction};
use cellzero_orchestrator::ReportError;
use cellzero_types::{CellUuid, InstanceUuid, InvalidField, RequestContext, text};
use uuid::Uuid;

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

/// The key pairs of users.
#[derive(Debug)]
pub struct KeyPairs<'a>(&'a ControlPlane);

impl KeyPairs<'_> {
    /// Adds a key pair of the user of `ctx`.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a bad name or key; the database's unique violation where the
    /// user has one of this name.
    pub async fn create(
        &self,
        ctx: &RequestContext,
        name: &str,
        public_key: &str,
    ) -> Result<(), AdminError> {
        self.0.writer()?;
        text::check_name("key_name", name)?;
        text::check("public_key", public_key, 65_535)?;
        let (user, name, key) = (ctx.user_id.clone(), name.to_owned(), public_key.to_owned());
        self.0
            .change("create_key_pair", move |conn| {
                let now = conn.now();
                Ok(key_pair::insert(conn, &user, &name, &key, now)?)
            })
            .await
    }
}

/// The server groups of projects.
#[derive(Debug)]
pub struct ServerGroups<'a>(&'a ControlPlane);

impl ServerGroups<'_> {
    /// Adds a server group of the project of `ctx`. `max_server_per_host` counts for
    /// anti-affinity.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a bad name or an unknown policy.
    pub async fn create(
        &self,
        ctx: &RequestContext,
        name: &str,
        policy: &str,
        max_server_per_host: u32,
    ) -> Result<Uuid, AdminError> {
        self.0.writer()?;
        text::check_name("server group name", name)?;
        let policies = ["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"];
        if !policies.contains(&policy) {
            let expected = format!("one of {}", policies.join(", "));
            return Err(InvalidField::new("policy", policy, expected).into());
        }
        if max_server_per_host == 0 {
            return Err(InvalidField::new("max_server_per_host", 0, "at least 1").into());
        }
        let uuid = Uuid::new_v4();
        let owner = (ctx.project_id.clone(), ctx.user_id.clone());
        let (name, policy) = (name.to_owned(), policy.to_owned());
        self.0
            .change("create_server_group", move |conn| {
                let now = conn.now();
                let rules = (policy.as_str(), max_server_per_host);
                let group = (uuid, name.as_str());
                instance_group::insert(conn, (&owner.0, &owner.1), group, rules, now)?;
                Ok(uuid)
            })
            .await
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
    /// Three commits; 5 statements in the cell, 11 in the API database, 5 more there, 7 in the cell and
    /// 1 in the API database; then what is due in the cell's outbox is sent.
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
