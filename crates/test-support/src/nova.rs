//! A plane that OpenStack Nova itself made: its API database, cell0 and two live cells.
//!
//! See `fixtures/nova-made/README.md` for what is in it and where its engines differ.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::database::{Charset, TestDatabase, new_folder};
use crate::server::{self, Server};
use crate::{Engine, engine, sql};

/// The names of the four databases where Nova's operator made them.
const DATABASES: [&str; 4] = ["nova_api", "nova_cell0", "nova_cell1", "nova_cell2"];

/// A private copy of the Nova-made plane, which goes away with this value.
#[derive(Debug)]
pub struct NovaPlane {
    /// The API database, as `sqlite://`, `postgres://` or `mysql://`.
    pub api_url: String,
    /// Nova's `[database]/connection` just as its operator wrote it, with SQLAlchemy's driver and
    /// query (`mysql+pymysql://…?charset=utf8`): the templates of cell0 and cell1 are filled from it.
    pub base_url: String,
    /// Nova's own answers on these very databases.
    pub expected: serde_json::Value,
    /// In the order of `DATABASES`.
    databases: Vec<TestDatabase>,
}

impl NovaPlane {
    /// The API database.
    pub fn api(&self) -> &TestDatabase {
        &self.databases[0]
    }

    /// The database of cell0, cell1 or cell2.
    ///
    /// # Panics
    /// When the number is none of 0, 1 and 2.
    pub fn cell(&self, number: usize) -> &TestDatabase {
        &self.databases[1 + number]
    }
}

/// A private copy of the Nova-made plane on the engine, or none where the engine is not available.
///
/// # Panics
/// When the engine is here and the plane cannot be restored, as a green run would hide that.
pub fn nova_plane(engine: Engine) -> Option<NovaPlane> {
    engine::report_left_out();
    let plane = match engine {
        Engine::Sqlite => copy_files("sqlite", "expected.json"),
        Engine::Postgres | Engine::MariaDb => restore_dumps(server::shared(engine)?),
    };
    match plane {
        Ok(plane) => Some(plane),
        Err(error) => panic!("no Nova-made plane on {} for a test: {error:#}", engine.name()),
    }
}

/// A private copy of the Nova-made plane with planted anomalies, on SQLite. What is `expected` is
/// the list of the anomalies.
///
/// # Panics
/// When it cannot be copied, as a green run would hide that.
pub fn damaged_nova_plane() -> NovaPlane {
    match copy_files("damaged", "damaged/damaged.json") {
        Ok(plane) => plane,
        Err(error) => panic!("no damaged Nova-made plane for a test: {error:#}"),
    }
}

fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/nova-made").join(path)
}

fn expected(path: &str) -> anyhow::Result<serde_json::Value> {
    let text = std::fs::read_to_string(fixture(path)).with_context(|| format!("no {path}"))?;
    serde_json::from_str(&text).with_context(|| format!("{path} is not JSON"))
}

/// The files' own names stay, as their cell mappings hold paths beside the API database.
fn copy_files(from: &str, answers: &str) -> anyhow::Result<NovaPlane> {
    let folder = new_folder()?;
    let mut databases = Vec::new();
    for name in DATABASES {
        let file = format!("{name}.db");
        let bytes = std::fs::read(fixture(&format!("{from}/{file}")))
            .with_context(|| format!("cannot read {file}"))?;
        // Not `fs::copy`: a fixture's permissions, perhaps read-only, do not belong on the copy.
        std::fs::write(folder.path().join(&file), bytes)
            .with_context(|| format!("cannot copy {file}"))?;
        databases.push(TestDatabase::in_folder(&folder, name));
    }
    Ok(NovaPlane {
        api_url: databases[0].url().to_owned(),
        base_url: databases[1].url().to_owned(),
        expected: expected(answers)?,
        databases,
    })
}

fn restore_dumps(server: &Server) -> anyhow::Result<NovaPlane> {
    let engine = server.engine();
    let databases = DATABASES
        .iter()
        .map(|name| TestDatabase::on_server_with(server, name, Charset::Nova))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for (name, database) in DATABASES.iter().zip(&databases) {
        let path = format!("{}/{name}.sql.gz", engine.name());
        let dump = unzip(&path)?;
        match engine {
            Engine::Postgres => sql::restore_postgres(database.url(), &dump),
            Engine::Sqlite | Engine::MariaDb => sql::execute(engine, database.url(), &dump),
        }
        .with_context(|| format!("cannot restore {path}"))?;
    }
    let names: Vec<&str> = databases.iter().map(TestDatabase::name).collect();
    rename_cells(server, &databases[0], &names)?;
    Ok(NovaPlane {
        api_url: databases[0].url().to_owned(),
        base_url: operator_url(server, names[1]),
        expected: expected(&format!("{}/expected.json", engine.name()))?,
        databases,
    })
}

fn unzip(path: &str) -> anyhow::Result<String> {
    let file = std::fs::File::open(fixture(path)).with_context(|| format!("no {path}"))?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .with_context(|| format!("{path} is not a gzip file of text"))?;
    Ok(text)
}

/// The URL that Nova's operator would write for a database of this server.
fn operator_url(server: &Server, database: &str) -> String {
    match server.engine() {
        Engine::Postgres => server.url_with_scheme("postgresql+psycopg2", database),
        Engine::Sqlite | Engine::MariaDb => {
            server.url_with_scheme("mysql+pymysql", database) + "?charset=utf8"
        }
    }
}

/// Points the cell mappings to where the cells were restored.
///
/// cell0 and cell1 keep Nova's template with another database's name; cell2 keeps a full URL.
fn rename_cells(server: &Server, api: &TestDatabase, names: &[&str]) -> anyhow::Result<()> {
    let [_, cell0, cell1, cell2] = names else { bail!("a plane has four databases") };
    api.execute(&format!(
        "UPDATE cell_mappings SET database_connection = \
             REPLACE(database_connection, '/nova_cell0', '/{cell0}') WHERE name = 'cell0';
         UPDATE cell_mappings SET database_connection = \
             REPLACE(database_connection, '/nova_cell1', '/{cell1}') WHERE name = 'cell1';
         UPDATE cell_mappings SET database_connection = '{}' WHERE name = 'cell2';",
        operator_url(server, cell2),
    ))
    .context("cannot point the cell mappings to the restored cells")
}
