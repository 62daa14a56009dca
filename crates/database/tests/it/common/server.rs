//! A server of this program's own, which a test may stop, freeze and look into.
//!
//! One test at a time has it, so that what it counts there is its own.

use super::Fresh;
use cellzero_test_support::{Engine, PrivateServer, ServerOptions, private};
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The server for as long as one test needs it.
pub struct Held(MutexGuard<'static, PrivateServer>);

/// The server of this engine, running; none where the engine is left out.
pub fn held(engine: Engine) -> Option<Held> {
    static POSTGRES: OnceLock<Option<Mutex<PrivateServer>>> = OnceLock::new();
    static MARIADB: OnceLock<Option<Mutex<PrivateServer>>> = OnceLock::new();
    let slot = match engine {
        Engine::Sqlite => return None,
        Engine::Postgres => &POSTGRES,
        Engine::MariaDb => &MARIADB,
    };
    let server = slot.get_or_init(|| private(engine, ServerOptions::default()).map(Mutex::new));
    // A test that failed has left it in some state, and that is put right here.
    let mut guard = server.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
    if guard.pid().is_none() {
        guard.start().unwrap();
    }
    Some(Held(guard))
}

impl Deref for Held {
    type Target = PrivateServer;

    fn deref(&self) -> &PrivateServer {
        &self.0
    }
}

impl Held {
    /// A new database on it.
    pub fn fresh(&self) -> Fresh {
        Fresh::of(self.0.create_database("held").unwrap())
    }

    /// Freezes it for as long as the returned value lives.
    pub fn freeze(&self) -> Frozen<'_> {
        self.0.pause().unwrap();
        Frozen(&self.0)
    }

    pub fn stop(&mut self) {
        self.0.stop().unwrap();
    }

    pub fn start(&mut self) {
        self.0.start().unwrap();
    }

    /// How many connections of this process to it are open, by the system's own list.
    pub fn sockets(&self) -> usize {
        const ESTABLISHED: &str = "01";
        let list = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let remote = format!(":{:04X}", self.0.port());
        let of_it = |line: &&str| {
            let mut fields = line.split_whitespace().skip(2);
            fields.next().is_some_and(|address| address.ends_with(&remote))
                && fields.next() == Some(ESTABLISHED)
        };
        list.lines().filter(of_it).count()
    }
}

/// The server does nothing while this lives.
pub struct Frozen<'server>(&'server PrivateServer);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // A panic while a test fails would hide the test's own.
        let _ = self.0.resume();
    }
}
