//! Flavors: listed and shown.

use cellzero::{Flavor, InvalidField};
use serde_json::{Value, json};

use crate::call::{Answered, Call, Reply};
use crate::fault::Fault;
use crate::query::flag;
use crate::route::{Route, route};
use crate::views::flavor::{brief, whole};

const KEYS: &[&str] =
    &["limit", "marker", "sort_key", "sort_dir", "is_public", "minRam", "minDisk"];
/// The largest page.
const LIMIT_MAX: u32 = 1_000;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        route!(GET "/flavors" "flavors:index" READER index, "Lists flavors by name.")
            .query(KEYS)
            .gives(200, "Flavors"),
        route!(GET "/flavors/detail" "flavors:detail" READER detail, "Lists flavors whole.")
            .query(KEYS)
            .gives(200, "FlavorsDetail"),
        route!(GET "/flavors/{flavor_id}" "flavors:show" READER show, "Shows a flavor.")
            .gives(200, "Flavor"),
        route!(GET "/flavors/{flavor_id}/os-extra_specs" "flavor-extra-specs:index" READER
            extra_specs, "Shows what a flavor asks for beside its size.")
        .gives(200, "ExtraSpecs"),
        route!(GET "/flavors/{flavor_id}/os-extra_specs/{key}" "flavor-extra-specs:show" READER
            extra_spec, "Shows one of these.")
        .gives(200, "ExtraSpec"),
        route!(GET "/flavors/{flavor_id}/os-flavor-access" "flavor-access" ADMIN
            access, "Lists the projects that may use a private flavor.")
        .gives(200, "FlavorAccess"),
    ]
}

async fn index(call: Call) -> Answered {
    list(&call, "/flavors", brief).await
}

async fn detail(call: Call) -> Answered {
    list(&call, "/flavors/detail", whole).await
}

async fn list(call: &Call, path: &str, view: fn(&Call, &Flavor) -> Value) -> Answered {
    let limit = call.query.count("limit")?.unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
    let mut flavors = wanted(call).await?;
    sort(call, &mut flavors)?;
    if let Some(marker) = call.query.one("marker") {
        let place = flavors.iter().position(|flavor| flavor.flavorid == marker);
        let missing = || Fault::bad_request(format!("marker [{marker}] not found"));
        flavors.drain(..=place.ok_or_else(missing)?);
    }
    flavors.truncate(limit as usize);
    let views: Vec<Value> = flavors.iter().map(|flavor| view(call, flavor)).collect();
    let mut body = json!({"flavors": views});
    if let Some(last) = flavors.last().filter(|_| flavors.len() == limit as usize) {
        let query = call.query.with("marker", &last.flavorid);
        let href = call.url(&format!("{path}?{query}"));
        body["flavors_links"] = json!([{"rel": "next", "href": href}]);
    }
    Ok(Reply::ok(body))
}

/// The flavors that this caller may see and asks for.
async fn wanted(call: &Call) -> Result<Vec<Flavor>, Fault> {
    let is_public = match call.query.one("is_public") {
        // Others see what is public, and what is theirs.
        _ if !call.ctx.is_admin => None,
        Some(text) if text.eq_ignore_ascii_case("none") => None,
        Some(text) => Some(
            flag(text)
                .ok_or_else(|| Fault::bad_request(format!("Invalid is_public filter [{text}]")))?,
        ),
        None => Some(true),
    };
    let least = |key: &str| match call.query.one(key) {
        Some(text) => match text.parse::<i32>() {
            Ok(least) => Ok(least),
            Err(_) => Err(Fault::bad_request(format!("Invalid {key} filter [{text}]"))),
        },
        None => Ok(i32::MIN),
    };
    let (ram, disk) = (least("minRam")?, least("minDisk")?);
    let mut flavors = call.plane.flavors().list_for(&call.ctx).await?;
    flavors.retain(|flavor| {
        is_public.is_none_or(|wanted| flavor.is_public == wanted)
            && flavor.memory_mb >= ram
            && flavor.root_gb >= disk
    });
    Ok(flavors)
}

fn sort(call: &Call, flavors: &mut [Flavor]) -> Result<(), Fault> {
    let key = call.query.one("sort_key").unwrap_or("flavorid");
    // All that may be equal is ordered by id, so that pages go on where they ended.
    flavors.sort_by(|a, b| a.flavorid.cmp(&b.flavorid));
    match key {
        "flavorid" => {}
        "name" => flavors.sort_by(|a, b| a.name.cmp(&b.name)),
        "memory_mb" => flavors.sort_by_key(|flavor| flavor.memory_mb),
        "vcpus" => flavors.sort_by_key(|flavor| flavor.vcpus),
        "root_gb" => flavors.sort_by_key(|flavor| flavor.root_gb),
        "ephemeral_gb" => flavors.sort_by_key(|flavor| flavor.ephemeral_gb),
        "swap" => flavors.sort_by_key(|flavor| flavor.swap),
        "id" => flavors.sort_by_key(|flavor| flavor.id),
        "created_at" => flavors.sort_by_key(|flavor| flavor.created_at),
        "is_public" => flavors.sort_by_key(|flavor| flavor.is_public),
        "disabled" => flavors.sort_by_key(|flavor| flavor.disabled),
        "description" => flavors.sort_by(|a, b| a.description.cmp(&b.description)),
        "rxtx_factor" | "updated_at" | "vcpu_weight" => {}
        other => {
            let expected = "one of flavorid, name, memory_mb, vcpus, root_gb, ephemeral_gb, swap, \
                            id, created_at, is_public, disabled, description";
            return Err(InvalidField::new("sort_key", other, expected).into());
        }
    }
    match call.query.one("sort_dir").unwrap_or("asc") {
        "asc" => {}
        "desc" => flavors.reverse(),
        other => return Err(InvalidField::new("sort_dir", other, "asc or desc").into()),
    }
    Ok(())
}

/// The flavor that the path names, where this caller may see it.
async fn named(call: &Call) -> Result<Flavor, Fault> {
    let id = call.param("flavor_id");
    let found = call.plane.flavors().find_for(&call.ctx, id).await?;
    found.ok_or_else(|| Fault::not_found(format!("Flavor {id} could not be found.")))
}

async fn show(call: Call) -> Answered {
    let flavor = named(&call).await?;
    Ok(Reply::ok(json!({"flavor": whole(&call, &flavor)})))
}

async fn extra_specs(call: Call) -> Answered {
    let flavor = named(&call).await?;
    Ok(Reply::ok(json!({"extra_specs": flavor.extra_specs})))
}

async fn extra_spec(call: Call) -> Answered {
    let flavor = named(&call).await?;
    let key = call.param("key");
    match flavor.extra_specs.get(key) {
        Some(value) => Ok(Reply::ok(json!({key: value}))),
        None => Err(Fault::not_found(format!(
            "Flavor {} has no extra specs with key {key}.",
            flavor.flavorid
        ))),
    }
}

async fn access(call: Call) -> Answered {
    let flavor = named(&call).await?;
    if flavor.is_public {
        return Err(Fault::not_found("Access list not available for public flavors."));
    }
    let projects = call.plane.flavors().projects(&flavor.flavorid).await?;
    let rows: Vec<Value> = projects
        .iter()
        .map(|project| json!({"flavor_id": flavor.flavorid, "tenant_id": project}))
        .collect();
    Ok(Reply::ok(json!({"flavor_access": rows})))
}
