//! Show: one instance, from wherever it lives. Two databases deep: the mapping, then its home.

use std::collections::HashMap;

use cellzero_api_db::instance_mapping::InstanceMapping;
use cellzero_api_db::{build_request, instance_mapping, request_spec};
use cellzero_cell_db::instance::WithDeleted;
use cellzero_cell_db::verdict::KeptVerdict;
use cellzero_cell_db::{CellConnection, action, verdict, whole};
use cellzero_database::{DatabaseError, Deadline, ErrorKind};
use cellzero_types::{
    CellUuid, Instance, InstanceAction, InstanceUuid, RequestContext, RequestSpec, Verdict,
};

use crate::cells::CellError;
use crate::scatter::count_down;
use crate::{ReadError, Router};

/// How often the mapping is read again when nothing stands where it pointed.
pub(crate) const LOOKS_MAX: u32 = 5;

/// Reads some instances of a cell, with all that belongs to them or without.
pub(crate) type Read = fn(
    &mut CellConnection,
    CellUuid,
    &[InstanceUuid],
    WithDeleted,
) -> Result<Vec<Instance>, DatabaseError>;

/// What the API database knows of an instance at one moment.
enum Look {
    Gone,
    Building(Box<Instance>),
    In(CellUuid),
    /// A NULL cell and no build request: it has just moved.
    Moved,
}

impl Router {
    /// One instance, whole. A NULL cell in its mapping means its build request; where nothing
    /// stands there, the mapping is read again, since the instance has moved.
    ///
    /// # Errors
    /// [`ReadError::InstanceNotFound`] where there is none that `ctx` may see,
    /// [`ReadError::CellUnavailable`] where its cell does not answer, [`ReadError::Moving`] where
    /// it was on its way at every look, or the API database's.
    pub async fn show(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Instance, ReadError> {
        let deadline = Deadline::after(ctx.timeout);
        for _ in 0..LOOKS_MAX {
            match self.look(ctx, uuid, deadline).await? {
                Look::Gone => return Err(ReadError::InstanceNotFound { uuid }),
                Look::Building(instance) => return Ok(*instance),
                Look::Moved => {}
                Look::In(cell) => {
                    let whole = self.whole_read();
                    let read = move |conn: &mut _| whole(conn, cell, &[uuid], WithDeleted::No);
                    let found = self.ask(uuid, cell, "show_instance", deadline, read).await?;
                    match found.into_iter().next() {
                        Some(instance) => return Ok(instance),
                        // On our own plane a decided row is gone only after its mapping says so.
                        None if self.is_foreign() => {
                            return Err(ReadError::InstanceNotFound { uuid });
                        }
                        None => {}
                    }
                }
            }
        }
        Err(ReadError::Moving { uuid })
    }

    /// What was done to an instance, oldest first. An instance without a cell has no action yet.
    ///
    /// # Errors
    /// As [`Router::show`].
    pub async fn actions(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Vec<InstanceAction>, ReadError> {
        let deadline = Deadline::after(ctx.timeout);
        match self.look(ctx, uuid, deadline).await? {
            Look::Gone => Err(ReadError::InstanceNotFound { uuid }),
            Look::Building(_) | Look::Moved => Ok(Vec::new()),
            Look::In(cell) => {
                let read = move |conn: &mut _| action::of_instance(conn, uuid);
                self.ask(uuid, cell, "list_actions", deadline, read).await
            }
        }
    }

    /// The same of one that may be deleted, as long as it is not archived.
    ///
    /// # Errors
    /// As [`Router::show`].
    pub async fn actions_with_deleted(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Vec<InstanceAction>, ReadError> {
        let deadline = Deadline::after(ctx.timeout);
        match self.mapping(ctx, uuid).await?.cell {
            None => Ok(Vec::new()),
            Some(cell) => {
                let read = move |conn: &mut _| action::of_instance(conn, uuid);
                self.ask(uuid, cell, "list_actions", deadline, read).await
            }
        }
    }

    /// Why an instance is buried, as data; none where it is not. One who is not an admin gets what
    /// a project may see of it: [`Verdict::for_project`].
    ///
    /// # Errors
    /// As [`Router::show`].
    pub async fn verdict(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Option<Verdict>, ReadError> {
        let read = move |conn: &mut _| verdict::of_instances(conn, &[uuid]);
        let found = self.read_verdict(ctx, uuid, read).await?;
        let verdict = found.and_then(|mut found| found.remove(&uuid));
        Ok(verdict.map(|all| if ctx.is_admin { all } else { all.for_project() }))
    }

    /// The same, whole, with what it was computed from. It is for an admin's eyes.
    ///
    /// # Errors
    /// As [`Router::show`].
    pub async fn kept_verdict(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Option<KeptVerdict>, ReadError> {
        let read = move |conn: &mut _| verdict::kept(conn, uuid);
        Ok(self.read_verdict(ctx, uuid, read).await?.flatten())
    }

    /// Asks the cell of an instance; none where it has none, or Nova made the plane.
    async fn read_verdict<T: Send + 'static>(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        read: impl FnOnce(&mut CellConnection) -> Result<T, DatabaseError> + Clone + Send + 'static,
    ) -> Result<Option<T>, ReadError> {
        let deadline = Deadline::after(ctx.timeout);
        match self.look(ctx, uuid, deadline).await? {
            Look::Gone => Err(ReadError::InstanceNotFound { uuid }),
            Look::Building(_) | Look::Moved => Ok(None),
            Look::In(_) if self.is_foreign() => Ok(None),
            Look::In(cell) => Ok(Some(self.ask(uuid, cell, "read_verdict", deadline, read).await?)),
        }
    }

    /// The mapping of an instance that `ctx` may see, deleted or not.
    ///
    /// # Errors
    /// [`ReadError::InstanceNotFound`], or the API database's.
    pub async fn mapping(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<InstanceMapping, ReadError> {
        let deadline = Deadline::after(ctx.timeout);
        let mapping = self
            .api
            .run("read_instance_mapping", deadline, move |conn| instance_mapping::find(conn, uuid))
            .await?;
        mapping
            .filter(|mapping| ctx.may_see(&mapping.project_id))
            .ok_or(ReadError::InstanceNotFound { uuid })
    }

    /// What was asked for each of these instances, of those that `ctx` may see and that are not
    /// deleted: hints, zone and server group as the request named them. One statement for each five
    /// hundred.
    ///
    /// # Errors
    /// The API database's.
    pub async fn request_specs(
        &self,
        ctx: &RequestContext,
        uuids: &[InstanceUuid],
    ) -> Result<HashMap<InstanceUuid, RequestSpec>, ReadError> {
        if uuids.is_empty() {
            return Ok(HashMap::new());
        }
        let (ctx, uuids, foreign) = (ctx.clone(), uuids.to_vec(), self.is_foreign());
        let deadline = Deadline::after(ctx.timeout);
        let read = move |conn: &mut _| -> Result<_, DatabaseError> {
            let is_shown =
                |project: &str, queued: bool| ctx.may_see(project) && (foreign || !queued);
            let specs = request_spec::of_mapped(conn, &uuids, is_shown)?;
            Ok(specs.into_iter().map(|spec| (spec.instance_uuid, spec)).collect())
        };
        Ok(self.api.run("read_request_specs", deadline, read).await?)
    }

    async fn look(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        deadline: Deadline,
    ) -> Result<Look, ReadError> {
        let ctx = ctx.clone();
        let foreign = self.is_foreign();
        let look = move |conn: &mut _| -> Result<Look, DatabaseError> {
            let mapping = instance_mapping::find(conn, uuid)?;
            let Some(mapping) = mapping.filter(|mapping| ctx.may_see(&mapping.project_id)) else {
                return Ok(Look::Gone);
            };
            match mapping.cell {
                // On a plane that Nova made, the flag is advisory and the row itself decides.
                _ if mapping.queued_for_delete && !foreign => Ok(Look::Gone),
                Some(cell) => Ok(Look::In(cell)),
                None => Ok(match build_request::find(conn, uuid)? {
                    Some(instance) => Look::Building(Box::new(instance)),
                    None if mapping.queued_for_delete => Look::Gone,
                    None => Look::Moved,
                }),
            }
        };
        Ok(self.api.run("show_instance", deadline, look).await?)
    }

    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        uuid: InstanceUuid,
        cell: CellUuid,
        name: &'static str,
        deadline: Deadline,
        read: impl FnOnce(&mut CellConnection) -> Result<T, DatabaseError> + Clone + Send + 'static,
    ) -> Result<T, ReadError> {
        let unavailable = |source| ReadError::CellUnavailable { uuid, cell, source };
        let handle = self.cells.get(cell, deadline).await.map_err(unavailable)?;
        let mut answer = handle.ask(name, deadline, read.clone()).await;
        // Where its mapping names another database by now, that is asked. For a silent cell it was
        // read just now.
        if answer.as_ref().is_err_and(|error| error.kind() != ErrorKind::NotAsked) {
            let again = self.cells.get(cell, deadline).await.map_err(unavailable)?;
            if again.database().url() != handle.database().url() {
                answer = again.ask(name, deadline, read).await;
            }
        }
        answer.map_err(|source| {
            count_down(cell);
            unavailable(CellError::Database { cell, source })
        })
    }

    /// How an instance is read whole. Nova knows no verdicts.
    pub(crate) fn whole_read(&self) -> Read {
        if self.is_foreign() { whole::read } else { whole::read_with_sentences }
    }

    /// Whether Nova made the plane.
    pub(crate) fn is_foreign(&self) -> bool {
        self.cells.is_foreign()
    }
}
