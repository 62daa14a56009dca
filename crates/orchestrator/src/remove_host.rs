//! A host leaves the plane: what maps it to its cell, and what is known of its size, is deleted.
//!
//! Refused while anything lives there. One transaction decides under the lock of the host's capacity,
//! which every placement needs to claim on it: a boot that is faster is seen by its claim, and one that
//! is slower finds no host.
//!
//! Two statements where it is refused for its name; otherwise one in the cell, seven in the API
//! database, and one more in the cell.

use cellzero_api_db::{ApiConnection, cell_mapping, claim, host_capacity, host_mapping};
use cellzero_cell_db::{census, compute_node};
use cellzero_database::{Deadline, transaction};
use cellzero_router::CellError;
use cellzero_types::CellUuid;

use crate::Orchestrator;
use crate::report::HostError;

impl Orchestrator {
    /// Removes a host from its cell. It can be discovered, or report, again.
    ///
    /// # Errors
    /// [`HostError::Cell`] for a cell that does not exist or does not answer,
    /// [`HostError::NotFound`], [`HostError::MappedElsewhere`], [`HostError::HasInstances`] while a
    /// live instance, a placement or a destroy that is not acknowledged needs it, or the API
    /// database's. Nothing is changed then.
    pub async fn delete_host(
        &self,
        cell: CellUuid,
        host: &str,
        deadline: Deadline,
    ) -> Result<(), HostError> {
        let handle = self.0.router.cells().get(cell, deadline).await?;
        let name = host.to_owned();
        let check = move |conn: &mut ApiConnection| check_mapping(conn, cell, &name);
        self.api().run("read_host_mapping", deadline, check).await?;
        // Instances that nobody has mapped have no claim; so the cell is asked too.
        let name = host.to_owned();
        let live = handle
            .run("count_on_host", deadline, move |conn| census::instances_on(conn, &name))
            .await
            .map_err(|source| CellError::Database { cell, source })?;
        if live > 0 {
            return Err(HostError::HasInstances { host: host.to_owned(), count: live });
        }
        let name = host.to_owned();
        self.api()
            .run("delete_host", deadline, move |conn| {
                transaction(conn, "delete_host", |conn| delete_in_transaction(conn, cell, &name))
            })
            .await?;
        let hosts = vec![host.to_owned()];
        let noted = handle
            .run("note_unmapped_host", deadline, move |conn| {
                let now = conn.now();
                compute_node::set_mapped(conn, &hosts, false, now)
            })
            .await;
        // Only a note, for Nova's own tools: the host is gone.
        if let Err(error) = noted {
            tracing::warn!(%cell, host, error = &error as &dyn std::error::Error, "its compute node is still marked as mapped");
        }
        Ok(())
    }
}

fn check_mapping(conn: &mut ApiConnection, cell: CellUuid, host: &str) -> Result<(), HostError> {
    let name = host.to_owned();
    match host_mapping::cells_of(conn, std::slice::from_ref(&name))?.get(host) {
        Some(mapped) if *mapped == cell => Ok(()),
        Some(mapped) => Err(HostError::MappedElsewhere { host: name, mapped: *mapped }),
        None => Err(HostError::NotFound { host: name }),
    }
}

fn delete_in_transaction(
    conn: &mut ApiConnection,
    cell: CellUuid,
    host: &str,
) -> Result<(), HostError> {
    cell_mapping::lock(conn, cell)?;
    host_capacity::lock(conn, host)?;
    check_mapping(conn, cell, host)?;
    let count = claim::count_on_host(conn, host)?;
    if count > 0 {
        return Err(HostError::HasInstances { host: host.to_owned(), count });
    }
    host_capacity::delete(conn, host)?;
    host_mapping::delete(conn, host)?;
    Ok(())
}
