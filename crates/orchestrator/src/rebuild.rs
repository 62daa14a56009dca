//! Rebuild: an instance is made anew from an image, under its uuid, on the host that it has.
//!
//! What changes with it is written in the transaction that begins the task, so that its host finds it
//! in the row. Then the API database learns what it knows of the instance by itself: name, image and
//! key pair. A password for the guest is not stored, and so is not sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use cellzero_api_db::{key_pair, request_spec};
use cellzero_cell_db::{CellConnection, change as row, metadata};
use cellzero_database::{DatabaseError, Deadline, transaction};
use cellzero_types::boot_request::METADATA_ITEMS_MAX;
use cellzero_types::{Action, Instance, InstanceUuid, InvalidField, Rebuild, RequestContext};
use chrono::NaiveDateTime;

use crate::Orchestrator;
use crate::action::ActionError;
use crate::operation::RebuildFrom;

/// What stands before the key of each property of an image in `system_metadata`.
const IMAGE_PREFIX: &str = "image_";

/// An instance as it stands, and as it is rebuilt.
#[derive(Debug)]
pub(crate) struct Rebuilding {
    asked: Rebuild,
    old: Instance,
    new: Instance,
}

impl Rebuilding {
    fn new(asked: Rebuild, old: Instance, key_data: Option<Option<String>>) -> Rebuilding {
        let mut new = old.clone();
        asked.change.apply(&mut new);
        new.image_ref = Some(asked.image.to_string());
        new.system_metadata.retain(|key, _| !key.starts_with(IMAGE_PREFIX));
        new.system_metadata.extend(image_items(&asked.image_properties));
        if let Some(items) = &asked.metadata {
            new.metadata = items.clone();
        }
        if let (Some(name), Some(data)) = (&asked.key_name, key_data) {
            new.key_name = name.clone();
            new.key_data = data;
        }
        if let Some(data) = &asked.user_data {
            new.user_data = data.clone();
        }
        Rebuilding { asked, old, new }
    }

    /// What its host needs to be told.
    pub(crate) fn from(&self) -> RebuildFrom {
        let Rebuild { image, preserve_ephemeral, .. } = self.asked;
        RebuildFrom { image, preserve_ephemeral }
    }

    /// Writes what changes, in the transaction that has begun the task.
    pub(crate) fn write(
        &self,
        conn: &mut CellConnection,
        now: NaiveDateTime,
    ) -> Result<(), DatabaseError> {
        let uuid = self.new.uuid;
        row::rebuild(conn, &self.new, &self.asked.change, now)?;
        metadata::change(conn, uuid, (&self.old.metadata, &self.new.metadata), now)?;
        let of_image = self.old.system_metadata.keys().filter(|key| key.starts_with(IMAGE_PREFIX));
        let of_image: Vec<String> = of_image.cloned().collect();
        let items = image_items(&self.asked.image_properties).collect();
        metadata::replace_system(conn, uuid, &of_image, &items, now)
    }
}

fn image_items(
    properties: &BTreeMap<String, String>,
) -> impl Iterator<Item = (String, String)> + '_ {
    properties.iter().map(|(key, value)| (format!("{IMAGE_PREFIX}{key}"), value.clone()))
}

impl Orchestrator {
    /// Rebuilds an instance on its host; gives it as it stands while that is under way.
    ///
    /// # Errors
    /// As [`act`](Self::act), [`ActionError::Invalid`] for a bad field or a key pair that the user does
    /// not have, and [`ActionError::OverLimit`] for too much metadata.
    pub async fn rebuild(
        &self,
        ctx: &RequestContext,
        uuid: InstanceUuid,
        asked: Rebuild,
    ) -> Result<Instance, ActionError> {
        asked.check()?;
        let live = self.live(ctx, uuid, Action::Rebuild.name()).await?;
        if let Some(requested) = asked.metadata.as_ref().map(BTreeMap::len)
            && requested > METADATA_ITEMS_MAX
        {
            let (what, limit) = ("metadata_items", METADATA_ITEMS_MAX);
            return Err(ActionError::OverLimit { what, limit, requested });
        }
        let key_data = self.key_data(ctx, &asked, live.deadline).await?;
        let rebuilding = Arc::new(Rebuilding::new(asked, live.instance.clone(), key_data));
        self.begin(ctx, &live, Action::Rebuild, Some(Arc::clone(&rebuilding))).await?;
        // It is under way; what is known of it while its cell does not answer may be old then.
        if let Err(error) = self.note_rebuild(&rebuilding, live.deadline).await {
            tracing::warn!(instance = %uuid, error = &error as &dyn std::error::Error, "a rebuild is not noted");
        }
        Ok(self.0.router.show(ctx, uuid).await?)
    }

    /// The public key that is asked for: none where nothing is, none inside where it is taken away.
    async fn key_data(
        &self,
        ctx: &RequestContext,
        asked: &Rebuild,
        deadline: Deadline,
    ) -> Result<Option<Option<String>>, ActionError> {
        let name = match &asked.key_name {
            None => return Ok(None),
            Some(None) => return Ok(Some(None)),
            Some(Some(name)) => name.clone(),
        };
        let (user, wanted) = (ctx.user_id.clone(), name.clone());
        let read = move |conn: &mut _| key_pair::find_public_key(conn, &user, &wanted);
        match self.api().run("find_key_pair", deadline, read).await? {
            Some(key) => Ok(Some(Some(key))),
            None => {
                let expected = "the name of a key pair of the user";
                Err(InvalidField::new("key_name", name, expected).into())
            }
        }
    }

    async fn note_rebuild(
        &self,
        rebuilding: &Rebuilding,
        deadline: Deadline,
    ) -> Result<(), DatabaseError> {
        let (uuid, image) = (rebuilding.new.uuid, rebuilding.asked.image);
        let instance = rebuilding.new.clone();
        self.api()
            .run("note_rebuild", deadline, move |conn| {
                transaction(conn, "note_rebuild", |conn| {
                    let now = conn.now();
                    crate::change::note_in_transaction(conn, &instance, now)?;
                    if let Some(mut spec) = request_spec::of_instances(conn, &[uuid])?.pop() {
                        spec.image = Some(image);
                        request_spec::replace(conn, &spec, now)?;
                    }
                    Ok(())
                })
            })
            .await
    }
}
