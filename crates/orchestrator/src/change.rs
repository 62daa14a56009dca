//! What users change of an instance that exists: its own fields, its metadata and its tags.
//!
//! Fields change wherever the instance lives. A build request changes with its version, so that what an
//! orchestrator read before can not be decided any more. In a cell the row changes first, and then, in
//! the API database, the outline and the version: a retry that has read the old row from cell0 finds
//! another version and starts over, and where the retry was faster, the mapping names no cell any more
//! and the build request gets the change. So a change is never lost, however often it is written.
//!
//! Metadata and tags change in a live cell alone, in the states in which Nova allows it.

use std::collections::BTreeMap;

use cellzero_api_db::boot_state::Outline;
use cellzero_api_db::{ApiConnection, boot_state, build_request, instance_mapping};
use cellzero_cell_db::{CellConnection, change as row, metadata, tag};
use cellzero_database::{DatabaseError, Deadline, transaction};
use cellzero_router::{CellError, ReadError};
use cellzero_types::boot_request::METADATA_ITEMS_MAX;
use cellzero_types::{
    CellUuid, Home, Instance, InstanceChange, InstanceUuid, MetadataChange, RequestContext,
    TagChange, VmState,
};
use chrono::NaiveDateTime;

use crate::Orchestrator;
use crate::action::{ActionError, CellChangeError, Live, check_lock, invalid};

/// How often a change starts over because the instance moved to its next home meanwhile.
const MOVES_MAX: u32 = 8;

/// The states in which metadata and tags may change, as in Nova.
const LABELLED_IN: [VmState; 4] =
    [VmState::Active, VmState::Paused, VmState::Suspended, VmState::Stopped];

/// The tags of an instance after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagsChanged {
    /// All of them, sorted.
    pub tags: Vec<String>,
    /// Whether there is one that was not there before.
    pub is_new: bool,
}

impl Orchestrator {
    /// Gives an instance new values of its own fields, wherever it lives; gives it as it is then.
    ///
    /// # Errors
    /// [`ActionError::Invalid`], or what failed. A lock does not hold it back, as in Nova.
    pub async fn update(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        change: InstanceChange,
    ) -> Result<Instance, ActionError> {
        change.check()?;
        let deadline = Deadline::after(ctx.timeout);
        for _ in 0..MOVES_MAX {
            let mut instance = self.0.router.show(ctx, uuid).await?;
            if change.is_empty() {
                return Ok(instance);
            }
            let done = match instance.home {
                Home::BuildRequest => self.update_request(uuid, change.clone(), deadline).await?,
                Home::Cell(cell) => {
                    change.apply(&mut instance);
                    self.update_in_cell(cell, uuid, change.clone(), deadline).await?
                        && self.note(cell, instance, deadline).await?
                }
            };
            if done {
                return Ok(self.0.router.show(ctx, uuid).await?);
            }
        }
        Err(ReadError::Moving { uuid }.into())
    }

    /// Says whether its build request stood.
    async fn update_request(
        &self,
        uuid: InstanceUuid,
        change: InstanceChange,
        deadline: Deadline,
    ) -> Result<bool, DatabaseError> {
        self.api()
            .run("update_build_request", deadline, move |conn| {
                transaction(conn, "update_build_request", |conn| {
                    let now = conn.now();
                    // The boot state first: its row is the lock of every decision.
                    if boot_state::lock(conn, uuid)?.is_none() {
                        return Ok(false);
                    }
                    let Some(mut instance) = build_request::find(conn, uuid)? else {
                        return Ok(false);
                    };
                    change.apply(&mut instance);
                    build_request::replace(conn, &instance, now)?;
                    boot_state::note_change(conn, uuid, Outline::from(&instance), now)?;
                    Ok::<_, DatabaseError>(true)
                })
            })
            .await
    }

    /// Says whether its row stood in this cell.
    async fn update_in_cell(
        &self,
        cell: CellUuid,
        uuid: InstanceUuid,
        change: InstanceChange,
        deadline: Deadline,
    ) -> Result<bool, CellError> {
        let handle = self.0.router.cells().get(cell, deadline).await?;
        let work = move |conn: &mut CellConnection| {
            let now = conn.now();
            row::update(conn, uuid, &change, now)
        };
        let updated = handle.run("update_instance", deadline, work).await;
        updated.map_err(|source| CellError::Database { cell, source })
    }

    /// Notes in the API database what it knows of an instance by itself; says whether it still lives in
    /// this cell.
    async fn note(
        &self,
        cell: CellUuid,
        instance: Instance,
        deadline: Deadline,
    ) -> Result<bool, DatabaseError> {
        self.api()
            .run("note_change", deadline, move |conn| {
                transaction(conn, "note_change", |conn| {
                    let now = conn.now();
                    let uuid = instance.uuid;
                    if boot_state::lock(conn, uuid)?.is_none() {
                        return Ok(false);
                    }
                    let mapping = instance_mapping::find(conn, uuid)?;
                    if mapping.and_then(|mapping| mapping.cell) != Some(cell) {
                        return Ok(false);
                    }
                    boot_state::note_change(conn, uuid, Outline::from(&instance), now)?;
                    Ok::<_, DatabaseError>(true)
                })
            })
            .await
    }

    /// Changes the metadata of an instance in a live cell; gives all of it as it is then.
    ///
    /// # Errors
    /// [`ActionError::InstanceInvalidState`] unless it is active, paused, suspended or stopped in a
    /// live cell, [`ActionError::InstanceIsLocked`], [`ActionError::Invalid`],
    /// [`ActionError::OverLimit`], [`ActionError::ItemNotFound`], or what failed.
    pub async fn change_metadata(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        change: MetadataChange,
    ) -> Result<BTreeMap<String, String>, ActionError> {
        const ACTION: &str = "change the metadata of";
        change.check()?;
        let live = self.live(ctx, uuid, ACTION).await?;
        check_lock(ctx, &live.instance)?;
        check_labelled(&live, ACTION)?;
        let seen = live.seen();
        self.change_live(&live, ACTION, move |conn| {
            let now = conn.now();
            if !row::touch(conn, uuid, &seen, now)? {
                return Err(CellChangeError::Changed);
            }
            let old = metadata::of_instance(conn, uuid)?;
            let new = change
                .apply(&old)
                .ok_or_else(|| missing(uuid, "metadata item", change.removed()))?;
            if new.len() > METADATA_ITEMS_MAX && new.len() > old.len() {
                let (what, limit) = ("metadata_items", METADATA_ITEMS_MAX);
                let over = ActionError::OverLimit { what, limit, requested: new.len() };
                return Err(CellChangeError::Refused(Box::new(over)));
            }
            metadata::change(conn, uuid, (&old, &new), now)?;
            Ok(new)
        })
        .await
    }

    /// Changes the tags of an instance in a live cell.
    ///
    /// # Errors
    /// As [`change_metadata`](Self::change_metadata), but that a lock does not hold it back, as in
    /// Nova; [`ActionError::Invalid`] for more than 50.
    pub async fn change_tags(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        change: TagChange,
    ) -> Result<TagsChanged, ActionError> {
        const ACTION: &str = "change the tags of";
        change.check()?;
        let live = self.live(ctx, uuid, ACTION).await?;
        check_labelled(&live, ACTION)?;
        let seen = live.seen();
        self.change_live(&live, ACTION, move |conn| {
            let now = conn.now();
            if !row::touch(conn, uuid, &seen, now)? {
                return Err(CellChangeError::Changed);
            }
            let old = tag::of_instance(conn, uuid)?;
            let new = change
                .apply(&old)
                .map_err(|invalid| CellChangeError::Refused(Box::new(invalid.into())))?
                .ok_or_else(|| missing(uuid, "tag", change.removed()))?;
            tag::change(conn, uuid, (&old, &new))?;
            let is_new = new.iter().any(|tag| !old.contains(tag));
            Ok(TagsChanged { tags: new, is_new })
        })
        .await
    }
}

/// Writes into the API database what it knows of an instance by itself.
pub(crate) fn note_in_transaction(
    conn: &mut ApiConnection,
    instance: &Instance,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    if boot_state::lock(conn, instance.uuid)?.is_some() {
        boot_state::note_change(conn, instance.uuid, Outline::from(instance), now)?;
    }
    Ok(())
}

fn check_labelled(live: &Live, action: &'static str) -> Result<(), ActionError> {
    match &live.instance.vm_state {
        Some(state) if LABELLED_IN.contains(state) => Ok(()),
        state => {
            let state = state.as_ref().map_or("none", VmState::as_str);
            let allowed = LABELLED_IN.each_ref().map(VmState::as_str).join(" or ");
            let reason = format!("it is in vm_state {state}; it must be {allowed}");
            Err(invalid(live.instance.uuid, action, reason))
        }
    }
}

fn missing(uuid: InstanceUuid, kind: &'static str, key: &str) -> CellChangeError {
    let error = ActionError::ItemNotFound { uuid, kind, key: key.to_owned() };
    CellChangeError::Refused(Box::new(error))
}
