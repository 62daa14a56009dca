//! Instance groups, which users know as server groups: instances with a common placement policy.

use std::collections::HashMap;

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::InstanceUuid;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use uuid::Uuid;

use crate::schema::{
    instance_group_member, instance_group_policy, instance_groups, instance_mappings,
};
use crate::{ApiConnection, IN_LIST_MAX};

/// A server group with its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceGroup {
    /// The row id.
    pub id: i32,
    /// What users know it by.
    pub uuid: Uuid,
    /// Its name, which others may have too.
    pub name: String,
    /// Its project.
    pub project_id: String,
    /// Who made it.
    pub user_id: String,
    /// `affinity`, `anti-affinity`, `soft-affinity` or `soft-anti-affinity`.
    pub policy: String,
    /// With anti-affinity: the most members on one host.
    pub max_server_per_host: u32,
}

type Row =
    (i32, String, Option<String>, Option<String>, Option<String>, Option<String>, Option<String>);

macro_rules! select_groups {
    () => {
        instance_groups::table.left_join(instance_group_policy::table).select((
            instance_groups::id,
            instance_groups::uuid,
            instance_groups::name,
            instance_groups::project_id,
            instance_groups::user_id,
            instance_group_policy::policy.nullable(),
            instance_group_policy::rules.nullable(),
        ))
    };
}

fn group(
    (id, uuid, name, project_id, user_id, policy, rules): Row,
) -> Result<InstanceGroup, DatabaseError> {
    Ok(InstanceGroup {
        id,
        uuid: Uuid::try_parse(&uuid)
            .map_err(|_| DatabaseError::damaged(format!("server group {id} has uuid {uuid:?}")))?,
        name: name.unwrap_or_default(),
        project_id: project_id.unwrap_or_default(),
        user_id: user_id.unwrap_or_default(),
        policy: policy.unwrap_or_default(),
        max_server_per_host: max_server_per_host(rules.as_deref()),
    })
}

/// The group with this uuid, where there is one. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn find(conn: &mut ApiConnection, uuid: Uuid) -> Result<Option<InstanceGroup>, DatabaseError> {
    let row: Option<Row> = select_groups!()
        .filter(instance_groups::uuid.eq(uuid.to_string()))
        .first(conn.sql())
        .optional()?;
    row.map(group).transpose()
}

/// The groups of a project, or of all, by row id. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn all(
    conn: &mut ApiConnection,
    project_id: Option<&str>,
) -> Result<Vec<InstanceGroup>, DatabaseError> {
    let select = select_groups!().order(instance_groups::id);
    let rows: Vec<Row> = match project_id {
        Some(project) => select.filter(instance_groups::project_id.eq(project)).load(conn.sql())?,
        None => select.load(conn.sql())?,
    };
    rows.into_iter().map(group).collect()
}

/// The members of these groups that are not deleted, in the order in which they joined. One statement
/// for each five hundred groups.
///
/// # Errors
/// The database's.
pub fn living_members(
    conn: &mut ApiConnection,
    group_ids: &[i32],
) -> Result<HashMap<i32, Vec<InstanceUuid>>, DatabaseError> {
    let mut members: HashMap<i32, Vec<InstanceUuid>> = HashMap::new();
    for ids in group_ids.chunks(IN_LIST_MAX) {
        let rows: Vec<(i32, Option<String>)> = instance_group_member::table
            .inner_join(
                instance_mappings::table.on(instance_mappings::instance_uuid
                    .nullable()
                    .eq(instance_group_member::instance_uuid)),
            )
            .filter(instance_group_member::group_id.eq_any(ids))
            .filter(
                instance_mappings::queued_for_delete
                    .eq(false)
                    .or(instance_mappings::queued_for_delete.is_null()),
            )
            .order(instance_group_member::id)
            .select((instance_group_member::group_id, instance_group_member::instance_uuid))
            .load(conn.sql())?;
        for (id, uuid) in rows {
            // Nova lets anything stand here.
            let uuid: Option<InstanceUuid> = uuid.and_then(|uuid| uuid.parse().ok());
            members.entry(id).or_default().extend(uuid);
        }
    }
    Ok(members)
}

/// Deletes a group with its policy and its list of members, which stay what they are. Three statements.
/// To be called in a transaction.
///
/// # Errors
/// The database's.
pub fn delete(conn: &mut ApiConnection, group_id: i32) -> Result<(), DatabaseError> {
    diesel::delete(
        instance_group_member::table.filter(instance_group_member::group_id.eq(group_id)),
    )
    .execute(conn.sql())?;
    diesel::delete(
        instance_group_policy::table.filter(instance_group_policy::group_id.eq(group_id)),
    )
    .execute(conn.sql())?;
    diesel::delete(instance_groups::table.filter(instance_groups::id.eq(group_id)))
        .execute(conn.sql())?;
    Ok(())
}

/// Nova keeps rules as JSON, the number as text: `{"max_server_per_host": "2"}`.
fn max_server_per_host(rules: Option<&str>) -> u32 {
    let rules: serde_json::Value =
        rules.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let value = &rules["max_server_per_host"];
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .or_else(|| value.as_u64().and_then(|n| u32::try_from(n).ok()))
        .unwrap_or(1)
}

/// The members of a group. One statement.
///
/// # Errors
/// The database's.
pub fn members(
    conn: &mut ApiConnection,
    group_id: i32,
) -> Result<Vec<InstanceUuid>, DatabaseError> {
    let uuids: Vec<Option<String>> = instance_group_member::table
        .filter(instance_group_member::group_id.eq(group_id))
        .select(instance_group_member::instance_uuid)
        .load(conn.sql())?;
    // Nova lets anything stand here; what is no uuid has no claim either.
    Ok(uuids.into_iter().flatten().filter_map(|uuid| uuid.parse().ok()).collect())
}

#[derive(Insertable)]
#[diesel(table_name = instance_group_member, treat_none_as_default_value = false)]
struct NewMember {
    created_at: NaiveDateTime,
    instance_uuid: String,
    group_id: i32,
}

/// Adds members to a group. One statement for each hundred.
///
/// # Errors
/// The database's.
pub fn add_members(
    conn: &mut ApiConnection,
    group_id: i32,
    uuids: &[InstanceUuid],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewMember> = uuids
        .iter()
        .map(|uuid| NewMember { created_at: now, instance_uuid: uuid.text(), group_id })
        .collect();
    insert_rows!(conn, instance_group_member::table, rows);
    Ok(())
}

/// Removes an instance from the groups it is in. One statement.
///
/// # Errors
/// The database's.
pub fn remove_member(conn: &mut ApiConnection, uuid: InstanceUuid) -> Result<(), DatabaseError> {
    diesel::delete(
        instance_group_member::table.filter(instance_group_member::instance_uuid.eq(uuid.text())),
    )
    .execute(conn.sql())?;
    Ok(())
}

#[derive(Insertable)]
#[diesel(table_name = instance_groups, treat_none_as_default_value = false)]
struct NewGroup<'a> {
    created_at: NaiveDateTime,
    user_id: &'a str,
    project_id: &'a str,
    uuid: String,
    name: &'a str,
}

#[derive(Insertable)]
#[diesel(table_name = instance_group_policy, treat_none_as_default_value = false)]
struct NewPolicy<'a> {
    created_at: NaiveDateTime,
    policy: &'a str,
    group_id: i32,
    rules: String,
}

/// Adds a group with its policy. Three statements.
///
/// # Errors
/// The database's.
pub fn insert(
    conn: &mut ApiConnection,
    (project_id, user_id): (&str, &str),
    (uuid, name): (Uuid, &str),
    (policy, max_server_per_host): (&str, u32),
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row = NewGroup { created_at: now, user_id, project_id, uuid: uuid.to_string(), name };
    diesel::insert_into(instance_groups::table).values(&row).execute(conn.sql())?;
    let group_id = instance_groups::table
        .filter(instance_groups::uuid.eq(uuid.to_string()))
        .select(instance_groups::id)
        .first(conn.sql())?;
    let rules = serde_json::json!({ "max_server_per_host": max_server_per_host.to_string() });
    let row = NewPolicy { created_at: now, policy, group_id, rules: rules.to_string() };
    diesel::insert_into(instance_group_policy::table).values(&row).execute(conn.sql())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(None, 1)]
    #[case(Some(r#"{"max_server_per_host": "3"}"#), 3)]
    #[case(Some(r#"{"max_server_per_host": 2}"#), 2)]
    #[case(Some("{}"), 1)]
    #[case(Some("damaged"), 1)]
    fn novas_rules_are_read(#[case] rules: Option<&str>, #[case] expected: u32) {
        assert_eq!(max_server_per_host(rules), expected);
    }
}
