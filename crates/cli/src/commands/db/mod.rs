//! `db …`.

mod archive;
mod purge;
mod row;
mod rows;
mod sync;
mod version;

use clap::Subcommand;

use crate::command::go;
use crate::exit::Exit;
use crate::session::Session;

/// The databases of a plane: their schemas and versions, and what is deleted in them.
#[derive(Debug, Subcommand)]
pub(crate) enum Db {
    Sync(sync::Sync),
    Version(version::Version),
    Archive(archive::Archive),
    Purge(purge::Purge),
}

impl Db {
    pub(crate) async fn dispatch(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Db::Sync(command) => go(command, session).await,
            Db::Version(command) => go(command, session).await,
            Db::Archive(command) => go(command, session).await,
            Db::Purge(command) => go(command, session).await,
        }
    }
}
