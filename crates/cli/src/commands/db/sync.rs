//! `db sync`.

use cellzero::{
    Databases, Fit, Migrated, PlaneState, ShownDatabase, SyncReport, SyncedDatabase, mask_passwords,
};
use comfy_table::Cell;
use serde::Serialize;

use super::row::{DatabaseRow, cause, row};
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::ended;
use crate::output::{Style, View, lines, or_dash, table};
use crate::progress::Progress;
use crate::session::Session;

/// Migrates the API database, cell0 and every cell to the schema of this version, in this order.
///
/// A new API database becomes that of a new plane. A cell that is down is named, and the others are
/// done. It can be killed at any time and run again.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Sync>())]
pub(crate) struct Sync {
    /// Write nothing: show the version and the drift of each database
    #[arg(long)]
    check: bool,

    /// The API database is lost and this one is empty: make it that of the plane that the cell in this
    /// database belongs to
    #[arg(long, value_name = "URL", conflicts_with = "check")]
    plane_of: Option<String>,
}

impl Run for Sync {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero db sync --check", "what an upgrade would do, and whether a schema has drifted"),
        ("cellzero db sync", "the first step of an upgrade, and of a new plane"),
        (
            "cellzero db sync --plane-of postgres://nova@db2/nova_cell1",
            "the first step back where the API database is lost; docs/deployment.md goes on",
        ),
    ];
    const EXITS: &'static [Exit] = &[Exit::NotSynced, Exit::Behind, Exit::Unsound];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let mut databases = Databases::new(session.config()?)?;
        if let Some(url) = &self.plane_of {
            let plane = databases.plane_of(url).await?.ok_or_else(|| {
                let url = mask_passwords(url);
                ended(Exit::NotSynced, format!("the database {url} is not that of a cell yet"))
            })?;
            databases = databases.of_plane(plane);
        }
        if self.check {
            let state = databases.state().await;
            session.out.show(&Checked::of(&state))?;
            return Ok(exit_of(&state));
        }
        let progress = Progress::spinner("the API database");
        let report = databases.sync(|done| progress.say(format!("behind {}", done.database))).await;
        drop(progress);
        session.out.show(&Synced::of(&report))?;
        Ok(if report.is_done() { Exit::Success } else { Exit::NotSynced })
    }
}

fn exit_of(state: &PlaneState) -> Exit {
    let all = &state.databases;
    if all.iter().all(ShownDatabase::is_sound) {
        Exit::Success
    } else if all.iter().all(|one| one.is_sound() || one.is_behind()) {
        Exit::Behind
    } else {
        Exit::Unsound
    }
}

/// What was done.
#[derive(Debug, Serialize)]
struct Synced {
    databases: Vec<SyncedRow>,
    cell0_is_mapped: bool,
}

#[derive(Debug, Serialize)]
struct SyncedRow {
    #[serde(flatten)]
    of: DatabaseRow,
    before: Option<i64>,
    after: Option<i64>,
    error: Option<String>,
}

impl Synced {
    fn of(report: &SyncReport) -> Synced {
        let databases = report.databases.iter().map(SyncedRow::of).collect();
        Synced { databases, cell0_is_mapped: report.cell0_is_mapped }
    }
}

impl SyncedRow {
    fn of(one: &SyncedDatabase) -> SyncedRow {
        let migrated = one.outcome.as_ref().ok();
        SyncedRow {
            of: row(&one.database, &one.url),
            before: migrated.and_then(|Migrated { before, .. }| *before),
            after: migrated.map(|Migrated { after, .. }| *after),
            error: one.outcome.as_ref().err().map(cause),
        }
    }

    fn outcome(&self, style: Style) -> Cell {
        match (&self.error, self.before, self.after) {
            (Some(error), ..) => style.bad(format!("failed: {error}")),
            (None, before, after) if before == after => style.good("nothing to do"),
            (None, None, _) => style.good("made"),
            (None, Some(_), _) => style.good("migrated"),
        }
    }
}

impl View for Synced {
    fn text(&self, style: Style) -> String {
        let mut table = table(&["database", "before", "now", "outcome"]);
        for one in &self.databases {
            let (before, after) = (or_dash(one.before), or_dash(one.after));
            table.add_row([
                Cell::new(one.of.title()),
                Cell::new(before),
                Cell::new(after),
                one.outcome(style),
            ]);
        }
        lines(&table)
    }

    fn notes(&self) -> String {
        let failed = self.databases.iter().filter(|one| one.error.is_some()).count();
        if failed > 0 {
            return format!(
                "{failed} databases were not migrated; run it again once they can be\n"
            );
        }
        match self.cell0_is_mapped {
            true => String::new(),
            false => "the plane has no cell0 yet: cellzero cell map-cell0\n".to_owned(),
        }
    }
}

/// What would be done.
#[derive(Debug, Serialize)]
struct Checked {
    databases: Vec<CheckedRow>,
    cell0_is_mapped: bool,
}

#[derive(Debug, Serialize)]
struct CheckedRow {
    #[serde(flatten)]
    of: DatabaseRow,
    schema_version: Option<i64>,
    binary_version: Option<i64>,
    state: &'static str,
    drift: Option<String>,
    fingerprint: Option<String>,
    error: Option<String>,
}

impl Checked {
    fn of(state: &PlaneState) -> Checked {
        let databases = state.databases.iter().map(CheckedRow::of).collect();
        Checked { databases, cell0_is_mapped: state.cell0_is_mapped }
    }
}

impl CheckedRow {
    fn of(one: &ShownDatabase) -> CheckedRow {
        let state = one.state.as_ref().ok();
        CheckedRow {
            of: row(&one.database, &one.url),
            schema_version: state.and_then(|state| Some(state.recorded?.schema_version)),
            binary_version: state.map(|state| state.binary_version),
            state: state.map_or("failed", |state| match state.fit {
                Fit::Empty => "empty",
                Fit::Behind => "behind",
                Fit::Equal => "equal",
                Fit::Newer => "newer",
                Fit::TooNew => "too new",
            }),
            drift: state.and_then(|state| state.drift.as_ref()).map(ToString::to_string),
            fingerprint: state.map(|state| state.fingerprint.clone()),
            error: one.state.as_ref().err().map(cause),
        }
    }

    fn says(&self, style: Style) -> Cell {
        match (&self.error, &self.drift, self.state) {
            (Some(error), ..) => style.bad(format!("failed: {error}")),
            (None, Some(drift), _) => style.bad(format!("drifted: {drift}")),
            (None, None, "equal" | "newer") => style.good(self.state),
            (None, None, _) => style.doubtful(self.state),
        }
    }
}

impl View for Checked {
    fn text(&self, style: Style) -> String {
        let mut table = table(&["database", "schema", "binary", "state"]);
        for one in &self.databases {
            table.add_row([
                Cell::new(one.of.title()),
                Cell::new(or_dash(one.schema_version)),
                Cell::new(or_dash(one.binary_version)),
                one.says(style),
            ]);
        }
        lines(&table)
    }
}
