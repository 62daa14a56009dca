//! The three database engines, and which of them this machine can test.

use std::io::Write as _;
use std::sync::Once;

use crate::binaries;

/// A database engine that every case of the tests runs on.
///
/// A test over engines names them in its parameter, so that `cargo xtask test` can count its cases
/// by the `Engine__…` in their names:
/// `fn name(#[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine)`.
/// A test that makes sense on servers only uses `#[case::postgres(Engine::Postgres)]`, whose names
/// are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Engine {
    /// A file of its own for every database; always available.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
    /// A MariaDB server.
    MariaDb,
}

impl Engine {
    /// All engines, in the order in which they are reported.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::MariaDb];

    /// The name in reports: `sqlite`, `postgres` or `mariadb`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
        }
    }

    /// The scheme of this engine's URLs: `sqlite`, `postgres` or `mysql`.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::MariaDb => "mysql",
        }
    }

    /// The variable that names a running server to use, or none for SQLite.
    pub fn server_variable(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("CELLZERO_TEST_POSTGRES"),
            Self::MariaDb => Some("CELLZERO_TEST_MARIADB"),
        }
    }

    /// Whether a test can have a database on this engine here.
    pub fn available(self) -> bool {
        self.given_server().is_some() || self.missing_binary().is_none()
    }

    /// Why a private server of this engine cannot be started here, or none if it can.
    pub fn missing_binary(self) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => binaries::postgres().err(),
            Self::MariaDb => binaries::mariadb().err(),
        }
    }

    /// The URL of a running server that the environment names.
    pub(crate) fn given_server(self) -> Option<String> {
        std::env::var(self.server_variable()?).ok().filter(|url| !url.is_empty())
    }
}

/// Says once in each process which engines its tests leave out, so that a green run hides nothing.
pub(crate) fn report_left_out() {
    static REPORTED: Once = Once::new();
    REPORTED.call_once(|| {
        let left_out: Vec<String> = Engine::ALL
            .into_iter()
            .filter(|engine| engine.given_server().is_none())
            .filter_map(|engine| Some(format!("{} ({})", engine.name(), engine.missing_binary()?)))
            .collect();
        if !left_out.is_empty() {
            write_past_capture(&format!("cellzero tests: left out: {}\n", left_out.join(", ")));
        }
    });
}

/// Says that a test which needs a server of its own is left out, though the engine has a server.
pub(crate) fn report_no_private_server(engine: Engine, reason: &str) {
    static REPORTED: [Once; 3] = [const { Once::new() }; 3];
    if engine.given_server().is_some() {
        REPORTED[engine as usize].call_once(|| {
            let name = engine.name();
            write_past_capture(&format!(
                "cellzero tests: left out: private {name} servers ({reason})\n"
            ));
        });
    }
}

/// Writes to the process's standard error, also from inside a test whose output is captured.
pub(crate) fn write_past_capture(line: &str) {
    // `eprint!` would be captured and thrown away with the output of a test that passes.
    let mut stderr = std::io::stderr().lock();
    // A test run whose standard error is closed has nobody to tell, and goes on.
    let _ = stderr.write_all(line.as_bytes());
}
