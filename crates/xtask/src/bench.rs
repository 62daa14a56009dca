//! `cargo xtask bench`: the benchmark, on private servers that make every commit durable.

use std::ffi::OsString;
use std::process::{ExitCode, Stdio};

use anyhow::Context as _;
use cellzero_test_support::{Durability, Engine, PrivateServer, ServerOptions};

use crate::cargo::cargo;
use crate::install::install_missing_servers;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the benchmark: names of engines, `--quick`, `--output FILE`
    #[arg(last = true)]
    passed_on: Vec<OsString>,
}

/// Builds the benchmark for release and runs it; fails where it does, by a missed count.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    install_missing_servers()?;
    // Not by its package, as `cargo xtask` itself.
    let target = ["--release", "--bin", "cellzero-bench"];
    // Built before the servers start, so that no compiler runs beside the measurement.
    let built = cargo().arg("build").args(target).status();
    if !built.context("cannot run cargo")?.success() {
        return Ok(ExitCode::FAILURE);
    }
    let servers = [Engine::Postgres, Engine::MariaDb].map(start);
    let servers = servers.into_iter().collect::<anyhow::Result<Vec<PrivateServer>>>()?;
    let mut command = cargo();
    command.args(["run", "--quiet"]).args(target).arg("--").args(&arguments.passed_on);
    for server in &servers {
        command.envs(server.environment());
    }
    let status = command.stdin(Stdio::null()).status().context("cannot run the benchmark")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn start(engine: Engine) -> anyhow::Result<PrivateServer> {
    let options = ServerOptions::default().durability(Durability::Full);
    PrivateServer::launch(engine, options)
        .with_context(|| format!("cannot start a private {} server", engine.name()))
}
