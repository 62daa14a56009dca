//! Key pairs of users. A user has each name once.

use cellzero_database::DatabaseError;
use cellzero_types::KeyPair;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::ApiConnection;
use crate::schema::key_pairs;

#[derive(Queryable, Selectable)]
#[diesel(table_name = key_pairs)]
struct Row {
    id: i32,
    name: String,
    user_id: String,
    type_: String,
    fingerprint: Option<String>,
    public_key: Option<String>,
    created_at: Option<NaiveDateTime>,
}

impl From<Row> for KeyPair {
    fn from(row: Row) -> KeyPair {
        KeyPair {
            id: row.id,
            name: row.name,
            user_id: row.user_id,
            key_type: row.type_,
            fingerprint: row.fingerprint.unwrap_or_default(),
            public_key: row.public_key.unwrap_or_default(),
            created_at: row.created_at,
        }
    }
}

/// The key pairs of a user, by name. One statement.
///
/// # Errors
/// The database's.
pub fn of_user(conn: &mut ApiConnection, user_id: &str) -> Result<Vec<KeyPair>, DatabaseError> {
    let rows: Vec<Row> = key_pairs::table
        .filter(key_pairs::user_id.eq(user_id))
        .order(key_pairs::name)
        .select(Row::as_select())
        .load(conn.sql())?;
    Ok(rows.into_iter().map(KeyPair::from).collect())
}

/// A user's key pair of this name, where there is one. One statement.
///
/// # Errors
/// The database's.
pub fn find(
    conn: &mut ApiConnection,
    user_id: &str,
    name: &str,
) -> Result<Option<KeyPair>, DatabaseError> {
    let row: Option<Row> = key_pairs::table
        .filter(key_pairs::user_id.eq(user_id))
        .filter(key_pairs::name.eq(name))
        .select(Row::as_select())
        .get_result(conn.sql())
        .optional()?;
    Ok(row.map(KeyPair::from))
}

/// The public key of a user's key pair, where there is one of this name. One statement.
///
/// # Errors
/// The database's.
pub fn find_public_key(
    conn: &mut ApiConnection,
    user_id: &str,
    name: &str,
) -> Result<Option<String>, DatabaseError> {
    Ok(find(conn, user_id, name)?.map(|key| key.public_key))
}

#[derive(Insertable)]
#[diesel(table_name = key_pairs, treat_none_as_default_value = false)]
struct NewRow<'a> {
    created_at: NaiveDateTime,
    name: &'a str,
    user_id: &'a str,
    fingerprint: &'a str,
    public_key: &'a str,
    type_: &'a str,
}

/// Adds a key pair of type `ssh`. One statement.
///
/// # Errors
/// The database's; a unique violation where the user has one of this name.
pub fn insert(
    conn: &mut ApiConnection,
    (user_id, name): (&str, &str),
    (public_key, fingerprint): (&str, &str),
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row = NewRow { created_at: now, name, user_id, fingerprint, public_key, type_: "ssh" };
    diesel::insert_into(key_pairs::table).values(&row).execute(conn.sql())?;
    Ok(())
}

/// Deletes a user's key pair; says whether there was one. Instances keep the copy that they were made
/// with. One statement.
///
/// # Errors
/// The database's.
pub fn delete(conn: &mut ApiConnection, user_id: &str, name: &str) -> Result<bool, DatabaseError> {
    let known =
        key_pairs::table.filter(key_pairs::user_id.eq(user_id)).filter(key_pairs::name.eq(name));
    Ok(diesel::delete(known).execute(conn.sql())? == 1)
}
