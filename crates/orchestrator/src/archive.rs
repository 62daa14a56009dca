//! Archive: deleted instances leave the tables that are read all the time, and what was archived is
//! purged after a time.
//!
//! The mappings that are queued for delete are walked in the order in which they were accepted, a
//! batch at a time, so that a run holds one batch. Of each batch, the rows in a cell move to the
//! shadow tables of that cell in one transaction, and then, in one transaction of the API database,
//! mapping, request spec and boot history move to its own, and the boot state goes. A run that was
//! interrupted between them left a tombstone without rows: the next one ends it.
//!
//! Only what is settled is taken: nothing to sweep, to send or to free, and the delete is older than
//! any stall ([`ArchiveOptions::age_min`]), since the fence that stops a late orchestrator goes with
//! the tombstone. A cell that does not answer is left out from then on, and its instances stay.
//!
//! Statements for each batch: 7 in the API database, 25 in one transaction of each cell that has
//! instances of it, all cells at once, and 17 in one transaction of the API database.
//!
//! `docs/upkeep.md` says what is moved where, and the ages.

mod prune;
mod purge;
mod report;
mod walk;

pub use report::{ArchiveOptions, ArchiveReport, Progress, PurgeOptions, PurgeReport, Rows};

use cellzero_database::DatabaseError;

use crate::Orchestrator;
use purge::Purge;
use walk::Walk;

/// Why a run did not end. Cells that do not answer are no error: the report names them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The API database failed. What was moved stays moved, and the next run goes on.
    #[error("the API database failed; run it again, and it goes on")]
    Database(#[from] DatabaseError),
}

impl Orchestrator {
    /// Archives deleted instances; `progress` is called after each batch.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn archive(
        &self,
        options: &ArchiveOptions,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<ArchiveReport, ArchiveError> {
        Walk::begin(self, options).await?.run(progress).await
    }

    /// Purges what was archived; `progress` is called after each round of batches.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn purge(
        &self,
        options: &PurgeOptions,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<PurgeReport, ArchiveError> {
        Purge::begin(self, options).await?.run(progress).await
    }
}
