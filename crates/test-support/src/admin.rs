//! Statements about a server, on connections that are kept: to make one costs more than most
//! statements, and a test makes and drops several databases.

use std::sync::{Mutex, PoisonError};

use crate::server::{self, Server};
use crate::{Engine, Session, sql};

/// The connections to the server that all tests of a process share; nobody stops that one.
static KEPT: [Mutex<Vec<Session>>; 2] = [const { Mutex::new(Vec::new()) }; 2];

/// A way to the database that a server always has.
#[derive(Debug)]
pub(crate) struct Admin<'a> {
    server: &'a Server,
    kept: Option<&'static Mutex<Vec<Session>>>,
}

impl<'a> Admin<'a> {
    pub(crate) fn of(server: &'a Server) -> Admin<'a> {
        let kept = match server.engine() {
            Engine::Sqlite => None,
            Engine::Postgres => Some(&KEPT[0]),
            Engine::MariaDb => Some(&KEPT[1]),
        };
        Admin { server, kept: kept.filter(|_| server::is_shared(server)) }
    }

    /// Runs one statement.
    pub(crate) fn query(&self, text: &str) -> anyhow::Result<Vec<sql::Row>> {
        let (engine, url) = (self.server.engine(), self.server.admin_url());
        let Some(kept) = self.kept else { return sql::query(engine, &url, text) };
        let idle = kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let session = idle.unwrap_or_else(|| Session::open(engine, &url));
        let answer = session.query(text);
        // One that has lost its connection would fail the next as well.
        if answer.is_ok() {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
        answer
    }
}
