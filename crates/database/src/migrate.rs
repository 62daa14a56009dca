//! The migration runner: one for every kind of schema and every backend.
//!
//! Two that run at once take turns: by a lock of the server's on PostgreSQL and MariaDB, and by
//! one transaction round everything on SQLite. Whoever comes second finds nothing left to do.

use crate::any::AnyConnection;
use crate::backend::Backend;
use crate::connection::Connection;
use crate::database::{Database, SchemaKind};
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind, classify_text};
use crate::identity::{Identity, check_kind, find_row, record_version, require, require_row};
use crate::schema::{MIGRATIONS_TABLE, has_table, read};
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Nullable, Text};
use diesel_migrations::MigrationHarness;

/// The name of the lock on both servers. It is one for each database; on MariaDB the database's
/// name is added, since locks are shared by all databases of a server there.
const LOCK_NAME: &str = "cellzero_migrate";

/// The number of the lock on PostgreSQL: "cellzero" in ASCII.
const LOCK_NUMBER: i64 = 0x6365_6c6c_7a65_726f;

/// What a migration found and left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The schema version before, `None` for an empty database.
    pub before: Option<i64>,
    /// The schema version now.
    pub after: i64,
}

impl<K: SchemaKind> Database<K> {
    /// Brings the schema to this binary's version and records it. What is there already stays;
    /// a database that a newer binary has migrated is left as it is.
    ///
    /// The deadline covers all of it, and the server's own time-out of statements is set to it.
    ///
    /// # Errors
    /// [`ErrorKind::Migration`] when a migration fails; run it again once the cause is gone.
    /// [`ErrorKind::WrongIdentity`] for a database of another kind or of another program, before
    /// anything is changed.
    /// [`ErrorKind::DeadlineExceeded`] when another process migrates until the deadline. Else
    /// those of [`Database::run`].
    pub async fn migrate(&self, deadline: Deadline) -> Result<Migrated, DatabaseError> {
        self.run("migrate", deadline, |conn| migrate(conn, None)).await
    }

    /// The same, but only where the database was stamped as `expected` before: nothing of another
    /// plane or cell is changed, and no empty database takes the place of one that was lost.
    ///
    /// # Errors
    /// As [`Database::migrate`]; [`ErrorKind::WrongIdentity`] where it is another's or was never
    /// stamped, and [`ErrorKind::SchemaVersion`] where it was never migrated.
    pub async fn migrate_as(
        &self,
        deadline: Deadline,
        expected: Identity,
    ) -> Result<Migrated, DatabaseError> {
        self.run("migrate", deadline, move |conn| migrate(conn, Some(expected))).await
    }
}

/// A row with one number, by the name `value`.
#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Nullable<BigInt>)]
    value: Option<i64>,
}

fn migrate<K: SchemaKind>(
    conn: &mut Connection<K>,
    expected: Option<Identity>,
) -> Result<Migrated, DatabaseError> {
    match conn.backend() {
        Backend::Sqlite => migrate_in_one_transaction(conn, expected),
        Backend::Postgres | Backend::Mysql => migrate_on_server(conn, expected),
    }
}

fn migrate_on_server<K: SchemaKind>(
    conn: &mut Connection<K>,
    expected: Option<Identity>,
) -> Result<Migrated, DatabaseError> {
    // This connection is not used again, so its changed time-out and its lock end with it,
    // whatever happens in between.
    let result = extend_statement_timeout(conn)
        .and_then(|()| lock(conn))
        .and_then(|()| migrate_locked(conn, expected));
    conn.retire();
    result
}

/// Diesel's own transaction manager, because the runner opens savepoints through it.
fn migrate_in_one_transaction<K: SchemaKind>(
    conn: &mut Connection<K>,
    expected: Option<Identity>,
) -> Result<Migrated, DatabaseError> {
    begin(conn)?;
    let result = migrate_locked(conn, expected);
    let AnyConnection::Sqlite(sqlite) = conn.sql().any() else { return result };
    if result.is_ok() {
        AnsiTransactionManager::commit_transaction(sqlite)?;
    } else if let Err(error) = AnsiTransactionManager::rollback_transaction(sqlite) {
        // It never hides the first error. Without the connection SQLite rolls back by itself.
        tracing::debug!(%error, "a failed migration could not be rolled back");
        conn.give_up();
    }
    result
}

fn begin<K>(conn: &mut Connection<K>) -> Result<(), DatabaseError> {
    let AnyConnection::Sqlite(sqlite) = conn.sql().any() else { return Ok(()) };
    Ok(AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN IMMEDIATE")?)
}

/// A migration may take longer than any other statement, but not longer than the deadline.
fn extend_statement_timeout<K>(conn: &mut Connection<K>) -> Result<(), DatabaseError> {
    let milliseconds = conn.deadline().remaining_milliseconds().max(1);
    let seconds = milliseconds.div_ceil(1000);
    let statement = match conn.backend() {
        Backend::Sqlite => return Ok(()),
        Backend::Postgres => format!("SET statement_timeout = {milliseconds}"),
        Backend::Mysql => format!(
            "SET SESSION lock_wait_timeout = {seconds} /*M! , max_statement_time = {seconds} */"
        ),
    };
    Ok(conn.control(&statement)?)
}

fn lock<K>(conn: &mut Connection<K>) -> Result<(), DatabaseError> {
    let seconds = conn.deadline().remaining().as_secs_f64();
    let got = match conn.sql().any() {
        AnyConnection::Sqlite(_) => return Ok(()),
        AnyConnection::Postgres(net) => {
            // It waits until it gets the lock or the statement's time is up.
            diesel::sql_query("SELECT 1::bigint AS value FROM (SELECT pg_advisory_lock($1)) AS l")
                .bind::<BigInt, _>(LOCK_NUMBER)
                .get_result::<Value>(net)?
                .value
        }
        AnyConnection::Mysql(net) => {
            diesel::sql_query("SELECT GET_LOCK(CONCAT(?, '.', SHA1(DATABASE())), ?) AS value")
                .bind::<Text, _>(LOCK_NAME)
                .bind::<Double, _>(seconds)
                .get_result::<Value>(net)?
                .value
        }
    };
    if got == Some(1) {
        return Ok(());
    }
    let message = "another process was migrating the database until the deadline";
    Err(DatabaseError::new(ErrorKind::DeadlineExceeded, message))
}

fn migrate_locked<K: SchemaKind>(
    conn: &mut Connection<K>,
    expected: Option<Identity>,
) -> Result<Migrated, DatabaseError> {
    if let Some(expected) = expected {
        require(&require_row(conn)?, expected)?;
    }
    // A URL that leads to another kind of database has to be found before its tables are mixed.
    let found = match has_table(conn, "database_identity")? {
        true => find_row(conn)?,
        false => None,
    };
    found.as_ref().map(check_kind::<K>).transpose()?;
    refuse_foreign(conn)?;
    run_pending(conn).map_err(|error| migration_failed(conn, error))?;
    let now = conn.now();
    record_version(conn, now)?;
    let before = found.map(|row| row.schema_version);
    Ok(Migrated { before, after: before.unwrap_or_default().max(K::SCHEMA_VERSION) })
}

fn run_pending<K: SchemaKind>(
    conn: &mut Connection<K>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let migrations = K::migrations(conn.backend());
    macro_rules! run {
        ($c:ident) => {{
            $c.set_in_steps(true);
            let ran = $c.run_pending_migrations(migrations).map(drop);
            $c.set_in_steps(false);
            ran
        }};
    }
    crate::each!(conn.sql(), c => run!(c))
}

/// Refuses a database that has tables and none of them from this runner: it belongs to another
/// program. The list of migrations is the first table that the runner makes.
fn refuse_foreign<K>(conn: &mut Connection<K>) -> Result<(), DatabaseError> {
    if has_table(conn, MIGRATIONS_TABLE)? {
        return Ok(());
    }
    let Some((table, _)) = read(conn)?.tables.pop_first() else { return Ok(()) };
    let message = format!(
        "the database has tables of another program ({table}) and no list of migrations: give an \
         empty database, or correct the URL"
    );
    Err(DatabaseError::new(ErrorKind::WrongIdentity, message))
}

/// What the runner's error means. Its type is private and keeps the database's own error in its
/// text alone.
fn migration_failed<K>(
    conn: &Connection<K>,
    error: Box<dyn std::error::Error + Send + Sync>,
) -> DatabaseError {
    let kind = match classify_text(&error.to_string()) {
        _ if conn.is_broken() && conn.deadline().has_passed() => ErrorKind::DeadlineExceeded,
        _ if conn.is_broken() => ErrorKind::ConnectionLost,
        ErrorKind::Rejected => ErrorKind::Migration,
        kind => kind,
    };
    DatabaseError::because(kind, error)
}
