//! What a retried instance brings from cell0: its faults, its actions and its verdicts, to be
//! written into its next home. A row here also says that the instance was retried.

use std::collections::HashMap;

use cellzero_database::DatabaseError;
use cellzero_types::{BootHistory, InstanceUuid};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::boot_histories;
use crate::{ApiConnection, IN_LIST_MAX, parse, texts};

/// Keeps the history of an instance in place of an earlier one. `request_id` is the retry's. One
/// statement, two for an instance's first.
///
/// # Errors
/// The database's.
pub fn keep(
    conn: &mut ApiConnection,
    uuid: InstanceUuid,
    request_id: &str,
    history: &BootHistory,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let history = serde_json::json!(history).to_string();
    let values = (
        boot_histories::request_id.eq(request_id),
        boot_histories::history.eq(history),
        boot_histories::created_at.eq(now),
    );
    let row = boot_histories::instance_uuid.eq(uuid.text());
    let updated = diesel::update(boot_histories::table.find(uuid.text()))
        .set(values.clone())
        .execute(conn.sql())?;
    if updated == 0 {
        let (request_id, history, created_at) = values;
        diesel::insert_into(boot_histories::table)
            .values((row, request_id, history, created_at))
            .execute(conn.sql())?;
    }
    Ok(())
}

/// The histories of those of these instances that were retried, each with the request that retried
/// it. One statement for each five hundred.
///
/// # Errors
/// The database's, or damaged JSON.
pub fn of_instances(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<HashMap<InstanceUuid, (String, BootHistory)>, DatabaseError> {
    let mut histories = HashMap::new();
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<(String, String, String)> = boot_histories::table
            .filter(boot_histories::instance_uuid.eq_any(chunk))
            .select((
                boot_histories::instance_uuid,
                boot_histories::request_id,
                boot_histories::history,
            ))
            .load(conn.sql())?;
        for (uuid, request_id, history) in rows {
            let history = serde_json::from_str(&history)
                .map_err(|error| DatabaseError::damaged(format!("history of {uuid}: {error}")))?;
            histories.insert(parse(&uuid)?, (request_id, history));
        }
    }
    Ok(histories)
}
