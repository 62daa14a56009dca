//! `host …`.

mod delete;
mod discover;
mod list;
mod switch;

use clap::Subcommand;

use crate::command::go;
use crate::exit::Exit;
use crate::session::Session;

/// Compute hosts: find those that are new, list, close, open and remove them.
#[derive(Debug, Subcommand)]
pub(crate) enum Host {
    Discover(discover::Discover),
    List(list::List),
    Delete(delete::Delete),
    Disable(switch::Disable),
    Enable(switch::Enable),
}

impl Host {
    pub(crate) async fn dispatch(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Host::Discover(command) => go(command, session).await,
            Host::List(command) => go(command, session).await,
            Host::Delete(command) => go(command, session).await,
            Host::Disable(command) => go(command, session).await,
            Host::Enable(command) => go(command, session).await,
        }
    }
}
