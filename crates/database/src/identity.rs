//! Every database knows who it is: its kind of schema, its version, its plane and its cell.
//!
//! The table has one row, `id` 1. The migration runner writes kind and versions; [`Database::stamp`]
//! writes plane and cell once, and nothing here ever changes them. A wrong or swapped URL is then
//! an error rather than a change of somebody else's rows.

use crate::connection::Connection;
use crate::database::{Database, SchemaKind};
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind};
use crate::schema::has_table;
use crate::transaction::transaction;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use uuid::Uuid;

diesel::table! {
    /// Who this database is. One row, made by the migration runner.
    database_identity (id) {
        /// Always 1.
        id -> Integer,
        /// The name of the schema kind.
        kind -> Text,
        /// The plane it belongs to, null until it was stamped.
        plane_uuid -> Nullable<Text>,
        /// The cell it is, null for an API database.
        cell_uuid -> Nullable<Text>,
        /// The version of the schema that is in it.
        schema_version -> BigInt,
        /// The oldest binary that may use it.
        oldest_binary -> BigInt,
        /// When the row was made, UTC.
        created_at -> Nullable<Timestamp>,
        /// When it was last changed, UTC.
        updated_at -> Nullable<Timestamp>,
    }
}

/// The row's only key.
const ROW_ID: i32 = 1;

/// Whose database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The plane: one API database and its cells.
    pub plane: Uuid,
    /// The cell, or `None` for the API database.
    pub cell: Option<Uuid>,
}

/// What a database says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The version of the schema that is in it.
    pub schema_version: i64,
    /// The oldest binary that may use it.
    pub oldest_binary: i64,
    /// Whose database it is; `None` before it was stamped.
    pub identity: Option<Identity>,
}

impl Recorded {
    /// Refuses a database that is not `expected`, whatever its version.
    ///
    /// # Errors
    /// [`ErrorKind::WrongIdentity`], which names what was expected and found.
    pub fn belongs_to(&self, expected: Identity) -> Result<(), DatabaseError> {
        belongs(self.identity, expected)
    }
}

/// What [`Database::check`] expects.
pub type Expected = Identity;

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.cell {
            Some(cell) => write!(f, "cell {cell} of plane {}", self.plane),
            None => write!(f, "the API database of plane {}", self.plane),
        }
    }
}

/// The row as it is stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = database_identity)]
pub(crate) struct Row {
    pub(crate) kind: String,
    plane_uuid: Option<String>,
    cell_uuid: Option<String>,
    pub(crate) schema_version: i64,
    pub(crate) oldest_binary: i64,
}

impl Row {
    /// Whose database it is; `None` before it was stamped.
    fn identity(&self) -> Result<Option<Identity>, DatabaseError> {
        let parse = |text: &String| {
            Uuid::parse_str(text).map_err(|error| {
                DatabaseError::because(ErrorKind::WrongIdentity, error)
                    .with_message(format!("database_identity holds {text:?} where a uuid belongs"))
            })
        };
        let plane = self.plane_uuid.as_ref().map(parse).transpose()?;
        let cell = self.cell_uuid.as_ref().map(parse).transpose()?;
        Ok(plane.map(|plane| Identity { plane, cell }))
    }
}

impl<K: SchemaKind> Database<K> {
    /// Whose database it is, or `None` if it was not stamped yet.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaVersion`] for a database that was never migrated,
    /// [`ErrorKind::WrongIdentity`] for one of another kind, and those of [`Database::run`].
    pub async fn identity(&self, deadline: Deadline) -> Result<Option<Identity>, DatabaseError> {
        self.run("read_identity", deadline, |conn| require_row(conn)?.identity()).await
    }

    /// What it says of itself, whatever its version, or `None` if it was never migrated.
    ///
    /// # Errors
    /// [`ErrorKind::WrongIdentity`] for a database of another kind, and those of
    /// [`Database::run`].
    pub async fn recorded(&self, deadline: Deadline) -> Result<Option<Recorded>, DatabaseError> {
        self.run("read_recorded", deadline, |conn| recorded(conn)).await
    }

    /// Makes it the database of `identity`. The same identity again changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::WrongIdentity`] when it has another, naming both; else as
    /// [`Database::identity`].
    pub async fn stamp(&self, deadline: Deadline, identity: Identity) -> Result<(), DatabaseError> {
        self.run("stamp_identity", deadline, move |conn| {
            transaction(conn, "stamp_identity", |conn| stamp(conn, identity))
        })
        .await
    }

    /// Checks that this binary may use it and that it is the expected one.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaVersion`], which names both versions and what to do;
    /// [`ErrorKind::WrongIdentity`], which names what was expected and found; else as
    /// [`Database::identity`].
    pub async fn check(&self, deadline: Deadline, expected: Expected) -> Result<(), DatabaseError> {
        self.run("check_identity", deadline, move |conn| {
            let row = require_row(conn)?;
            check_version::<K>(&row)?;
            require(&row, expected)
        })
        .await
    }
}

/// What a database says of itself; nothing where it has no such table or no row in it.
pub(crate) fn recorded<K: SchemaKind>(
    conn: &mut Connection<K>,
) -> Result<Option<Recorded>, DatabaseError> {
    if !has_table(conn, "database_identity")? {
        return Ok(None);
    }
    let Some(row) = find_row(conn)? else { return Ok(None) };
    check_kind::<K>(&row)?;
    let (schema_version, oldest_binary) = (row.schema_version, row.oldest_binary);
    Ok(Some(Recorded { schema_version, oldest_binary, identity: row.identity()? }))
}

/// Refuses a database that is not this one.
pub(crate) fn require(row: &Row, expected: Identity) -> Result<(), DatabaseError> {
    belongs(row.identity()?, expected)
}

fn belongs(found: Option<Identity>, expected: Identity) -> Result<(), DatabaseError> {
    match found {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(wrong(expected, &found.to_string())),
        None => Err(wrong(expected, "a database that belongs to no plane yet")),
    }
}

fn wrong(expected: Identity, found: &str) -> DatabaseError {
    let message = format!("expected {expected}, found {found}");
    DatabaseError::new(ErrorKind::WrongIdentity, message)
}

fn stamp<K: SchemaKind>(conn: &mut Connection<K>, identity: Identity) -> Result<(), DatabaseError> {
    let now = conn.now();
    // The guard decides between two that stamp at once: one of them finds no row.
    let stamped = diesel::update(
        database_identity::table
            .filter(database_identity::id.eq(ROW_ID))
            .filter(database_identity::kind.eq(K::NAME))
            .filter(database_identity::plane_uuid.is_null()),
    )
    .set((
        database_identity::plane_uuid.eq(identity.plane.to_string()),
        database_identity::cell_uuid.eq(identity.cell.map(|cell| cell.to_string())),
        database_identity::updated_at.eq(now),
    ))
    .execute(conn.sql())?;
    if stamped == 1 {
        return Ok(());
    }
    match require_row(conn)?.identity()? {
        Some(found) if found == identity => Ok(()),
        Some(found) => Err(wrong(identity, &found.to_string())),
        None => Err(wrong(identity, "a row that could not be stamped")),
    }
}

/// The row, which a database of this kind has once it was migrated.
pub(crate) fn require_row<K: SchemaKind>(conn: &mut Connection<K>) -> Result<Row, DatabaseError> {
    let row = find_row(conn).map_err(|error| {
        // A table that is missing is the one refusal that this statement can meet.
        if error.kind() == ErrorKind::Rejected { never_migrated::<K>() } else { error }
    })?;
    let row = row.ok_or_else(never_migrated::<K>)?;
    check_kind::<K>(&row)?;
    Ok(row)
}

fn never_migrated<K: SchemaKind>() -> DatabaseError {
    let message = format!(
        "the database has no schema version and this binary needs {}: migrate it \
         (cellzero db sync for an API database), or correct the URL",
        K::SCHEMA_VERSION
    );
    DatabaseError::new(ErrorKind::SchemaVersion, message)
}

pub(crate) fn find_row<K>(conn: &mut Connection<K>) -> Result<Option<Row>, DatabaseError> {
    let row = database_identity::table
        .find(ROW_ID)
        .select(Row::as_select())
        .get_result(conn.sql())
        .optional()?;
    Ok(row)
}

pub(crate) fn check_kind<K: SchemaKind>(row: &Row) -> Result<(), DatabaseError> {
    if row.kind == K::NAME {
        return Ok(());
    }
    let message = format!("expected a database of kind {}, found kind {}", K::NAME, row.kind);
    Err(DatabaseError::new(ErrorKind::WrongIdentity, message))
}

fn check_version<K: SchemaKind>(row: &Row) -> Result<(), DatabaseError> {
    let (schema, oldest) = (row.schema_version, row.oldest_binary);
    let what_to_do = if schema < K::SCHEMA_VERSION {
        "migrate the database with this binary before starting it (cellzero db sync)"
    } else if K::SCHEMA_VERSION < oldest {
        "use a newer binary"
    } else {
        return Ok(());
    };
    let message = format!(
        "the database has schema version {schema} for binaries of version {oldest} and newer, and \
         this binary has version {} and needs that schema or a newer one that admits it: {what_to_do}",
        K::SCHEMA_VERSION
    );
    Err(DatabaseError::new(ErrorKind::SchemaVersion, message))
}

/// Records what the migrations have made. A binary that is older than the schema changes nothing.
pub(crate) fn record_version<K: SchemaKind>(
    conn: &mut Connection<K>,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let version = (
        database_identity::schema_version.eq(K::SCHEMA_VERSION),
        database_identity::oldest_binary.eq(K::OLDEST_VERSION),
        database_identity::updated_at.eq(now),
    );
    let Some(row) = find_row(conn)? else {
        diesel::insert_into(database_identity::table)
            .values((
                database_identity::id.eq(ROW_ID),
                database_identity::kind.eq(K::NAME),
                database_identity::created_at.eq(now),
                version,
            ))
            .execute(conn.sql())?;
        return Ok(());
    };
    check_kind::<K>(&row)?;
    diesel::update(
        database_identity::table
            .filter(database_identity::id.eq(ROW_ID))
            .filter(database_identity::schema_version.lt(K::SCHEMA_VERSION)),
    )
    .set(version)
    .execute(conn.sql())?;
    Ok(())
}
