//! `db archive`.

use std::collections::BTreeMap;
use std::time::Duration;

use cellzero::{ArchiveOptions, ArchiveReport, CellUuid, ControlPlane, PurgeReport};
use serde::Serialize;

use super::purge;
use super::rows::{Moved, Table, parse_time};
use crate::command::{Run, help};
use crate::commands::cells::Names;
use crate::exit::Exit;
use crate::failure::{Exits as _, ended};
use crate::output::{Style, View};
use crate::progress::Progress;
use crate::session::Session;

/// Moves deleted instances of all cells, with their mappings, into shadow tables.
///
/// It ends with 1 where it has moved some: run it until it ends with 0. docs/upkeep.md says what goes
/// where, and what stays.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Archive>())]
pub(crate) struct Archive {
    /// Only what was deleted before this, in UTC: a day such as 2026-01-31, or a time such as
    /// 2026-01-31T12:00:00. In any case nothing that was deleted in the last 24 hours
    #[arg(long, value_name = "TIME")]
    before: Option<String>,

    /// The most instances of one run
    #[arg(long, value_name = "N", default_value = "1000", allow_hyphen_values = true)]
    max_rows: String,

    /// Go on until nothing is left; then --max-rows is how many are moved at once, up to 500
    #[arg(long)]
    until_complete: bool,

    /// Then delete everything from the shadow tables
    #[arg(long)]
    purge: bool,

    /// How long to wait after each batch, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    sleep: u32,
}

impl Run for Archive {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero db archive --until-complete", "everything that was deleted more than a day ago"),
        (
            "cellzero db archive --before 2026-01-31 --max-rows 5000 --sleep 1",
            "5000 of what January deleted, with a pause after each batch",
        ),
    ];
    const EXITS: &'static [Exit] =
        &[Exit::Archived, Exit::BadMaxRows, Exit::NoApiDatabase, Exit::BadDate];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let options = self.options()?;
        let plane = session.plane().await.exits(Exit::NoApiDatabase)?;
        let names = Names::read(plane).await.exits(Exit::NoApiDatabase)?;
        let bar = Progress::bar("archiving");
        let report = plane.archive(&options, |step| bar.set(step.done, step.of)).await;
        drop(bar);
        let report = report.exits(Exit::NoApiDatabase)?;
        let purged = match self.purge {
            true => Some(purge_all(plane, options.pause).await?),
            false => None,
        };
        let exit = exit_of(&report, purged.as_ref());
        session.out.show(&Archived { report, purged, names })?;
        Ok(exit)
    }
}

async fn purge_all(plane: &ControlPlane, pause: Duration) -> anyhow::Result<PurgeReport> {
    purge::run(plane, None, pause).await.exits(Exit::NoApiDatabase)
}

fn exit_of(report: &ArchiveReport, purged: Option<&PurgeReport>) -> Exit {
    let is_whole =
        report.unreachable.is_empty() && purged.is_none_or(|purged| purged.unreachable.is_empty());
    match (report.instances, is_whole) {
        (0, true) => Exit::Success,
        (0, false) => Exit::Unavailable,
        _ => Exit::Archived,
    }
}

impl Archive {
    fn options(&self) -> anyhow::Result<ArchiveOptions> {
        let most: u64 = match self.max_rows.parse::<i32>() {
            Ok(number) if number > 0 => u64::from(number.unsigned_abs()),
            _ => {
                let message = format!("--max-rows is {:?}, not a number above 0", self.max_rows);
                return Err(ended(Exit::BadMaxRows, message));
            }
        };
        let before = self.before.as_deref().map(parse_time).transpose().exits(Exit::BadDate)?;
        let usual = ArchiveOptions::default();
        let batch = match self.until_complete {
            true => u32::try_from(most).unwrap_or(u32::MAX).min(usual.batch),
            false => usual.batch,
        };
        Ok(ArchiveOptions {
            before,
            instances_max: (!self.until_complete).then_some(most),
            batch,
            pause: Duration::from_secs(self.sleep.into()),
            ..usual
        })
    }
}

/// What was archived.
#[derive(Debug, Serialize)]
struct Archived {
    #[serde(flatten)]
    report: ArchiveReport,
    /// What was purged after it.
    purged: Option<PurgeReport>,
    #[serde(skip)]
    names: Names,
}

impl View for Archived {
    fn text(&self, _: Style) -> String {
        let report = &self.report;
        let mut table = Table::new("rows archived");
        table.add(&Moved { api: &report.api, cells: &report.cells }, &self.names);
        let mut text = table.text();
        let mut table = Table::new("rows of nobody deleted");
        table.add(&Moved { api: &report.pruned_api, cells: &report.pruned_cells }, &self.names);
        text += &table.text();
        if let Some(purged) = &self.purged {
            let mut table = Table::new("rows purged");
            table.add(&Moved { api: &purged.api, cells: &purged.cells }, &self.names);
            text += &table.text();
        }
        text
    }

    fn notes(&self) -> String {
        let report = &self.report;
        let before = report.before.format("%Y-%m-%d %H:%M:%S");
        let mut notes =
            format!("{} instances archived, deleted before {before}\n", report.instances);
        if !report.complete {
            notes += "there may be more: run it again\n";
        }
        if report.unsettled > 0 {
            notes += &format!(
                "{} instances stay, since something of them is still to be done: see recover and fsck\n",
                report.unsettled
            );
        }
        let unreachable = &self.report.unreachable;
        notes + &left_out(unreachable, Some(&report.left), &self.names)
    }
}

/// A line for each cell that did not answer.
pub(super) fn left_out(
    unreachable: &BTreeMap<CellUuid, String>,
    left: Option<&BTreeMap<CellUuid, u64>>,
    names: &Names,
) -> String {
    let mut notes = String::new();
    for (cell, why) in unreachable {
        let left = left.and_then(|left| left.get(cell)).copied().unwrap_or(0);
        let stays = if left > 0 { format!(", {left} instances stay there") } else { String::new() };
        let (cell, why) = (names.of(*cell), crate::failure::masked(why));
        notes += &format!("cell {cell} did not answer{stays}: {why}\n");
    }
    notes
}
