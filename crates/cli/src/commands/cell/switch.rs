//! `cell enable` and `cell disable`.

use cellzero::MappingChange;

use super::row::{OneCell, find};
use super::update::change_cell;
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::session::Session;

/// Opens a cell for scheduling.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Enable>())]
pub(crate) struct Enable {
    /// Its uuid, or its name where no other cell has it
    cell: String,
}

impl Run for Enable {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero cell enable cell1", "its hosts get instances again")];
    const EXITS: &'static [Exit] = &[Exit::CellNotFound, Exit::NotSaved, Exit::Cell0NotSwitched];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        switch(session, &self.cell, false).await
    }
}

/// Closes a cell for scheduling; what lives in it goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Disable>())]
pub(crate) struct Disable {
    /// Its uuid, or its name where no other cell has it
    cell: String,
}

impl Run for Disable {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero cell disable cell1", "before its server is maintained")];
    const EXITS: &'static [Exit] = &[Exit::CellNotFound, Exit::NotSaved, Exit::Cell0NotSwitched];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        switch(session, &self.cell, true).await
    }
}

async fn switch(session: &Session, cell: &str, disabled: bool) -> anyhow::Result<Exit> {
    let plane = session.plane().await?;
    let cell = find(plane, cell).await?.uuid;
    let change = MappingChange { disabled: Some(disabled), ..MappingChange::default() };
    change_cell(plane, cell, change).await?;
    let mapping = find(plane, &cell.to_string()).await?;
    session.out.show(&OneCell::from(&mapping))?;
    Ok(Exit::Success)
}
