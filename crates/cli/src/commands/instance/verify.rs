//! `instance verify`.

use cellzero::{InstanceUuid, ReadError, Whereabouts};
use serde::Serialize;

use crate::command::{Run, help};
use crate::commands::cells::Names;
use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::output::{Style, View};
use crate::session::Session;

/// Says where an instance stands: by its mapping, and by its row in the cell.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Verify>())]
pub(crate) struct Verify {
    /// The instance
    #[arg(long)]
    uuid: InstanceUuid,

    /// Print nothing; the exit code says it
    #[arg(long, short)]
    quiet: bool,
}

impl Run for Verify {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero instance verify --uuid 8a0ee18f-cefc-48f2-bc87-354e9d164617", "where it is"),
        (
            "cellzero instance verify --quiet --uuid 8a0ee18f-cefc-48f2-bc87-354e9d164617",
            "in a script",
        ),
    ];
    const EXITS: &'static [Exit] = &[
        Exit::NotMapped,
        Exit::MappedToNoCell,
        Exit::DeletedInCell,
        Exit::ArchivedInCell,
        Exit::NotKnown,
    ];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let whereabouts = match plane.verify(&session.context()?, self.uuid).await {
            Ok(whereabouts) => whereabouts,
            Err(error @ (ReadError::CellUnavailable { .. } | ReadError::Moving { .. })) => {
                return Err(error).exits(Exit::NotKnown);
            }
            Err(error) => return Err(error.into()),
        };
        let (state, exit, cell) = match whereabouts {
            Whereabouts::Alive { cell } => ("alive", Exit::Success, Some(cell)),
            Whereabouts::NotMapped => ("not mapped", Exit::NotMapped, None),
            Whereabouts::NoCell => ("mapped to no cell", Exit::MappedToNoCell, None),
            Whereabouts::Deleted { cell } => ("deleted", Exit::DeletedInCell, Some(cell)),
            Whereabouts::Archived { cell } => ("archived", Exit::ArchivedInCell, Some(cell)),
        };
        if !self.quiet {
            let names = Names::read(plane).await?;
            session.out.show(&Verified {
                uuid: self.uuid,
                state,
                cell_uuid: cell.map(|cell| cell.to_string()),
                cell: cell.map(|cell| names.of(cell)),
            })?;
        }
        Ok(exit)
    }
}

#[derive(Debug, Serialize)]
struct Verified {
    uuid: InstanceUuid,
    /// `alive`, `not mapped`, `mapped to no cell`, `deleted` or `archived`.
    state: &'static str,
    cell_uuid: Option<String>,
    cell: Option<String>,
}

impl View for Verified {
    fn text(&self, _: Style) -> String {
        let (uuid, cell) = (self.uuid, self.cell.as_deref().unwrap_or_default());
        match self.state {
            "alive" => format!("{uuid} is alive in {cell}\n"),
            "not mapped" => format!("{uuid} has no mapping: it was never here, or is archived\n"),
            "mapped to no cell" => {
                format!("{uuid} has no cell: it is being built, or was deleted before it had one\n")
            }
            "deleted" => format!("{uuid} is deleted in {cell}\n"),
            _ => format!("{uuid} is mapped to {cell}, where it is archived\n"),
        }
    }
}
