//! What operators set up: cells, hosts, flavors, quotas, key pairs, server groups, aggregates; and
//! what the compute side reports.

use std::collections::BTreeMap;

use cellzero_api_db::{
    ApiConnection, CellMapping, aggregate, cell_mapping, flavor, host_capacity, instance_group,
    key_pair, quota,
};
use cellzero_database::{DatabaseError, DatabaseUrl, database_error_source, transaction};
use cellzero_orchestrator::{CreateCellError, HostError, NewCell, ReportError};
use cellzero_types::{
    CellUuid, ComputeNode, Flavor, InstanceUuid, InvalidField, RequestContext, text,
};
use uuid::Uuid;

use crate::open::stored_url;
use crate::{AdminError, ControlPlane, Write};

database_error_source!(AdminError);

impl ControlPlane {
    /// Cells: make, list, open and close for scheduling.
    pub fn cells(&self) -> CellsAdmin<'_> {
        CellsAdmin(self)
    }

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

    async fn change<T: Send + 'static>(
        &self,
        name: &'static str,
        mut work: impl FnMut(&mut ApiConnection) -> Result<T, AdminError> + Send + 'static,
    ) -> Result<T, AdminError> {
        self.writer()?;
        self.inner()
            .api
            .run(name, self.admin_deadline(), move |conn| transaction(conn, name, &mut work))
            .await
    }

    async fn look<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut ApiConnection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, AdminError> {
        Ok(self.inner().api.run(name, self.admin_deadline(), work).await?)
    }
}

/// The cells of a plane.
#[derive(Debug)]
pub struct CellsAdmin<'a>(&'a ControlPlane);

impl CellsAdmin<'_> {
    /// Makes a cell: migrates its database, which must exist on its server, marks it as this cell
    /// of this plane, and maps it. Interrupted, it can be run again.
    ///
    /// # Errors
    /// [`CreateCellError`]: a bad name or URL, a database of another plane, cell or kind, or one
    /// that cannot be reached.
    pub async fn create(&self, new: NewCell) -> Result<CellUuid, Write<CreateCellError>> {
        let writer = self.0.writer()?;
        let inner = self.0.inner();
        let url = DatabaseUrl::parse(&new.url).map_err(|e| Write::Failed(e.into()))?;
        let new = NewCell { url: stored_url(&url, inner.base_dir.as_deref()), ..new };
        writer
            .orchestrator
            .create_cell(writer.plane, new, &url, inner.options.clone(), self.0.admin_deadline())
            .await
            .map_err(Write::Failed)
    }

    /// Makes a cell in a SQLite file of the plane's own directory: `<name>.db`.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn create_embedded(&self, name: &str) -> Result<CellUuid, Write<CreateCellError>> {
        self.0.writer()?;
        let refuse =
            |expected: &str| Write::Failed(InvalidField::new("cell name", name, expected).into());
        if name.contains(['/', '\\']) || name.starts_with('.') || name == "api" || name == "cell0" {
            return Err(refuse("a plain file name other than api and cell0"));
        }
        let Some(directory) = &self.0.inner().base_dir else {
            return Err(refuse("given with a URL, since the API database is on a server"));
        };
        let path = directory.join(format!("{name}.db"));
        self.create(NewCell::new(name, path.to_string_lossy())).await
    }

    /// All cell mappings, in the order in which they were made.
    ///
    /// # Errors
    /// The API database's.
    pub async fn list(&self) -> Result<Vec<CellMapping>, AdminError> {
        self.0.look("list_cells", cell_mapping::all).await
    }

    /// Closes a cell for scheduling; what lives in it goes on. Cell0 is never disabled.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for cell0 and for a cell that does not exist.
    pub async fn disable(&self, cell: CellUuid) -> Result<(), AdminError> {
        self.set_disabled(cell, true).await
    }

    /// Opens a cell for scheduling again.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn enable(&self, cell: CellUuid) -> Result<(), AdminError> {
        self.set_disabled(cell, false).await
    }

    async fn set_disabled(&self, cell: CellUuid, disabled: bool) -> Result<(), AdminError> {
        self.0.writer()?;
        if cell.is_cell0() {
            let expected = "a live cell: nothing is scheduled to cell0, and it cannot be closed";
            return Err(InvalidField::new("cell", cell, expected).into());
        }
        self.0
            .change("set_cell_disabled", move |conn| {
                let now = conn.now();
                if !cell_mapping::set_disabled(conn, cell, disabled, now)? {
                    let expected = "the uuid of a cell of this plane";
                    return Err(InvalidField::new("cell", cell, expected).into());
                }
                if !disabled {
                    host_capacity::raise_cell(conn, cell, now)?;
                }
                Ok(())
            })
            .await
    }
}

/// The hosts of a plane.
#[derive(Debug)]
pub struct Hosts<'a>(&'a ControlPlane);

impl Hosts<'_> {
    /// Takes a host's report: its first one maps it to its cell. A host that does not report for
    /// a while is down and gets no more instances.
    ///
    /// # Errors
    /// [`HostError`]: a bad field, a host in cell0 or of another cell, or a database.
    pub async fn report(&self, cell: CellUuid, node: &ComputeNode) -> Result<(), Write<HostError>> {
        let deadline = self.0.admin_deadline();
        self.0.orchestrator()?.report_host(cell, node, deadline).await.map_err(Write::Failed)
    }

    /// Takes a host out of scheduling; what runs on it goes on.
    ///
    /// # Errors
    /// [`HostError::NotFound`], or a database's.
    pub async fn disable(&self, host: &str, reason: &str) -> Result<(), Write<HostError>> {
        let deadline = self.0.admin_deadline();
        let disabled = self.0.orchestrator()?.set_host_disabled(host, Some(reason), deadline);
        disabled.await.map_err(Write::Failed)
    }

    /// Brings a host back into scheduling.
    ///
    /// # Errors
    /// [`HostError::NotFound`], or a database's.
    pub async fn enable(&self, host: &str) -> Result<(), Write<HostError>> {
        let deadline = self.0.admin_deadline();
        let enabled = self.0.orchestrator()?.set_host_disabled(host, None, deadline);
        enabled.await.map_err(Write::Failed)
    }

    /// Removes a host's mapping to its cell; an instance that is placed on it is buried with that
    /// reason. Its next report maps it again. Says whether it was mapped.
    ///
    /// # Errors
    /// The API database's.
    pub async fn unmap(&self, host: &str) -> Result<bool, Write<HostError>> {
        let deadline = self.0.admin_deadline();
        self.0.orchestrator()?.unmap_host(host, deadline).await.map_err(Write::Failed)
    }
}

/// The flavors of a plane.
#[derive(Debug)]
pub struct Flavors<'a>(&'a ControlPlane);

impl Flavors<'_> {
    /// Adds a flavor.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a bad field; the database's unique violation where its name or
    /// its id is taken.
    pub async fn create(&self, flavor: &Flavor) -> Result<(), AdminError> {
        self.0.writer()?;
        flavor.check()?;
        let flavor = flavor.clone();
        self.0
            .change("create_flavor", move |conn| {
                let now = conn.now();
                flavor::insert(conn, &flavor, now)?;
                Ok(())
            })
            .await
    }

    /// Lets a project use a private flavor.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a flavor that does not exist.
    pub async fn allow(&self, flavorid: &str, project_id: &str) -> Result<(), AdminError> {
        let (flavorid, project) = (flavorid.to_owned(), project_id.to_owned());
        self.0
            .change("allow_flavor", move |conn| {
                let now = conn.now();
                let Some(found) = flavor::find(conn, &flavorid)? else {
                    let expected = "the id of a flavor that exists";
                    return Err(InvalidField::new("flavor", &flavorid, expected).into());
                };
                Ok(flavor::allow(conn, found.id, &project, now)?)
            })
            .await
    }

    /// The flavor with the id that clients use, where there is one.
    ///
    /// # Errors
    /// The API database's.
    pub async fn find(&self, flavorid: &str) -> Result<Option<Flavor>, AdminError> {
        let flavorid = flavorid.to_owned();
        self.0.look("find_flavor", move |conn| flavor::find(conn, &flavorid)).await
    }

    /// All flavors.
    ///
    /// # Errors
    /// The API database's.
    pub async fn list(&self) -> Result<Vec<Flavor>, AdminError> {
        self.0.look("list_flavors", flavor::all).await
    }
}

/// The quotas of projects.
#[derive(Debug)]
pub struct Quotas<'a>(&'a ControlPlane);

impl Quotas<'_> {
    /// Sets one limit of a project; `None` lifts it. `auto_retry` is no amount: with 1 what is buried
    /// of the project is retried by itself, with 0 it is not, where the request does not say.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a resource other than `instances`, `cores`, `ram` and
    /// `auto_retry`, or a negative limit.
    pub async fn set(
        &self,
        project_id: &str,
        resource: &str,
        limit: Option<i32>,
    ) -> Result<(), AdminError> {
        self.0.writer()?;
        if !["instances", "cores", "ram", "auto_retry"].contains(&resource) {
            let known = "instances, cores, ram or auto_retry";
            return Err(InvalidField::new("resource", resource, known).into());
        }
        if let Some(limit) = limit.filter(|limit| *limit < 0) {
            return Err(InvalidField::new("limit", limit, "at least 0, or none").into());
        }
        let (project, resource) = (project_id.to_owned(), resource.to_owned());
        self.0
            .change("set_quota", move |conn| {
                let now = conn.now();
                Ok(quota::set(conn, &project, &resource, limit.unwrap_or(-1), now)?)
            })
            .await
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

/// The aggregates of a plane.
#[derive(Debug)]
pub struct Aggregates<'a>(&'a ControlPlane);

impl Aggregates<'_> {
    /// Adds an aggregate of these hosts. The metadata `availability_zone` makes it a zone.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for a bad name; the database's unique violation where the name is
    /// taken.
    pub async fn create(
        &self,
        name: &str,
        metadata: &BTreeMap<String, String>,
        hosts: &[&str],
    ) -> Result<(), AdminError> {
        self.0.writer()?;
        text::check_name("aggregate name", name)?;
        for (key, value) in metadata {
            text::check_name("aggregate metadata key", key)?;
            text::check("aggregate metadata value", value, text::TEXT_LENGTH_MAX)?;
        }
        let (name, metadata) = (name.to_owned(), metadata.clone());
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        self.0
            .change("create_aggregate", move |conn| {
                let now = conn.now();
                Ok(aggregate::insert(conn, &name, &metadata, &hosts, now)?)
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
        built.await.map_err(Write::Failed)
    }

    /// A host has destroyed an instance: its claim is freed.
    ///
    /// # Errors
    /// The API database's.
    pub async fn destroyed(&self, uuid: InstanceUuid) -> Result<(), Write<ReportError>> {
        self.0.orchestrator()?.destroyed(uuid).await.map_err(Write::Failed)
    }

    /// A host has rebooted an instance: it is ACTIVE with no task again.
    ///
    /// # Errors
    /// [`ReportError::Stale`] where it is not rebooting.
    pub async fn rebooted(
        &self,
        cell: CellUuid,
        uuid: InstanceUuid,
    ) -> Result<(), Write<ReportError>> {
        self.0.orchestrator()?.rebooted(cell, uuid).await.map_err(Write::Failed)
    }
}
