//! Aggregates: named sets of hosts with metadata; an availability zone is one kind of it.

use std::collections::{BTreeMap, HashMap};

use cellzero_database::{DatabaseError, insert_rows};
use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::schema::{aggregate_hosts, aggregate_metadata, aggregates};
use crate::{ApiConnection, host_capacity};

/// An aggregate as its hosts see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAggregate {
    /// Its name.
    pub name: String,
    /// What its hosts have in common, such as `availability_zone`.
    pub metadata: BTreeMap<String, String>,
}

/// The aggregates of every host that is in one. One statement.
///
/// # Errors
/// The database's.
pub fn by_host(
    conn: &mut ApiConnection,
) -> Result<HashMap<String, Vec<HostAggregate>>, DatabaseError> {
    type Row = (Option<String>, i32, Option<String>, Option<(String, String)>);
    let rows: Vec<Row> = aggregate_hosts::table
        .inner_join(aggregates::table)
        .left_join(
            aggregate_metadata::table
                .on(aggregate_metadata::aggregate_id.eq(aggregate_hosts::aggregate_id)),
        )
        .order((aggregate_hosts::host, aggregate_hosts::aggregate_id))
        .select((
            aggregate_hosts::host,
            aggregate_hosts::aggregate_id,
            aggregates::name,
            (aggregate_metadata::key, aggregate_metadata::value).nullable(),
        ))
        .load(conn.sql())?;
    let mut by_host: HashMap<String, BTreeMap<i32, HostAggregate>> = HashMap::new();
    for (host, id, name, item) in rows {
        let Some(host) = host else { continue };
        let aggregate = by_host.entry(host).or_default().entry(id).or_insert_with(|| {
            HostAggregate { name: name.unwrap_or_default(), metadata: BTreeMap::new() }
        });
        aggregate.metadata.extend(item);
    }
    Ok(by_host.into_iter().map(|(host, all)| (host, all.into_values().collect())).collect())
}

#[derive(Insertable)]
#[diesel(table_name = aggregates, treat_none_as_default_value = false)]
struct NewAggregate<'a> {
    created_at: NaiveDateTime,
    uuid: String,
    name: &'a str,
}

#[derive(Insertable)]
#[diesel(table_name = aggregate_metadata, treat_none_as_default_value = false)]
struct NewItem<'a> {
    created_at: NaiveDateTime,
    aggregate_id: i32,
    key: &'a str,
    value: &'a str,
}

#[derive(Insertable)]
#[diesel(table_name = aggregate_hosts, treat_none_as_default_value = false)]
struct NewHost<'a> {
    created_at: NaiveDateTime,
    host: &'a str,
    aggregate_id: i32,
}

/// Adds an aggregate with its metadata and hosts, whose generation rises. Up to five statements.
/// To be called in a transaction.
///
/// # Errors
/// The database's; a unique violation where the name is taken.
pub fn insert(
    conn: &mut ApiConnection,
    name: &str,
    metadata: &BTreeMap<String, String>,
    hosts: &[String],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row = NewAggregate { created_at: now, uuid: uuid::Uuid::new_v4().to_string(), name };
    diesel::insert_into(aggregates::table).values(&row).execute(conn.sql())?;
    let aggregate_id = aggregates::table
        .filter(aggregates::name.eq(name))
        .select(aggregates::id)
        .first(conn.sql())?;
    let items: Vec<NewItem<'_>> = metadata
        .iter()
        .map(|(key, value)| NewItem { created_at: now, aggregate_id, key, value })
        .collect();
    insert_rows!(conn, aggregate_metadata::table, items);
    let rows: Vec<NewHost<'_>> =
        hosts.iter().map(|host| NewHost { created_at: now, host, aggregate_id }).collect();
    insert_rows!(conn, aggregate_hosts::table, rows);
    host_capacity::raise(conn, hosts, now)
}
