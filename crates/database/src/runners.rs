//! The threads that operations on SQLite run on: as many at work as the machine has processors, each
//! taking one short operation after another.
//!
//! A read of a SQLite file is some 50 us of work. A list over 16 cells asks for 16 at once, and a
//! thread for each costs more in waking threads, and in the memory that each of them touches, than
//! they gain on fewer processors. The one rule: an operation that may wait, for a lock or for a disk,
//! does not count as being at work, so that it holds up nobody. A write says so when it begins
//! ([`make_room`]); any other is found out once it has run for longer than [`PATIENCE`].

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

/// How long an operation may run, while others are in the queue, before it counts as one that waits.
const PATIENCE: Duration = Duration::from_millis(2);

/// How long a thread that has nothing to do stays.
const KEPT: Duration = Duration::from_secs(10);

/// How often the watch finds nothing in the queue before it ends.
const QUIET_MAX: u32 = 500;

static RUNNERS: LazyLock<Runners> = LazyLock::new(|| Runners {
    most: thread::available_parallelism().map_or(1, usize::from),
    state: Mutex::default(),
    wake: Condvar::new(),
});

thread_local! {
    /// The number of the operation that runs on this thread.
    static RUNNING: Cell<Option<u64>> = const { Cell::new(None) };
}

/// What is to be run; it never unwinds.
type Job = Box<dyn FnOnce() + Send>;

struct Runners {
    /// How many are at work at once.
    most: usize,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// The operations that count as being at work, by number, and since when.
    at_work: Vec<(u64, Instant)>,
    /// How many have begun so far, which numbers them.
    begun: u64,
    /// How many threads are about to take an operation.
    coming: usize,
    /// How many threads rest and are not being woken.
    resting: usize,
    /// How many of those that rest are to wake.
    woken: usize,
    is_watched: bool,
}

/// Runs what never unwinds as soon as there is room, inside the runtime of the caller.
pub(crate) fn submit(work: impl FnOnce() + Send + 'static) {
    let runtime = Handle::current();
    let job = move || {
        let _runtime = runtime.enter();
        work();
    };
    let mut state = RUNNERS.lock();
    state.queue.push_back(Box::new(job));
    RUNNERS.set_to_work(state);
}

/// Lets another operation run beside the one of this thread, which may wait from here on.
pub(crate) fn make_room() {
    if let Some(number) = RUNNING.get() {
        let mut state = RUNNERS.lock();
        state.at_work.retain(|(other, _)| *other != number);
        RUNNERS.set_to_work(state);
    }
}

impl State {
    /// Whether there is work for one more thread, and room.
    fn wants(&self, most: usize) -> bool {
        self.queue.len() > self.coming && self.at_work.len() + self.coming < most
    }

    /// The next operation, which counts from now on, and its number.
    fn next(&mut self) -> Option<(u64, Job)> {
        let job = self.queue.pop_front()?;
        self.begun += 1;
        self.at_work.push((self.begun, Instant::now()));
        Some((self.begun, job))
    }
}

impl Runners {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No panic can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets as many threads to work as there is work and room for, and has those watched that others
    /// wait for.
    fn set_to_work(&self, mut state: MutexGuard<'_, State>) {
        while state.wants(self.most) {
            state.coming += 1;
            if state.resting > 0 {
                state.resting -= 1;
                state.woken += 1;
                self.wake.notify_one();
            } else if !start("cellzero-sqlite", || RUNNERS.work()) {
                state.coming -= 1;
                break;
            }
        }
        if state.queue.len() > state.coming && !state.is_watched {
            state.is_watched = start("cellzero-watch", || RUNNERS.watch());
        }
    }

    /// Takes operations as long as there are some, then rests; a thread.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            state.coming -= 1;
            while state.at_work.len() + state.coming < self.most
                && let Some((number, job)) = state.next()
            {
                drop(state);
                RUNNING.set(Some(number));
                job();
                RUNNING.set(None);
                state = self.lock();
                state.at_work.retain(|(other, _)| *other != number);
            }
            state.resting += 1;
            while state.woken == 0 {
                let (rested, timeout) =
                    self.wake.wait_timeout(state, KEPT).unwrap_or_else(PoisonError::into_inner);
                state = rested;
                if timeout.timed_out() && state.woken == 0 {
                    state.resting -= 1;
                    return;
                }
            }
            state.woken -= 1;
        }
    }

    /// Makes room where those that have run for long hold others up; a thread.
    fn watch(&self) {
        let mut quiet = 0;
        loop {
            thread::sleep(PATIENCE);
            let mut state = self.lock();
            if !state.queue.is_empty() {
                quiet = 0;
                state.at_work.retain(|(_, since)| since.elapsed() < PATIENCE);
                self.set_to_work(state);
                continue;
            }
            quiet += 1;
            if quiet > QUIET_MAX {
                state.is_watched = false;
                return;
            }
        }
    }
}

/// Starts a thread; says whether there is one. Where not, the next who submits tries again.
fn start(name: &str, work: impl FnOnce() + Send + 'static) -> bool {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    if let Err(error) = &started {
        tracing::warn!(%error, "no thread can be started for operations on SQLite");
    }
    started.is_ok()
}
