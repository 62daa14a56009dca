//! Prune: what belongs to nobody any more is deleted after a time.
//!
//! Client tokens whose time is over, the log of retries, classes in which nothing waits, and the
//! verdicts of groups that are gone. Each is looked for by a walk over its table, so it is for the end
//! of an archive run and not for every minute.

use cellzero_database::{AnyConnection, DatabaseError, load_locked, transaction};
use chrono::NaiveDateTime;
use diesel::dsl::{exists, not};
use diesel::prelude::*;

use crate::ApiConnection;
use crate::schema::{
    boot_groups, boot_states, client_tokens, retries, waiting_classes, waiting_instances,
};

/// The place of a client token: its project, and itself.
pub type TokenPlace = (String, String);

/// Deletes at most `limit` client tokens that were taken before `before`, of those after `after`; says
/// how many, and where the walk goes on, where it does. Two statements.
///
/// # Errors
/// The database's.
pub fn delete_tokens(
    conn: &mut ApiConnection,
    before: NaiveDateTime,
    after: TokenPlace,
    limit: u32,
) -> Result<(u64, Option<TokenPlace>), DatabaseError> {
    let later = |(project, token): TokenPlace| {
        client_tokens::project_id
            .gt(project.clone())
            .or(client_tokens::project_id.eq(project).and(client_tokens::token.gt(token)))
    };
    transaction(conn, "prune_client_tokens", |conn| {
        let last: Vec<TokenPlace> = client_tokens::table
            .filter(client_tokens::created_at.lt(before))
            .filter(later(after.clone()))
            .order((client_tokens::project_id, client_tokens::token))
            .limit(limit.into())
            .select((client_tokens::project_id, client_tokens::token))
            .load(conn.sql())?;
        let Some(upto) = last.last().cloned() else { return Ok((0, None)) };
        // One that another request has taken meanwhile is young again.
        let deleted = diesel::delete(
            client_tokens::table
                .filter(client_tokens::created_at.lt(before))
                .filter(later(after.clone()))
                .filter(not(later(upto.clone()))),
        )
        .execute(conn.sql())?;
        Ok((deleted as u64, (last.len() == limit as usize).then_some(upto)))
    })
}

/// Deletes at most `limit` of the oldest entries in the log of retries, from before `before`; says
/// how many. A list compares the log within one page, so none reads so old a one. Two statements.
///
/// # Errors
/// The database's.
pub fn delete_retries(
    conn: &mut ApiConnection,
    before: NaiveDateTime,
    limit: u32,
) -> Result<u64, DatabaseError> {
    transaction(conn, "prune_retries", |conn| {
        let old: Vec<i64> = retries::table
            .filter(retries::created_at.lt(before))
            .order(retries::sequence)
            .limit(limit.into())
            .select(retries::sequence)
            .load(conn.sql())?;
        let these = retries::table.filter(retries::sequence.eq_any(old));
        Ok(diesel::delete(these).execute(conn.sql())? as u64)
    })
}

/// Deletes at most `limit` classes in which nothing waits, made and served last before `before`; says
/// how many. Three statements, one where there is none.
///
/// A class that an instance enters at this moment stays: the entry keeps its hold on the class, and
/// this waits for it.
///
/// # Errors
/// The database's.
pub fn delete_waiting_classes(
    conn: &mut ApiConnection,
    before: NaiveDateTime,
    limit: u32,
) -> Result<u64, DatabaseError> {
    macro_rules! empty {
        () => {{
            let waits = waiting_instances::table
                .filter(waiting_instances::class_uuid.eq(waiting_classes::uuid));
            waiting_classes::table
                .filter(waiting_classes::created_at.lt(before))
                .filter(waiting_classes::served_at.lt(before))
                .filter(not(exists(waits)))
        }};
    }
    transaction(conn, "prune_waiting_classes", |conn| {
        let uuids: Vec<String> = empty!()
            .order(waiting_classes::uuid)
            .limit(limit.into())
            .select(waiting_classes::uuid)
            .load(conn.sql())?;
        if uuids.is_empty() {
            return Ok(0);
        }
        // An entry first inserts its class, also one that stands already: in PostgreSQL that leaves
        // no lock on the row, but one on the table; in MariaDB it leaves one on the row.
        if let AnyConnection::Postgres(net) = conn.sql().any() {
            diesel::sql_query("LOCK TABLE waiting_classes IN SHARE ROW EXCLUSIVE MODE")
                .execute(net)?;
        } else {
            let _: Vec<String> = load_locked!(
                conn,
                waiting_classes::table
                    .filter(waiting_classes::uuid.eq_any(&uuids))
                    .order(waiting_classes::uuid)
                    .select(waiting_classes::uuid)
            )?;
        }
        let these = empty!().filter(waiting_classes::uuid.eq_any(&uuids));
        Ok(diesel::delete(these).execute(conn.sql())? as u64)
    })
}

/// Deletes at most `limit` verdicts of groups that have no instance left, from before `before`; says
/// how many. Two statements.
///
/// # Errors
/// The database's.
pub fn delete_boot_groups(
    conn: &mut ApiConnection,
    before: NaiveDateTime,
    limit: u32,
) -> Result<u64, DatabaseError> {
    transaction(conn, "prune_boot_groups", |conn| {
        let member = boot_states::table.filter(boot_states::group_uuid.eq(boot_groups::uuid));
        let uuids: Vec<String> = boot_groups::table
            .filter(boot_groups::created_at.lt(before))
            .filter(not(exists(member)))
            .order(boot_groups::uuid)
            .limit(limit.into())
            .select(boot_groups::uuid)
            .load(conn.sql())?;
        let these = boot_groups::table.filter(boot_groups::uuid.eq_any(uuids));
        Ok(diesel::delete(these).execute(conn.sql())? as u64)
    })
}
