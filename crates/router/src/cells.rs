//! The cells of a plane: their mappings, and a checked connection to each.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cellzero_api_db::{ApiDatabase, CellMapping, cell_mapping};
use cellzero_cell_db::{CellConnection, CellDatabase};
use cellzero_database::{
    Counters, DatabaseError, DatabaseErrorSource, DatabaseUrl, Deadline, ErrorKind, Expected,
    Options, UrlError,
};
use cellzero_types::{CellUuid, PlaneUuid};
use tokio::sync::OnceCell;

use crate::breaker::{Breaker, BreakerOptions};
use crate::scatter::DownCells;

/// Why a cell cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// No cell mapping has this uuid.
    #[error("there is no cell {cell}; create it, or look for a typing error in its uuid")]
    Unknown {
        /// The uuid.
        cell: CellUuid,
    },
    /// Its URL cannot be used.
    #[error("the database URL of cell {cell} cannot be used")]
    Url {
        /// The cell.
        cell: CellUuid,
        /// What is wrong with it.
        #[source]
        source: UrlError,
    },
    /// Its database failed, did not answer in time, or is not what it should be.
    #[error("the database of cell {cell} failed")]
    Database {
        /// The cell.
        cell: CellUuid,
        /// How.
        #[source]
        source: DatabaseError,
    },
    /// The cell mappings could not be read.
    #[error("the cell mappings could not be read from the API database")]
    Api(#[source] DatabaseError),
}

impl CellError {
    /// The database's own error, where that is the cause.
    pub fn database(&self) -> Option<&DatabaseError> {
        match self {
            CellError::Database { source, .. } | CellError::Api(source) => Some(source),
            CellError::Unknown { .. } | CellError::Url { .. } => None,
        }
    }
}

/// How cells are reached.
#[derive(Debug, Clone)]
pub struct CellsOptions {
    /// For each cell's database.
    pub database: Options,
    /// The plane that every cell must belong to; none for a plane that Nova made, whose databases
    /// do not say who they are.
    pub plane: Option<PlaneUuid>,
    /// What templates in cell URLs are filled from: Nova's `[database]/connection`.
    pub base_url: Option<DatabaseUrl>,
    /// Where relative SQLite paths in cell URLs begin.
    pub base_dir: Option<PathBuf>,
    /// How a silent cell is treated; none, and every question waits for its deadline.
    pub breaker: Option<BreakerOptions>,
}

/// One cell: its mapping, and its database, which is checked at its first use to be this cell of
/// this plane with a schema that this binary may use.
#[derive(Debug)]
pub struct CellHandle {
    mapping: CellMapping,
    database: CellDatabase,
    plane: Option<PlaneUuid>,
    checked: Arc<OnceCell<()>>,
    breaker: Option<Arc<Breaker>>,
    /// A question has failed since the mapping was read: the cell may have moved.
    in_doubt: AtomicBool,
}

impl CellHandle {
    /// Its mapping, as it was read last.
    pub fn mapping(&self) -> &CellMapping {
        &self.mapping
    }

    /// The cell.
    pub fn uuid(&self) -> CellUuid {
        self.mapping.uuid
    }

    /// Its database, unchecked.
    pub fn database(&self) -> &CellDatabase {
        &self.database
    }

    /// Who its database must say that it is; none on a plane that Nova made.
    pub fn expected(&self) -> Option<Expected> {
        self.plane.map(|plane| Expected { plane: plane.0, cell: Some(self.mapping.uuid.0) })
    }

    /// Whether Nova made it, so that it has none of our own tables and its own collation.
    pub fn is_foreign(&self) -> bool {
        self.plane.is_none()
    }

    /// Checks again that its database is this cell of this plane; nothing on a plane that Nova
    /// made, whose databases do not say who they are.
    ///
    /// # Errors
    /// Those of [`cellzero_database::Database::check`].
    pub async fn check_identity(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        match self.expected() {
            Some(expected) => self.database.check(deadline, expected).await,
            None => Ok(()),
        }
    }

    /// Whether it is silent, so that [`ask`](Self::ask) does not ask it.
    pub fn is_silent(&self) -> bool {
        self.breaker.as_ref().is_some_and(|breaker| breaker.refusal().is_some())
    }

    /// Whether its mapping must be read again before it is asked: its database may be elsewhere.
    fn is_in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Relaxed) || self.is_silent()
    }

    /// The same database under a mapping that was read later.
    fn mapped_as(&self, mapping: &CellMapping) -> CellHandle {
        CellHandle {
            mapping: mapping.clone(),
            database: self.database.clone(),
            plane: self.plane,
            checked: Arc::clone(&self.checked),
            breaker: self.breaker.clone(),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// Checks once that its database is this cell, with the schema that the migrations make.
    async fn check_once(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        if self.is_foreign() {
            return Ok(());
        }
        let check = || async {
            self.check_identity(deadline).await?;
            self.database.check_drift(deadline).await
        };
        self.checked.get_or_try_init(check).await.map(|_| ())
    }

    /// Asks the cell, unless it is silent: then this fails at once, with
    /// [`ErrorKind::NotAsked`](cellzero_database::ErrorKind::NotAsked).
    ///
    /// # Errors
    /// As [`run`](Self::run), and that.
    pub async fn ask<T, E>(
        &self,
        name: &'static str,
        deadline: Deadline,
        work: impl FnOnce(&mut CellConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + DatabaseErrorSource + Send + 'static,
    {
        match self.breaker.as_ref().and_then(|breaker| breaker.refusal()) {
            Some(refusal) => Err(refusal.into()),
            None => self.run(name, deadline, work).await,
        }
    }

    /// Runs one operation on the cell's database, also where the cell has been silent.
    ///
    /// # Errors
    /// The operation's own; before the first operation also what the check of the database says.
    pub async fn run<T, E>(
        &self,
        name: &'static str,
        deadline: Deadline,
        work: impl FnOnce(&mut CellConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + DatabaseErrorSource + Send + 'static,
    {
        let result = match self.check_once(deadline).await {
            Ok(()) => self.database.run(name, deadline, work).await,
            Err(error) => Err(error.into()),
        };
        let error = result.as_ref().err().and_then(DatabaseErrorSource::database_error);
        if let Some(breaker) = &self.breaker {
            breaker.note(error, &self.database);
        }
        if error.is_some_and(|error| may_have_moved(error.kind())) {
            self.in_doubt.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// Whether a database that fails like this may be another, or none, by now.
fn may_have_moved(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unreachable
            | ErrorKind::AuthenticationFailed
            | ErrorKind::Tls
            | ErrorKind::DeadlineExceeded
            | ErrorKind::CommitUnknown
            | ErrorKind::ConnectionLost
            | ErrorKind::SchemaVersion
            | ErrorKind::SchemaDrift
            | ErrorKind::WrongIdentity
    )
}

/// The cells that can be asked, and those that cannot, with why.
pub type AllCells = (Vec<Arc<CellHandle>>, DownCells);

/// All cells of a plane. Mappings are read when they are needed, never cached for the life of the
/// process: an operator who changes a URL is heard at the next refresh.
#[derive(Debug, Clone)]
pub struct Cells {
    api: ApiDatabase,
    options: Arc<CellsOptions>,
    known: Arc<Mutex<HashMap<CellUuid, Arc<CellHandle>>>>,
}

impl Cells {
    /// The cells that this API database maps.
    pub fn new(api: ApiDatabase, options: CellsOptions) -> Cells {
        Cells { api, options: Arc::new(options), known: Arc::default() }
    }

    /// The plane that every cell must belong to; none for a plane that Nova made.
    pub fn plane(&self) -> Option<PlaneUuid> {
        self.options.plane
    }

    /// Whether Nova made the plane: its databases do not say who they are.
    pub fn is_foreign(&self) -> bool {
        self.options.plane.is_none()
    }

    /// One cell. No statement where it is known and has answered, else one: where it did not answer,
    /// its mapping may name another database by now.
    ///
    /// # Errors
    /// [`CellError::Unknown`] where no mapping has this uuid, [`CellError::Url`], or the API
    /// database's.
    pub async fn get(
        &self,
        cell: CellUuid,
        deadline: Deadline,
    ) -> Result<Arc<CellHandle>, CellError> {
        let known = self.known(cell);
        if let Some(known) = known.as_ref().filter(|known| !known.is_in_doubt()) {
            return Ok(Arc::clone(known));
        }
        let mappings = match (self.refresh(deadline).await, known) {
            (Ok(mappings), _) => mappings,
            (Err(_), Some(known)) => return Ok(known),
            (Err(error), None) => return Err(CellError::Api(error)),
        };
        let mapping = mappings.iter().find(|mapping| mapping.uuid == cell);
        let mapping = mapping.ok_or(CellError::Unknown { cell })?;
        // One that is mapped and not known has a URL that cannot be used.
        self.known(cell).map_or_else(|| self.connect(mapping), Ok)
    }

    fn known(&self, cell: CellUuid) -> Option<Arc<CellHandle>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&cell).cloned()
    }

    /// Every cell, cell0 and disabled ones too, in the order of the mappings; and those whose URL
    /// cannot be used, with why. One statement.
    ///
    /// # Errors
    /// The API database's.
    pub async fn all(&self, deadline: Deadline) -> Result<AllCells, DatabaseError> {
        Ok(self.all_of(&self.refresh(deadline).await?))
    }

    /// The same from mappings that were read just now, beside something else.
    pub(crate) fn adopt_all(&self, mappings: &[CellMapping]) -> AllCells {
        self.adopt(mappings);
        self.all_of(mappings)
    }

    fn all_of(&self, mappings: &[CellMapping]) -> AllCells {
        let mut all = AllCells::default();
        for mapping in mappings {
            match self.known(mapping.uuid).map_or_else(|| self.connect(mapping), Ok) {
                Ok(handle) => all.0.push(handle),
                Err(error) => all.1.push((mapping.uuid, error)),
            }
        }
        all
    }

    /// Reads the mappings again. A cell whose URL changed gets new connections and a new breaker; a
    /// change of anything else leaves it both.
    ///
    /// # Errors
    /// The API database's.
    pub async fn refresh(&self, deadline: Deadline) -> Result<Vec<CellMapping>, DatabaseError> {
        let mappings = self.api.run("read_cell_mappings", deadline, cell_mapping::all).await?;
        self.adopt(&mappings);
        Ok(mappings)
    }

    fn adopt(&self, mappings: &[CellMapping]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_gone = |uuid: &CellUuid, _: &mut _| !mappings.iter().any(|one| one.uuid == *uuid);
        let mut left: Vec<Arc<CellHandle>> =
            known.extract_if(is_gone).map(|(_, old)| old).collect();
        for mapping in mappings {
            let handle = match known.get(&mapping.uuid) {
                Some(handle) if handle.mapping == *mapping => {
                    handle.in_doubt.store(false, Ordering::Relaxed);
                    continue;
                }
                Some(handle)
                    if handle.mapping.database_connection == mapping.database_connection =>
                {
                    Ok(Arc::new(handle.mapped_as(mapping)))
                }
                _ => self.connect(mapping),
            };
            // A cell whose URL cannot be used is reported when it is asked for.
            left.extend(match handle {
                Ok(handle) => known.insert(mapping.uuid, handle),
                Err(_) => known.remove(&mapping.uuid),
            });
        }
        drop(known);
        if !left.is_empty() {
            // The last connection to a SQLite file writes to the disk when it is closed.
            tokio::task::spawn_blocking(move || drop(left));
        }
    }

    /// Where the database of a mapping is: its template filled, its relative path resolved.
    ///
    /// # Errors
    /// [`UrlError`] for a URL that is missing or cannot be used.
    pub fn url_of(&self, mapping: &CellMapping) -> Result<DatabaseUrl, UrlError> {
        let base = self.options.base_url.as_ref();
        let url = match self.is_foreign() {
            true => mapping.nova_database_url(base)?,
            false => mapping.database_url(base)?,
        };
        Ok(match &self.options.base_dir {
            Some(dir) => url.relative_to(dir),
            None => url,
        })
    }

    fn connect(&self, mapping: &CellMapping) -> Result<Arc<CellHandle>, CellError> {
        let url =
            self.url_of(mapping).map_err(|source| CellError::Url { cell: mapping.uuid, source })?;
        let called = Some(Arc::from(mapping.uuid.text()));
        let options = Options { called, ..self.options.database.clone() };
        Ok(Arc::new(CellHandle {
            mapping: mapping.clone(),
            database: CellDatabase::new(url, options),
            plane: self.options.plane,
            checked: Arc::default(),
            breaker: self.options.breaker.map(|options| Breaker::new(mapping.uuid, options)),
            in_doubt: AtomicBool::new(false),
        }))
    }

    /// What each cell that was reached has counted.
    pub fn counters(&self) -> Vec<(CellUuid, Counters)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(uuid, handle)| (*uuid, handle.database.counters())).collect()
    }

    /// Closes the connections to all cells, after the operations that run.
    pub async fn close(&self) {
        let handles: Vec<Arc<CellHandle>> = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.drain().map(|(_, handle)| handle).collect()
        };
        for handle in handles {
            handle.database.close().await;
        }
    }
}
