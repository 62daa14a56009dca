//! `POST /servers/{server_id}/action`: each action is one key of the body.

use cellzero::{Action, VmState};
use serde_json::{Value, json};

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::handlers::change::{rebuild, rebuild_example, rebuild_schema};
use crate::route::{Route, route};
use crate::schema::{object, wrapped};

/// The path of all actions.
macro_rules! action {
    ($key:literal $policy:ident $handler:path, $summary:literal) => {
        Route {
            action: Some($key),
            ..route!(POST "/servers/{server_id}/action" $key $policy $handler, $summary)
        }
        .ends(202)
    };
    // One without arguments: the value of its key may be anything that Nova takes there.
    ($key:literal $policy:ident $handler:path, $summary:literal, plain) => {
        action!($key $policy $handler, $summary).body(
            || wrapped($key, json!({"type": ["object", "null", "string"]})),
            || json!({$key: null}),
        )
    };
}

/// The actions, each a route of its own.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        action!("reboot" MEMBER reboot, "Reboots a server.")
            .body(reboot_schema, || json!({"reboot": {"type": "SOFT"}})),
        action!("os-start" MEMBER start, "Starts a server.", plain),
        action!("os-stop" MEMBER stop, "Stops a server.", plain),
        action!("pause" MEMBER pause, "Pauses a server.", plain),
        action!("unpause" MEMBER unpause, "Lets a paused server go on.", plain),
        action!("suspend" MEMBER suspend, "Suspends a server to disk.", plain),
        action!("resume" MEMBER resume, "Lets a suspended server go on.", plain),
        action!("lock" MEMBER lock, "Locks a server against changes.")
            .body(lock_schema, || json!({"lock": null})),
        action!("unlock" MEMBER unlock, "Unlocks a server.", plain),
        action!("os-resetState" ADMIN reset_state, "Sets the state of a server.")
            .body(reset_schema, || json!({"os-resetState": {"state": "active"}})),
        Route {
            answers: vec![(204, None)],
            ..action!("forceDelete" MEMBER force_delete, "Deletes a server at once.", plain)
        },
        action!("restore" MEMBER restore, "Brings back a server that was deleted softly.", plain),
        action!("rebuild" MEMBER rebuild, "Builds a server anew from an image, and shows it.")
            .body(rebuild_schema, rebuild_example),
    ]
}

fn reboot_schema() -> Value {
    let kinds = ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"];
    wrapped("reboot", object(&["type"], json!({"type": {"type": "string", "enum": kinds}})))
}

fn lock_schema() -> Value {
    let reason = json!({"type": "string", "minLength": 1, "maxLength": 255});
    let mut lock = object(&[], json!({"locked_reason": reason}));
    lock["type"] = json!(["object", "null", "string"]);
    wrapped("lock", lock)
}

fn reset_schema() -> Value {
    let states = json!({"type": "string", "enum": ["active", "error"]});
    wrapped("os-resetState", object(&["state"], json!({"state": states})))
}

async fn act(call: &Call, action: Action) -> Answered {
    call.plane.act(&call.ctx, call.server()?, action).await?;
    Ok(Reply::accepted())
}

async fn reboot(call: Call) -> Answered {
    let kind = call.object("reboot")["type"].as_str().unwrap_or_default();
    let is_hard = kind.eq_ignore_ascii_case("hard");
    act(&call, if is_hard { Action::HardReboot } else { Action::Reboot }).await
}

async fn start(call: Call) -> Answered {
    act(&call, Action::Start).await
}

async fn stop(call: Call) -> Answered {
    act(&call, Action::Stop).await
}

async fn pause(call: Call) -> Answered {
    act(&call, Action::Pause).await
}

async fn unpause(call: Call) -> Answered {
    act(&call, Action::Unpause).await
}

async fn suspend(call: Call) -> Answered {
    act(&call, Action::Suspend).await
}

async fn resume(call: Call) -> Answered {
    act(&call, Action::Resume).await
}

async fn lock(call: Call) -> Answered {
    let body = call.object("lock");
    if !call.since(73) {
        crate::schema::refuse_key(body, "locked_reason")?;
    }
    call.plane.lock(&call.ctx, call.server()?, body["locked_reason"].as_str()).await?;
    Ok(Reply::accepted())
}

async fn unlock(call: Call) -> Answered {
    call.plane.unlock(&call.ctx, call.server()?).await?;
    Ok(Reply::accepted())
}

/// Nothing is kept of a delete here, so each is one at once.
async fn force_delete(call: Call) -> Answered {
    call.plane.delete(&call.ctx, call.server()?).await?;
    Ok(Reply::no_content())
}

/// Nothing is deleted softly here, so there is nothing to bring back.
async fn restore(call: Call) -> Answered {
    let uuid = call.server()?;
    let instance = call.plane.show(&call.ctx, uuid).await?;
    Err(Fault::conflict(match instance.home.is_cell0() {
        true => format!("cannot restore instance {uuid}: it is buried in cell0"),
        false => format!("cannot restore instance {uuid}: it is not deleted"),
    }))
}

async fn reset_state(call: Call) -> Answered {
    let state = match call.object("os-resetState")["state"].as_str() {
        Some("active") => VmState::Active,
        _ => VmState::Error,
    };
    call.plane.reset_state(&call.ctx, call.server()?, state).await?;
    Ok(Reply::accepted())
}
