//! What each cell contributed to a page, as data and in words.

use cellzero::{CellAnswered, CellReport, CellUuid, SkipReason};
use chrono::NaiveDateTime;
use serde::Serialize;

/// One cell of a page.
#[derive(Debug, Serialize)]
pub(super) struct CellAnswer {
    cell: CellUuid,
    name: Option<String>,
    /// `answered`, `timed_out`, `refused`, `silent`, `nothing_in_it` or `not_wanted`.
    answer: &'static str,
    /// Its clock when it was asked.
    as_of: Option<NaiveDateTime>,
    rows_read: usize,
    /// Instances of it that are missing, because a filter asks for what only the cell knows.
    left_out: u64,
    /// Why it did not answer.
    error: Option<String>,
}

impl CellAnswer {
    pub(super) fn new(report: &CellReport) -> CellAnswer {
        let (answer, as_of) = match &report.answered {
            CellAnswered::Answered { as_of } => ("answered", Some(*as_of)),
            CellAnswered::TimedOut(_) => ("timed_out", None),
            CellAnswered::Refused(_) => ("refused", None),
            CellAnswered::Skipped(SkipReason::Silent) => ("silent", None),
            CellAnswered::Skipped(SkipReason::NothingInIt) => ("nothing_in_it", None),
            CellAnswered::Skipped(SkipReason::NotWanted) => ("not_wanted", None),
        };
        let error = report.answered.error().map(|error| {
            let mut texts = vec![error.to_string()];
            let mut cause = std::error::Error::source(error);
            while let Some(source) = cause {
                texts.push(source.to_string());
                cause = source.source();
            }
            texts.dedup();
            crate::failure::masked(&texts.join(": "))
        });
        CellAnswer {
            cell: report.cell,
            name: report.name.clone(),
            answer,
            as_of,
            rows_read: report.rows_read,
            left_out: report.left_out,
            error,
        }
    }

    /// A sentence about a cell that did not answer.
    pub(super) fn note(&self) -> Option<String> {
        let what = match self.answer {
            "timed_out" => "did not answer in time",
            "refused" => "cannot be reached, or refused the question",
            "silent" => "has not answered lately and was not asked",
            _ => return None,
        };
        let name = self.name.clone().unwrap_or_else(|| self.cell.to_string());
        let mut note = format!("cell {name} {what}");
        if let Some(error) = &self.error {
            note += &format!(": {error}");
        }
        note.push('\n');
        if self.left_out > 0 {
            note += &format!(
                "  {} instances of it are left out, since only the cell knows whether the filters \
                 let them through\n",
                self.left_out
            );
        }
        Some(note)
    }
}
