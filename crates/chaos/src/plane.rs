//! The plane of a run: its servers and databases, and how a process opens it.
//!
//! Where there are servers, the API database and `cell2` are on the first, cell0 and `cell1` on the
//! second, so that each fails without the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use cellzero::{
    CellUuid, ComputeNode, Config, ControlPlane, Durability, NewCell, Options, OrchestratorOptions,
};
use cellzero_test_support::{
    Durability as ServerDurability, Engine, PrivateServer, ServerOptions, TestDatabase,
    create_database, private,
};

use crate::effects::EffectLog;
use crate::population::{HOSTS_OF_A_CELL, Population, flavors};

/// How a process opens the plane.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    pub(crate) api_url: String,
    pub(crate) lease: Duration,
    /// The name of the process in faults and in the log of effects.
    pub(crate) process: String,
}

impl Opening {
    /// The configuration: short leases and short times, so that what fails is tried again soon.
    pub(crate) fn config(&self, effects: &Path) -> anyhow::Result<Config> {
        let options = Options {
            durability: Durability::Normal,
            connect_timeout_max: Duration::from_secs(2),
            statement_timeout_max: Duration::from_secs(10),
            ..Options::default()
        };
        let orchestrator = OrchestratorOptions {
            lease: self.lease,
            back_off: Duration::from_millis(200),
            back_off_max: Duration::from_secs(2),
            step_timeout: Duration::from_secs(4),
            host: self.process.clone(),
            ..OrchestratorOptions::default()
        };
        Ok(Config::new(self.api_url.clone())
            .options(options)
            .orchestrator(orchestrator)
            .dispatch(EffectLog::open(effects, &self.process)?)
            .admin_timeout(Duration::from_secs(20))
            .without_worker())
    }
}

/// The databases of the plane.
#[derive(Debug)]
pub(crate) struct Databases {
    pub(crate) api: TestDatabase,
    pub(crate) cell0: TestDatabase,
    pub(crate) cells: Vec<(CellUuid, TestDatabase)>,
}

impl Databases {
    /// Every cell with its database, cell0 first.
    pub(crate) fn all_cells(&self) -> Vec<(CellUuid, &TestDatabase)> {
        let cells = self.cells.iter().map(|(cell, database)| (*cell, database));
        std::iter::once((CellUuid::CELL0, &self.cell0)).chain(cells).collect()
    }
}

/// The servers of an engine, whose commits survive `kill -9`; none for SQLite.
pub(crate) fn start_servers(engine: Engine) -> anyhow::Result<Vec<PrivateServer>> {
    let options = ServerOptions::default().durability(ServerDurability::Process);
    let count = if engine == Engine::Sqlite { 0 } else { 2 };
    let servers = (0..count).map(|_| {
        private(engine, options).with_context(|| format!("{} is not here", engine.name()))
    });
    servers.collect()
}

/// A new plane with its cells, hosts and flavors, and how to open it again.
pub(crate) async fn make(
    engine: Engine,
    servers: &[PrivateServer],
    (population, lease, effects): (&Population, Duration, &Path),
) -> anyhow::Result<(Arc<ControlPlane>, Databases, Opening)> {
    let database = |server: usize, hint: &str| -> anyhow::Result<TestDatabase> {
        match servers.get(server) {
            Some(server) => server.create_database(hint),
            None => create_database(engine, hint).context("SQLite is always here"),
        }
    };
    let (api, cell0) = (database(0, "api")?, database(1, "cell0")?);
    let opening = Opening { api_url: api.url().to_owned(), lease, process: "driver".to_owned() };
    let config = opening.config(effects)?.cell0(cell0.url());
    let plane = ControlPlane::open(config).await?;
    let mut cells = Vec::new();
    for (name, server) in [("cell1", 1), ("cell2", 0)] {
        let database = database(server, name)?;
        let cell = plane.cells().create(NewCell::new(name, database.url())).await?;
        cells.push((cell, database));
    }
    for flavor in flavors() {
        plane.flavors().create(&flavor).await?;
    }
    let uuids: Vec<CellUuid> = cells.iter().map(|(cell, _)| *cell).collect();
    if let Some(failed) = report_hosts(&plane, &uuids, population.room).await {
        bail!("a host could not report: {failed}");
    }
    Ok((Arc::new(plane), Databases { api, cell0, cells }, opening))
}

/// Lets every host report; says what failed, which a later report makes good.
pub(crate) async fn report_hosts(
    plane: &ControlPlane,
    cells: &[CellUuid],
    room: i32,
) -> Option<String> {
    let mut failed = None;
    for (cell, number) in cells.iter().zip(1..) {
        for host in 1..=HOSTS_OF_A_CELL {
            let name = format!("cell{number}-host{host}");
            let node = ComputeNode::new(name, room, 2_000_000_000, 2_000_000_000)
                .with_ratios(1.0, 1.0, 1.0);
            if let Err(error) = plane.hosts().report(*cell, &node).await {
                failed = Some(crate::order::chain(&error));
            }
        }
    }
    failed
}
