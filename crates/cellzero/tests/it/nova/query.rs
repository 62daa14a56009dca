//! A list of Nova's as a query of ours.

use cellzero::*;
use serde_json::Value;

use super::oracle::Function;
use super::{text_of, uuid_of};

/// Why a list of Nova's is none of ours.
#[derive(Debug)]
pub(crate) enum Unsayable {
    /// There is no such filter.
    NotOffered,
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
        return Err(Unsayable::NotOffered);
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
    query.marker = list["marker"].as_str().map(|marker| marker.parse().unwrap());
    Ok(query)
}

fn set_filter(filters: &mut ListFilters, name: &str, value: &Value) -> Result<(), Unsayable> {
    let text = || value.as_str().map(str::to_owned);
    let several = || match value.as_array() {
        Some(all) => all.iter().map(|one| text_of(one).to_owned()).collect(),
        None => vec![text_of(value).to_owned()],
    };
    match name {
        "deleted" => filters.deleted = value == true,
        // Ours are never given among the deleted ones.
        "soft_deleted" if value == false => {}
        "project_id" => filters.project_id = text(),
        "user_id" => filters.user_id = text(),
        "host" => filters.host = text(),
        // A plain text is its own regular expression, but for a dot, which matches itself too.
        "name" | "display_name" if !text_of(value).contains(['^', '$', '[', '(']) => {
            filters.name_contains = text();
        }
        "vm_state" => filters.vm_states = several().into_iter().map(VmState::from).collect(),
        "uuid" => filters.uuids = value.as_array().map(|all| all.iter().map(uuid_of).collect()),
        "tags" => filters.tags = several(),
        "metadata" => {
            let items = value.as_array().map_or_else(|| vec![value], |all| all.iter().collect());
            for (key, value) in items.into_iter().flat_map(|item| item.as_object().unwrap()) {
                filters.metadata.push((key.clone(), text_of(value).to_owned()));
            }
        }
        "changes-since" => {
            let time = chrono::NaiveDateTime::parse_from_str(text_of(value), "%Y-%m-%dT%H:%M:%SZ");
            filters.changes_since = Some(time.unwrap());
        }
        _ => return Err(Unsayable::NotOffered),
    }
    Ok(())
}

pub(crate) fn function_of(list: &Value) -> Function {
    match text_of(&list["function"]) {
        "get_all" => Function::GetAll,
        "instance_list" => Function::InstanceList,
        other => panic!("no such function: {other}"),
    }
}
