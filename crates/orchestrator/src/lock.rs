//! Lock and unlock: an instance that only an admin may act on, and an admin's reset of a state. None of
//! these goes to a host.

use cellzero_cell_db::{CellConnection, action, change as row, metadata};
use cellzero_database::transaction;
use cellzero_types::instance::LOCKED_REASON;
use cellzero_types::{Instance, InstanceUuid, InvalidField, RequestContext, VmState, text};

use crate::Orchestrator;
use crate::action::{ActionError, CellChangeError, Live};

/// The name of a reset in errors.
const RESET_STATE: &str = "reset the state of";

impl Orchestrator {
    /// Locks an instance: until it is unlocked, only an admin may act on it or delete it. Whoever is of
    /// its project locks as its owner. An owner's lock of what is locked already changes nothing.
    ///
    /// # Errors
    /// [`ActionError::InstanceInvalidState`] unless it lives in a cell, [`ActionError::Invalid`] for a
    /// reason of more than 255 characters, or what failed.
    pub async fn lock(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        reason: Option<&str>,
    ) -> Result<(), ActionError> {
        reason
            .map_or(Ok(()), |reason| text::check("locked_reason", reason, text::TEXT_LENGTH_MAX))?;
        let live = self.live(ctx, uuid, action::LOCK).await?;
        let role = role(ctx, &live.instance);
        if live.instance.locked && role == "owner" {
            return Ok(());
        }
        let (ctx, reason) = (ctx.clone(), reason.map(str::to_owned));
        self.change_live(&live, action::LOCK, move |conn| {
            let lock = (Some(role), reason.as_deref());
            set_lock(conn, (&ctx, uuid), action::LOCK, lock)
        })
        .await
    }

    /// Unlocks an instance. What an admin locked only an admin unlocks.
    ///
    /// # Errors
    /// [`ActionError::AdminOnly`], [`ActionError::InstanceInvalidState`] unless it lives in a cell, or
    /// what failed.
    pub async fn unlock(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<(), ActionError> {
        let live = self.live(ctx, uuid, action::UNLOCK).await?;
        let by = live.instance.locked_by.as_deref();
        if by.is_some_and(|by| by != role(ctx, &live.instance)) && !ctx.is_admin {
            return Err(ActionError::AdminOnly { uuid, action: action::UNLOCK });
        }
        let ctx = ctx.clone();
        self.change_live(&live, action::UNLOCK, move |conn| {
            set_lock(conn, (&ctx, uuid), action::UNLOCK, (None, None))
        })
        .await
    }

    /// Sets the state of an instance to active or error, with no task: an admin's repair, which changes
    /// nothing on its host.
    ///
    /// # Errors
    /// [`ActionError::AdminOnly`], [`ActionError::Invalid`] for another state,
    /// [`ActionError::InstanceInvalidState`] unless it lives in a cell, or what failed.
    pub async fn reset_state(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        state: VmState,
    ) -> Result<(), ActionError> {
        if !ctx.is_admin {
            return Err(ActionError::AdminOnly { uuid, action: RESET_STATE });
        }
        if ![VmState::Active, VmState::Error].contains(&state) {
            return Err(InvalidField::new("state", state, "active or error").into());
        }
        let live = self.live(ctx, uuid, RESET_STATE).await?;
        self.change_live(&live, RESET_STATE, move |conn| {
            let now = conn.now();
            match row::reset_state(conn, uuid, &state, now)? {
                true => Ok(()),
                false => Err(CellChangeError::Changed),
            }
        })
        .await
    }

    /// Changes an instance that was read, in one transaction in its cell.
    pub(crate) async fn change_live<T: Send + 'static>(
        &self,
        live: &Live,
        what: &'static str,
        mut work: impl FnMut(&mut CellConnection) -> Result<T, CellChangeError> + Send + 'static,
    ) -> Result<T, ActionError> {
        let work = move |conn: &mut CellConnection| transaction(conn, "change_instance", &mut work);
        let done = live.handle.run("change_instance", live.deadline, work).await;
        done.map_err(|error| error.of(live.cell, live.instance.uuid, what))
    }
}

/// Who locks: Nova's two words for it.
fn role(ctx: &RequestContext, instance: &Instance) -> &'static str {
    match ctx.project_id == instance.project_id {
        true => "owner",
        false => "admin",
    }
}

fn set_lock(
    conn: &mut CellConnection,
    (ctx, uuid): (&RequestContext, InstanceUuid),
    action: &str,
    (locked_by, reason): (Option<&str>, Option<&str>),
) -> Result<(), CellChangeError> {
    let now = conn.now();
    if !row::set_lock(conn, uuid, locked_by, now)? {
        return Err(CellChangeError::Changed);
    }
    let reason = reason.map(|text| (LOCKED_REASON.to_owned(), text.to_owned()));
    let items = reason.into_iter().collect();
    metadata::replace_system(conn, uuid, &[LOCKED_REASON.to_owned()], &items, now)?;
    action::add(conn, ctx, uuid, action, now)?;
    Ok(())
}
