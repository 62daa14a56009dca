//! `completions`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::session::Session;

/// Prints completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Completions>())]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Run for Completions {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[(
        "cellzero completions bash > ~/.local/share/bash-completion/completions/cellzero",
        "completes commands and flags in bash",
    )];
    const EXITS: &'static [Exit] = &[];

    async fn run(self, _: &Session) -> anyhow::Result<Exit> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "cellzero", &mut text);
        std::io::Write::write_all(&mut std::io::stdout().lock(), &text)?;
        Ok(Exit::Success)
    }
}
