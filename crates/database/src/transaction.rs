//! Transactions that are repeated after a conflict, and savepoints inside them.
//!
//! The statements are sent directly rather than by Diesel's transaction manager: SQLite starts as
//! a writer, so that no transaction has to turn from reader into writer and fail, and a `COMMIT`
//! whose answer is lost is told apart from one that failed.

use crate::backend::Backend;
use crate::connection::{Connection, TransactionStep};
use crate::error::{DatabaseError, DatabaseErrorSource, ErrorKind, classify};
use crate::fault::{self, FaultPlace};
use crate::fibers;
use crate::gate;
use crate::runners;
use crate::tally::count;
use std::time::Duration;

/// How often a transaction is tried in all.
pub const TRANSACTION_ATTEMPTS_MAX: u32 = 8;

/// The longest pause before the first repeat; it doubles for each further one.
const PAUSE_FIRST_MAX: Duration = Duration::from_millis(4);

/// The longest pause before any repeat.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Runs `work` in a transaction and commits it, or rolls it back when `work` fails.
///
/// After a conflict (serialization failure, deadlock, SQLite busy) everything runs again, at most
/// [`TRANSACTION_ATTEMPTS_MAX`] times in all, each after a random pause, and only while the
/// operation's deadline allows it. So `work` may run several times: what it does besides using
/// the connection has to bear that. `name` names the transaction in counters and errors.
///
/// Inside another transaction it is a [`savepoint`], and a conflict repeats the outer one.
///
/// # Errors
/// That of `work`; [`ErrorKind::Conflict`] when the last attempt too met a conflict;
/// [`ErrorKind::DeadlineExceeded`] when the time was up before `COMMIT` was sent;
/// [`ErrorKind::CommitUnknown`] when its answer never came; else that of `BEGIN` or `COMMIT`.
/// Whatever the error, except for `CommitUnknown`, nothing of the transaction stays.
pub fn transaction<K, T, E>(
    conn: &mut Connection<K>,
    name: &'static str,
    mut work: impl FnMut(&mut Connection<K>) -> Result<T, E>,
) -> Result<T, E>
where
    E: From<DatabaseError> + DatabaseErrorSource,
{
    if conn.depth > 0 {
        return savepoint(conn, work);
    }
    gate::transaction(name);
    let mut attempt = 1;
    loop {
        let error = match attempt_once(conn, &mut work) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let conflict =
            error.database_error().is_some_and(|error| error.kind() == ErrorKind::Conflict);
        if !conflict || attempt >= TRANSACTION_ATTEMPTS_MAX || conn.is_broken() {
            return Err(error);
        }
        let pause = random_pause(attempt);
        if pause >= conn.deadline().remaining() {
            return Err(error);
        }
        tracing::debug!(transaction = name, attempt, ?pause, "repeating after a conflict");
        conn.tally.count_repeat(name);
        fibers::pause(pause);
        attempt += 1;
    }
}

/// Runs `work` inside a savepoint of the open transaction; an error undoes what `work` did and
/// leaves the transaction usable. A statement that may fail and whose error is to be survived has
/// to stand in one: PostgreSQL refuses every statement after it otherwise, and on all backends
/// the transaction is then not committed.
///
/// After a conflict the transaction is lost on some backends; that error has to be handed on.
///
/// # Errors
/// That of `work`, or of setting or releasing the savepoint; [`ErrorKind::Rejected`] outside a
/// transaction.
pub fn savepoint<K, T, E>(
    conn: &mut Connection<K>,
    work: impl FnOnce(&mut Connection<K>) -> Result<T, E>,
) -> Result<T, E>
where
    E: From<DatabaseError>,
{
    if conn.depth == 0 {
        let message = "a savepoint was asked for outside a transaction";
        return Err(DatabaseError::new(ErrorKind::Rejected, message).into());
    }
    if let Some(error) = doomed_error(conn) {
        return Err(error.into());
    }
    let name = format!("cellzero_{}", conn.depth);
    conn.control(&format!("SAVEPOINT {name}")).map_err(DatabaseError::from)?;
    conn.depth += 1;
    let result = work(conn);
    conn.depth -= 1;
    let error = match result {
        Ok(value) => match conn.control(&format!("RELEASE SAVEPOINT {name}")) {
            Ok(()) => return Ok(value),
            Err(error) => DatabaseError::from(error).into(),
        },
        Err(error) => error,
    };
    // A failure of the rollback never hides the first error. The transaction cannot be committed
    // after it, which the server or the next statement will say.
    match conn.control(&format!("ROLLBACK TO SAVEPOINT {name}")) {
        Ok(()) => conn.note_transaction(TransactionStep::SavepointRestored),
        Err(rollback) => tracing::debug!(%rollback, "a savepoint could not be rolled back"),
    }
    Err(error)
}

fn attempt_once<K, T, E>(
    conn: &mut Connection<K>,
    work: &mut impl FnMut(&mut Connection<K>) -> Result<T, E>,
) -> Result<T, E>
where
    E: From<DatabaseError>,
{
    conn.apply_deadline().map_err(DatabaseError::from)?;
    if !conn.is_read_only() {
        // For the one who writes now, then for the disk.
        runners::make_room();
    }
    conn.control(begin_statement(conn)).map_err(DatabaseError::from)?;
    conn.note_transaction(TransactionStep::Began);
    match work(conn) {
        Ok(value) => commit(conn).map(|()| value).map_err(E::from),
        Err(error) => {
            roll_back(conn);
            Err(error)
        }
    }
}

fn begin_statement<K>(conn: &Connection<K>) -> &'static str {
    match conn.backend() {
        // A writer from the start waits for its turn; one that turns into a writer later fails.
        Backend::Sqlite if !conn.is_read_only() => "BEGIN IMMEDIATE",
        Backend::Sqlite | Backend::Postgres => "BEGIN",
        Backend::Mysql => "START TRANSACTION",
    }
}

fn commit<K>(conn: &mut Connection<K>) -> Result<(), DatabaseError> {
    if let Some(error) = doomed_error(conn) {
        roll_back(conn);
        return Err(error);
    }
    // First the note and then the look at the clock: whoever waits for this operation looks at
    // the note after the deadline, and then finds it or can be sure that no commit follows.
    let noted_before = conn.commit_was_noted();
    conn.note_commit(true);
    if conn.deadline().has_passed() {
        conn.note_commit(noted_before);
        roll_back(conn);
        let message = "the deadline passed before the transaction could be committed";
        return Err(DatabaseError::new(ErrorKind::DeadlineExceeded, message));
    }
    if let Err(error) = fault::point(FaultPlace::BeforeCommit) {
        conn.give_up();
        roll_back(conn);
        return Err(DatabaseError::because(ErrorKind::CommitUnknown, error));
    }
    match conn.control("COMMIT") {
        Ok(()) => {
            conn.note_transaction(TransactionStep::Ended);
            count(&conn.tally.commits);
            fault::point(FaultPlace::AfterCommit).map_err(|error| {
                conn.give_up();
                DatabaseError::because(ErrorKind::CommitUnknown, error)
            })
        }
        // What a disk failed to sync may be there after a crash all the same.
        Err(error) if conn.is_broken() || classify(&error) == ErrorKind::ConnectionLost => {
            conn.give_up();
            conn.note_transaction(TransactionStep::Ended);
            Err(DatabaseError::because(ErrorKind::CommitUnknown, error))
        }
        Err(error) => {
            conn.note_commit(noted_before);
            roll_back(conn);
            Err(error.into())
        }
    }
}

/// The error for going on after a statement that failed.
fn doomed_error<K>(conn: &Connection<K>) -> Option<DatabaseError> {
    // A conflict is repeated; any other kind would mislead a caller that looks at it.
    let kind = match conn.doomed()? {
        ErrorKind::Conflict => ErrorKind::Conflict,
        _ => ErrorKind::Rejected,
    };
    let message = "a statement of the transaction failed and its error was not handed on, so \
                   nothing can be committed; a failure to be survived belongs in a savepoint";
    Some(DatabaseError::new(kind, message))
}

/// Rolls back, or gives the connection up so that the server does it.
fn roll_back<K>(conn: &mut Connection<K>) {
    count(&conn.tally.rollbacks);
    if conn.is_broken() {
        conn.note_transaction(TransactionStep::Ended);
        return;
    }
    if let Err(error) = conn.control("ROLLBACK") {
        // Some errors end a transaction in SQLite, and then there is nothing to roll back.
        let nothing_open = conn.backend() == Backend::Sqlite
            && error.to_string().contains("no transaction is active");
        if !nothing_open {
            tracing::debug!(%error, "a rollback failed; the connection is given up");
            conn.give_up();
        }
    }
    conn.note_transaction(TransactionStep::Ended);
}

/// A random pause before repeat number `attempt`, so that two that met do not meet again.
fn random_pause(attempt: u32) -> Duration {
    let longest = (PAUSE_FIRST_MAX * 2u32.pow(attempt.min(16) - 1)).min(PAUSE_MAX);
    longest.mul_f64(rand::random::<f64>())
}
