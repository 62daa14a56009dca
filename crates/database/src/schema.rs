//! A database's tables as its own catalogue lists them, in a form that all backends share.
//!
//! Two databases of one kind have equal [`Schema`]s, on whatever backend, so a changed column, a
//! missing index or another nullability is found and named. Names of indexes and constraints do
//! not count, their columns do. Defaults, foreign keys and collations are left out.

mod difference;
mod read;

use crate::backend::Backend;
use crate::connect::open_in_memory;
use crate::database::{Database, SchemaKind};
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind};
use crate::identity::find_row;
use data_encoding::HEXLOWER;
use diesel_migrations::MigrationHarness;
pub use difference::Difference;
pub(crate) use read::{MIGRATIONS_TABLE, has_table, read, read_sqlite};
use sha2::{Digest, Sha256};
use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// All tables of a database, except for the list of migrations that were run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The tables by name.
    pub tables: BTreeMap<String, Table>,
}

/// One table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns by name.
    pub columns: BTreeMap<String, Column>,
    /// The columns of each unique key in their order, the primary key too.
    pub unique: BTreeSet<Vec<String>>,
    /// The columns of each other index in their order, without those that equal a unique key.
    pub indexes: BTreeSet<Vec<String>>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether it may be null. A column of the primary key may not, whatever SQLite says.
    pub nullable: bool,
}

/// What a column holds, the same for all backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// A whole number of 32 bits.
    Integer,
    /// A whole number of 64 bits.
    BigInt,
    /// True or false.
    Boolean,
    /// A number with a fraction.
    Double,
    /// Text, with its greatest length in characters if it has one.
    Text(Option<u32>),
    /// A point in time without a zone.
    Timestamp,
    /// Bytes of any length.
    Binary,
    /// A type that this project does not use, in the backend's own words.
    Other(String),
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnKind::Integer => f.write_str("INTEGER"),
            ColumnKind::BigInt => f.write_str("BIGINT"),
            ColumnKind::Boolean => f.write_str("BOOLEAN"),
            ColumnKind::Double => f.write_str("DOUBLE"),
            ColumnKind::Text(Some(length)) => write!(f, "VARCHAR({length})"),
            ColumnKind::Text(None) => f.write_str("TEXT"),
            ColumnKind::Timestamp => f.write_str("TIMESTAMP"),
            ColumnKind::Binary => f.write_str("BINARY"),
            ColumnKind::Other(words) => f.write_str(words),
        }
    }
}

impl ColumnKind {
    /// Reads a type in the words of any of the backends.
    fn parse(words: &str) -> ColumnKind {
        let lower = words.trim().to_ascii_lowercase();
        let (name, length) = match lower.split_once('(') {
            Some((name, rest)) => match rest.strip_suffix(')') {
                Some(length) => (name.trim(), length.trim().parse::<u32>().ok()),
                // Words behind the bracket change the type: `int(10) unsigned`.
                None => return ColumnKind::Other(words.trim().to_owned()),
            },
            None => (lower.as_str(), None),
        };
        match (name, length) {
            ("tinyint", Some(1)) | ("boolean" | "bool", _) => ColumnKind::Boolean,
            // MariaDB writes a display width behind its numbers, which means nothing.
            ("integer" | "int", _) => ColumnKind::Integer,
            ("bigint", _) => ColumnKind::BigInt,
            ("double" | "double precision" | "float" | "real", _) => ColumnKind::Double,
            ("varchar" | "character varying", Some(_)) => ColumnKind::Text(length),
            ("text" | "mediumtext" | "longtext" | "character varying", _) => ColumnKind::Text(None),
            ("datetime" | "timestamp" | "timestamp without time zone", _) => ColumnKind::Timestamp,
            ("blob" | "bytea" | "mediumblob" | "longblob", _) => ColumnKind::Binary,
            _ => ColumnKind::Other(words.trim().to_owned()),
        }
    }
}

impl Schema {
    /// The first difference, in the order of table and column names, or `None` if they are equal.
    /// `self` is what is expected and `found` what was found.
    pub fn first_difference(&self, found: &Schema) -> Option<Difference> {
        difference::first(self, found)
    }

    /// SHA-256 over all of it, in hexadecimal. Equal schemas have equal fingerprints, whatever
    /// their backends.
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.to_string().as_bytes()))
    }

    /// Drops the indexes that tell nothing beyond a unique key of the same columns; which of
    /// these exist differs between backends.
    fn without_redundant_indexes(mut self) -> Schema {
        for table in self.tables.values_mut() {
            let unique = &table.unique;
            table.indexes.retain(|columns| !unique.contains(columns));
        }
        self
    }
}

impl fmt::Display for Schema {
    /// One line for each table, column and key, in a fixed order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, table) in &self.tables {
            writeln!(f, "table {name}")?;
            for (column, Column { kind, nullable }) in &table.columns {
                let null = if *nullable { "null" } else { "not null" };
                writeln!(f, "  column {column} {kind} {null}")?;
            }
            for columns in &table.unique {
                writeln!(f, "  unique ({})", columns.join(", "))?;
            }
            for columns in &table.indexes {
                writeln!(f, "  index ({})", columns.join(", "))?;
            }
        }
        Ok(())
    }
}

/// The expected schemas of the kinds that were asked for. Each is made once for each process.
static EXPECTED: Mutex<Option<HashMap<TypeId, Arc<Schema>>>> = Mutex::new(None);

impl<K: SchemaKind> Database<K> {
    /// The schema that the database has now.
    ///
    /// # Errors
    /// Those of [`Database::run`].
    pub async fn schema(&self, deadline: Deadline) -> Result<Schema, DatabaseError> {
        self.run("read_schema", deadline, |conn| read(conn)).await
    }

    /// The schema that this binary's migrations make: that of a SQLite database in memory which
    /// they were run on. It is made once, which takes some milliseconds.
    ///
    /// # Errors
    /// [`ErrorKind::Migration`] when they cannot be run, which is a fault of this binary.
    pub fn expected_schema() -> Result<Arc<Schema>, DatabaseError> {
        let mut known = EXPECTED.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(HashMap::new);
        if let Some(schema) = known.get(&TypeId::of::<K>()) {
            return Ok(Arc::clone(schema));
        }
        let mut sqlite = open_in_memory()?;
        sqlite
            .run_pending_migrations(K::migrations(Backend::Sqlite))
            .map_err(|error| DatabaseError::because(ErrorKind::Migration, error))?;
        let schema = Arc::new(read::read_sqlite(&mut sqlite)?);
        known.insert(TypeId::of::<K>(), Arc::clone(&schema));
        Ok(schema)
    }

    /// Compares the database with [`Database::expected_schema`].
    ///
    /// A newer schema differs on purpose and is not compared; whether this binary may use it is for
    /// [`Database::check`] to say.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaDrift`], whose text names the first difference; else those of
    /// [`Database::schema`] and [`Database::expected_schema`].
    pub async fn check_drift(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        let found = self
            .run("check_drift", deadline, |conn| {
                let newer = has_table(conn, "database_identity")?
                    && find_row(conn)?.is_some_and(|row| row.schema_version > K::SCHEMA_VERSION);
                if newer { Ok::<_, DatabaseError>(None) } else { read(conn).map(Some) }
            })
            .await?;
        let Some(found) = found else { return Ok(()) };
        match Self::expected_schema()?.first_difference(&found) {
            None => Ok(()),
            Some(difference) => {
                let message = format!("{} has drifted: {difference}", self.url());
                Err(DatabaseError::new(ErrorKind::SchemaDrift, message))
            }
        }
    }
}

#[cfg(test)]
mod tests;
