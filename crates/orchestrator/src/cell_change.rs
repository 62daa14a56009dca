//! Cells are changed and removed: only what was asked for, and only what nobody needs.

use cellzero_api_db::cell_mapping::{self, MappingChange};
use cellzero_api_db::{CellMapping, cell_use, host_capacity};
use cellzero_cell_db::{CellDatabase, compute_node};
use cellzero_database::{
    DatabaseError, DatabaseUrl, Deadline, Identity, Options, UrlError, database_error_source,
    transaction,
};
use cellzero_router::CellError;
use cellzero_types::text;
use cellzero_types::{CellUuid, InvalidField, PlaneUuid};

use crate::Orchestrator;
use crate::setup::{CreateCellError, check_free, check_queue, make_database};

/// Why a cell was not changed. Nothing of it is, then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateCellError {
    /// No cell mapping has this uuid.
    #[error("there is no cell {cell}; look for a typing error in its uuid")]
    NotFound {
        /// The uuid.
        cell: CellUuid,
    },
    /// A field cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// Cell0 is never closed, and has no queue.
    #[error("cell0 {what}: nothing is scheduled to it, and nothing runs there")]
    Cell0 {
        /// What it cannot be.
        what: &'static str,
    },
    /// Its URL cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The database or the queue is another cell's, or the API database.
    #[error(transparent)]
    Taken(CreateCellError),
    /// The database cannot be reached, or is not this cell.
    #[error("the database {url} is not one that cell {cell} can be found in")]
    NotThisCell {
        /// The cell.
        cell: CellUuid,
        /// The database, its password masked.
        url: String,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// It is not lost: its database answers, and is this cell.
    #[error("cell {cell} is not lost: its database {url} answers; disconnect it first")]
    NotLost {
        /// The cell.
        cell: CellUuid,
        /// Its database, the password masked.
        url: String,
    },
    /// The API database failed.
    #[error("the cell could not be changed in the API database")]
    Database(#[from] DatabaseError),
}

database_error_source!(UpdateCellError);

/// Why a cell was not removed. Nothing of it is, then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteCellError {
    /// No cell mapping has this uuid.
    #[error("there is no cell {cell}; look for a typing error in its uuid")]
    NotFound {
        /// The uuid.
        cell: CellUuid,
    },
    /// Hosts are mapped to it.
    #[error("cell {cell} has {hosts} hosts; delete them, or remove it with them by force")]
    HasHosts {
        /// The cell.
        cell: CellUuid,
        /// How many.
        hosts: i64,
    },
    /// Instances live in it or are on their way to it, or its hosts still hold claims. No force
    /// removes it then.
    #[error(
        "cell {cell} is in use: {live} instances, {intents} boots or deletes on their way, {claims} \
         claims; delete the instances and let the workers finish"
    )]
    InUse {
        /// The cell.
        cell: CellUuid,
        /// Instances that live in it.
        live: i64,
        /// What is on its way, or left to be swept.
        intents: i64,
        /// Claims on its hosts.
        claims: i64,
    },
    /// Mappings of deleted instances name it.
    #[error(
        "the mappings of {deleted} deleted instances name cell {cell}; archive them, or remove it \
         with them by force"
    )]
    HasDeletedInstances {
        /// The cell.
        cell: CellUuid,
        /// How many.
        deleted: i64,
    },
    /// The API database failed.
    #[error("the cell could not be removed in the API database")]
    Database(#[from] DatabaseError),
}

database_error_source!(DeleteCellError);

/// Whether a cell goes with what still names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Only a cell that nothing names.
    Empty,
    /// With its host mappings and the mappings of its deleted instances; never with one that lives.
    Force,
}

/// What went with a cell.
#[derive(Debug)]
pub struct RemovedCell {
    /// How many host mappings.
    pub hosts: i64,
    /// The mappings of so many deleted instances.
    pub deleted_instances: i64,
    /// Why its compute nodes could not be marked as unmapped, where that was to be done: should the
    /// cell be made again, they are not discovered then, and its hosts have to report.
    pub nodes_stay_mapped: Option<CellError>,
}

impl Orchestrator {
    /// Changes a cell: only what is given. `database` is where the new `database_connection` leads,
    /// which must say that it is this cell of this
    /// plane; a database or a queue of another cell is refused. Every process reads the mapping
    /// again by itself. Two statements and a commit in the API database, one more for each of
    /// database and reopening, and one or two questions to a new database.
    ///
    /// # Errors
    /// [`UpdateCellError`].
    pub async fn update_cell(
        &self,
        plane: PlaneUuid,
        cell: CellUuid,
        (change, database): (MappingChange, Option<DatabaseUrl>),
        options: Options,
        deadline: Deadline,
    ) -> Result<(), UpdateCellError> {
        check_change(cell, &change)?;
        if let Some(url) = &database {
            self.check_new_database(plane, cell, url, options, deadline).await?;
        }
        let api_url = self.api().url().clone();
        let cells = self.0.router.cells().clone();
        self.api()
            .run("update_cell", deadline, move |conn| {
                transaction(conn, "update_cell", |conn| {
                    let now = conn.now();
                    let mappings = cell_mapping::all_locked(conn)?;
                    if !mappings.iter().any(|mapping| mapping.uuid == cell) {
                        return Err(UpdateCellError::NotFound { cell });
                    }
                    if let Some(url) = &database {
                        check_free(url, cell.0, &api_url, &cells, &mappings).map_err(taken)?;
                    }
                    if let Some(queue) = &change.transport_url {
                        check_queue(queue, cell.0, &mappings).map_err(taken)?;
                    }
                    cell_mapping::update(conn, cell, &change, now)?;
                    if change.disabled == Some(false) {
                        host_capacity::raise_cell(conn, cell, now)?;
                    }
                    Ok(())
                })
            })
            .await?;
        self.0.router.cells().refresh(deadline).await?;
        Ok(())
    }

    /// Makes the database at `url` that of a cell whose own is lost: migrates it, and says there that it
    /// is this cell. It must be empty, or what an interrupted call has left. What lived in the cell is
    /// lost; [`fsck`](crate::fsck) finds it by its mappings. The mapping itself is not changed.
    ///
    /// # Errors
    /// [`UpdateCellError`]: [`NotLost`](UpdateCellError::NotLost) where the database that is mapped
    /// answers and is another one.
    pub async fn remake_cell(
        &self,
        plane: PlaneUuid,
        cell: CellUuid,
        url: &DatabaseUrl,
        options: Options,
        deadline: Deadline,
    ) -> Result<(), UpdateCellError> {
        let mappings = self.api().run("read_cell_mappings", deadline, cell_mapping::all).await?;
        let mapping = mappings.iter().find(|mapping| mapping.uuid == cell);
        let mapping = mapping.ok_or(UpdateCellError::NotFound { cell })?;
        let cells = self.0.router.cells();
        check_free(url, cell.0, self.api().url(), cells, &mappings).map_err(taken)?;
        let identity = Identity { plane: plane.0, cell: Some(cell.0) };
        if let Ok(present) = cells.url_of(mapping)
            && !present.same_database(url)
        {
            let looking = Options { create: false, ..options.clone() };
            let database = CellDatabase::new(present.clone(), looking);
            let standing = database.recorded(deadline).await;
            database.close().await;
            if standing.is_ok_and(|of| of.is_some_and(|of| of.belongs_to(identity).is_ok())) {
                return Err(UpdateCellError::NotLost { cell, url: present.to_string() });
            }
        }
        let database = CellDatabase::new(url.clone(), options);
        let made = match database.recorded(deadline).await {
            Ok(recorded) => make_database(&database, recorded.is_some(), identity, deadline).await,
            Err(error) => Err(error),
        };
        database.close().await;
        let url = url.to_string();
        made.map_err(|source| UpdateCellError::NotThisCell { cell, url, source })
    }

    /// A mapping must never lead to another cell: whoever asks that database would be refused.
    async fn check_new_database(
        &self,
        plane: PlaneUuid,
        cell: CellUuid,
        url: &DatabaseUrl,
        options: Options,
        deadline: Deadline,
    ) -> Result<(), UpdateCellError> {
        let mappings = self.api().run("read_cell_mappings", deadline, cell_mapping::all).await?;
        if !mappings.iter().any(|mapping| mapping.uuid == cell) {
            return Err(UpdateCellError::NotFound { cell });
        }
        check_free(url, cell.0, self.api().url(), self.0.router.cells(), &mappings)
            .map_err(taken)?;
        let database = CellDatabase::new(url.clone(), Options { create: false, ..options });
        let expected = Identity { plane: plane.0, cell: Some(cell.0) };
        let checked = match database.recorded(deadline).await {
            // Whatever its version: it may be that of a plane that is being upgraded.
            Ok(Some(recorded)) => recorded.belongs_to(expected),
            Ok(None) => database.check(deadline, expected).await,
            Err(error) => Err(error),
        };
        database.close().await;
        let url = url.to_string();
        checked.map_err(|source| UpdateCellError::NotThisCell { cell, url, source })
    }

    /// Removes a cell that nothing names, in one transaction that no boot gets past: its mapping,
    /// and by force its hosts and what is kept of its deleted instances. Its database stays, with
    /// its identity: it is no other cell's, and made a cell again it is the same one. Eight statements
    /// and a commit; four more where it is removed, four for each five hundred deleted instances,
    /// and one in the cell by force.
    ///
    /// # Errors
    /// [`DeleteCellError`].
    pub async fn delete_cell(
        &self,
        cell: CellUuid,
        removal: Removal,
        deadline: Deadline,
    ) -> Result<RemovedCell, DeleteCellError> {
        // Before it is gone: afterwards nobody knows the way to its database.
        let handle = self.0.router.cells().get(cell, deadline).await;
        let removed = self
            .api()
            .run("delete_cell", deadline, move |conn| {
                transaction(conn, "delete_cell", |conn| {
                    let Some((id, in_use)) = cell_use::lock(conn, cell)? else {
                        return Err(DeleteCellError::NotFound { cell });
                    };
                    check_unused(cell, &in_use, removal)?;
                    cell_use::remove(conn, cell, id)?;
                    Ok(in_use)
                })
            })
            .await?;
        let mut nodes_stay_mapped = None;
        if removed.hosts > 0 {
            nodes_stay_mapped = match handle {
                Ok(handle) => {
                    let unmapped = handle.run("unmap_nodes", deadline, compute_node::unmap_all);
                    unmapped.await.err().map(|source| CellError::Database { cell, source })
                }
                Err(error) => Some(error),
            };
        }
        self.0.router.cells().refresh(deadline).await?;
        let (hosts, deleted_instances) = (removed.hosts, removed.deleted);
        Ok(RemovedCell { hosts, deleted_instances, nodes_stay_mapped })
    }
}

fn taken(error: CreateCellError) -> UpdateCellError {
    match error {
        CreateCellError::Database(error) => UpdateCellError::Database(error),
        other => UpdateCellError::Taken(other),
    }
}

fn check_change(cell: CellUuid, change: &MappingChange) -> Result<(), UpdateCellError> {
    if let Some(name) = &change.name {
        text::check_name("cell name", name)?;
    }
    if !cell.is_cell0() {
        return Ok(());
    }
    match change {
        MappingChange { disabled: Some(true), .. } => {
            Err(UpdateCellError::Cell0 { what: "cannot be disabled" })
        }
        MappingChange { disabled: Some(false), .. } => {
            Err(UpdateCellError::Cell0 { what: "is never disabled, so it cannot be enabled" })
        }
        MappingChange { transport_url: Some(_), .. } => {
            Err(UpdateCellError::Cell0 { what: "has no message queue" })
        }
        _ => Ok(()),
    }
}

fn check_unused(
    cell: CellUuid,
    in_use: &cell_use::CellUse,
    removal: Removal,
) -> Result<(), DeleteCellError> {
    let cell_use::CellUse { hosts, live, deleted, intents, claims } = *in_use;
    let is_forced = removal == Removal::Force;
    if hosts > 0 && !is_forced {
        return Err(DeleteCellError::HasHosts { cell, hosts });
    }
    if live > 0 || intents > 0 || claims > 0 {
        return Err(DeleteCellError::InUse { cell, live, intents, claims });
    }
    if deleted > 0 && !is_forced {
        return Err(DeleteCellError::HasDeletedInstances { cell, deleted });
    }
    Ok(())
}

/// The mapping of a cell by its uuid or its name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindCellError {
    /// No cell has this uuid or name.
    #[error("there is no cell {wanted}; cell list shows them all")]
    NotFound {
        /// What was asked for.
        wanted: String,
    },
    /// Several cells have this name.
    #[error("{count} cells are named {wanted}; give the uuid")]
    Ambiguous {
        /// The name.
        wanted: String,
        /// How many.
        count: usize,
    },
}

/// Finds a cell by its uuid, or else by its name.
///
/// # Errors
/// [`FindCellError`].
pub fn find_cell<'a>(
    mappings: &'a [CellMapping],
    wanted: &str,
) -> Result<&'a CellMapping, FindCellError> {
    if let Ok(uuid) = wanted.parse::<CellUuid>()
        && let Some(found) = mappings.iter().find(|mapping| mapping.uuid == uuid)
    {
        return Ok(found);
    }
    let named: Vec<&CellMapping> =
        mappings.iter().filter(|mapping| mapping.name.as_deref() == Some(wanted)).collect();
    match named[..] {
        [one] => Ok(one),
        [] => Err(FindCellError::NotFound { wanted: wanted.to_owned() }),
        _ => Err(FindCellError::Ambiguous { wanted: wanted.to_owned(), count: named.len() }),
    }
}
