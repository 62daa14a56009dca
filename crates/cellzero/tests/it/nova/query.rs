//! A list of Nova's as a query of ours.

use cellzero::*;
use serde_json::Value;

use super::oracle::Function;
use super::{text_of, uuid_of};

/// Why a list of Nova's is none of ours.
#[derive(Debug)]
pub(crate) enum Unsayable {
    /// The query is refused before it is asked.
    Refused(InvalidField),
}

impl From<InvalidField> for Unsayable {
    fn from(error: InvalidField) -> Unsayable {
        Unsayable::Refused(error)
    }
}

pub(crate) fn query_of(list: &Value) -> Result<ListQuery, Unsayable> {
    let mut query = ListQuery::default();
    let filters = list["filters"].as_object().unwrap();
    for (name, value) in filters {
        set_filter(&mut query.filters, name, value)?;
    }
    if !filters.contains_key("deleted") && query.filters.changes_since.is_none() {
        query.filters.deleted = Deleted::With;
    }
    query.all_projects = query.filters.project_id.is_none();
    if let Some(keys) = list["sort_keys"].as_array() {
        query.sort.clear();
        for (key, direction) in keys.iter().zip(list["sort_dirs"].as_array().unwrap()) {
            query.sort.push((text_of(key).parse()?, text_of(direction).parse()?));
        }
    }
    if let Some(limit) = list["limit"].as_u64() {
        query = query.limit(u32::try_from(limit).unwrap());
    }
    let marker = list["marker"].as_str();
    query.after = marker.map(|marker| After::Marker(marker.parse().unwrap()));
    Ok(query)
}

fn set_filter(filters: &mut ListFilters, name: &str, value: &Value) -> Result<(), Unsayable> {
    let text = || text_of(value).to_owned();
    let several = || match value.as_array() {
        Some(all) => all.iter().map(|one| text_of(one).to_owned()).collect(),
        None => vec![text_of(value).to_owned()],
    };
    let one = std::mem::take(filters);
    *filters = match name {
        "deleted" if value == true => ListFilters { deleted: Deleted::Only, ..one },
        "deleted" => one,
        "soft_deleted" => ListFilters { soft_deleted: value == true, ..one },
        "project_id" => ListFilters { project_id: Some(text()), ..one },
        "user_id" => one.user(text()),
        "host" => one.host(text()),
        "name" | "display_name" => one.name(text_of(value))?,
        "vm_state" => {
            let states: Vec<VmState> = several().into_iter().map(VmState::from).collect();
            one.vm_states(&states)
        }
        "task_state" => {
            let tasks = value.as_array().unwrap().iter();
            // Nova's clients say "default" beside NULL.
            let tasks = tasks.filter(|task| *task != "default");
            one.task_states(
                &tasks.map(|task| task.as_str().map(TaskState::new)).collect::<Vec<_>>(),
            )
        }
        "locked" => one.locked(value == true),
        "hidden" => one.flag(SortKey::Hidden, value == true),
        "flavor" => one.flavor(text()),
        "uuid" => {
            let uuids = value.as_array().unwrap().iter().map(uuid_of).collect();
            ListFilters { uuids: Some(uuids), ..one }
        }
        "tags" => ListFilters { tags: several(), ..one },
        "tags-any" => ListFilters { tags_any: several(), ..one },
        "not-tags" => ListFilters { not_tags: several(), ..one },
        "not-tags-any" => ListFilters { not_tags_any: several(), ..one },
        "metadata" => {
            let items = value.as_array().map_or_else(|| vec![value], |all| all.iter().collect());
            let items = items.into_iter().flat_map(|item| item.as_object().unwrap());
            items.fold(one, |one, (key, value)| one.metadata(key, text_of(value)))
        }
        "changes-since" => ListFilters { changes_since: Some(time_of(value)), ..one },
        "changes-before" => ListFilters { changes_before: Some(time_of(value)), ..one },
        other => panic!("no filter for {other}"),
    };
    Ok(())
}

fn time_of(value: &Value) -> chrono::NaiveDateTime {
    chrono::NaiveDateTime::parse_from_str(text_of(value), "%Y-%m-%dT%H:%M:%SZ").unwrap()
}

pub(crate) fn function_of(list: &Value) -> Function {
    match text_of(&list["function"]) {
        "get_all" => Function::GetAll,
        "instance_list" => Function::InstanceList,
        other => panic!("no such function: {other}"),
    }
}
