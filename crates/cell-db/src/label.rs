//! What instances carry by name: metadata of the user and of the system, tags and security groups.
//!
//! They stand in four tables of about the same shape, so one statement reads them all.

use std::collections::{BTreeMap, HashMap};

use cellzero_database::{DatabaseError, each};
use cellzero_types::InstanceUuid;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Nullable, Text};

use crate::schema::{
    instance_metadata, instance_system_metadata, security_group_instance_association,
    security_groups, tags,
};
use crate::{CellConnection, texts};

/// What one instance carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// What the users keep with it.
    pub metadata: BTreeMap<String, String>,
    /// What the system keeps with it.
    pub system_metadata: BTreeMap<String, String>,
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// The names of its security groups, sorted.
    pub security_groups: Vec<String>,
}

/// Table, row id, instance, name and value.
type Row = (i32, i32, Option<String>, Option<String>, Option<String>);

const METADATA: i32 = 0;
const SYSTEM_METADATA: i32 = 1;
const TAGS: i32 = 2;
const SECURITY_GROUPS: i32 = 3;

/// The labels of these instances by uuid; of those that are `deleted`, with what the system kept
/// with them last. One statement.
///
/// # Errors
/// The database's.
pub fn of_instances(
    conn: &mut CellConnection,
    uuids: &[InstanceUuid],
    deleted: &[InstanceUuid],
) -> Result<HashMap<String, Labels>, DatabaseError> {
    let mut rows = load(conn, &texts(uuids), &texts(deleted))?;
    // Of two rows with one key, the later one stays.
    rows.sort_by_key(|(_, id, ..)| *id);
    let mut by_instance: HashMap<String, Labels> = HashMap::new();
    for (table, _, instance, name, value) in rows {
        let (Some(instance), Some(name)) = (instance, name) else { continue };
        let labels = by_instance.entry(instance).or_default();
        match table {
            METADATA => drop(labels.metadata.insert(name, value.unwrap_or_default())),
            SYSTEM_METADATA => drop(labels.system_metadata.insert(name, value.unwrap_or_default())),
            TAGS => labels.tags.push(name),
            _ => labels.security_groups.push(name),
        }
    }
    for labels in by_instance.values_mut() {
        labels.tags.sort();
        labels.security_groups.sort();
    }
    Ok(by_instance)
}

fn load(
    conn: &mut CellConnection,
    uuids: &[String],
    deleted: &[String],
) -> Result<Vec<Row>, DatabaseError> {
    let table = |number: i32| number.into_sql::<Integer>();
    let without_value = || None::<String>.into_sql::<Nullable<Text>>();
    let metadata = {
        use instance_metadata::dsl;
        dsl::instance_metadata
            .filter(dsl::instance_uuid.eq_any(uuids))
            .filter(dsl::deleted.eq(0))
            .select((table(METADATA), dsl::id, dsl::instance_uuid, dsl::key, dsl::value))
    };
    let system_metadata = {
        use instance_system_metadata::dsl;
        let (instance, key) = (dsl::instance_uuid.nullable(), dsl::key.nullable());
        dsl::instance_system_metadata
            .filter(dsl::instance_uuid.eq_any(uuids))
            .filter(dsl::deleted.eq(0).or(dsl::instance_uuid.eq_any(deleted).nullable()))
            .select((table(SYSTEM_METADATA), dsl::id, instance, key, dsl::value))
    };
    let tagged = tags::table.filter(tags::resource_id.eq_any(uuids)).select((
        table(TAGS),
        table(0),
        tags::resource_id.nullable(),
        tags::tag.nullable(),
        without_value(),
    ));
    let grouped = {
        use security_group_instance_association::dsl;
        dsl::security_group_instance_association
            .inner_join(
                security_groups::table
                    .on(dsl::security_group_id.eq(security_groups::id.nullable())),
            )
            .filter(dsl::instance_uuid.eq_any(uuids))
            .filter(dsl::deleted.eq(0))
            .filter(security_groups::deleted.eq(0))
            .select((
                table(SECURITY_GROUPS),
                dsl::id,
                dsl::instance_uuid,
                security_groups::name,
                without_value(),
            ))
    };
    let rows = each!(conn.sql(), c => {
        metadata.union_all(system_metadata).union_all(tagged).union_all(grouped).load(c)
    })?;
    Ok(rows)
}
