//! Verify: where an instance stands, by its mapping and by its cell, for an operator.

use cellzero_api_db::instance_mapping;
use cellzero_cell_db::instance;
use cellzero_database::{DatabaseError, Deadline};
use cellzero_types::{CellUuid, InstanceUuid, RequestContext};

use crate::show::LOOKS_MAX;
use crate::{ReadError, Router};

/// Where an instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// Its mapping names this cell, and a live row stands there.
    Alive {
        /// The cell; cell0 for a buried one.
        cell: CellUuid,
    },
    /// It has no mapping: it was never accepted here, is not mapped yet, or is archived.
    NotMapped,
    /// Its mapping names no cell: it is being built, or was deleted before it had a home.
    NoCell,
    /// Its mapping names this cell, and its row there is deleted.
    Deleted {
        /// The cell.
        cell: CellUuid,
    },
    /// Its mapping names this cell, and no row stands there: it is archived, and its mapping is left.
    Archived {
        /// The cell.
        cell: CellUuid,
    },
}

impl Router {
    /// Where an instance stands. One statement in the API database and one in its cell; more only
    /// while it moves.
    ///
    /// # Errors
    /// [`ReadError::CellUnavailable`] where its cell does not answer, [`ReadError::Moving`] where it
    /// was on its way at every look, or the API database's. Another project's is
    /// [`Whereabouts::NotMapped`].
    pub async fn verify(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<Whereabouts, ReadError> {
        let deadline = Deadline::after(ctx.timeout);
        let mut missed = None;
        for _ in 0..LOOKS_MAX {
            let find = move |conn: &mut _| instance_mapping::find(conn, uuid);
            let mapping: Result<_, DatabaseError> =
                self.api.run("verify_instance", deadline, find).await;
            let Some(mapping) = mapping?.filter(|mapping| ctx.may_see(&mapping.project_id)) else {
                return Ok(Whereabouts::NotMapped);
            };
            let Some(cell) = mapping.cell else { return Ok(Whereabouts::NoCell) };
            // It stands nowhere, and has not moved since it was looked for.
            if missed == Some(cell) {
                return Ok(Whereabouts::Archived { cell });
            }
            let read = move |conn: &mut _| instance::is_deleted(conn, uuid);
            match self.ask(uuid, cell, "verify_instance", deadline, read).await? {
                Some(false) => return Ok(Whereabouts::Alive { cell }),
                Some(true) => return Ok(Whereabouts::Deleted { cell }),
                None => missed = Some(cell),
            }
        }
        Err(ReadError::Moving { uuid })
    }
}
