//! `instance map`.

use cellzero::{CellError, MapError, MapOptions, Mapped};
use serde::Serialize;

use crate::command::{Run, help};
use crate::commands::cells::{Names, find_cell};
use crate::exit::Exit;
use crate::failure::{Exits as _, ended};
use crate::output::{Style, View};
use crate::progress::Progress;
use crate::session::Session;

/// Maps the instances that stand in a cell and that no boot of this plane made, the oldest first.
///
/// It is for a cell that others filled, such as one of Nova's: afterwards its instances are shown,
/// listed, deleted and retried as all others, and their hosts count what they take. How far it got is
/// kept in the cell, so that it can be stopped at any time and run again: docs/adopting.md.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Map>())]
pub(crate) struct Map {
    /// The cell: its uuid, or its name. Cell0 too
    #[arg(long, visible_alias = "cell_uuid", value_name = "CELL")]
    cell: String,

    /// The most instances that are looked at; all without it
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    max_count: Option<String>,

    /// Look at every row again, also at those that are known to be mapped
    #[arg(long)]
    reset: bool,
}

impl Run for Map {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero instance map --cell cell3", "all instances of a cell"),
        (
            "cellzero instance map --cell cell3 --max-count 10000",
            "some of them; it ends with 1 until all are mapped",
        ),
        (
            "cellzero instance map --cell cell3 --reset",
            "after the API database was restored from a backup",
        ),
    ];
    const EXITS: &'static [Exit] =
        &[Exit::MoreToMap, Exit::NoSuchCell, Exit::Unreadable, Exit::CellSilent, Exit::BadCount];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let max_count = self.max_count.as_deref().map(count).transpose()?;
        let plane = session.plane().await?;
        let names = Names::read(plane).await?;
        let cell = find_cell(&names, &self.cell).exits(Exit::NoSuchCell)?;
        let options = MapOptions { max_count, reset: self.reset, ..MapOptions::default() };
        let progress = Progress::spinner("mapping");
        let mut heard = |mapped: &Mapped| {
            progress.say(format!("{} of {} instances", mapped.looked_at, mapped.total));
        };
        let mapped = match plane.map_instances(cell, options, &mut heard).await {
            Ok(mapped) => mapped,
            Err(error) => {
                return match error.failed() {
                    Some(MapError::Cell(CellError::Unknown { .. })) => {
                        Err(error).exits(Exit::NoSuchCell)
                    }
                    Some(MapError::Cell(_)) => Err(error).exits(Exit::CellSilent),
                    _ => Err(error.into()),
                };
            }
        };
        drop(progress);
        let exit = match &mapped {
            mapped if mapped.more => Exit::MoreToMap,
            mapped if !mapped.unreadable.is_empty() => Exit::Unreadable,
            _ => Exit::Success,
        };
        session.out.show(&Done::new(mapped, names.of(cell)))?;
        Ok(exit)
    }
}

/// As Nova has it: at least one.
fn count(text: &str) -> anyhow::Result<u32> {
    match text.parse() {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(ended(Exit::BadCount, format!("--max-count {text:?} is no number above 0"))),
    }
}

/// What was mapped.
#[derive(Debug, Serialize)]
struct Done {
    cell: String,
    looked_at: u64,
    mapped: u64,
    /// How many of the mapped ones are deleted.
    deleted: u64,
    /// How many were mapped before.
    known: u64,
    /// Mapped to another cell, or being built; nothing was done with them.
    elsewhere: Vec<String>,
    /// Live ones whose row says no flavor: they have no request spec and claim nothing.
    without_flavor: Vec<String>,
    unreadable: Vec<UnreadableRow>,
    /// Whether some are left.
    more: bool,
}

#[derive(Debug, Serialize)]
struct UnreadableRow {
    uuid: String,
    reason: String,
}

impl Done {
    fn new(mapped: Mapped, cell: String) -> Done {
        let texts = |uuids: Vec<cellzero::InstanceUuid>| {
            uuids.into_iter().map(|uuid| uuid.to_string()).collect()
        };
        let unreadable = mapped.unreadable.into_iter();
        Done {
            cell,
            looked_at: mapped.looked_at,
            mapped: mapped.mapped,
            deleted: mapped.deleted,
            known: mapped.known,
            elsewhere: texts(mapped.elsewhere),
            without_flavor: texts(mapped.without_flavor),
            unreadable: unreadable.map(|(uuid, reason)| UnreadableRow { uuid, reason }).collect(),
            more: mapped.more,
        }
    }
}

impl View for Done {
    fn text(&self, _: Style) -> String {
        let more = if self.more { "; more are left, run it again" } else { "" };
        format!(
            "{}: {} instances mapped ({} of them deleted), {} were mapped before{more}\n",
            self.cell, self.mapped, self.deleted, self.known
        )
    }

    fn notes(&self) -> String {
        let mut notes = String::new();
        for uuid in &self.elsewhere {
            notes += &format!("{uuid} is mapped to another cell, or is being built\n");
        }
        for uuid in &self.without_flavor {
            notes += &format!("{uuid} says no flavor: nothing is claimed for it\n");
        }
        for row in &self.unreadable {
            notes += &format!("{} cannot be read: {}\n", row.uuid, row.reason);
        }
        notes
    }
}
