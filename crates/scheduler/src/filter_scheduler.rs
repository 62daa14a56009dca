//! The default scheduler: filters and weighers over the hosts of all enabled cells.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cellzero_api_db::aggregate::HostAggregate;
use cellzero_api_db::boot_state::FIRST_EPOCH;
use cellzero_api_db::claim::Claim;
use cellzero_api_db::host_capacity::HostCapacity;
use cellzero_api_db::{
    ApiConnection, ApiDatabase, aggregate, claim, host_capacity, instance_group,
};
use cellzero_database::DatabaseError;
use cellzero_types::{CellUuid, Flavor, InstanceUuid, NotAsked, RequestSpec, UnaskedCell, Verdict};
use chrono::NaiveDateTime;

use crate::{
    Aggregate, Decision, GroupPolicy, HostState, Scheduler, SchedulerError, SelectOptions,
    SelectRequest, Selection, ServerGroup, Snapshot, select,
};

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct FilterSchedulerOptions {
    /// A host that has not reported for so long is down. Nova's `service_down_time` is 60 s; ours
    /// is longer by default, because a report is a call of the embedder's.
    pub service_down_after: Duration,
    /// The availability zone of hosts that are in none.
    pub default_availability_zone: String,
    /// How many more hosts of the same cell are named beside the chosen one.
    pub alternates_max: usize,
}

impl Default for FilterSchedulerOptions {
    fn default() -> FilterSchedulerOptions {
        FilterSchedulerOptions {
            service_down_after: Duration::from_secs(300),
            default_availability_zone: "nova".to_owned(),
            alternates_max: 2,
        }
    }
}

/// Chooses the host with the most free capacity among those that pass every filter.
///
/// Reads the API database once: the hosts; and, where needed, aggregates and the server group.
#[derive(Debug, Clone)]
pub struct FilterScheduler {
    api: ApiDatabase,
    options: FilterSchedulerOptions,
}

impl FilterScheduler {
    /// A scheduler over the hosts that have reported to this API database.
    pub fn new(api: ApiDatabase, options: FilterSchedulerOptions) -> FilterScheduler {
        FilterScheduler { api, options }
    }
}

#[async_trait::async_trait]
impl Scheduler for FilterScheduler {
    async fn select_destinations(
        &self,
        request: &SelectRequest,
    ) -> Result<Vec<Result<Selection, Verdict>>, SchedulerError> {
        Ok(self.decide(request).await?.answers)
    }

    async fn decide(&self, request: &SelectRequest) -> Result<Decision, SchedulerError> {
        let owned = request.clone();
        let options = self.options.clone();
        let decided = self
            .api
            .run("select_destinations", request.deadline, move |conn| {
                select_in_database(conn, &owned, &options)
            })
            .await?;
        Ok(decided)
    }
}

fn select_in_database(
    conn: &mut ApiConnection,
    request: &SelectRequest,
    options: &FilterSchedulerOptions,
) -> Result<Decision, DatabaseError> {
    let Some(spec) = request.specs.first() else {
        return Ok(Decision { answers: Vec::new(), snapshot: None });
    };
    let needs_aggregates = needs_aggregates(spec);
    let snapshot = read_snapshot(conn, request, options, needs_aggregates)?;
    let mut answers = select(&snapshot, &request.specs);
    if !needs_aggregates && answers.iter().any(Result::is_ok) {
        // The zone of a chosen host is written into its instance; nobody asked for one.
        fill_availability_zones(&mut answers, &aggregate::by_host(conn)?, options);
    }
    Ok(Decision { answers, snapshot: Some(Arc::new(snapshot)) })
}

/// What the API database says now of all that the decision is made from.
fn read_snapshot(
    conn: &mut ApiConnection,
    request: &SelectRequest,
    options: &FilterSchedulerOptions,
    needs_aggregates: bool,
) -> Result<Snapshot, DatabaseError> {
    let options = select_options(options, conn.now());
    let own = own_claims(conn, request)?;
    let mut unasked: BTreeMap<CellUuid, UnaskedCell> = BTreeMap::new();
    let mut capacities: Vec<HostCapacity> = Vec::new();
    let mut generation = 0;
    for (mut host, is_disabled) in host_capacity::of_live_cells(conn)? {
        let cell = host.cell;
        generation += host.generation;
        let why = match is_disabled {
            true => NotAsked::CellDisabled,
            false if request.excluded_cells.contains(&cell) => NotAsked::CellDown,
            false => {
                let taken = own.iter().filter(|claim| claim.host == host.host);
                host.used = host.used.less(&taken.map(|claim| claim.resources).sum());
                capacities.push(host);
                continue;
            }
        };
        unasked.entry(cell).or_insert(UnaskedCell { cell, why, hosts: 0 }).hosts += 1;
    }
    let mut aggregates = HashMap::new();
    if needs_aggregates {
        aggregates = aggregate::by_host(conn)?;
    }
    let hosts = capacities.into_iter().map(|host| host_state(host, &mut aggregates)).collect();
    let spec = request.specs.first();
    let group = spec.map_or(Ok(None), |spec| server_group(conn, spec, &own))?;
    let unasked = unasked.into_values().collect();
    Ok(Snapshot { hosts, unasked, group, options, generation })
}

/// What earlier epochs of these instances have claimed: the placement replaces it, so it counts as
/// free. A first epoch has claimed nothing.
fn own_claims(
    conn: &mut ApiConnection,
    request: &SelectRequest,
) -> Result<Vec<Claim>, DatabaseError> {
    if request.tickets.iter().all(|ticket| ticket.epoch == FIRST_EPOCH) {
        return Ok(Vec::new());
    }
    let uuids: Vec<InstanceUuid> = request.tickets.iter().map(|t| t.instance_uuid).collect();
    Ok(claim::of_instances(conn, &uuids)?.into_values().collect())
}

fn select_options(options: &FilterSchedulerOptions, now: NaiveDateTime) -> SelectOptions {
    SelectOptions {
        now,
        service_down_after: options.service_down_after,
        default_availability_zone: options.default_availability_zone.clone(),
        alternates_max: options.alternates_max,
    }
}

fn needs_aggregates(spec: &RequestSpec) -> bool {
    spec.availability_zone.is_some()
        || spec.flavor.extra_specs.keys().any(|key| key.starts_with(Flavor::AGGREGATE_PREFIX))
}

fn host_state(
    host: HostCapacity,
    aggregates: &mut HashMap<String, Vec<HostAggregate>>,
) -> HostState {
    let aggregates = aggregates.remove(&host.host).unwrap_or_default();
    HostState {
        aggregates: aggregates
            .into_iter()
            .map(|aggregate| Aggregate { name: aggregate.name, metadata: aggregate.metadata })
            .collect(),
        host: host.host,
        node: host.node,
        cell: host.cell,
        limit: host.limit,
        used: host.used,
        traits: host.traits,
        service_disabled: host.service_disabled,
        forced_down: host.forced_down,
        last_seen_up: host.last_seen_up,
        generation: host.generation,
    }
}

fn server_group(
    conn: &mut ApiConnection,
    spec: &RequestSpec,
    own: &[Claim],
) -> Result<Option<ServerGroup>, DatabaseError> {
    let Some(uuid) = spec.server_group else { return Ok(None) };
    // Accept has checked that the group exists; one that was deleted since binds nobody.
    let Some(group) = instance_group::find(conn, uuid)? else { return Ok(None) };
    let Ok(policy) = group.policy.parse::<GroupPolicy>() else { return Ok(None) };
    let members = instance_group::members(conn, group.id)?;
    let members: Vec<InstanceUuid> = members
        .into_iter()
        .filter(|member| !own.iter().any(|claim| claim.instance_uuid == *member))
        .collect();
    let members_by_host = claim::count_by_host(conn, &members)?;
    Ok(Some(ServerGroup {
        policy,
        max_server_per_host: group.max_server_per_host,
        members_by_host,
    }))
}

fn fill_availability_zones(
    selected: &mut [Result<Selection, Verdict>],
    aggregates: &HashMap<String, Vec<HostAggregate>>,
    options: &FilterSchedulerOptions,
) {
    for selection in selected.iter_mut().flatten() {
        let zone = aggregates
            .get(&selection.host)
            .into_iter()
            .flatten()
            .find_map(|aggregate| aggregate.metadata.get("availability_zone"));
        selection.availability_zone =
            Some(zone.unwrap_or(&options.default_availability_zone).clone());
    }
}
