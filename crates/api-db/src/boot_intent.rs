//! Boot intents: in which cell an epoch may have written. Each but the decided one is swept.

use std::collections::HashMap;

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

/// What may stand in a cell without being at home there, by cell: the instances of every intent
/// whose cell their mapping does not name, or that are queued for delete. One statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn strays(
    conn: &mut ApiConnection,
) -> Result<HashMap<CellUuid, Vec<InstanceUuid>>, DatabaseError> {
    use crate::schema::{cell_mappings, instance_mappings};
    let at_home = cell_mappings::uuid
        .nullable()
        .eq(boot_intents::cell_uuid.nullable())
        .and(instance_mappings::queued_for_delete.nullable().eq(false));
    let rows: Vec<(String, String)> = boot_intents::table
        .left_join(
            instance_mappings::table
                .on(instance_mappings::instance_uuid.eq(boot_intents::instance_uuid)),
        )
        .left_join(
            cell_mappings::table
                .on(cell_mappings::id.nullable().eq(instance_mappings::cell_id.nullable())),
        )
        .filter(at_home.is_null().or(diesel::dsl::not(at_home)).assume_not_null())
        .select((boot_intents::instance_uuid, boot_intents::cell_uuid))
        .load(conn.sql())?;
    let mut strays: HashMap<CellUuid, Vec<InstanceUuid>> = HashMap::new();
    for (uuid, cell) in rows {
        strays.entry(parse(&cell)?).or_default().push(parse(&uuid)?);
    }
    Ok(strays)
}

/// An intent that is to be swept, and how its instance stands at the same moment: a delete that
/// comes between two reads would have its rows erased, or its destroy sent as if it were the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueIntent {
    /// The intent.
    pub intent: BootIntent,
    /// The epoch below which nothing may stand in its cell: the one that its instance has reached;
    /// where this is the instance's home and the intent was not decided, the one after its own, since
    /// what stands there at the decided epoch is at home.
    pub reached: i64,
    /// This epoch was decided, and the cell, where the instance stays, is still to be told: its build
    /// failed, and it goes on on another host, or on none.
    pub moving: bool,
    /// The project and the user of the instance where this cell is its home and it is queued for
    /// delete: then its rows are no left-over, and the delete is to be ended.
    pub dying: Option<(String, Option<String>)>,
}

/// Intents of deleted instances, and those of an epoch that was decided otherwise: what a sweep
/// still has to do, in the order of uuid and epoch. At most `limit`, of those after `after`. One
/// statement.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn to_sweep(
    conn: &mut ApiConnection,
    after: Option<(InstanceUuid, i64)>,
    limit: u32,
) -> Result<Vec<DueIntent>, DatabaseError> {
    use crate::schema::{boot_states, build_requests, cell_mappings, instance_mappings};
    type Mapping = Option<(String, Option<String>, Option<bool>)>;
    type Row = (String, i64, String, (i64, Option<i64>), Mapping, Option<String>);
    let has_request = diesel::dsl::exists(
        build_requests::table
            .filter(build_requests::instance_uuid.eq(boot_intents::instance_uuid.nullable())),
    );
    let (uuid, epoch) = after.map_or((String::new(), 0), |(uuid, epoch)| (uuid.text(), epoch));
    let is_later = boot_intents::instance_uuid
        .gt(uuid.clone())
        .or(boot_intents::instance_uuid.eq(uuid).and(boot_intents::epoch.gt(epoch)));
    let rows: Vec<Row> = boot_intents::table
        .inner_join(
            boot_states::table.on(boot_states::instance_uuid.eq(boot_intents::instance_uuid)),
        )
        .left_join(
            instance_mappings::table
                .on(instance_mappings::instance_uuid.eq(boot_intents::instance_uuid)),
        )
        .left_join(
            cell_mappings::table
                .on(cell_mappings::id.nullable().eq(instance_mappings::cell_id.nullable())),
        )
        .filter(boot_intents::epoch.lt(boot_states::epoch).or(diesel::dsl::not(has_request)))
        .filter(is_later)
        .order((boot_intents::instance_uuid, boot_intents::epoch))
        .limit(limit.into())
        .select((
            boot_intents::instance_uuid,
            boot_intents::epoch,
            boot_intents::cell_uuid,
            (boot_states::epoch, boot_states::decided_epoch),
            (
                instance_mappings::project_id,
                instance_mappings::user_id,
                instance_mappings::queued_for_delete,
            )
                .nullable(),
            cell_mappings::uuid.nullable(),
        ))
        .load(conn.sql())?;
    rows.into_iter()
        .map(|(uuid, epoch, cell, (reached, decided), mapping, home)| {
            let intent = BootIntent { instance_uuid: parse(&uuid)?, epoch, cell: parse(&cell)? };
            let at_home = mapping.filter(|_| home.as_deref() == Some(&cell));
            let lives = at_home.as_ref().is_some_and(|(_, _, queued)| *queued != Some(true));
            let moving = lives && decided == Some(epoch);
            let reached = match lives && decided.is_some_and(|decided| epoch < decided) {
                true => epoch + 1,
                false => reached,
            };
            let dying = at_home
                .filter(|(_, _, queued)| *queued == Some(true))
                .map(|(project, user, _)| (project, user));
            Ok(DueIntent { intent, reached, moving, dying })
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
