//! `db purge`.

use std::time::Duration;

use cellzero::{ControlPlane, PurgeOptions, PurgeReport};
use chrono::NaiveDateTime;
use serde::Serialize;

use super::archive::left_out;
use super::rows::{Moved, Table, parse_time};
use crate::command::{Run, help};
use crate::commands::cells::Names;
use crate::exit::Exit;
use crate::failure::{Exits as _, ended};
use crate::output::{Style, View};
use crate::progress::Progress;
use crate::session::Session;

/// Deletes what was archived for good, from the shadow tables of all cells and of the API database.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Purge>())]
pub(crate) struct Purge {
    /// Only what was deleted before this, in UTC: a day such as 2026-01-31, or a time such as
    /// 2026-01-31T12:00:00
    #[arg(long, value_name = "TIME")]
    before: Option<String>,

    /// Everything that was archived
    #[arg(long, conflicts_with = "before")]
    all: bool,

    /// How long to wait after each batch, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    sleep: u32,
}

impl Run for Purge {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero db purge --before 2026-01-01", "what was deleted last year or earlier"),
        ("cellzero db purge --all", "everything that was archived"),
    ];
    const EXITS: &'static [Exit] = &[
        Exit::PurgeOfNothingNamed,
        Exit::PurgeBadDate,
        Exit::NothingPurged,
        Exit::PurgeNoApiDatabase,
    ];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        if self.before.is_none() && !self.all {
            let message = "say what is to be deleted: --before TIME, or --all";
            return Err(ended(Exit::PurgeOfNothingNamed, message));
        }
        let before =
            self.before.as_deref().map(parse_time).transpose().exits(Exit::PurgeBadDate)?;
        let plane = session.plane().await.exits(Exit::PurgeNoApiDatabase)?;
        let names = Names::read(plane).await.exits(Exit::PurgeNoApiDatabase)?;
        let pause = Duration::from_secs(self.sleep.into());
        let report = run(plane, before, pause).await.exits(Exit::PurgeNoApiDatabase)?;
        let exit = match (report.unreachable.is_empty(), report.rows()) {
            (false, _) => Exit::Unavailable,
            (true, 0) => Exit::NothingPurged,
            (true, _) => Exit::Success,
        };
        session.out.show(&Purged { report, names })?;
        Ok(exit)
    }
}

/// Purges with a bar.
pub(super) async fn run(
    plane: &ControlPlane,
    before: Option<NaiveDateTime>,
    pause: Duration,
) -> anyhow::Result<PurgeReport> {
    let options =
        PurgeOptions { pause, ..before.map_or_else(PurgeOptions::all, PurgeOptions::before) };
    let bar = Progress::bar("purging");
    Ok(plane.purge(&options, |step| bar.set(step.done, step.of)).await?)
}

/// What was purged.
#[derive(Debug, Serialize)]
struct Purged {
    #[serde(flatten)]
    report: PurgeReport,
    #[serde(skip)]
    names: Names,
}

impl View for Purged {
    fn text(&self, _: Style) -> String {
        let mut table = Table::new("rows purged");
        table.add(&Moved { api: &self.report.api, cells: &self.report.cells }, &self.names);
        table.text()
    }

    fn notes(&self) -> String {
        let notes = format!("{} rows deleted\n", self.report.rows());
        notes + &left_out(&self.report.unreachable, None, &self.names)
    }
}
