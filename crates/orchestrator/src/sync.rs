//! The schemas of all databases of a plane: brought to this binary's version, or looked at.
//!
//! The API database comes first, since it says which cells there are, then cell0, then every other
//! cell. A cell that fails is named and the rest is done. A database is only migrated where it says
//! that it is this cell of this plane, so a wrong URL changes nothing; each migration can be
//! interrupted and run again, and two at once take turns.

use std::fmt;
use std::time::Duration;

use cellzero_api_db::{ApiDatabase, CellMapping};
use cellzero_cell_db::Cell;
use cellzero_database::{
    DatabaseError, DatabaseState, Deadline, ErrorKind, Fit, Identity, Migrated, SchemaKind as _,
    UrlError,
};
use cellzero_router::{CellError, Cells};
use cellzero_types::{CellUuid, PlaneUuid};
use futures_util::future::join_all;

use crate::UuidSource;

/// One of the databases of a plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaneDatabase {
    /// The API database.
    Api,
    /// Cell0 or a live cell.
    Cell {
        /// Which.
        uuid: CellUuid,
        /// Its name, where it has one.
        name: Option<String>,
    },
}

impl fmt::Display for PlaneDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlaneDatabase::Api => f.write_str("API database"),
            PlaneDatabase::Cell { uuid, .. } if uuid.is_cell0() => f.write_str("cell0"),
            PlaneDatabase::Cell { uuid, name: Some(name) } => write!(f, "{name} ({uuid})"),
            PlaneDatabase::Cell { uuid, name: None } => write!(f, "{uuid}"),
        }
    }
}

impl From<&CellMapping> for PlaneDatabase {
    fn from(mapping: &CellMapping) -> PlaneDatabase {
        PlaneDatabase::Cell { uuid: mapping.uuid, name: mapping.name.clone() }
    }
}

/// Why a database of a plane was not migrated, or could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Its URL cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// It cannot be reached, is another's, has drifted, or a migration failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Its cell cannot be used.
    #[error(transparent)]
    Cell(CellError),
}

impl From<CellError> for SchemaError {
    fn from(error: CellError) -> SchemaError {
        match error {
            CellError::Url { source, .. } => SchemaError::Url(source),
            CellError::Database { source, .. } | CellError::Api(source) => {
                SchemaError::Database(source)
            }
            other => SchemaError::Cell(other),
        }
    }
}

/// What became of one database.
#[derive(Debug)]
pub struct SyncedDatabase {
    /// Which.
    pub database: PlaneDatabase,
    /// Its URL, the password masked; empty where it cannot be used.
    pub url: String,
    /// The versions before and after, or why it was not migrated.
    pub outcome: Result<Migrated, SchemaError>,
}

/// What became of all databases of a plane, in the order in which they were taken.
#[derive(Debug, Default)]
pub struct SyncReport {
    /// Each database. Where the API database failed it is the only one.
    pub databases: Vec<SyncedDatabase>,
    /// Whether the plane has a cell0; one that was never set up has none yet.
    pub cell0_is_mapped: bool,
}

impl SyncReport {
    /// The databases that were not migrated.
    pub fn failed(&self) -> impl Iterator<Item = &SyncedDatabase> {
        self.databases.iter().filter(|one| one.outcome.is_err())
    }

    /// Whether every database is at this binary's version.
    pub fn is_done(&self) -> bool {
        self.failed().next().is_none()
    }
}

/// The state of one database.
#[derive(Debug)]
pub struct ShownDatabase {
    /// Which.
    pub database: PlaneDatabase,
    /// Its URL, the password masked; empty where it cannot be used.
    pub url: String,
    /// Its versions and its drift, or why it could not be read. A cell's database that is another's
    /// is [`ErrorKind::WrongIdentity`].
    pub state: Result<DatabaseState, SchemaError>,
}

impl ShownDatabase {
    /// Whether it is at this binary's version, or at a newer one that admits it, without drift.
    pub fn is_sound(&self) -> bool {
        self.state.as_ref().is_ok_and(|state| {
            matches!(state.fit, Fit::Equal | Fit::Newer) && state.drift.is_none()
        })
    }

    /// Whether a migration is all that it needs.
    pub fn is_behind(&self) -> bool {
        self.state.as_ref().is_ok_and(|state| {
            let is_older = match state.fit {
                Fit::Behind => true,
                // A cell that is mapped was made once: an empty database is not that cell.
                Fit::Empty => self.database == PlaneDatabase::Api,
                Fit::Equal | Fit::Newer | Fit::TooNew => false,
            };
            is_older && state.drift.is_none()
        })
    }
}

/// The state of all databases of a plane.
#[derive(Debug, Default)]
pub struct PlaneState {
    /// Each database, the API database first. Where that cannot be read or is empty it is the only
    /// one.
    pub databases: Vec<ShownDatabase>,
    /// Whether the plane has a cell0.
    pub cell0_is_mapped: bool,
}

/// Migrates the API database, and makes it that of the plane `wanted`, or of a new one, where it is
/// nobody's yet; gives the plane's uuid. Interrupted, it can be run again; of two that make a plane at
/// once, both get the uuid of the first.
///
/// # Errors
/// The database's; of kind [`ErrorKind::WrongIdentity`] where it is a cell, or is another plane's than
/// the wanted one: then nothing is changed.
pub async fn sync_api(
    api: &ApiDatabase,
    wanted: Option<PlaneUuid>,
    uuids: &dyn UuidSource,
    deadline: Deadline,
) -> Result<(Migrated, PlaneUuid), DatabaseError> {
    if let Some(PlaneUuid(plane)) = wanted
        && let Some(recorded) = api.recorded(deadline).await?
        && recorded.identity.is_some()
    {
        recorded.belongs_to(Identity { plane, cell: None })?;
    }
    let migrated = api.migrate(deadline).await?;
    let mut standing = api.identity(deadline).await?;
    if standing.is_none() {
        let plane = wanted.map_or_else(|| uuids.row(), |wanted| wanted.0);
        match api.stamp(deadline, Identity { plane, cell: None }).await {
            Err(error) if error.kind() != ErrorKind::WrongIdentity => return Err(error),
            // Another was faster, and its plane it is.
            _ => standing = api.identity(deadline).await?,
        }
    }
    let found = standing.map_or_else(|| uuids.row(), |identity| identity.plane);
    let plane = wanted.map_or(found, |wanted| wanted.0);
    api.check(deadline, Identity { plane, cell: None }).await?;
    api.check_drift(deadline).await?;
    Ok((migrated, PlaneUuid(plane)))
}

/// Migrates every mapped cell, cell0 first, each within `timeout`; adds each to the report, failed
/// or not, and tells it as soon as it is done. One statement in the API database, and in each cell
/// about a dozen and those of its migrations.
///
/// # Errors
/// The API database's.
pub async fn sync_cells(
    cells: &Cells,
    timeout: Duration,
    report: &mut SyncReport,
    tell: &mut (dyn FnMut(&SyncedDatabase) + Send),
) -> Result<(), DatabaseError> {
    let mut mappings = cells.refresh(Deadline::after(timeout)).await?;
    mappings.sort_by_key(|mapping| (!mapping.is_cell0(), mapping.id));
    for mapping in &mappings {
        let url = masked_url(cells, mapping);
        let outcome = sync_cell(cells, mapping, Deadline::after(timeout)).await;
        let done = SyncedDatabase { database: mapping.into(), url, outcome };
        tell(&done);
        report.databases.push(done);
    }
    report.cell0_is_mapped = mappings.first().is_some_and(CellMapping::is_cell0);
    Ok(())
}

async fn sync_cell(
    cells: &Cells,
    mapping: &CellMapping,
    deadline: Deadline,
) -> Result<Migrated, SchemaError> {
    let handle = cells.get(mapping.uuid, deadline).await?;
    let migrated = match handle.expected() {
        Some(expected) => handle.database().migrate_as(deadline, expected).await?,
        // What Nova made has the tables of another program, and is refused for that.
        None => handle.database().migrate(deadline).await?,
    };
    handle.database().check_drift(deadline).await?;
    Ok(migrated)
}

/// Migrates the cells that are SQLite files and behind, as a plane does that is opened with
/// migration; what fails is told by the log, and by the cell when it is used. One statement for each
/// such cell that is not behind.
pub async fn sync_files(cells: &Cells, mappings: &[CellMapping], timeout: Duration) {
    for mapping in mappings {
        let deadline = Deadline::after(timeout);
        // A file that is gone must not be made anew by the question for its version.
        let is_there =
            cells.url_of(mapping).is_ok_and(|url| url.path().is_some_and(|path| path.exists()));
        if !is_there {
            continue;
        }
        let Ok(handle) = cells.get(mapping.uuid, deadline).await else { continue };
        let is_behind = match handle.database().recorded(deadline).await {
            Ok(recorded) => recorded.is_some_and(|of| of.schema_version < Cell::SCHEMA_VERSION),
            // What is wrong with it is said when it is used.
            Err(_) => continue,
        };
        if is_behind && let Err(error) = sync_cell(cells, mapping, deadline).await {
            tracing::warn!(cell = %mapping.uuid, %error, "a cell could not be migrated");
        }
    }
}

/// The state of every mapped cell, cell0 first; all are asked at once. One statement in the API
/// database and six in each cell.
///
/// # Errors
/// The API database's.
pub async fn show_cells(
    cells: &Cells,
    deadline: Deadline,
) -> Result<Vec<ShownDatabase>, DatabaseError> {
    let mut mappings = cells.refresh(deadline).await?;
    mappings.sort_by_key(|mapping| (!mapping.is_cell0(), mapping.id));
    let asked = mappings.iter().map(|mapping| async move {
        let state = show_cell(cells, mapping, deadline).await;
        ShownDatabase { database: mapping.into(), url: masked_url(cells, mapping), state }
    });
    Ok(join_all(asked).await)
}

async fn show_cell(
    cells: &Cells,
    mapping: &CellMapping,
    deadline: Deadline,
) -> Result<DatabaseState, SchemaError> {
    let handle = cells.get(mapping.uuid, deadline).await?;
    let state = handle.database().state(deadline).await?;
    if let (Some(recorded), Some(expected)) = (&state.recorded, handle.expected()) {
        recorded.belongs_to(expected)?;
    }
    Ok(state)
}

fn masked_url(cells: &Cells, mapping: &CellMapping) -> String {
    cells.url_of(mapping).map_or_else(|_| String::new(), |url| url.to_string())
}
