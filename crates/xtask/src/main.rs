//! The project's own commands: `cargo xtask test`, `bench`, `model`, `crash-walk`, `chaos`,
//! `guards`, `upgrade`.
//!
//! Each command is a module of its own with its arguments and a `run`.

mod bench;
mod cargo;
mod chaos;
mod crash_walk;
mod guards;
mod install;
mod model;
mod test;
mod upgrade;

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
    /// Measure each operation beside the same work in plain SQL, on private servers
    ///
    /// Prints a table and writes it as Markdown to target/bench.md; fails where an operation takes
    /// more statements or commits than its target.
    Bench(bench::Arguments),
    /// Every fault at every place of boot, bury, delete, retry and recovery, on the three backends
    ///
    /// `cargo xtask test` has a crash at every place, and of the other faults a part.
    CrashWalk(crash_walk::Arguments),
    /// Explore the model of the boot protocol, then without each of its guards
    ///
    /// Prints states, depth and time; fails where an invariant breaks, or where a guard can be
    /// removed and none does.
    Model(model::Arguments),
    /// Kill and stop servers and processes of a plane under load, by a seed
    ///
    /// Prints what was accepted, lost, doubled, orphaned, over-claimed and resurrected; fails where
    /// a promise was broken.
    Chaos(chaos::Arguments),
    /// Take out each guard of the boot protocol in turn, and show the test that fails without it
    ///
    /// Works on a copy of the last commit under target; fails where no test misses a guard.
    Guards(guards::Arguments),
    /// Let processes of the version before and of this one work on the same plane while it is migrated
    ///
    /// Builds the version before from its commit, under target/upgrade; fails where a promise was
    /// broken or fsck finds something.
    Upgrade(upgrade::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Test(arguments) => test::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::CrashWalk(arguments) => crash_walk::run(&arguments),
        Command::Model(arguments) => model::run(&arguments),
        Command::Chaos(arguments) => chaos::run(&arguments),
        Command::Guards(arguments) => guards::run(&arguments),
        Command::Upgrade(arguments) => upgrade::run(&arguments),
    }
}
