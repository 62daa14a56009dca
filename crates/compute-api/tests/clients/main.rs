//! Unmodified clients of PyPI against the API: openstacksdk, the `openstack` command, novaclient,
//! Tempest, and Schemathesis, which asks whatever the document allows and what it does not; and the page
//! in Chromium.
//!
//! The first test makes a Python environment under `target/tmp` and installs what
//! `requirements.txt` pins; later ones and later runs find it there.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cellzero::{ComputeNode, Config, ControlPlane, Flavor, NewCell};
use cellzero_compute_api::{Api, ApiOptions, Keystone, KeystoneOptions};
use cellzero_test_support::{Engine, TestDatabase, create_database};
use rstest::rstest;
use tokio::net::TcpListener;

const REQUIREMENTS: &str = include_str!("requirements.txt");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// The Python that has the clients.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| make().expect("the clients are installed from PyPI"))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Makes the environment, unless it stands already, made of the same requirements.
fn make() -> anyhow::Result<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let (python, made_of) = (place.join("bin/python"), place.join("made-of.txt"));
    if std::fs::read_to_string(&made_of).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(python);
    }
    if place.exists() {
        std::fs::remove_dir_all(&place)?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(folder().join("requirements.txt")))?;
    // Last, so that one that was stopped half-way is made again.
    std::fs::write(made_of, REQUIREMENTS)?;
    Ok(python)
}

/// A plane with workers, and the API in front of it on a free port.
struct Served {
    url: String,
    plane: ControlPlane,
    stop: tokio::sync::oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<()>,
    // Dropped with it.
    _databases: Vec<TestDatabase>,
}

impl Served {
    /// None where the engine is left out. Everybody is an admin.
    async fn start(engine: Engine) -> Option<Served> {
        Served::with(engine, |_| ApiOptions::development()).await
    }

    /// The same with options that are made of its URL.
    async fn with(engine: Engine, options: impl FnOnce(&str) -> ApiOptions) -> Option<Served> {
        let (api, cell0) = (create_database(engine, "api")?, create_database(engine, "cell0")?);
        let config = Config::new(api.url()).cell0(cell0.url());
        let plane = ControlPlane::open(config).await.expect("a new plane opens");
        let mut databases = vec![api, cell0];
        for number in [1, 2] {
            let database = create_database(engine, "cell").expect("the engine is there");
            let new = NewCell::new(format!("cell{number}"), database.url());
            let cell = plane.cells().create(new).await.expect("a new cell");
            let node = ComputeNode::new(format!("host{number}"), 8, 8192, 100);
            plane.hosts().report(cell, &node).await.expect("a new host");
            databases.push(database);
        }
        for (id, memory_mb, vcpus) in [("1", 512, 1), ("2", 1024, 1), ("huge", 9_999_999, 9_999)] {
            let flavor = Flavor::new(id, &format!("flavor-{id}"), vcpus, memory_mb, 1);
            plane.flavors().create(&flavor).await.expect("a new flavor");
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v2.1", listener.local_addr().expect("an address"));
        let api = Api::new(plane.clone(), options(&url));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let serving = tokio::spawn(async move {
            let end = async {
                // One who is gone has stopped too.
                let _ = stopped.await;
            };
            api.serve(listener, end).await;
        });
        Some(Served { url, plane, stop, serving, _databases: databases })
    }

    /// Runs a script against it.
    async fn script(&self, name: &str, arguments: &[&str]) {
        let mut command = Command::new(python());
        command.arg(folder().join(name)).arg(&self.url).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output.expect("not cancelled").expect("python runs");
        assert!(
            output.status.success(),
            "{name} {arguments:?}:\n{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    async fn end(self) {
        // It has ended already where nobody listens.
        let _ = self.stop.send(());
        let ended = tokio::time::timeout(Duration::from_secs(60), self.serving).await;
        ended.expect("it ends in time").expect("it does not panic");
        self.plane.close().await.expect("closed");
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openstacksdk_does_the_whole_life_of_servers(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(served) = Served::start(engine).await else { return };
    for microversion in ["2.1", "2.100"] {
        served.script("sdk.py", &[microversion]).await;
    }
    served.end().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_openstack_command_does_the_whole_life_of_servers(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(served) = Served::start(engine).await else { return };
    for microversion in ["2.1", "2.37", "2.69", "2.100"] {
        served.script("cli.py", &[microversion]).await;
    }
    served.end().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn novaclient_does_the_whole_life_of_servers(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(served) = Served::start(engine).await else { return };
    for microversion in ["2.1", "2.37", "2.69", "2.100"] {
        served.script("nova.py", &[microversion]).await;
    }
    served.end().await;
}

/// `CELLZERO_SCREENSHOTS=/folder` keeps what the browser has seen: docs/images has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_what_comes_and_a_button_brings_a_buried_one_back() {
    let Some(served) = Served::start(Engine::Sqlite).await else { return };
    let kept = std::env::var("CELLZERO_SCREENSHOTS").ok();
    for step in ["buried", "back"] {
        if step == "back" {
            let cells = served.plane.cells().list().await.expect("a list");
            let live = cells.iter().find(|cell| !cell.uuid.is_cell0()).expect("a cell");
            let giant = ComputeNode::new("giant", 10_000, 10_000_000, 100);
            served.plane.hosts().report(live.uuid, &giant).await.expect("a new host");
        }
        let picture = kept.as_ref().map(|folder| format!("{folder}/ui-{step}.png"));
        let arguments: Vec<&str> = [step].into_iter().chain(picture.as_deref()).collect();
        served.script("browser.py", &arguments).await;
    }
    served.end().await;
}

/// Stand-ins for Keystone, network and image services; killed with it.
struct StandIns {
    process: Child,
    url: String,
}

impl StandIns {
    /// Beside the compute API at this URL.
    fn start(compute: &str) -> StandIns {
        let mut command = Command::new(python());
        command.arg(folder().join("standins.py")).arg(compute).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python runs");
        let mut url = String::new();
        let mut said = BufReader::new(process.stdout.take().expect("piped"));
        said.read_line(&mut url).expect("an address");
        StandIns { process, url: url.trim().to_owned() }
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What passes is in `tempest_passes.txt`; what does not, with why, in docs/compute-api.md. On SQLite, as
/// it takes minutes; `CELLZERO_TEMPEST_ENGINE=postgres` or `mariadb` for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tempest_passes_what_it_passed_before() {
    let name = std::env::var("CELLZERO_TEMPEST_ENGINE").unwrap_or_else(|_| "sqlite".to_owned());
    let engine = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    let engine = engine.expect("sqlite, postgres or mariadb");
    let mut standins = None;
    let served = Served::with(engine, |url| {
        let started = StandIns::start(url);
        let keystone = KeystoneOptions::new(format!("{}/identity", started.url), "x");
        standins = Some(started);
        ApiOptions::new(Keystone::new(keystone).expect("a URL"))
    });
    let Some(served) = served.await else { return };
    let standins = standins.expect("started");
    let list = folder().join("tempest_passes.txt");
    let list = list.to_str().expect("a path in UTF-8");
    served.script("tempest_run.py", &[&standins.url, list]).await;
    served.end().await;
}

/// Makes requests of the served document, right and wrong ones: no answer may be a 500, or one that the
/// document does not have. For 60 seconds; `CELLZERO_SCHEMATHESIS_SECONDS=600` for ten minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_to_whatever_is_asked_is_in_the_document() {
    let Some(served) = Served::start(Engine::Sqlite).await else { return };
    let seconds = std::env::var("CELLZERO_SCHEMATHESIS_SECONDS").unwrap_or_else(|_| "60".into());
    let document = format!("{}/openapi.json", served.url.trim_end_matches("/v2.1"));
    let checks = [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    ];
    let mut command = Command::new(python().with_file_name("schemathesis"));
    command.args(["run", &document, "--checks", &checks.join(","), "--max-time", &seconds]);
    // Two workers parse Python at once, at which CPython 3.11 may fail ("AST constructor recursion
    // depth mismatch").
    command.args(["--workers", "1", "--warnings", "off"]).env("NO_COLOR", "1");
    // What it keeps between runs stays out of the repository.
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    let ran = tokio::task::spawn_blocking(move || run(&mut command)).await;
    ran.expect("not cancelled").expect("nothing is found");
    served.end().await;
}
