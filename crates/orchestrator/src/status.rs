//! What a plane stands on, before and after an upgrade: its databases, their versions and clocks,
//! hosts without a cell, settings that lose what was answered.
//!
//! Each check is named and says a sentence. It only reads, and tells what it finds also where half of
//! the plane is away.

mod plane;
mod schemas;

use std::fmt;
use std::time::Duration;

use cellzero_api_db::ApiDatabase;
use cellzero_database::Deadline;
use cellzero_router::Cells;

use crate::sync::PlaneState;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// The plane works, and somebody should look.
    Warning,
    /// Something does not work, or will not.
    Failure,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Failure => "failure",
        })
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Its name, which never changes.
    pub name: &'static str,
    /// How it ended.
    pub level: Level,
    /// What was found, in a sentence, with what to do about it.
    pub says: String,
    /// Each database, host or setting that it is about.
    pub details: Vec<String>,
}

impl Check {
    fn new(name: &'static str, level: Level, says: impl Into<String>) -> Check {
        Check { name, level, says: says.into(), details: Vec::new() }
    }

    /// Fine where there are no details, otherwise at this level.
    fn of(
        name: &'static str,
        details: Vec<String>,
        (fine, level, wrong): (&str, Level, &str),
    ) -> Check {
        match details.is_empty() {
            true => Check::new(name, Level::Ok, fine),
            false => Check { name, level, says: wrong.to_owned(), details },
        }
    }
}

/// All checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusReport {
    /// Each of them, always in the same order. What cannot be asked without the API database is left
    /// out where that is away.
    pub checks: Vec<Check>,
}

impl StatusReport {
    /// The worst of them.
    pub fn level(&self) -> Level {
        self.checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok)
    }

    /// The check with this name.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

/// What counts as too much.
#[derive(Debug, Clone)]
pub struct StatusOptions {
    /// Two clocks further apart are a warning: times of different cells, and `changes_since` of a
    /// client that polls, are wrong by as much.
    pub clock_warning: Duration,
    /// Two clocks further apart are a failure. Leases go by the API database's clock alone; after a
    /// fail-over to a server whose clock is half a lease away, leases that hold would be taken for
    /// over, and work be done twice and thrown away.
    pub clock_failure: Duration,
    /// A request that has waited for a home for longer is stuck: cell0 is away, or no worker runs.
    pub waiting_for: Duration,
    /// How many files this process may open (`ulimit -n`), where it is known.
    pub files_max: Option<u64>,
}

impl Default for StatusOptions {
    fn default() -> StatusOptions {
        StatusOptions {
            clock_warning: Duration::from_secs(1),
            clock_failure: Duration::from_secs(30),
            waiting_for: Duration::from_secs(300),
            files_max: None,
        }
    }
}

/// Files that a connection takes at most: that to a SQLite file itself, its log and its shared memory;
/// that to a server has its socket alone.
const FILES_OF_A_CONNECTION: u64 = 3;
/// Files that a process needs beside its connections.
const FILES_BESIDE: u64 = 100;

/// An error with all that caused it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Whether the process may open as many files as its connections can take.
fn of_connections(total: u32, options: &StatusOptions) -> Check {
    let name = "connections";
    let needed = u64::from(total) * FILES_OF_A_CONNECTION + FILES_BESIDE;
    match options.files_max {
        Some(files) if files < needed => {
            let says = format!(
                "{total} connections may take {needed} files and this process may open {files}: \
                 raise ulimit -n, or lower connections_total"
            );
            Check::new(name, Level::Warning, says)
        }
        Some(files) => {
            let says = format!("{total} connections fit into the {files} files of this process");
            Check::new(name, Level::Ok, says)
        }
        None => Check::new(name, Level::Ok, format!("at most {total} connections are open")),
    }
}

/// All checks of a plane whose databases are in `state`. What fails on the way is a check that
/// failed.
pub async fn check(
    api: &ApiDatabase,
    cells: Option<&Cells>,
    state: &PlaneState,
    (options, connections_total): (&StatusOptions, u32),
    deadline: Deadline,
) -> StatusReport {
    let mut checks = schemas::of_schemas(state);
    if let Some(cells) = cells {
        match plane::of_plane(api, cells, options, deadline).await {
            Ok(more) => checks.extend(more),
            Err(error) => checks.push(Check::new("api_questions", Level::Failure, chain(&error))),
        }
    }
    checks.push(of_connections(connections_total, options));
    StatusReport { checks }
}
