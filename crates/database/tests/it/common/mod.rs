//! A small schema of its own for the tests of this crate, and databases that have it.

// The schema's table is public in a binary, which nobody links to.
#![allow(unreachable_pub)]

pub mod server;

use cellzero_database::{
    Backend, Connection, Database, DatabaseError, DatabaseUrl, Deadline, EmbeddedMigrations,
    Options, SchemaKind,
};
use cellzero_test_support::{Engine, TestDatabase, create_database};
use diesel::prelude::*;
use diesel_migrations::embed_migrations;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// The three trees of one folder.
macro_rules! trees {
    ($($(#[$doc:meta])* $name:ident: $sqlite:literal, $postgres:literal, $mysql:literal;)*) => {$(
        $(#[$doc])*
        fn $name(backend: Backend) -> EmbeddedMigrations {
            const SQLITE: EmbeddedMigrations = embed_migrations!($sqlite);
            const POSTGRES: EmbeddedMigrations = embed_migrations!($postgres);
            const MYSQL: EmbeddedMigrations = embed_migrations!($mysql);
            match backend {
                Backend::Sqlite => SQLITE,
                Backend::Postgres => POSTGRES,
                Backend::Mysql => MYSQL,
            }
        }
    )*};
}

trees! {
    whole: "tests/migrations/sqlite", "tests/migrations/postgres", "tests/migrations/mysql";
    /// One further migration, whose second statement is refused.
    broken: "tests/migrations-broken/sqlite", "tests/migrations-broken/postgres",
        "tests/migrations-broken/mysql";
    /// The same one as it should be.
    mended: "tests/migrations-mended/sqlite", "tests/migrations-mended/postgres",
        "tests/migrations-mended/mysql";
}

/// Declares kinds of schema: name, version, oldest binary, migrations.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident:
        $name:literal, $version:literal, $oldest:literal, $migrations:ident;)*) => {$(
        $(#[$doc])*
        pub struct $kind;

        impl SchemaKind for $kind {
            const NAME: &'static str = $name;
            const SCHEMA_VERSION: i64 = $version;
            const OLDEST_VERSION: i64 = $oldest;

            fn migrations(backend: Backend) -> EmbeddedMigrations {
                $migrations(backend)
            }
        }
    )*};
}

kinds! {
    /// What the tests use.
    Things: "things", 2, 1, whole;
    /// The binary of the version before.
    OlderThings: "things", 1, 1, whole;
    /// The binary of the next version, whose schema the older ones cannot use.
    NewerThings: "things", 3, 3, whole;
    /// A next version whose migration has a mistake in it.
    BrokenThings: "things", 3, 1, broken;
    /// The same version without the mistake.
    MendedThings: "things", 3, 1, mended;
    /// The schema of another database.
    OtherKind: "other", 2, 1, whole;
}

diesel::table! {
    things (id) {
        id -> Integer,
        uuid -> Text,
        name -> Nullable<Text>,
        amount -> BigInt,
        ratio -> Nullable<Double>,
        enabled -> Nullable<Bool>,
        body -> Nullable<Text>,
        parent_id -> Nullable<Integer>,
        created_at -> Nullable<Timestamp>,
    }
}

/// A deadline that no healthy operation comes near.
pub fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

pub fn within(milliseconds: u64) -> Deadline {
    Deadline::after(Duration::from_millis(milliseconds))
}

/// A new database that goes away with it.
pub struct Fresh {
    pub url: DatabaseUrl,
    /// The way to it past the code under test.
    pub outside: Arc<TestDatabase>,
}

impl Fresh {
    /// An empty one, or none where the engine is left out.
    pub fn new(engine: Engine) -> Option<Fresh> {
        create_database(engine, "database").map(Fresh::of)
    }

    /// The same on a server of the test's own.
    pub fn of(outside: TestDatabase) -> Fresh {
        let url = DatabaseUrl::parse(outside.url()).unwrap();
        Fresh { url, outside: Arc::new(outside) }
    }

    /// Another handle to it, with a pool of its own.
    pub fn open_as<K: SchemaKind>(&self, options: Options) -> Database<K> {
        Database::new(self.url.clone(), options)
    }

    pub fn open(&self) -> Database<Things> {
        self.open_as(Options::default())
    }

    /// One with the tables of [`Things`] in it.
    pub async fn migrated(engine: Engine) -> Option<(Fresh, Database<Things>)> {
        let fresh = Fresh::new(engine)?;
        let database = fresh.open();
        database.migrate(soon()).await.unwrap();
        Some((fresh, database))
    }
}

pub type Outcome<T = ()> = Result<T, DatabaseError>;

pub fn insert(conn: &mut Connection<Things>, uuid: &str, amount: i64) -> Outcome {
    diesel::insert_into(things::table)
        .values((things::uuid.eq(uuid), things::amount.eq(amount)))
        .execute(conn.sql())?;
    Ok(())
}

/// Runs statements that no query builder is wanted for.
pub fn batch(conn: &mut Connection<Things>, sql: &str) -> Outcome {
    Ok(diesel::connection::SimpleConnection::batch_execute(conn.sql(), sql)?)
}

/// The uuids of all rows, in their order.
pub async fn stored(database: &Database<Things>) -> Vec<String> {
    let read = |conn: &mut Connection<Things>| -> Outcome<Vec<String>> {
        Ok(things::table.select(things::uuid).order(things::uuid).load(conn.sql())?)
    };
    database.run("read_uuids", soon(), read).await.unwrap()
}

/// A point at which work waits for the test, so that no test has to guess how long something takes.
pub fn gate() -> (Gate, Gatekeeper) {
    let (arrived, arrivals) = mpsc::channel();
    let closed = Arc::new(Semaphore::new(0));
    (Gate { arrived, closed: Arc::clone(&closed) }, Gatekeeper { arrivals, closed })
}

/// The side of the work, which may come here many times; the gate stays open once it was opened.
pub struct Gate {
    arrived: mpsc::Sender<()>,
    closed: Arc<Semaphore>,
}

impl Gate {
    pub fn pass(&self) {
        let _ = self.arrived.send(());
        // It has no room ever, and fails once it is open.
        let _ = cellzero_database::wait(self.closed.acquire());
    }
}

/// The side of the test. Dropping it opens the gate.
pub struct Gatekeeper {
    arrivals: mpsc::Receiver<()>,
    closed: Arc<Semaphore>,
}

impl Gatekeeper {
    /// Waits until the work has come to the gate.
    pub fn wait(&self) {
        self.arrivals.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    pub fn open(self) {
        drop(self);
    }
}

impl Drop for Gatekeeper {
    fn drop(&mut self) {
        self.closed.close();
    }
}

/// Waits for what another thread or the server does in its own time.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "after 10 s it is still not so that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
