//! The project's own commands: `cargo xtask test`.
//!
//! Each command is a module of its own with its arguments and a `run`.

mod install;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run all tests on SQLite, PostgreSQL and MariaDB, and count the cases of each
    ///
    /// Installs PostgreSQL and MariaDB by the system's package manager where they are missing, and
    /// starts throwaway servers of its own.
    Test(test::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Test(arguments) => test::run(&arguments),
    }
}
