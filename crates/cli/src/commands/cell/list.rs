//! `cell list` and `cell show`.

use super::row::{CellRows, OneCell, find};
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::session::Session;

/// Lists every cell, cell0 too, in the order in which they were made.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<List>())]
pub(crate) struct List {}

impl Run for List {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero cell list", "all cells; the passwords in their URLs are never shown")];
    const EXITS: &'static [Exit] = &[];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let mappings = session.plane().await?.cells().list().await?;
        session.out.show(&CellRows { cells: mappings.iter().map(Into::into).collect() })?;
        Ok(Exit::Success)
    }
}

/// Shows one cell.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Show>())]
pub(crate) struct Show {
    /// Its uuid, or its name where no other cell has it
    cell: String,
}

impl Run for Show {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero cell show cell0", "where what fits nowhere is buried")];
    const EXITS: &'static [Exit] = &[Exit::CellNotFound];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let found = find(session.plane().await?, &self.cell).await?;
        session.out.show(&OneCell::from(&found))?;
        Ok(Exit::Success)
    }
}
