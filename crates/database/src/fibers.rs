//! Operations on servers: each on a stack of its own (a fiber), many of them on one thread.
//!
//! Queries are synchronous, and an operation waits for its server most of the time. A thread for each
//! costs a list over 16 cells some 70 switches between threads; here as many threads as the machine
//! has processors drive them all. The one rule: whatever waits inside an operation does so by
//! [`wait`], which gives the thread to another operation, and whatever an operation finds on its
//! thread goes with it, by [`Own`].

#![expect(
    unsafe_code,
    reason = "a suspended stack has to be found again by the code that runs on it"
)]

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};
use tracing::{Instrument as _, Span};

use crate::error::Place;
use crate::fault::Faults;
use crate::gate::Entered;
use crate::{error, fault, gate};

/// How much of the address space a stack takes; what was never used of it takes no memory. A thread of
/// the standard library has as much.
const STACK_SIZE: usize = 2 * 1024 * 1024;

/// How many stacks a thread keeps for later.
const STACKS_KEPT: usize = 32;

/// After how long an operation that goes over many rows lets others have the thread.
const SLICE: Duration = Duration::from_micros(500);

static THREADS: LazyLock<Threads> = LazyLock::new(|| {
    let count = thread::available_parallelism().map_or(1, usize::from);
    Threads {
        started: (0..count).map(|_| OnceLock::new()).collect(),
        starting: Mutex::new(()),
        next: AtomicUsize::new(0),
    }
});

thread_local! {
    /// What the fiber that runs on this thread goes back by.
    static YIELDER: Cell<Option<NonNull<Yielder<(), ()>>>> = const { Cell::new(None) };
    /// What wakes it.
    static WAKER: RefCell<Option<Waker>> = const { RefCell::new(None) };
    /// Since when it runs.
    static RUNS_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
    static HOME: Cell<Option<Home>> = const { Cell::new(None) };
}

/// The thread on which a connection lives. It may be used on another one, which costs more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home(usize);

/// What is to be run; it never unwinds.
type Job = Box<dyn FnOnce() + Send>;

struct Threads {
    started: Vec<OnceLock<UnboundedSender<(Job, Span)>>>,
    starting: Mutex<()>,
    next: AtomicUsize,
}

/// Runs what never unwinds on the thread of a connection, or on the next one in turn.
///
/// # Errors
/// No thread could be started.
pub(crate) fn submit(
    home: Option<Home>,
    span: Span,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let thread = THREADS.started(home)?;
    thread.send((Box::new(work), span)).map_err(|_| io::Error::other("the thread has ended"))
}

/// The thread that this is.
pub(crate) fn home() -> Option<Home> {
    HOME.get()
}

/// Waits for a future inside an operation of [`Database::run`](crate::Database::run), other than for
/// the database.
///
/// Operations on servers share a few threads, so one that sleeps or waits for a channel in another
/// way holds up others. On a server `future` is polled inside a runtime with a clock and network; on
/// SQLite inside that of the operation's caller.
///
/// # Panics
/// On SQLite and outside an operation: as [`tokio::runtime::Handle::block_on`].
pub fn wait<F: Future>(future: F) -> F::Output {
    let Some(yielder) = YIELDER.get() else { return Handle::current().block_on(future) };
    let mut future = pin!(future);
    loop {
        let waker = WAKER.with_borrow(Clone::clone);
        let mut context = Context::from_waker(waker.as_ref().unwrap_or(Waker::noop()));
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        // SAFETY: it is there as long as the fiber runs whose it is, and the cell has it only while
        // that fiber has the thread.
        unsafe { yielder.as_ref() }.suspend(());
    }
}

/// Waits for so long inside an operation.
pub(crate) fn pause(length: Duration) {
    match YIELDER.get() {
        // The timer has to be made inside the runtime that drives it.
        Some(_) => wait(async { tokio::time::sleep(length).await }),
        None => thread::sleep(length),
    }
}

/// Lets others have the thread, where the fiber has had it for long.
pub(crate) fn breathe() {
    if RUNS_SINCE.get().is_some_and(|since| since.elapsed() > SLICE) {
        wait(tokio::task::yield_now());
    }
}

impl Threads {
    fn started(&self, home: Option<Home>) -> io::Result<&UnboundedSender<(Job, Span)>> {
        let count = self.started.len();
        let home = home.unwrap_or_else(|| Home(self.next.fetch_add(1, Ordering::Relaxed) % count));
        let slot = &self.started[home.0];
        if let Some(thread) = slot.get() {
            return Ok(thread);
        }
        let _starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.get() {
            Some(thread) => Ok(thread),
            None => {
                let thread = start(home)?;
                Ok(slot.get_or_init(|| thread))
            }
        }
    }
}

fn start(home: Home) -> io::Result<UnboundedSender<(Job, Span)>> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let (jobs, come) = unbounded_channel();
    thread::Builder::new().name("cellzero-servers".to_owned()).spawn(move || {
        HOME.set(Some(home));
        LocalSet::new().block_on(&runtime, drive(come));
    })?;
    Ok(jobs)
}

/// Starts each operation that comes.
async fn drive(mut jobs: UnboundedReceiver<(Job, Span)>) {
    while let Some((job, span)) = jobs.recv().await {
        match STACKS.with_borrow_mut(Vec::pop).map_or_else(|| DefaultStack::new(STACK_SIZE), Ok) {
            // Nobody waits for it here.
            Ok(stack) => drop(spawn_local(Fiber::new(stack, job).instrument(span))),
            // Whoever waits for it learns that it never began.
            Err(error) => tracing::warn!(%error, "no memory is left for an operation on a server"),
        }
    }
}

/// One operation on a stack of its own.
struct Fiber {
    coroutine: Option<Coroutine<(), (), ()>>,
    own: Own,
}

impl Fiber {
    fn new(stack: DefaultStack, job: Job) -> Fiber {
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            YIELDER.set(Some(NonNull::from(yielder)));
            job();
            YIELDER.set(None);
        });
        Fiber { coroutine: Some(coroutine), own: Own::default() }
    }
}

impl Future for Fiber {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Fiber { coroutine, own } = &mut *self;
        let Some(mut running) = coroutine.take() else { return Poll::Ready(()) };
        WAKER.set(Some(context.waker().clone()));
        RUNS_SINCE.set(Some(Instant::now()));
        own.exchange();
        let outcome = running.resume(());
        own.exchange();
        RUNS_SINCE.set(None);
        WAKER.set(None);
        match outcome {
            CoroutineResult::Yield(()) => {
                *coroutine = Some(running);
                Poll::Pending
            }
            CoroutineResult::Return(()) => {
                keep(running.into_stack());
                Poll::Ready(())
            }
        }
    }
}

fn keep(stack: DefaultStack) {
    STACKS.with_borrow_mut(|stacks| {
        if stacks.len() < STACKS_KEPT {
            stacks.push(stack);
        }
    });
}

/// What an operation finds on its thread; while it is suspended it is kept here.
#[derive(Default)]
struct Own {
    yielder: Option<NonNull<Yielder<(), ()>>>,
    place: Option<Place>,
    faults: Faults,
    gate: Option<Entered>,
}

impl Own {
    /// Exchanges what is kept here for what is on the thread.
    fn exchange(&mut self) {
        self.yielder = YIELDER.replace(self.yielder);
        error::exchange_place(&mut self.place);
        fault::exchange(&mut self.faults);
        gate::exchange(&mut self.gate);
    }
}
