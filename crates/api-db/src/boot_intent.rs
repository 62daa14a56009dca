//! Boot intents: in which cell an epoch may have written. Each but the decided one is swept.

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::{CellUuid, InstanceUuid};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::boot_intents;
use crate::{ApiConnection, IN_LIST_MAX, parse, texts};

/// One target of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootIntent {
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// The epoch.
    pub epoch: i64,
    /// Where that epoch may write.
    pub cell: CellUuid,
}

#[derive(Insertable)]
#[diesel(table_name = boot_intents, treat_none_as_default_value = false)]
struct NewRow {
    instance_uuid: String,
    epoch: i64,
    cell_uuid: String,
    created_at: NaiveDateTime,
}

/// Keeps intents. One statement for each hundred.
///
/// # Errors
/// The database's; a unique violation where the epoch has a target.
pub fn insert(
    conn: &mut ApiConnection,
    intents: &[BootIntent],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewRow> = intents
        .iter()
        .map(|intent| NewRow {
            instance_uuid: intent.instance_uuid.text(),
            epoch: intent.epoch,
            cell_uuid: intent.cell.text(),
            created_at: now,
        })
        .collect();
    insert_rows!(conn, boot_intents::table, rows);
    Ok(())
}

/// The intents of these instances, by uuid and epoch. One statement for each five hundred.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn of_instances(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<Vec<BootIntent>, DatabaseError> {
    let mut intents = Vec::new();
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<(String, i64, String)> = boot_intents::table
            .filter(boot_intents::instance_uuid.eq_any(chunk))
            .order((boot_intents::instance_uuid, boot_intents::epoch))
            .select((boot_intents::instance_uuid, boot_intents::epoch, boot_intents::cell_uuid))
            .load(conn.sql())?;
        for (uuid, epoch, cell) in rows {
            intents.push(BootIntent { instance_uuid: parse(&uuid)?, epoch, cell: parse(&cell)? });
        }
    }
    Ok(intents)
}

/// Forgets the intents of `epoch` of these instances. One statement for each five hundred.
///
/// # Errors
/// The database's.
pub fn forget_epoch(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
    epoch: i64,
) -> Result<(), DatabaseError> {
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        diesel::delete(
            boot_intents::table
                .filter(boot_intents::instance_uuid.eq_any(chunk))
                .filter(boot_intents::epoch.eq(epoch)),
        )
        .execute(conn.sql())?;
    }
    Ok(())
}

/// Intents of deleted instances, and those of an epoch that was decided otherwise: what a sweep
/// still has to do. At most `limit`. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn to_sweep(
    conn: &mut ApiConnection,
    limit: u32,
) -> Result<Vec<(BootIntent, i64)>, DatabaseError> {
    use crate::schema::{boot_states, build_requests};
    let has_request = diesel::dsl::exists(
        build_requests::table
            .filter(build_requests::instance_uuid.eq(boot_intents::instance_uuid.nullable())),
    );
    let rows: Vec<(String, i64, String, i64)> = boot_intents::table
        .inner_join(
            boot_states::table.on(boot_states::instance_uuid.eq(boot_intents::instance_uuid)),
        )
        .filter(boot_intents::epoch.lt(boot_states::epoch).or(diesel::dsl::not(has_request)))
        .order((boot_intents::instance_uuid, boot_intents::epoch))
        .limit(limit.into())
        .select((
            boot_intents::instance_uuid,
            boot_intents::epoch,
            boot_intents::cell_uuid,
            boot_states::epoch,
        ))
        .load(conn.sql())?;
    rows.into_iter()
        .map(|(uuid, epoch, cell, state_epoch)| {
            let intent = BootIntent { instance_uuid: parse(&uuid)?, epoch, cell: parse(&cell)? };
            Ok((intent, state_epoch))
        })
        .collect()
}

/// Forgets the intents of an instance that name this cell, since it is its home now. One statement.
///
/// # Errors
/// The database's.
pub fn forget_cell(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
    cell: CellUuid,
) -> Result<(), DatabaseError> {
    diesel::delete(
        boot_intents::table
            .filter(boot_intents::instance_uuid.eq(uuid.text()))
            .filter(boot_intents::cell_uuid.eq(cell.text())),
    )
    .execute(conn.sql())?;
    Ok(())
}
