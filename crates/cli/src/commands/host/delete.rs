//! `host delete`.

use cellzero::{CellUuid, HostError};
use serde::Serialize;

use super::discover::is_unknown_cell;
use crate::command::{Run, help};
use crate::commands::cells::{Names, find_cell};
use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::output::{Style, View};
use crate::session::Session;

/// Removes a host from its cell, unless instances need it. It can be discovered again.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Delete>())]
pub(crate) struct Delete {
    /// Its cell: the uuid, or the name
    #[arg(long, visible_alias = "cell_uuid", value_name = "CELL")]
    cell: String,

    /// The host
    #[arg(long)]
    host: String,
}

impl Run for Delete {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[(
        "cellzero host delete --cell cell1 --host compute-7",
        "after its last instance is gone",
    )];
    const EXITS: &'static [Exit] =
        &[Exit::NoCell, Exit::NoHost, Exit::HostElsewhere, Exit::HostInUse, Exit::CellSilent];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let names = Names::read(plane).await?;
        let cell = find_cell(&names, &self.cell).exits(Exit::NoCell)?;
        match plane.hosts().delete(cell, &self.host).await {
            Ok(()) => {
                session.out.show(&Deleted {
                    host: self.host,
                    cell_uuid: cell,
                    cell: names.of(cell),
                })?;
                Ok(Exit::Success)
            }
            Err(error) => match exit_of(error.failed()) {
                Some(exit) => Err(error).exits(exit),
                None => Err(error.into()),
            },
        }
    }
}

fn exit_of(error: Option<&HostError>) -> Option<Exit> {
    match error? {
        error if is_unknown_cell(Some(error)) => Some(Exit::NoCell),
        HostError::NotFound { .. } => Some(Exit::NoHost),
        HostError::MappedElsewhere { .. } => Some(Exit::HostElsewhere),
        HostError::HasInstances { .. } => Some(Exit::HostInUse),
        HostError::Cell(_) => Some(Exit::CellSilent),
        _ => None,
    }
}

#[derive(Debug, Serialize)]
struct Deleted {
    host: String,
    cell_uuid: CellUuid,
    cell: String,
}

impl View for Deleted {
    fn text(&self, _: Style) -> String {
        format!("{} is removed from {}\n", self.host, self.cell)
    }
}
