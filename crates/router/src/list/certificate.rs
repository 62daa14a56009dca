//! What a list knows of its own completeness: a report for each cell.

use std::collections::BTreeMap;

use cellzero_api_db::CellMapping;
use cellzero_database::ErrorKind;
use cellzero_types::CellUuid;
use chrono::NaiveDateTime;

use crate::cells::CellError;
use crate::scatter::count_down;

/// Why a cell was not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// Nothing of the page is in it; the page is complete without it.
    NothingInIt,
    /// The query asks for other cells.
    NotWanted,
    /// It has not answered lately, and is probed.
    Silent,
}

/// What became of the question to a cell.
#[derive(Debug)]
pub enum CellAnswered {
    /// It has answered.
    Answered {
        /// Its clock when it was asked first, UTC.
        as_of: NaiveDateTime,
    },
    /// It did not answer by the deadline.
    TimedOut(CellError),
    /// It cannot be reached, or refused the question.
    Refused(CellError),
    /// It was not asked.
    Skipped(SkipReason),
}

impl CellAnswered {
    /// Whether something is missing because of it.
    pub fn is_down(&self) -> bool {
        match self {
            CellAnswered::Answered { .. } => false,
            CellAnswered::TimedOut(_) | CellAnswered::Refused(_) => true,
            CellAnswered::Skipped(reason) => *reason == SkipReason::Silent,
        }
    }

    /// Why it did not answer, where it was asked and did not.
    pub fn error(&self) -> Option<&CellError> {
        match self {
            CellAnswered::TimedOut(error) | CellAnswered::Refused(error) => Some(error),
            CellAnswered::Answered { .. } | CellAnswered::Skipped(_) => None,
        }
    }

    fn of(error: CellError) -> CellAnswered {
        match error.database().map(cellzero_database::DatabaseError::kind) {
            Some(ErrorKind::NotAsked) => CellAnswered::Skipped(SkipReason::Silent),
            Some(ErrorKind::DeadlineExceeded | ErrorKind::PoolExhausted) => {
                CellAnswered::TimedOut(error)
            }
            _ => CellAnswered::Refused(error),
        }
    }
}

/// One cell of a list.
#[derive(Debug)]
pub struct CellReport {
    /// The cell.
    pub cell: CellUuid,
    /// Its name.
    pub name: Option<String>,
    /// Whether it has answered.
    pub answered: CellAnswered,
    /// How many rows of instances were read from it.
    pub rows_read: usize,
    /// How many of its instances are left out, because a filter asks for what is not known while it
    /// does not answer.
    pub left_out: u64,
}

/// The reports while a list is read.
#[derive(Debug, Default)]
pub(super) struct Certificate(BTreeMap<CellUuid, CellReport>);

impl Certificate {
    /// A cell that is not asked, as long as nothing else is said.
    pub(super) fn begin(&mut self, mapping: &CellMapping, reason: SkipReason) {
        self.0.entry(mapping.uuid).or_insert_with(|| CellReport {
            cell: mapping.uuid,
            name: mapping.name.clone(),
            answered: CellAnswered::Skipped(reason),
            rows_read: 0,
            left_out: 0,
        });
    }

    /// A cell has answered with so many rows.
    pub(super) fn answered(&mut self, cell: CellUuid, as_of: NaiveDateTime, rows: usize) {
        if let Some(report) = self.0.get_mut(&cell) {
            report.rows_read += rows;
            if matches!(report.answered, CellAnswered::Skipped(_)) {
                report.answered = CellAnswered::Answered { as_of };
            }
        }
    }

    /// A cell has not answered.
    pub(super) fn down(&mut self, cell: CellUuid, error: CellError) {
        if let Some(report) = self.0.get_mut(&cell)
            && !report.answered.is_down()
        {
            report.answered = CellAnswered::of(error);
            count_down(cell);
        }
    }

    /// So many of its instances are left out.
    pub(super) fn left_out(&mut self, cell: CellUuid, count: u64) {
        if let Some(report) = self.0.get_mut(&cell) {
            report.left_out = count;
        }
    }

    /// Whether something of a cell is missing.
    pub(super) fn is_down(&self, cell: CellUuid) -> bool {
        self.0.get(&cell).is_some_and(|report| report.answered.is_down())
    }

    /// The cells of which something is missing.
    pub(super) fn down_cells(&self) -> Vec<CellUuid> {
        self.0.values().filter(|r| r.answered.is_down()).map(|report| report.cell).collect()
    }

    pub(super) fn into_reports(self) -> Vec<CellReport> {
        self.0.into_values().collect()
    }
}
