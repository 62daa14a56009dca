//! `dev …`: a plane for development, in one command.

mod down;
mod made;
mod up;

use clap::Subcommand;

use crate::command::go;
use crate::exit::Exit;
use crate::session::Session;

/// A plane for development: made and removed in one command each.
#[derive(Debug, Subcommand)]
pub(crate) enum Dev {
    Up(up::Up),
    Down(down::Down),
}

impl Dev {
    pub(crate) async fn dispatch(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Dev::Up(command) => go(command, session).await,
            Dev::Down(command) => go(command, session).await,
        }
    }
}
