//! The state of a database's schema beside what this binary makes: which version, whose, and whether
//! it has drifted. It only reads.

use crate::backend::Backend;
use crate::connect::open_in_memory;
use crate::connection::Connection;
use crate::database::{Database, SchemaKind};
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind};
use crate::identity::{Recorded, recorded};
use crate::schema::{Difference, MIGRATIONS_TABLE, Schema, has_table, read, read_sqlite};
use diesel::migration::{Migration, MigrationConnection as _, MigrationSource};
use diesel::prelude::*;
use diesel::sqlite::Sqlite;
use diesel_migrations::MigrationHarness as _;
use std::collections::BTreeSet;

diesel::table! {
    /// What the migration runner has run.
    __diesel_schema_migrations (version) {
        /// The number at the head of a migration's name.
        version -> Text,
    }
}

/// How a database and this binary go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It was never migrated.
    Empty,
    /// A migration of this binary has not been run, or not to its end.
    Behind,
    /// It has the schema of this binary.
    Equal,
    /// It has a newer schema, which admits this binary.
    Newer,
    /// It has a newer schema, which this binary may not use.
    TooNew,
}

/// What is known of the schema of one database.
#[derive(Clone, Debug)]
pub struct DatabaseState {
    /// What it says of itself, or `None` if it was never migrated.
    pub recorded: Option<Recorded>,
    /// The schema version that this binary makes.
    pub binary_version: i64,
    /// How the two go together.
    pub fit: Fit,
    /// The first difference from what the migrations make that were run on it. A newer schema is
    /// not compared, since this binary does not know what it should be.
    pub drift: Option<Difference>,
    /// The fingerprint of its schema.
    pub fingerprint: String,
}

impl<K: SchemaKind> Database<K> {
    /// The state of its schema. Six statements, three for an empty database. It writes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::WrongIdentity`] for a database of another kind, those of
    /// [`Database::expected_schema`], and those of [`Database::run`].
    pub async fn state(&self, deadline: Deadline) -> Result<DatabaseState, DatabaseError> {
        let (recorded, ran, found) = self
            .run("read_state", deadline, |conn| {
                Ok::<_, DatabaseError>((recorded(conn)?, ran(conn)?, read(conn)?))
            })
            .await?;
        let pending = migrations::<K>()?.into_iter().any(|one| !ran.contains(&version(&*one)));
        let expected = expected_after::<K>(&ran)?;
        let drift = expected.and_then(|expected| expected.first_difference(&found));
        let fit = match recorded {
            None => Fit::Empty,
            Some(of) if K::SCHEMA_VERSION < of.oldest_binary => Fit::TooNew,
            Some(of) if of.schema_version > K::SCHEMA_VERSION => Fit::Newer,
            Some(of) if of.schema_version < K::SCHEMA_VERSION || pending => Fit::Behind,
            Some(_) => Fit::Equal,
        };
        let (binary_version, fingerprint) = (K::SCHEMA_VERSION, found.fingerprint());
        Ok(DatabaseState { recorded, binary_version, fit, drift, fingerprint })
    }
}

/// The numbers of the migrations that were run.
fn ran<K>(conn: &mut Connection<K>) -> Result<BTreeSet<String>, DatabaseError> {
    if !has_table(conn, MIGRATIONS_TABLE)? {
        return Ok(BTreeSet::new());
    }
    let table = __diesel_schema_migrations::table.select(__diesel_schema_migrations::version);
    let versions: Vec<String> = table.load(conn.sql())?;
    Ok(versions.into_iter().collect())
}

type Migrations = Vec<Box<dyn Migration<Sqlite>>>;

fn migrations<K: SchemaKind>() -> Result<Migrations, DatabaseError> {
    let source = K::migrations(Backend::Sqlite);
    MigrationSource::<Sqlite>::migrations(&source)
        .map_err(|error| DatabaseError::because(ErrorKind::Migration, error))
}

fn version(migration: &dyn Migration<Sqlite>) -> String {
    migration.name().version().to_string()
}

/// The schema after these migrations; none where this binary does not know one of them.
fn expected_after<K: SchemaKind>(ran: &BTreeSet<String>) -> Result<Option<Schema>, DatabaseError> {
    let mut known = migrations::<K>()?;
    known.sort_unstable_by_key(|one| version(&**one));
    known.retain(|one| ran.contains(&version(&**one)));
    if known.len() < ran.len() {
        return Ok(None);
    }
    let mut sqlite = open_in_memory()?;
    sqlite.setup()?;
    for migration in known {
        sqlite
            .run_migration(&*migration)
            .map_err(|error| DatabaseError::because(ErrorKind::Migration, error))?;
    }
    Ok(Some(read_sqlite(&mut sqlite)?))
}
