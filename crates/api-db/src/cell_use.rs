//! What names a cell: hosts, instances, and what is on its way. A cell that anything names is not
//! removed.

use cellzero_database::{DatabaseError, load_locked};
use cellzero_types::CellUuid;
use diesel::prelude::*;

use crate::ApiConnection;
use crate::schema::{
    boot_histories, boot_intents, boot_states, cell_mappings, claims, host_capacity, host_mappings,
    instance_mappings, request_specs,
};

/// How much of each kind names a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CellUse {
    /// Hosts that are mapped to it.
    pub hosts: i64,
    /// Instances that live in it.
    pub live: i64,
    /// Instances that were deleted, and whose mappings still name it.
    pub deleted: i64,
    /// Boots that may be writing into it, or whose left-overs are still to be swept there.
    pub intents: i64,
    /// Claims on its hosts.
    pub claims: i64,
}

/// Locks a cell to the end of the transaction and counts what names it; none where it is not mapped.
/// The row id of its mapping comes with it. Seven statements.
///
/// Its mapping is locked, so that no instance or host is mapped to it meanwhile, and the capacity of
/// its hosts, so that every placement on them has either left its claim and its intent by now, or
/// finds no host there any more once they are gone.
///
/// # Errors
/// The database's.
pub fn lock(
    conn: &mut ApiConnection,
    cell: CellUuid,
) -> Result<Option<(i32, CellUse)>, DatabaseError> {
    let ids: Vec<i32> = load_locked!(
        conn,
        cell_mappings::table.filter(cell_mappings::uuid.eq(cell.text())).select(cell_mappings::id)
    )?;
    let Some(id) = ids.first().copied() else { return Ok(None) };
    let hosts: Vec<String> = load_locked!(
        conn,
        host_capacity::table
            .filter(host_capacity::cell_uuid.eq(cell.text()))
            .order(host_capacity::host)
            .select(host_capacity::host)
    )?;
    let of_cell = || instance_mappings::table.filter(instance_mappings::cell_id.eq(id));
    let deleted: i64 = of_cell()
        .filter(instance_mappings::queued_for_delete.eq(true))
        .count()
        .get_result(conn.sql())?;
    let all: i64 = of_cell().count().get_result(conn.sql())?;
    let mapped = host_mappings::table.filter(host_mappings::cell_id.eq(id)).count();
    let intents = boot_intents::table.filter(boot_intents::cell_uuid.eq(cell.text())).count();
    let mut claimed = 0;
    for chunk in hosts.chunks(crate::IN_LIST_MAX) {
        let claims = claims::table.filter(claims::host.eq_any(chunk)).count();
        claimed += claims.get_result::<i64>(conn.sql())?;
    }
    let in_use = CellUse {
        hosts: mapped.get_result(conn.sql())?,
        live: all - deleted,
        deleted,
        intents: intents.get_result(conn.sql())?,
        claims: claimed,
    };
    Ok(Some((id, in_use)))
}

/// Removes a cell that [`lock`] has locked in this transaction and that nothing alive names: its
/// mapping, its hosts, and the deleted instances that it held, with what is kept of them. Four
/// statements, and four more for each five hundred deleted instances.
///
/// # Errors
/// The database's; a foreign key violation where an instance is mapped to it all the same.
pub fn remove(conn: &mut ApiConnection, cell: CellUuid, id: i32) -> Result<(), DatabaseError> {
    let deleted: Vec<String> = instance_mappings::table
        .filter(instance_mappings::cell_id.eq(id))
        .filter(instance_mappings::queued_for_delete.eq(true))
        .select(instance_mappings::instance_uuid)
        .load(conn.sql())?;
    for chunk in deleted.chunks(crate::IN_LIST_MAX) {
        forget_deleted(conn, chunk)?;
    }
    diesel::delete(host_mappings::table.filter(host_mappings::cell_id.eq(id)))
        .execute(conn.sql())?;
    diesel::delete(host_capacity::table.filter(host_capacity::cell_uuid.eq(cell.text())))
        .execute(conn.sql())?;
    diesel::delete(cell_mappings::table.find(id)).execute(conn.sql())?;
    Ok(())
}

/// Forgets what is kept of these deleted instances.
fn forget_deleted(conn: &mut ApiConnection, uuids: &[String]) -> Result<(), DatabaseError> {
    macro_rules! forget {
        ($table:ident) => {
            diesel::delete($table::table.filter($table::instance_uuid.eq_any(uuids)))
                .execute(conn.sql())?
        };
    }
    forget!(boot_histories);
    forget!(request_specs);
    forget!(boot_states);
    forget!(instance_mappings);
    Ok(())
}
