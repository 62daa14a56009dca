//! Aggregates: named sets of hosts with metadata; an availability zone is one kind of it.
//!
//! What changes one begins with [`all_locked`], so that two that change aggregates take turns, and
//! raises the generation of the hosts that it is about ([`crate::host_capacity`]).

use std::collections::{BTreeMap, HashMap};

use cellzero_database::{DatabaseError, insert_rows, load_locked};
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

/// The metadata that makes an aggregate an availability zone.
pub const ZONE_KEY: &str = "availability_zone";

/// An aggregate, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateWithHosts {
    /// Its row id.
    pub id: i32,
    /// Its uuid.
    pub uuid: Option<String>,
    /// Its name, which no other has.
    pub name: String,
    /// What its hosts have in common.
    pub metadata: BTreeMap<String, String>,
    /// Its hosts, sorted.
    pub hosts: Vec<String>,
}

impl AggregateWithHosts {
    /// The availability zone that it is, where it is one.
    pub fn zone(&self) -> Option<&str> {
        self.metadata.get(ZONE_KEY).map(String::as_str)
    }
}

type AggregateRow = (i32, Option<String>, Option<String>);

/// All aggregates by row id. Three statements.
///
/// # Errors
/// The database's.
pub fn all(conn: &mut ApiConnection) -> Result<Vec<AggregateWithHosts>, DatabaseError> {
    let rows: Vec<AggregateRow> = aggregates::table
        .order(aggregates::id)
        .select((aggregates::id, aggregates::uuid, aggregates::name))
        .load(conn.sql())?;
    whole(conn, rows)
}

/// The same under a lock, so that two that change aggregates take turns. Three statements.
///
/// # Errors
/// The database's.
pub fn all_locked(conn: &mut ApiConnection) -> Result<Vec<AggregateWithHosts>, DatabaseError> {
    let rows: Vec<AggregateRow> = load_locked!(
        conn,
        aggregates::table.order(aggregates::id).select((
            aggregates::id,
            aggregates::uuid,
            aggregates::name
        ))
    )?;
    whole(conn, rows)
}

fn whole(
    conn: &mut ApiConnection,
    rows: Vec<AggregateRow>,
) -> Result<Vec<AggregateWithHosts>, DatabaseError> {
    let items: Vec<(i32, String, String)> = aggregate_metadata::table
        .select((
            aggregate_metadata::aggregate_id,
            aggregate_metadata::key,
            aggregate_metadata::value,
        ))
        .load(conn.sql())?;
    let members: Vec<(i32, Option<String>)> = aggregate_hosts::table
        .order(aggregate_hosts::host)
        .select((aggregate_hosts::aggregate_id, aggregate_hosts::host))
        .load(conn.sql())?;
    let mut all: BTreeMap<i32, AggregateWithHosts> = BTreeMap::new();
    for (id, uuid, name) in rows {
        let name = name.unwrap_or_default();
        let (metadata, hosts) = (BTreeMap::new(), Vec::new());
        all.insert(id, AggregateWithHosts { id, uuid, name, metadata, hosts });
    }
    for (id, key, value) in items {
        if let Some(aggregate) = all.get_mut(&id) {
            aggregate.metadata.insert(key, value);
        }
    }
    for (id, host) in members {
        if let (Some(aggregate), Some(host)) = (all.get_mut(&id), host) {
            aggregate.hosts.push(host);
        }
    }
    Ok(all.into_values().collect())
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

/// Deletes an aggregate that has no hosts, with its metadata. Two statements. To be called in a
/// transaction.
///
/// # Errors
/// The database's; a violated foreign key where it has hosts.
pub fn delete(conn: &mut ApiConnection, id: i32) -> Result<(), DatabaseError> {
    diesel::delete(aggregate_metadata::table.filter(aggregate_metadata::aggregate_id.eq(id)))
        .execute(conn.sql())?;
    diesel::delete(aggregates::table.filter(aggregates::id.eq(id))).execute(conn.sql())?;
    Ok(())
}

/// Adds a host to an aggregate. Two statements. To be called in a transaction.
///
/// # Errors
/// The database's; a unique violation where it is in it already.
pub fn add_host(
    conn: &mut ApiConnection,
    aggregate_id: i32,
    host: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row = NewHost { created_at: now, host, aggregate_id };
    diesel::insert_into(aggregate_hosts::table).values(&row).execute(conn.sql())?;
    host_capacity::raise(conn, &[host.to_owned()], now)
}

/// Takes a host out of an aggregate; says whether it was in it. Two statements. To be called in a
/// transaction.
///
/// Its generation rises: one that leaves a zone is in the default one.
///
/// # Errors
/// The database's.
pub fn remove_host(
    conn: &mut ApiConnection,
    aggregate_id: i32,
    host: &str,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let gone = diesel::delete(
        aggregate_hosts::table
            .filter(aggregate_hosts::aggregate_id.eq(aggregate_id))
            .filter(aggregate_hosts::host.eq(host)),
    )
    .execute(conn.sql())?;
    host_capacity::raise(conn, &[host.to_owned()], now)?;
    Ok(gone == 1)
}

/// Sets one item of an aggregate's metadata, or takes it away with none. One statement, and one for each
/// five hundred of its hosts. To be called in a transaction.
///
/// # Errors
/// The database's.
pub fn set_metadata(
    conn: &mut ApiConnection,
    aggregate: &AggregateWithHosts,
    (key, value): (&str, Option<&str>),
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let known = aggregate_metadata::table
        .filter(aggregate_metadata::aggregate_id.eq(aggregate.id))
        .filter(aggregate_metadata::key.eq(key));
    match value {
        None => {
            diesel::delete(known).execute(conn.sql())?;
        }
        Some(value) if aggregate.metadata.contains_key(key) => {
            diesel::update(known)
                .set((aggregate_metadata::value.eq(value), aggregate_metadata::updated_at.eq(now)))
                .execute(conn.sql())?;
        }
        Some(value) => {
            let item = NewItem { created_at: now, aggregate_id: aggregate.id, key, value };
            diesel::insert_into(aggregate_metadata::table).values(&item).execute(conn.sql())?;
        }
    }
    host_capacity::raise(conn, &aggregate.hosts, now)
}
