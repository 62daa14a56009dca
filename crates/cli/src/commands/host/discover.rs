//! `host discover`.

use cellzero::{CellError, CellUuid, DiscoverOptions, Discovery, HostError};
use comfy_table::Cell;
use serde::Serialize;

use crate::command::{Run, help};
use crate::commands::cells::{Names, find_cell};
use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::output::{Style, View, lines, table};
use crate::progress::Progress;
use crate::session::Session;

/// Maps the hosts that stand in the cells and are not mapped yet, so that they get instances.
///
/// It is for hosts that others wrote into their cells, such as compute agents of Nova's; one that
/// reports to this plane is mapped by its first report. A cell that does not answer is named, and the
/// others are done.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Discover>())]
pub(crate) struct Discover {
    /// Only in this cell: its uuid, or its name
    #[arg(long, visible_alias = "cell_uuid", value_name = "CELL")]
    cell: Option<String>,

    /// End with 1 where no host was new
    #[arg(long)]
    strict: bool,

    /// Also hosts with a compute service and no compute node; they get instances once they say how
    /// large they are
    #[arg(long)]
    by_service: bool,
}

impl Run for Discover {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero host discover", "in every cell"),
        ("cellzero host discover --cell cell2 --strict", "in one cell; 1 if there was none"),
    ];
    const EXITS: &'static [Exit] =
        &[Exit::NothingNew, Exit::DuplicateHosts, Exit::CellsDown, Exit::UnknownCell];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let names = Names::read(plane).await?;
        let cell = match &self.cell {
            Some(text) => Some(find_cell(&names, text).exits(Exit::UnknownCell)?),
            None => None,
        };
        let progress = Progress::spinner("asking the cells");
        let options = DiscoverOptions { cell, by_service: self.by_service };
        let discovery = match plane.hosts().discover(&options).await {
            Err(error) if is_unknown_cell(error.failed()) => {
                return Err(error).exits(Exit::UnknownCell);
            }
            done => done?,
        };
        drop(progress);
        let exit = self.exit_of(&discovery);
        session.out.show(&Discovered::new(&discovery, &names))?;
        Ok(exit)
    }
}

impl Discover {
    /// What must be mended goes before what may be tried again.
    fn exit_of(&self, found: &Discovery) -> Exit {
        let mend =
            [found.duplicates.is_empty(), found.in_cell0.is_empty(), found.unusable.is_empty()];
        if mend.contains(&false) {
            Exit::DuplicateHosts
        } else if !found.down.is_empty() {
            Exit::CellsDown
        } else if self.strict && found.new.is_empty() {
            Exit::NothingNew
        } else {
            Exit::Success
        }
    }
}

/// Whether the cell that was named does not exist.
pub(super) fn is_unknown_cell(error: Option<&HostError>) -> bool {
    matches!(error, Some(HostError::Cell(CellError::Unknown { .. })))
}

/// What was found.
#[derive(Debug, Serialize)]
struct Discovered {
    new: Vec<NewHost>,
    /// How many were mapped before.
    known: usize,
    /// Mapped to another cell.
    duplicates: Vec<Duplicate>,
    /// In cell0, which never has hosts.
    in_cell0: Vec<String>,
    unusable: Vec<Unusable>,
    down_cells: Vec<DownCell>,
}

#[derive(Debug, Serialize)]
struct NewHost {
    host: String,
    cell_uuid: CellUuid,
    cell: String,
    /// What may be claimed, after allocation ratios; none until the host says how large it is.
    vcpus: Option<i64>,
    memory_mb: Option<i64>,
    disk_gb: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Duplicate {
    host: String,
    found_in: String,
    mapped_to: String,
}

#[derive(Debug, Serialize)]
struct Unusable {
    host: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct DownCell {
    cell_uuid: CellUuid,
    cell: String,
    reason: String,
}

impl Discovered {
    fn new(found: &Discovery, names: &Names) -> Discovered {
        let new = found.new.iter().map(|host| NewHost {
            host: host.host.clone(),
            cell_uuid: host.cell,
            cell: names.of(host.cell),
            vcpus: host.limit.map(|limit| limit.vcpus),
            memory_mb: host.limit.map(|limit| limit.memory_mb),
            disk_gb: host.limit.map(|limit| limit.disk_gb),
        });
        let duplicates = found.duplicates.iter().map(|host| Duplicate {
            host: host.host.clone(),
            found_in: names.of(host.found),
            mapped_to: names.of(host.mapped),
        });
        let unusable = found
            .unusable
            .iter()
            .map(|(host, error)| Unusable { host: host.clone(), reason: error.to_string() });
        let down = found.down.iter().map(|(cell, error)| DownCell {
            cell_uuid: *cell,
            cell: names.of(*cell),
            reason: reason(error),
        });
        Discovered {
            new: new.collect(),
            known: found.known,
            duplicates: duplicates.collect(),
            in_cell0: found.in_cell0.clone(),
            unusable: unusable.collect(),
            down_cells: down.collect(),
        }
    }
}

/// An error and its causes in one line, without passwords.
fn reason(error: &CellError) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.dedup();
    crate::failure::masked(&texts.join(": "))
}

impl View for Discovered {
    fn text(&self, _: Style) -> String {
        if self.new.is_empty() {
            return format!("no host is new; {} were mapped before\n", self.known);
        }
        let mut table = table(&["host", "cell", "vcpus", "memory_mb", "disk_gb"]);
        for host in &self.new {
            let size = [host.vcpus, host.memory_mb, host.disk_gb];
            let mut row = vec![Cell::new(&host.host), Cell::new(&host.cell)];
            row.extend(size.map(|size| Cell::new(crate::output::or_dash(size))));
            table.add_row(row);
        }
        lines(&table)
    }

    fn notes(&self) -> String {
        let mut notes = String::new();
        for host in &self.duplicates {
            notes += &format!(
                "{} stands in {} and is mapped to {}: delete it in one of them\n",
                host.host, host.found_in, host.mapped_to
            );
        }
        for host in &self.in_cell0 {
            notes += &format!(
                "{host} stands in cell0, which never has hosts: correct the database URL of its agent\n"
            );
        }
        for host in &self.unusable {
            notes += &format!("{} cannot be used: {}\n", host.host, host.reason);
        }
        for cell in &self.down_cells {
            notes += &format!("{} does not answer: {}\n", cell.cell, cell.reason);
        }
        notes
    }
}
