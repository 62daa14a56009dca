//! A scheduler that deals instances out to named hosts in turn.
//!
//! It counts seats instead of vcpus and memory. The plane claims what it chooses all the same, and
//! asks again where a host turns out to be full, so an answer must not count an instance twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cellzero::{
    CellUuid, InstanceUuid, Scheduler, SchedulerError, SelectRequest, Selection, Verdict,
    VerdictReason,
};

/// Deals out seats. A clone is another handle to the same table.
#[derive(Debug, Clone)]
pub(crate) struct RoundRobin {
    seats_max: usize,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    hosts: Vec<(String, CellUuid)>,
    /// Who sits where, by the host's place in `hosts`.
    taken: BTreeMap<InstanceUuid, usize>,
    /// Whose turn it is.
    next: usize,
}

impl RoundRobin {
    /// No host yet; each will have so many seats.
    pub(crate) fn new(seats_max: usize) -> RoundRobin {
        RoundRobin { seats_max, table: Arc::default() }
    }

    /// Adds a host.
    pub(crate) fn seat(&self, host: &str, cell: CellUuid) {
        self.with(|table| table.hosts.push((host.to_owned(), cell)));
    }

    /// Frees the seat of an instance that is gone.
    pub(crate) fn leave(&self, uuid: InstanceUuid) {
        self.with(|table| table.taken.remove(&uuid));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Table) -> T) -> T {
        work(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Table {
    /// The seat that the instance has already, or the next free one.
    fn choose(&mut self, uuid: InstanceUuid, seats_max: usize) -> Option<(String, CellUuid)> {
        if let Some(host) = self.taken.get(&uuid) {
            return self.hosts.get(*host).cloned();
        }
        for turn in 0..self.hosts.len() {
            let host = (self.next + turn) % self.hosts.len();
            if self.taken.values().filter(|taken| **taken == host).count() < seats_max {
                self.taken.insert(uuid, host);
                self.next = host + 1;
                return self.hosts.get(host).cloned();
            }
        }
        None
    }
}

#[async_trait::async_trait]
impl Scheduler for RoundRobin {
    async fn select_destinations(
        &self,
        request: &SelectRequest,
    ) -> Result<Vec<Result<Selection, Verdict>>, SchedulerError> {
        let answer = |table: &mut Table, uuid| match table.choose(uuid, self.seats_max) {
            Some((host, cell)) => Ok(Selection {
                node: host.clone(),
                host,
                cell,
                availability_zone: None,
                alternates: Vec::new(),
            }),
            None => {
                let message = format!("All {} hosts of the round are full.", table.hosts.len());
                Err(Verdict::new(VerdictReason::Scheduler { message }))
            }
        };
        Ok(self.with(|table| {
            request.specs.iter().map(|spec| answer(table, spec.instance_uuid)).collect()
        }))
    }
}
