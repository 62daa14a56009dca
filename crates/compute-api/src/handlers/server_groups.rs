//! Server groups: instances with a common placement policy.

use cellzero::{GroupWithMembers, InvalidField};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::route::{Route, route};
use crate::schema::{name, object, wrapped};

/// The largest page.
const LIMIT_MAX: u32 = 1_000;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(GET "/os-server-groups" "server-groups:index" READER index, "Lists server groups.")
            .query(&["all_projects", "limit", "offset"])
            .gives(200, "ServerGroups"),
        route!(POST "/os-server-groups" "server-groups:create" MEMBER
            create, "Creates a server group.")
        .body(create_schema, || json!({"server_group": {"name": "ha", "policies": ["affinity"]}}))
        .gives(200, "ServerGroup"),
        route!(GET "/os-server-groups/{server_group_id}" "server-groups:show" READER
            show, "Shows a server group.")
        .gives(200, "ServerGroup"),
        route!(DELETE "/os-server-groups/{server_group_id}" "server-groups:delete" MEMBER
            delete, "Deletes a server group; its servers stay.")
        .ends(204),
    ]
}

fn create_schema() -> Value {
    let policy = json!({
        "type": "string",
        "enum": ["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"],
    });
    let rules = object(
        &[],
        json!({"max_server_per_host": {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": i32::MAX},
                {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"},
            ],
        }}),
    );
    wrapped(
        "server_group",
        object(
            &["name"],
            json!({
                "name": name(),
                "policies": {"type": "array", "items": policy, "minItems": 1, "maxItems": 1},
                "policy": policy,
                "rules": rules,
            }),
        ),
    )
}

fn view(call: &Call, GroupWithMembers { group, members }: &GroupWithMembers) -> Value {
    let mut view = json!({
        "id": group.uuid,
        "name": group.name,
        "members": members,
    });
    if call.since(64) {
        view["policy"] = json!(group.policy);
        view["rules"] = match group.policy.as_str() {
            "anti-affinity" => json!({"max_server_per_host": group.max_server_per_host}),
            _ => json!({}),
        };
    } else {
        view["policies"] = json!([group.policy]);
        view["metadata"] = json!({});
    }
    if call.since(13) {
        view["project_id"] = json!(group.project_id);
        view["user_id"] = json!(group.user_id);
    }
    view
}

async fn index(call: Call) -> Answered {
    let all = call.query.one("all_projects").is_some() && call.ctx.is_admin;
    let limit = call.query.count("limit")?.unwrap_or(LIMIT_MAX).min(LIMIT_MAX) as usize;
    let offset = call.query.count("offset")?.unwrap_or(0) as usize;
    let groups = match all {
        true => call.plane.server_groups().list_all().await?,
        false => call.plane.server_groups().list(&call.ctx).await?,
    };
    let page = groups.iter().skip(offset).take(limit).map(|group| view(&call, group));
    Ok(Reply::ok(json!({"server_groups": page.collect::<Vec<_>>()})))
}

async fn create(call: Call) -> Answered {
    let asked = call.object("server_group");
    let name = asked["name"].as_str().unwrap_or_default();
    let policy = match call.since(64) {
        true => {
            crate::schema::refuse_key(asked, "policies")?;
            asked["policy"].as_str()
        }
        false => {
            crate::schema::refuse_key(asked, "policy")?;
            crate::schema::refuse_key(asked, "rules")?;
            asked["policies"][0].as_str()
        }
    };
    let policy = policy.ok_or_else(|| {
        InvalidField::new("policy", "", "affinity, anti-affinity, or one of these with soft-")
    })?;
    if policy.starts_with("soft-") && !call.since(15) {
        return Err(InvalidField::new("policies", policy, "affinity or anti-affinity").into());
    }
    let rule = &asked["rules"]["max_server_per_host"];
    if !rule.is_null() && policy != "anti-affinity" {
        let expected = "left out: only anti-affinity has it";
        return Err(InvalidField::new("max_server_per_host", rule, expected).into());
    }
    let most = rule.as_u64().or_else(|| rule.as_str()?.parse().ok()).unwrap_or(1);
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let uuid = call.plane.server_groups().create(&call.ctx, name, policy, most).await?;
    let group = call.plane.server_groups().show(&call.ctx, uuid).await?;
    Ok(Reply::ok(json!({"server_group": view(&call, &group)})))
}

/// The group that the path names.
fn named(call: &Call) -> Result<Uuid, Fault> {
    let id = call.param("server_group_id");
    let missing = |_| Fault::not_found(format!("Instance group {id} could not be found."));
    Uuid::try_parse(id).map_err(missing)
}

async fn show(call: Call) -> Answered {
    let group = call.plane.server_groups().show(&call.ctx, named(&call)?).await?;
    Ok(Reply::ok(json!({"server_group": view(&call, &group)})))
}

async fn delete(call: Call) -> Answered {
    call.plane.server_groups().delete(&call.ctx, named(&call)?).await?;
    Ok(Reply::no_content())
}
