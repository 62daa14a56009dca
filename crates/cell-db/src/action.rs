//! Actions and their events: what was done to an instance. They outlive it, as in Nova.

use std::collections::HashMap;

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::{InstanceAction, InstanceActionEvent, InstanceUuid, RequestContext};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Nullable, Text, Timestamp};

use crate::CellConnection;
use crate::schema::{instance_actions, instance_actions_events};

/// The action of an instance that is written for the first time, by Nova's name.
pub const CREATE: &str = "create";
/// The action of one that was retried from cell0.
pub const RETRY: &str = "retry";
/// The action of one that was locked.
pub const LOCK: &str = "lock";
/// The action of one that was unlocked.
pub const UNLOCK: &str = "unlock";

#[derive(Insertable)]
#[diesel(table_name = instance_actions, treat_none_as_default_value = false)]
pub(crate) struct NewAction<'a> {
    pub(crate) created_at: NaiveDateTime,
    pub(crate) updated_at: Option<NaiveDateTime>,
    pub(crate) action: &'a str,
    pub(crate) instance_uuid: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) user_id: Option<&'a str>,
    pub(crate) project_id: Option<&'a str>,
    pub(crate) start_time: Option<NaiveDateTime>,
    pub(crate) finish_time: Option<NaiveDateTime>,
    pub(crate) message: Option<&'a str>,
    pub(crate) deleted: i32,
}

pub(crate) fn insert(
    conn: &mut CellConnection,
    rows: &[NewAction<'_>],
) -> Result<(), DatabaseError> {
    insert_rows!(conn, instance_actions::table, rows);
    Ok(())
}

/// What an event of a fresh action says; the same for every instance of a batch.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Such as `conductor_schedule_and_build_instances`.
    pub event: String,
    /// Where it ran.
    pub host: Option<String>,
    /// `Success` or `Error`; none while it is under way.
    pub result: Option<String>,
    /// What a user may read of a failure.
    pub details: Option<String>,
    /// When it began, UTC.
    pub start_time: NaiveDateTime,
    /// When it ended, UTC.
    pub finish_time: Option<NaiveDateTime>,
}

/// Adds an event to every action of each of these instances: one statement, since no backend
/// shares a way to return the ids of inserted actions.
pub(crate) fn insert_event(
    conn: &mut CellConnection,
    uuids: &[String],
    event: &NewEvent,
) -> Result<(), DatabaseError> {
    let finish = event.finish_time.into_sql::<Nullable<Timestamp>>();
    let source = instance_actions::table
        .filter(instance_actions::instance_uuid.eq_any(uuids))
        .filter(instance_actions::deleted.eq(0))
        .select((
            instance_actions::id.nullable(),
            instance_actions::created_at,
            finish,
            event.event.as_str().into_sql::<Nullable<Text>>(),
            event.start_time.into_sql::<Nullable<Timestamp>>(),
            finish,
            event.result.as_deref().into_sql::<Nullable<Text>>(),
            event.host.as_deref().into_sql::<Nullable<Text>>(),
            event.details.as_deref().into_sql::<Nullable<Text>>(),
            0.into_sql::<Nullable<Integer>>(),
        ));
    diesel::insert_into(instance_actions_events::table)
        .values(source)
        .into_columns((
            instance_actions_events::action_id,
            instance_actions_events::created_at,
            instance_actions_events::updated_at,
            instance_actions_events::event,
            instance_actions_events::start_time,
            instance_actions_events::finish_time,
            instance_actions_events::result,
            instance_actions_events::host,
            instance_actions_events::details,
            instance_actions_events::deleted,
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// Records that `ctx` did `action` to an instance. One statement.
///
/// # Errors
/// The database's.
pub fn add(
    conn: &mut CellConnection,
    ctx: &RequestContext,
    uuid: InstanceUuid,
    action: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    insert(
        conn,
        &[NewAction {
            created_at: now,
            updated_at: None,
            action,
            instance_uuid: &uuid.text(),
            request_id: &ctx.request_id,
            user_id: Some(&ctx.user_id),
            project_id: Some(&ctx.project_id),
            start_time: Some(now),
            finish_time: None,
            message: None,
            deleted: 0,
        }],
    )
}

#[derive(Insertable)]
#[diesel(table_name = instance_actions_events, treat_none_as_default_value = false)]
struct PastEvent<'a> {
    created_at: Option<NaiveDateTime>,
    event: &'a str,
    action_id: i32,
    start_time: Option<NaiveDateTime>,
    finish_time: Option<NaiveDateTime>,
    result: Option<&'a str>,
    host: Option<&'a str>,
    details: Option<&'a str>,
    deleted: i32,
}

/// Writes what was done to an instance in an earlier home. Three statements for each action.
pub(crate) fn insert_past(
    conn: &mut CellConnection,
    actions: &[InstanceAction],
    instance_uuid: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    for past in actions {
        let row = NewAction {
            created_at: past.start_time.unwrap_or(now),
            updated_at: past.updated_at.or(past.finish_time),
            action: &past.action,
            instance_uuid,
            request_id: past.request_id.as_deref().unwrap_or_default(),
            user_id: past.user_id.as_deref(),
            project_id: past.project_id.as_deref(),
            start_time: past.start_time,
            finish_time: past.finish_time,
            message: past.message.as_deref(),
            deleted: 0,
        };
        insert(conn, &[row])?;
        let action_id: Option<i32> = instance_actions::table
            .filter(instance_actions::instance_uuid.eq(instance_uuid))
            .select(diesel::dsl::max(instance_actions::id))
            .get_result(conn.sql())?;
        let events: Vec<PastEvent<'_>> = past
            .events
            .iter()
            .filter_map(|event| {
                Some(PastEvent {
                    created_at: event.start_time,
                    event: &event.event,
                    action_id: action_id?,
                    start_time: event.start_time,
                    finish_time: event.finish_time,
                    result: event.result.as_deref(),
                    host: event.host.as_deref(),
                    details: event.details.as_deref(),
                    deleted: 0,
                })
            })
            .collect();
        insert_rows!(conn, instance_actions_events::table, events);
    }
    Ok(())
}

/// Ends the open events that made an instance with this result. Two statements: MariaDB before 11.1
/// scans the whole table for an update with a subquery.
///
/// # Errors
/// The database's.
pub fn finish_events(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    result: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let actions: Vec<i32> = instance_actions::table
        .filter(instance_actions::instance_uuid.eq(uuid.text()))
        .filter(instance_actions::action.eq_any([CREATE, RETRY]))
        .select(instance_actions::id)
        .load(conn.sql())?;
    let open = instance_actions_events::table
        .filter(instance_actions_events::action_id.eq_any(actions))
        .filter(instance_actions_events::finish_time.is_null());
    diesel::update(open)
        .set((
            instance_actions_events::finish_time.eq(now),
            instance_actions_events::updated_at.eq(now),
            instance_actions_events::result.eq(result),
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// The id of a request, and the project and the user that made it.
pub type Making = (Option<String>, Option<String>, Option<String>);

/// The action that made an instance last. One statement.
fn latest_making(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<Option<i32>, DatabaseError> {
    Ok(instance_actions::table
        .filter(instance_actions::instance_uuid.eq(uuid.text()))
        .filter(instance_actions::action.eq_any([CREATE, RETRY]))
        .filter(instance_actions::deleted.eq(0))
        .order((instance_actions::start_time.desc(), instance_actions::id.desc()))
        .select(instance_actions::id)
        .first(conn.sql())
        .optional()?)
}

/// Who asked for an instance, and the id of the request: of the action that made it last. One
/// statement.
///
/// # Errors
/// The database's.
pub fn making_of(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<Option<Making>, DatabaseError> {
    Ok(instance_actions::table
        .filter(instance_actions::instance_uuid.eq(uuid.text()))
        .filter(instance_actions::action.eq_any([CREATE, RETRY]))
        .order((instance_actions::start_time.desc(), instance_actions::id.desc()))
        .select((
            instance_actions::request_id,
            instance_actions::project_id,
            instance_actions::user_id,
        ))
        .first(conn.sql())
        .optional()?)
}

/// Adds a step to the action that makes an instance. Two statements.
pub(crate) fn add_event(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    event: &NewEvent,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let Some(action_id) = latest_making(conn, uuid)? else { return Ok(()) };
    let event = PastEvent {
        created_at: Some(now),
        event: &event.event,
        action_id,
        start_time: Some(now),
        finish_time: event.finish_time,
        result: event.result.as_deref(),
        host: event.host.as_deref(),
        details: event.details.as_deref(),
        deleted: 0,
    };
    diesel::insert_into(instance_actions_events::table).values(&event).execute(conn.sql())?;
    Ok(())
}

/// Says of the action that was to make an instance that it failed. Two statements.
pub(crate) fn mark_failed(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let Some(action_id) = latest_making(conn, uuid)? else { return Ok(()) };
    diesel::update(instance_actions::table.filter(instance_actions::id.eq(action_id)))
        .set((
            instance_actions::message.eq("Error"),
            instance_actions::finish_time.eq(now),
            instance_actions::updated_at.eq(now),
        ))
        .execute(conn.sql())?;
    Ok(())
}

type ActionRow = (
    i32,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<NaiveDateTime>,
    Option<NaiveDateTime>,
    Option<NaiveDateTime>,
    Option<String>,
);
type EventRow = (
    Option<i32>,
    Option<String>,
    Option<NaiveDateTime>,
    Option<NaiveDateTime>,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// How many actions an instance has had that its host was told of. One statement.
///
/// # Errors
/// The database's.
pub fn count(conn: &mut CellConnection, uuid: InstanceUuid) -> Result<i64, DatabaseError> {
    Ok(instance_actions::table
        .filter(instance_actions::instance_uuid.eq(uuid.text()))
        // Whoever locks it must not make the host's next report look old.
        .filter(instance_actions::action.ne_all([LOCK, UNLOCK]))
        .count()
        .get_result(conn.sql())?)
}

/// The latest action of this name. One statement.
fn latest(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    action: &str,
) -> Result<Option<i32>, DatabaseError> {
    Ok(instance_actions::table
        .filter(instance_actions::instance_uuid.eq(uuid.text()))
        .filter(instance_actions::action.eq(action))
        .order(instance_actions::id.desc())
        .select(instance_actions::id)
        .first(conn.sql())
        .optional()?)
}

/// Records that `ctx` did `action` to an instance, and that its work on `host` begins. Three
/// statements.
///
/// # Errors
/// The database's.
pub fn begin(
    conn: &mut CellConnection,
    (ctx, uuid): (&RequestContext, InstanceUuid),
    (action, event): (&str, &str),
    host: &str,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    add(conn, ctx, uuid, action, now)?;
    let Some(action_id) = latest(conn, uuid, action)? else { return Ok(()) };
    let event = PastEvent {
        created_at: Some(now),
        event,
        action_id,
        start_time: Some(now),
        finish_time: None,
        result: None,
        host: Some(host),
        details: None,
        deleted: 0,
    };
    diesel::insert_into(instance_actions_events::table).values(&event).execute(conn.sql())?;
    Ok(())
}

/// Ends the open event of the latest action of this name, well or with what went wrong. Three
/// statements.
///
/// # Errors
/// The database's.
pub fn end(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
    action: &str,
    failure: Option<&str>,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let Some(action_id) = latest(conn, uuid, action)? else { return Ok(()) };
    let open = instance_actions_events::table
        .filter(instance_actions_events::action_id.eq(action_id))
        .filter(instance_actions_events::finish_time.is_null());
    diesel::update(open)
        .set((
            instance_actions_events::finish_time.eq(now),
            instance_actions_events::updated_at.eq(now),
            instance_actions_events::result.eq(failure.map_or("Success", |_| "Error")),
            instance_actions_events::details.eq(failure),
        ))
        .execute(conn.sql())?;
    diesel::update(instance_actions::table.filter(instance_actions::id.eq(action_id)))
        .set((
            instance_actions::updated_at.eq(now),
            instance_actions::message.eq(failure.map(|_| "Error")),
        ))
        .execute(conn.sql())?;
    Ok(())
}

/// What was done to an instance, oldest first, with the steps of each. Two statements.
///
/// # Errors
/// The database's.
pub fn of_instance(
    conn: &mut CellConnection,
    uuid: InstanceUuid,
) -> Result<Vec<InstanceAction>, DatabaseError> {
    let actions: Vec<ActionRow> = instance_actions::table
        .filter(instance_actions::instance_uuid.eq(uuid.text()))
        .filter(instance_actions::deleted.eq(0))
        .order((instance_actions::start_time, instance_actions::id))
        .select((
            instance_actions::id,
            instance_actions::action,
            instance_actions::request_id,
            instance_actions::user_id,
            instance_actions::project_id,
            instance_actions::start_time,
            instance_actions::finish_time,
            instance_actions::updated_at,
            instance_actions::message,
        ))
        .load(conn.sql())?;
    let mut events = events_of(conn, actions.iter().map(|row| row.0).collect())?;
    let actions = actions.into_iter().map(
        |(
            id,
            action,
            request_id,
            user_id,
            project_id,
            start_time,
            finish_time,
            updated_at,
            message,
        )| {
            InstanceAction {
                action: action.unwrap_or_default(),
                request_id,
                user_id,
                project_id,
                start_time,
                finish_time,
                updated_at,
                message,
                events: events.remove(&id).unwrap_or_default(),
            }
        },
    );
    Ok(actions.collect())
}

fn events_of(
    conn: &mut CellConnection,
    action_ids: Vec<i32>,
) -> Result<HashMap<i32, Vec<InstanceActionEvent>>, DatabaseError> {
    let rows: Vec<EventRow> = instance_actions_events::table
        .filter(instance_actions_events::action_id.eq_any(action_ids))
        .filter(instance_actions_events::deleted.eq(0))
        .order(instance_actions_events::id)
        .select((
            instance_actions_events::action_id,
            instance_actions_events::event,
            instance_actions_events::start_time,
            instance_actions_events::finish_time,
            instance_actions_events::result,
            instance_actions_events::host,
            instance_actions_events::details,
        ))
        .load(conn.sql())?;
    let mut by_action: HashMap<i32, Vec<InstanceActionEvent>> = HashMap::new();
    for (action_id, event, start_time, finish_time, result, host, details) in rows {
        let event = event.unwrap_or_default();
        let event = InstanceActionEvent { event, start_time, finish_time, result, host, details };
        by_action.entry(action_id.unwrap_or_default()).or_default().push(event);
    }
    Ok(by_action)
}
