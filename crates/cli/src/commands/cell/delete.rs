//! `cell delete`.

use cellzero::{CellUuid, DeleteCellError, Removal, Write};
use serde::Serialize;

use super::row::find;
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::output::{Style, View};
use crate::session::Session;

/// Removes a cell that nothing names. Its database stays, and still says which cell it is.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Delete>())]
pub(crate) struct Delete {
    /// Its uuid, or its name where no other cell has it
    cell: String,
    /// Take its hosts and the mappings of its deleted instances along; never one that is in use
    #[arg(long)]
    force: bool,
}

impl Run for Delete {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero cell delete cell1 --force", "a cell whose instances are all deleted")];
    const EXITS: &'static [Exit] =
        &[Exit::CellNotFound, Exit::CellHasHosts, Exit::CellInUse, Exit::CellHasDeletedInstances];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let mapping = find(plane, &self.cell).await?;
        let removal = if self.force { Removal::Force } else { Removal::Empty };
        let removed = match plane.cells().delete(mapping.uuid, removal).await {
            Err(Write::Failed(error)) => {
                let exit = match error {
                    DeleteCellError::NotFound { .. } => Exit::CellNotFound,
                    DeleteCellError::HasHosts { .. } => Exit::CellHasHosts,
                    DeleteCellError::InUse { .. } => Exit::CellInUse,
                    DeleteCellError::HasDeletedInstances { .. } => Exit::CellHasDeletedInstances,
                    _ => return Err(error.into()),
                };
                return Err(error).exits(exit);
            }
            removed => removed?,
        };
        session.out.show(&Removed {
            cell: mapping.uuid,
            name: mapping.name,
            hosts: removed.hosts,
            deleted_instances: removed.deleted_instances,
            nodes_stay_mapped: removed.nodes_stay_mapped.is_some(),
        })?;
        Ok(Exit::Success)
    }
}

#[derive(Debug, Serialize)]
struct Removed {
    cell: CellUuid,
    name: Option<String>,
    hosts: i64,
    deleted_instances: i64,
    nodes_stay_mapped: bool,
}

impl View for Removed {
    fn text(&self, _: Style) -> String {
        let name = self.name.as_deref().unwrap_or("without a name");
        let mut text = format!("cell {} ({name}) is removed", self.cell);
        if self.hosts > 0 || self.deleted_instances > 0 {
            text += &format!(
                ", with {} hosts and the mappings of {} deleted instances",
                self.hosts, self.deleted_instances
            );
        }
        text + "\n"
    }

    fn notes(&self) -> String {
        match self.nodes_stay_mapped {
            true => {
                "its database did not answer, so its compute nodes stay marked as mapped\n".into()
            }
            false => String::new(),
        }
    }
}
