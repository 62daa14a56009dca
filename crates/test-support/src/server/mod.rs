//! PostgreSQL and MariaDB servers for tests: the one that a test process shares, and private ones.
//!
//! Never a system's server: each is made for the run, and ends with the process that made it.

mod account;
mod broker;
mod mariadb;
mod postgres;
mod private;
mod processes;
mod supervisor;
mod tls;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context as _, bail};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::{Engine, TestDatabase, engine, sql};

pub use broker::{Broker, missing_broker, private_broker, shared_broker};
pub use private::{Durability, PrivateServer, ServerOptions};

/// The one user of a throwaway server, who may do everything on it.
const TEST_USER: &str = "cellzero";

/// Where a server is, and how to log in as a user who may create databases.
///
/// It answers over TLS too, where the client asks for it; without it as well.
#[derive(Debug, Clone)]
pub struct Server {
    engine: Engine,
    host: String,
    port: u16,
    user: String,
    password: String,
    ca: Option<PathBuf>,
    untrusted_ca: Option<PathBuf>,
}

impl Server {
    /// The engine of this server.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The host to connect to.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The user's password, as it is and not as a URL holds it.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The URL of a database, with user and password.
    pub fn url(&self, database: &str) -> String {
        self.url_with_scheme(self.engine.scheme(), database)
    }

    /// The URL of the database that a server always has, for statements about the server.
    pub fn admin_url(&self) -> String {
        self.url(match self.engine {
            Engine::Postgres => "postgres",
            Engine::Sqlite | Engine::MariaDb => "mysql",
        })
    }

    /// The certificate of the authority that signed the server's own, for `localhost` and
    /// 127.0.0.1; none if the server was given by the environment without it.
    pub fn ca_path(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// The certificate of an authority that did not sign the server's own.
    pub fn untrusted_ca_path(&self) -> Option<&Path> {
        self.untrusted_ca.as_deref()
    }

    /// Runs one query on a database of this server, past all of the project's own code.
    ///
    /// # Errors
    /// Whatever the server or the way to it says.
    pub fn query(&self, database: &str, text: &str) -> anyhow::Result<Vec<sql::Row>> {
        sql::query(self.engine, &self.url(database), text)
    }

    /// Runs one query about the server itself, past all of the project's own code.
    ///
    /// # Errors
    /// Whatever the server or the way to it says.
    pub fn admin_query(&self, text: &str) -> anyhow::Result<Vec<sql::Row>> {
        sql::query(self.engine, &self.admin_url(), text)
    }

    /// Makes a new, empty database on this server, with `hint` in its name.
    ///
    /// # Errors
    /// Whatever the server or the way to it says.
    pub fn create_database(&self, hint: &str) -> anyhow::Result<TestDatabase> {
        TestDatabase::on_server(self, hint)
    }

    /// The variables by which another process uses this server as its shared one.
    pub fn environment(&self) -> Vec<(String, String)> {
        let Some(variable) = self.engine.server_variable() else { return Vec::new() };
        let mut variables = vec![(variable.to_owned(), self.url(""))];
        for (suffix, path) in [("CA", &self.ca), ("UNTRUSTED_CA", &self.untrusted_ca)] {
            if let Some(path) = path {
                variables.push((format!("{variable}_{suffix}"), path.display().to_string()));
            }
        }
        variables
    }

    /// The URL of a database with the scheme that another program gives it.
    pub(crate) fn url_with_scheme(&self, scheme: &str, database: &str) -> String {
        let quote = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        format!(
            "{scheme}://{}:{}@{}:{}/{database}",
            quote(&self.user),
            quote(&self.password),
            self.host,
            self.port,
        )
    }

    fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// The server that the environment names by a URL with user and password.
    fn from_environment(engine: Engine, url: &str) -> anyhow::Result<Self> {
        let variable = engine.server_variable().context("SQLite has no server")?;
        // Not in the error's text: the URL holds a password.
        let url = Url::parse(url).with_context(|| format!("{variable} holds no valid URL"))?;
        if url.scheme() != engine.scheme() {
            bail!("{variable} must start with {}://", engine.scheme());
        }
        let default_port = if engine == Engine::Postgres { 5432 } else { 3306 };
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = |suffix| std::env::var_os(format!("{variable}_{suffix}")).map(PathBuf::from);
        Ok(Self {
            engine,
            host: url.host_str().with_context(|| format!("{variable} names no host"))?.to_owned(),
            port: url.port().unwrap_or(default_port),
            user: decode(url.username()),
            password: decode(url.password().unwrap_or_default()),
            ca: path("CA"),
            untrusted_ca: path("UNTRUSTED_CA"),
        })
    }
}

/// The server that all tests of this process share, or none where the engine is not available.
///
/// It is the one that the environment names (`cargo xtask test` does) or else one of this process,
/// started at the first call. Nobody may stop or pause it: see [`private`].
///
/// # Panics
/// When the server's programs are here and it does not start, as a green run would hide that.
pub fn shared(engine: Engine) -> Option<&'static Server> {
    engine::report_left_out();
    let shared = place(engine)?.get_or_init(|| match open_shared(engine) {
        Ok(shared) => shared,
        Err(error) => panic!("no shared {} server for the tests: {error:#}", engine.name()),
    });
    shared.as_ref().map(Shared::server)
}

/// Where the shared server of an engine is kept once it is there.
fn place(engine: Engine) -> Option<&'static OnceLock<Option<Shared>>> {
    static POSTGRES: OnceLock<Option<Shared>> = OnceLock::new();
    static MARIADB: OnceLock<Option<Shared>> = OnceLock::new();
    match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(&POSTGRES),
        Engine::MariaDb => Some(&MARIADB),
    }
}

/// Whether this is the server that all tests of this process share.
pub(crate) fn is_shared(server: &Server) -> bool {
    let shared = place(server.engine).and_then(OnceLock::get).and_then(Option::as_ref);
    let shared = shared.map(Shared::server);
    shared.is_some_and(|shared| (&shared.host, shared.port) == (&server.host, server.port))
}

/// A new server for a test that stops, pauses or kills it, or none where the engine is missing.
///
/// # Panics
/// When the server's programs are here and it does not start, as a green run would hide that.
pub fn private(engine: Engine, options: ServerOptions) -> Option<PrivateServer> {
    engine::report_left_out();
    if engine == Engine::Sqlite {
        return None;
    }
    if let Some(reason) = engine.missing_binary() {
        engine::report_no_private_server(engine, &reason);
        return None;
    }
    match PrivateServer::launch(engine, options) {
        Ok(server) => Some(server),
        Err(error) => panic!("no private {} server for a test: {error:#}", engine.name()),
    }
}

/// The two ways to have a shared server.
#[derive(Debug)]
enum Shared {
    Given(Server),
    Own(Box<PrivateServer>),
}

impl Shared {
    fn server(&self) -> &Server {
        match self {
            Self::Given(server) => server,
            Self::Own(private) => private,
        }
    }
}

fn open_shared(engine: Engine) -> anyhow::Result<Option<Shared>> {
    if let Some(url) = engine.given_server() {
        return Ok(Some(Shared::Given(Server::from_environment(engine, &url)?)));
    }
    if engine.missing_binary().is_some() {
        return Ok(None);
    }
    let private = PrivateServer::launch(engine, ServerOptions::default())?;
    Ok(Some(Shared::Own(Box::new(private))))
}
