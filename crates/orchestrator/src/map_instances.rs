//! Mapping: the instances of a cell that others filled are adopted into the API database, as Nova's
//! `map_instances` does, with all that this plane needs to show, list, delete, retry and check them.
//!
//! A batch takes three transactions, each of which can be repeated:
//!
//! | database | what |
//! |---|---|
//! | cell | fences without a time, so that a sweep, a delete or a retry knows the rows |
//! | API | boot states, instance mappings, request specs, and the claims of live instances with the count of their hosts |
//! | cell | the fences get their time: these are done |
//!
//! So how far it got is kept in the cell itself ([`adoption`]). Whoever continues passes over what has
//! a fence with a time, in one look into the indexes; what was begun and not ended is done again, and
//! what is mapped by then stays as it is.
//!
//! Statements for each batch of up to 100: 7 to 10 in the cell, and in the API database 8, plus four for
//! each host that is claimed.

use std::collections::BTreeSet;

use cellzero_api_db::boot_state::{FIRST_EPOCH, FoundInstance};
use cellzero_api_db::claim::{self, Claim};
use cellzero_api_db::{ApiConnection, boot_state, cell_mapping, instance_mapping, request_spec};
use cellzero_cell_db::adoption::{self, Candidate, Look};
use cellzero_cell_db::instance::WithDeleted;
use cellzero_cell_db::{CellConnection, whole};
use cellzero_database::{DatabaseError, ErrorKind, database_error_source, transaction};
use cellzero_router::{CellError, CellHandle};
use cellzero_types::{
    BlockDevice, CellUuid, GroupUuid, Instance, InstanceUuid, Networks, RequestSpec,
};

use crate::Orchestrator;

/// The most instances of a batch.
pub const BATCH_MAX: u32 = 100;

/// How instances are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapOptions {
    /// The most that are looked at in this call; none for all.
    pub max_count: Option<u32>,
    /// Looks at every row again, also at those that are known to be mapped: it finds what an API
    /// database from an older backup has lost.
    pub reset: bool,
    /// The most that are mapped in one transaction, up to [`BATCH_MAX`].
    pub batch: u32,
}

impl Default for MapOptions {
    fn default() -> MapOptions {
        MapOptions { max_count: None, reset: false, batch: BATCH_MAX }
    }
}

/// What a mapping has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapped {
    /// How many rows were to be looked at when it began.
    pub total: u64,
    /// How many of them were looked at.
    pub looked_at: u64,
    /// How many instances were mapped.
    pub mapped: u64,
    /// How many of these are deleted, so that their mapping is queued for delete.
    pub deleted: u64,
    /// How many were mapped to this cell before.
    pub known: u64,
    /// Instances that are mapped to another cell, or are being built; nothing was done with them.
    pub elsewhere: Vec<InstanceUuid>,
    /// Live instances whose row says no flavor, so that they have no request spec and claim nothing.
    pub without_flavor: Vec<InstanceUuid>,
    /// Rows that cannot be read, by the uuid that stands there, with why.
    pub unreadable: Vec<(String, String)>,
    /// Whether rows are left that were not looked at.
    pub more: bool,
}

/// Why instances were not mapped. What was mapped before stays, and it can be called again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// The cell does not exist, or does not answer.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// The API database failed.
    #[error("the instances could not be mapped in the API database")]
    Database(#[from] DatabaseError),
}

database_error_source!(MapError);

/// An instance of a batch, with what stands of its fence.
#[derive(Debug, Clone)]
struct Found {
    instance: Instance,
    /// The epoch of its rows.
    epoch: i64,
    group: GroupUuid,
    request_id: String,
}

/// What a transaction has done.
#[derive(Debug, Default)]
struct Batch {
    mapped: u64,
    deleted: u64,
    known: u64,
    elsewhere: Vec<InstanceUuid>,
    without_flavor: Vec<InstanceUuid>,
}

impl Orchestrator {
    /// Maps the instances of a cell that are not mapped, the oldest first, deleted ones too; cell0's
    /// as well. `progress` is told after each batch.
    ///
    /// Quotas are not asked, and hosts take what stands on them, though it be more than they have:
    /// what is real is counted. Two that map the same cell take turns.
    ///
    /// # Errors
    /// [`MapError`].
    pub async fn map_instances(
        &self,
        cell: CellUuid,
        options: MapOptions,
        progress: &mut (dyn FnMut(&Mapped) + Send),
    ) -> Result<Mapped, MapError> {
        let handle = self.0.router.cells().get(cell, self.step_deadline()).await?;
        let look = if options.reset { Look::All } else { Look::Unmapped };
        let total = self.in_cell_to_map(&handle, move |conn| adoption::count(conn, look)).await?;
        let mut done = Mapped { total: total.max(0).unsigned_abs(), ..Mapped::default() };
        let mut after = 0;
        loop {
            let left = options
                .max_count
                .map_or(u64::MAX, |max| u64::from(max).saturating_sub(done.looked_at));
            let limit = u64::from(options.batch.clamp(1, BATCH_MAX)).min(left);
            // One more says whether any are left.
            let rows = u32::try_from(limit).unwrap_or(BATCH_MAX) + 1;
            let page = move |conn: &mut CellConnection| adoption::page(conn, look, after, rows);
            let mut page = self.in_cell_to_map(&handle, page).await?;
            done.more = page.len() as u64 > limit;
            page.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            let Some(last) = page.last() else { break };
            after = last.id;
            self.map_batch(&handle, &page, &mut done).await?;
            progress(&done);
            if !done.more {
                break;
            }
        }
        metrics::counter!("cellzero_mapped_instances_total").increment(done.mapped);
        Ok(done)
    }

    async fn map_batch(
        &self,
        handle: &CellHandle,
        page: &[Candidate],
        done: &mut Mapped,
    ) -> Result<(), MapError> {
        let found = self.read_batch(handle, page, &mut done.unreadable).await?;
        let uuids: Vec<String> = found.iter().map(|one| one.instance.uuid.text()).collect();
        let to_fence = uuids.clone();
        self.in_cell_to_map(handle, move |conn| adoption::begin(conn, &to_fence, FIRST_EPOCH))
            .await?;
        let cell = handle.uuid();
        let batch = self
            .api()
            .run("map_instances", self.step_deadline(), move |conn| {
                transaction(conn, "map_instances", |conn| map_in_transaction(conn, cell, &found))
            })
            .await?;
        self.in_cell_to_map(handle, move |conn| {
            let now = conn.now();
            adoption::confirm(conn, &uuids, now)
        })
        .await?;
        done.looked_at += page.len() as u64;
        done.mapped += batch.mapped;
        done.deleted += batch.deleted;
        done.known += batch.known;
        done.elsewhere.extend(batch.elsewhere);
        done.without_flavor.extend(batch.without_flavor);
        Ok(())
    }

    /// The instances of a page, whole. Where one row is damaged, each is read by itself, so that the
    /// others are mapped.
    async fn read_batch(
        &self,
        handle: &CellHandle,
        page: &[Candidate],
        unreadable: &mut Vec<(String, String)>,
    ) -> Result<Vec<Found>, MapError> {
        let cell = handle.uuid();
        let mut wanted = Vec::with_capacity(page.len());
        for row in page {
            match row.uuid.parse::<InstanceUuid>() {
                Ok(uuid) => wanted.push((uuid, row.clone())),
                Err(error) => unreadable.push((row.uuid.clone(), error.to_string())),
            }
        }
        let uuids: Vec<InstanceUuid> = wanted.iter().map(|(uuid, _)| *uuid).collect();
        let read = move |conn: &mut CellConnection| match whole::read(
            conn,
            cell,
            &uuids,
            WithDeleted::Yes,
        ) {
            Err(error) if error.kind() == ErrorKind::Damaged => Ok(read_singly(conn, cell, &uuids)),
            read => read.map(|instances| (instances, Vec::new())),
        };
        let (mut instances, damaged) = self.in_cell_to_map(handle, read).await?;
        unreadable.extend(damaged);
        // As the rows stand, whatever the order of the answer.
        instances.sort_by_key(|instance| instance.id);
        let found = instances.into_iter().map(|instance| {
            let row = wanted.iter().find(|(uuid, _)| *uuid == instance.uuid);
            let fence = row.map(|(_, row)| (row.fence, row.written_epoch));
            let (fence, written) = fence.unwrap_or_default();
            Found {
                epoch: written.or(fence).unwrap_or(FIRST_EPOCH),
                group: GroupUuid(self.0.uuids.row()),
                request_id: self.0.uuids.row().to_string(),
                instance,
            }
        });
        Ok(found.collect())
    }

    async fn in_cell_to_map<T: Send + 'static>(
        &self,
        handle: &CellHandle,
        work: impl FnOnce(&mut CellConnection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, MapError> {
        let cell = handle.uuid();
        let done = handle.run("map_instances", self.step_deadline(), work).await;
        done.map_err(|source| MapError::Cell(CellError::Database { cell, source }))
    }
}

/// What can be read, and what cannot, with why. A database that fails meanwhile is met again.
fn read_singly(
    conn: &mut CellConnection,
    cell: CellUuid,
    uuids: &[InstanceUuid],
) -> (Vec<Instance>, Vec<(String, String)>) {
    let mut instances = Vec::new();
    let mut damaged = Vec::new();
    for uuid in uuids {
        match whole::read(conn, cell, &[*uuid], WithDeleted::Yes) {
            Ok(found) => instances.extend(found),
            Err(error) => damaged.push((uuid.text(), error.to_string())),
        }
    }
    (instances, damaged)
}

fn map_in_transaction(
    conn: &mut ApiConnection,
    cell: CellUuid,
    found: &[Found],
) -> Result<Batch, MapError> {
    let now = conn.now();
    let uuids: Vec<InstanceUuid> = found.iter().map(|one| one.instance.uuid).collect();
    let standing = boot_state::lock_epochs(conn, &uuids)?;
    // Whoever maps hosts to this cell waits: what is claimed of them is counted by either.
    let mapping = cell_mapping::lock(conn, cell)?.ok_or(CellError::Unknown { cell })?;
    let mapped = instance_mapping::of_instances(conn, &uuids)?;
    let mut batch = Batch::default();
    let mut new: Vec<&Found> = Vec::new();
    for one in found {
        match mapped.get(&one.instance.uuid) {
            None => new.push(one),
            Some(mapping) if mapping.cell == Some(cell) => batch.known += 1,
            Some(_) => batch.elsewhere.push(one.instance.uuid),
        }
    }
    let mut states = Vec::new();
    for one in &new {
        let uuid = one.instance.uuid;
        match standing.get(&uuid) {
            None => states.push(FoundInstance {
                instance_uuid: uuid,
                group: one.group,
                epoch: one.epoch,
                known: (&one.instance).into(),
            }),
            // Left without a mapping by an older backup: the row counts as decided.
            Some(epoch) => {
                let epochs = ((*epoch).max(one.epoch), Some(one.epoch));
                let known = Some((&one.instance).into());
                boot_state::adopt(conn, (uuid, one.group), epochs, known.as_ref(), now)?;
            }
        }
    }
    boot_state::insert_found(conn, &states, now)?;
    let instances: Vec<&Instance> = new.iter().map(|one| &one.instance).collect();
    instance_mapping::insert_found(conn, &instances, mapping.id, now)?;
    let specs = keep_specs(conn, &new, &mut batch)?;
    if !cell.is_cell0() {
        claim_hosts(conn, &new, &specs)?;
    }
    batch.mapped = new.len() as u64;
    batch.deleted = instances.iter().filter(|instance| instance.deleted).count() as u64;
    Ok(batch)
}

/// The request specs of these instances: those that stand, and those that are derived from the rows.
fn keep_specs(
    conn: &mut ApiConnection,
    new: &[&Found],
    batch: &mut Batch,
) -> Result<Vec<RequestSpec>, DatabaseError> {
    let now = conn.now();
    let uuids: Vec<InstanceUuid> = new.iter().map(|one| one.instance.uuid).collect();
    let mut specs = request_spec::of_instances(conn, &uuids)?;
    let known: BTreeSet<InstanceUuid> = specs.iter().map(|spec| spec.instance_uuid).collect();
    let mut derived = Vec::new();
    for one in new.iter().filter(|one| !known.contains(&one.instance.uuid)) {
        match derive_spec(&one.instance, &one.request_id) {
            Some(spec) => derived.push(spec),
            None if one.instance.deleted => {}
            None => batch.without_flavor.push(one.instance.uuid),
        }
    }
    request_spec::insert(conn, &derived, now)?;
    specs.extend(derived);
    Ok(specs)
}

/// What live instances take from their hosts.
fn claim_hosts(
    conn: &mut ApiConnection,
    new: &[&Found],
    specs: &[RequestSpec],
) -> Result<(), DatabaseError> {
    let now = conn.now();
    let live: Vec<&&Found> = new.iter().filter(|one| !one.instance.deleted).collect();
    let uuids: Vec<InstanceUuid> = live.iter().map(|one| one.instance.uuid).collect();
    let standing = claim::of_instances(conn, &uuids)?;
    let claims: Vec<Claim> = live
        .into_iter()
        .filter(|one| !standing.contains_key(&one.instance.uuid))
        .filter_map(|one| {
            let uuid = one.instance.uuid;
            let host = one.instance.host.clone()?;
            let spec = specs.iter().find(|spec| spec.instance_uuid == uuid)?;
            let resources = spec.resources();
            Some(Claim { instance_uuid: uuid, epoch: one.epoch, host, resources, alternates: Vec::new() })
        })
        .collect();
    claim::adopt(conn, &claims, now)
}

/// What an instance says of the request that it came from; none where it has no flavor. The networks
/// and the hints that were asked for are kept nowhere in it.
pub(crate) fn derive_spec(instance: &Instance, request_id: &str) -> Option<RequestSpec> {
    Some(RequestSpec {
        instance_uuid: instance.uuid,
        request_id: request_id.to_owned(),
        project_id: instance.project_id.clone(),
        user_id: instance.user_id.clone(),
        flavor: instance.flavor.clone()?,
        image: instance.image_ref.as_deref().and_then(|image| image.parse().ok()),
        num_instances: 1,
        availability_zone: instance.availability_zone.clone(),
        force_host: None,
        server_group: None,
        scheduler_hints: Default::default(),
        security_groups: instance.security_groups.clone(),
        networks: Networks::default(),
        is_boot_from_volume: instance.block_devices.iter().any(BlockDevice::is_boot_volume),
        auto_retry: false,
    })
}
