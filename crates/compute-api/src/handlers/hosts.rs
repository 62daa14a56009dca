//! What hosts there are: availability zones for everybody, services and hypervisors for admins.

use std::collections::BTreeMap;

use cellzero::{ComputeService, Hypervisor, InvalidField, Resources, Zone};
use serde_json::{Value, json};

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::route::{Route, route};
use crate::schema::object;
use crate::views::plain_time;

/// The largest page.
const LIMIT_MAX: u32 = 1_000;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(GET "/os-availability-zone" "availability-zone:list" READER
            zones, "Lists availability zones.")
        .gives(200, "Zones"),
        route!(GET "/os-availability-zone/detail" "availability-zone:detail" ADMIN
            zones_detail, "Lists availability zones with their hosts.")
        .gives(200, "Zones"),
        route!(GET "/os-services" "services:list" ADMIN services, "Lists compute services.")
            .query(&["host", "binary"])
            .gives(200, "Services"),
        route!(PUT "/os-services/{service_id}" "services:update" ADMIN
            change_service, "Opens or closes a host for scheduling.")
        .body(service_schema, || json!({"host": "host1", "binary": "nova-compute"}))
        .gives(200, "Service"),
        route!(GET "/os-hypervisors" "hypervisors:list" ADMIN
            hypervisors, "Lists hypervisors by name.")
        .query(HYPERVISOR_KEYS)
        .gives(200, "Hypervisors"),
        route!(GET "/os-hypervisors/detail" "hypervisors:list-detail" ADMIN
            hypervisors_detail, "Lists hypervisors whole.")
        .query(HYPERVISOR_KEYS)
        .gives(200, "Hypervisors"),
        route!(GET "/os-hypervisors/statistics" "hypervisors:statistics" ADMIN
            statistics, "Sums all hypervisors up.")
        .until(87)
        .gives(200, "HypervisorStatistics"),
        route!(GET "/os-hypervisors/{hypervisor_id}" "hypervisors:show" ADMIN
            hypervisor, "Shows a hypervisor.")
        .query(&["with_servers"])
        .gives(200, "Hypervisor"),
    ]
}

const HYPERVISOR_KEYS: &[&str] =
    &["limit", "marker", "hypervisor_hostname_pattern", "with_servers"];

async fn zones(call: Call) -> Answered {
    let zones = call.plane.hosts().zones().await?;
    let view = |zone: &Zone| {
        json!({
            "zoneName": zone.name,
            "zoneState": {"available": zone.is_available},
            "hosts": null,
        })
    };
    Ok(Reply::ok(json!({"availabilityZoneInfo": zones.iter().map(view).collect::<Vec<_>>()})))
}

async fn zones_detail(call: Call) -> Answered {
    let zones = call.plane.hosts().zones().await?;
    let view = |zone: &Zone| {
        let hosts: BTreeMap<&str, Value> = zone
            .hosts
            .iter()
            .map(|host| {
                let service = json!({
                    "active": !host.disabled,
                    "available": host.is_up,
                    "updated_at": plain_time(host.last_seen_up),
                });
                (host.host.as_str(), json!({"nova-compute": service}))
            })
            .collect();
        json!({
            "zoneName": zone.name,
            "zoneState": {"available": zone.is_available},
            "hosts": hosts,
        })
    };
    Ok(Reply::ok(json!({"availabilityZoneInfo": zones.iter().map(view).collect::<Vec<_>>()})))
}

/// The id that this microversion knows a service by.
fn service_id(call: &Call, service: &ComputeService) -> Value {
    match &service.uuid {
        Some(uuid) if call.since(53) => json!(uuid),
        _ => json!(service.id),
    }
}

fn enabled(service: &ComputeService) -> &'static str {
    if service.disabled { "disabled" } else { "enabled" }
}

fn up(service: &ComputeService) -> &'static str {
    if service.is_up { "up" } else { "down" }
}

fn service_view(call: &Call, service: &ComputeService) -> Value {
    let mut view = json!({
        "id": service_id(call, service),
        "binary": service.binary,
        "host": service.host,
        "zone": service.zone,
        "status": enabled(service),
        "state": up(service),
        "updated_at": plain_time(service.updated_at),
        "disabled_reason": service.disabled_reason,
    });
    if call.since(11) {
        view["forced_down"] = json!(service.forced_down);
    }
    view
}

async fn services(call: Call) -> Answered {
    let mut found = call.plane.hosts().services().await?.services;
    if let Some(host) = call.query.one("host") {
        found.retain(|service| service.host == host);
    }
    if let Some(binary) = call.query.one("binary") {
        found.retain(|service| service.binary == binary);
    }
    let views: Vec<Value> = found.iter().map(|service| service_view(&call, service)).collect();
    Ok(Reply::ok(json!({"services": views})))
}

fn service_schema() -> Value {
    object(
        &[],
        json!({
            "host": {"type": "string"},
            "binary": {"type": "string"},
            "status": {"type": "string", "enum": ["enabled", "disabled"]},
            "disabled_reason": {"type": "string", "minLength": 1, "maxLength": 255},
            "forced_down": {"type": "boolean"},
        }),
    )
}

/// Before 2.53 the path says what to do and the body to whom; from then on the reverse.
async fn change_service(call: Call) -> Answered {
    let (service, disable) = match call.since(53) {
        true => {
            let id = call.param("service_id");
            let found = find_service(&call, |service| service.uuid.as_deref() == Some(id)).await?;
            let disable = call.body["status"].as_str().map(|status| status == "disabled");
            (found, disable)
        }
        false => {
            let host = call.body["host"].as_str().unwrap_or_default().to_owned();
            let disable = match call.param("service_id") {
                "enable" => false,
                "disable" | "disable-log-reason" => true,
                other => {
                    return Err(Fault::not_found(format!("There is no such action: {other}")));
                }
            };
            (find_service(&call, |service| service.host == host).await?, Some(disable))
        }
    };
    if let Some(forced) = call.body.get("forced_down") {
        let expected = "left out: a host that does not report is down by itself";
        return Err(InvalidField::new("forced_down", forced, expected).into());
    }
    let reason = call.body["disabled_reason"].as_str();
    match disable {
        Some(true) => {
            let reason = reason.unwrap_or("disabled by an operator");
            call.plane.hosts().disable(&service.host, reason).await?;
        }
        Some(false) if reason.is_some() => {
            let expected = "left out for a service that is enabled";
            return Err(InvalidField::new("disabled_reason", "…", expected).into());
        }
        Some(false) => call.plane.hosts().enable(&service.host).await?,
        None => return Err(InvalidField::new("status", "", "enabled or disabled").into()),
    }
    let host = service.host;
    let service = find_service(&call, |service| service.host == host).await?;
    Ok(Reply::ok(json!({"service": service_view(&call, &service)})))
}

async fn find_service(
    call: &Call,
    is_it: impl Fn(&ComputeService) -> bool,
) -> Result<ComputeService, Fault> {
    let services = call.plane.hosts().services().await?.services;
    let found = services.into_iter().find(is_it);
    found.ok_or_else(|| Fault::not_found("The compute service could not be found."))
}

/// The id that this microversion knows a hypervisor by.
fn hypervisor_id(call: &Call, hypervisor: &Hypervisor) -> Value {
    match &hypervisor.uuid {
        Some(uuid) if call.since(53) => json!(uuid),
        _ => json!(hypervisor.id),
    }
}

/// What is claimed of it; nothing where it has not said how large it is.
fn used(hypervisor: &Hypervisor) -> Resources {
    hypervisor.used.unwrap_or(Resources { vcpus: 0, memory_mb: 0, disk_gb: 0 })
}

fn name_view(call: &Call, hypervisor: &Hypervisor) -> Value {
    let service = hypervisor.service.as_ref();
    json!({
        "id": hypervisor_id(call, hypervisor),
        "hypervisor_hostname": hypervisor.node.hypervisor_hostname,
        "state": service.map_or("down", up),
        "status": service.map_or("disabled", enabled),
    })
}

fn whole_view(call: &Call, hypervisor: &Hypervisor) -> Value {
    let node = &hypervisor.node;
    let mut view = name_view(call, hypervisor);
    view["hypervisor_type"] = json!(node.hypervisor_type);
    view["hypervisor_version"] = json!(node.hypervisor_version);
    view["host_ip"] = json!(hypervisor.host_ip);
    let service = hypervisor.service.as_ref();
    view["service"] = json!({
        "host": node.host,
        "id": service.map_or(Value::Null, |service| service_id(call, service)),
        "disabled_reason": service.and_then(|service| service.disabled_reason.as_deref()),
    });
    if !call.since(88) {
        let used = used(hypervisor);
        let (memory, disk) = (i64::from(node.memory_mb), i64::from(node.local_gb));
        view["vcpus"] = json!(node.vcpus);
        view["memory_mb"] = json!(memory);
        view["local_gb"] = json!(disk);
        view["vcpus_used"] = json!(used.vcpus);
        view["memory_mb_used"] = json!(used.memory_mb);
        view["local_gb_used"] = json!(used.disk_gb);
        view["free_ram_mb"] = json!(memory - used.memory_mb);
        view["free_disk_gb"] = json!(disk - used.disk_gb);
        view["disk_available_least"] = json!(disk - used.disk_gb);
        view["current_workload"] = json!(0);
        view["running_vms"] = json!(hypervisor.instances);
        view["cpu_info"] = if call.since(28) { json!({}) } else { json!("{}") };
    } else {
        view["uptime"] = Value::Null;
    }
    view
}

async fn hypervisors(call: Call) -> Answered {
    list(&call, "/os-hypervisors", name_view).await
}

async fn hypervisors_detail(call: Call) -> Answered {
    list(&call, "/os-hypervisors/detail", whole_view).await
}

async fn list(call: &Call, path: &str, view: fn(&Call, &Hypervisor) -> Value) -> Answered {
    let mut found = call.plane.hosts().hypervisors().await?.hypervisors;
    if let Some(pattern) = call.query.one("hypervisor_hostname_pattern").filter(|_| call.since(53))
    {
        found.retain(|hypervisor| hypervisor.node.hypervisor_hostname.contains(pattern));
    }
    let is_paged = call.since(33);
    let limit = call.query.count("limit")?.filter(|_| is_paged).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
    let text = |id: Value| id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    if let Some(marker) = call.query.one("marker").filter(|_| is_paged) {
        let place = found.iter().position(|one| text(hypervisor_id(call, one)) == marker);
        let missing = || Fault::bad_request(format!("marker [{marker}] not found"));
        found.drain(..=place.ok_or_else(missing)?);
    }
    let is_last = found.len() <= limit as usize;
    found.truncate(limit as usize);
    let views: Vec<Value> = found.iter().map(|hypervisor| view(call, hypervisor)).collect();
    let mut body = json!({"hypervisors": views});
    if let Some(last) = found.last().filter(|_| is_paged && !is_last) {
        let query = call.query.with("marker", &text(hypervisor_id(call, last)));
        let href = call.url(&format!("{path}?{query}"));
        body["hypervisors_links"] = json!([{"rel": "next", "href": href}]);
    }
    Ok(Reply::ok(body))
}

async fn hypervisor(call: Call) -> Answered {
    let id = call.param("hypervisor_id");
    let found = call.plane.hosts().hypervisors().await?.hypervisors;
    let found = found.iter().find(|one| match call.since(53) {
        true => one.uuid.as_deref() == Some(id),
        false => one.id.to_string() == id,
    });
    let missing = || Fault::not_found(format!("Hypervisor with ID '{id}' could not be found."));
    Ok(Reply::ok(json!({"hypervisor": whole_view(&call, found.ok_or_else(missing)?)})))
}

async fn statistics(call: Call) -> Answered {
    let found = call.plane.hosts().hypervisors().await?.hypervisors;
    let sum = |of: fn(&Hypervisor) -> i64| found.iter().map(of).sum::<i64>();
    let (memory, memory_used) =
        (sum(|one| one.node.memory_mb.into()), sum(|one| used(one).memory_mb));
    let (disk, disk_used) = (sum(|one| one.node.local_gb.into()), sum(|one| used(one).disk_gb));
    Ok(Reply::ok(json!({"hypervisor_statistics": {
        "count": found.len(),
        "vcpus": sum(|one| one.node.vcpus.into()),
        "vcpus_used": sum(|one| used(one).vcpus),
        "memory_mb": memory,
        "memory_mb_used": memory_used,
        "free_ram_mb": memory - memory_used,
        "local_gb": disk,
        "local_gb_used": disk_used,
        "free_disk_gb": disk - disk_used,
        "disk_available_least": disk - disk_used,
        "running_vms": sum(|one| one.instances),
        "current_workload": 0,
    }})))
}
