//! How a plane is opened.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cellzero_database::{Durability, Options};
use cellzero_orchestrator::{
    Dispatch, InProcessDispatch, Notifier, OrchestratorOptions, SystemUuids, UuidSource,
};
use cellzero_router::BreakerOptions;
use cellzero_scheduler::{FilterSchedulerOptions, Scheduler};

/// How a [`ControlPlane`](crate::ControlPlane) is opened: where its API database is, and what the
/// embedder supplies.
#[derive(Clone)]
pub struct Config {
    pub(crate) api_url: String,
    pub(crate) cell0_url: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) options: Options,
    pub(crate) orchestrator: OrchestratorOptions,
    pub(crate) filter_scheduler: FilterSchedulerOptions,
    pub(crate) scheduler: Option<Arc<dyn Scheduler>>,
    pub(crate) dispatch: Arc<dyn Dispatch>,
    pub(crate) notifiers: Vec<Arc<dyn Notifier>>,
    pub(crate) uuids: Arc<dyn UuidSource>,
    pub(crate) worker: bool,
    pub(crate) existing: bool,
    pub(crate) breaker: Option<BreakerOptions>,
    pub(crate) admin_timeout: Duration,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = cellzero_api_db::cell_mapping::mask_passwords;
        f.debug_struct("Config")
            .field("api_url", &masked(&self.api_url))
            .field("cell0_url", &self.cell0_url.as_deref().map(masked))
            .field("base_url", &self.base_url.as_deref().map(masked))
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// SQLite in one directory, no server: `api.db`, `cell0.db`, and a file for each cell.
    pub fn embedded(directory: impl AsRef<Path>) -> Config {
        let file = |name: &str| -> PathBuf { directory.as_ref().join(name) };
        let mut config = Config::new(file("api.db").to_string_lossy());
        config.cell0_url = Some(file("cell0.db").to_string_lossy().into_owned());
        config
    }

    /// An API database by its URL. Cell0 is beside it, under its name and `_cell0`, unless
    /// [`cell0`](Config::cell0) says otherwise. Databases on servers must exist.
    pub fn new(api_url: impl Into<String>) -> Config {
        Config {
            api_url: api_url.into(),
            cell0_url: None,
            base_url: None,
            options: Options::default(),
            orchestrator: OrchestratorOptions::default(),
            filter_scheduler: FilterSchedulerOptions::default(),
            scheduler: None,
            dispatch: Arc::new(InProcessDispatch),
            notifiers: Vec::new(),
            uuids: Arc::new(SystemUuids),
            worker: true,
            existing: false,
            breaker: Some(BreakerOptions::default()),
            admin_timeout: Duration::from_secs(60),
        }
    }

    /// Where cell0 is to be made, when it is mapped for the first time.
    pub fn cell0(mut self, url: impl Into<String>) -> Config {
        self.cell0_url = Some(url.into());
        self
    }

    /// What templates in cell URLs are filled from: Nova's `[database]/connection`.
    pub fn base_url(mut self, url: impl Into<String>) -> Config {
        self.base_url = Some(url.into());
        self
    }

    /// The embedder's own scheduler instead of the filter scheduler.
    pub fn scheduler(mut self, scheduler: impl Scheduler + 'static) -> Config {
        self.scheduler = Some(Arc::new(scheduler));
        self
    }

    /// What an operator may set of the filter scheduler.
    pub fn filter_scheduler(mut self, options: FilterSchedulerOptions) -> Config {
        self.filter_scheduler = options;
        self
    }

    /// The embedder's way to its compute hosts instead of the in-process default.
    pub fn dispatch(mut self, dispatch: impl Dispatch + 'static) -> Config {
        self.dispatch = Arc::new(dispatch);
        self
    }

    /// One more who listens to what becomes of instances; by default nobody does.
    pub fn notifier(mut self, notifier: impl Notifier + 'static) -> Config {
        self.notifiers.push(Arc::new(notifier));
        self
    }

    /// Where uuids come from, so that a run can be replayed.
    pub fn uuids(mut self, uuids: impl UuidSource + 'static) -> Config {
        self.uuids = Arc::new(uuids);
        self
    }

    /// What an operator may set of the boot.
    pub fn orchestrator(mut self, options: OrchestratorOptions) -> Config {
        self.orchestrator = options;
        self
    }

    /// How databases are connected to: pool, probe, durability.
    pub fn options(mut self, options: Options) -> Config {
        self.options = options;
        self
    }

    /// How durable a SQLite commit is; full by default.
    pub fn durability(mut self, durability: Durability) -> Config {
        self.options.durability = durability;
        self
    }

    /// How a cell that does not answer is treated; none, and every question to it waits for its
    /// deadline.
    pub fn breaker(mut self, options: Option<BreakerOptions>) -> Config {
        self.breaker = options;
        self
    }

    /// Without a worker in this process: the caller settles, or another process does.
    pub fn without_worker(mut self) -> Config {
        self.worker = false;
        self
    }

    /// Only a plane that exists: no database is made or migrated, and cell0 is not mapped. A typing
    /// error in a URL then makes no new plane, and a newer binary changes no schema:
    /// [`Databases::sync`](crate::Databases::sync) does, and an error of a database that is behind
    /// says so.
    pub fn existing(mut self) -> Config {
        self.existing = true;
        self
    }

    /// How long one administrative operation may take, opening included.
    pub fn admin_timeout(mut self, timeout: Duration) -> Config {
        self.admin_timeout = timeout;
        self
    }
}
