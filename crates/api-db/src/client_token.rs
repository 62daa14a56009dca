//! Client tokens: a repeated request answers with the instances of the first.
//!
//! A token holds for [`TOKEN_LIFETIME`] from the request that took it; after that it is free for
//! another request.

use cellzero_database::DatabaseError;
use cellzero_types::GroupUuid;
use chrono::{NaiveDateTime, TimeDelta};
use diesel::prelude::*;

use crate::schema::client_tokens;
use crate::{ApiConnection, parse};

/// How long a token answers with the instances of the request that took it.
pub const TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(24);

/// A request that may take a token, or the one that took it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHolder {
    /// Its multi-create.
    pub group: GroupUuid,
    /// A digest of what it asks for.
    pub digest: String,
}

#[derive(Insertable)]
#[diesel(table_name = client_tokens, treat_none_as_default_value = false)]
struct NewRow<'a> {
    project_id: &'a str,
    token: &'a str,
    group_uuid: String,
    digest: &'a str,
    created_at: NaiveDateTime,
}

/// Takes a token for a request. One statement.
///
/// # Errors
/// The database's; a unique violation where the token is taken.
pub fn insert(
    conn: &mut ApiConnection,
    project_id: &str,
    token: &str,
    holder: &TokenHolder,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row = NewRow {
        project_id,
        token,
        group_uuid: holder.group.text(),
        digest: &holder.digest,
        created_at: now,
    };
    diesel::insert_into(client_tokens::table).values(&row).execute(conn.sql())?;
    Ok(())
}

/// Takes a token whose time is over for a request; says whether it did. One statement.
///
/// # Errors
/// The database's.
pub fn take_over(
    conn: &mut ApiConnection,
    project_id: &str,
    token: &str,
    holder: &TokenHolder,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let over = client_tokens::table
        .find((project_id, token))
        .filter(client_tokens::created_at.le(now - TOKEN_LIFETIME));
    let taken = diesel::update(over)
        .set((
            client_tokens::group_uuid.eq(holder.group.text()),
            client_tokens::digest.eq(&holder.digest),
            client_tokens::created_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(taken == 1)
}

/// The request that took a token, where one did. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn find(
    conn: &mut ApiConnection,
    project_id: &str,
    token: &str,
) -> Result<Option<TokenHolder>, DatabaseError> {
    let row: Option<(String, String)> = client_tokens::table
        .find((project_id, token))
        .select((client_tokens::group_uuid, client_tokens::digest))
        .get_result(conn.sql())
        .optional()?;
    row.map(|(group, digest)| Ok(TokenHolder { group: parse(&group)?, digest })).transpose()
}
