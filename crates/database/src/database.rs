//! One database: a pool of connections, and the door to them.
//!
//! [`Database::run`] is the only way to a connection. It gives the closure a place where it may wait
//! and the caller an answer by the deadline, whatever the database does. The one rule: a connection
//! goes back to the pool only when nothing casts doubt on it.

use crate::backend::Backend;
use crate::budget::{ConnectionBudget, IdlePool};
use crate::connect::connect;
use crate::connection::Connection;
use crate::database_url::DatabaseUrl;
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind, Place, PlaceGuard};
use crate::fault::{self, FaultPlace};
use crate::fibers;
use crate::gate;
use crate::observed::Observed;
use crate::progress::Progress;
use crate::runners;
use crate::tally::{Counters, Tally, count};
use diesel_migrations::EmbeddedMigrations;
use futures_util::future::join_all;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout_at;
use tracing::Instrument as _;

/// How long after its deadline a caller may still wait, so that an operation that ends at the
/// deadline can say so itself.
const ANSWER_GRACE: Duration = Duration::from_millis(40);

/// How many connections a process has open by default: enough for a list over a hundred cells, and
/// 600 file descriptors at most, if all are to SQLite files.
const CONNECTIONS_TOTAL: u32 = 200;

/// How long a probe of a doubtful or long idle connection may take.
const PROBE_MAX: Duration = Duration::from_secs(1);

/// A schema that databases can have, as a type, so that a query for one does not compile on a
/// connection to another.
pub trait SchemaKind: Send + Sync + 'static {
    /// Its name in the database, at most 16 characters: `api` or `cell`.
    const NAME: &'static str;
    /// The version of the schema that this binary's migrations make, which is also the version
    /// of this binary where schemas and binaries are compared.
    const SCHEMA_VERSION: i64;
    /// The oldest binary that can use a database of [`Self::SCHEMA_VERSION`].
    const OLDEST_VERSION: i64;

    /// The migrations that make it on this backend.
    fn migrations(backend: Backend) -> EmbeddedMigrations;
}

/// How sure a commit is to survive. It sets what this crate decides; a server has settings of
/// its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// What was committed survives a power cut (SQLite: `synchronous=FULL`).
    #[default]
    Full,
    /// What was committed survives a crash of the process, and a power cut may take the last
    /// commits, without damage to the rest (SQLite: `synchronous=NORMAL`).
    Normal,
}

/// How a [`Database`] is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many connections may be open at once; at least 1 is taken.
    pub connections_max: u32,
    /// Refuse writes, with [`ErrorKind::ReadOnly`], and leave a SQLite file as it is.
    pub read_only: bool,
    /// How sure a commit is to survive.
    pub durability: Durability,
    /// Create a SQLite file that does not exist, and the last directory of its path.
    pub create: bool,
    /// The longest wait for one connection to open, also when the deadline is later.
    pub connect_timeout_max: Duration,
    /// The longest time that a server works on one statement. It is for what a client gave up;
    /// a deadline beyond it is of no use.
    pub statement_timeout_max: Duration,
    /// A connection that was idle for longer is asked for a sign of life before it is used.
    pub idle_probe_after: Duration,
    /// How many connections are kept open while nobody uses them.
    pub idle_max: u32,
    /// A connection that was idle for longer is closed, at the next use of any database that shares
    /// the total.
    pub idle_close_after: Duration,
    /// How many connections may be open at once in all, to this database and to every other one
    /// whose options share it, as a clone of these options does.
    pub connections_total: ConnectionBudget,
    /// What the database is called in metrics and spans; the kind of its schema where it is none.
    pub called: Option<Arc<str>>,
    /// Where a test makes its connections fail.
    #[cfg(feature = "failpoints")]
    pub faults: crate::Faults,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connections_max: 8,
            read_only: false,
            durability: Durability::Full,
            create: true,
            connect_timeout_max: Duration::from_secs(10),
            statement_timeout_max: Duration::from_secs(60),
            idle_probe_after: Duration::from_secs(30),
            idle_max: 8,
            idle_close_after: Duration::from_secs(300),
            connections_total: ConnectionBudget::new(CONNECTIONS_TOTAL),
            called: None,
            #[cfg(feature = "failpoints")]
            faults: crate::Faults::default(),
        }
    }
}

/// A database of schema `K`. A clone is another handle to the same pool.
///
/// A server that does not answer costs an operation its deadline; its connection is then closed
/// and its stack is free. After a restart of the server, or when it ended idle connections, the
/// first operation fails with [`ErrorKind::ConnectionLost`], and with it each that runs at that
/// moment; the other idle connections are then closed too, and the next operation works. Where
/// the connection was idle for longer than [`Options::idle_probe_after`] it is asked before use,
/// and no operation fails. None of it needs another handle.
///
/// [`Database::close`] says goodbye to the server and waits until that is sent. Dropping the last
/// handle does not wait, and a server that is not told in time may count aborted clients.
pub struct Database<K> {
    pool: Arc<Pool<K>>,
}

/// What a panic carries.
type Panic = Box<dyn Any + Send>;

struct Pool<K> {
    url: DatabaseUrl,
    /// The URL with its password masked, as errors name it.
    label: Arc<str>,
    options: Options,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle<K>>>,
    closed: AtomicBool,
    /// Operations whose callers have gone, and which may still end.
    late: Mutex<Vec<oneshot::Receiver<Panic>>>,
    tally: Arc<Tally>,
}

struct Idle<K> {
    connection: Connection<K>,
    since: Instant,
}

impl<K> Clone for Database<K> {
    fn clone(&self) -> Database<K> {
        Database { pool: Arc::clone(&self.pool) }
    }
}

impl<K> std::fmt::Debug for Database<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("url", &self.pool.url).finish_non_exhaustive()
    }
}

impl<K: SchemaKind> Database<K> {
    /// A handle to the database at `url`. Nothing is opened before the first operation.
    pub fn new(url: DatabaseUrl, options: Options) -> Database<K> {
        let permits = connections_max(&options) as usize;
        let pool = Arc::new(Pool {
            label: Arc::from(url.to_string()),
            url,
            options,
            permits: Arc::new(Semaphore::new(permits)),
            idle: Mutex::new(Vec::new()),
            closed: AtomicBool::new(false),
            late: Mutex::default(),
            tally: Arc::default(),
        });
        let weak: Weak<Pool<K>> = Arc::downgrade(&pool);
        pool.options.connections_total.register(weak);
        Database { pool }
    }

    /// Where it is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.pool.url
    }

    /// How it is used.
    pub(crate) fn options(&self) -> &Options {
        &self.pool.options
    }

    /// The kind of database.
    pub fn backend(&self) -> Backend {
        self.pool.url.backend()
    }

    /// What was asked of it so far.
    pub fn counters(&self) -> Counters {
        self.pool.tally.snapshot()
    }

    /// Runs one operation on a connection and returns by the deadline, 50 ms later at most.
    ///
    /// The closure runs on one of a few threads of the process, outside of every runtime, so it may
    /// outlive the caller's, as [`close`](Self::close) does not. On SQLite it may block. On a server it
    /// shares its thread with other operations: it waits for the database by its connection and for
    /// all else by [`wait`](crate::wait), and whatever else takes it long holds them up. When the
    /// returned future is dropped while all connections are in use, nothing happens; afterwards the
    /// operation runs to its end, which its deadline bounds. `name` names it in errors.
    ///
    /// A statement outside a transaction that is late may go on for a second after the answer, so
    /// that the connection is kept; as many in the process as half of
    /// [`Options::connections_total`]. No statement begins after the deadline.
    ///
    /// # Errors
    /// Those of `work`, and before it begins: [`ErrorKind::PoolExhausted`],
    /// [`ErrorKind::Closed`], or why no connection could be made.
    /// [`ErrorKind::DeadlineExceeded`] when `work` did not end in time, and
    /// [`ErrorKind::CommitUnknown`] in place of it when a transaction of it had begun to commit.
    /// A SQLite statement cannot be interrupted, so there `work` may go on for a while; it
    /// commits no further transaction.
    ///
    /// # Panics
    /// When `work` panics. Its transaction is rolled back.
    pub async fn run<T, E>(
        &self,
        name: &'static str,
        deadline: Deadline,
        work: impl FnOnce(&mut Connection<K>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        let observed = Observed::begin(name, self.called());
        let result = self.run_unobserved(name, deadline, work).instrument(observed.span()).await;
        observed.end(result.is_ok());
        result
    }

    /// What it is called in metrics and spans.
    fn called(&self) -> Arc<str> {
        self.pool.options.called.clone().unwrap_or_else(|| Arc::from(K::NAME))
    }

    async fn run_unobserved<T, E>(
        &self,
        name: &'static str,
        deadline: Deadline,
        work: impl FnOnce(&mut Connection<K>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DatabaseError> + Send + 'static,
    {
        let entered = gate::operation(name, &self.pool.label).await;
        let place = Place { database: Arc::clone(&self.pool.label), operation: name, deadline };
        let permit = self.pool.permit(&place).await?;
        let (answer, answered) = oneshot::channel();
        let (panicked, ended) = oneshot::channel::<Panic>();
        let progress = Arc::new(Progress::default());
        let first = self.pool.reserve();
        let home = first.as_ref().and_then(|idle| idle.connection.home());
        let job = {
            let (pool, place, progress) =
                (Arc::clone(&self.pool), place.clone(), Arc::clone(&progress));
            let entered = entered.clone();
            move || {
                let _inside = gate::Inside::enter(entered);
                let operate = || pool.operate(permit, place, first, progress, work, answer);
                if let Err(panic) = catch_unwind(AssertUnwindSafe(operate)) {
                    // Nobody may be waiting any more, and then it has been printed all the same.
                    let _ = panicked.send(panic);
                }
            }
        };
        match self.backend() {
            Backend::Sqlite => {
                let span = tracing::Span::current();
                runners::submit(move || span.in_scope(job));
            }
            Backend::Postgres | Backend::Mysql => {
                let span = tracing::Span::current();
                fibers::submit(home, span, job).map_err(|error| {
                    DatabaseError::because(ErrorKind::Unreachable, error)
                        .with_message(
                            "no thread or no file descriptors are left for operations on servers",
                        )
                        .at(&place)
                })?;
            }
        }
        let mut answered = pin!(answered);
        let mut outcome = timeout_at(deadline.instant().into(), answered.as_mut()).await;
        if outcome.is_err() && !progress.asks() {
            let patience = deadline.instant() + ANSWER_GRACE;
            outcome = timeout_at(patience.into(), answered).await;
        }
        match outcome {
            Ok(Ok(result)) => result,
            Ok(Err(_dropped)) => match ended.await {
                Ok(panic) => resume_unwind(panic),
                Err(_ended) => {
                    let message = "the runtime was shut down, or had no memory left, before the operation began";
                    Err(DatabaseError::new(ErrorKind::Closed, message).at(&place).into())
                }
            },
            Err(_elapsed) => {
                self.pool.leave_behind(ended);
                Err(progress.late().at(&place).into())
            }
        }
    }

    /// Asks the database for a sign of life. What is late there ends first, where it does by half of
    /// the time: the end of it says more than another connection would, and costs less.
    ///
    /// # Errors
    /// As [`Database::run`].
    pub async fn probe(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        let late = std::mem::take(&mut *self.pool.lock_late());
        let half = Instant::now() + deadline.remaining() / 2;
        // What of them ended badly shows in the next question.
        let _ = timeout_at(half.into(), join_all(late)).await;
        self.run("probe", deadline, |conn| conn.ping()).await
    }

    /// Waits for the operations that run, refuses new ones, and closes the connections with the
    /// protocol's goodbye. A second call does nothing.
    pub async fn close(&self) {
        self.pool.closed.store(true, Ordering::SeqCst);
        let all = connections_max(&self.pool.options);
        // All permits together mean that no operation runs. It fails only for a closed
        // semaphore, and then another call has closed it.
        let Ok(permits) = Arc::clone(&self.pool.permits).acquire_many_owned(all).await else {
            return;
        };
        self.pool.permits.close();
        let pool = Arc::clone(&self.pool);
        let closing = tokio::task::spawn_blocking(move || {
            close_all(pool.take_all_idle());
            drop(permits);
        });
        if let Err(error) = closing.await {
            tracing::warn!(%error, "closing the connections of a database failed");
        }
    }
}

/// How many permits there are. The limit keeps within what a semaphore counts.
fn connections_max(options: &Options) -> u32 {
    options.connections_max.clamp(1, 10_000)
}

fn close_all<K>(connections: Vec<Connection<K>>) {
    connections.into_iter().for_each(Connection::close);
}

impl<K: SchemaKind> Pool<K> {
    /// Waits for the right to use a connection.
    async fn permit(&self, place: &Place) -> Result<OwnedSemaphorePermit, DatabaseError> {
        let closed = || DatabaseError::new(ErrorKind::Closed, "the database was closed").at(place);
        if self.closed.load(Ordering::SeqCst) {
            return Err(closed());
        }
        let waiting = Arc::clone(&self.permits).acquire_owned();
        match timeout_at(place.deadline.instant().into(), waiting).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(closed()),
            Err(_elapsed) => {
                let message = format!(
                    "all {} connections (connections_max) stayed in use until the deadline",
                    connections_max(&self.options)
                );
                Err(DatabaseError::new(ErrorKind::PoolExhausted, message).at(place))
            }
        }
    }

    /// Keeps an operation that nobody waits for any more, for a probe to wait for.
    fn leave_behind(&self, operation: oneshot::Receiver<Panic>) {
        let mut late = self.lock_late();
        late.retain_mut(|operation| matches!(operation.try_recv(), Err(TryRecvError::Empty)));
        late.push(operation);
    }

    /// The whole operation, where it may wait.
    fn operate<T, E: From<DatabaseError>>(
        &self,
        permit: OwnedSemaphorePermit,
        place: Place,
        first: Option<Idle<K>>,
        progress: Arc<Progress>,
        work: impl FnOnce(&mut Connection<K>) -> Result<T, E>,
        answer: oneshot::Sender<Result<T, E>>,
    ) {
        let deadline = place.deadline;
        let _place = PlaceGuard::enter(place);
        let _faults = fault::enter(&self.options);
        let mut connection = match self.check_out(deadline, first, &progress) {
            Ok(connection) => connection,
            Err(error) => {
                drop(permit);
                // Nobody may be waiting any more, and then nobody needs the answer.
                let _ = answer.send(Err(error.into()));
                return;
            }
        };
        progress.note_asks(self.url.backend() != Backend::Sqlite);
        let result = work(&mut connection);
        if connection.is_broken() || connection.depth > 0 {
            // Out of the pool before the caller goes on, so that it finds none of them again.
            let useless = self.condemn(connection);
            // Then the answer: closing connections is not the caller's time.
            let _ = answer.send(result);
            close_all(useless);
        } else if connection.is_retired() {
            let _ = answer.send(result);
            connection.close();
        } else if connection.is_suspect() {
            let _ = answer.send(result);
            match connection.probe(Deadline::after(PROBE_MAX)) {
                Ok(()) => self.check_in(connection),
                Err(_) => close_all(self.condemn(connection)),
            }
        } else {
            // Back in the pool before the caller goes on, so that it finds this one again.
            self.check_in(connection);
            drop(permit);
            let _ = answer.send(result);
        }
        self.options.connections_total.put_back();
        self.options.connections_total.sweep();
    }

    /// A connection that is fit for use: the one that was used last, or a new one.
    fn check_out(
        &self,
        deadline: Deadline,
        first: Option<Idle<K>>,
        progress: &Arc<Progress>,
    ) -> Result<Connection<K>, DatabaseError> {
        if deadline.has_passed() {
            // It was not used, so nothing casts doubt on it.
            self.lock_idle().extend(first);
            let message = "the deadline passed before the operation began";
            return Err(DatabaseError::new(ErrorKind::DeadlineExceeded, message));
        }
        fault::point(FaultPlace::Uncounted)?;
        let mut connection = match self.take_idle(deadline, first) {
            Some(connection) => connection,
            None => {
                let part = self.options.connections_total.take(deadline)?;
                let mut new = connect(&self.url, &self.options, deadline, &self.tally)?;
                new.hold(part, &self.options.connections_total);
                new
            }
        };
        connection.begin_operation(deadline, Arc::clone(progress))?;
        Ok(connection)
    }

    fn take_idle(&self, deadline: Deadline, mut first: Option<Idle<K>>) -> Option<Connection<K>> {
        loop {
            let Idle { mut connection, since } = first.take().or_else(|| self.lock_idle().pop())?;
            if !connection.needs_probe(since.elapsed(), self.options.idle_probe_after) {
                return Some(connection);
            }
            match connection.probe(deadline.earlier(Deadline::after(PROBE_MAX))) {
                Ok(()) => return Some(connection),
                Err(error) => {
                    tracing::debug!(%error, "an idle connection did not answer");
                    close_all(self.condemn(connection));
                }
            }
        }
    }

    fn check_in(&self, connection: Connection<K>) {
        let surplus = {
            let mut idle = self.lock_idle();
            if idle.len() < self.options.idle_max as usize {
                idle.push(Idle { connection, since: Instant::now() });
                None
            } else {
                Some(connection)
            }
        };
        if let Some(connection) = surplus {
            connection.close();
        }
    }

    /// Gives up a connection that broke; all that are returned have to be closed. When the server
    /// ended it (a restart, a fail-over), the idle ones are among them, since they have likely
    /// gone the same way.
    fn condemn(&self, connection: Connection<K>) -> Vec<Connection<K>> {
        count(&self.tally.connections_broken);
        let mut useless = if connection.is_lost() { self.take_all_idle() } else { Vec::new() };
        useless.push(connection);
        useless
    }

    fn take_all_idle(&self) -> Vec<Connection<K>> {
        self.lock_idle().drain(..).map(|idle| idle.connection).collect()
    }

    /// A connection to a server for an operation that is to run on its thread: no other one that
    /// comes meanwhile goes there for it.
    fn reserve(&self) -> Option<Idle<K>> {
        match self.url.backend() {
            Backend::Sqlite => None,
            Backend::Postgres | Backend::Mysql => self.lock_idle().pop(),
        }
    }

    fn lock_late(&self) -> std::sync::MutexGuard<'_, Vec<oneshot::Receiver<Panic>>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle<K>>> {
        // A panic cannot leave the list half changed.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: SchemaKind> IdlePool for Pool<K> {
    fn idle_since(&self) -> Option<Instant> {
        // The one that was used last stands last.
        self.lock_idle().first().map(|idle| idle.since)
    }

    fn close_idle(&self, time: Instant, most: usize) -> usize {
        let old: Vec<Connection<K>> = {
            let mut idle = self.lock_idle();
            let count = idle.iter().take(most).take_while(|idle| idle.since <= time).count();
            idle.drain(..count).map(|idle| idle.connection).collect()
        };
        let count = old.len();
        close_all(old);
        count
    }

    fn close_expired(&self) {
        if let Some(time) = Instant::now().checked_sub(self.options.idle_close_after) {
            self.close_idle(time, usize::MAX);
        }
    }
}
