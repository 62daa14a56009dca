//! `quota …`.

mod set;
mod show;

use clap::Subcommand;

use crate::command::go;
use crate::exit::Exit;
use crate::session::Session;

/// Quotas: how many instances, cores and memory projects may have.
#[derive(Debug, Subcommand)]
pub(crate) enum Quota {
    Show(show::Show),
    Set(set::Set),
}

impl Quota {
    pub(crate) async fn dispatch(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Quota::Show(command) => go(command, session).await,
            Quota::Set(command) => go(command, session).await,
        }
    }
}
