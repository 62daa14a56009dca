//! A page for operators at `/ui`: cells, hosts, states, and cell0 by reason; live.
//!
//! The page is one file without a build step. Its script asks `/ui/data` every two seconds with the
//! token that the operator gave, and retries what is buried by `/ui/retry`; both are for admins.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use cellzero::{CellUuid, ControlPlane, InstanceUuid, ListQuery, RequestContext, Resources};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::policy::Policy;
use crate::serve::{Api, read_body};

const PAGE: &str = include_str!("ui.html");
/// What the page may load: itself. No other site may frame it.
const SECURITY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                        connect-src 'self'; frame-ancestors 'none'";
/// The most buried instances that are shown one by one.
const BURIED_MAX: u32 = 50;
/// How long what is shown may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// `GET /ui`.
pub(crate) async fn page() -> Response {
    let policy = HeaderName::from_static("content-security-policy");
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (policy, SECURITY)], PAGE).into_response()
}

/// `GET /ui/data`.
pub(crate) async fn data(State(api): State<Api>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let shown = async {
        let who = api.identify(&parts, Policy::ADMIN).await?;
        let ctx = RequestContext {
            is_admin: true,
            ..RequestContext::new(who.project_id, who.user_id).with_timeout(TIMEOUT)
        };
        gather(api.plane(), &ctx).await
    };
    answer(shown.await)
}

/// `POST /ui/retry`, with the id of a server.
pub(crate) async fn retry(State(api): State<Api>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let retried = async {
        let who = api.identify(&parts, Policy::ADMIN).await?;
        if parts.method != Method::POST {
            return Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, "This is asked for by POST."));
        }
        // No form of another site can send this kind.
        if !parts.headers.contains_key(header::CONTENT_TYPE) {
            return Err(Fault::bad_request("The body must be application/json."));
        }
        let body = read_body(&parts, body, 1024).await?;
        let id = body["server"].as_str().unwrap_or_default();
        let uuid: InstanceUuid = id.parse().map_err(|_| Fault::server_not_found(id))?;
        let ctx = RequestContext {
            is_admin: true,
            ..RequestContext::new(who.project_id, who.user_id).with_timeout(TIMEOUT)
        };
        api.plane().retry(&ctx, uuid).await?;
        Ok(json!({"retried": uuid}))
    };
    answer(retried.await)
}

fn answer(answered: Result<Value, Fault>) -> Response {
    match answered {
        Ok(body) => {
            let kind =
                [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (kind, body.to_string()).into_response()
        }
        Err(fault) => fault.into_response(),
    }
}

fn resources(resources: &Resources) -> Value {
    json!({
        "vcpus": resources.vcpus, "memory_mb": resources.memory_mb, "disk_gb": resources.disk_gb,
    })
}

async fn gather(plane: &ControlPlane, ctx: &RequestContext) -> Result<Value, Fault> {
    let counts = plane.count(ctx).await?;
    let down: Vec<CellUuid> = counts.down_cells.iter().map(|(cell, _)| *cell).collect();
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    let mut by_cell: BTreeMap<CellUuid, u64> = BTreeMap::new();
    for count in &counts.counts {
        let state = match (&count.cell, &count.vm_state) {
            (None, _) => "scheduling",
            (Some(_), Some(state)) => state.as_str(),
            (Some(_), None) => "unknown",
        };
        *states.entry(state).or_default() += count.count;
        if let Some(cell) = count.cell {
            *by_cell.entry(cell).or_default() += count.count;
        }
    }
    let cells: Vec<Value> = plane
        .cells()
        .list()
        .await?
        .iter()
        .map(|cell| {
            json!({
                "uuid": cell.uuid,
                "name": cell.name,
                "state": match (down.contains(&cell.uuid), cell.disabled) {
                    (true, _) => "down",
                    (false, true) => "disabled",
                    (false, false) => "up",
                },
                "instances": by_cell.get(&cell.uuid).copied().unwrap_or(0),
            })
        })
        .collect();
    let hosts: Vec<Value> = plane
        .hosts()
        .list(None)
        .await?
        .iter()
        .map(|host| {
            json!({
                "host": host.host,
                "cell": host.cell,
                "is_up": host.is_up,
                "limit": host.capacity.as_ref().map(|capacity| resources(&capacity.limit)),
                "used": host.capacity.as_ref().map(|capacity| resources(&capacity.used)),
            })
        })
        .collect();
    let report = plane.cell0_report(ctx).await?;
    Ok(json!({
        "cells": cells,
        "hosts": hosts,
        "states": states,
        "cell0": report,
        "buried": buried(plane, ctx).await?,
    }))
}

/// The instances of cell0 that were buried last, with what would have helped.
async fn buried(plane: &ControlPlane, ctx: &RequestContext) -> Result<Vec<Value>, Fault> {
    let mut query = ListQuery::default().limit(BURIED_MAX).all_projects();
    query.cells = Some(vec![CellUuid::CELL0]);
    let page = plane.list(ctx, &query).await?;
    let rows = page.instances.iter().filter(|instance| instance.known_at.is_none());
    Ok(rows
        .map(|instance| {
            let fault = instance.fault.as_ref();
            let why = fault.map(|fault| fault.details.as_ref().unwrap_or(&fault.message));
            json!({
                "uuid": instance.uuid,
                "name": instance.display_name,
                "project_id": instance.project_id,
                "flavor": instance.flavor.as_ref().map(|flavor| &flavor.name),
                "why": why,
            })
        })
        .collect())
}
