//! Hosts that somebody else wrote into the tables of their cell are found, mapped and made
//! schedulable.
//!
//! Whether a host is new is said by the host mappings alone, never by `compute_nodes.mapped`, which
//! is kept for Nova's own tools: so a host that was removed and came back is found again.
//!
//! Each cell is read once (two statements), then one transaction in the API database maps what is
//! new with its capacity (4 statements, one more for each hundred new hosts, and three for each that
//! adopted instances claim), then the cell notes it (one). The cells are asked at once; one that does
//! not answer is named, and the others are done.

use std::collections::{BTreeMap, HashMap};

use cellzero_api_db::host_capacity::Discovered;
use cellzero_api_db::{ApiConnection, cell_mapping, host_capacity, host_mapping};
use cellzero_cell_db::CellConnection;
use cellzero_cell_db::compute_node::{self, NodeSeen};
use cellzero_cell_db::service::{self, ServiceSeen};
use cellzero_database::{Deadline, ErrorKind, transaction};
use cellzero_router::{AllCells, CellError, CellHandle, scatter_gather};
use cellzero_types::{CellUuid, InvalidField, Resources};
use futures_util::future::join_all;

use crate::Orchestrator;
use crate::report::HostError;

/// How often a cell is begun anew because another discovery mapped the same host.
const RACES_MAX: u32 = 3;

/// Which hosts are looked for.
#[derive(Debug, Clone, Default)]
pub struct DiscoverOptions {
    /// Only in this cell.
    pub cell: Option<CellUuid>,
    /// Hosts with a compute service too, though they have no compute node: they are mapped, and get
    /// instances once they report their size.
    pub by_service: bool,
}

/// A host that was mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveredHost {
    /// Its name.
    pub host: String,
    /// Its cell.
    pub cell: CellUuid,
    /// What may be claimed of it; none where it has no compute node.
    pub limit: Option<Resources>,
}

/// A host that was found in one cell and is mapped to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateHost {
    /// Its name.
    pub host: String,
    /// Where it was found.
    pub found: CellUuid,
    /// Where it is mapped.
    pub mapped: CellUuid,
}

/// What a discovery did. Hosts are sorted.
#[derive(Debug, Default)]
pub struct Discovery {
    /// The hosts that were mapped.
    pub new: Vec<DiscoveredHost>,
    /// How many were mapped before.
    pub known: usize,
    /// Hosts that are mapped to another cell; nothing was done with them.
    pub duplicates: Vec<DuplicateHost>,
    /// Hosts in cell0, which never has any: somebody's configuration names the wrong database.
    pub in_cell0: Vec<String>,
    /// Hosts whose compute node cannot be used, with why.
    pub unusable: Vec<(String, InvalidField)>,
    /// The cells that did not answer, with why.
    pub down: Vec<(CellUuid, CellError)>,
}

/// The hosts of a cell, as they stand there.
struct Standing {
    nodes: Vec<NodeSeen>,
    services: Vec<ServiceSeen>,
}

/// What is mapped of a cell.
#[derive(Debug, Clone, Default)]
struct Wanted {
    /// With a compute node, that can be used.
    sized: Vec<Discovered>,
    /// With a compute service alone.
    unsized_hosts: Vec<String>,
}

impl Orchestrator {
    /// Maps the hosts that stand in the cells and are not mapped, so that they get instances.
    ///
    /// # Errors
    /// [`HostError::Cell`] for a cell that does not exist, or the API database's. A cell that does
    /// not answer is no error; it is named.
    pub async fn discover_hosts(
        &self,
        options: &DiscoverOptions,
        deadline: Deadline,
    ) -> Result<Discovery, HostError> {
        let (cells, down) = self.cells_to_search(options.cell, deadline).await?;
        let mut discovery = Discovery { down, ..Discovery::default() };
        let gathered = scatter_gather(&cells, "read_hosts", deadline, |conn, _| {
            Ok(Standing { nodes: compute_node::live(conn)?, services: service::live(conn)? })
        });
        let (up, down) = gathered.await.split();
        discovery.down.extend(down);
        let mut to_map = Vec::new();
        for (cell, standing) in up {
            if cell.is_cell0() {
                discovery.in_cell0.extend(names(&standing));
                continue;
            }
            let wanted = wanted(standing, options.by_service, &mut discovery.unusable);
            let handle = cells.iter().find(|handle| handle.uuid() == cell);
            to_map.extend(handle.map(|handle| (handle, wanted)));
        }
        let mapped = to_map.into_iter().map(|(handle, wanted)| async move {
            (handle.uuid(), self.map_hosts(handle, wanted, deadline).await)
        });
        for (cell, mapped) in join_all(mapped).await {
            match mapped {
                Ok(mapped) => discovery.add(mapped),
                Err(HostError::Cell(error)) => discovery.down.push((cell, error)),
                Err(error) => return Err(error),
            }
        }
        discovery.sort();
        let found = discovery.new.len() as u64;
        metrics::counter!("cellzero_discovered_hosts_total").increment(found);
        Ok(discovery)
    }

    /// The cells to look into: all, or one and cell0.
    async fn cells_to_search(
        &self,
        only: Option<CellUuid>,
        deadline: Deadline,
    ) -> Result<AllCells, HostError> {
        let (mut cells, mut down) = self.0.router.cells().all(deadline).await?;
        let Some(only) = only else { return Ok((cells, down)) };
        let wanted = |cell: CellUuid| cell == only || cell.is_cell0();
        cells.retain(|handle| wanted(handle.uuid()));
        down.retain(|(cell, _)| wanted(*cell));
        let is_known = cells.iter().map(|handle| handle.uuid()).chain(down.iter().map(|d| d.0));
        match is_known.into_iter().any(|cell| cell == only) {
            true => Ok((cells, down)),
            false => Err(CellError::Unknown { cell: only }.into()),
        }
    }

    async fn map_hosts(
        &self,
        handle: &CellHandle,
        wanted: Wanted,
        deadline: Deadline,
    ) -> Result<Discovery, HostError> {
        let cell = handle.uuid();
        let mut races = 0;
        let mapped = loop {
            let wanted = wanted.clone();
            let map = move |conn: &mut ApiConnection| {
                transaction(conn, "discover_hosts", |conn| map_in_transaction(conn, cell, &wanted))
            };
            match self.api().run("discover_hosts", deadline, map).await {
                // The same host stands in two cells: whoever is second finds the first's mapping.
                Err(HostError::Database(error))
                    if error.kind() == ErrorKind::UniqueViolation && races < RACES_MAX =>
                {
                    races += 1;
                }
                done => break done?,
            }
        };
        let hosts: Vec<String> = mapped.new.iter().map(|host| host.host.clone()).collect();
        if !hosts.is_empty() {
            let note = move |conn: &mut CellConnection| {
                let now = conn.now();
                compute_node::set_mapped(conn, &hosts, true, now)
            };
            let noted = handle.run("note_mapped_hosts", deadline, note).await;
            // Only a note: the hosts are mapped.
            if let Err(error) = noted {
                tracing::warn!(%cell, error = &error as &dyn std::error::Error, "its compute nodes are not marked as mapped");
            }
        }
        Ok(mapped)
    }
}

fn names(standing: &Standing) -> Vec<String> {
    let nodes = standing.nodes.iter().map(|seen| seen.node.host.clone());
    let mut names: Vec<String> =
        nodes.chain(standing.services.iter().map(|service| service.host.clone())).collect();
    names.sort();
    names.dedup();
    names
}

/// What can be mapped; what cannot is noted.
fn wanted(
    Standing { nodes, services }: Standing,
    by_service: bool,
    unusable: &mut Vec<(String, InvalidField)>,
) -> Wanted {
    let mut services: BTreeMap<String, ServiceSeen> =
        services.into_iter().map(|service| (service.host.clone(), service)).collect();
    let mut wanted = Wanted::default();
    for NodeSeen { node, .. } in nodes {
        let service = services.remove(&node.host);
        if let Err(error) = node.check() {
            unusable.push((node.host, error));
            continue;
        }
        wanted.sized.push(Discovered {
            node,
            service_disabled: service.as_ref().is_some_and(|service| service.disabled),
            forced_down: service.as_ref().is_some_and(|service| service.forced_down),
            last_seen_up: service.and_then(|service| service.last_seen_up),
        });
    }
    if by_service {
        wanted.unsized_hosts.extend(services.into_keys());
    }
    wanted
}

fn map_in_transaction(
    conn: &mut ApiConnection,
    cell: CellUuid,
    wanted: &Wanted,
) -> Result<Discovery, HostError> {
    let now = conn.now();
    // Whoever maps instances to this cell waits: what they claim is counted by either.
    let Some(mapping) = cell_mapping::lock(conn, cell)? else {
        return Err(CellError::Unknown { cell }.into());
    };
    let sized = wanted.sized.iter().map(|host| host.node.host.clone());
    let hosts: Vec<String> = sized.chain(wanted.unsized_hosts.iter().cloned()).collect();
    let standing: HashMap<String, CellUuid> = host_mapping::cells_of(conn, &hosts)?;
    let new: Vec<String> =
        hosts.iter().filter(|host| !standing.contains_key(*host)).cloned().collect();
    host_mapping::insert_all(conn, &new, mapping.id, now)?;
    let sized: Vec<Discovered> = wanted
        .sized
        .iter()
        .filter(|host| !standing.contains_key(&host.node.host))
        .cloned()
        .collect();
    host_capacity::discover(conn, cell, &sized, now)?;
    let limits: HashMap<&str, Resources> =
        sized.iter().map(|host| (host.node.host.as_str(), host.node.limit())).collect();
    let discovered =
        |host: String| DiscoveredHost { limit: limits.get(host.as_str()).copied(), cell, host };
    let elsewhere = standing.into_iter().filter(|(_, mapped)| *mapped != cell);
    let duplicates: Vec<DuplicateHost> =
        elsewhere.map(|(host, mapped)| DuplicateHost { host, found: cell, mapped }).collect();
    let known = hosts.len() - new.len() - duplicates.len();
    let new = new.into_iter().map(discovered).collect();
    Ok(Discovery { new, known, duplicates, ..Discovery::default() })
}

impl Discovery {
    fn add(&mut self, cell: Discovery) {
        self.new.extend(cell.new);
        self.known += cell.known;
        self.duplicates.extend(cell.duplicates);
    }

    fn sort(&mut self) {
        self.new.sort_by(|a, b| a.host.cmp(&b.host));
        self.duplicates.sort_by(|a, b| (&a.host, a.found).cmp(&(&b.host, b.found)));
        self.unusable.sort_by(|a, b| a.0.cmp(&b.0));
        self.down.sort_by_key(|(cell, _)| *cell);
    }
}
