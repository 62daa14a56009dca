//! A small schema of its own for the tests of this crate.

// Each test file uses another part of it, and none of them is a library.
#![allow(dead_code, unreachable_pub, missing_docs)]

use cellzero_database::{
    Backend, Database, DatabaseError, DatabaseUrl, Deadline, EmbeddedMigrations, Options,
    SchemaKind,
};
use diesel_migrations::embed_migrations;
use std::time::Duration;
use tempfile::TempDir;

const SQLITE: EmbeddedMigrations = embed_migrations!("tests/migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("tests/migrations/postgres");
const MYSQL: EmbeddedMigrations = embed_migrations!("tests/migrations/mysql");

fn migrations(backend: Backend) -> EmbeddedMigrations {
    match backend {
        Backend::Sqlite => SQLITE,
        Backend::Postgres => POSTGRES,
        Backend::Mysql => MYSQL,
    }
}

/// Declares kinds of schema that differ in name and versions alone.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident: $name:literal, $version:literal, $oldest:literal;)*) => {$(
        $(#[$doc])*
        pub struct $kind;

        impl SchemaKind for $kind {
            const NAME: &'static str = $name;
            const SCHEMA_VERSION: i64 = $version;
            const OLDEST_VERSION: i64 = $oldest;

            fn migrations(backend: Backend) -> EmbeddedMigrations {
                migrations(backend)
            }
        }
    )*};
}

kinds! {
    /// What the tests use.
    Things: "things", 2, 1;
    /// The binary of the version before.
    OlderThings: "things", 1, 1;
    /// The binary of the next version, whose schema the older ones cannot use.
    NewerThings: "things", 3, 3;
    /// The schema of another database.
    OtherKind: "other", 2, 1;
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
    _directory: TempDir,
}

impl Fresh {
    /// An empty one.
    pub fn new(backend: Backend) -> Fresh {
        assert_eq!(backend, Backend::Sqlite, "servers come with cellzero-test-support");
        let directory = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::sqlite(directory.path().join("things.sqlite")).unwrap();
        Fresh { url, _directory: directory }
    }

    /// Another handle to it, with a pool of its own.
    pub fn open_as<K: SchemaKind>(&self, options: Options) -> Database<K> {
        Database::new(self.url.clone(), options)
    }

    pub fn open(&self) -> Database<Things> {
        self.open_as(Options::default())
    }

    /// One with the tables of [`Things`] in it.
    pub async fn migrated(backend: Backend) -> (Fresh, Database<Things>) {
        let fresh = Fresh::new(backend);
        let database = fresh.open();
        database.migrate(soon()).await.unwrap();
        (fresh, database)
    }
}

pub type Outcome<T = ()> = Result<T, DatabaseError>;
