//! One open connection, typed by the schema of its database.
//!
//! It knows the deadline of the operation that uses it, the server's clock and whether a
//! transaction is open. It opens nothing (see [`connect`](crate::connect)) and repeats nothing
//! (see [`transaction`](crate::transaction)).

use crate::any::AnyConnection;
use crate::backend::Backend;
use crate::budget::ConnectionBudget;
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind};
use crate::fibers::Home;
use crate::progress::Progress;
use crate::session::Session;
use crate::tally::Tally;
use chrono::{NaiveDateTime, SubsecRound, Utc};
use diesel::connection::SimpleConnection;
use diesel::{QueryResult, QueryableByName, RunQueryDsl};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// How old a sample of a server's clock may get before the connection asks again, so that two
/// clocks that run at different speeds stay within about a millisecond of one another.
pub(crate) const CLOCK_SAMPLE_AGE_MAX: Duration = Duration::from_secs(60);

/// How many kilobytes of pages a SQLite connection keeps: SQLite's own default.
const PAGES_KB: u32 = 2_000;

/// How many it keeps while it holds little.
const PAGES_KB_LITTLE: u32 = 500;

/// An open connection to a database of schema `K`. It comes out of
/// [`Database::run`](crate::Database::run) and lives as long as that operation.
pub struct Connection<K> {
    sql: Session,
    /// The time that SQLite waits for locks, in milliseconds, as it was told last.
    busy_timeout: Option<u64>,
    /// See [`hold_little`](Connection::hold_little).
    holds_little: bool,
    backend: Backend,
    read_only: bool,
    clock: Clock,
    deadline: Deadline,
    /// Open transaction and savepoints: 0 outside, 1 in a transaction, more in savepoints.
    pub(crate) depth: u32,
    /// The connection's state is unknown and it may not be pooled. Networks have their own.
    given_up: bool,
    /// Its session was changed for one operation, so it is closed after that.
    retired: bool,
    /// What the caller of the operation can see of it.
    progress: Arc<Progress>,
    watch: Arc<SqliteWatch>,
    pub(crate) tally: Arc<Tally>,
    /// Its part of the total of the process, given back when it is gone.
    held: Option<OwnedSemaphorePermit>,
    schema: PhantomData<fn() -> K>,
}

/// What a freshly opened connection consists of.
pub(crate) struct Opened {
    pub(crate) any: AnyConnection,
    pub(crate) clock: Clock,
    pub(crate) watch: Arc<SqliteWatch>,
}

/// What is shared with the observer of a SQLite connection's statements.
#[derive(Debug, Default)]
pub(crate) struct SqliteWatch {
    /// Set while a statement runs that is not counted.
    pub(crate) uncounted: AtomicBool,
    /// A statement has failed since this was last reset.
    pub(crate) failed: AtomicBool,
}

/// A server's clock: one sample of it and how much time went by since.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// The clock of this machine, for SQLite.
    Own,
    /// The server's time at an instant.
    Sampled {
        /// What the server said.
        time: NaiveDateTime,
        /// The middle between the question and the answer.
        at: Instant,
    },
}

impl Clock {
    /// A sample from the server's answer to a question that was asked at `asked`.
    pub(crate) fn sample(time: NaiveDateTime, asked: Instant) -> Clock {
        Clock::Sampled { time, at: asked + asked.elapsed() / 2 }
    }

    fn now(self) -> NaiveDateTime {
        let now = match self {
            Clock::Own => Utc::now().naive_utc(),
            Clock::Sampled { time, at } => time + at.elapsed(),
        };
        now.trunc_subsecs(6)
    }

    fn is_stale(self) -> bool {
        matches!(self, Clock::Sampled { at, .. } if at.elapsed() > CLOCK_SAMPLE_AGE_MAX)
    }
}

/// The row of a probe.
#[derive(QueryableByName)]
struct ClockRow {
    #[diesel(sql_type = diesel::sql_types::Timestamp)]
    now: NaiveDateTime,
}

impl<K> Connection<K> {
    pub(crate) fn new(
        opened: Opened,
        backend: Backend,
        read_only: bool,
        tally: Arc<Tally>,
    ) -> Connection<K> {
        Connection {
            sql: Session::new(opened.any),
            busy_timeout: None,
            holds_little: false,
            backend,
            read_only,
            clock: opened.clock,
            deadline: Deadline::after(Duration::ZERO),
            depth: 0,
            given_up: false,
            retired: false,
            progress: Arc::default(),
            watch: opened.watch,
            tally,
            held: None,
            schema: PhantomData,
        }
    }

    /// Keeps its part of the total of the process, and asks that total where a statement is late.
    pub(crate) fn hold(&mut self, permit: OwnedSemaphorePermit, budget: &ConnectionBudget) {
        self.held = Some(permit);
        match &mut self.sql.any {
            AnyConnection::Sqlite(_) => {}
            AnyConnection::Postgres(net) => net.set_budget(budget.clone()),
            AnyConnection::Mysql(net) => net.set_budget(budget.clone()),
        }
    }

    /// The connection that Diesel's queries run on.
    ///
    /// A write belongs in a [`transaction`](crate::transaction): outside of one it commits by
    /// itself, and a deadline that passes meanwhile leaves open whether it did.
    pub fn sql(&mut self) -> &mut Session {
        &mut self.sql
    }

    /// The kind of database behind it.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether writes are refused with [`ErrorKind::ReadOnly`].
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// When the operation that uses this connection has to end.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// The time in UTC by the *server's* clock, cut to microseconds, as all backends store it.
    ///
    /// It costs no round trip: the server was asked when the connection was opened, and is asked
    /// again by the first operation a minute later; between, this machine's steady clock counts.
    /// The error is at most half a round trip. With SQLite it is this machine's clock.
    pub fn now(&self) -> NaiveDateTime {
        self.clock.now()
    }

    /// Prepares it for an operation.
    pub(crate) fn begin_operation(
        &mut self,
        deadline: Deadline,
        progress: Arc<Progress>,
    ) -> QueryResult<()> {
        self.deadline = deadline;
        self.progress = progress;
        self.set_holds_little(false)?;
        self.apply_deadline()
    }

    /// Holds little memory until the operation ends, for work that goes over very many rows once. On
    /// SQLite, whose pages are in this process, 500 kB of them are kept in place of 2 MB, and no more
    /// statements prepared: the lists of such work have another length each time, and a statement
    /// holds some ten kilobytes. For a server it changes nothing.
    ///
    /// # Errors
    /// The database's.
    pub fn hold_little(&mut self) -> Result<(), DatabaseError> {
        Ok(self.set_holds_little(true)?)
    }

    fn set_holds_little(&mut self, holds_little: bool) -> QueryResult<()> {
        let AnyConnection::Sqlite(sqlite) = &mut self.sql.any else { return Ok(()) };
        sqlite.set_full(holds_little);
        if self.holds_little != holds_little {
            let pages = if holds_little { PAGES_KB_LITTLE } else { PAGES_KB };
            self.control(&format!("PRAGMA cache_size = -{pages}"))?;
            self.holds_little = holds_little;
        }
        Ok(())
    }

    /// Hands the time that is left to the drivers, and to SQLite as the time to wait for locks.
    pub(crate) fn apply_deadline(&mut self) -> QueryResult<()> {
        let deadline = self.deadline;
        match &mut self.sql.any {
            AnyConnection::Postgres(net) => net.set_deadline(deadline),
            AnyConnection::Mysql(net) => net.set_deadline(deadline),
            AnyConnection::Sqlite(_) => {
                let wait = deadline.remaining_milliseconds();
                if self.busy_timeout != Some(wait) {
                    self.control(&format!("PRAGMA busy_timeout = {wait}"))?;
                    self.busy_timeout = Some(wait);
                }
            }
        }
        Ok(())
    }

    /// Sends a statement that is not counted.
    pub(crate) fn control(&mut self, sql: &str) -> QueryResult<()> {
        match &mut self.sql.any {
            AnyConnection::Sqlite(sqlite) => {
                self.watch.uncounted.store(true, Ordering::Relaxed);
                let result = sqlite.batch_execute(sql);
                self.watch.uncounted.store(false, Ordering::Relaxed);
                result
            }
            AnyConnection::Postgres(net) => net.control(sql),
            AnyConnection::Mysql(net) => net.control(sql),
        }
    }

    /// Remembers for the waiting caller that rows may change from here on.
    pub(crate) fn note_commit(&self, begun: bool) {
        self.progress.note_commit(begun);
    }

    pub(crate) fn commit_was_noted(&self) -> bool {
        self.progress.commit_was_noted()
    }

    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
        match &mut self.sql.any {
            AnyConnection::Sqlite(_) => {}
            AnyConnection::Postgres(net) => net.mark_broken(),
            AnyConnection::Mysql(net) => net.mark_broken(),
        }
    }

    /// Sees to it that nobody uses it after this operation, though nothing is wrong with it.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.given_up
            || match &self.sql.any {
                AnyConnection::Sqlite(_) => false,
                AnyConnection::Postgres(net) => net.is_broken(),
                AnyConnection::Mysql(net) => net.is_broken(),
            }
    }

    /// The thread that a connection to a server lives on.
    pub(crate) fn home(&self) -> Option<Home> {
        match &self.sql.any {
            AnyConnection::Sqlite(_) => None,
            AnyConnection::Postgres(net) => net.home(),
            AnyConnection::Mysql(net) => net.home(),
        }
    }

    /// Whether the server or the network ended the connection.
    pub(crate) fn is_lost(&self) -> bool {
        match &self.sql.any {
            AnyConnection::Sqlite(_) => false,
            AnyConnection::Postgres(net) => net.is_lost(),
            AnyConnection::Mysql(net) => net.is_lost(),
        }
    }

    pub(crate) fn is_suspect(&self) -> bool {
        match &self.sql.any {
            AnyConnection::Sqlite(_) => false,
            AnyConnection::Postgres(net) => net.is_suspect(),
            AnyConnection::Mysql(net) => net.is_suspect(),
        }
    }

    /// Why the open transaction may not be committed: a statement in it failed outside a
    /// savepoint. It is an error on all backends, since it is one on PostgreSQL.
    pub(crate) fn doomed(&self) -> Option<ErrorKind> {
        match &self.sql.any {
            AnyConnection::Sqlite(_) => {
                self.watch.failed.load(Ordering::Relaxed).then_some(ErrorKind::Rejected)
            }
            AnyConnection::Postgres(net) => net.doomed(),
            AnyConnection::Mysql(net) => net.doomed(),
        }
    }

    pub(crate) fn note_transaction(&mut self, step: TransactionStep) {
        self.depth = match step {
            TransactionStep::Began => 1,
            TransactionStep::Ended => 0,
            TransactionStep::SavepointRestored => self.depth,
        };
        self.progress.note_asks(self.depth == 0 && self.backend != Backend::Sqlite);
        match &mut self.sql.any {
            AnyConnection::Sqlite(_) => self.watch.failed.store(false, Ordering::Relaxed),
            AnyConnection::Postgres(net) => step.tell(net),
            AnyConnection::Mysql(net) => step.tell(net),
        }
    }

    /// Whether the server has to be asked before this connection is used again.
    pub(crate) fn needs_probe(&self, idle: Duration, idle_probe_after: Duration) -> bool {
        self.backend != Backend::Sqlite && (idle > idle_probe_after || self.clock.is_stale())
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// Why it gave none.
    pub fn ping(&mut self) -> Result<(), DatabaseError> {
        self.probe(self.deadline)
    }

    /// Asks the server for its time, which shows that the connection lives.
    pub(crate) fn probe(&mut self, deadline: Deadline) -> Result<(), DatabaseError> {
        self.deadline = deadline;
        self.apply_deadline()?;
        let asked = Instant::now();
        let rows: QueryResult<ClockRow> = match &mut self.sql.any {
            AnyConnection::Sqlite(_) => return Ok(()),
            AnyConnection::Postgres(net) => net.uncounted(|net| {
                diesel::sql_query("SELECT clock_timestamp() AT TIME ZONE 'UTC' AS now")
                    .get_result(net)
            }),
            AnyConnection::Mysql(net) => net.uncounted(|net| {
                diesel::sql_query("SELECT UTC_TIMESTAMP(6) AS now").get_result(net)
            }),
        };
        match rows {
            Ok(row) => {
                self.clock = Clock::sample(row.now, asked);
                match &mut self.sql.any {
                    AnyConnection::Sqlite(_) => {}
                    AnyConnection::Postgres(net) => net.clear_suspicion(),
                    AnyConnection::Mysql(net) => net.clear_suspicion(),
                }
                Ok(())
            }
            Err(error) => {
                self.give_up();
                Err(error.into())
            }
        }
    }

    /// Closes it with the protocol's goodbye.
    pub(crate) fn close(self) {
        match self.sql.any {
            AnyConnection::Sqlite(sqlite) => drop(sqlite),
            AnyConnection::Postgres(net) => net.close(),
            AnyConnection::Mysql(net) => net.close(),
        }
    }
}

/// What became of the transaction on a connection.
#[derive(Clone, Copy)]
pub(crate) enum TransactionStep {
    Began,
    Ended,
    SavepointRestored,
}

impl TransactionStep {
    fn tell<C: diesel_async::AsyncConnection>(self, net: &mut crate::net::Net<C>) {
        match self {
            TransactionStep::Began => net.transaction_began(),
            TransactionStep::Ended => net.transaction_ended(),
            TransactionStep::SavepointRestored => net.savepoint_restored(),
        }
    }
}
