//! What a project may have: limits and quota sets.

use std::collections::BTreeMap;

use cellzero::{InvalidField, Quota, QuotaLimits};
use serde_json::{Map, Value, json};

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::route::{Route, route};
use crate::schema::{object, wrapped};

/// What a quota set has, the last minor version that has it, and the limit; -1 is none. Only the
/// first three are counted here; the library holds metadata to its own limit.
const RESOURCES: &[(&str, u16, i64)] = &[
    ("instances", u16::MAX, -1),
    ("cores", u16::MAX, -1),
    ("ram", u16::MAX, -1),
    ("metadata_items", u16::MAX, cellzero::boot_request::METADATA_ITEMS_MAX as i64),
    ("key_pairs", u16::MAX, -1),
    ("server_groups", u16::MAX, -1),
    ("server_group_members", u16::MAX, -1),
    ("fixed_ips", 35, -1),
    ("floating_ips", 35, -1),
    ("security_groups", 35, -1),
    ("security_group_rules", 35, -1),
    ("injected_files", 56, 0),
    ("injected_file_content_bytes", 56, 0),
    ("injected_file_path_bytes", 56, 0),
];

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(GET "/limits" "limits" READER limits, "Shows what a project may have.")
            .query(&["tenant_id", "reserved"])
            .gives(200, "Limits"),
        route!(GET "/os-quota-sets/{project_id}" "quota-sets:show" READER
            show, "Shows a project's quota.")
        .query(&["user_id"])
        .gives(200, "QuotaSet"),
        route!(GET "/os-quota-sets/{project_id}/detail" "quota-sets:detail" READER
            detail, "Shows a project's quota and use.")
        .query(&["user_id"])
        .gives(200, "QuotaSetDetail"),
        route!(GET "/os-quota-sets/{project_id}/defaults" "quota-sets:defaults" READER
            defaults, "Shows the quota of a project without its own.")
        .gives(200, "QuotaSet"),
        route!(PUT "/os-quota-sets/{project_id}" "quota-sets:update" ADMIN
            update, "Changes a project's quota.")
        .body(update_schema, || json!({"quota_set": {"instances": 10}}))
        .query(&["user_id"])
        .gives(200, "QuotaSetChanged"),
        route!(DELETE "/os-quota-sets/{project_id}" "quota-sets:delete" ADMIN
            delete, "Gives a project the default quota again.")
        .query(&["user_id"])
        .ends(202),
    ]
}

fn update_schema() -> Value {
    let limit = json!({"anyOf": [
        {"type": "integer", "minimum": -1, "maximum": i32::MAX},
        {"type": "string", "pattern": "^-?[0-9]{1,9}$"},
    ]});
    let mut properties: Map<String, Value> =
        RESOURCES.iter().map(|(name, _, _)| ((*name).to_owned(), limit.clone())).collect();
    properties.insert("force".to_owned(), crate::schema::boolean());
    properties.insert("tenant_id".to_owned(), json!({"type": "string"}));
    wrapped("quota_set", object(&[], Value::Object(properties)))
}

fn limit_of(limits: &QuotaLimits, resource: &str, default: i64) -> i64 {
    match resource {
        "instances" => limits.instances.unwrap_or(-1),
        "cores" => limits.cores.unwrap_or(-1),
        "ram" => limits.ram_mb.unwrap_or(-1),
        _ => default,
    }
}

/// The limits of a quota set in the microversion of the call.
fn resources<'a>(call: &'a Call, limits: &'a QuotaLimits) -> impl Iterator<Item = (&'a str, i64)> {
    RESOURCES
        .iter()
        .filter(|(_, last, _)| call.version.minor <= *last)
        .map(|(name, _, default)| (*name, limit_of(limits, name, *default)))
}

async fn limits(call: Call) -> Answered {
    let project = match call.query.one("tenant_id").filter(|_| call.ctx.is_admin) {
        Some(project) => project.to_owned(),
        None => call.ctx.project_id.clone(),
    };
    let quota = call.plane.quotas().show(&project).await?;
    let groups = call.plane.server_groups().list(&call.ctx).await?.len();
    let limit = |name: &str| {
        let found = RESOURCES.iter().find(|(known, _, _)| *known == name);
        limit_of(&quota.limits, name, found.map_or(-1, |(_, _, limit)| *limit))
    };
    let mut absolute = BTreeMap::from([
        ("maxTotalInstances", limit("instances")),
        ("maxTotalCores", limit("cores")),
        ("maxTotalRAMSize", limit("ram")),
        ("maxTotalKeypairs", limit("key_pairs")),
        ("maxServerMeta", limit("metadata_items")),
        ("maxServerGroups", limit("server_groups")),
        ("maxServerGroupMembers", limit("server_group_members")),
        ("totalInstancesUsed", quota.used.instances),
        ("totalCoresUsed", quota.used.cores),
        ("totalRAMUsed", quota.used.ram_mb),
        ("totalServerGroupsUsed", i64::try_from(groups).unwrap_or(i64::MAX)),
    ]);
    if !call.since(36) {
        absolute.extend([
            ("maxTotalFloatingIps", -1),
            ("maxSecurityGroups", -1),
            ("maxSecurityGroupRules", -1),
            ("totalFloatingIpsUsed", 0),
            ("totalSecurityGroupsUsed", 0),
        ]);
    }
    if !call.since(39) {
        absolute.insert("maxImageMeta", limit("metadata_items"));
    }
    if !call.since(57) {
        absolute.extend([("maxPersonality", 0), ("maxPersonalitySize", 0)]);
    }
    Ok(Reply::ok(json!({"limits": {"rate": [], "absolute": absolute}})))
}

/// The quota of the project that the path names, where this caller may see it.
async fn quota(call: &Call) -> Result<Quota, Fault> {
    let project = call.param("project_id");
    if !call.ctx.may_see(project) {
        let message = "Policy doesn't allow quota-sets:show to be performed.";
        return Err(Fault::forbidden(message));
    }
    Ok(call.plane.quotas().show(project).await?)
}

fn quota_set(call: &Call, id: &str, limits: &QuotaLimits) -> Answered {
    let mut set: Map<String, Value> =
        resources(call, limits).map(|(name, limit)| (name.to_owned(), json!(limit))).collect();
    set.insert("id".to_owned(), json!(id));
    Ok(Reply::ok(json!({"quota_set": set})))
}

async fn show(call: Call) -> Answered {
    let quota = quota(&call).await?;
    quota_set(&call, &quota.project_id, &quota.limits)
}

async fn defaults(call: Call) -> Answered {
    // A project of its own kind that nobody has heard of has no limits of its own.
    let id = call.param("project_id").to_owned();
    let fresh = call.plane.quotas().show(&format!("defaults-{}", uuid::Uuid::new_v4())).await?;
    quota_set(&call, &id, &fresh.limits)
}

async fn detail(call: Call) -> Answered {
    let quota = quota(&call).await?;
    let used = |name: &str| match name {
        "instances" => quota.used.instances,
        "cores" => quota.used.cores,
        "ram" => quota.used.ram_mb,
        _ => 0,
    };
    let entries = resources(&call, &quota.limits);
    let mut set: Map<String, Value> = entries
        .map(|(name, limit)| {
            (name.to_owned(), json!({"limit": limit, "in_use": used(name), "reserved": 0}))
        })
        .collect();
    set.insert("id".to_owned(), json!(quota.project_id));
    Ok(Reply::ok(json!({"quota_set": set})))
}

async fn update(call: Call) -> Answered {
    let project = call.param("project_id");
    let quota = call.plane.quotas().show(project).await?;
    let mut changes = Vec::new();
    for (name, value) in call.object("quota_set").as_object().into_iter().flatten() {
        let Some((name, last, default)) = RESOURCES.iter().find(|(known, _, _)| known == name)
        else {
            continue;
        };
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let refuse = |expected: &str| InvalidField::new(*name, &shown, expected);
        if call.version.minor > *last {
            return Err(refuse("left out: this microversion does not have it").into());
        }
        let limit: i32 = shown.parse().map_err(|_| refuse("a limit, or -1 for none"))?;
        let limit = Some(limit).filter(|limit| *limit >= 0);
        if !["instances", "cores", "ram"].contains(name) {
            if limit.map_or(-1, i64::from) != *default {
                return Err(refuse("left out: this is not limited by project here").into());
            }
            continue;
        }
        let used = match *name {
            "instances" => quota.used.instances,
            "cores" => quota.used.cores,
            _ => quota.used.ram_mb,
        };
        if limit.is_some_and(|limit| i64::from(limit) < used) && !is_forced(&call) {
            return Err(refuse(&format!("at least {used}, which is used; or send force")).into());
        }
        changes.push((*name, limit));
    }
    for (name, limit) in changes {
        call.plane.quotas().set(project, name, limit).await?;
    }
    let quota = call.plane.quotas().show(project).await?;
    let set: BTreeMap<&str, i64> = resources(&call, &quota.limits).collect();
    Ok(Reply::ok(json!({"quota_set": set})))
}

fn is_forced(call: &Call) -> bool {
    match &call.object("quota_set")["force"] {
        Value::Bool(forced) => *forced,
        Value::String(text) => crate::query::flag(text).unwrap_or(false),
        _ => false,
    }
}

async fn delete(call: Call) -> Answered {
    for resource in ["instances", "cores", "ram"] {
        call.plane.quotas().unset(call.param("project_id"), resource).await?;
    }
    Ok(Reply::accepted())
}
