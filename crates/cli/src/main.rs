//! The operator's command `cellzero`, on the facade alone.
//!
//! # How a command is added
//!
//! 1. A file under `commands/` with the arguments as a struct: `#[derive(clap::Args)]`, a doc
//!    comment of one sentence, and `#[command(after_help = help::<Self>())]`.
//! 2. [`Run`](command::Run) for it: its examples, the exit codes that it has beyond the common
//!    ones, and what it does. It opens the plane with [`Session::plane`](session::Session::plane),
//!    prints with [`Output::show`](output::Output::show), and names the exit code of an error with
//!    [`exits`](failure::Exits::exits) where the common codes do not say enough.
//! 3. What it prints is a struct with `Serialize`, whose fields are the JSON, and
//!    [`View`](output::View) for people: mostly a [`table`](output::table).
//! 4. A variant in the enum of its noun, and a line in that enum's `dispatch`.
//! 5. Tests in `tests/it/<noun>.rs` run the binary: success and each exit code, on three backends
//!    where a database is touched; `schemas/<noun>-<verb>.json` for its JSON
//!    (`support::check_schema`), and a golden table (`support::check_golden`).
//! 6. `cargo run -p cellzero-cli -- commands-page > docs/commands.md`.
//!
//! Passwords: a URL is printed by its `Display` or through `mask_passwords`, never as it was given.
//! Long work shows a [`progress`](progress::Progress) on stderr; stdout is for results alone.

mod args;
mod command;
mod commands;
mod exit;
mod failure;
mod logs;
mod output;
mod page;
mod progress;
mod session;
mod settings;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::args::Cli;
use crate::exit::Exit;
use crate::output::Output;
use crate::session::Session;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    logs::start(cli.global.verbose);
    let out = Output::new(&cli.global);
    let exit = match run(cli, out) {
        Ok(exit) => exit,
        Err(error) => {
            let exit = Exit::of(&error);
            // A reader that has seen enough, such as `head`, is no failure.
            if failure::is_broken_pipe(&error) {
                return Exit::Success.into();
            }
            failure::print(out, &error, exit);
            exit
        }
    };
    exit.into()
}

fn run(cli: Cli, out: Output) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let session = Session::new(cli.global, out);
        let done = cli.command.dispatch(&session).await;
        let closed = session.close().await;
        done.and_then(|exit| closed.map(|()| exit))
    });
    // What still hangs in a database's socket is left behind.
    runtime.shutdown_background();
    done
}

/// Prints what clap says, without a password that stands in an argument.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nobody reads it where it cannot be printed.
            let _ = error.print();
            Exit::Success.into()
        }
        _ => {
            eprint!("{}", failure::masked(&error.render().to_string()));
            Exit::Usage.into()
        }
    }
}
