//! An actor: one operation of the library, run as a task that stops before each of its steps.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cellzero_database::{CommitFate, Gate, Passed, Stop, with_gate};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Where a task stops: each is a step of the model. Elsewhere it goes on by itself.
const STOPS: [&str; 18] = [
    "lease",
    "place",
    "create_instances",
    "decide",
    "read_decided",
    "find_intents_to_sweep",
    "sweep",
    "delete_instance",
    "forget_intents",
    "hand_back",
    "read_outbox",
    "confirm_builds",
    "take_operations",
    "settle_operations",
    "leave_out_operations",
    "free_claim",
    "delete",
    "show_instance",
];
/// Those of a list.
const STOPS_OF_LISTS: [&str; 4] =
    ["list_build_requests", "list_instances", "confirm_mappings", "read_listed"];
/// The stop of a proposal of the scheduler.
pub(crate) const PROPOSE: &str = "propose";
/// The stop of an effect on its way to the receiver.
pub(crate) const DELIVER: &str = "deliver";
/// The stop of a delete between its read and its transaction.
pub(crate) const DELETE_DECIDES: &str = "delete, its transaction";
/// How long a task may take to its next stop, before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often everything else is given its turn before a task is thought to stand still.
const TURNS: u32 = 24;

tokio::task_local! {
    static STOPS_OF_TASK: Arc<Stops>;
}

/// Stops the task that calls it, if it is an actor's, like a step of the library.
pub(crate) async fn stop_here(name: &'static str) {
    if let Ok(stops) = STOPS_OF_TASK.try_with(Arc::clone) {
        stops.wait(name, None).await;
    }
}

struct Waiting {
    name: &'static str,
    database: Option<Arc<str>>,
    go: oneshot::Sender<CommitFate>,
}

/// The gate of one actor.
#[derive(Default)]
struct Stops {
    waiting: Mutex<Vec<Waiting>>,
    /// How many operations run.
    running: Arc<AtomicUsize>,
}

/// Counts an operation as long as it lives.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(running: &Arc<AtomicUsize>) -> Running {
        running.fetch_add(1, Ordering::SeqCst);
        Running(Arc::clone(running))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Stops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Stops {
    async fn wait(&self, name: &'static str, database: Option<Arc<str>>) -> CommitFate {
        let (go, told) = oneshot::channel();
        self.waiting.lock().unwrap().push(Waiting { name, database, go });
        // Nobody tells it any more: its actor is gone, and so is what it would have done.
        told.await.unwrap_or(CommitFate::Lost)
    }

    fn names(&self) -> Vec<&'static str> {
        self.waiting.lock().unwrap().iter().map(|waiting| waiting.name).collect()
    }

    /// Whether no operation runs but one that waits for its transaction.
    fn stands_still(&self) -> bool {
        let inside = self.names().iter().filter(|name| **name == DELETE_DECIDES).count();
        self.running.load(Ordering::SeqCst) == inside
    }
}

impl Gate for Stops {
    fn pass(&self, stop: Stop) -> Pin<Box<dyn Future<Output = Passed> + Send + '_>> {
        Box::pin(async move {
            let (name, database) = match stop {
                Stop::Operation { name, database } => (name, database),
                Stop::Transaction { name } => {
                    let stops = name == "delete";
                    let fate = if stops {
                        self.wait(DELETE_DECIDES, None).await
                    } else {
                        CommitFate::Real
                    };
                    return Passed { fate, guard: Arc::new(()) };
                }
            };
            let stops = STOPS.contains(&name) || STOPS_OF_LISTS.contains(&name);
            let fate = if stops { self.wait(name, Some(database)).await } else { CommitFate::Real };
            Passed { fate, guard: Arc::new(Running::new(&self.running)) }
        })
    }
}

/// A task that stops.
#[derive(Debug)]
pub(crate) struct Actor<T> {
    stops: Arc<Stops>,
    task: JoinHandle<T>,
}

impl<T: Send + 'static> Actor<T> {
    /// Starts it, and waits until it stops for the first time.
    pub(crate) async fn start(work: impl Future<Output = T> + Send + 'static) -> Actor<T> {
        let stops: Arc<Stops> = Arc::default();
        let gated = with_gate(
            Arc::clone(&stops) as Arc<dyn Gate>,
            STOPS_OF_TASK.scope(Arc::clone(&stops), work),
        );
        let actor = Actor { stops, task: tokio::spawn(gated) };
        actor.stand_still().await;
        actor
    }

    /// Waits until it stops, or has ended.
    async fn stand_still(&self) {
        let begun = Instant::now();
        let mut still = 0;
        while still < TURNS {
            tokio::task::yield_now().await;
            if self.stops.stands_still() {
                still += 1;
            } else {
                still = 0;
                std::thread::sleep(Duration::from_micros(20));
            }
            assert!(begun.elapsed() < PATIENCE, "a task does not come to its next step");
        }
    }

    /// Whether it stops at this step, in this database where that is asked for.
    pub(crate) fn stops_at(&self, name: &str, database: Option<&str>) -> bool {
        self.position(name, database).is_some()
    }

    fn position(&self, name: &str, database: Option<&str>) -> Option<usize> {
        let waiting = self.stops.waiting.lock().unwrap();
        waiting.iter().position(|waiting| {
            let here = waiting.database.as_deref();
            waiting.name == name && database.is_none_or(|database| here == Some(database))
        })
    }

    /// Lets it take one step, which must be this one.
    pub(crate) async fn go(&self, name: &str, database: Option<&str>, fate: CommitFate) {
        let Some(position) = self.position(name, database) else {
            let ended = self.has_ended();
            panic!("it should be at `{name}`, and is at {:?}, ended: {ended}", self.stops);
        };
        let waiting = self.stops.waiting.lock().unwrap().remove(position);
        waiting.go.send(fate).expect("it waits");
        self.stand_still().await;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Its result, once it has ended.
    pub(crate) async fn result(mut self) -> T {
        assert!(self.has_ended(), "it should have ended, and is at {:?}", self.stops);
        (&mut self.task).await.expect("it does not panic")
    }

    /// A crash: it forgets all that it holds. What it had not committed is not committed.
    pub(crate) async fn crash(mut self) {
        self.task.abort();
        self.stops.waiting.lock().unwrap().clear();
        let begun = Instant::now();
        while self.stops.running.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
            std::thread::sleep(Duration::from_micros(20));
            assert!(begun.elapsed() < PATIENCE, "a crashed task does not end");
        }
        match (&mut self.task).await {
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => {}
        }
    }
}

impl<T> Drop for Actor<T> {
    /// No thread waits for a test that has ended.
    fn drop(&mut self) {
        self.task.abort();
        self.stops.waiting.lock().unwrap().clear();
    }
}
