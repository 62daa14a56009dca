//! `cargo xtask chaos`: the chaos run, on private servers that it kills and stops.

use std::ffi::OsString;
use std::process::{ExitCode, Stdio};

use anyhow::Context as _;

use crate::cargo::cargo;
use crate::install::install_missing_servers;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Passed on: `--seed S`, `--boots N`, `--backends sqlite,postgres,mariadb`, `--calm`,
    /// `--seconds N`, `--output FOLDER`, `--schedule-only`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    passed_on: Vec<OsString>,
}

/// Builds the chaos run for release and runs it; fails where a promise was broken.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    install_missing_servers()?;
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "cellzero-chaos", "--", "run"]);
    command.args(&arguments.passed_on);
    let status = command.stdin(Stdio::null()).status().context("cannot run the chaos run")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
