//! A private, throwaway server: started, stopped, paused and killed at will.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::account::Account;
use super::supervisor::{EndSignals, Supervisor};
use super::tls::{self, TlsFiles};
use super::{Server, TEST_USER, mariadb, postgres, processes};
use crate::{Engine, sql};

/// The folder of a server's data inside its home.
pub(crate) const DATA_FOLDER: &str = "data";
pub(crate) const LOG_FILE: &str = "server.log";
/// How long a server may take to answer its first query.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
pub(crate) const MAX_PORT_ATTEMPTS: u32 = 10;
/// The memory that the file system in memory must have free before a server is put there.
const MEMORY_NEEDED: u64 = 2 << 30;

/// What a server does for the durability of a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing, and the data is kept in memory where it fits: for tests.
    #[default]
    Relaxed,
    /// What was acknowledged survives the end of the server by `kill -9`, not that of the machine:
    /// for tests that kill it. PostgreSQL's data is kept in memory where it fits.
    Process,
    /// What a real server does, on a real disk: for measurements.
    Full,
}

/// How a private server is made.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ServerOptions {
    /// What a commit is worth.
    pub durability: Durability,
}

impl ServerOptions {
    /// The same options with another durability.
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability }
    }
}

/// A server of this process alone, which ends with it whatever happens.
///
/// It lives in a fresh folder and listens on a free port of 127.0.0.1; dropping it kills it and
/// removes the folder.
#[derive(Debug)]
pub struct PrivateServer {
    server: Server,
    home: PathBuf,
    supervisor: Supervisor,
    pid: Option<u32>,
}

impl Deref for PrivateServer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

/// What is particular to an engine in running one of its servers.
pub(crate) struct Recipe {
    pub(crate) account: Option<Account>,
    pub(crate) signals: EndSignals,
    pub(crate) server: Command,
}

impl PrivateServer {
    /// Makes a server and waits until it answers.
    ///
    /// # Errors
    /// SQLite, a missing program, and a server that does not start: with the end of its log.
    pub fn launch(engine: Engine, options: ServerOptions) -> anyhow::Result<Self> {
        let base = base_folder(engine, options.durability);
        let prefix = format!("cellzero-{}-", engine.name());
        let folder = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(&base)
            .with_context(|| format!("cannot make a folder in {}", base.display()))?;
        // The real path: processes are found by it, and /proc knows no symbolic links.
        let home = folder.path().canonicalize().context("cannot resolve the server's folder")?;
        let tls = tls::write_files(&home)?;
        let recipe = match engine {
            Engine::Sqlite => bail!("SQLite has no server"),
            Engine::Postgres => postgres::recipe(&home, options.durability, &tls)?,
            Engine::MariaDb => mariadb::recipe(&home, options.durability, &tls)?,
        };
        if let Some(account) = recipe.account {
            for path in [&home, &tls.ca, &tls.untrusted_ca, &tls.certificate, &tls.key] {
                account.own(path)?;
            }
        }
        let account = recipe.account;
        let supervisor = Supervisor::spawn(&home, recipe.signals, account, &recipe.server)?;
        // From here on the supervisor removes it, also when this process is killed.
        let _ = folder.keep();
        let password = new_password();
        let server = address(engine, &password, tls);
        let mut private = Self { server, home, supervisor, pid: None };
        private.install(account, &password)?;
        private.start_on_a_free_port()?;
        Ok(private)
    }

    /// The server's first process, or none while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The folder with everything of this server; it is gone when the server is dropped.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The ids of all the server's processes.
    ///
    /// # Errors
    /// When the system's list of processes cannot be read.
    pub fn processes(&self) -> anyhow::Result<Vec<u32>> {
        processes::working_in(&self.data())
    }

    /// Freezes all the server's processes: its port accepts connections, and nobody answers.
    ///
    /// # Errors
    /// When the server is stopped, or does not freeze.
    pub fn pause(&self) -> anyhow::Result<()> {
        let first = self.pid.context("a stopped server cannot be paused")?;
        processes::pause(&self.data(), first)
    }

    /// Lets a paused server go on.
    ///
    /// # Errors
    /// When its processes cannot be found or signalled.
    pub fn resume(&self) -> anyhow::Result<()> {
        processes::resume(&self.data())
    }

    /// Ends the server cleanly and keeps its data; also a paused one, and a stopped one is no error.
    ///
    /// # Errors
    /// When the supervisor has died.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.pid = None;
        self.supervisor.stop()
    }

    /// Ends the server as a power cut would, and keeps its data.
    ///
    /// # Errors
    /// When the supervisor has died.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.pid = None;
        self.supervisor.kill()
    }

    /// Starts a stopped or killed server again, on the same port and data.
    ///
    /// # Errors
    /// When it runs already, or does not start: with the end of its log.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.pid.is_some() {
            bail!("the server runs already");
        }
        for _ in 1..MAX_PORT_ATTEMPTS {
            match self.try_start()? {
                Started::Ready => return Ok(()),
                // Somebody's outgoing connection may hold the port for a moment.
                Started::PortTaken => std::thread::sleep(Duration::from_millis(200)),
            }
        }
        bail!("port {} stays taken by somebody else", self.server.port())
    }

    fn data(&self) -> PathBuf {
        self.home.join(DATA_FOLDER)
    }

    fn install(&self, account: Option<Account>, password: &str) -> anyhow::Result<()> {
        match self.server.engine() {
            Engine::Sqlite => bail!("SQLite has no server"),
            Engine::Postgres => postgres::install(&self.home, account, password),
            Engine::MariaDb => mariadb::install(&self.home, password),
        }
    }

    fn start_on_a_free_port(&mut self) -> anyhow::Result<()> {
        for _ in 0..MAX_PORT_ATTEMPTS {
            self.server.set_port(free_port()?);
            match self.try_start()? {
                Started::Ready => return Ok(()),
                Started::PortTaken => continue,
            }
        }
        bail!("{MAX_PORT_ATTEMPTS} free ports in a row were taken before the server had them")
    }

    fn try_start(&mut self) -> anyhow::Result<Started> {
        let log_start = self.log().len();
        let pid = self.supervisor.start(self.server.port())?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let answer = sql::query(self.server.engine(), &self.server.admin_url(), "SELECT 1");
            let Err(error) = answer else {
                self.pid = Some(pid);
                return Ok(Started::Ready);
            };
            let log = self.log();
            let news = log.get(log_start..).unwrap_or(&log);
            if !processes::is_alive(pid) {
                if news.contains("Address already in use") {
                    return Ok(Started::PortTaken);
                }
                bail!("the server ended while it started; its log:\n{}", tail(news));
            }
            if Instant::now() > deadline {
                let news = tail(news).to_owned();
                return Err(error.context(format!("no answer in {START_LIMIT:?}; log:\n{news}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.home.join(LOG_FILE)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

enum Started {
    Ready,
    PortTaken,
}

fn address(engine: Engine, password: &str, tls: TlsFiles) -> Server {
    Server {
        engine,
        host: "127.0.0.1".to_owned(),
        port: 0,
        user: TEST_USER.to_owned(),
        password: password.to_owned(),
        ca: Some(tls.ca),
        untrusted_ca: Some(tls.untrusted_ca),
    }
}

/// Where servers live: in memory if there is plenty, as no test needs its data after a power cut.
///
/// MariaDB takes memory for persistent memory and maps its log there; with the log left to the
/// system at each commit, it then loses acknowledged commits when it is killed.
fn base_folder(engine: Engine, durability: Durability) -> PathBuf {
    let may_be_memory = match durability {
        Durability::Relaxed => true,
        Durability::Process => engine != Engine::MariaDb,
        Durability::Full => false,
    };
    let memory = may_be_memory.then(memory_folder).flatten();
    memory.unwrap_or_else(std::env::temp_dir)
}

/// The file system in memory, where it has plenty free.
pub(crate) fn memory_folder() -> Option<PathBuf> {
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail * stat.f_frsize);
    (free >= MEMORY_NEEDED).then(|| memory.to_owned())
}

/// Runs the program that makes a data folder, and gives its output if it fails.
pub(crate) fn run_installer(
    mut command: Command,
    home: &Path,
    account: Option<Account>,
) -> anyhow::Result<()> {
    // The supervisor knows what to kill by the folder in which it works.
    command.current_dir(home).env("LC_ALL", "C").stdin(Stdio::null());
    if let Some(account) = account {
        account.apply(&mut command);
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    bail!("{program} ended with {}:\n{}", output.status, tail(&String::from_utf8_lossy(&text)))
}

/// The last lines of a log: enough to see why, and not a screen of it.
pub(crate) fn tail(text: &str) -> &str {
    let start = text.trim_end().rmatch_indices('\n').nth(29).map_or(0, |(at, _)| at + 1);
    text.get(start..).unwrap_or(text)
}

pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr().context("a listener has no port")?.port())
}

/// Letters and digits only, so that it needs no quoting in SQL or a URL.
pub(crate) fn new_password() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
