//! Servers: shown, changed and deleted. Lists and the create are beside.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::StatusCode;
use cellzero::{Instance, ListFilters, ListQuery, ReadError};
use serde_json::{Value, json};

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::handlers::{change, create, list};
use crate::route::{Route, route};
use crate::views::server::{Beside, Place, addresses, whole};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(GET "/servers" "servers:index" READER list::index, "Lists servers by name.")
            .query(&list::KEYS)
            .gives(200, "Servers"),
        route!(GET "/servers/detail" "servers:detail" READER list::detail, "Lists servers whole.")
            .query(&list::KEYS)
            .gives(200, "ServersDetail"),
        route!(POST "/servers" "servers:create" MEMBER create::create, "Creates servers.")
            .body(create::schema, create::example)
            .gives(202, "ServerCreated"),
        route!(GET "/servers/{server_id}" "servers:show" READER show, "Shows a server.")
            .gives(200, "Server"),
        route!(PUT "/servers/{server_id}" "servers:update" MEMBER
            change::update, "Changes a server's own fields.")
        .body(change::update_schema, change::update_example)
        .gives(200, "ServerChanged"),
        route!(GET "/servers/{server_id}/ips" "ips:index" READER ips, "Lists addresses.")
            .gives(200, "Addresses"),
        route!(GET "/servers/{server_id}/ips/{label}" "ips:show" READER
            ips_of, "Lists the addresses in a network.")
        .gives(200, "NetworkAddresses"),
        route!(DELETE "/servers/{server_id}" "servers:delete" MEMBER delete, "Deletes a server.")
            .ends(204),
    ]
}

/// `GET /servers/{server_id}`.
async fn show(call: Call) -> Answered {
    let uuid = call.server()?;
    // A silent cell may take three fifths of the time; what the API database knows, the rest.
    let patience = call.ctx.timeout.mul_f32(0.6);
    let shown = call.plane.show(&call.ctx.clone().with_timeout(patience), uuid).await;
    let instance = match shown {
        Err(ReadError::CellUnavailable { .. }) if call.since(69) => {
            let rest = call.ctx.timeout - patience;
            known(&call, uuid, rest).await?
        }
        Err(error @ ReadError::CellUnavailable { .. }) => {
            // So it is in Nova, where older clients know of no other way.
            let fault = Fault::from(error);
            return Err(Fault::new(StatusCode::INTERNAL_SERVER_ERROR, fault.message));
        }
        shown => shown?,
    };
    Ok(Reply::ok(json!({"server": view(&call, &instance, Place::Show).await?})))
}

/// What the API database knows of a server whose cell does not answer.
async fn known(
    call: &Call,
    uuid: cellzero::InstanceUuid,
    time: Duration,
) -> Result<Instance, Fault> {
    let filters = ListFilters { uuids: Some(vec![uuid]), ..ListFilters::default() };
    let mut query = ListQuery::default().filter(filters).limit(1);
    query.all_projects = call.ctx.is_admin;
    let page = call.plane.list(&call.ctx.clone().with_timeout(time), &query).await?;
    let found = page.instances.into_iter().next();
    found.ok_or_else(|| Fault::server_not_found(&uuid.text()))
}

/// A server as it is shown by itself.
pub(crate) async fn view(call: &Call, instance: &Instance, place: Place) -> Result<Value, Fault> {
    let beside = beside(call, &[instance], place).await?;
    Ok(whole(call, instance, &beside[0], place))
}

/// What is shown of servers beside their instances, in the same order.
pub(crate) async fn beside(
    call: &Call,
    instances: &[&Instance],
    place: Place,
) -> Result<Vec<Beside>, Fault> {
    let mut beside: Vec<Beside> = instances.iter().map(|_| Beside::default()).collect();
    let needs_spec = call.since(96) || (call.since(71) && place != Place::Detail);
    if needs_spec && !instances.is_empty() {
        let uuids: Vec<_> = instances.iter().map(|instance| instance.uuid).collect();
        let mut specs = call.plane.request_specs(&call.ctx, &uuids).await?;
        for (instance, beside) in instances.iter().zip(&mut beside) {
            beside.spec = specs.remove(&instance.uuid);
        }
    }
    if call.since(16) && call.ctx.is_admin {
        let states = host_states(call, instances).await?;
        for (instance, beside) in instances.iter().zip(&mut beside) {
            let host = instance.host.as_deref();
            let state = host.map_or("", |host| states.get(host).copied().unwrap_or("UNKNOWN"));
            beside.host_status = Some(state);
        }
    }
    Ok(beside)
}

/// The state of each host, as 2.16 names it; nobody is asked where no instance has a host.
async fn host_states(
    call: &Call,
    instances: &[&Instance],
) -> Result<HashMap<String, &'static str>, Fault> {
    if instances.iter().all(|instance| instance.host.is_none()) {
        return Ok(HashMap::new());
    }
    let hosts = call.plane.hosts().list(None).await?;
    let state = |host: &cellzero::Host| match &host.capacity {
        Some(capacity) if capacity.forced_down => "DOWN",
        Some(capacity) if capacity.service_disabled => "MAINTENANCE",
        Some(_) if host.is_up => "UP",
        Some(_) => "UNKNOWN",
        None => "UNKNOWN",
    };
    Ok(hosts.into_iter().map(|host| (host.host.clone(), state(&host))).collect())
}

/// `DELETE /servers/{server_id}`.
async fn delete(call: Call) -> Answered {
    call.plane.delete(&call.ctx, call.server()?).await?;
    Ok(Reply::no_content())
}

/// The addresses by network, as this resource shows them: without what extends them in servers.
async fn plain_addresses(call: &Call) -> Result<Value, Fault> {
    let instance = call.plane.show(&call.ctx, call.server()?).await?;
    let mut networks = addresses(&instance.network_info);
    let lists = networks.as_object_mut().into_iter().flat_map(|networks| networks.values_mut());
    for address in lists.filter_map(Value::as_array_mut).flatten() {
        *address = json!({"version": address["version"], "addr": address["addr"]});
    }
    Ok(networks)
}

async fn ips(call: Call) -> Answered {
    Ok(Reply::ok(json!({"addresses": plain_addresses(&call).await?})))
}

async fn ips_of(call: Call) -> Answered {
    let label = call.param("label");
    match plain_addresses(&call).await?.get(label) {
        Some(addresses) => Ok(Reply::ok(json!({label: addresses}))),
        None => Err(Fault::not_found("Instance is not a member of specified network")),
    }
}
