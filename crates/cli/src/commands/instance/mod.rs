//! `instance …`.

mod boot;
mod delete;
mod homes;
mod list;
mod map;
mod named;
mod retry;
mod show;
mod verify;
mod why;

use clap::Subcommand;

use crate::command::go;
use crate::exit::Exit;
use crate::session::Session;

/// Instances: boot, list, show, delete, retry, and why one is buried.
#[derive(Debug, Subcommand)]
pub(crate) enum Instance {
    Boot(boot::Boot),
    List(list::List),
    Show(show::Show),
    Why(why::Why),
    Retry(retry::Retry),
    Delete(delete::Delete),
    Verify(verify::Verify),
    Map(map::Map),
}

impl Instance {
    pub(crate) async fn dispatch(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Instance::Boot(command) => go(command, session).await,
            Instance::List(command) => go(command, session).await,
            Instance::Show(command) => go(command, session).await,
            Instance::Why(command) => go(command, session).await,
            Instance::Retry(command) => go(command, session).await,
            Instance::Delete(command) => go(command, session).await,
            Instance::Verify(command) => go(command, session).await,
            Instance::Map(command) => go(command, session).await,
        }
    }
}
