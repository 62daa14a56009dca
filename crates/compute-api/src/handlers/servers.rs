//! Servers: shown, changed and deleted. Lists and the create are beside.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::StatusCode;
use cellzero::{
    HostStatus, Instance, InstanceUuid, ListFilters, ListQuery, ReadError, RequestSpec,
};
use serde_json::{Value, json};

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::handlers::{change, create, list};
use crate::route::{Route, route};
use crate::views::json;
use crate::views::server::{Beside, Place, View, addresses};

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

/// `GET /servers/{server_id}`. What it was asked with is read beside it, not after it.
async fn show(call: Call) -> Answered {
    let uuid = call.server()?;
    let uuids = [uuid];
    let (instance, specs) = tokio::join!(shown(&call, uuid), specs(&call, &uuids, Place::Show));
    let (instance, mut specs) = (instance?, specs?);
    let status = statuses(&call, &[&instance]).await?.of(&instance);
    let beside = Beside { spec: specs.remove(&uuid), host_status: status };
    Ok(Reply::json(json::one(&View::new(&call, Place::Show), &instance, &beside)))
}

/// The server, or what the API database knows of it where its cell is silent.
async fn shown(call: &Call, uuid: InstanceUuid) -> Result<Instance, Fault> {
    // A silent cell may take three fifths of the time; what the API database knows, the rest.
    let patience = call.ctx.timeout.mul_f32(0.6);
    match call.plane.show(&call.ctx.clone().with_timeout(patience), uuid).await {
        Err(ReadError::CellUnavailable { .. }) if call.since(69) => {
            known(call, uuid, call.ctx.timeout - patience).await
        }
        Err(error @ ReadError::CellUnavailable { .. }) => {
            // So it is in Nova, where older clients know of no other way.
            let fault = Fault::from(error);
            Err(Fault::new(StatusCode::INTERNAL_SERVER_ERROR, fault.message))
        }
        shown => Ok(shown?),
    }
}

/// What the API database knows of a server whose cell does not answer.
async fn known(call: &Call, uuid: InstanceUuid, time: Duration) -> Result<Instance, Fault> {
    let filters = ListFilters { uuids: Some(vec![uuid]), ..ListFilters::default() };
    let mut query = ListQuery::default().filter(filters).limit(1);
    query.all_projects = call.ctx.is_admin;
    let page = call.plane.list(&call.ctx.clone().with_timeout(time), &query).await?;
    let found = page.instances.into_iter().next();
    found.ok_or_else(|| Fault::server_not_found(&uuid.text()))
}

/// A server as it is shown by itself, to be added to.
pub(crate) async fn view(call: &Call, instance: &Instance, place: Place) -> Result<Value, Fault> {
    let beside = beside(call, &[instance], place).await?;
    Ok(View::new(call, place).value(instance, &beside[0]))
}

/// What is shown of servers beside their instances, in the same order: two questions to the API
/// database, at once.
pub(crate) async fn beside(
    call: &Call,
    instances: &[&Instance],
    place: Place,
) -> Result<Vec<Beside>, Fault> {
    let uuids: Vec<InstanceUuid> = instances.iter().map(|instance| instance.uuid).collect();
    let asked = tokio::try_join!(specs(call, &uuids, place), statuses(call, instances));
    let (mut specs, statuses) = asked?;
    let beside = instances.iter().map(|instance| Beside {
        spec: specs.remove(&instance.uuid),
        host_status: statuses.of(instance),
    });
    Ok(beside.collect())
}

/// What the servers were asked with, where this microversion shows it.
async fn specs(
    call: &Call,
    uuids: &[InstanceUuid],
    place: Place,
) -> Result<HashMap<InstanceUuid, RequestSpec>, Fault> {
    match call.since(96) || (call.since(71) && place != Place::Detail) {
        true => Ok(call.plane.request_specs(&call.ctx, uuids).await?),
        false => Ok(HashMap::new()),
    }
}

/// The states of hosts; none where they are not shown.
struct Statuses(Option<HashMap<String, HostStatus>>);

impl Statuses {
    fn of(&self, instance: &Instance) -> Option<&'static str> {
        let known = self.0.as_ref()?;
        Some(match &instance.host {
            Some(host) => known.get(host).copied().unwrap_or(HostStatus::Unknown).as_str(),
            None => "",
        })
    }
}

/// The states of the hosts of these instances, where this caller is shown them.
async fn statuses(call: &Call, instances: &[&Instance]) -> Result<Statuses, Fault> {
    if !call.since(16) || !call.ctx.is_admin {
        return Ok(Statuses(None));
    }
    let mut hosts: Vec<String> =
        instances.iter().filter_map(|instance| instance.host.clone()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    Ok(Statuses(Some(call.plane.host_statuses(&call.ctx, &hosts).await?)))
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
