//! The chaos run: several orchestrator processes on one plane, clients that never rest, and servers
//! and processes that are killed and stopped by a schedule that a seed alone decides.
//!
//! `cargo xtask chaos` builds it for release and calls `run`, the driver, which starts the servers,
//! starts itself again as `orchestrator` for each process of the plane, checks what every client
//! sees against its [`history`], and at the end reads all databases and the log of effects.

mod beside;
mod client;
mod effects;
mod faults;
mod history;
mod listing;
mod log;
mod orchestrator;
mod order;
mod plane;
mod population;
mod process;
mod receiver;
mod report;
mod rest;
mod run;
mod schedule;

use std::process::ExitCode;

use clap::Parser;

/// Kills and stops servers and orchestrator processes under a plane, and checks what it promises.
#[derive(Debug, Parser)]
enum Command {
    /// Runs the plane, its clients and its faults, and checks it.
    Run(run::Arguments),
    /// One process of the plane: takes orders on its standard input. The driver starts it.
    #[command(hide = true)]
    Orchestrator(orchestrator::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Command::parse() {
        Command::Run(arguments) => run::run(&arguments),
        Command::Orchestrator(arguments) => orchestrator::run(&arguments),
    }
}
