//! Services: the compute service of each host, whether it is up, and whether it takes work.

use cellzero_database::DatabaseError;
use chrono::NaiveDateTime;
use diesel::prelude::*;
use uuid::Uuid;

use crate::CellConnection;
use crate::schema::services;

/// The name of the compute service's program.
pub const COMPUTE_BINARY: &str = "nova-compute";

#[derive(Insertable)]
#[diesel(table_name = services, treat_none_as_default_value = false)]
struct NewService<'a> {
    created_at: NaiveDateTime,
    host: &'a str,
    binary: &'a str,
    topic: &'a str,
    report_count: i32,
    disabled: bool,
    deleted: i32,
    last_seen_up: NaiveDateTime,
    forced_down: bool,
    version: i32,
    uuid: String,
}

/// Notes that a host's compute service is up. One statement, two for a new one.
///
/// # Errors
/// The database's.
pub fn report_up(
    conn: &mut CellConnection,
    host: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let known = services::table
        .filter(services::host.eq(host))
        .filter(services::binary.eq(COMPUTE_BINARY))
        .filter(services::deleted.eq(0));
    let updated = diesel::update(known)
        .set((
            services::last_seen_up.eq(now),
            services::updated_at.eq(now),
            services::report_count.eq(services::report_count + 1),
        ))
        .execute(conn.sql())?;
    if updated == 0 {
        let row = NewService {
            created_at: now,
            host,
            binary: COMPUTE_BINARY,
            topic: "compute",
            report_count: 1,
            disabled: false,
            deleted: 0,
            last_seen_up: now,
            forced_down: false,
            version: 0,
            uuid: Uuid::new_v4().to_string(),
        };
        diesel::insert_into(services::table).values(&row).execute(conn.sql())?;
    }
    Ok(())
}

/// The compute service of a host, whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSeen {
    /// The host.
    pub host: String,
    /// Whether an operator has taken it out of scheduling.
    pub disabled: bool,
    /// Whether an operator has declared it down.
    pub forced_down: bool,
    /// When it was up last.
    pub last_seen_up: Option<NaiveDateTime>,
}

/// The live compute services, disabled ones too, by host. One statement.
///
/// # Errors
/// The database's.
pub fn live(conn: &mut CellConnection) -> Result<Vec<ServiceSeen>, DatabaseError> {
    type Row = (Option<String>, Option<bool>, Option<bool>, Option<NaiveDateTime>);
    let rows: Vec<Row> = services::table
        .filter(services::binary.eq(COMPUTE_BINARY))
        .filter(services::deleted.eq(0))
        .order(services::host)
        .select((services::host, services::disabled, services::forced_down, services::last_seen_up))
        .load(conn.sql())?;
    let seen = |(host, disabled, forced_down, last_seen_up): Row| {
        Some(ServiceSeen {
            host: host?,
            disabled: disabled.unwrap_or(false),
            forced_down: forced_down.unwrap_or(false),
            last_seen_up,
        })
    };
    Ok(rows.into_iter().filter_map(seen).collect())
}

/// A service of a cell, whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = services)]
pub struct ServiceRow {
    /// The row id.
    pub id: i32,
    /// Its uuid.
    pub uuid: Option<String>,
    /// Its host.
    pub host: Option<String>,
    /// Its program, such as `nova-compute`.
    pub binary: Option<String>,
    /// Whether an operator has taken it out of scheduling.
    pub disabled: Option<bool>,
    /// Why.
    pub disabled_reason: Option<String>,
    /// Whether an operator has declared it down.
    pub forced_down: Option<bool>,
    /// When it reported last.
    pub last_seen_up: Option<NaiveDateTime>,
    /// When its row changed last.
    pub updated_at: Option<NaiveDateTime>,
    /// When it reported first.
    pub created_at: Option<NaiveDateTime>,
}

/// All live services by row id. One statement.
///
/// # Errors
/// The database's.
pub fn all(conn: &mut CellConnection) -> Result<Vec<ServiceRow>, DatabaseError> {
    Ok(services::table
        .filter(services::deleted.eq(0))
        .order(services::id)
        .select(ServiceRow::as_select())
        .load(conn.sql())?)
}

/// Takes a host's compute service out of scheduling, or back in. Says whether there is one.
/// One statement.
///
/// # Errors
/// The database's.
pub fn set_disabled(
    conn: &mut CellConnection,
    host: &str,
    disabled: Option<&str>,
    now: NaiveDateTime,
) -> Result<bool, DatabaseError> {
    let known = services::table
        .filter(services::host.eq(host))
        .filter(services::binary.eq(COMPUTE_BINARY))
        .filter(services::deleted.eq(0));
    let updated = diesel::update(known)
        .set((
            services::disabled.eq(disabled.is_some()),
            services::disabled_reason.eq(disabled),
            services::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(updated == 1)
}

/// Deletes the compute service of a host softly: a repair. One statement.
///
/// # Errors
/// The database's.
pub fn delete(
    conn: &mut CellConnection,
    host: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let live = services::table
        .filter(services::host.eq(host))
        .filter(services::binary.eq(COMPUTE_BINARY))
        .filter(services::deleted.eq(0));
    diesel::update(live)
        .set((services::deleted.eq(services::id.nullable()), services::deleted_at.eq(now)))
        .execute(conn.sql())?;
    Ok(())
}
