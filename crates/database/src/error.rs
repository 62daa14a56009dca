//! The one error of this crate, and the one place that says what a database's error means.
//!
//! A caller decides by [`ErrorKind`]. Drivers give little more than a text for some errors (see
//! [`classify`]), so the sessions ask the servers for English messages.

use crate::deadline::Deadline;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use std::cell::RefCell;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// What went wrong, one kind for each decision of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection could be made: refused, no such host, no such file or database.
    Unreachable,
    /// The server refused the user or the password.
    AuthenticationFailed,
    /// The encrypted connection failed: an untrusted certificate, another name, no TLS there.
    Tls,
    /// The time was up. Nothing was committed.
    DeadlineExceeded,
    /// All connections stayed in use until the deadline.
    PoolExhausted,
    /// Another transaction came in between: serialization failure, deadlock, SQLite busy. The
    /// transaction was rolled back and may be repeated; [`transaction`](crate::transaction) does.
    Conflict,
    /// The answer to a `COMMIT` never came: it was committed or not. Read again to find out.
    CommitUnknown,
    /// A row with this key exists.
    UniqueViolation,
    /// A row refers to one that is missing, or is referred to.
    ForeignKeyViolation,
    /// A value is missing in a column that needs one.
    NotNullViolation,
    /// A value breaks a check of the table.
    CheckViolation,
    /// No row was found where one was asked for.
    NotFound,
    /// A write on a database that is open read-only.
    ReadOnly,
    /// The database refused this statement for a reason of its own: bad SQL, data too long.
    Rejected,
    /// The connection broke, or a SQLite file could not be read or written. What was not committed
    /// is rolled back.
    ConnectionLost,
    /// The database's schema version and this binary do not go together.
    SchemaVersion,
    /// The database's tables differ from what the migrations make.
    SchemaDrift,
    /// The database belongs to another plane or cell, or is of another kind.
    WrongIdentity,
    /// A migration failed.
    Migration,
    /// The [`Database`](crate::Database) was closed.
    Closed,
    /// It did not answer lately, and was not asked again.
    NotAsked,
    /// A stored value cannot be read: JSON that is none, a uuid that is none.
    Damaged,
}

impl ErrorKind {
    /// The kind as a sentence, for errors that carry a source with the details.
    fn sentence(self) -> &'static str {
        match self {
            ErrorKind::Unreachable => "the database cannot be reached",
            ErrorKind::AuthenticationFailed => "the database refused the user or the password",
            ErrorKind::Tls => "the encrypted connection to the database failed",
            ErrorKind::DeadlineExceeded => "the deadline passed before the database answered",
            ErrorKind::PoolExhausted => "all connections to the database stayed in use",
            ErrorKind::Conflict => "another transaction on the database came in between",
            ErrorKind::CommitUnknown => "the database never said whether it committed",
            ErrorKind::UniqueViolation => "a row with this key exists in the database",
            ErrorKind::ForeignKeyViolation => "a row refers to one that is not in the database",
            ErrorKind::NotNullViolation => "a column of the database needs a value",
            ErrorKind::CheckViolation => "a value breaks a check of the database",
            ErrorKind::NotFound => "no such row in the database",
            ErrorKind::ReadOnly => "the database is open read-only",
            ErrorKind::Rejected => "the database refused the statement",
            ErrorKind::ConnectionLost => "the connection to the database was lost",
            ErrorKind::SchemaVersion => "the database's schema version does not fit this binary",
            ErrorKind::SchemaDrift => "the database's tables differ from what its migrations make",
            ErrorKind::WrongIdentity => "the database is not the expected one",
            ErrorKind::Migration => "a migration of the database failed",
            ErrorKind::Closed => "the database was closed",
            ErrorKind::NotAsked => "the database has not answered lately and was not asked",
            ErrorKind::Damaged => "a stored value cannot be read",
        }
    }
}

/// An error of a database operation.
///
/// Its text names the operation and the database, with the password masked; the driver's own
/// words are its source.
pub struct DatabaseError(Box<Parts>);

struct Parts {
    kind: ErrorKind,
    message: Option<String>,
    place: Option<Place>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Where an error happened.
#[derive(Clone)]
pub(crate) struct Place {
    /// The database's URL with the password masked.
    pub(crate) database: Arc<str>,
    /// The name of the operation.
    pub(crate) operation: &'static str,
    /// When the operation has to end.
    pub(crate) deadline: Deadline,
}

thread_local! {
    /// The operation that runs on this thread, so that an error made anywhere inside it, by `?` too,
    /// can say where it happened.
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// Keeps a [`Place`] set on this thread until it is dropped, also by a panic.
pub(crate) struct PlaceGuard(());

impl PlaceGuard {
    /// Errors made on this thread name `place` from now on.
    pub(crate) fn enter(place: Place) -> PlaceGuard {
        PLACE.with(|slot| *slot.borrow_mut() = Some(place));
        PlaceGuard(())
    }
}

impl Drop for PlaceGuard {
    fn drop(&mut self) {
        PLACE.with(|slot| *slot.borrow_mut() = None);
    }
}

/// Exchanges a place that is kept elsewhere for that of this thread.
pub(crate) fn exchange_place(kept: &mut Option<Place>) {
    PLACE.with_borrow_mut(|place| std::mem::swap(place, kept));
}

impl DatabaseError {
    /// A question that was not asked, of kind [`ErrorKind::NotAsked`], with why.
    pub fn not_asked(reason: impl Into<String>) -> DatabaseError {
        DatabaseError::new(ErrorKind::NotAsked, reason)
    }

    /// A stored value that cannot be read, of kind [`ErrorKind::Damaged`]. `what` names the row and
    /// what is wrong with it.
    pub fn damaged(what: impl Into<String>) -> DatabaseError {
        DatabaseError::new(ErrorKind::Damaged, what)
    }

    /// An error with a text of its own.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> DatabaseError {
        DatabaseError::build(kind, Some(message.into()), None)
    }

    /// An error of this kind whose details are in its source.
    pub(crate) fn because(
        kind: ErrorKind,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> DatabaseError {
        DatabaseError::build(kind, None, Some(source.into()))
    }

    /// Says what was being done, in front of the source's words.
    pub(crate) fn with_message(mut self, message: impl Into<String>) -> DatabaseError {
        self.0.message = Some(message.into());
        self
    }

    /// Names the place where none is set on the thread.
    pub(crate) fn at(mut self, place: &Place) -> DatabaseError {
        self.0.place = Some(place.clone());
        self
    }

    fn build(
        kind: ErrorKind,
        message: Option<String>,
        source: Option<Box<dyn StdError + Send + Sync>>,
    ) -> DatabaseError {
        let place = PLACE.with(|slot| slot.borrow().clone());
        DatabaseError(Box::new(Parts { kind, message, place, source }))
    }

    /// What a caller decides by.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The name of the operation, where one was running.
    pub fn operation(&self) -> Option<&'static str> {
        self.0.place.as_ref().map(|place| place.operation)
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.message {
            Some(message) => f.write_str(message)?,
            None => f.write_str(self.0.kind.sentence())?,
        }
        match &self.0.place {
            Some(place) => write!(f, " (in {} on {})", place.operation, place.database),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseError")
            .field("kind", &self.0.kind)
            .field("message", &format_args!("{self}"))
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for DatabaseError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<DieselError> for DatabaseError {
    fn from(error: DieselError) -> DatabaseError {
        let mut kind = classify(&error);
        if kind == ErrorKind::Conflict && waited_to_the_end(&error) {
            kind = ErrorKind::DeadlineExceeded;
        }
        DatabaseError::because(kind, error)
    }
}

/// Whether SQLite gave up on a lock because the operation's deadline came. Before the deadline
/// the same text means a conflict that only a repeat resolves.
fn waited_to_the_end(error: &DieselError) -> bool {
    let locked =
        matches!(error, DieselError::DatabaseError(_, info) if is_sqlite_lock(info.message()));
    locked
        && PLACE
            .with(|slot| slot.borrow().as_ref().is_some_and(|place| place.deadline.has_passed()))
}

/// Errors that carry a [`DatabaseError`] or are one, so that [`transaction`](crate::transaction)
/// can tell a conflict from everything else. Crates with operation errors of their own implement
/// it for those.
pub trait DatabaseErrorSource {
    /// The database's error in it, if it has one.
    fn database_error(&self) -> Option<&DatabaseError>;
}

impl DatabaseErrorSource for DatabaseError {
    fn database_error(&self) -> Option<&DatabaseError> {
        Some(self)
    }
}

/// Implements [`DatabaseErrorSource`] for enums that keep a [`DatabaseError`] in their variant
/// `Database`.
///
/// ```
/// use cellzero_database::{DatabaseError, DatabaseErrorSource as _};
///
/// enum CountError {
///     Negative,
///     Database(DatabaseError),
/// }
/// cellzero_database::database_error_source!(CountError);
///
/// assert!(CountError::Database(DatabaseError::damaged("a row")).database_error().is_some());
/// assert!(CountError::Negative.database_error().is_none());
/// ```
#[macro_export]
macro_rules! database_error_source {
    ($error:ty) => {
        impl $crate::DatabaseErrorSource for $error {
            fn database_error(&self) -> Option<&$crate::DatabaseError> {
                match self {
                    Self::Database(error) => Some(error),
                    _ => None,
                }
            }
        }
    };
}

/// What our own connections say through Diesel's error type. It travels as a query builder
/// error because that variant keeps the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The deadline came before the server's answer.
    #[error("the server did not answer by the deadline")]
    DeadlineExceeded,
    /// The connection was given up earlier.
    #[error("the connection was given up after an earlier error")]
    Broken,
    /// The server has rolled the transaction back, so a further statement would be outside it.
    #[error("the server has rolled this transaction back because of a conflict")]
    RolledBack,
}

impl From<Failure> for DieselError {
    fn from(failure: Failure) -> DieselError {
        DieselError::QueryBuilderError(Box::new(failure))
    }
}

/// What a database's error means.
///
/// Diesel's kinds are right where they exist. Where they say `Unknown` only the text is left:
/// a PostgreSQL deadlock (40P01), a MariaDB deadlock (1213, which the async driver does not
/// map), every kind of time-out, and a dead MariaDB socket.
pub(crate) fn classify(error: &DieselError) -> ErrorKind {
    match error {
        DieselError::NotFound => ErrorKind::NotFound,
        DieselError::BrokenTransactionManager => ErrorKind::ConnectionLost,
        DieselError::QueryBuilderError(inner) => match inner.downcast_ref::<Failure>() {
            Some(Failure::DeadlineExceeded) => ErrorKind::DeadlineExceeded,
            Some(Failure::Broken) => ErrorKind::ConnectionLost,
            Some(Failure::RolledBack) => ErrorKind::Conflict,
            None => ErrorKind::Rejected,
        },
        DieselError::DatabaseError(kind, info) => match kind {
            DatabaseErrorKind::UniqueViolation => ErrorKind::UniqueViolation,
            DatabaseErrorKind::ForeignKeyViolation | DatabaseErrorKind::RestrictViolation => {
                ErrorKind::ForeignKeyViolation
            }
            DatabaseErrorKind::NotNullViolation => ErrorKind::NotNullViolation,
            DatabaseErrorKind::CheckViolation => ErrorKind::CheckViolation,
            DatabaseErrorKind::ReadOnlyTransaction => ErrorKind::ReadOnly,
            DatabaseErrorKind::SerializationFailure => ErrorKind::Conflict,
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                ErrorKind::ConnectionLost
            }
            _ => classify_text(info.message()),
        },
        _ => ErrorKind::Rejected,
    }
}

/// Texts that mean a conflict: PostgreSQL 40P01, MariaDB 1213 and 1020, Galera.
const CONFLICT_TEXTS: [&str; 4] = [
    "deadlock detected",
    "Deadlock found when trying to get lock",
    "Record has changed since last read",
    "WSREP detected deadlock/conflict",
];

/// Texts of a server's own time-outs: statement and lock waits of PostgreSQL, MariaDB, MySQL 8.
const TIMEOUT_TEXTS: [&str; 5] = [
    "canceling statement due to statement timeout",
    "canceling statement due to lock timeout",
    "max_statement_time exceeded",
    "maximum statement execution time exceeded",
    "Lock wait timeout exceeded",
];

/// Texts of a write where none is allowed: SQLite, a MariaDB replica (1290), and both servers'
/// words where only the text came through.
const READ_ONLY_TEXTS: [&str; 5] = [
    "attempt to write a readonly database",
    "--read-only option",
    "--super-read-only option",
    "in a read-only transaction",
    "in a READ ONLY transaction",
];

/// Texts of SQLite where the disk fails. It is not the statement's fault, and trying again may help.
const DISK_TEXTS: [&str; 3] =
    ["disk I/O error", "database or disk is full", "unable to open database file"];

/// Texts of a connection that is gone: PostgreSQL 57P01 to 57P03, MariaDB 1053, 1927 and the
/// driver's own words for a dead socket.
const LOST_TEXTS: [&str; 8] = [
    "terminating connection",
    "the database system is",
    "Connection to the server is closed",
    "Connection was killed",
    "Server shutdown in progress",
    "Input/output error: ",
    "Packet out of order",
    "Unexpected packet",
];

pub(crate) fn classify_text(text: &str) -> ErrorKind {
    let says_one_of = |texts: &[&str]| texts.iter().any(|part| text.contains(part));
    if says_one_of(&CONFLICT_TEXTS) || is_sqlite_lock(text) {
        ErrorKind::Conflict
    } else if says_one_of(&TIMEOUT_TEXTS) {
        ErrorKind::DeadlineExceeded
    } else if says_one_of(&READ_ONLY_TEXTS) {
        ErrorKind::ReadOnly
    } else if says_one_of(&LOST_TEXTS) || says_one_of(&DISK_TEXTS) {
        ErrorKind::ConnectionLost
    } else {
        ErrorKind::Rejected
    }
}

fn is_sqlite_lock(text: &str) -> bool {
    text.contains("database is locked") || text.contains("database table is locked")
}

/// Whether an error says beyond doubt that the connection itself is well.
pub(crate) fn is_plainly_the_statements_own(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UniqueViolation
            | ErrorKind::ForeignKeyViolation
            | ErrorKind::NotNullViolation
            | ErrorKind::CheckViolation
            | ErrorKind::NotFound
            | ErrorKind::ReadOnly
            | ErrorKind::Conflict
    )
}

#[cfg(test)]
mod tests;
