//! A total of open connections for many databases, so that a hundred cells do not hold a hundred
//! times a pool.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;

use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind};
use crate::fibers;

/// The most that a semaphore is asked to count.
const TOTAL_MAX: u32 = 100_000;

/// For how long after its deadline a late statement outside a transaction may go on. One that is
/// given up costs its connection, and a new one costs a server more than the statement did; where
/// many are late at once, each is then later the next time.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(1);

/// How often connections that are idle for too long are looked for, at most.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How many connections all databases that share it may have open at once, used or idle. Where the
/// total is reached, the connection that has been idle for longest makes room, whosever it is.
///
/// A clone is another handle to the same total.
#[derive(Clone)]
pub struct ConnectionBudget(Arc<Shared>);

struct Shared {
    total: u32,
    permits: Arc<Semaphore>,
    /// For those that go on after their deadline.
    drains: Arc<Semaphore>,
    /// How many operations wait for room.
    waiting: AtomicUsize,
    pools: Mutex<Vec<Weak<dyn IdlePool>>>,
    swept: Mutex<Instant>,
}

/// A pool whose idle connections can make room.
pub(crate) trait IdlePool: Send + Sync {
    /// Since when its oldest idle connection has been idle.
    fn idle_since(&self) -> Option<Instant>;
    /// Closes the connections that have been idle since `time` or longer, `most` at most; says how
    /// many.
    fn close_idle(&self, time: Instant, most: usize) -> usize;
    /// Closes those that have been idle for longer than it keeps them.
    fn close_expired(&self);
}

impl fmt::Debug for ConnectionBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionBudget")
            .field("total", &self.0.total)
            .field("open", &self.open())
            .finish()
    }
}

impl ConnectionBudget {
    /// A total of so many connections; at least 1 is taken.
    pub fn new(total: u32) -> ConnectionBudget {
        let total = total.clamp(1, TOTAL_MAX);
        ConnectionBudget(Arc::new(Shared {
            total,
            permits: Arc::new(Semaphore::new(total as usize)),
            drains: Arc::new(Semaphore::new((total / 2) as usize)),
            waiting: AtomicUsize::new(0),
            pools: Mutex::default(),
            swept: Mutex::new(Instant::now()),
        }))
    }

    /// How many connections may be open at once.
    pub fn total(&self) -> u32 {
        self.0.total
    }

    /// How many are open now.
    pub fn open(&self) -> u32 {
        let free = u32::try_from(self.0.permits.available_permits()).unwrap_or(u32::MAX);
        self.0.total.saturating_sub(free)
    }

    pub(crate) fn register(&self, pool: Weak<dyn IdlePool>) {
        let mut pools = self.pools();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(pool);
    }

    fn pools(&self) -> std::sync::MutexGuard<'_, Vec<Weak<dyn IdlePool>>> {
        self.0.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all_pools(&self) -> Vec<Arc<dyn IdlePool>> {
        self.pools().iter().filter_map(Weak::upgrade).collect()
    }

    /// The right to one more connection. Waits inside an operation.
    pub(crate) fn take(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, DatabaseError> {
        if let Ok(permit) = Arc::clone(&self.0.permits).try_acquire_owned() {
            return Ok(permit);
        }
        // From here on, whoever has done with a connection makes room with it.
        let _waiting = Waiting::enter(&self.0.waiting);
        self.make_room();
        let permit = Arc::clone(&self.0.permits).acquire_owned();
        // The timer has to be made inside the runtime that drives it.
        match fibers::wait(async { timeout_at(deadline.instant().into(), permit).await }) {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                let message = format!(
                    "all {} connections of the process (connections_total) stayed in use until \
                     the deadline; raise it, and `ulimit -n` with it",
                    self.0.total
                );
                Err(DatabaseError::new(ErrorKind::PoolExhausted, message))
            }
        }
    }

    /// The right to go on after a deadline, for half of all connections at most: the others are for
    /// those that somebody waits for.
    pub(crate) fn try_drain(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.drains).try_acquire_owned().ok()
    }

    /// After a connection was put back: closes it, or an older one, where somebody waits.
    pub(crate) fn put_back(&self) {
        if self.0.waiting.load(Ordering::SeqCst) > 0 {
            self.make_room();
        }
    }

    /// Closes the connection that has been idle for longest.
    fn make_room(&self) {
        let mut pools: Vec<(Instant, Arc<dyn IdlePool>)> = self
            .all_pools()
            .into_iter()
            .filter_map(|pool| Some((pool.idle_since()?, pool)))
            .collect();
        pools.sort_by_key(|(since, _)| *since);
        // Another one may have taken the oldest meanwhile.
        pools.into_iter().any(|(since, pool)| pool.close_idle(since, 1) > 0);
    }

    /// Closes what every pool has kept idle for too long, from time to time.
    pub(crate) fn sweep(&self) {
        {
            let mut swept = self.0.swept.lock().unwrap_or_else(PoisonError::into_inner);
            if swept.elapsed() < SWEEP_EVERY {
                return;
            }
            *swept = Instant::now();
        }
        self.all_pools().iter().for_each(|pool| pool.close_expired());
    }
}

/// Counts one who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn enter(waiting: &AtomicUsize) -> Waiting<'_> {
        waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
