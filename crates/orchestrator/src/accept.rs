//! Step 1: a boot request is accepted, or refused and stored nowhere.
//!
//! One transaction in the API database, for a multi-create too. Statements for one instance: the
//! flavor, the limits, and four inserts; one more for each of client token, key pair, server group
//! and private flavor that the request names, and two where a quota limit holds.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cellzero_api_db::boot_state::{self, NewBootState, Ticket};
use cellzero_api_db::client_token::TokenHolder;
use cellzero_api_db::quota::{self, QuotaLimits};
use cellzero_api_db::{
    ApiConnection, build_request, client_token, flavor, instance_group, instance_mapping, key_pair,
    request_spec,
};
use cellzero_database::{
    DatabaseError, Deadline, ErrorKind, database_error_source, savepoint, transaction,
};
use cellzero_types::instance::hostname_of;
use cellzero_types::{
    BlockDevice, BootRequest, Flavor, GroupUuid, Instance, InstanceUuid, InvalidField, PowerState,
    RequestContext, RequestSpec, TaskState, VmState,
};
use chrono::{NaiveDateTime, TimeDelta};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tracing::{Instrument as _, field};

use crate::Orchestrator;
use crate::settle::{LeasedGroup, Member};

/// Why a boot request was refused. Nothing of it is stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// A field of the request cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// Only an admin may ask for this (Nova's policy for it; HTTP 403).
    #[error("{field} {value:?} may be asked for by an admin only; leave it out")]
    AdminOnly {
        /// The field of the request.
        field: &'static str,
        /// What it asked for.
        value: String,
    },
    /// The client token belongs to another request; HTTP 409.
    #[error(
        "client token {token:?} was used for another request; give each request its own, or \
         send again exactly what it was first sent with"
    )]
    TokenReused {
        /// The token.
        token: String,
    },
    /// The project would have more than it may.
    #[error(
        "quota exceeded for {resource}: {requested} requested, {used} of {limit} used; \
         delete instances, ask for fewer, or have the limit raised"
    )]
    QuotaExceeded {
        /// `instances`, `cores` or `ram`.
        resource: &'static str,
        /// The project's limit.
        limit: i64,
        /// What it uses.
        used: i64,
        /// What `min_count` instances would add.
        requested: i64,
    },
    /// The plane is closed, or closes.
    #[error("the plane is closed; open it again, or ask another process")]
    Closed,
    /// The API database failed. With [`ErrorKind::CommitUnknown`] the request may have been
    /// accepted; one with a client token can safely be sent again.
    #[error("the request could not be stored in the API database")]
    Database(#[from] DatabaseError),
}

database_error_source!(BootError);

/// The instances of an accepted request. From now on none of them is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The multi-create.
    pub group: GroupUuid,
    /// What Nova's clients know as the reservation: shared by all instances of the request.
    pub reservation_id: String,
    /// The instances, by their number in the request.
    pub instances: Vec<InstanceUuid>,
}

impl std::ops::Index<usize> for Accepted {
    type Output = InstanceUuid;

    fn index(&self, index: usize) -> &InstanceUuid {
        &self.instances[index]
    }
}

/// What one try of the transaction works from; made anew for each, so that a repeated one starts
/// from nothing.
struct Try<'a> {
    ctx: &'a RequestContext,
    request: &'a BootRequest,
    group: GroupUuid,
    uuids: &'a [InstanceUuid],
    owner: &'a str,
    lease: TimeDelta,
    fallback: QuotaLimits,
}

enum Outcome {
    New(LeasedGroup, Accepted),
    /// The client token is taken: these are the instances of the request that took it.
    Known(Accepted),
}

impl Orchestrator {
    /// Accepts a boot request: from its return on, every instance of it reaches a live cell or
    /// cell0, or is deleted by its user. It does not wait for that.
    ///
    /// Dropping the future leaves the request either accepted whole or not at all.
    ///
    /// # Errors
    /// [`BootError`]; nothing is stored then, but for an unknown commit.
    pub async fn accept(
        &self,
        ctx: &RequestContext,
        request: BootRequest,
    ) -> Result<Accepted, BootError> {
        request.check()?;
        check_policy(ctx, &request)?;
        let running = Arc::clone(&self.0.accepting).read_owned().await;
        if self.0.closed.load(Ordering::SeqCst) {
            return Err(BootError::Closed);
        }
        let this = self.clone();
        let ctx = ctx.clone();
        let deadline = Deadline::after(ctx.timeout);
        let group = GroupUuid(self.0.uuids.row());
        let uuids: Vec<InstanceUuid> =
            (0..request.max_count).map(|_| InstanceUuid(self.0.uuids.instance())).collect();
        let instance = (uuids.len() == 1).then(|| field::display(uuids[0]));
        let span = tracing::debug_span!("accept", %group, instance, instances = uuids.len());
        let lease = TimeDelta::from_std(self.0.options.lease).unwrap_or(TimeDelta::MAX);
        // The hand-over stands inside the operation, which runs to its end even where the caller
        // has gone.
        self.api()
            .run("accept", deadline, move |conn| {
                let _running = running;
                let outcome = transaction(conn, "accept", |conn| {
                    accept(
                        conn,
                        &Try {
                            ctx: &ctx,
                            request: &request,
                            group,
                            uuids: &uuids,
                            owner: &this.0.owner,
                            lease,
                            fallback: this.0.options.quota,
                        },
                    )
                })?;
                Ok(match outcome {
                    Outcome::New(leased, accepted) => {
                        metrics::counter!("cellzero_accepted_instances_total")
                            .increment(accepted.instances.len() as u64);
                        this.hand_over(leased);
                        accepted
                    }
                    Outcome::Known(accepted) => accepted,
                })
            })
            .instrument(span)
            .await
    }
}

/// A user does not learn, by naming hosts, which there are.
pub(crate) fn check_policy(ctx: &RequestContext, request: &BootRequest) -> Result<(), BootError> {
    match &request.force_host {
        Some(host) if !ctx.is_admin => {
            Err(BootError::AdminOnly { field: "force_host", value: host.clone() })
        }
        _ => Ok(()),
    }
}

fn accept(conn: &mut ApiConnection, attempt: &Try<'_>) -> Result<Outcome, BootError> {
    let now = conn.now();
    if let Some(token) = &attempt.request.client_token
        && let Some(known) = take_token(conn, attempt, token, now)?
    {
        return Ok(Outcome::Known(known));
    }
    let flavor = find_flavor(conn, attempt.ctx, attempt.request)?;
    let key = find_key(conn, attempt)?;
    let server_group = find_server_group(conn, attempt.ctx, attempt.request)?;
    let counts = (attempt.request.min_count, attempt.request.max_count);
    let limits = quota::limits(conn, &attempt.ctx.project_id, attempt.fallback)?;
    let count = count_within_quota(conn, &attempt.ctx.project_id, limits, counts, &flavor)?;
    let auto_retry = attempt.request.auto_retry.or(limits.auto_retry).unwrap_or(false);
    let uuids = &attempt.uuids[..count as usize];
    let reservation_id = reservation_id(attempt.group);
    let instances: Vec<Instance> = uuids
        .iter()
        .zip(0..)
        .map(|(uuid, index)| {
            let mut instance = instance(attempt, *uuid, (index, count), &flavor, now);
            instance.key_data = key.clone();
            instance.reservation_id = Some(reservation_id.clone());
            instance
        })
        .collect();
    let specs: Vec<RequestSpec> = uuids
        .iter()
        .map(|uuid| spec((attempt.ctx, attempt.request), *uuid, (count, auto_retry), &flavor))
        .collect();
    let states = boot_states(attempt, &instances, &flavor, now);

    request_spec::insert(conn, &specs, now)?;
    build_request::insert(conn, &instances, now)?;
    instance_mapping::insert(conn, uuids, (&attempt.ctx.project_id, &attempt.ctx.user_id), now)?;
    boot_state::insert(conn, &states, now)?;
    if let Some(server_group) = server_group {
        instance_group::add_members(conn, server_group, uuids, now)?;
    }
    let accepted = Accepted { group: attempt.group, reservation_id, instances: uuids.to_vec() };
    let members = instances.into_iter().zip(specs).map(|(instance, spec)| Member {
        ticket: Ticket {
            instance_uuid: instance.uuid,
            epoch: boot_state::FIRST_EPOCH,
            request_version: boot_state::FIRST_VERSION,
        },
        instance,
        spec,
        attempts: 0,
        placements: 0,
        history: None,
    });
    let leased = LeasedGroup {
        group: attempt.group,
        min_count: attempt.request.min_count.min(count),
        request_id: attempt.ctx.request_id.clone(),
        accepted_at: now,
        excluded_cells: Vec::new(),
        members: members.collect(),
    };
    Ok(Outcome::New(leased, accepted))
}

/// Takes the client token, or gives the instances of the request that has it.
fn take_token(
    conn: &mut ApiConnection,
    attempt: &Try<'_>,
    token: &str,
    now: NaiveDateTime,
) -> Result<Option<Accepted>, BootError> {
    let project = &attempt.ctx.project_id;
    let ours = TokenHolder { group: attempt.group, digest: digest(attempt.request) };
    // The loser of a race waits here for the winner's commit, and then finds the token taken.
    let taken = savepoint(conn, |conn| client_token::insert(conn, project, token, &ours, now));
    match taken {
        Ok(()) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::UniqueViolation => {}
        Err(error) => return Err(error.into()),
    }
    if client_token::take_over(conn, project, token, &ours, now)? {
        return Ok(None);
    }
    match client_token::find(conn, project, token)? {
        Some(holder) if holder.digest == ours.digest => {
            let group = holder.group;
            let instances = boot_state::uuids_of_group(conn, group)?;
            Ok(Some(Accepted { group, reservation_id: reservation_id(group), instances }))
        }
        _ => Err(BootError::TokenReused { token: token.to_owned() }),
    }
}

/// What tells one request from another: all that it asks for, but for token and password.
fn digest(request: &BootRequest) -> String {
    let text = serde_json::json!(request).to_string();
    HEXLOWER.encode(&Sha256::digest(text))
}

fn find_flavor(
    conn: &mut ApiConnection,
    ctx: &RequestContext,
    request: &BootRequest,
) -> Result<Flavor, BootError> {
    let wanted = &request.flavor;
    let refuse = |expected: &str| InvalidField::new("flavorRef", wanted, expected);
    let flavor =
        flavor::find(conn, wanted)?.ok_or_else(|| refuse("the id of a flavor that exists"))?;
    if flavor.disabled {
        return Err(refuse("the id of a flavor that is not disabled").into());
    }
    let allowed =
        flavor.is_public || ctx.is_admin || flavor::may_use(conn, &flavor, &ctx.project_id)?;
    if !allowed {
        // Another project's private flavor is unknown to this one.
        return Err(refuse("the id of a flavor that exists").into());
    }
    Ok(flavor)
}

fn find_key(conn: &mut ApiConnection, attempt: &Try<'_>) -> Result<Option<String>, BootError> {
    let Some(name) = &attempt.request.key_name else { return Ok(None) };
    match key_pair::find_public_key(conn, &attempt.ctx.user_id, name)? {
        Some(key) => Ok(Some(key)),
        None => {
            Err(InvalidField::new("key_name", name, "the name of a key pair of the user").into())
        }
    }
}

fn find_server_group(
    conn: &mut ApiConnection,
    ctx: &RequestContext,
    request: &BootRequest,
) -> Result<Option<i32>, BootError> {
    let Some(uuid) = request.server_group else { return Ok(None) };
    let found = instance_group::find(conn, uuid)?
        .filter(|group| ctx.may_see(&group.project_id))
        .ok_or_else(|| {
            InvalidField::new("group", uuid, "the uuid of a server group of the project")
        })?;
    Ok(Some(found.id))
}

/// How many instances of a flavor the limits of a project allow, between `min` and `max`.
pub(crate) fn count_within_quota(
    conn: &mut ApiConnection,
    project: &str,
    limits: QuotaLimits,
    (min, max): (u32, u32),
    flavor: &Flavor,
) -> Result<u32, BootError> {
    if limits.is_unlimited() {
        return Ok(max);
    }
    quota::lock(conn, project)?;
    let used = quota::usage(conn, project)?;
    let resources = [
        ("instances", limits.instances, used.instances, 1),
        ("cores", limits.cores, used.cores, i64::from(flavor.vcpus)),
        ("ram", limits.ram_mb, used.ram_mb, i64::from(flavor.memory_mb)),
    ];
    let mut count = i64::from(max);
    for (resource, limit, used, of_each) in resources {
        let (Some(limit), true) = (limit, of_each > 0) else { continue };
        let fit = (limit - used).max(0) / of_each;
        if fit < i64::from(min) {
            let requested = of_each * i64::from(min);
            return Err(BootError::QuotaExceeded { resource, limit, used, requested });
        }
        count = count.min(fit);
    }
    Ok(u32::try_from(count).unwrap_or(max))
}

/// Nova's form of it: `r-` and eight characters, here of the group's random part.
fn reservation_id(group: GroupUuid) -> String {
    let text = group.0.simple().to_string();
    format!("r-{}", &text[text.len() - 8..])
}

fn boot_states(
    attempt: &Try<'_>,
    instances: &[Instance],
    flavor: &Flavor,
    now: NaiveDateTime,
) -> Vec<NewBootState> {
    let group_min = attempt.request.min_count.min(instances.len() as u32);
    let state = |(index, instance): (u32, &Instance)| NewBootState {
        instance_uuid: instance.uuid,
        group: attempt.group,
        group_index: index,
        group_min,
        lease: (attempt.owner.to_owned(), now + attempt.lease),
        vcpus: flavor.vcpus,
        memory_mb: flavor.memory_mb,
        outline: instance.into(),
    };
    (0..).zip(instances).map(state).collect()
}

fn instance(
    attempt: &Try<'_>,
    uuid: InstanceUuid,
    (index, count): (u32, u32),
    flavor: &Flavor,
    now: NaiveDateTime,
) -> Instance {
    let request = attempt.request;
    let name = request.instance_name(index, count);
    let image_properties =
        request.image_properties.iter().map(|(key, value)| (format!("image_{key}"), value.clone()));
    let mut tags = request.tags.clone();
    tags.sort();
    let mut security_groups = request.security_groups.clone();
    security_groups.sort();
    security_groups.dedup();
    Instance {
        display_description: Some(request.description.clone().unwrap_or_else(|| name.clone())),
        hostname: Some(request.hostname.clone().unwrap_or_else(|| hostname_of(&name, uuid.0))),
        display_name: Some(name),
        vm_state: Some(VmState::Building),
        task_state: Some(TaskState::SCHEDULING),
        power_state: Some(PowerState::NO_STATE),
        availability_zone: request.availability_zone.clone(),
        instance_type_id: Some(flavor.id),
        flavor: Some(flavor.clone()),
        image_ref: Some(request.image.map(|image| image.to_string()).unwrap_or_default()),
        kernel_id: Some(String::new()),
        ramdisk_id: Some(String::new()),
        progress: Some(0),
        key_name: request.key_name.clone(),
        launch_index: i32::try_from(index).ok(),
        user_data: request.user_data.clone(),
        config_drive: Some(if request.config_drive { "True" } else { "" }.to_owned()),
        auto_disk_config: request.auto_disk_config,
        root_device_name: Some("/dev/vda".to_owned()),
        access_ip_v4: request.access_ip_v4.map(|ip| ip.to_string()),
        access_ip_v6: request.access_ip_v6.map(|ip| ip.to_string()),
        metadata: request.metadata.clone(),
        system_metadata: image_properties.collect(),
        tags,
        block_devices: request.block_devices.clone(),
        security_groups,
        created_at: Some(now),
        ..Instance::new(uuid, &attempt.ctx.project_id, &attempt.ctx.user_id)
    }
}

/// The spec of one instance of a request that is not accepted.
pub(crate) fn spec_alone(
    conn: &mut ApiConnection,
    ctx: &RequestContext,
    request: &BootRequest,
    uuid: InstanceUuid,
) -> Result<RequestSpec, BootError> {
    let flavor = find_flavor(conn, ctx, request)?;
    find_server_group(conn, ctx, request)?;
    Ok(spec((ctx, request), uuid, (1, false), &flavor))
}

fn spec(
    (ctx, request): (&RequestContext, &BootRequest),
    uuid: InstanceUuid,
    (count, auto_retry): (u32, bool),
    flavor: &Flavor,
) -> RequestSpec {
    RequestSpec {
        instance_uuid: uuid,
        request_id: ctx.request_id.clone(),
        project_id: ctx.project_id.clone(),
        user_id: ctx.user_id.clone(),
        flavor: flavor.clone(),
        image: request.image,
        num_instances: count,
        availability_zone: request.availability_zone.clone(),
        force_host: request.force_host.clone(),
        server_group: request.server_group,
        scheduler_hints: request.scheduler_hints.clone(),
        security_groups: request.security_groups.clone(),
        networks: request.networks.clone(),
        is_boot_from_volume: request.block_devices.iter().any(BlockDevice::is_boot_volume),
        auto_retry,
    }
}
