//! The request spec: what the scheduler was asked, kept for good beside the instance mapping.

use std::collections::BTreeMap;

use cellzero_database::{DatabaseError, insert_rows};
use cellzero_types::nova_object::{NovaList, NovaObject};
use cellzero_types::{Flavor, InstanceUuid, Networks, RequestSpec};
use chrono::NaiveDateTime;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::schema::{instance_mappings, request_specs};
use crate::{ApiConnection, IN_LIST_MAX, parse, texts};

/// Nova's `RequestSpec` object, as far as it is used, and what Nova does not
/// keep: the id of the request, the networks, and whether it is retried by itself.
#[derive(Serialize, Deserialize)]
struct SpecData {
    instance_uuid: String,
    project_id: String,
    user_id: Option<String>,
    flavor: NovaObject<Flavor>,
    image: Option<NovaObject<ImageData>>,
    num_instances: u32,
    availability_zone: Option<String>,
    force_hosts: Option<Vec<String>>,
    instance_group: Option<NovaObject<GroupData>>,
    #[serde(default)]
    scheduler_hints: Option<BTreeMap<String, Hint>>,
    security_groups: Option<NovaObject<NovaList<SecurityGroupData>>>,
    #[serde(default)]
    is_bfv: Option<bool>,
    #[serde(default, rename = "cellzero.request_id")]
    request_id: Option<String>,
    #[serde(default, rename = "cellzero.networks")]
    networks: Option<Networks>,
    #[serde(default, rename = "cellzero.auto_retry")]
    auto_retry: bool,
    #[serde(default)]
    limits: Option<NovaObject<serde_json::Value>>,
}

#[derive(Serialize, Deserialize)]
struct ImageData {
    #[serde(default)]
    id: Option<Uuid>,
}

#[derive(Serialize, Deserialize)]
struct GroupData {
    uuid: Uuid,
}

#[derive(Serialize, Deserialize)]
struct SecurityGroupData {
    name: String,
}

/// Nova keeps a list for each hint; older rows have single values.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Hint {
    Many(Vec<String>),
    One(String),
}

fn wrap(spec: &RequestSpec) -> String {
    let groups = spec.security_groups.iter().cloned().map(|name| SecurityGroupData { name });
    let hints =
        spec.scheduler_hints.iter().map(|(key, values)| (key.clone(), Hint::Many(values.clone())));
    let data = SpecData {
        instance_uuid: spec.instance_uuid.text(),
        project_id: spec.project_id.clone(),
        user_id: Some(spec.user_id.clone()),
        flavor: spec.flavor.clone().wrap(),
        image: spec.image.map(|id| NovaObject::new("ImageMeta", "1.8", ImageData { id: Some(id) })),
        num_instances: spec.num_instances,
        availability_zone: spec.availability_zone.clone(),
        force_hosts: spec.force_host.clone().map(|host| vec![host]),
        instance_group: spec
            .server_group
            .map(|uuid| NovaObject::new("InstanceGroup", "1.11", GroupData { uuid })),
        scheduler_hints: Some(hints.collect()),
        security_groups: Some(NovaList::wrap(
            ("SecurityGroupList", "1.1"),
            ("SecurityGroup", "1.2"),
            groups,
        )),
        is_bfv: Some(spec.is_boot_from_volume),
        request_id: Some(spec.request_id.clone()),
        networks: Some(spec.networks.clone()),
        auto_retry: spec.auto_retry,
        limits: None,
    };
    serde_json::json!(NovaObject::new("RequestSpec", "1.15", data)).to_string()
}

fn unwrap(uuid: &str, text: &str) -> Result<RequestSpec, DatabaseError> {
    let object: NovaObject<SpecData> = serde_json::from_str(text)
        .map_err(|error| DatabaseError::damaged(format!("request spec of {uuid}: {error}")))?;
    let data = object.data;
    let hints =
        data.scheduler_hints.unwrap_or_default().into_iter().map(|(key, hint)| match hint {
            Hint::Many(values) => (key, values),
            Hint::One(value) => (key, vec![value]),
        });
    Ok(RequestSpec {
        instance_uuid: parse(&data.instance_uuid)?,
        request_id: data.request_id.unwrap_or_default(),
        project_id: data.project_id,
        user_id: data.user_id.unwrap_or_default(),
        flavor: data.flavor.data,
        image: data.image.and_then(|image| image.data.id),
        num_instances: data.num_instances,
        availability_zone: data.availability_zone,
        force_host: data.force_hosts.and_then(|hosts| hosts.into_iter().next()),
        server_group: data.instance_group.map(|group| group.data.uuid),
        scheduler_hints: hints.collect(),
        security_groups: data
            .security_groups
            .into_iter()
            .flat_map(|list| list.data.members())
            .map(|group| group.name)
            .collect(),
        networks: data.networks.unwrap_or_default(),
        is_boot_from_volume: data.is_bfv.unwrap_or(false),
        auto_retry: data.auto_retry,
    })
}

#[derive(Insertable)]
#[diesel(table_name = request_specs, treat_none_as_default_value = false)]
struct NewRow {
    created_at: NaiveDateTime,
    instance_uuid: String,
    spec: String,
}

/// Keeps request specs. One statement for each hundred.
///
/// # Errors
/// The database's.
pub fn insert(
    conn: &mut ApiConnection,
    specs: &[RequestSpec],
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let rows: Vec<NewRow> = specs
        .iter()
        .map(|spec| NewRow {
            created_at: now,
            instance_uuid: spec.instance_uuid.text(),
            spec: wrap(spec),
        })
        .collect();
    insert_rows!(conn, request_specs::table, rows);
    Ok(())
}

/// The request specs of these instances, in no order; missing ones are left out. One statement for
/// each five hundred.
///
/// # Errors
/// The database's, or damaged JSON.
pub fn of_instances(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
) -> Result<Vec<RequestSpec>, DatabaseError> {
    let mut specs = Vec::with_capacity(uuids.len());
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<(String, String)> = request_specs::table
            .filter(request_specs::instance_uuid.eq_any(chunk))
            .select((request_specs::instance_uuid, request_specs::spec))
            .load(conn.sql())?;
        for (uuid, text) in rows {
            specs.push(unwrap(&uuid, &text)?);
        }
    }
    Ok(specs)
}

/// The request specs of those of these instances whose mapping lets them through, by its project and
/// by whether a delete has been decided; in no order, missing ones are left out. What is not let
/// through is not read, so its damage stops nobody. One statement for each five hundred.
///
/// # Errors
/// The database's, or damaged JSON.
pub fn of_mapped(
    conn: &mut ApiConnection,
    uuids: &[InstanceUuid],
    is_let_through: impl Fn(&str, bool) -> bool,
) -> Result<Vec<RequestSpec>, DatabaseError> {
    let mut specs = Vec::with_capacity(uuids.len());
    let of_spec = instance_mappings::instance_uuid.eq(request_specs::instance_uuid);
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        let rows: Vec<(String, String, String, Option<bool>)> = request_specs::table
            .inner_join(instance_mappings::table.on(of_spec))
            .filter(request_specs::instance_uuid.eq_any(chunk))
            .select((
                request_specs::instance_uuid,
                request_specs::spec,
                instance_mappings::project_id,
                instance_mappings::queued_for_delete,
            ))
            .load(conn.sql())?;
        for (uuid, text, project_id, queued) in rows {
            if is_let_through(&project_id, queued.unwrap_or(false)) {
                specs.push(unwrap(&uuid, &text)?);
            }
        }
    }
    Ok(specs)
}

/// Writes the request spec of an instance anew. One statement.
///
/// # Errors
/// The database's.
pub fn replace(
    conn: &mut ApiConnection,
    spec: &RequestSpec,
    now: NaiveDateTime,
) -> Result<(), DatabaseError> {
    let row =
        request_specs::table.filter(request_specs::instance_uuid.eq(spec.instance_uuid.text()));
    diesel::update(row)
        .set((request_specs::spec.eq(wrap(spec)), request_specs::updated_at.eq(now)))
        .execute(conn.sql())?;
    Ok(())
}

/// Deletes these request specs. One statement for each five hundred.
///
/// # Errors
/// The database's.
pub fn delete(conn: &mut ApiConnection, uuids: &[InstanceUuid]) -> Result<(), DatabaseError> {
    for chunk in texts(uuids).chunks(IN_LIST_MAX) {
        diesel::delete(request_specs::table.filter(request_specs::instance_uuid.eq_any(chunk)))
            .execute(conn.sql())?;
    }
    Ok(())
}
