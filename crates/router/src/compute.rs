//! The compute side of all cells: services, and nodes with what runs on them.

use std::collections::HashMap;
use std::sync::Arc;

use cellzero_cell_db::compute_node::{self, NodeSeen};
use cellzero_cell_db::instance;
use cellzero_cell_db::service::{self, ServiceRow};
use cellzero_database::{DatabaseError, Deadline};
use cellzero_types::CellUuid;

use crate::scatter::DownCells;
use crate::{Router, scatter_gather};

/// What one cell says of its compute side.
#[derive(Debug, Clone, Default)]
pub struct ComputeSide {
    /// Its services, by row id.
    pub services: Vec<ServiceRow>,
    /// Its compute nodes, by row id; of a host that has several only the first.
    pub nodes: Vec<NodeSeen>,
    /// How many live instances stand on each host.
    pub instances: HashMap<String, i64>,
}

/// The compute side of each cell that answered, and the cells that did not, with why.
pub type ComputeSides = (Vec<(CellUuid, ComputeSide)>, DownCells);

impl Router {
    /// The compute side of all live cells. One statement in the API database, three in each cell, all
    /// cells at once.
    ///
    /// # Errors
    /// The API database's. A cell that does not answer is no error.
    pub async fn compute_sides(&self, deadline: Deadline) -> Result<ComputeSides, DatabaseError> {
        let (handles, unreachable) = self.cells.all(deadline).await?;
        let live: Vec<_> =
            handles.iter().filter(|cell| !cell.uuid().is_cell0()).map(Arc::clone).collect();
        let gathered = scatter_gather(&live, "read_compute", deadline, |conn, _| {
            Ok(ComputeSide {
                services: service::all(conn)?,
                nodes: compute_node::live(conn)?,
                instances: instance::count_by_host(conn)?.into_iter().collect(),
            })
        })
        .await;
        let (sides, mut down) = gathered.split();
        down.extend(unreachable.into_iter().filter(|(cell, _)| !cell.is_cell0()));
        Ok((sides, down))
    }
}
