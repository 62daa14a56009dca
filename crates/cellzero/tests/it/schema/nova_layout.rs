//! Nova's layout: every table that Nova has too is Nova's, column by column.

use std::collections::BTreeSet;

use cellzero::*;
use cellzero_api_db::Api;
use cellzero_cell_db::Cell;
use cellzero_database::{Database, SchemaKind, Table};
use cellzero_test_support::{Engine, nova_plane};

use super::schema_of;

/// Tables of ours alone; Nova has none of these names.
const OF_THE_API: &[&str] = &[
    "boot_groups",
    "boot_histories",
    "boot_intents",
    "boot_states",
    "claims",
    "client_tokens",
    "counters",
    "database_identity",
    "host_capacity",
    "outbox",
    "quota_locks",
    "retries",
    "shadow_boot_histories",
    "shadow_instance_mappings",
    "shadow_request_specs",
    "waiting_classes",
    "waiting_instances",
];
const OF_A_CELL: &[&str] =
    &["database_identity", "host_snapshots", "instance_fences", "outbox", "verdicts"];

/// Where a table of ours differs from Nova's on purpose: the table, who has the line (`Nova` or
/// `ours`), the line as [`lines`] has it, and why.
type Difference = (&'static str, &'static str, &'static str, &'static str);

/// Nowhere.
const ON_PURPOSE: &[Difference] = &[];

/// A table's columns and unique keys, a line each. Plain indexes may be more or fewer than Nova's.
fn lines(table: &Table) -> BTreeSet<String> {
    let columns = table.columns.iter().map(|(name, column)| {
        let null = if column.nullable { "null" } else { "not null" };
        format!("{name} {} {null}", column.kind)
    });
    let unique = table.unique.iter().map(|columns| format!("unique ({})", columns.join(", ")));
    columns.chain(unique).collect()
}

fn assert_like_nova<K: SchemaKind>(nova: &Schema, own: &[&str]) {
    let ours = Database::<K>::expected_schema().unwrap();
    let (shared, alone): (Vec<_>, Vec<_>) =
        ours.tables.iter().partition(|(name, _)| nova.tables.contains_key(*name));
    let alone: Vec<&str> = alone.into_iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(alone, own, "the tables that Nova has not");
    let mut found = Vec::new();
    for (name, table) in shared {
        let (theirs, ours) = (lines(&nova.tables[name]), lines(table));
        let of_nova = theirs.difference(&ours).map(|line| (name.as_str(), "Nova", line.clone()));
        let of_ours = ours.difference(&theirs).map(|line| (name.as_str(), "ours", line.clone()));
        found.extend(of_nova.chain(of_ours));
    }
    let on_purpose: Vec<_> = ON_PURPOSE
        .iter()
        .filter(|(table, ..)| ours.tables.contains_key(*table))
        .inspect(|(.., reason)| assert!(!reason.is_empty(), "each row says why"))
        .map(|(table, whose, line, _)| (*table, *whose, (*line).to_owned()))
        .collect();
    assert_eq!(found, on_purpose);
}

#[tokio::test]
async fn every_table_of_a_cell_that_nova_has_too_is_novas() {
    let nova = nova_plane(Engine::Sqlite).unwrap();
    for number in 0..3 {
        assert_like_nova::<Cell>(&schema_of::<Cell>(nova.cell(number).url()).await, OF_A_CELL);
    }
}

#[tokio::test]
async fn every_table_of_the_api_database_that_nova_has_too_is_novas() {
    let nova = nova_plane(Engine::Sqlite).unwrap();
    assert_like_nova::<Api>(&schema_of::<Api>(nova.api().url()).await, OF_THE_API);
}
