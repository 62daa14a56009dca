//! Show: every instance of a Nova-made plane, field by field as Nova itself shows it.

use cellzero::*;
use cellzero_test_support::Engine;
use rstest::rstest;
use serde_json::{Value, json};

use super::{NOT_SET, Nova, text_of, time_text, uuid_of};

/// Where ours differs from Nova's on purpose: which instance, as its place in a part of the plan.
struct Difference {
    part: &'static str,
    index: usize,
    field: &'static str,
    nova: &'static str,
    ours: &'static str,
    reason: &'static str,
}

const GROUPS: &str = "Nova 34 leaves the association in its own table to the network service and always \
     answers none; ours answers what stands there";

const DIFFERENCES: &[Difference] = &[
    Difference {
        part: "cell1",
        index: 2,
        field: "security_groups",
        nova: "[]",
        ours: r#"["sg-web"]"#,
        reason: GROUPS,
    },
    Difference {
        part: "cell2",
        index: 2,
        field: "security_groups",
        nova: "[]",
        ours: r#"["sg-web"]"#,
        reason: GROUPS,
    },
];

const DIFFERENCES_OF_DELETED: &[Difference] = &[];

/// An instance in the form of Nova's answers.
pub(crate) fn as_nova(instance: &Instance) -> Value {
    let time = |time: Option<chrono::NaiveDateTime>| time.map(time_text);
    let fault = instance.fault.as_ref().map(|fault| {
        json!({
            "code": fault.code, "message": fault.message, "host": fault.host,
            "details": fault.details, "created_at": time(fault.created_at),
        })
    });
    let flavor = instance.flavor.as_ref();
    json!({
        "id": instance.id, "uuid": instance.uuid,
        "display_name": instance.display_name,
        "display_description": instance.display_description,
        "hostname": instance.hostname,
        "vm_state": instance.vm_state, "task_state": instance.task_state,
        "power_state": instance.power_state, "status": instance.status(),
        "project_id": instance.project_id, "user_id": instance.user_id,
        "host": instance.host, "node": instance.node,
        "availability_zone": instance.availability_zone,
        "instance_type_id": instance.instance_type_id,
        "flavor": flavor.map(|flavor| &flavor.name),
        "flavor_extra_specs": flavor.map(|flavor| &flavor.extra_specs),
        "image_ref": instance.image_ref, "key_name": instance.key_name,
        "reservation_id": instance.reservation_id,
        "locked": instance.locked, "hidden": instance.hidden,
        "metadata": instance.metadata, "system_metadata": instance.system_metadata,
        "tags": instance.tags, "security_groups": instance.security_groups,
        "fixed_ips": instance.fixed_ips(), "fault": fault,
        "created_at": time(instance.created_at), "updated_at": time(instance.updated_at),
        "launched_at": time(instance.launched_at), "terminated_at": time(instance.terminated_at),
        "deleted": instance.deleted, "deleted_at": time(instance.deleted_at),
    })
}

/// A field in which two answers about one instance differ: which, its name, Nova's value, ours.
type Found = (InstanceUuid, String, Value, Value);

fn differences(uuid: InstanceUuid, nova: &Value, ours: &Instance) -> Vec<Found> {
    let ours = as_nova(ours);
    let (nova, ours) = (nova.as_object().unwrap(), ours.as_object().unwrap());
    let fields: Vec<&String> = nova.keys().collect();
    assert_eq!(fields, ours.keys().collect::<Vec<_>>(), "the fields that are compared");
    let values = nova.iter().map(|(field, theirs)| {
        let theirs = if theirs == NOT_SET { Value::Null } else { theirs.clone() };
        (uuid, field.clone(), theirs, ours[field].clone())
    });
    values.filter(|(_, _, theirs, ours)| theirs != ours).collect()
}

/// The table as what must be found, no more and no less.
fn on_purpose(nova: &Nova, table: &[Difference]) -> Vec<Found> {
    let json = |text: &str| serde_json::from_str(text).unwrap();
    let mut all: Vec<Found> = table
        .iter()
        .inspect(|row| assert!(!row.reason.is_empty(), "each row says why"))
        .map(|row| {
            let uuid = nova.plan(row.part)[row.index];
            (uuid, row.field.to_owned(), json(row.nova), json(row.ours))
        })
        .collect();
    all.sort_by_key(|found| found.0);
    all
}

#[rstest]
#[tokio::test]
async fn every_instance_is_shown_as_nova_shows_it(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    let admin = RequestContext::admin();
    let mut found = Vec::new();
    for (uuid, expected) in nova.expected()["instances"].as_object().unwrap() {
        let uuid = uuid.parse().unwrap();
        let shown = nova.plane.show(&admin, uuid).await;
        let expected = &expected["show"];
        match expected.get("exception") {
            Some(exception) => {
                assert_eq!(exception, "InstanceNotFound");
                let error = shown.unwrap_err();
                assert!(matches!(error, ReadError::InstanceNotFound { .. }), "{uuid}: {error:?}");
            }
            None => found.extend(differences(uuid, expected, &shown.unwrap())),
        }
    }
    found.sort_by_key(|found| found.0);
    assert_eq!(found, on_purpose(&nova, DIFFERENCES));
}

/// Where the mapping says that an instance lives is where it is found.
#[rstest]
#[tokio::test]
async fn every_instance_is_found_where_its_mapping_says(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    for (uuid, expected) in nova.expected()["instances"].as_object().unwrap() {
        if expected["show"].get("exception").is_some() {
            continue;
        }
        let shown = nova.plane.show(&RequestContext::admin(), uuid.parse().unwrap()).await.unwrap();
        let home = match expected["mapping"]["cell"].as_str() {
            Some(name) => Home::Cell(nova.cell(name)),
            None => Home::BuildRequest,
        };
        assert_eq!(shown.home, home, "{uuid}");
    }
}

/// A project's member finds its own instances and no other's, by Nova's own mappings.
#[rstest]
#[tokio::test]
async fn an_instance_of_another_project_is_not_found(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    for name in ["p0", "p1", "p2"] {
        let ctx = nova.context(name);
        for (uuid, expected) in nova.expected()["instances"].as_object().unwrap() {
            let shown = nova.plane.show(&ctx, uuid.parse().unwrap()).await;
            let is_shown = expected["show"].get("exception").is_none()
                && text_of(&expected["mapping"]["project_id"]) == ctx.project_id;
            match shown {
                Ok(instance) => assert!(is_shown, "{name} sees {instance:?}"),
                Err(ReadError::InstanceNotFound { .. }) => assert!(!is_shown, "{name}: {uuid}"),
                Err(error) => panic!("{name}: {uuid}: {error:?}"),
            }
        }
    }
}

/// Deleted rows, as an admin's list gives them and as Nova shows them when it reads deleted ones.
#[rstest]
#[tokio::test]
async fn deleted_instances_are_listed_as_nova_shows_them(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(nova) = Nova::open(engine).await else { return };
    let filters = ListFilters { deleted: Deleted::Only, ..ListFilters::default() };
    let query = ListQuery::default().all_projects().filter(filters);
    let page = nova.plane.list(&RequestContext::admin(), &query).await.unwrap();
    let mut listed: Vec<InstanceUuid> = page.instances.iter().map(|i| i.uuid).collect();
    let mut deleted = nova.plan("deleted");
    listed.sort();
    deleted.sort();
    assert_eq!(listed, deleted);
    let mut found = Vec::new();
    for instance in &page.instances {
        let expected = &nova.expected()["instances"][instance.uuid.text()]["show_read_deleted"];
        assert_eq!(uuid_of(&expected["uuid"]), instance.uuid);
        found.extend(differences(instance.uuid, expected, instance));
    }
    found.sort_by_key(|found| found.0);
    assert_eq!(found, on_purpose(&nova, DIFFERENCES_OF_DELETED));
}
