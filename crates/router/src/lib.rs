//! Reach the cell of one instance, and all cells for a list.
//!
//! [`Cells`] turns a cell mapping into a database that was checked to be that cell of this plane.
//! [`show`](Router::show) asks the API database and then one cell; [`list`](Router::list) asks the
//! build requests first, then all cells at once, and merges in one total order. What cannot be
//! known now is `Unavailable`, never "not found".

mod breaker;
mod cells;
mod compute;
mod count;
mod list;
mod scatter;
mod show;
mod triage;
mod usage;
mod verify;

pub use breaker::BreakerOptions;
pub use cells::{AllCells, CellError, CellHandle, Cells, CellsOptions};
pub use compute::{ComputeSide, ComputeSides};
pub use count::{InstanceCount, InstanceCounts};
pub use list::{CellAnswered, CellReport, Page, SkipReason};
pub use scatter::{CellAnswer, DownCells, Gathered, scatter_gather};
pub use triage::{BuriedAs, BuriedGroup, Cell0Report, Clearance, TriageError};
pub use usage::{InstanceUsage, ProjectUsage, UsageQuery, Usages};
pub use verify::Whereabouts;

use cellzero_api_db::ApiDatabase;
use cellzero_database::DatabaseError;
use cellzero_types::{CellUuid, InstanceUuid, InvalidField};

/// Reads instances, wherever they live.
#[derive(Debug, Clone)]
pub struct Router {
    api: ApiDatabase,
    cells: Cells,
}

impl Router {
    /// A router over the cells of this API database.
    pub fn new(api: ApiDatabase, cells: Cells) -> Router {
        Router { api, cells }
    }

    /// The API database.
    pub fn api(&self) -> &ApiDatabase {
        &self.api
    }

    /// How it reaches cells.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }
}

/// Why an instance, or a page of them, could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such instance, or it is another project's.
    #[error("instance {uuid} could not be found")]
    InstanceNotFound {
        /// The uuid that was asked for.
        uuid: InstanceUuid,
    },
    /// The page begins after an instance that does not exist, or is another project's.
    #[error(
        "marker {marker} could not be found; it must be the uuid of an instance of the page before"
    )]
    MarkerNotFound {
        /// The marker.
        marker: InstanceUuid,
    },
    /// The instance exists, but its cell does not answer. Asking again may help.
    #[error("instance {uuid} is in cell {cell}, which does not answer now")]
    CellUnavailable {
        /// The instance.
        uuid: InstanceUuid,
        /// Its cell.
        cell: CellUuid,
        /// Why the cell does not answer.
        #[source]
        source: CellError,
    },
    /// The instance was on its way from one home to the next at every look. Asking again helps.
    #[error("instance {uuid} changes its home right now; ask again")]
    Moving {
        /// The instance.
        uuid: InstanceUuid,
    },
    /// A field of the query cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// The API database could not be read.
    #[error("the API database could not be read")]
    Database(#[from] DatabaseError),
}
