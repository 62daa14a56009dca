//! Opens a SQLite file.

use super::OpenResult;
use crate::any::AnyConnection;
use crate::connection::{Clock, Opened, SqliteWatch};
use crate::database::{Durability, Options};
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind, classify};
use crate::sqlite::KeptSqlite;
use crate::tally::{Tally, count};
use diesel::connection::{Connection as _, InstrumentationEvent, SimpleConnection};
use diesel::{QueryResult, SqliteConnection};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a path in a `file:` URI may hold as it is.
const URI_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// The pause between two attempts to turn on write-ahead logging.
const WAL_PAUSE: Duration = Duration::from_millis(5);

pub(super) fn open(
    path: &Path,
    options: &Options,
    deadline: Deadline,
    tally: &Arc<Tally>,
) -> OpenResult {
    prepare_place(path, options)?;
    let mode = match (options.read_only, options.create) {
        (true, _) => "ro",
        (false, true) => "rwc",
        (false, false) => "rw",
    };
    let mut sqlite = SqliteConnection::establish(&uri(path, mode)?).map_err(|error| {
        DatabaseError::because(ErrorKind::Unreachable, error)
            .with_message(format!("the SQLite file {} cannot be opened", path.display()))
    })?;
    set_up(&mut sqlite, options, deadline).map_err(|error| {
        let kind = match classify(&error) {
            ErrorKind::Conflict => ErrorKind::DeadlineExceeded,
            ErrorKind::Rejected => ErrorKind::Unreachable,
            kind => kind,
        };
        DatabaseError::because(kind, error)
            .with_message(format!("the SQLite file {} cannot be used", path.display()))
    })?;
    let watch = watch_statements(&mut sqlite, tally);
    Ok(Opened { any: AnyConnection::Sqlite(KeptSqlite::new(sqlite)), clock: Clock::Own, watch })
}

/// A database in memory that ends with the connection.
pub(crate) fn open_in_memory() -> Result<SqliteConnection, DatabaseError> {
    SqliteConnection::establish(":memory:")
        .map_err(|error| DatabaseError::because(ErrorKind::Unreachable, error))
}

/// Says clearly what is missing, since SQLite says "unable to open database file" to everything.
fn prepare_place(path: &Path, options: &Options) -> Result<(), DatabaseError> {
    let unreachable = |reason: String| {
        let message = format!("the SQLite file {} {reason}", path.display());
        DatabaseError::new(ErrorKind::Unreachable, message)
    };
    if path.is_dir() {
        return Err(unreachable("is a directory; give the path of a file".to_owned()));
    }
    if path.exists() {
        return Ok(());
    }
    if options.read_only || !options.create {
        return Err(unreachable("does not exist".to_owned()));
    }
    let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(());
    };
    match std::fs::create_dir(directory) {
        Ok(()) => Ok(()),
        Err(_) if directory.is_dir() => Ok(()),
        Err(error) => Err(unreachable(format!(
            "cannot be created: its directory {} does not exist and cannot be created: {error}",
            directory.display()
        ))),
    }
}

fn uri(path: &Path, mode: &str) -> Result<String, DatabaseError> {
    let absolute = std::path::absolute(path)
        .map_err(|error| DatabaseError::because(ErrorKind::Unreachable, error))?;
    let text = absolute.to_str().ok_or_else(|| {
        let message = format!("the path {} is not UTF-8", absolute.display());
        DatabaseError::new(ErrorKind::Unreachable, message)
    })?;
    Ok(format!("file:{}?mode={mode}", utf8_percent_encode(text, URI_PATH)))
}

fn set_up(sqlite: &mut SqliteConnection, options: &Options, deadline: Deadline) -> QueryResult<()> {
    let wait = deadline.remaining_milliseconds();
    sqlite.batch_execute(&format!("PRAGMA busy_timeout = {wait}"))?;
    if options.read_only {
        // The file's journal mode stays as its owner wants it.
        return sqlite.batch_execute("PRAGMA query_only = ON; SELECT 1 FROM sqlite_master LIMIT 1");
    }
    turn_on_write_ahead_log(sqlite, deadline)?;
    let synchronous = match options.durability {
        Durability::Full => "FULL",
        Durability::Normal => "NORMAL",
    };
    sqlite.batch_execute(&format!("PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON"))
}

/// SQLite does not wait for a lock here, so that two processes opening a new file at once have
/// to be made to wait for one another.
fn turn_on_write_ahead_log(sqlite: &mut SqliteConnection, deadline: Deadline) -> QueryResult<()> {
    loop {
        match sqlite.batch_execute("PRAGMA journal_mode = WAL") {
            Err(error)
                if classify(&error) == ErrorKind::Conflict && deadline.remaining() > WAL_PAUSE =>
            {
                std::thread::sleep(WAL_PAUSE);
            }
            result => return result,
        }
    }
}

/// Counts what Diesel sends and notes what fails, except while the returned watch says not to
/// and except for the transaction control of Diesel's own manager, which announces itself with
/// an event before.
fn watch_statements(sqlite: &mut SqliteConnection, tally: &Arc<Tally>) -> Arc<SqliteWatch> {
    let watch = Arc::new(SqliteWatch::default());
    let (tally, observed) = (Arc::clone(tally), Arc::clone(&watch));
    let mut skip_next = false;
    sqlite.set_instrumentation(move |event: InstrumentationEvent<'_>| match event {
        InstrumentationEvent::BeginTransaction { .. }
        | InstrumentationEvent::CommitTransaction { .. }
        | InstrumentationEvent::RollbackTransaction { .. } => skip_next = true,
        InstrumentationEvent::StartQuery { .. } => {
            let skipped =
                std::mem::take(&mut skip_next) || observed.uncounted.load(Ordering::Relaxed);
            if !skipped {
                count(&tally.statements);
            }
        }
        InstrumentationEvent::FinishQuery { error: Some(_), .. }
            if !observed.uncounted.load(Ordering::Relaxed) =>
        {
            observed.failed.store(true, Ordering::Relaxed);
        }
        _ => {}
    });
    watch
}
