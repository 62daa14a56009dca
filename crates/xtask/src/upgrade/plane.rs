//! The databases of a run.

use anyhow::Context as _;
use cellzero_test_support::{Engine, PrivateServer, TestDatabase, create_database};

use crate::test::start;

/// The API database, cell0 and two cells, on a server of the run's own.
#[derive(Debug)]
pub(crate) struct Plane {
    api: TestDatabase,
    cell0: TestDatabase,
    cells: [TestDatabase; 2],
    _server: Option<PrivateServer>,
}

impl Plane {
    /// Empty databases.
    pub(crate) fn new(engine: Engine) -> anyhow::Result<Plane> {
        let server = match engine {
            Engine::Sqlite => None,
            Engine::Postgres | Engine::MariaDb => Some(start(engine)?),
        };
        let database = |hint: &str| match &server {
            Some(server) => server.create_database(hint),
            None => create_database(engine, hint).context("SQLite is always here"),
        };
        let (api, cell0) = (database("api")?, database("cell0")?);
        let cells = [database("cell1")?, database("cell2")?];
        Ok(Plane { api, cell0, cells, _server: server })
    }

    /// The API database's URL, with its password.
    pub(crate) fn api_url(&self) -> &str {
        self.api.url()
    }

    /// Cell0's URL, with its password.
    pub(crate) fn cell0_url(&self) -> &str {
        self.cell0.url()
    }

    /// The URLs of the live cells, with their passwords.
    pub(crate) fn cell_urls(&self) -> [&str; 2] {
        [self.cells[0].url(), self.cells[1].url()]
    }

    /// The schema version that each database records, all of them in one text.
    pub(crate) fn schema_version(&self) -> anyhow::Result<String> {
        let mut versions = Vec::new();
        for database in [&self.api, &self.cell0, &self.cells[0], &self.cells[1]] {
            let rows = database.query("SELECT schema_version FROM database_identity")?;
            let version = rows.first().and_then(|row| row[0].clone());
            versions.push(version.context("a database without a version")?);
        }
        versions.dedup();
        Ok(versions.join("/"))
    }
}
