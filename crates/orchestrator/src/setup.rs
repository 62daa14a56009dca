//! Cells are made: a database is migrated, told which cell of which plane it is, and mapped.

use std::fmt;

use cellzero_api_db::CellMapping;
use cellzero_api_db::cell_mapping::{
    self, CELL0_NAME, CELL0_TRANSPORT_URL, mask_passwords, same_queue,
};
use cellzero_cell_db::CellDatabase;
use cellzero_database::{
    DatabaseError, DatabaseUrl, Deadline, ErrorKind, Identity, Options, UrlError,
    database_error_source, transaction,
};
use cellzero_router::Cells;
use cellzero_types::text;
use cellzero_types::{CellUuid, InvalidField, PlaneUuid};
use uuid::Uuid;

use crate::Orchestrator;

/// A cell that is to be made. Its `Debug` shows no password.
#[derive(Clone)]
pub struct NewCell {
    /// For people.
    pub name: String,
    /// Its database; it must exist on its server. A SQLite file is made.
    pub url: String,
    /// The message broker of its hosts, as in Nova; `none:///` where they are reached without one.
    pub transport_url: String,
    /// Closed for scheduling from its beginning.
    pub disabled: bool,
}

impl fmt::Debug for NewCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewCell")
            .field("name", &self.name)
            .field("url", &mask_passwords(&self.url))
            .field("transport_url", &mask_passwords(&self.transport_url))
            .field("disabled", &self.disabled)
            .finish()
    }
}

impl NewCell {
    /// A cell with this name in this database.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> NewCell {
        NewCell {
            name: name.into(),
            url: url.into(),
            transport_url: CELL0_TRANSPORT_URL.to_owned(),
            disabled: false,
        }
    }
}

/// Why a cell was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateCellError {
    /// Its name cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// Its URL cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The database belongs to another cell of this plane, or is the API database.
    #[error("the database {url} is already {owner}; each cell needs a database of its own")]
    DatabaseTaken {
        /// The database, its password masked.
        url: String,
        /// Whose it is.
        owner: String,
    },
    /// The message queue is another cell's.
    #[error("the message queue {url} is that of {owner}; each cell needs a queue of its own")]
    QueueTaken {
        /// The queue, its password masked.
        url: String,
        /// Whose it is.
        owner: String,
    },
    /// The database failed, or belongs to another plane.
    #[error("the database {url} cannot become a cell")]
    Cell {
        /// The database, its password masked.
        url: String,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// The API database failed.
    #[error("the cell could not be mapped in the API database")]
    Database(#[from] DatabaseError),
}

database_error_source!(CreateCellError);

impl Orchestrator {
    /// Makes a cell: migrates the database at `url`, stamps it, and maps it under the URL in `new`.
    /// One that was interrupted can be run again with the same database.
    ///
    /// # Errors
    /// [`CreateCellError`].
    pub async fn create_cell(
        &self,
        plane: PlaneUuid,
        new: NewCell,
        url: &DatabaseUrl,
        options: Options,
        deadline: Deadline,
    ) -> Result<CellUuid, CreateCellError> {
        text::check_name("cell name", &new.name)?;
        let uuid = self.set_up(plane, (Uuid::new_v4(), &new), url, options, deadline).await?;
        Ok(CellUuid(uuid))
    }

    /// Makes cell0 in the database at `url`, and maps it under the URL `stored`. Where it is mapped
    /// already, that stands.
    ///
    /// # Errors
    /// [`CreateCellError`].
    pub async fn map_cell0(
        &self,
        plane: PlaneUuid,
        stored: &str,
        url: &DatabaseUrl,
        options: Options,
        deadline: Deadline,
    ) -> Result<(), CreateCellError> {
        let new = NewCell::new(CELL0_NAME, stored);
        let cell0 = CellUuid::CELL0.0;
        self.set_up(plane, (cell0, &new), url, options, deadline).await?;
        Ok(())
    }

    async fn set_up(
        &self,
        plane: PlaneUuid,
        (wanted, new): (Uuid, &NewCell),
        url: &DatabaseUrl,
        options: Options,
        deadline: Deadline,
    ) -> Result<Uuid, CreateCellError> {
        let api_url = self.api().url().clone();
        let mappings = self.api().run("read_cell_mappings", deadline, cell_mapping::all).await?;
        let cells = self.0.router.cells().clone();
        check_free(url, wanted, &api_url, &cells, &mappings)?;
        check_queue(&new.transport_url, wanted, &mappings)?;
        let database = CellDatabase::new(url.clone(), options);
        let failed = |source| CreateCellError::Cell { url: url.to_string(), source };
        // Before anything is changed: what is another's must not even be migrated.
        let standing = match database.identity(deadline).await {
            Err(error) if error.kind() == ErrorKind::SchemaVersion => None,
            standing => standing.map_err(failed)?,
        };
        // A stamp without a mapping is left of a run that was interrupted: it is taken up.
        let uuid = match standing {
            Some(Identity { plane: theirs, cell: Some(cell) })
                if theirs == plane.0
                    && wanted != CellUuid::CELL0.0
                    && !mappings.iter().any(|mapping| mapping.uuid.0 == cell) =>
            {
                cell
            }
            _ => wanted,
        };
        let identity = Identity { plane: plane.0, cell: Some(uuid) };
        let made = make_database(&database, standing.is_some(), identity, deadline).await;
        database.close().await;
        made.map_err(failed)?;
        let mapping = CellMapping {
            id: 0,
            uuid: CellUuid(uuid),
            name: Some(new.name.clone()),
            transport_url: Some(new.transport_url.clone()),
            database_connection: Some(new.url.clone()),
            disabled: new.disabled,
        };
        let url = url.clone();
        self.api()
            .run("map_cell", deadline, move |conn| {
                transaction(conn, "map_cell", |conn| {
                    let now = conn.now();
                    let mappings = cell_mapping::all_locked(conn)?;
                    if mappings.iter().any(|known| known.uuid == mapping.uuid) {
                        return Ok(());
                    }
                    check_free(&url, mapping.uuid.0, &api_url, &cells, &mappings)?;
                    let queue = mapping.transport_url.as_deref().unwrap_or_default();
                    check_queue(queue, mapping.uuid.0, &mappings)?;
                    Ok::<_, CreateCellError>(cell_mapping::insert(conn, &mapping, now)?)
                })
            })
            .await?;
        Ok(uuid)
    }
}

/// Makes the schema of a cell in a database and says there which cell it is. One that `stands`
/// migrated has to be this cell, or nobody's yet.
pub(crate) async fn make_database(
    database: &CellDatabase,
    stands: bool,
    identity: Identity,
    deadline: Deadline,
) -> Result<(), DatabaseError> {
    if stands {
        database.stamp(deadline, identity).await?;
    }
    database.migrate(deadline).await?;
    database.stamp(deadline, identity).await?;
    database.check_drift(deadline).await
}

/// Refuses a database that is the API database or another cell's.
pub(crate) fn check_free(
    url: &DatabaseUrl,
    wanted: Uuid,
    api_url: &DatabaseUrl,
    cells: &Cells,
    mappings: &[CellMapping],
) -> Result<(), CreateCellError> {
    let taken = |owner: String| CreateCellError::DatabaseTaken { url: url.to_string(), owner };
    if url.same_database(api_url) {
        return Err(taken("the API database".to_owned()));
    }
    for mapping in mappings.iter().filter(|mapping| mapping.uuid.0 != wanted) {
        let same = cells.url_of(mapping).is_ok_and(|other| other.same_database(url));
        if same {
            return Err(taken(format!("cell {}", mapping.identity())));
        }
    }
    Ok(())
}

/// Refuses a message queue that is another cell's.
pub(crate) fn check_queue(
    url: &str,
    wanted: Uuid,
    mappings: &[CellMapping],
) -> Result<(), CreateCellError> {
    let others = mappings.iter().filter(|mapping| mapping.uuid.0 != wanted);
    for mapping in others {
        let same = mapping.transport_url.as_deref().is_some_and(|other| same_queue(url, other));
        if same {
            let (url, owner) = (mask_passwords(url), format!("cell {}", mapping.identity()));
            return Err(CreateCellError::QueueTaken { url, owner });
        }
    }
    Ok(())
}
