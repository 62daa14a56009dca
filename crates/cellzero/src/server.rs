//! What users do with an instance that exists, besides show, list, delete and retry.

use std::collections::BTreeMap;

use cellzero_orchestrator::{ActionError, TagsChanged};
use cellzero_types::{
    Action, Instance, InstanceChange, InstanceUuid, MetadataChange, Rebuild, RequestContext,
    TagChange, VmState,
};

use crate::observed::observed;
use crate::{ControlPlane, Write};

#[cfg(doc)]
use crate::ReadError;

impl ControlPlane {
    /// Has the host of an instance do something with it: stop it, start it, reboot it and so on. It
    /// returns once that is stored; the instance has the task of the action until its host reports. A
    /// buried one allows no action but delete and retry.
    ///
    /// # Errors
    /// [`ActionError::InstanceInvalidState`] where its state or its home does not allow the action,
    /// [`ActionError::InstanceIsLocked`] for one that is not an admin, [`ActionError::Invalid`] for
    /// [`Action::Rebuild`], which [`rebuild`](Self::rebuild) does, or what failed.
    pub async fn act(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        action: Action,
    ) -> Result<(), Write<ActionError>> {
        let act =
            async { self.orchestrator()?.act(ctx, uuid, action).await.map_err(Write::Failed) };
        observed("act", ctx, Some(uuid), act).await
    }

    /// Has an instance made anew from an image, under its uuid, on the host that it has; gives it as it
    /// stands while that is under way. No password for the guest is stored, and so none is sent.
    ///
    /// # Errors
    /// As [`act`](Self::act); [`ActionError::Invalid`] for a bad field or a key pair that the user does
    /// not have, [`ActionError::OverLimit`] for too much metadata.
    pub async fn rebuild(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        rebuild: Rebuild,
    ) -> Result<Instance, Write<ActionError>> {
        let rebuild =
            async { self.orchestrator()?.rebuild(ctx, uuid, rebuild).await.map_err(Write::Failed) };
        observed("rebuild", ctx, Some(uuid), rebuild).await
    }

    /// Locks an instance: until it is unlocked, only an admin may act on it, change its metadata or
    /// delete it. A caller of its project locks as its owner, another admin as an admin.
    ///
    /// # Errors
    /// [`ActionError::InstanceInvalidState`] unless it lives in a cell, [`ActionError::Invalid`] for a
    /// reason of more than 255 characters, or what failed.
    pub async fn lock(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        reason: Option<&str>,
    ) -> Result<(), Write<ActionError>> {
        let lock =
            async { self.orchestrator()?.lock(ctx, uuid, reason).await.map_err(Write::Failed) };
        observed("lock", ctx, Some(uuid), lock).await
    }

    /// Unlocks an instance.
    ///
    /// # Errors
    /// [`ActionError::AdminOnly`] where an admin locked it, [`ActionError::InstanceInvalidState`] unless
    /// it lives in a cell, or what failed.
    pub async fn unlock(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
    ) -> Result<(), Write<ActionError>> {
        let unlock = async { self.orchestrator()?.unlock(ctx, uuid).await.map_err(Write::Failed) };
        observed("unlock", ctx, Some(uuid), unlock).await
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
    ) -> Result<(), Write<ActionError>> {
        let reset = async {
            self.orchestrator()?.reset_state(ctx, uuid, state).await.map_err(Write::Failed)
        };
        observed("reset_state", ctx, Some(uuid), reset).await
    }

    /// Gives an instance new values of its own fields, wherever it lives, also while it is being built
    /// and in cell0; gives it as it is then.
    ///
    /// # Errors
    /// [`ActionError::Invalid`] for a bad field, or what failed: [`ReadError::CellUnavailable`] where
    /// its cell does not answer.
    pub async fn update(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        change: InstanceChange,
    ) -> Result<Instance, Write<ActionError>> {
        let update =
            async { self.orchestrator()?.update(ctx, uuid, change).await.map_err(Write::Failed) };
        observed("update", ctx, Some(uuid), update).await
    }

    /// Changes the metadata of an instance; gives all of it as it is then.
    ///
    /// # Errors
    /// [`ActionError::InstanceInvalidState`] unless it is active, paused, suspended or stopped in a
    /// live cell, as in Nova; [`ActionError::InstanceIsLocked`], [`ActionError::Invalid`],
    /// [`ActionError::OverLimit`], [`ActionError::ItemNotFound`], or what failed.
    pub async fn change_metadata(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        change: MetadataChange,
    ) -> Result<BTreeMap<String, String>, Write<ActionError>> {
        let changed = async {
            self.orchestrator()?.change_metadata(ctx, uuid, change).await.map_err(Write::Failed)
        };
        observed("change_metadata", ctx, Some(uuid), changed).await
    }

    /// Changes the tags of an instance: at most 50, of at most 60 characters each.
    ///
    /// # Errors
    /// As [`change_metadata`](Self::change_metadata), but that a lock does not hold it back, as in Nova.
    pub async fn change_tags(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        change: TagChange,
    ) -> Result<TagsChanged, Write<ActionError>> {
        let changed = async {
            self.orchestrator()?.change_tags(ctx, uuid, change).await.map_err(Write::Failed)
        };
        observed("change_tags", ctx, Some(uuid), changed).await
    }
}
