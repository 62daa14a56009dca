//! Where the databases of a plane are: files in one directory, or databases on servers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cellzero::{Config, DatabaseUrl, Deadline, SystemUuids, UuidSource as _, create_database};

/// How long the creation of one database may take.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest name that leaves room for a suffix: PostgreSQL takes 63 bytes.
const NAME_LENGTH_MAX: usize = 40;
/// The examples show a plane with at least two live cells.
const CELLS_MIN: usize = 2;

/// The databases of one plane.
#[derive(Debug, Clone)]
pub struct Databases {
    /// The API database.
    pub api: DatabaseUrl,
    /// Cell0's.
    pub cell0: DatabaseUrl,
    /// Those of the live cells.
    pub cells: Vec<DatabaseUrl>,
    config: Config,
}

impl Databases {
    /// These, wherever they are.
    pub fn new(api: DatabaseUrl, cell0: DatabaseUrl, cells: Vec<DatabaseUrl>) -> Databases {
        let config = Config::new(api.reveal()).cell0(cell0.reveal());
        Databases { api, cell0, cells, config }
    }

    /// SQLite files in one directory, with two live cells.
    ///
    /// # Errors
    /// A path that cannot be written as text.
    pub fn embedded(directory: &Path) -> anyhow::Result<Databases> {
        let file = |name: &str| DatabaseUrl::sqlite(directory.join(name));
        Ok(Databases {
            api: file("api.db")?,
            cell0: file("cell0.db")?,
            cells: vec![file("cell1.db")?, file("cell2.db")?],
            config: Config::embedded(directory),
        })
    }

    /// New databases beside those that `urls` name: the API database and cell0 on the first
    /// server, a live cell on each, and two where there is one server only. All are named after
    /// the URL's database and one suffix that no other run has.
    ///
    /// # Errors
    /// No URL at all, or a name that is too long to get a suffix.
    pub fn on_servers(urls: &[DatabaseUrl]) -> anyhow::Result<Databases> {
        let first = urls.first().context("give the URL of at least one database")?;
        let unique = SystemUuids.instance().simple().to_string();
        let run = &unique[..8];
        let sibling = |url: &DatabaseUrl, role: &str| {
            let stem = url.path().and_then(Path::file_stem).and_then(|stem| stem.to_str());
            let name = url.database_name().or(stem).unwrap_or("cellzero");
            ensure!(
                name.len() <= NAME_LENGTH_MAX,
                "the database name {name:?} is too long; it must be at most {NAME_LENGTH_MAX} bytes"
            );
            Ok(url.with_database(&format!("{name}_{run}_{role}")))
        };
        let cells = (0..urls.len().max(CELLS_MIN))
            .map(|index| sibling(urls.get(index).unwrap_or(first), &format!("cell{}", index + 1)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Databases::new(sibling(first, "api")?, sibling(first, "cell0")?, cells))
    }

    /// All of them, the API database first.
    pub fn all(&self) -> impl Iterator<Item = &DatabaseUrl> {
        [&self.api, &self.cell0].into_iter().chain(&self.cells)
    }

    /// Creates those that are missing on their servers. A SQLite file is made when it is opened.
    ///
    /// # Errors
    /// A server that cannot be reached, or a user who may not create databases.
    pub async fn create_missing(&self) -> anyhow::Result<()> {
        for url in self.all() {
            create_database(url, Deadline::after(CREATE_TIMEOUT))
                .await
                .with_context(|| format!("cannot create {url}"))?;
        }
        Ok(())
    }

    /// How a plane on them is opened. No worker runs: the caller settles.
    pub fn config(&self) -> Config {
        self.config.clone().without_worker()
    }
}

/// Where a database is, as a person reads it: a file's path or a URL without its password.
pub fn place(url: &DatabaseUrl) -> String {
    url.path().map_or_else(|| url.to_string(), |path| path.display().to_string())
}
