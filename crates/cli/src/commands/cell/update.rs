//! `cell update`.

use cellzero::{MappingChange, UpdateCellError, Write};

use super::row::{OneCell, find};
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::{Exits as _, ended};
use crate::session::Session;

/// Changes a cell: only what is given. Every process of the plane hears of it by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Update>())]
pub(crate) struct Update {
    /// Its uuid, or its name where no other cell has it
    cell: String,
    /// Another name
    #[arg(long)]
    name: Option<String>,
    /// Another message queue
    #[arg(long, value_name = "URL")]
    transport_url: Option<String>,
    /// Another way to its database, which must answer and say that it is this cell
    #[arg(long, value_name = "URL")]
    database_connection: Option<String>,
    /// Its database is lost without a backup: make the empty one at --database-connection its own. What
    /// lived there is lost; `fsck --repair` buries it in cell0
    #[arg(long, requires = "database_connection")]
    lost: bool,
    /// Close it for scheduling
    #[arg(long)]
    disable: bool,
    /// Open it for scheduling
    #[arg(long)]
    enable: bool,
}

impl Run for Update {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "cellzero cell update cell1 --database-connection postgres://nova@db9/nova_cell1",
            "its database has moved to another server",
        ),
        ("cellzero cell update cell1 --name north", "its URLs stay as they are"),
        (
            "cellzero cell update cell1 --lost --database-connection postgres://nova@db9/new_cell1",
            "its database is lost, and nobody has a backup",
        ),
    ];
    const EXITS: &'static [Exit] = &[
        Exit::CellNotFound,
        Exit::NotSaved,
        Exit::UrlClash,
        Exit::BothSwitches,
        Exit::Cell0NotSwitched,
    ];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        if self.disable && self.enable {
            let message = "--enable and --disable cannot be given together";
            return Err(ended(Exit::BothSwitches, message));
        }
        let plane = session.plane().await?;
        let cell = find(plane, &self.cell).await?.uuid;
        if let Some(url) = self.database_connection.as_deref().filter(|_| self.lost) {
            exit_of(plane.cells().remake(cell, url).await)?;
        }
        let change = MappingChange {
            name: self.name,
            transport_url: self.transport_url,
            database_connection: self.database_connection,
            disabled: (self.disable || self.enable).then_some(self.disable),
        };
        change_cell(plane, cell, change).await?;
        let mapping = find(plane, &cell.to_string()).await?;
        session.out.show(&OneCell::from(&mapping))?;
        Ok(Exit::Success)
    }
}

/// Changes a cell, with the exit code of each refusal.
pub(super) async fn change_cell(
    plane: &cellzero::ControlPlane,
    cell: cellzero::CellUuid,
    change: MappingChange,
) -> anyhow::Result<()> {
    exit_of(plane.cells().update(cell, change).await)
}

fn exit_of(changed: Result<(), Write<UpdateCellError>>) -> anyhow::Result<()> {
    let Err(error) = changed else { return Ok(()) };
    let exit = match &error {
        Write::Failed(UpdateCellError::NotFound { .. }) => Exit::CellNotFound,
        Write::Failed(UpdateCellError::Taken(_)) => Exit::UrlClash,
        Write::Failed(UpdateCellError::Cell0 { .. }) => Exit::Cell0NotSwitched,
        Write::Failed(UpdateCellError::Invalid(_) | UpdateCellError::Url(_)) => {
            return Err(error.into());
        }
        _ => Exit::NotSaved,
    };
    Err(error).exits(exit)
}
