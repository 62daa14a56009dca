//! The databases of a plane, whether or not it can be opened: migrated, looked at, checked.

use std::sync::Arc;
use std::time::Duration;

use cellzero_api_db::ApiDatabase;
use cellzero_cell_db::CellDatabase;
use cellzero_database::{DatabaseError, DatabaseUrl, Deadline, Identity, Options};
use cellzero_orchestrator::UuidSource;
use cellzero_orchestrator::status::{self, StatusOptions, StatusReport};
use cellzero_orchestrator::sync::{
    self, PlaneDatabase, PlaneState, SchemaError, ShownDatabase, SyncReport, SyncedDatabase,
};
use cellzero_router::Cells;
use cellzero_types::PlaneUuid;

use crate::open::{cells, directory_of};
use crate::{Config, OpenError};

/// The databases that a configuration leads to: the API database, and from it every cell. It needs
/// no plane that can be opened, so it is where a plane begins, and where it is upgraded.
#[derive(Debug)]
pub struct Databases {
    config: Config,
    url: DatabaseUrl,
    /// The plane that an empty API database becomes that of; none for a new one.
    plane: Option<PlaneUuid>,
}

impl Databases {
    /// The databases of this configuration. Nothing is opened yet.
    ///
    /// # Errors
    /// [`OpenError::Url`] for a URL that cannot be used.
    pub fn new(config: Config) -> Result<Databases, OpenError> {
        let url = DatabaseUrl::parse(&config.api_url)?;
        Ok(Databases { config, url, plane: None })
    }

    /// The same, of which an empty API database becomes that of this plane again, instead of that of a
    /// new one: where it was lost, and the cells still say whose they are.
    pub fn of_plane(self, plane: PlaneUuid) -> Databases {
        Databases { plane: Some(plane), ..self }
    }

    /// The plane that the database of a cell says that it belongs to; none where it was never a cell's.
    /// One or two statements there; nothing is written.
    ///
    /// # Errors
    /// [`SchemaError`]: a URL that cannot be used, a database that cannot be reached, or is none of a
    /// cell.
    pub async fn plane_of(&self, cell_url: &str) -> Result<Option<PlaneUuid>, SchemaError> {
        let url = DatabaseUrl::parse(cell_url)?;
        let options = Options { create: false, ..self.config.options.clone() };
        let cell = CellDatabase::new(url, options);
        let recorded = cell.recorded(self.deadline()).await;
        cell.close().await;
        Ok(recorded?.and_then(|recorded| recorded.identity).map(|of| PlaneUuid(of.plane)))
    }

    fn api(&self, create: bool) -> ApiDatabase {
        let options = Options { create, ..self.config.options.clone() };
        ApiDatabase::new(self.url.clone(), options)
    }

    /// The cells of this plane. A SQLite file that is missing is not made anew.
    fn cells(&self, api: &ApiDatabase, plane: PlaneUuid) -> Result<Cells, SchemaError> {
        let mut config = self.config.clone();
        config.options.create = false;
        config.breaker = None;
        match cells(api, &config, Some(plane), directory_of(&self.url)) {
            Ok(cells) => Ok(cells),
            Err(OpenError::Url(error)) => Err(SchemaError::Url(error)),
            Err(OpenError::Api { source, .. }) => Err(SchemaError::Database(source)),
            Err(OpenError::Cell0(_) | OpenError::NoPlane { .. }) => {
                unreachable!("nothing is opened or made here")
            }
        }
    }

    fn timeout(&self) -> Duration {
        self.config.admin_timeout
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.timeout())
    }

    /// Migrates the API database, then cell0, then every other cell, to this binary's version, each
    /// within the configuration's `admin_timeout`. An empty API database becomes that of a new plane, or of
    /// the one that was [named](Databases::of_plane).
    /// `tell` hears of each database as soon as it is done.
    ///
    /// A cell that fails is in the report, and the others are done; where the API database fails,
    /// nothing else is. It can be killed at any time and run again, and several at once take turns.
    pub async fn sync(&self, mut tell: impl FnMut(&SyncedDatabase) + Send) -> SyncReport {
        let api = self.api(self.config.options.create);
        let mut report = SyncReport::default();
        let uuids: &Arc<dyn UuidSource> = &self.config.uuids;
        let synced = sync::sync_api(&api, self.plane, &**uuids, self.deadline()).await;
        let (outcome, plane) = match synced {
            Ok((migrated, plane)) => (Ok(migrated), Some(plane)),
            Err(error) => (Err(error.into()), None),
        };
        let done =
            SyncedDatabase { database: PlaneDatabase::Api, url: self.url.to_string(), outcome };
        tell(&done);
        report.databases.push(done);
        if let Some(plane) = plane
            && let Err(error) = self.sync_cells(&api, plane, &mut report, &mut tell).await
        {
            // Without the mappings nobody knows which cells there are.
            report.databases[0].outcome = Err(error);
        }
        api.close().await;
        report
    }

    async fn sync_cells(
        &self,
        api: &ApiDatabase,
        plane: PlaneUuid,
        report: &mut SyncReport,
        tell: &mut (dyn FnMut(&SyncedDatabase) + Send),
    ) -> Result<(), SchemaError> {
        let cells = self.cells(api, plane)?;
        let synced = sync::sync_cells(&cells, self.timeout(), report, tell).await;
        cells.close().await;
        Ok(synced?)
    }

    /// The version and the drift of each database, beside what this binary makes. Nothing is written,
    /// not even a SQLite file. All cells are asked at once.
    pub async fn state(&self) -> PlaneState {
        let api = self.api(false);
        let (state, cells) = self.state_by(&api).await;
        if let Some(cells) = cells {
            cells.close().await;
        }
        api.close().await;
        state
    }

    /// The state, and the cells where the API database can be used.
    async fn state_by(&self, api: &ApiDatabase) -> (PlaneState, Option<Cells>) {
        let deadline = self.deadline();
        let url = self.url.to_string();
        let state = self.api_state(api, deadline).await;
        let plane = state.as_ref().ok().and_then(|state| state.recorded?.identity);
        let mut all = PlaneState::default();
        all.databases.push(ShownDatabase {
            database: PlaneDatabase::Api,
            url,
            state: state.map_err(SchemaError::from),
        });
        let Some(Identity { plane, .. }) = plane else { return (all, None) };
        match self.show_cells(api, PlaneUuid(plane), deadline).await {
            Ok((shown, cells)) => {
                all.cell0_is_mapped = shown.first().is_some_and(|first| match &first.database {
                    PlaneDatabase::Cell { uuid, .. } => uuid.is_cell0(),
                    PlaneDatabase::Api => false,
                });
                all.databases.extend(shown);
                (all, Some(cells))
            }
            Err(error) => {
                all.databases[0].state = Err(error);
                (all, None)
            }
        }
    }

    async fn api_state(
        &self,
        api: &ApiDatabase,
        deadline: Deadline,
    ) -> Result<cellzero_database::DatabaseState, DatabaseError> {
        let state = api.state(deadline).await?;
        if let Some(recorded) = &state.recorded
            && let Some(identity) = recorded.identity
        {
            recorded.belongs_to(Identity { cell: None, ..identity })?;
        }
        Ok(state)
    }

    async fn show_cells(
        &self,
        api: &ApiDatabase,
        plane: PlaneUuid,
        deadline: Deadline,
    ) -> Result<(Vec<ShownDatabase>, Cells), SchemaError> {
        let cells = self.cells(api, plane)?;
        let shown = sync::show_cells(&cells, deadline).await?;
        Ok((shown, cells))
    }

    /// Checks what the plane stands on: its databases, their versions, identities, drift, clocks and
    /// settings; hosts without a cell; requests that have waited for long. It only reads.
    ///
    /// Ten statements in the API database and eight in each cell; all cells are asked at once.
    pub async fn status(&self, options: &StatusOptions) -> StatusReport {
        let api = self.api(false);
        let (state, cells) = self.state_by(&api).await;
        let total = self.config.options.connections_total.total();
        let deadline = self.deadline();
        let sound = state.databases.first().is_some_and(ShownDatabase::is_sound);
        let usable = cells.as_ref().filter(|_| sound);
        let report = status::check(&api, usable, &state, (options, total), deadline).await;
        if let Some(cells) = cells {
            cells.close().await;
        }
        api.close().await;
        report
    }
}
