//! The command reference `docs/commands.md`, made of what `--help` says.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use crate::args::Cli;
use crate::command::{Run, help};
use crate::exit::{COMMON, Exit};
use crate::session::Session;

/// Prints docs/commands.md.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<CommandsPage>())]
pub(crate) struct CommandsPage {}

impl Run for CommandsPage {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[(
        "cargo run -p cellzero-cli -- commands-page > docs/commands.md",
        "writes the command reference again",
    )];
    const EXITS: &'static [Exit] = &[];

    async fn run(self, _: &Session) -> anyhow::Result<Exit> {
        std::io::Write::write_all(&mut std::io::stdout().lock(), page()?.as_bytes())?;
        Ok(Exit::Success)
    }
}

const HEAD: &str = "\
# Commands

What `cellzero --help` and `cellzero <command> --help` say, on one page.
It is written by `cargo run -p cellzero-cli -- commands-page > docs/commands.md`; a test holds that it is up to date.
The flags of every command stand once, under [cellzero](#cellzero).

Exit codes from 64 on mean the same everywhere; those below are the command's own and stand with it.

| code | meaning |
|---|---|
";

fn page() -> anyhow::Result<String> {
    let mut text = HEAD.to_owned();
    for exit in COMMON {
        writeln!(text, "| {} | {} |", exit.code(), exit.meaning())?;
    }
    let mut root = Cli::command();
    root.build();
    section(&mut text, &mut root)?;
    Ok(text)
}

/// One command, then those below it.
fn section(text: &mut String, command: &mut clap::Command) -> anyhow::Result<()> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let is_root = command.get_name() == "cellzero";
    // The flags of every command are said once.
    let mut said = match is_root {
        true => command.clone(),
        false => command.clone().mut_args(|arg| {
            let is_global = arg.is_global_set();
            arg.hide(is_global)
        }),
    };
    let help = said.render_long_help().to_string();
    writeln!(text, "\n## {name}\n\n```text")?;
    for line in help.lines() {
        writeln!(text, "{}", line.trim_end())?;
    }
    writeln!(text, "```")?;
    let below = command.get_subcommands_mut().filter(|below| !below.is_hide_set());
    for below in below.filter(|below| below.get_name() != "help") {
        section(text, below)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves<'a>(command: &'a clap::Command, found: &mut Vec<&'a clap::Command>) {
        let mut below = command.get_subcommands().filter(|c| c.get_name() != "help").peekable();
        if below.peek().is_none() {
            found.push(command);
        }
        below.for_each(|below| leaves(below, found));
    }

    #[test]
    fn every_command_says_what_it_does_with_an_example_and_its_exit_codes() {
        let mut root = Cli::command();
        root.build();
        let mut all = Vec::new();
        leaves(&root, &mut all);
        assert!(all.len() > 1);
        for command in all {
            let name = command.get_bin_name().unwrap();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(command.get_about().is_some(), "{name} does not say what it does");
            assert!(help.starts_with("Examples:\n  c"), "{name} has no example");
            assert!(help.contains("Exit codes:"), "{name} has no exit codes");
        }
    }

    #[test]
    fn no_value_of_the_environment_is_shown_in_help() {
        let mut root = Cli::command();
        root.build();
        for arg in root.get_arguments().filter(|arg| arg.get_env().is_some()) {
            assert!(arg.is_hide_env_values_set(), "{} shows its value", arg.get_id());
        }
    }
}
