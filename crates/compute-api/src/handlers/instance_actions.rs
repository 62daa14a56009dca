//! What was done to a server.

use cellzero::{InstanceAction, InstanceActionEvent, InstanceUuid};
use serde_json::{Value, json};

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::route::{Route, route};
use crate::views::plain_time;
use crate::views::server::host_id;

const KEYS: &[&str] = &["limit", "marker", "changes-since", "changes-before"];
/// The largest page.
const LIMIT_MAX: u32 = 1_000;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(GET "/servers/{server_id}/os-instance-actions" "instance-actions:list" READER
            index, "Lists what was done to a server, the latest first.")
        .query(KEYS)
        .gives(200, "InstanceActions"),
        route!(GET "/servers/{server_id}/os-instance-actions/{request_id}"
            "instance-actions:show" READER show, "Shows an action with its steps.")
        .gives(200, "InstanceAction"),
    ]
}

async fn index(call: Call) -> Answered {
    let uuid = call.server()?;
    let mut actions = read(&call, uuid).await?;
    actions.reverse();
    if !call.since(58) {
        let views: Vec<Value> = actions.iter().map(|action| view(&call, uuid, action)).collect();
        return Ok(Reply::ok(json!({"instanceActions": views})));
    }
    let limit = call.query.count("limit")?.unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
    let changed = |action: &InstanceAction| action.updated_at.or(action.start_time);
    if let Some(since) = call.query.time("changes-since")? {
        actions.retain(|action| changed(action) >= Some(since));
    }
    if let Some(before) = call.query.time("changes-before")?.filter(|_| call.since(66)) {
        actions.retain(|action| changed(action).is_some_and(|changed| changed <= before));
    }
    if let Some(marker) = call.query.one("marker") {
        let place = actions.iter().position(|action| action.request_id.as_deref() == Some(marker));
        let missing = || Fault::bad_request(format!("marker [{marker}] not found"));
        actions.drain(..=place.ok_or_else(missing)?);
    }
    let is_last = actions.len() <= limit as usize;
    actions.truncate(limit as usize);
    let views: Vec<Value> = actions.iter().map(|action| view(&call, uuid, action)).collect();
    let mut body = json!({"instanceActions": views});
    let last = actions.last().and_then(|last| last.request_id.as_deref());
    if let Some(last) = last.filter(|_| !is_last) {
        let query = call.query.with("marker", last);
        let href = format!("{}{}?{query}", call.base, call.path);
        body["links"] = json!([{"rel": "next", "href": href}]);
    }
    Ok(Reply::ok(body))
}

/// What was done, oldest first; from 2.21 on of deleted servers too.
async fn read(call: &Call, uuid: InstanceUuid) -> Result<Vec<InstanceAction>, Fault> {
    Ok(match call.since(21) {
        true => call.plane.actions_with_deleted(&call.ctx, uuid).await?,
        false => call.plane.actions(&call.ctx, uuid).await?,
    })
}

async fn show(call: Call) -> Answered {
    let uuid = call.server()?;
    let request = call.param("request_id");
    let actions = read(&call, uuid).await?;
    let found = actions.iter().find(|action| action.request_id.as_deref() == Some(request));
    let action = found.ok_or_else(|| {
        Fault::not_found(format!("Action for request_id {request} on instance {uuid} not found"))
    })?;
    let mut shown = view(&call, uuid, action);
    // Before 2.51 the steps were for admins alone.
    if call.ctx.is_admin || call.since(51) {
        let project = action.project_id.as_deref().unwrap_or(&call.ctx.project_id);
        let events = action.events.iter().map(|event| step(&call, project, event));
        shown["events"] = events.collect();
    }
    Ok(Reply::ok(json!({"instanceAction": shown})))
}

fn view(call: &Call, uuid: InstanceUuid, action: &InstanceAction) -> Value {
    let mut view = json!({
        "action": action.action,
        "instance_uuid": uuid,
        "request_id": action.request_id,
        "user_id": action.user_id,
        "project_id": action.project_id,
        "start_time": plain_time(action.start_time),
        "message": action.message,
    });
    if call.since(58) {
        view["updated_at"] = plain_time(action.updated_at.or(action.start_time));
    }
    view
}

fn step(call: &Call, project: &str, event: &InstanceActionEvent) -> Value {
    let mut view = json!({
        "event": event.event,
        "start_time": plain_time(event.start_time),
        "finish_time": plain_time(event.finish_time),
        "result": event.result,
    });
    if call.ctx.is_admin {
        view["traceback"] = Value::Null;
    }
    if call.since(62) {
        view["hostId"] = json!(host_id(project, event.host.as_deref()));
        if call.ctx.is_admin {
            view["host"] = json!(event.host);
        }
    }
    if call.since(84) {
        view["details"] = json!(event.details);
    }
    view
}
