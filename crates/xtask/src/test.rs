//! `cargo xtask test`: all tests, on private servers, with the cases of each backend counted.

mod report;

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ExitCode, Stdio};

use anyhow::Context as _;
use cellzero_test_support::{Engine, PrivateServer, ServerOptions};

use crate::cargo::cargo;
use crate::install::install_missing_servers;
use report::{Report, Scope};

/// All targets that have tests (for Cargo, `--tests` names libraries and programs too) and the
/// examples, and then the examples in the documentation, which Cargo runs apart.
const RUNS: [&[&str]; 2] = [
    &["test", "--workspace", "--no-fail-fast", "--tests", "--examples"],
    &["test", "--workspace", "--no-fail-fast", "--doc"],
];

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the test programs: a filter, or options of theirs
    ///
    /// With any of them the cases of the backends are counted and not compared.
    #[arg(last = true)]
    passed_on: Vec<OsString>,
}

/// Runs the tests and ends with `N passed, N failed`; anything but a full success is a failure.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    install_missing_servers()?;
    let servers = [Engine::Postgres, Engine::MariaDb].map(start);
    let servers = servers.into_iter().collect::<anyhow::Result<Vec<PrivateServer>>>()?;
    let mut report = Report::default();
    for run in RUNS {
        run_cargo(run, arguments, &servers, &mut report)?;
    }
    // Before the summary: its last line is the last of the whole run.
    drop(servers);
    let scope = if arguments.passed_on.is_empty() { Scope::Everything } else { Scope::Filtered };
    let summary = report.summary(scope);
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "\n{summary}").context("cannot write the summary")?;
    Ok(if summary.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts a private server of this engine and says where.
pub(crate) fn start(engine: Engine) -> anyhow::Result<PrivateServer> {
    let server = PrivateServer::launch(engine, ServerOptions::default())
        .with_context(|| format!("cannot start a private {} server", engine.name()))?;
    println!("{} listens on 127.0.0.1:{}", engine.name(), server.port());
    Ok(server)
}

/// Runs Cargo once and reads its standard output while passing it on.
fn run_cargo(
    run: &[&str],
    arguments: &Arguments,
    servers: &[PrivateServer],
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut command = cargo();
    command.args(run);
    if !arguments.passed_on.is_empty() {
        command.arg("--").args(&arguments.passed_on);
    }
    for server in servers {
        command.envs(server.environment());
    }
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let output = child.stdout.take().context("cargo has no standard output")?;
    let mut stdout = std::io::stdout();
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).context("cannot read from cargo")? > 0 {
        stdout.write_all(&line).context("cannot pass on the tests' output")?;
        // What a test prints need not be UTF-8; the lines that are read for counting are.
        report.read_line(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    let status = child.wait().context("cannot wait for cargo")?;
    report.end_run(&run.join(" "), status.success());
    Ok(())
}
