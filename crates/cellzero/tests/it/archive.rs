//! Archive and purge: what was deleted leaves whole, what lives is not touched, and what belongs to
//! nobody goes.

mod beside;
mod moved;
mod pruned;
mod stays;

use std::time::Duration;

use cellzero::*;
use cellzero_test_support::{Row, TestDatabase};

use crate::support::{TestPlane, count, request, user};

/// Everything that is deleted by now.
fn at_once() -> ArchiveOptions {
    ArchiveOptions { age_min: Duration::ZERO, ..ArchiveOptions::default() }
}

async fn archive(test: &TestPlane) -> ArchiveReport {
    test.plane.archive(&at_once(), |_| {}).await.unwrap()
}

/// The tables of a cell that hold rows of an instance, and the column that names it.
const OF_A_CELL: [(&str, &str); 9] = [
    ("instances", "uuid"),
    ("instance_extra", "instance_uuid"),
    ("instance_info_caches", "instance_uuid"),
    ("instance_faults", "instance_uuid"),
    ("instance_actions", "instance_uuid"),
    ("instance_metadata", "instance_uuid"),
    ("instance_system_metadata", "instance_uuid"),
    ("security_group_instance_association", "instance_uuid"),
    ("block_device_mapping", "instance_uuid"),
];
const OF_THE_API: [(&str, &str); 3] = [
    ("instance_mappings", "instance_uuid"),
    ("request_specs", "instance_uuid"),
    ("boot_histories", "instance_uuid"),
];

/// All columns of the rows of an instance, but for ids; in a table or in its shadow.
fn rows_of(
    database: &TestDatabase,
    schema: &Schema,
    (table, key): (&str, &str),
    prefix: &str,
    uuid: InstanceUuid,
) -> Vec<Row> {
    let mark = if database.url().starts_with("mysql") { '`' } else { '"' };
    let columns = schema.tables[table].columns.keys().filter(|name| *name != "id");
    let columns: Vec<String> = columns.map(|name| format!("{mark}{name}{mark}")).collect();
    let columns = columns.join(", ");
    let text = format!("SELECT {columns} FROM {prefix}{table} WHERE {key} = '{uuid}' ORDER BY 1");
    let mut rows = database.query(&text).unwrap();
    rows.sort();
    rows
}

/// What stands of an instance in a cell, in its tables or in their shadows: each row in full.
fn in_cell(database: &TestDatabase, prefix: &str, uuid: InstanceUuid) -> Vec<Vec<Row>> {
    let schema = CellDatabase::expected_schema().unwrap();
    let rows = |table: &(&str, &str)| rows_of(database, &schema, *table, prefix, uuid);
    let mut all: Vec<Vec<Row>> = OF_A_CELL.iter().map(rows).collect();
    let events = format!(
        "SELECT a.action, e.event, e.result, e.start_time, e.finish_time \
         FROM {prefix}instance_actions_events e JOIN {prefix}instance_actions a \
         ON a.id = e.action_id WHERE a.instance_uuid = '{uuid}' ORDER BY 1, 2, 4"
    );
    all.push(database.query(&events).unwrap());
    all
}

fn in_api(test: &TestPlane, prefix: &str, uuid: InstanceUuid) -> Vec<Vec<Row>> {
    let schema = ApiDatabase::expected_schema().unwrap();
    OF_THE_API.iter().map(|table| rows_of(&test.api, &schema, *table, prefix, uuid)).collect()
}

/// Whether an instance is archived whole: nothing of it stands anywhere but in shadow tables, where
/// its mapping and its request stand once.
fn assert_archived(test: &TestPlane, uuid: InstanceUuid) {
    let of = |table: &str| format!("{table} WHERE instance_uuid = '{uuid}'");
    for table in ["instance_mappings", "request_specs", "boot_states", "boot_intents", "claims"] {
        assert_eq!(count(&test.api, &of(table)), 0, "{table} of {uuid}");
    }
    for table in ["shadow_instance_mappings", "shadow_request_specs"] {
        assert_eq!(count(&test.api, &of(table)), 1, "{table} of {uuid}");
    }
    for database in test.cells.iter().map(|(_, cell)| cell).chain([&test.cell0]) {
        assert!(in_cell(database, "", uuid).iter().all(Vec::is_empty), "{uuid}");
    }
}

async fn assert_not_found(test: &TestPlane, uuid: InstanceUuid) {
    for ctx in [user(), RequestContext::admin()] {
        let shown = test.plane.show(&ctx, uuid).await;
        assert!(matches!(shown, Err(ReadError::InstanceNotFound { .. })), "{shown:?}");
    }
}

async fn assert_sound(test: &TestPlane) {
    let report = test.plane.fsck(Repair::No).await.unwrap();
    assert!(report.is_clean(), "{:?} {:?}", report.findings, report.unreachable);
    test.check_at_rest();
}

/// The live instances and their rows.
async fn listed(plane: &ControlPlane) -> Vec<Instance> {
    plane.list(&user(), &ListQuery::default()).await.unwrap().instances
}

fn full(name: &str, flavor: &str) -> BootRequestBuilder {
    let device = BlockDevice {
        source_type: "image".into(),
        destination_type: "local".into(),
        source_id: Some(crate::support::IMAGE.parse().unwrap()),
        boot_index: Some(0),
        ..BlockDevice::default()
    };
    request(name, flavor).tag("blue").metadata("role", "web").block_device(device)
}
