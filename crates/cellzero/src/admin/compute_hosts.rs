//! The compute side as operators and clients see it: services, hypervisors, availability zones.

use std::collections::{BTreeMap, HashMap};

use cellzero_api_db::aggregate::{self, AggregateWithHosts};
use cellzero_api_db::host_capacity;
use cellzero_cell_db::compute_node::NodeSeen;
use cellzero_cell_db::service::{COMPUTE_BINARY, ServiceRow};
use cellzero_database::DatabaseError;
use cellzero_router::{ComputeSide, DownCells};
use cellzero_types::{CellUuid, ComputeNode, Resources};
use chrono::{NaiveDateTime, TimeDelta};

use crate::AdminError;
use crate::admin::Hosts;
use crate::observed::observed_alone;

/// A service of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputeService {
    /// The row id in its cell.
    pub id: i32,
    /// Its uuid.
    pub uuid: Option<String>,
    /// Its cell.
    pub cell: CellUuid,
    /// Its program, such as `nova-compute`.
    pub binary: String,
    /// Its host.
    pub host: String,
    /// The availability zone of its host.
    pub zone: String,
    /// Whether an operator has taken it out of scheduling.
    pub disabled: bool,
    /// Why.
    pub disabled_reason: Option<String>,
    /// Whether an operator has declared it down.
    pub forced_down: bool,
    /// When it reported last, UTC.
    pub last_seen_up: Option<NaiveDateTime>,
    /// When its row changed last, UTC.
    pub updated_at: Option<NaiveDateTime>,
    /// Whether it has reported lately, and no operator says otherwise.
    pub is_up: bool,
}

/// The services of all cells that answered.
#[derive(Debug)]
pub struct Services {
    /// By cell and row id.
    pub services: Vec<ComputeService>,
    /// The cells that did not answer, with why.
    pub down_cells: DownCells,
}

/// The hypervisor of a host: its size, and what is taken of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypervisor {
    /// The row id in its cell.
    pub id: i32,
    /// Its uuid.
    pub uuid: Option<String>,
    /// Its cell.
    pub cell: CellUuid,
    /// What it says of itself.
    pub node: ComputeNode,
    /// Its address, where Nova's compute service wrote it.
    pub host_ip: Option<String>,
    /// The compute service of its host, where there is one.
    pub service: Option<ComputeService>,
    /// What is claimed of it; none on a plane that Nova made, or before it has said its size here.
    pub used: Option<Resources>,
    /// How many instances stand on it.
    pub instances: i64,
}

/// The hypervisors of all cells that answered.
#[derive(Debug)]
pub struct Hypervisors {
    /// By cell and row id.
    pub hypervisors: Vec<Hypervisor>,
    /// The cells that did not answer, with why.
    pub down_cells: DownCells,
}

/// An availability zone with its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// Whether any of its hosts takes instances: it is up and not disabled.
    pub is_available: bool,
    /// Its hosts, by name.
    pub hosts: Vec<ZoneHost>,
}

/// A host of an availability zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneHost {
    /// Its name.
    pub host: String,
    /// Whether it has reported lately, and no operator says otherwise.
    pub is_up: bool,
    /// Whether an operator has taken it out of scheduling.
    pub disabled: bool,
    /// When it reported last, UTC.
    pub last_seen_up: Option<NaiveDateTime>,
}

/// The zone of each host that is in one beside the default.
fn zones_of(aggregates: &[AggregateWithHosts]) -> HashMap<String, String> {
    let mut zones = HashMap::new();
    for aggregate in aggregates {
        let Some(zone) = aggregate.zone() else { continue };
        for host in &aggregate.hosts {
            zones.entry(host.clone()).or_insert_with(|| zone.to_owned());
        }
    }
    zones
}

/// What turns the rows of cells into services.
struct View {
    zones: HashMap<String, String>,
    default_zone: String,
    silent_after: TimeDelta,
    now: NaiveDateTime,
}

impl View {
    fn is_up(&self, forced_down: bool, seen: Option<NaiveDateTime>) -> bool {
        !forced_down && seen.is_some_and(|seen| self.now - seen <= self.silent_after)
    }

    fn zone(&self, host: &str) -> String {
        self.zones.get(host).unwrap_or(&self.default_zone).clone()
    }

    fn service(&self, cell: CellUuid, row: ServiceRow) -> ComputeService {
        let host = row.host.unwrap_or_default();
        let forced_down = row.forced_down.unwrap_or(false);
        let seen = row.last_seen_up.or(row.updated_at).or(row.created_at);
        ComputeService {
            id: row.id,
            uuid: row.uuid,
            cell,
            binary: row.binary.unwrap_or_default(),
            zone: self.zone(&host),
            host,
            disabled: row.disabled.unwrap_or(false),
            disabled_reason: row.disabled_reason,
            forced_down,
            last_seen_up: row.last_seen_up,
            updated_at: row.updated_at,
            is_up: self.is_up(forced_down, seen),
        }
    }

    fn hypervisors(
        &self,
        cell: CellUuid,
        side: ComputeSide,
        used: &HashMap<String, Resources>,
    ) -> Vec<Hypervisor> {
        let services = side.services.into_iter().map(|row| self.service(cell, row));
        let mut services: HashMap<String, ComputeService> = services
            .filter(|service| service.binary == COMPUTE_BINARY)
            .map(|service| (service.host.clone(), service))
            .collect();
        let hypervisor = |NodeSeen { id, uuid, node, host_ip, .. }: NodeSeen| Hypervisor {
            id,
            uuid,
            cell,
            host_ip,
            service: services.remove(&node.host),
            used: used.get(&node.host).copied(),
            instances: side.instances.get(&node.host).copied().unwrap_or(0),
            node,
        };
        side.nodes.into_iter().map(hypervisor).collect()
    }
}

impl Hosts<'_> {
    /// The services of all live cells. Four statements in the API database, three in each cell, all
    /// cells at once.
    ///
    /// # Errors
    /// The API database's. A cell that does not answer is named.
    pub async fn services(&self) -> Result<Services, AdminError> {
        let (view, _) = self.view().await?;
        let sides = self.0.inner().router.compute_sides(self.0.admin_deadline());
        let (sides, down_cells) = observed_alone("list_services", sides).await?;
        let services = sides.into_iter().flat_map(|(cell, side)| {
            let rows = side.services.into_iter();
            rows.map(|row| view.service(cell, row)).collect::<Vec<_>>()
        });
        Ok(Services { services: services.collect(), down_cells })
    }

    /// The hypervisors of all live cells, with what is claimed of them. Five statements in the API
    /// database, four on a plane that Nova made; three in each cell, all cells at once.
    ///
    /// # Errors
    /// The API database's. A cell that does not answer is named.
    pub async fn hypervisors(&self) -> Result<Hypervisors, AdminError> {
        let (view, capacities) = self.view().await?;
        let used: HashMap<String, Resources> =
            capacities.into_iter().map(|one| (one.host, one.used)).collect();
        let sides = self.0.inner().router.compute_sides(self.0.admin_deadline());
        let (sides, down_cells) = observed_alone("list_hypervisors", sides).await?;
        let all = sides.into_iter().flat_map(|(cell, side)| view.hypervisors(cell, side, &used));
        Ok(Hypervisors { hypervisors: all.collect(), down_cells })
    }

    /// The availability zones with their hosts, by name; those of aggregates without hosts are left
    /// out, and the default one has all hosts that are in no other. Four statements in the API database,
    /// three and no hosts on a plane that Nova made.
    ///
    /// # Errors
    /// The API database's.
    pub async fn zones(&self) -> Result<Vec<Zone>, AdminError> {
        let (view, capacities) = self.view().await?;
        let mut zones: BTreeMap<String, Vec<ZoneHost>> = BTreeMap::new();
        for one in capacities {
            let host = ZoneHost {
                is_up: view.is_up(one.forced_down, one.last_seen_up),
                disabled: one.service_disabled,
                last_seen_up: one.last_seen_up,
                host: one.host,
            };
            zones.entry(view.zone(&host.host)).or_default().push(host);
        }
        let zones = zones.into_iter().map(|(name, mut hosts)| {
            hosts.sort_by(|a, b| a.host.cmp(&b.host));
            let is_available = hosts.iter().any(|host| host.is_up && !host.disabled);
            Zone { name, is_available, hosts }
        });
        Ok(zones.collect())
    }

    /// What the API database knows of hosts: their zones, and their capacity on a plane of our own.
    async fn view(&self) -> Result<(View, Vec<host_capacity::HostCapacity>), AdminError> {
        let inner = self.0.inner();
        let is_foreign = inner.router.cells().is_foreign();
        let silent_after = TimeDelta::from_std(inner.service_down_after).unwrap_or(TimeDelta::MAX);
        let default_zone = inner.default_zone.clone();
        self.0
            .look("read_hosts", move |conn| {
                let capacities = if is_foreign { Vec::new() } else { host_capacity::all(conn)? };
                let zones = zones_of(&aggregate::all(conn)?);
                let now = conn.now();
                Ok::<_, DatabaseError>((
                    View { zones, default_zone, silent_after, now },
                    capacities,
                ))
            })
            .await
    }
}
