//! The group's verdict: whether enough of a multi-create fitted. It is written once, with all
//! claims and intents of the group, so that a crash cannot make two different choices.

use cellzero_database::DatabaseError;
use cellzero_types::{GroupUuid, Verdict};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::ApiConnection;
use crate::schema::boot_groups;

/// What was decided for a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupVerdict {
    /// Whether at least `min_count` fitted; if not, all are buried.
    pub min_count_met: bool,
    /// Why the ones that did not fit are buried.
    pub verdict: Option<Verdict>,
}

#[derive(Insertable)]
#[diesel(table_name = boot_groups, treat_none_as_default_value = false)]
struct NewRow {
    uuid: String,
    min_count_met: bool,
    verdict: Option<String>,
    created_at: NaiveDateTime,
}

/// Keeps a group's verdict. One statement.
///
/// # Errors
/// The database's; a unique violation where the group has one.
pub fn insert(
    conn: &mut ApiConnection,
    group: GroupUuid,
    verdict: &GroupVerdict,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row = NewRow {
        uuid: group.text(),
        min_count_met: verdict.min_count_met,
        verdict: verdict.verdict.as_ref().map(Verdict::to_json),
        created_at: now,
    };
    diesel::insert_into(boot_groups::table).values(&row).execute(conn.sql())?;
    Ok(())
}

/// Replaces a group's verdict, while nothing of the group is decided. One statement.
///
/// # Errors
/// The database's.
pub fn replace(
    conn: &mut ApiConnection,
    group: GroupUuid,
    verdict: &GroupVerdict,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    diesel::update(boot_groups::table.find(group.text()))
        .set((
            boot_groups::min_count_met.eq(verdict.min_count_met),
            boot_groups::verdict.eq(verdict.verdict.as_ref().map(Verdict::to_json)),
            boot_groups::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// The verdict of a group, where it has one. One statement.
///
/// # Errors
/// The database's, or damaged JSON.
pub fn find(
    conn: &mut ApiConnection,
    group: GroupUuid,
) -> Result<Option<GroupVerdict>, DatabaseError> {
    let row: Option<(bool, Option<String>)> = boot_groups::table
        .find(group.text())
        .select((boot_groups::min_count_met, boot_groups::verdict))
        .get_result(conn.sql())
        .optional()?;
    let Some((min_count_met, verdict)) = row else { return Ok(None) };
    let verdict = verdict
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|error| DatabaseError::damaged(format!("verdict of group {group}: {error}")))?;
    Ok(Some(GroupVerdict { min_count_met, verdict }))
}
