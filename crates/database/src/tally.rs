//! Counts what a database was asked, so that tests can hold an operation to its round trips.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A snapshot of what was done through one [`Database`](crate::Database) since it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Statements sent, without `BEGIN`, `COMMIT`, `ROLLBACK` and savepoints, and without what
    /// sets up or probes a connection. A multi-row insert is one; a batch of several statements
    /// sent as one text is one.
    pub statements: u64,
    /// Transactions that were committed. A statement outside a transaction is not counted here.
    pub commits: u64,
    /// Transactions that were rolled back, those that were then repeated too.
    pub rollbacks: u64,
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that were given up because they broke.
    pub connections_broken: u64,
    /// How often a transaction was repeated after a conflict, by its name.
    pub repeats: BTreeMap<&'static str, u64>,
}

/// The live counters behind [`Counters`].
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) statements: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) rollbacks: AtomicU64,
    pub(crate) connections_opened: AtomicU64,
    pub(crate) connections_broken: AtomicU64,
    repeats: Mutex<BTreeMap<&'static str, u64>>,
}

/// Adds one. The counts order nothing, so the weakest ordering does.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Tally {
    /// Counts one repeat of a transaction, here and in the process's metrics.
    pub(crate) fn count_repeat(&self, name: &'static str) {
        metrics::counter!("cellzero_transaction_repeats_total", "name" => name).increment(1);
        let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
        *repeats.entry(name).or_insert(0) += 1;
    }

    /// The counts of this moment.
    pub(crate) fn snapshot(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            statements: read(&self.statements),
            commits: read(&self.commits),
            rollbacks: read(&self.rollbacks),
            connections_opened: read(&self.connections_opened),
            connections_broken: read(&self.connections_broken),
            repeats: self.repeats.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
