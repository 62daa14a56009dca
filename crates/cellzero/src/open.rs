//! Opening a plane: its own, or one that Nova made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cellzero_api_db::{ApiDatabase, CellMapping};
use cellzero_database::{DatabaseError, DatabaseUrl, Deadline, Identity, Options};
use cellzero_orchestrator::Orchestrator;
use cellzero_orchestrator::sync::{sync_api, sync_files};
use cellzero_router::{Cells, CellsOptions, Router};
use cellzero_scheduler::{FilterScheduler, Scheduler};
use cellzero_types::PlaneUuid;

use crate::plane::{Inner, Writer};
use crate::worker::Workers;
use crate::{Config, ControlPlane, OpenError};

impl ControlPlane {
    /// Opens a plane: migrates the API database and the cells that are SQLite files, makes and maps
    /// cell0 where it is not mapped, and is ready. A plane that stands already is opened whether or
    /// not its cells answer. Cells on servers are migrated by [`Databases::sync`](crate::Databases),
    /// never by this; with [`Config::existing`] nothing is made or migrated, and it must stand.
    ///
    /// About ten statements in the API database, and one in each cell that is a SQLite file.
    ///
    /// # Errors
    /// [`OpenError`]: a URL that cannot be used, an API database that cannot be reached, that this
    /// binary may not use, that has drifted, or that is a cell; a cell0 that cannot be made.
    pub async fn open(config: Config) -> Result<ControlPlane, OpenError> {
        let deadline = Deadline::after(config.admin_timeout);
        let url = DatabaseUrl::parse(&config.api_url)?;
        let base_dir = directory_of(&url);
        let create = config.options.create && !config.existing;
        let api = ApiDatabase::new(url.clone(), Options { create, ..config.options.clone() });
        let failed = |source| OpenError::Api { url: url.to_string(), source };
        let plane = match config.existing {
            true => find_plane(&api, deadline).await.map_err(failed)?,
            false => Some(sync_api(&api, None, &*config.uuids, deadline).await.map_err(failed)?.1),
        };
        let plane = plane.ok_or_else(|| OpenError::NoPlane { url: url.to_string() })?;
        let cells = cells(&api, &config, Some(plane), base_dir.clone())?;
        let router = Router::new(api.clone(), cells);
        let orchestrator = orchestrator(&api, &router, &config);
        let mappings = router.cells().refresh(deadline).await.map_err(failed)?;
        let cell0 = cell0_url(&config, &url)?;
        if !config.existing {
            sync_files(router.cells(), &mappings, config.admin_timeout).await;
        }
        if !config.existing && !mappings.iter().any(CellMapping::is_cell0) {
            orchestrator
                .map_cell0(
                    plane,
                    &stored_url(&cell0, base_dir.as_deref()),
                    &cell0,
                    config.options.clone(),
                    deadline,
                )
                .await
                .map_err(OpenError::Cell0)?;
        }
        let timeout = config.admin_timeout;
        let worker = config.worker.then(|| Workers::start(&orchestrator, 1, timeout));
        let writer = Writer { orchestrator, plane };
        Ok(ControlPlane::new(Inner {
            api,
            router,
            writer: Some(writer),
            worker,
            options: config.options,
            admin_timeout: config.admin_timeout,
            base_dir,
            service_down_after: config.filter_scheduler.service_down_after,
            default_zone: config.filter_scheduler.default_availability_zone.clone(),
            cell0_url: cell0,
        }))
    }

    /// Opens a plane for reading only, also one that Nova made: show and list work, every write is
    /// a typed error, and nothing is written, not even a version.
    ///
    /// # Errors
    /// [`OpenError`]: a URL that cannot be used, or an API database that cannot be read.
    pub async fn open_read_only(config: Config) -> Result<ControlPlane, OpenError> {
        let deadline = Deadline::after(config.admin_timeout);
        let url = DatabaseUrl::parse(&config.api_url)?;
        let base_dir = directory_of(&url);
        let options = Options { read_only: true, ..config.options.clone() };
        let config = Config { options: options.clone(), ..config };
        let api = ApiDatabase::new(url.clone(), options.clone());
        let failed = |source| OpenError::Api { url: url.to_string(), source };
        // A plane of our own says who it is; one that Nova made has no such table.
        let schema = api.schema(deadline).await.map_err(failed)?;
        let plane = match schema.tables.contains_key("database_identity") {
            true => api.identity(deadline).await.map_err(failed)?.map(|id| PlaneUuid(id.plane)),
            false => None,
        };
        let cells = cells(&api, &config, plane, base_dir.clone())?;
        let router = Router::new(api.clone(), cells);
        Ok(ControlPlane::new(Inner {
            api,
            router,
            writer: None,
            worker: None,
            options,
            admin_timeout: config.admin_timeout,
            base_dir,
            service_down_after: config.filter_scheduler.service_down_after,
            default_zone: config.filter_scheduler.default_availability_zone.clone(),
            cell0_url: cell0_url(&config, &url)?,
        }))
    }
}

/// The plane of an API database that stands, which this binary may use; none where it has none yet.
async fn find_plane(
    api: &ApiDatabase,
    deadline: Deadline,
) -> Result<Option<PlaneUuid>, DatabaseError> {
    let Some(recorded) = api.recorded(deadline).await? else { return Ok(None) };
    let Some(Identity { plane, .. }) = recorded.identity else { return Ok(None) };
    api.check(deadline, Identity { plane, cell: None }).await?;
    api.check_drift(deadline).await?;
    Ok(Some(PlaneUuid(plane)))
}

pub(crate) fn cells(
    api: &ApiDatabase,
    config: &Config,
    plane: Option<PlaneUuid>,
    base_dir: Option<PathBuf>,
) -> Result<Cells, OpenError> {
    let base_url = config.base_url.as_deref().map(DatabaseUrl::parse).transpose()?;
    let options = CellsOptions {
        database: config.options.clone(),
        plane,
        base_url,
        base_dir,
        breaker: config.breaker,
    };
    Ok(Cells::new(api.clone(), options))
}

fn orchestrator(api: &ApiDatabase, router: &Router, config: &Config) -> Orchestrator {
    let scheduler: Arc<dyn Scheduler> = match &config.scheduler {
        Some(own) => Arc::clone(own),
        None => Arc::new(FilterScheduler::new(api.clone(), config.filter_scheduler.clone())),
    };
    let mut options = config.orchestrator.clone();
    options.host_silent_after =
        options.host_silent_after.min(config.filter_scheduler.service_down_after);
    Orchestrator::new(
        api.clone(),
        router.clone(),
        scheduler,
        Arc::clone(&config.dispatch),
        config.notifiers.clone(),
        Arc::clone(&config.uuids),
        options,
    )
}

/// Where relative SQLite paths in cell URLs begin: beside the API database's file.
pub(crate) fn directory_of(api: &DatabaseUrl) -> Option<PathBuf> {
    let directory = api.path()?.parent()?;
    Some(if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory.to_owned() })
}

/// Where cell0 is made: where the configuration says, otherwise beside the API database.
fn cell0_url(config: &Config, api: &DatabaseUrl) -> Result<DatabaseUrl, OpenError> {
    match &config.cell0_url {
        Some(url) => Ok(DatabaseUrl::parse(url)?),
        None => {
            let stem = api.path().and_then(|path| path.file_stem()).and_then(|stem| stem.to_str());
            let main = api.database_name().or(stem).unwrap_or("cellzero");
            Ok(api.with_database(&format!("{main}_cell0")))
        }
    }
}

/// A URL as a cell mapping keeps it: a SQLite file in the plane's directory by its place in it, so
/// that the directory can be moved; any other file by its whole path.
pub(crate) fn stored_url(url: &DatabaseUrl, base_dir: Option<&Path>) -> String {
    let Some(path) = url.path() else { return url.reveal().to_owned() };
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let path = whole(path);
    let stored = match base_dir.map(whole) {
        Some(base) => path.strip_prefix(&base).map_or(path.clone(), Path::to_owned),
        None => path,
    };
    stored.to_string_lossy().into_owned()
}
