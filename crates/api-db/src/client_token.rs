//! Client tokens: a repeated request answers with the instances of the first.

use cellzero_database::DatabaseError;
use cellzero_types::GroupUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::client_tokens;
use crate::{ApiConnection, parse};

#[derive(Insertable)]
#[diesel(table_name = client_tokens, treat_none_as_default_value = false)]
struct NewRow<'a> {
    project_id: &'a str,
    token: &'a str,
    group_uuid: String,
    created_at: NaiveDateTime,
}

/// Takes a token for a group. One statement.
///
/// # Errors
/// The database's; a unique violation where the token is taken.
pub fn insert(
    conn: &mut ApiConnection,
    project_id: &str,
    token: &str,
    group: GroupUuid,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row = NewRow { project_id, token, group_uuid: group.text(), created_at: now };
    diesel::insert_into(client_tokens::table).values(&row).execute(conn.sql())?;
    Ok(())
}

/// The group that took a token, where one did. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn find(
    conn: &mut ApiConnection,
    project_id: &str,
    token: &str,
) -> Result<Option<GroupUuid>, DatabaseError> {
    let group: Option<String> = client_tokens::table
        .find((project_id, token))
        .select(client_tokens::group_uuid)
        .first(conn.sql())
        .optional()?;
    group.as_deref().map(parse).transpose()
}
