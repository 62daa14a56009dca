//! Creates and drops the database that a URL names, on the server that it names.
//!
//! It makes an empty database and nothing in it; tables are the migration runner's. The one rule:
//! text compares and sorts by its bytes, as it does in SQLite.

use crate::any::AnyConnection;
use crate::backend::Backend;
use crate::connection::Connection;
use crate::database::{Database, Options, SchemaKind};
use crate::database_url::DatabaseUrl;
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_migrations::EmbeddedMigrations;

/// Creates the database of `url` on its server unless it is there; true if it was made. Of two
/// that create it at once, one is told so.
///
/// PostgreSQL is asked through its database `postgres`, MariaDB through `information_schema`,
/// which every user may read. A SQLite file is made by its first use, so there it does nothing.
///
/// # Errors
/// [`ErrorKind::Rejected`] when the user may not create it or its name is none; else those of
/// [`Database::run`].
pub async fn create_database(url: &DatabaseUrl, deadline: Deadline) -> Result<bool, DatabaseError> {
    let Some(name) = url.database_name().map(str::to_owned) else { return Ok(false) };
    on_server(url, "create_database", deadline, move |conn| {
        create_if_missing(conn, &name).map_err(|error| refused(error, "created", &name))
    })
    .await
}

/// Drops the database of `url` from its server with all that is in it; true if it was there.
///
/// A SQLite file is not touched: whoever made it deletes it, with its `-wal` and `-shm`.
///
/// # Errors
/// [`ErrorKind::Rejected`] when the user may not drop it, or somebody is connected to it
/// (PostgreSQL); else those of [`Database::run`].
pub async fn drop_database(url: &DatabaseUrl, deadline: Deadline) -> Result<bool, DatabaseError> {
    let Some(name) = url.database_name().map(str::to_owned) else { return Ok(false) };
    on_server(url, "drop_database", deadline, move |conn| {
        drop_if_there(conn, &name).map_err(|error| refused(error, "dropped", &name))
    })
    .await
}

/// Asks the server of `url` through the database that it always has.
async fn on_server(
    url: &DatabaseUrl,
    operation: &'static str,
    deadline: Deadline,
    work: impl FnOnce(&mut Connection<Maintenance>) -> Result<bool, DatabaseError> + Send + 'static,
) -> Result<bool, DatabaseError> {
    let options = Options {
        connections_max: 1,
        // The deadline alone bounds it: a busy server may copy its template for a while.
        statement_timeout_max: deadline.remaining(),
        ..Options::default()
    };
    let database: Database<Maintenance> = Database::new(maintenance_url(url), options);
    let once = move |conn: &mut Connection<Maintenance>| {
        let done = work(conn);
        // Nobody comes back for this connection, and a retired one is closed with a goodbye.
        conn.retire();
        done
    };
    database.run(operation, deadline, once).await
}

fn refused(error: DatabaseError, done: &str, name: &str) -> DatabaseError {
    match error.kind() {
        ErrorKind::Rejected => {
            error.with_message(format!("the database {name:?} cannot be {done}"))
        }
        _ => error,
    }
}

/// The database that a server always has. Nothing is ever migrated there.
struct Maintenance;

impl SchemaKind for Maintenance {
    const NAME: &'static str = "maintenance";
    const SCHEMA_VERSION: i64 = 0;
    const OLDEST_VERSION: i64 = 0;

    fn migrations(_backend: Backend) -> EmbeddedMigrations {
        EmbeddedMigrations::new(&[])
    }
}

fn maintenance_url(url: &DatabaseUrl) -> DatabaseUrl {
    url.with_database(match url.backend() {
        Backend::Postgres => "postgres",
        Backend::Sqlite | Backend::Mysql => "information_schema",
    })
}

fn create_if_missing<K>(conn: &mut Connection<K>, name: &str) -> Result<bool, DatabaseError> {
    // First the question: a user who may create nothing may still use what is there.
    if exists(conn, name)? {
        return Ok(false);
    }
    match conn.control(&create_statement(conn.backend(), name)) {
        Ok(()) => Ok(true),
        Err(error) if came_second(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn drop_if_there<K>(conn: &mut Connection<K>, name: &str) -> Result<bool, DatabaseError> {
    if !exists(conn, name)? {
        return Ok(false);
    }
    let statement = match conn.backend() {
        Backend::Postgres => format!("DROP DATABASE \"{}\"", name.replace('"', "\"\"")),
        Backend::Sqlite | Backend::Mysql => {
            format!("DROP DATABASE `{}`", name.replace('`', "``"))
        }
    };
    match conn.control(&statement) {
        Ok(()) => Ok(true),
        // Somebody else was faster.
        Err(_) if !exists(conn, name)? => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    there: bool,
}

fn exists<K>(conn: &mut Connection<K>, name: &str) -> QueryResult<bool> {
    let exists: Exists = match conn.sql().any() {
        AnyConnection::Sqlite(_) => return Ok(true),
        AnyConnection::Postgres(net) => diesel::sql_query(
            "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1) AS there",
        )
        .bind::<Text, _>(name)
        .get_result(net)?,
        // Its catalogue compares without regard to case, and two names may differ in that alone.
        AnyConnection::Mysql(net) => diesel::sql_query(
            "SELECT EXISTS (SELECT 1 FROM information_schema.schemata \
             WHERE BINARY schema_name = BINARY ?) AS there",
        )
        .bind::<Text, _>(name)
        .get_result(net)?,
    };
    Ok(exists.there)
}

fn create_statement(backend: Backend, name: &str) -> String {
    match backend {
        // The template that may have any encoding, since nothing is in it.
        Backend::Postgres => format!(
            "CREATE DATABASE \"{}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'",
            name.replace('"', "\"\"")
        ),
        // The first comment is run by MariaDB alone, the second by MySQL 8 alone.
        Backend::Sqlite | Backend::Mysql => format!(
            "CREATE DATABASE `{}` CHARACTER SET utf8mb4 \
             /*M! COLLATE utf8mb4_nopad_bin */ /*!80017 COLLATE utf8mb4_0900_bin */",
            name.replace('`', "``")
        ),
    }
}

/// Whether somebody else has created it since it was looked for.
fn came_second(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind, Error};
    match error {
        // The key of PostgreSQL's own list of databases, when both create at the same moment.
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => true,
        Error::DatabaseError(_, info) => {
            let text = info.message();
            text.ends_with("already exists") || text.ends_with("database exists")
        }
        _ => false,
    }
}
