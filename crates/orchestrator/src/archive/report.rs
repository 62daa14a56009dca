//! How archive and purge run, and what they did.

use std::collections::BTreeMap;
use std::time::Duration;

use cellzero_types::CellUuid;
use chrono::NaiveDateTime;
use serde::Serialize;

/// How deleted instances are archived.
#[derive(Debug, Clone)]
pub struct ArchiveOptions {
    /// Those whose delete was asked for before this, in UTC; none for all that [`Self::age_min`]
    /// allows.
    pub before: Option<NaiveDateTime>,
    /// How long ago a delete must be in any case. No orchestrator may stall for longer, and no client
    /// token of a request live longer, which is 24 hours.
    pub age_min: Duration,
    /// The most instances of one run; none for all.
    pub instances_max: Option<u64>,
    /// The most instances of one batch, up to 500: what one transaction moves.
    pub batch: u32,
    /// How long to wait between two batches, so that others get their turn.
    pub pause: Duration,
    /// How long one question to a database may take.
    pub step_timeout: Duration,
}

impl Default for ArchiveOptions {
    fn default() -> ArchiveOptions {
        ArchiveOptions {
            before: None,
            age_min: Duration::from_secs(86_400),
            instances_max: None,
            batch: 200,
            pause: Duration::ZERO,
            step_timeout: Duration::from_secs(30),
        }
    }
}

/// How archived instances are purged.
#[derive(Debug, Clone)]
pub struct PurgeOptions {
    /// Those that were deleted before this, in UTC; none for all.
    pub before: Option<NaiveDateTime>,
    /// The most instances of one batch, up to 500: what one transaction deletes.
    pub batch: u32,
    /// How long to wait between two batches.
    pub pause: Duration,
    /// How long one question to a database may take.
    pub step_timeout: Duration,
}

impl PurgeOptions {
    /// Purges all that was archived.
    pub fn all() -> PurgeOptions {
        let ArchiveOptions { batch, pause, step_timeout, .. } = ArchiveOptions::default();
        PurgeOptions { before: None, batch, pause, step_timeout }
    }

    /// Purges what was deleted before a time, in UTC.
    pub fn before(time: NaiveDateTime) -> PurgeOptions {
        PurgeOptions { before: Some(time), ..PurgeOptions::all() }
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many instances are done with: moved, or left where they are.
    pub done: u64,
    /// How many there were at the start, or how many one run may take.
    pub of: u64,
}

/// How many rows of each table.
pub type Rows = BTreeMap<String, u64>;

/// What an archive run did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ArchiveReport {
    /// Deletes before this were old enough, in UTC.
    pub before: NaiveDateTime,
    /// How many instances were archived.
    pub instances: u64,
    /// How many rows of each table of the API database went to its shadow tables.
    pub api: Rows,
    /// The same for each cell.
    pub cells: BTreeMap<CellUuid, Rows>,
    /// How many rows that belonged to nobody any more were deleted from the API database.
    pub pruned_api: Rows,
    /// The same for each cell.
    pub pruned_cells: BTreeMap<CellUuid, Rows>,
    /// How many instances stay since something of them is still to be done: rows to sweep, effects to
    /// send, a claim that its host has not freed.
    pub unsettled: u64,
    /// How many instances stay since their cell does not answer.
    pub left: BTreeMap<CellUuid, u64>,
    /// The cells that do not answer, with why.
    pub unreachable: BTreeMap<CellUuid, String>,
    /// Whether all that was old enough has been looked at; if not, the run had its most instances.
    pub complete: bool,
}

impl ArchiveReport {
    /// How many rows were moved, in all databases.
    pub fn rows(&self) -> u64 {
        self.api.values().chain(self.cells.values().flat_map(Rows::values)).sum()
    }
}

/// What a purge did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PurgeReport {
    /// How many rows were deleted from the shadow tables of the API database, by the table that they
    /// came from.
    pub api: Rows,
    /// The same for each cell.
    pub cells: BTreeMap<CellUuid, Rows>,
    /// The cells that do not answer, with why: what was archived there stays.
    pub unreachable: BTreeMap<CellUuid, String>,
}

impl PurgeReport {
    /// How many rows were deleted, in all databases.
    pub fn rows(&self) -> u64 {
        self.api.values().chain(self.cells.values().flat_map(Rows::values)).sum()
    }
}

/// Adds counts to counts.
pub(super) fn add(rows: &mut Rows, more: BTreeMap<&'static str, u64>) {
    for (table, number) in more {
        *rows.entry(table.to_owned()).or_default() += number;
    }
}

/// An error with all its causes, for a report.
pub(super) fn why(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
