//! `cell …`.

mod create;
mod delete;
mod list;
mod map_cell0;
mod row;
mod setup;
mod switch;
mod update;

use clap::Subcommand;

use crate::command::go;
use crate::exit::Exit;
use crate::session::Session;

/// Cells: made, listed, changed, removed; open or closed for scheduling.
#[derive(Debug, Subcommand)]
pub(crate) enum Cell {
    MapCell0(map_cell0::MapCell0),
    Create(create::Create),
    List(list::List),
    Show(list::Show),
    Update(update::Update),
    Enable(switch::Enable),
    Disable(switch::Disable),
    Delete(delete::Delete),
    Setup(setup::Setup),
}

impl Cell {
    pub(crate) async fn dispatch(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Cell::MapCell0(command) => go(command, session).await,
            Cell::Create(command) => go(command, session).await,
            Cell::List(command) => go(command, session).await,
            Cell::Show(command) => go(command, session).await,
            Cell::Update(command) => go(command, session).await,
            Cell::Enable(command) => go(command, session).await,
            Cell::Disable(command) => go(command, session).await,
            Cell::Delete(command) => go(command, session).await,
            Cell::Setup(command) => go(command, session).await,
        }
    }
}
