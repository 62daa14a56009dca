//! `status …`.

use cellzero::{Check, Databases, Level, StatusOptions, StatusReport};
use clap::Subcommand;
use comfy_table::Cell;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::command::{Run, go, help};
use crate::exit::Exit;
use crate::output::{Style, View, lines, table};
use crate::progress::Progress;
use crate::session::Session;

/// What a plane stands on.
#[derive(Debug, Subcommand)]
pub(crate) enum Status {
    Check(StatusCheck),
}

impl Status {
    pub(crate) async fn dispatch(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Status::Check(command) => go(command, session).await,
        }
    }
}

/// Checks databases, versions, identities, drift, hosts, clocks, settings and what waits; it only
/// reads.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<StatusCheck>())]
pub(crate) struct StatusCheck {}

impl Run for StatusCheck {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero status check", "before and after an upgrade, and when something is wrong")];
    const EXITS: &'static [Exit] = &[Exit::StatusWarning, Exit::StatusFailure];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let databases = Databases::new(session.config()?)?;
        let files_max = getrlimit(Resource::Nofile).current;
        let progress = Progress::spinner("asking every database");
        let options = StatusOptions { files_max, ..StatusOptions::default() };
        let report = databases.status(&options).await;
        drop(progress);
        session.out.show(&Shown::of(&report))?;
        Ok(match report.level() {
            Level::Ok => Exit::Success,
            Level::Warning => Exit::StatusWarning,
            Level::Failure => Exit::StatusFailure,
        })
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    result: String,
    checks: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    result: String,
    says: String,
    details: Vec<String>,
    #[serde(skip)]
    level: Level,
}

impl Shown {
    fn of(report: &StatusReport) -> Shown {
        let rows = report.checks.iter().map(|check: &Check| Row {
            name: check.name,
            result: check.level.to_string(),
            says: check.says.clone(),
            details: check.details.clone(),
            level: check.level,
        });
        Shown { result: report.level().to_string(), checks: rows.collect() }
    }
}

impl View for Shown {
    fn text(&self, style: Style) -> String {
        let mut table = table(&["check", "result", "says"]);
        for row in &self.checks {
            let result = match row.level {
                Level::Ok => style.good(&row.result),
                Level::Warning => style.doubtful(&row.result),
                Level::Failure => style.bad(&row.result),
            };
            table.add_row([Cell::new(row.name), result, Cell::new(&row.says)]);
            // What is well needs no details.
            for detail in row.details.iter().filter(|_| row.level != Level::Ok) {
                table.add_row(["", "", &format!("- {detail}")]);
            }
        }
        lines(&table)
    }
}
