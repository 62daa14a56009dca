//! A new, empty database for one test, dropped with it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::admin::Admin;
use crate::server::{self, Server};
use crate::{Engine, Session, engine, sql};

/// How much of a hint goes into a name, so that it stays within every engine's limit.
const HINT_LENGTH: usize = 30;

/// A database that exists as long as this value.
#[derive(Debug)]
pub struct TestDatabase {
    engine: Engine,
    name: String,
    url: String,
    place: Place,
    /// The connection of the queries, once there was one.
    asked: Mutex<Option<Session>>,
}

#[derive(Debug)]
enum Place {
    /// Shared by the databases of one plane, and removed with the last of them.
    Folder {
        kept: Arc<TempDir>,
    },
    Server(Server),
}

/// The text of a server's databases.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Charset {
    /// What this project's databases have.
    Ours,
    /// What Nova's have.
    Nova,
}

/// A new, empty database on the engine, or none where the engine is not available.
///
/// On a server: UTF-8, with the collation that this project's databases have. On SQLite: a path in
/// a folder of its own, where no file is yet. `hint` goes into the name, for a person who looks.
///
/// # Panics
/// When the engine is here and makes no database, as a green run would hide that.
pub fn create_database(engine: Engine, hint: &str) -> Option<TestDatabase> {
    engine::report_left_out();
    let created = match engine {
        Engine::Sqlite => new_folder().map(|folder| TestDatabase::in_folder(&folder, hint)),
        Engine::Postgres | Engine::MariaDb => {
            TestDatabase::on_server(server::shared(engine)?, hint)
        }
    };
    match created {
        Ok(database) => Some(database),
        Err(error) => panic!("no {} database for a test: {error:#}", engine.name()),
    }
}

impl TestDatabase {
    /// The engine of this database.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The name on its server, or of its file without the ending.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL, with user and password: `sqlite:///folder/file`, `postgres://…` or `mysql://…`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder of its file, and none for one on a server.
    pub fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder { kept } => Some(kept.path()),
            Place::Server(_) => None,
        }
    }

    /// Runs one query past all of the project's own code; each value comes as text. On a server, all of
    /// them have one connection, as to make one costs more than most queries.
    ///
    /// # Errors
    /// Whatever the database or the way to it says.
    pub fn query(&self, text: &str) -> anyhow::Result<Vec<sql::Row>> {
        if self.engine == Engine::Sqlite {
            return sql::query(self.engine, &self.url, text);
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // Its server may have ended since.
        let kept = asked.take().filter(|session| session.query("SELECT 1").is_ok());
        asked.insert(kept.unwrap_or_else(|| self.session())).query(text)
    }

    /// A connection past all of the project's own code that stays open, for a test that asks often.
    pub fn session(&self) -> Session {
        Session::open(self.engine, &self.url)
    }

    /// Runs one or more statements past all of the project's own code.
    ///
    /// # Errors
    /// Whatever the database or the way to it says.
    pub fn execute(&self, text: &str) -> anyhow::Result<()> {
        sql::execute(self.engine, &self.url, text)
    }

    pub(crate) fn in_folder(folder: &Arc<TempDir>, name: &str) -> Self {
        let path = folder.path().join(format!("{name}.db"));
        Self {
            engine: Engine::Sqlite,
            name: name.to_owned(),
            url: format!("sqlite://{}", path.display()),
            place: Place::Folder { kept: Arc::clone(folder) },
            asked: Mutex::default(),
        }
    }

    pub(crate) fn on_server(server: &Server, hint: &str) -> anyhow::Result<Self> {
        Self::on_server_with(server, hint, Charset::Ours)
    }

    pub(crate) fn on_server_with(
        server: &Server,
        hint: &str,
        charset: Charset,
    ) -> anyhow::Result<Self> {
        let name = unique_name(hint);
        let text = match (server.engine(), charset) {
            (Engine::Postgres, _) => {
                format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
            }
            (_, Charset::Ours) => {
                format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
            }
            (_, Charset::Nova) => format!("CREATE DATABASE {name} CHARACTER SET utf8mb3"),
        };
        Admin::of(server)
            .query(&text)
            .with_context(|| format!("cannot create the database {name}"))?;
        let url = server.url(&name);
        let place = Place::Server(server.clone());
        Ok(Self { engine: server.engine(), name, url, place, asked: Mutex::default() })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A SQLite file goes with its folder.
        let Place::Server(server) = &self.place else { return };
        if let Err(error) = drop_database(server, &self.name) {
            // A panic while a test fails would hide the test's own; the server goes away anyway.
            eprintln!("the test database {} stays behind: {error:#}", self.name);
        }
    }
}

/// How long connections that were told to end may take before the server is made to drop anyway.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

fn drop_database(server: &Server, name: &str) -> anyhow::Result<()> {
    let admin = Admin::of(server);
    if server.engine() == Engine::Postgres {
        end_connections(&admin, name)?;
        admin.query(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
        return Ok(());
    }
    // A connection with an open transaction would hold the tables until it ends.
    let list = format!("SELECT id FROM information_schema.processlist WHERE db = '{name}'");
    for row in admin.query(&list)? {
        let Some(Some(id)) = row.first() else { continue };
        match admin.query(&format!("KILL {id}")) {
            // One that has ended by itself meanwhile is what we want.
            Err(error) if !format!("{error:#}").contains("Unknown thread id") => return Err(error),
            _ => {}
        }
    }
    admin.query(&format!("DROP DATABASE IF EXISTS {name}"))?;
    Ok(())
}

/// Ends what is connected to a database, and waits for it. `DROP … WITH (FORCE)` alone looks again
/// after a tenth of a second where a connection still ends, which is most of what a short test takes.
fn end_connections(admin: &Admin, name: &str) -> anyhow::Result<()> {
    let text =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    let until = Instant::now() + ENDS_WITHIN;
    while !admin.query(&text)?.is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

pub(crate) fn new_folder() -> anyhow::Result<Arc<TempDir>> {
    let folder = tempfile::Builder::new().prefix("cellzero-sqlite-").tempdir();
    folder.map(Arc::new).context("cannot make a folder")
}

/// A name that no other test has, also of another run on the same server.
fn unique_name(hint: &str) -> String {
    let hint: String = hint
        .chars()
        .map(
            |letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' },
        )
        .take(HINT_LENGTH)
        .collect();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    format!("cz_{hint}_{}", unique.get(..16).unwrap_or(&unique))
}
