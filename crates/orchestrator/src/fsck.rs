//! Fsck: checks that a plane is what the boot protocol promises, and repairs what is not.
//!
//! It runs beside everything else. The uuids of all databases are walked in their order, a slice at
//! a time, so that it holds a bounded part of the plane. What looks wrong is looked at again, in the
//! API database, in the cells, and in the API database once more; only what stood still meanwhile is
//! judged. So a running boot, delete or sweep is never named.
//!
//! One uuid has one finding; what else is wrong there, or follows, is a note under it.
//!
//! `docs/fsck.md` has a row for each class: what it means, the evidence, and the repair.

mod class;
mod hosts;
mod judge;
mod repair;
mod report;
#[cfg(test)]
mod tests;
mod walk;

pub use class::{Class, Plan};
pub use report::{Dump, Finding, FsckOptions, FsckReport, Repair};

use cellzero_database::DatabaseError;
use cellzero_router::Router;

use crate::Orchestrator;
use walk::Walk;

/// Why a plane was not checked to its end. Cells that do not answer are no error: the report names
/// them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsckError {
    /// The API database failed.
    #[error("the API database could not be checked")]
    Database(#[from] DatabaseError),
}

/// Checks a plane, reading only, whatever the options say about repair.
///
/// # Errors
/// [`FsckError`] where the API database cannot be read.
pub async fn check(router: &Router, options: &FsckOptions) -> Result<FsckReport, FsckError> {
    Walk::begin(router, None, options.clone()).await?.run().await
}

impl Orchestrator {
    /// Checks a plane, and repairs it where the options say so.
    ///
    /// # Errors
    /// [`FsckError`] where the API database fails; what was repaired stays repaired, and the check
    /// can be repeated.
    pub async fn fsck(&self, options: &FsckOptions) -> Result<FsckReport, FsckError> {
        let orchestrator = (options.repair == Repair::Yes).then_some(self);
        Walk::begin(&self.0.router, orchestrator, options.clone()).await?.run().await
    }
}
