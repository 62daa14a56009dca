//! Key pairs, as far as a request may name one.

use cellzero_database::DatabaseError;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::ApiConnection;
use crate::schema::key_pairs;

/// The public key of a user's key pair, where there is one of this name. One statement.
///
/// # Errors
/// The database's.
pub fn find_public_key(
    conn: &mut ApiConnection,
    user_id: &str,
    name: &str,
) -> Result<Option<String>, DatabaseError> {
    let key: Option<Option<String>> = key_pairs::table
        .filter(key_pairs::user_id.eq(user_id))
        .filter(key_pairs::name.eq(name))
        .select(key_pairs::public_key)
        .get_result(conn.sql())
        .optional()?;
    Ok(key.map(Option::unwrap_or_default))
}

#[derive(Insertable)]
#[diesel(table_name = key_pairs, treat_none_as_default_value = false)]
struct NewRow<'a> {
    created_at: NaiveDateTime,
    name: &'a str,
    user_id: &'a str,
    fingerprint: Option<&'a str>,
    public_key: &'a str,
    type_: &'a str,
}

/// Adds a key pair of type `ssh`. One statement.
///
/// # Errors
/// The database's; a unique violation where the user has one of this name.
pub fn insert(
    conn: &mut ApiConnection,
    user_id: &str,
    name: &str,
    public_key: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row =
        NewRow { created_at: now, name, user_id, fingerprint: None, public_key, type_: "ssh" };
    diesel::insert_into(key_pairs::table).values(&row).execute(conn.sql())?;
    Ok(())
}
