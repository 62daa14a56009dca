//! Opens connections: one way for each backend, each within a deadline and set up alike.
//!
//! Alike means: UTC, READ COMMITTED, strict modes, English messages (errors are told apart by
//! their text where a driver gives nothing else), and a statement time-out on the server, so that
//! what a client gave up does not run on. The client's deadline is the precise one.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
mod sqlite;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod tls;

use crate::backend::Backend;
use crate::connection::{Connection, Opened};
use crate::database::Options;
use crate::database_url::DatabaseUrl;
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind};
use crate::tally::{Tally, count};
use std::sync::Arc;

pub(crate) use sqlite::open_in_memory;

/// Opens a connection within the deadline. It has to be called inside an operation.
pub(crate) fn connect<K>(
    url: &DatabaseUrl,
    options: &Options,
    deadline: Deadline,
    tally: &Arc<Tally>,
) -> Result<Connection<K>, DatabaseError> {
    let opened = match (url.path(), url.as_server()) {
        (Some(path), _) => sqlite::open(path, options, deadline, tally)?,
        (None, Some(server)) => match server.backend {
            #[cfg(feature = "postgres")]
            Backend::Postgres => postgres::open(server, options, deadline, tally)?,
            #[cfg(feature = "mysql")]
            Backend::Mysql => mysql::open(server, options, deadline, tally)?,
            #[allow(unreachable_patterns)]
            backend => return Err(no_driver(backend)),
        },
        (None, None) => return Err(no_driver(url.backend())),
    };
    count(&tally.connections_opened);
    Ok(Connection::new(opened, url.backend(), options.read_only, Arc::clone(tally)))
}

/// The error for a server whose driver was left out of this build.
fn no_driver(backend: Backend) -> DatabaseError {
    let message = format!("this program was built without the feature `{backend}`");
    DatabaseError::new(ErrorKind::Unreachable, message)
}

/// What every backend's `open` gives back.
type OpenResult = Result<Opened, DatabaseError>;
