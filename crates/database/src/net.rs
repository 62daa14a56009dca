//! Diesel's synchronous connection over a pure-Rust network driver, with a deadline.
//!
//! It lives on the thread that it was opened on (see [`fibers`]). The one rule: whoever cannot be
//! sure that the protocol stands between two messages gives the connection up. It holds no pool and opens nothing; see [`connect`](crate::connect).

use crate::backend::Backend;
use crate::budget::{ConnectionBudget, DRAIN_MAX};
use crate::deadline::Deadline;
use crate::error::{ErrorKind, Failure, classify, is_plainly_the_statements_own};
use crate::fault::{self, FaultPlace};
use crate::fibers::{self, Home};
use crate::kept::{Dialect, KeptTexts};
use crate::script::{is_transaction_control, statements};
use crate::tally::{Tally, count};
use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, ConnectionSealed, Instrumentation,
    LoadConnection, MultiConnectionHelper, SimpleConnection,
};
use diesel::expression::QueryMetadata;
use diesel::mysql::Mysql;
use diesel::pg::{Pg, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::{AsyncConnection, AsyncConnectionCore};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{timeout, timeout_at};

#[cfg(not(feature = "mysql"))]
type MysqlDriver = crate::absent::Absent<Mysql>;
#[cfg(feature = "mysql")]
type MysqlDriver = diesel_async::AsyncMysqlConnection;
#[cfg(not(feature = "postgres"))]
type PgDriver = crate::absent::Absent<Pg>;
#[cfg(feature = "postgres")]
type PgDriver = diesel_async::AsyncPgConnection;

/// A connection to PostgreSQL. Without the feature `postgres` there can be none.
pub type PgNet = Net<PgDriver>;
/// A connection to MariaDB or MySQL. Without the feature `mysql` there can be none.
pub type MysqlNet = Net<MysqlDriver>;

/// How long a closing connection may take to say goodbye.
const GOODBYE_MAX: Duration = Duration::from_millis(100);

/// A connection of driver `C` as Diesel's synchronous [`Connection`].
///
/// It may be used only inside an operation of [`Database::run`](crate::Database::run).
pub struct Net<C: AsyncConnection> {
    /// `None` once the connection was given up.
    driver: Option<Box<C>>,
    /// Ends once the driver has said goodbye, which it does of itself when it is dropped.
    goodbye: Option<BoxFuture<'static, ()>>,
    home: Option<Home>,
    health: Health,
    /// State of Diesel's own transactions; only the migration runner uses those.
    transactions: AnsiTransactionManager,
    texts: KeptTexts,
    /// A script is sent statement by statement: it is a migration.
    in_steps: bool,
    tally: Arc<Tally>,
}

/// What is known of the connection's state. Apart from the driver, so that it can be changed
/// while rows still borrow that.
struct Health {
    backend: Backend,
    deadline: Deadline,
    /// What may let a late statement end.
    budget: Option<ConnectionBudget>,
    /// The protocol's state is unknown; it may never be used again.
    broken: bool,
    /// The server or the network ended it, so the others of the pool may be gone as well.
    lost: bool,
    /// An error came that may be the connection's own; it is probed before it is pooled.
    suspect: bool,
    /// A transaction of [`transaction`](crate::transaction) is open.
    in_transaction: bool,
    /// Why the open transaction cannot be committed any more.
    doomed: Option<ErrorKind>,
    /// What it meets where a test makes connections fail.
    place: FaultPlace,
}

impl<C: AsyncConnection> Net<C> {
    /// Takes over a connection that was made on this thread.
    pub(crate) fn new(
        connection: C,
        goodbye: Option<BoxFuture<'static, ()>>,
        backend: Backend,
        deadline: Deadline,
        tally: Arc<Tally>,
    ) -> Net<C> {
        Net {
            driver: Some(Box::new(connection)),
            goodbye,
            home: fibers::home(),
            health: Health {
                backend,
                deadline,
                budget: None,
                broken: false,
                lost: false,
                suspect: false,
                in_transaction: false,
                doomed: None,
                place: FaultPlace::Statement,
            },
            transactions: AnsiTransactionManager::default(),
            texts: KeptTexts::default(),
            in_steps: false,
            tally,
        }
    }

    pub(crate) fn set_deadline(&mut self, deadline: Deadline) {
        self.health.deadline = deadline;
    }

    /// Sends each statement of a script by itself from now on, or no longer.
    pub(crate) fn set_in_steps(&mut self, in_steps: bool) {
        self.in_steps = in_steps;
    }

    pub(crate) fn set_budget(&mut self, budget: ConnectionBudget) {
        self.health.budget = Some(budget);
    }

    /// The thread that it lives on.
    pub(crate) fn home(&self) -> Option<Home> {
        self.home
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.health.broken
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.health.lost
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.health.suspect
    }

    pub(crate) fn mark_broken(&mut self) {
        self.health.broken = true;
    }

    /// A probe answered, so the error that cast suspicion was a statement's own.
    pub(crate) fn clear_suspicion(&mut self) {
        self.health.suspect = false;
    }

    /// Why the transaction may not be committed: a statement in it failed. PostgreSQL would
    /// answer a `COMMIT` with success then, and roll back; the others are held to the same.
    pub(crate) fn doomed(&self) -> Option<ErrorKind> {
        self.health.doomed
    }

    /// `BEGIN` was answered.
    pub(crate) fn transaction_began(&mut self) {
        self.health.in_transaction = true;
        self.health.doomed = None;
    }

    /// `COMMIT` or `ROLLBACK` was answered.
    pub(crate) fn transaction_ended(&mut self) {
        self.health.in_transaction = false;
        self.health.doomed = None;
    }

    /// `ROLLBACK TO SAVEPOINT` was answered: what failed inside it no longer counts. On MariaDB
    /// a deadlock ends the whole transaction, and then that statement has failed.
    pub(crate) fn savepoint_restored(&mut self) {
        self.health.doomed = None;
    }

    /// Sends a statement that is not counted: transaction control, set-up, probes.
    pub(crate) fn control(&mut self, sql: &str) -> QueryResult<()> {
        let Net { driver, health, .. } = self;
        let Some(driver) = health.usable(driver) else {
            // Diesel's transaction manager keeps the first error when it sees this one.
            return Err(diesel::result::Error::BrokenTransactionManager);
        };
        health.drive(driver.batch_execute(sql))
    }

    /// Runs queries that are not counted: probes, and questions about the connection itself.
    pub(crate) fn uncounted<T>(&mut self, ask: impl FnOnce(&mut Net<C>) -> T) -> T {
        let unused = Arc::new(Tally::default());
        let tally = std::mem::replace(&mut self.tally, unused);
        let place = std::mem::replace(&mut self.health.place, FaultPlace::Uncounted);
        let answer = ask(self);
        self.health.place = place;
        self.tally = tally;
        answer
    }

    /// Closes the connection with the protocol's goodbye; MariaDB counts an aborted client else.
    pub(crate) fn close(mut self) {
        let goodbye = self.goodbye.take();
        let is_broken = self.health.broken;
        drop(self);
        if let Some(goodbye) = goodbye.filter(|_| !is_broken) {
            // A server that does not answer is not waited for.
            let _ = fibers::wait(async { timeout(GOODBYE_MAX, goodbye).await });
        }
    }
}

/// Drops what may be in the middle of a message, so that its socket is closed at once. The MySQL driver
/// would first read what the server has still to say, however long that takes; it does not where the
/// drop is part of a panic, so this is one, which is seen by nobody. In a program whose panics abort
/// there can be none, and the driver reads.
pub(crate) fn drop_silently<T>(doubtful: T) {
    if cfg!(panic = "abort") || std::thread::panicking() {
        return drop(doubtful);
    }
    let dropped = catch_unwind(AssertUnwindSafe(move || {
        let _doubtful = doubtful;
        resume_unwind(Box::new(()));
    }));
    debug_assert!(dropped.is_err());
}

impl<C: AsyncConnection> Drop for Net<C> {
    fn drop(&mut self) {
        match self.driver.take() {
            Some(driver) if self.health.broken => drop_silently(driver),
            driver => drop(driver),
        }
    }
}

impl Health {
    /// The driver, unless it was given up; then it is dropped here, which closes the socket.
    fn usable<'driver, C>(&self, driver: &'driver mut Option<Box<C>>) -> Option<&'driver mut C> {
        if self.broken
            && let Some(driver) = driver.take()
        {
            drop_silently(driver);
        }
        driver.as_deref_mut()
    }

    /// Refuses a statement that would run outside the transaction it was meant for.
    fn check_doom(&self) -> QueryResult<()> {
        match (self.backend, self.doomed) {
            (Backend::Mysql, Some(ErrorKind::Conflict)) => Err(Failure::RolledBack.into()),
            _ => Ok(()),
        }
    }

    /// Breaks as if the network had, where a test wants that.
    fn meet_fault(&mut self) -> QueryResult<()> {
        fault::point(self.place).inspect_err(|error| self.learn(error))
    }

    /// Polls one exchange with the server to its end or to the deadline, or to the end of a drain, and
    /// learns from an error.
    fn drive<T>(&mut self, exchange: impl Future<Output = QueryResult<T>>) -> QueryResult<T> {
        if self.deadline.has_passed() {
            // Nothing was sent, so the connection stays well.
            return Err(Failure::DeadlineExceeded.into());
        }
        let deadline = self.deadline.instant();
        let mut exchange = pin!(exchange);
        // The timer has to be made inside the runtime that drives it.
        let mut ended = fibers::wait(async { timeout_at(deadline.into(), &mut exchange).await });
        if ended.is_err()
            && let Some(_drain) = self.may_drain()
        {
            let patience = (deadline + DRAIN_MAX).into();
            ended = fibers::wait(async { timeout_at(patience, exchange).await });
        }
        match ended {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                self.learn(&error);
                Err(error)
            }
            Err(_elapsed) => {
                self.broken = true;
                Err(Failure::DeadlineExceeded.into())
            }
        }
    }

    /// The right to let a late statement end. One of a transaction would hold its locks for as long,
    /// and a probe has its answer by then.
    fn may_drain(&self) -> Option<OwnedSemaphorePermit> {
        let is_statement = !self.in_transaction && self.place == FaultPlace::Statement;
        self.budget.as_ref().filter(|_| is_statement)?.try_drain()
    }

    fn learn(&mut self, error: &diesel::result::Error) {
        let kind = classify(error);
        if kind == ErrorKind::ConnectionLost {
            self.broken = true;
            self.lost = true;
        } else if !is_plainly_the_statements_own(kind) {
            self.suspect = true;
        }
        // A conflict counts most, since MariaDB has then rolled everything back by itself.
        if self.in_transaction && (self.doomed.is_none() || kind == ErrorKind::Conflict) {
            self.doomed = Some(kind);
        }
    }
}

impl<C: AsyncConnection> SimpleConnection for Net<C> {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        if !is_transaction_control(query) {
            self.health.check_doom()?;
            count(&self.tally.statements);
        }
        if !self.in_steps {
            return self.control(query);
        }
        statements(query).try_for_each(|statement| {
            let sent = fault::around(statement, || self.control(statement));
            // What a test breaks is broken as if the network had.
            sent.inspect_err(|error| self.health.learn(error))
        })
    }
}

impl<C: AsyncConnection> ConnectionSealed for Net<C> {}

impl<C: AsyncConnection<Backend: Dialect>> Connection for Net<C> {
    type Backend = <C as AsyncConnectionCore>::Backend;
    type TransactionManager = AnsiTransactionManager;

    /// Always an error: a connection needs a deadline and set-up, which `Database::run` gives.
    fn establish(_database_url: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection(
            "a network connection is opened by Database::run alone".to_owned(),
        ))
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<Self::Backend> + QueryId,
    {
        self.health.check_doom()?;
        let Net { driver, health, texts, tally, .. } = self;
        let Some(driver) = health.usable(driver) else { return Err(Failure::Broken.into()) };
        count(&tally.statements);
        let advised = texts.advise::<Self::Backend, _>(source);
        health.meet_fault()?;
        health.drive(driver.execute_returning_count(advised))
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        static_instrumentation()
    }

    /// Does nothing: statements are counted by this connection itself.
    fn set_instrumentation(&mut self, _instrumentation: impl Instrumentation) {}

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        if let Some(driver) = &mut self.driver {
            driver.set_prepared_statement_cache_size(size);
        }
    }
}

/// An instrumentation that ignores every event. It has no size, so leaking one costs nothing.
fn static_instrumentation() -> &'static mut dyn Instrumentation {
    Box::leak(Box::new(Ignore))
}

struct Ignore;

impl Instrumentation for Ignore {
    fn on_connection_event(&mut self, _event: diesel::connection::InstrumentationEvent<'_>) {}
}

/// Rows that have been read. Others may have the thread while many of them are made into values.
pub struct Rows<R>(std::vec::IntoIter<QueryResult<R>>);

impl<R> Iterator for Rows<R> {
    type Item = QueryResult<R>;

    fn next(&mut self) -> Option<QueryResult<R>> {
        fibers::breathe();
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<C: AsyncConnection<Backend: Dialect>> LoadConnection for Net<C> {
    type Cursor<'conn, 'query>
        = Rows<Self::Row<'conn, 'query>>
    where
        Self: 'conn;
    type Row<'conn, 'query>
        = <C as AsyncConnectionCore>::Row<'conn, 'query>
    where
        Self: 'conn;

    /// Reads all rows at once: the connection then stands between two messages again, and the
    /// deadline covers the whole answer.
    fn load<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Self::Backend> + QueryId + 'query,
        Self::Backend: QueryMetadata<T::SqlType>,
    {
        self.health.check_doom()?;
        let Net { driver, health, texts, tally, .. } = self;
        let Some(driver) = health.usable(driver) else { return Err(Failure::Broken.into()) };
        count(&tally.statements);
        let advised = texts.advise::<Self::Backend, _>(source);
        health.meet_fault()?;
        let rows = health.drive(async move {
            let stream = driver.load(advised).await?;
            stream.map_ok(Ok).try_collect::<Vec<_>>().await
        })?;
        Ok(Rows(rows.into_iter()))
    }
}

impl<C: AsyncConnection<Backend: Dialect>> diesel::migration::MigrationConnection for Net<C> {
    fn setup(&mut self) -> QueryResult<usize> {
        self.batch_execute(diesel::migration::CREATE_MIGRATIONS_TABLE).map(|()| 0)
    }
}

/// Stands in for PostgreSQL's lookup of types by name, which the multi-backend connection passes
/// through `Any` and the driver cannot provide. Only types with fixed numbers are bound here; for
/// another one the server is asked to infer the type.
struct NoLookup;

impl PgMetadataLookup for NoLookup {
    fn lookup_type(&mut self, _type_name: &str, _schema: Option<&str>) -> PgTypeMetadata {
        PgTypeMetadata::from_result(Ok((0, 0)))
    }
}

impl MultiConnectionHelper for PgNet {
    fn to_any<'a>(
        _lookup: &mut <Pg as diesel::sql_types::TypeMetadata>::MetadataLookup,
    ) -> &mut (dyn Any + 'a) {
        // It has no size, so nothing is allocated and nothing leaks.
        Box::leak(Box::new(NoLookup))
    }

    fn from_any(
        lookup: &mut dyn Any,
    ) -> Option<&mut <Pg as diesel::sql_types::TypeMetadata>::MetadataLookup> {
        lookup.downcast_mut::<NoLookup>().map(|lookup| lookup as &mut dyn PgMetadataLookup)
    }
}

impl MultiConnectionHelper for MysqlNet {
    fn to_any<'a>(
        lookup: &mut <Mysql as diesel::sql_types::TypeMetadata>::MetadataLookup,
    ) -> &mut (dyn Any + 'a) {
        lookup
    }

    fn from_any(
        lookup: &mut dyn Any,
    ) -> Option<&mut <Mysql as diesel::sql_types::TypeMetadata>::MetadataLookup> {
        lookup.downcast_mut::<()>()
    }
}
