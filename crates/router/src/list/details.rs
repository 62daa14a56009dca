//! The instances of a page, whole: each cell is asked once for those that it holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cellzero_api_db::outline;
use cellzero_cell_db::IN_LIST_MAX;
use cellzero_cell_db::instance::{self, WithDeleted};
use cellzero_database::{DatabaseError, Deadline, Whose};
use cellzero_types::{CellUuid, Instance, InstanceUuid, RequestContext};
use chrono::NaiveDateTime;
use futures_util::future::join_all;

use super::Walk;
use crate::cells::{CellError, CellHandle};
use crate::show::{LOOKS_MAX, Read};
use crate::{ReadError, Router};

/// What was read of the instances that are asked for.
#[derive(Default)]
pub(super) struct Details {
    /// Those that were found.
    pub(super) found: HashMap<InstanceUuid, Instance>,
    /// Those that are no longer where they were.
    pub(super) moved: Vec<InstanceUuid>,
    /// Those in cells that did not answer.
    pub(super) unknown: Vec<InstanceUuid>,
}

impl Router {
    /// Asks each cell for its instances, all at once.
    pub(super) async fn read_details(
        &self,
        walk: &mut Walk,
        cells: &[Arc<CellHandle>],
        mut wanted: BTreeMap<CellUuid, Vec<InstanceUuid>>,
    ) -> Details {
        let deadline = self.cell_deadline(walk.deadline);
        let read = if walk.query.bare { instance::find } else { self.whole_read() };
        let asked = cells.iter().filter_map(|handle| {
            let uuids = wanted.remove(&handle.uuid())?;
            Some(read_of_cell(Arc::clone(handle), uuids, read, deadline))
        });
        let answers = join_all(asked.collect::<Vec<_>>()).await;
        let mut details = Details::default();
        for (cell, asked, answer) in answers {
            match answer {
                Ok((instances, as_of)) => {
                    walk.certificate.answered(cell, as_of, instances.len());
                    let before = details.found.len();
                    details.found.extend(instances.into_iter().map(|one| (one.uuid, one)));
                    if details.found.len() - before < asked.len() {
                        let gone = |uuid: &InstanceUuid| !details.found.contains_key(uuid);
                        details.moved.extend(asked.into_iter().filter(gone));
                    }
                }
                Err(source) => {
                    walk.certificate.down(cell, CellError::Database { cell, source });
                    details.unknown.extend(asked);
                }
            }
        }
        // Cells whose URL cannot be used.
        details.unknown.extend(wanted.into_values().flatten());
        details
    }

    /// What stands now in place of what has moved and of what is unknown: as it is shown, or its
    /// outline. What is gone is left out. `by_mapping` is what the page itself knows of an instance,
    /// for where the API database is late too.
    ///
    /// # Errors
    /// [`ReadError::Moving`] where one has moved at every look, or those of [`Router::show`].
    pub(super) async fn resolve(
        &self,
        ctx: &RequestContext,
        walk: &mut Walk,
        details: &mut Details,
        by_mapping: &(dyn Fn(InstanceUuid) -> Option<Instance> + Sync),
    ) -> Result<(), ReadError> {
        for _ in 0..LOOKS_MAX {
            self.look_at_moved(ctx, walk, details).await?;
            let unknown = std::mem::take(&mut details.unknown);
            if unknown.is_empty() {
                return Ok(());
            }
            let outlines = match self.outlines_of(unknown.clone(), walk.deadline).await {
                Err(error) if walk.deadline.has_passed() => {
                    let known = unknown.into_iter().map(|uuid| Some((uuid, by_mapping(uuid)?)));
                    let known: Option<Vec<(InstanceUuid, Instance)>> = known.collect();
                    details.found.extend(known.ok_or(error)?);
                    return Ok(());
                }
                outlines => outlines?,
            };
            // Without a cell, it has left the silent one meanwhile.
            let has_left = |uuid: &InstanceUuid| !outlines.contains_key(uuid);
            details.moved.extend(unknown.into_iter().filter(has_left));
            details.found.extend(outlines);
        }
        match details.moved.first() {
            Some(uuid) => Err(ReadError::Moving { uuid: *uuid }),
            None => Ok(()),
        }
    }

    async fn look_at_moved(
        &self,
        ctx: &RequestContext,
        walk: &mut Walk,
        details: &mut Details,
    ) -> Result<(), ReadError> {
        for uuid in std::mem::take(&mut details.moved) {
            // Its cell may fall silent now, and then there must be time for its outline.
            let part = self.cell_deadline(walk.deadline);
            let in_time = ctx.clone().with_timeout(part.remaining());
            match self.show(&in_time, uuid).await {
                Ok(instance) => {
                    details.found.insert(uuid, instance);
                }
                Err(ReadError::InstanceNotFound { .. }) => {}
                Err(ReadError::CellUnavailable { cell, source, .. }) => {
                    walk.certificate.down(cell, source);
                    details.unknown.push(uuid);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the API database knows of these instances.
    pub(super) async fn outlines_of(
        &self,
        uuids: Vec<InstanceUuid>,
        deadline: Deadline,
    ) -> Result<HashMap<InstanceUuid, Instance>, ReadError> {
        let whose = if self.is_foreign() { Whose::Novas } else { Whose::Ours };
        let read = move |conn: &mut _| outline::of_instances(conn, &uuids, whose);
        Ok(self.api.run("read_outlines", deadline, read).await?)
    }

    /// When a cell must have answered, so that the rest of the list still has its time where it
    /// does not: after half of what is left.
    pub(crate) fn cell_deadline(&self, list: Deadline) -> Deadline {
        list.earlier(Deadline::after(list.remaining() / 2))
    }
}

type Answer = Result<(Vec<Instance>, NaiveDateTime), DatabaseError>;

async fn read_of_cell(
    handle: Arc<CellHandle>,
    uuids: Vec<InstanceUuid>,
    read: Read,
    deadline: Deadline,
) -> (CellUuid, Vec<InstanceUuid>, Answer) {
    let cell = handle.uuid();
    let asked = uuids.clone();
    let answer = handle
        .ask("read_listed", deadline, move |conn| {
            let as_of = conn.now();
            let mut all = Vec::with_capacity(uuids.len());
            for chunk in uuids.chunks(IN_LIST_MAX) {
                all.extend(read(conn, cell, chunk, WithDeleted::Yes)?);
            }
            Ok::<_, DatabaseError>((all, as_of))
        })
        .await;
    (cell, asked, answer)
}
