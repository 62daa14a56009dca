//! `os-simple-tenant-usage`: what projects have used in a time.

use cellzero::{InstanceUsage, ProjectUsage, UsageQuery};
use chrono::{NaiveDateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::route::{Route, route};
use crate::views::plain_time;

const KEYS: &[&str] = &["start", "end", "detailed", "limit", "marker"];

/// How far back it goes where nothing is said.
const DAYS_DEFAULT: i64 = 28;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(GET "/os-simple-tenant-usage" "simple-tenant-usage:list" ADMIN
            index, "Lists what all projects have used.")
        .query(KEYS)
        .gives(200, "Usages"),
        route!(GET "/os-simple-tenant-usage/{project_id}" "simple-tenant-usage:show" READER
            show, "Shows what a project has used.")
        .query(KEYS)
        .gives(200, "Usage"),
    ]
}

fn times(call: &Call) -> Result<(NaiveDateTime, NaiveDateTime), Fault> {
    let end = call.query.time("end")?.unwrap_or_else(|| Utc::now().naive_utc());
    let start = call.query.time("start")?.unwrap_or(end - TimeDelta::days(DAYS_DEFAULT));
    if end < start {
        return Err(Fault::bad_request(
            "Invalid start time. The start time cannot occur after the end time.",
        ));
    }
    Ok((start, end))
}

fn view(usage: &ProjectUsage, (start, end): (NaiveDateTime, NaiveDateTime), whole: bool) -> Value {
    let mut view = json!({
        "tenant_id": usage.project_id,
        "total_hours": usage.total_hours,
        "total_vcpus_usage": usage.total_vcpus_usage,
        "total_memory_mb_usage": usage.total_memory_mb_usage,
        "total_local_gb_usage": usage.total_local_gb_usage,
        "start": plain_time(Some(start)),
        "stop": plain_time(Some(end)),
    });
    if whole {
        let servers = usage.instances.iter().map(|server| server_view(usage, server));
        view["server_usages"] = servers.collect();
    }
    view
}

fn server_view(usage: &ProjectUsage, server: &InstanceUsage) -> Value {
    json!({
        "instance_id": server.uuid,
        "name": server.name,
        "tenant_id": usage.project_id,
        "flavor": server.flavor,
        "vcpus": server.vcpus,
        "memory_mb": server.memory_mb,
        "local_gb": server.local_gb,
        "state": server.state,
        "started_at": plain_time(server.started_at),
        "ended_at": plain_time(server.ended_at),
        "hours": server.hours,
        "uptime": server.uptime,
    })
}

async fn index(call: Call) -> Answered {
    let (start, end) = times(&call)?;
    let whole = call.query.one("detailed").is_some_and(|text| text == "1");
    let query = UsageQuery { project_id: None, start, end, detailed: whole };
    let usages = call.plane.usage(&call.ctx, &query).await?;
    let views: Vec<Value> =
        usages.projects.iter().map(|usage| view(usage, (start, end), whole)).collect();
    Ok(Reply::ok(json!({"tenant_usages": views})))
}

async fn show(call: Call) -> Answered {
    let project = call.param("project_id");
    if !call.ctx.may_see(project) {
        let message = "Policy doesn't allow simple-tenant-usage:show to be performed.";
        return Err(Fault::forbidden(message));
    }
    let (start, end) = times(&call)?;
    let query = UsageQuery { project_id: Some(project.to_owned()), start, end, detailed: true };
    let usages = call.plane.usage(&call.ctx, &query).await?;
    let found = usages.projects.iter().find(|usage| usage.project_id == project);
    let view = found.map_or_else(|| json!({}), |usage| view(usage, (start, end), true));
    Ok(Reply::ok(json!({"tenant_usage": view})))
}
