//! Security groups by name, and which instance is in which.

use cellzero_database::{DatabaseError, insert_rows};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Nullable, Timestamp};

use crate::CellConnection;
use crate::schema::{instances, security_group_instance_association, security_groups};

#[derive(Insertable)]
#[diesel(table_name = security_groups, treat_none_as_default_value = false)]
struct NewGroup<'a> {
    created_at: NaiveDateTime,
    name: &'a str,
    description: &'a str,
    user_id: &'a str,
    project_id: &'a str,
    deleted: i32,
}

/// Puts these instances, all of `project_id`, into the project's groups of these names. One
/// statement where the groups exist; missing ones are made first, as Nova makes `default`.
pub(crate) fn join(
    conn: &mut CellConnection,
    (project_id, user_id): (&str, &str),
    names: &[String],
    uuids: &[String],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    if names.is_empty() || uuids.is_empty() {
        return Ok(());
    }
    let expected = names.len() * uuids.len();
    if associate(conn, project_id, names, uuids, now)? == expected {
        return Ok(());
    }
    let known: Vec<Option<String>> = security_groups::table
        .filter(security_groups::project_id.eq(project_id))
        .filter(security_groups::name.eq_any(names))
        .filter(security_groups::deleted.eq(0))
        .select(security_groups::name)
        .load(conn.sql())?;
    let missing: Vec<NewGroup<'_>> = names
        .iter()
        .filter(|name| !known.iter().flatten().any(|known| known == *name))
        .map(|name| NewGroup {
            created_at: now,
            name,
            description: name,
            user_id,
            project_id,
            deleted: 0,
        })
        .collect();
    insert_rows!(conn, security_groups::table, missing);
    let made: Vec<String> = missing.iter().map(|group| group.name.to_owned()).collect();
    associate(conn, project_id, &made, uuids, now)?;
    Ok(())
}

/// Instances times groups, as one `INSERT … SELECT`; says how many rows it made.
fn associate(
    conn: &mut CellConnection,
    project_id: &str,
    names: &[String],
    uuids: &[String],
    now: NaiveDateTime,
) -> Result<usize, DatabaseError> {
    let source = security_groups::table
        .inner_join(instances::table.on(instances::uuid.eq_any(uuids)))
        .filter(security_groups::project_id.eq(project_id))
        .filter(security_groups::name.eq_any(names))
        .filter(security_groups::deleted.eq(0))
        .select((
            security_groups::id.nullable(),
            instances::uuid.nullable(),
            now.into_sql::<Nullable<Timestamp>>(),
            0.into_sql::<Nullable<Integer>>(),
        ));
    let made = diesel::insert_into(security_group_instance_association::table)
        .values(source)
        .into_columns((
            security_group_instance_association::security_group_id,
            security_group_instance_association::instance_uuid,
            security_group_instance_association::created_at,
            security_group_instance_association::deleted,
        ))
        .execute(conn.sql())?;
    Ok(made)
}
