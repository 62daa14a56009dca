//! Boot states of instances that were found in a cell and had none.

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::{GroupUuid, InstanceUuid};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::{AdoptedState, FIRST_VERSION};
use crate::ApiConnection;
use crate::schema::boot_states;

/// An instance that was found in a cell, with the epoch that counts as decided.
#[derive(Debug, Clone)]
pub struct FoundInstance {
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// A group of its own.
    pub group: GroupUuid,
    /// The epoch of the rows that stand.
    pub epoch: i64,
    /// What is known of it.
    pub known: AdoptedState,
}

#[derive(Insertable)]
#[diesel(table_name = boot_states, treat_none_as_default_value = false)]
struct NewFoundRow<'a> {
    instance_uuid: String,
    group_uuid: String,
    group_index: i32,
    group_min: i32,
    epoch: i64,
    decided_epoch: i64,
    attempts: i32,
    placements: i32,
    request_version: i64,
    vcpus: i32,
    memory_mb: i32,
    display_name: Option<&'a str>,
    image_ref: Option<&'a str>,
    instance_type_id: Option<i32>,
    availability_zone: Option<&'a str>,
    key_name: Option<&'a str>,
    created_at: NaiveDateTime,
}

/// Boot states of instances that were found in a cell and had none: decided, and leased by nobody.
/// One statement for each hundred.
///
/// # Errors
/// The database's; a unique violation where one has a boot state.
pub fn insert_found(
    conn: &mut ApiConnection,
    found: &[FoundInstance],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewFoundRow<'_>> = found
        .iter()
        .map(|found| NewFoundRow {
            instance_uuid: found.instance_uuid.text(),
            group_uuid: found.group.text(),
            group_index: 0,
            group_min: 1,
            epoch: found.epoch,
            decided_epoch: found.epoch,
            attempts: 0,
            placements: 0,
            request_version: FIRST_VERSION,
            vcpus: found.known.vcpus,
            memory_mb: found.known.memory_mb,
            display_name: found.known.outline.display_name.as_deref(),
            image_ref: found.known.outline.image_ref.as_deref(),
            instance_type_id: found.known.outline.instance_type_id,
            availability_zone: found.known.outline.availability_zone.as_deref(),
            key_name: found.known.outline.key_name.as_deref(),
            created_at: now,
        })
        .collect();
    insert_rows!(conn, boot_states::table, rows);
    Ok(())
}
