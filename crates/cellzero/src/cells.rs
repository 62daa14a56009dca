//! Cells: made, listed, changed and removed; open or closed for scheduling.

use cellzero_api_db::cell_mapping::{self, MappingChange};
use cellzero_api_db::{CellMapping, host_capacity};
use cellzero_database::{DatabaseUrl, UrlError};
use cellzero_orchestrator::{
    CreateCellError, DeleteCellError, NewCell, Removal, RemovedCell, UpdateCellError, find_cell,
};
use cellzero_types::{CellUuid, InvalidField};

use crate::observed::{observed_alone, observed_in};
use crate::open::stored_url;
use crate::{AdminError, ControlPlane, Write};

impl ControlPlane {
    /// Cells: make, list, change, remove, open and close for scheduling.
    pub fn cells(&self) -> CellsAdmin<'_> {
        CellsAdmin(self)
    }
}

/// The cells of a plane.
#[derive(Debug)]
pub struct CellsAdmin<'a>(&'a ControlPlane);

impl CellsAdmin<'_> {
    /// Makes a cell: migrates its database, which must exist on its server, marks it as this cell
    /// of this plane, and maps it. Interrupted, it can be run again.
    ///
    /// # Errors
    /// [`CreateCellError`]: a bad name or URL, a database of another plane, cell or kind, or one
    /// that cannot be reached.
    pub async fn create(&self, new: NewCell) -> Result<CellUuid, Write<CreateCellError>> {
        let writer = self.0.writer()?;
        let inner = self.0.inner();
        let url = DatabaseUrl::parse(&new.url).map_err(|e| Write::Failed(e.into()))?;
        let new = NewCell { url: stored_url(&url, inner.base_dir.as_deref()), ..new };
        let (options, deadline) = (inner.options.clone(), self.0.admin_deadline());
        let created = writer.orchestrator.create_cell(writer.plane, new, &url, options, deadline);
        observed_alone("create_cell", created).await.map_err(Write::Failed)
    }

    /// Makes a cell in a SQLite file of the plane's own directory: `<name>.db`.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn create_embedded(&self, name: &str) -> Result<CellUuid, Write<CreateCellError>> {
        self.0.writer()?;
        let refuse =
            |expected: &str| Write::Failed(InvalidField::new("cell name", name, expected).into());
        if name.contains(['/', '\\']) || name.starts_with('.') || name == "api" || name == "cell0" {
            return Err(refuse("a plain file name other than api and cell0"));
        }
        let Some(directory) = &self.0.inner().base_dir else {
            return Err(refuse("given with a URL, since the API database is on a server"));
        };
        let path = directory.join(format!("{name}.db"));
        self.create(NewCell::new(name, path.to_string_lossy())).await
    }

    /// All cell mappings, in the order in which they were made.
    ///
    /// # Errors
    /// The API database's.
    pub async fn list(&self) -> Result<Vec<CellMapping>, AdminError> {
        self.0.look("list_cells", cell_mapping::all).await
    }

    /// Closes a cell for scheduling; what lives in it goes on. Cell0 is never disabled.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] for cell0 and for a cell that does not exist.
    pub async fn disable(&self, cell: CellUuid) -> Result<(), AdminError> {
        self.set_disabled(cell, true).await
    }

    /// Opens a cell for scheduling again.
    ///
    /// # Errors
    /// As [`disable`](Self::disable).
    pub async fn enable(&self, cell: CellUuid) -> Result<(), AdminError> {
        self.set_disabled(cell, false).await
    }

    async fn set_disabled(&self, cell: CellUuid, disabled: bool) -> Result<(), AdminError> {
        self.0.writer()?;
        if cell.is_cell0() {
            let expected = "a live cell: nothing is scheduled to cell0, and it cannot be closed";
            return Err(InvalidField::new("cell", cell, expected).into());
        }
        self.0
            .change("set_cell_disabled", move |conn| {
                let now = conn.now();
                if !cell_mapping::set_disabled(conn, cell, disabled, now)? {
                    let expected = "the uuid of a cell of this plane";
                    return Err(InvalidField::new("cell", cell, expected).into());
                }
                if !disabled {
                    host_capacity::raise_cell(conn, cell, now)?;
                }
                Ok(())
            })
            .await
    }

    /// Makes and maps cell0, in the database at `url`, or where the configuration says; the API
    /// database's name and `_cell0` otherwise. Where it is mapped already, that stands.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn map_cell0(
        &self,
        url: Option<&str>,
    ) -> Result<MappedCell0, Write<CreateCellError>> {
        let writer = self.0.writer()?;
        let inner = self.0.inner();
        let deadline = self.0.admin_deadline();
        let refused = |error: CreateCellError| Write::Failed(error);
        let mappings = inner.router.cells().refresh(deadline).await;
        let mappings = mappings.map_err(|error| refused(error.into()))?;
        if let Some(standing) = mappings.into_iter().find(CellMapping::is_cell0) {
            return Ok(MappedCell0 { mapping: standing, is_new: false });
        }
        let url = match url {
            Some(url) => DatabaseUrl::parse(url).map_err(|error| refused(error.into()))?,
            None => inner.cell0_url.clone(),
        };
        let stored = stored_url(&url, inner.base_dir.as_deref());
        let options = inner.options.clone();
        let mapped = writer.orchestrator.map_cell0(writer.plane, &stored, &url, options, deadline);
        observed_alone("map_cell0", mapped).await.map_err(refused)?;
        let mappings = inner.router.cells().refresh(deadline).await;
        let mappings = mappings.map_err(|error| refused(error.into()))?;
        match mappings.into_iter().find(CellMapping::is_cell0) {
            Some(mapping) => Ok(MappedCell0 { mapping, is_new: true }),
            // Removed again in between, which is as good as an error of the caller's.
            None => Err(refused(
                InvalidField::new("cell0", url, "a cell that nobody removes meanwhile").into(),
            )),
        }
    }

    /// The cell with this uuid or this name. One statement.
    ///
    /// # Errors
    /// [`AdminError::NoSuchCell`], or the API database's.
    pub async fn find(&self, uuid_or_name: &str) -> Result<CellMapping, AdminError> {
        let mappings = self.list().await?;
        Ok(find_cell(&mappings, uuid_or_name)?.clone())
    }

    /// Where the database of a cell is: its template filled, its relative path resolved.
    ///
    /// # Errors
    /// [`UrlError`] for a URL that is missing or cannot be used.
    pub fn database_of(&self, mapping: &CellMapping) -> Result<DatabaseUrl, UrlError> {
        self.0.inner().router.cells().url_of(mapping)
    }

    /// Changes a cell: only what is given. A new database must say that it is this cell of this
    /// plane, so it has to answer; a database or a queue of another cell is refused. Every process
    /// of the plane hears of it by itself.
    ///
    /// # Errors
    /// [`UpdateCellError`].
    pub async fn update(
        &self,
        cell: CellUuid,
        change: MappingChange,
    ) -> Result<(), Write<UpdateCellError>> {
        let writer = self.0.writer()?;
        let inner = self.0.inner();
        let url = change.database_connection.as_deref().map(DatabaseUrl::parse).transpose();
        let url = url.map_err(|error| Write::Failed(error.into()))?;
        let stored = url.as_ref().map(|url| stored_url(url, inner.base_dir.as_deref()));
        let change = (MappingChange { database_connection: stored, ..change }, url);
        let (options, deadline) = (inner.options.clone(), self.0.admin_deadline());
        let updated =
            writer.orchestrator.update_cell(writer.plane, cell, change, options, deadline);
        observed_in("update_cell", (Some(cell), None), updated).await.map_err(Write::Failed)
    }

    /// Gives a cell whose database is lost an empty one, at `url`: what lived in it is lost, and
    /// [`fsck`](ControlPlane::fsck) buries it in cell0 with what is known of it. Hosts of the cell have
    /// to report anew. Interrupted, it can be run again.
    ///
    /// # Errors
    /// [`UpdateCellError`]: where the database that is mapped answers and is the cell, nothing is lost
    /// ([`UpdateCellError::NotLost`]); a database at `url` that is another cell's, or not empty.
    pub async fn remake(&self, cell: CellUuid, url: &str) -> Result<(), Write<UpdateCellError>> {
        let writer = self.0.writer()?;
        let options = self.0.inner().options.clone();
        let parsed = DatabaseUrl::parse(url).map_err(|error| Write::Failed(error.into()))?;
        let deadline = self.0.admin_deadline();
        let made = writer.orchestrator.remake_cell(writer.plane, cell, &parsed, options, deadline);
        observed_in("remake_cell", (Some(cell), None), made).await.map_err(Write::Failed)?;
        let database_connection = Some(url.to_owned());
        self.update(cell, MappingChange { database_connection, ..MappingChange::default() }).await
    }

    /// Removes a cell that nothing names; by force also one that still has hosts or mappings of
    /// deleted instances. One with instances, boots on their way or claims is never removed, also
    /// cell0. Its database is left as it is, and still says which cell it is.
    ///
    /// # Errors
    /// [`DeleteCellError`].
    pub async fn delete(
        &self,
        cell: CellUuid,
        removal: Removal,
    ) -> Result<RemovedCell, Write<DeleteCellError>> {
        let deadline = self.0.admin_deadline();
        let deleted = self.0.orchestrator()?.delete_cell(cell, removal, deadline);
        observed_in("delete_cell", (Some(cell), None), deleted).await.map_err(Write::Failed)
    }
}

/// Cell0, after it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedCell0 {
    /// How it is mapped.
    pub mapping: CellMapping,
    /// Whether it was made just now.
    pub is_new: bool,
}
