//! RabbitMQ brokers for tests: the one that a test process shares, and private ones.
//!
//! A broker has a node name, an epmd, ports and folders of its own, so that several run beside one
//! another and beside a system's own; it ends with the process that made it. Virtual hosts are made with
//! it, one for each test.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::private::{
    DATA_FOLDER, LOG_FILE, MAX_PORT_ATTEMPTS, START_LIMIT, free_port, memory_folder, new_password,
    tail,
};
use super::processes;
use super::supervisor::{EndSignals, Supervisor};
use super::tls::write_private;
use crate::binaries;
use crate::engine::write_past_capture;

const SCRIPT: &str = include_str!("broker.sh");
/// How many virtual hosts a broker has: more than any test program asks for.
const VHOSTS: usize = 16;
/// What a client of AMQP 0-9-1 says first.
const HELLO: &[u8] = b"AMQP\x00\x00\x09\x01";
/// The first byte of a broker's answer.
const METHOD_FRAME: u8 = 1;
/// What the log says once users and virtual hosts are there.
const READY: &str = "Server startup complete";

/// Why no broker can be started here, or none if one can.
pub fn missing_broker() -> Option<String> {
    binaries::rabbitmq().err()
}

/// A RabbitMQ broker of this process alone, which ends with it whatever happens.
#[derive(Debug)]
pub struct Broker {
    port: u16,
    password: String,
    used: AtomicUsize,
    home: PathBuf,
    supervisor: Supervisor,
    pid: Option<u32>,
}

impl Broker {
    /// Makes a broker and waits until it answers.
    ///
    /// # Errors
    /// A missing program, and a broker that does not start: with the end of its log.
    pub fn launch() -> anyhow::Result<Broker> {
        let binaries = binaries::rabbitmq().map_err(anyhow::Error::msg)?;
        let base = memory_folder().unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new()
            .prefix("cellzero-rabbitmq-")
            .tempdir_in(&base)
            .with_context(|| format!("cannot make a folder in {}", base.display()))?;
        // The real path: processes are found by it, and /proc knows no symbolic links.
        let home = folder.path().canonicalize().context("cannot resolve the broker's folder")?;
        let password = new_password();
        write_files(&home, &password)?;
        let mut server = Command::new("sh");
        server.args(["-c", SCRIPT, "broker.sh"]).arg(&home);
        server.args([binaries.server, binaries.epmd]);
        let signals = EndSignals { stop: "TERM", discard: "KILL" };
        let supervisor = Supervisor::spawn(&home, signals, None, &server)?;
        // From here on the supervisor removes it, also when this process is killed.
        let _ = folder.keep();
        let used = AtomicUsize::new(0);
        let mut broker = Broker { port: 0, password, used, home, supervisor, pid: None };
        for _ in 0..MAX_PORT_ATTEMPTS {
            broker.port = free_port()?;
            if broker.try_start()? {
                return Ok(broker);
            }
        }
        bail!("{MAX_PORT_ATTEMPTS} free ports in a row were taken before the broker had them")
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of its one user.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The transport URL of a virtual host that nobody else of this process is given.
    ///
    /// # Panics
    /// When there are no more.
    pub fn new_vhost(&self) -> String {
        let number = self.used.fetch_add(1, Ordering::SeqCst);
        assert!(number < VHOSTS, "a broker has {VHOSTS} virtual hosts");
        self.url(&vhost(number))
    }

    /// The transport URL of a virtual host.
    pub fn url(&self, vhost: &str) -> String {
        format!("rabbit://cellzero:{}@127.0.0.1:{}/{vhost}", self.password, self.port)
    }

    /// The folder with everything of this broker; it is gone when the broker is dropped.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The ids of all its processes.
    ///
    /// # Errors
    /// When the system's list of processes cannot be read.
    pub fn processes(&self) -> anyhow::Result<Vec<u32>> {
        processes::working_in(&self.data())
    }

    /// Freezes all its processes: its port accepts connections, and nobody answers.
    ///
    /// # Errors
    /// When it is stopped, or does not freeze.
    pub fn pause(&self) -> anyhow::Result<()> {
        processes::pause(&self.data(), self.pid.context("a stopped broker cannot be paused")?)
    }

    /// Lets a paused broker go on.
    ///
    /// # Errors
    /// When its processes cannot be found or signalled.
    pub fn resume(&self) -> anyhow::Result<()> {
        processes::resume(&self.data())
    }

    /// Ends it cleanly and keeps what its queues hold; a stopped one is no error.
    ///
    /// # Errors
    /// When the supervisor has died.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.pid = None;
        self.supervisor.stop()
    }

    /// Ends it by `kill -9`, and keeps what it had written.
    ///
    /// # Errors
    /// When the supervisor has died.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.pid = None;
        self.supervisor.kill()
    }

    /// Starts a stopped or killed broker again, on the same port and data.
    ///
    /// # Errors
    /// When it runs already, or does not start: with the end of its log.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.pid.is_some() {
            bail!("the broker runs already");
        }
        for _ in 0..MAX_PORT_ATTEMPTS {
            if self.try_start()? {
                return Ok(());
            }
            // Somebody's outgoing connection may hold the port for a moment.
            std::thread::sleep(Duration::from_millis(200));
        }
        bail!("port {} stays taken by somebody else", self.port)
    }

    fn data(&self) -> PathBuf {
        self.home.join(DATA_FOLDER)
    }

    /// Says whether it started; it did not where one of its ports was taken.
    fn try_start(&mut self) -> anyhow::Result<bool> {
        let ports = format!("epmd_port={}\ndist_port={}\n", free_port()?, free_port()?);
        std::fs::write(self.home.join("ports"), ports).context("cannot write the ports")?;
        let log_start = self.log().len();
        let pid = self.supervisor.start(self.port)?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let log = self.log();
            let news = log.get(log_start..).unwrap_or(&log);
            if news.contains(READY) && answers(self.port) {
                self.pid = Some(pid);
                return Ok(true);
            }
            if !processes::is_alive(pid) {
                if news.contains("eaddrinuse") || news.contains("in use") {
                    return Ok(false);
                }
                bail!("the broker ended while it started; its log:\n{}", tail(news));
            }
            if Instant::now() > deadline {
                bail!("the broker does not answer in {START_LIMIT:?}; its log:\n{}", tail(news));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        let bytes = std::fs::read(self.home.join(LOG_FILE)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn vhost(number: usize) -> String {
    format!("test{number}")
}

/// Whether somebody speaks AMQP on a port of this machine.
fn answers(port: u16) -> bool {
    let said = || -> std::io::Result<u8> {
        let limit = Duration::from_secs(2);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(HELLO)?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first[0])
    };
    said().is_ok_and(|first| first == METHOD_FRAME)
}

fn write_files(home: &Path, password: &str) -> anyhow::Result<()> {
    let definitions = home.join("definitions.json");
    let vhosts: Vec<String> = (0..VHOSTS).map(vhost).collect();
    let named: Vec<_> = vhosts.iter().map(|name| serde_json::json!({ "name": name })).collect();
    let may = |name: &String| {
        serde_json::json!({
            "user": "cellzero", "vhost": name, "configure": ".*", "write": ".*", "read": ".*",
        })
    };
    let defined = serde_json::json!({
        "users": [{ "name": "cellzero", "password": password, "tags": "" }],
        "vhosts": named,
        "permissions": vhosts.iter().map(may).collect::<Vec<_>>(),
    });
    write_private(&definitions, &defined.to_string())?;
    // Its port is that of the environment, which is a new one when the first is taken.
    let configuration = format!(
        "load_definitions = {}\n\
         disk_free_limit.absolute = 1MB\n\
         log.console = true\n\
         log.console.level = info\n\
         log.file = false\n",
        definitions.display()
    );
    write_private(&home.join("rabbitmq.conf"), &configuration)?;
    write_private(&home.join("enabled_plugins"), "[].\n")?;
    write_private(&home.join("rabbitmq-env.conf"), "")?;
    std::fs::create_dir_all(home.join(DATA_FOLDER)).context("cannot make the broker's data folder")
}

/// The broker that all tests of this process share, or none where RabbitMQ is not installed, which is
/// said once. Nobody may stop or pause it: see [`private_broker`].
///
/// # Panics
/// When its programs are here and it does not start, as a green run would hide that.
pub fn shared_broker() -> Option<&'static Broker> {
    static SHARED: OnceLock<Option<Broker>> = OnceLock::new();
    SHARED.get_or_init(private_broker).as_ref()
}

/// A new broker for a test that stops, pauses or kills it, or none where RabbitMQ is missing.
///
/// # Panics
/// When its programs are here and it does not start, as a green run would hide that.
pub fn private_broker() -> Option<Broker> {
    static REPORTED: Once = Once::new();
    if let Some(reason) = missing_broker() {
        REPORTED.call_once(|| {
            write_past_capture(&format!("cellzero tests: left out: rabbitmq ({reason})\n"));
        });
        return None;
    }
    match Broker::launch() {
        Ok(broker) => Some(broker),
        Err(error) => panic!("no broker for the tests: {error:#}"),
    }
}
