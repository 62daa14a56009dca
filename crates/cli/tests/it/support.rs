//! The binary in a directory of its own, and planes for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cellzero::{CellUuid, ComputeNode, Config, ControlPlane, Flavor, NewCell};
use cellzero_test_support::{Engine, PrivateServer, TestDatabase, create_database};
use regex::Regex;

pub(crate) const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

/// What a run of the binary has left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Ran {
        Ran {
            code: output.status.code().expect("it ended by itself"),
            stdout: String::from_utf8(output.stdout.clone()).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr.clone()).expect("UTF-8"),
        }
    }

    /// It ended with this code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e} in {}", self.stdout))
    }

    /// The JSON of stdout, which the schema of this name allows.
    #[track_caller]
    pub(crate) fn json_of(&self, schema: &str) -> serde_json::Value {
        let json = self.json();
        check_schema(schema, &json);
        json
    }
}

/// The binary, its directory and its environment.
#[derive(Debug)]
pub(crate) struct Cellzero {
    pub(crate) home: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Cellzero {
    /// In an empty directory, with an empty environment.
    pub(crate) fn new() -> Cellzero {
        let home = tempfile::tempdir().expect("a directory");
        Cellzero { home, environment: Vec::new() }
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Cellzero {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.home.path().canonicalize().expect("its path")
    }

    /// Writes a file of its directory.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(&path, text).expect("a file");
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cellzero"));
        command.args(args).current_dir(self.home.path()).env_clear();
        command.env("HOME", self.home.path()).stdin(std::process::Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(&self.command(args).output().expect("the binary runs"))
    }
}

/// A plane on databases of one engine, and the binary that is set up for it.
pub(crate) struct TestPlane {
    pub(crate) cellzero: Cellzero,
    pub(crate) plane: ControlPlane,
    pub(crate) api: TestDatabase,
    pub(crate) cell0: TestDatabase,
    pub(crate) cells: Vec<(CellUuid, TestDatabase)>,
    runtime: tokio::runtime::Runtime,
}

impl TestPlane {
    /// With live cells of one host each, of 4 vcpus, 4096 MB and 100 GB; flavors `small` and `huge`.
    /// The binary plays the compute hosts. None where the engine is left out.
    pub(crate) fn new(engine: Engine, cells: usize) -> Option<TestPlane> {
        TestPlane::made(cells, |hint| create_database(engine, hint))
    }

    /// The same with one live cell on a server that the test may stop.
    pub(crate) fn on(server: &PrivateServer) -> TestPlane {
        let database = |hint: &str| Some(server.create_database(hint).expect("a database"));
        TestPlane::made(1, database).expect("the server runs")
    }

    fn made(cells: usize, database: impl Fn(&str) -> Option<TestDatabase>) -> Option<TestPlane> {
        let (api, cell0) = (database("api")?, database("cell0")?);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let config = Config::new(api.url()).cell0(cell0.url()).without_worker();
        let plane = runtime.block_on(ControlPlane::open(config)).expect("a new plane");
        let cellzero = Cellzero::new()
            .set("CELLZERO_API_DATABASE", api.url())
            .set("CELLZERO_SIMULATED_COMPUTE", "true");
        let mut test = TestPlane { cellzero, plane, api, cell0, cells: Vec::new(), runtime };
        for number in 1..=cells {
            let name = format!("cell{number}");
            test.add_cell(&name, database(&name)?);
        }
        for flavor in
            [Flavor::new("1", "small", 1, 1_024, 10), Flavor::new("2", "huge", 99, 999_999, 10)]
        {
            test.wait(test.plane.flavors().create(&flavor)).expect("a flavor");
        }
        Some(test)
    }

    fn add_cell(&mut self, name: &str, database: TestDatabase) {
        let new = NewCell::new(name, database.url());
        let cell = self.wait(self.plane.cells().create(new)).expect("a cell");
        let node = ComputeNode::new(format!("{name}-host1"), 4, 4_096, 100);
        let node = node.with_ratios(1.0, 1.0, 1.0);
        self.wait(self.plane.hosts().report(cell, &node)).expect("a report");
        self.cells.push((cell, database));
    }

    /// Points a cell to another database, as an operator does; `None` for cell0.
    pub(crate) fn point(&self, cell: Option<CellUuid>, url: &str) {
        let uuid = cell.unwrap_or(CellUuid::CELL0);
        let statement =
            format!("UPDATE cell_mappings SET database_connection = '{url}' WHERE uuid = '{uuid}'");
        self.api.execute(&statement).expect("an update");
    }

    /// Runs the binary where no compute host is played, and no worker runs.
    pub(crate) fn run_alone(&self, args: &[&str]) -> Ran {
        let mut command = self.cellzero.command(args);
        let output = command.env("CELLZERO_SIMULATED_COMPUTE", "false").output();
        Ran::of(&output.expect("the binary runs"))
    }

    /// Boots instances and gives their uuids.
    pub(crate) fn boot(&self, name: &str, flavor: &str, more: &[&str]) -> Vec<String> {
        let args = ["instance", "boot", name, "--flavor", flavor, "--image", IMAGE, "--json"];
        let ran = self.run(&[&args[..], more].concat());
        let rows = ran.json()["instances"].as_array().expect("instances").clone();
        rows.iter().map(|row| row["uuid"].as_str().expect("a uuid").to_owned()).collect()
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Runs beside the test, until that ends.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(future);
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.cellzero.run(args)
    }
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The JSON is what `schemas/<name>.json` allows.
#[track_caller]
pub(crate) fn check_schema(name: &str, json: &serde_json::Value) {
    let path = file(&format!("schemas/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let schema = serde_json::from_str(&text).expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("the schema is one");
    let errors: Vec<String> =
        schema.iter_errors(json).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{}\nin {json:#}", errors.join("\n"));
}

/// A database that nobody answers for, with a password that must not be seen.
pub(crate) const NOWHERE: &str = "postgres://nova:s3cret@127.0.0.1:1/nowhere";

/// The text, with uuids, times and directories taken out, is `snapshots/it__support__<name>.snap`.
/// One file serves all engines. A changed one is accepted with `INSTA_UPDATE=always`.
#[track_caller]
pub(crate) fn check_golden(name: &str, text: &str) {
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, settled(text));
    });
}

/// A text without what differs between runs; each stand-in is as wide as what it stands for.
pub(crate) fn settled(text: &str) -> String {
    let uuid = Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");
    let time = Regex::new(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d");
    let day = Regex::new(r"\d{4}-\d\d-\d\d");
    let mut seen: Vec<String> = Vec::new();
    let named = uuid.expect("it is one").replace_all(text, |found: &regex::Captures<'_>| {
        let found = found[0].to_owned();
        if found == "00000000-0000-0000-0000-000000000000" || found == IMAGE {
            return found;
        }
        let number = seen.iter().position(|known| *known == found).unwrap_or_else(|| {
            seen.push(found);
            seen.len() - 1
        });
        format!("{:-<36}", format!("uuid-{}", number + 1))
    });
    let timed = time.expect("it is one").replace_all(&named, "yyyy-mm-dd hh:mm:ss");
    let dated = day.expect("it is one").replace_all(&timed, "yyyy-mm-dd");
    dated.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
