//! Filters in SQL, and those that are judged here.

use cellzero_database::Backend;
use cellzero_types::state::{TaskState, VmState, status};
use cellzero_types::{
    ColumnFilter, Deleted, ListFilters, Pattern, SortDirection, SortKey, SortValue,
};
use chrono::NaiveDateTime;
use diesel::dsl::{exists, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::fixed::Fixed;
use super::key::{Condition, KeyExpression, as_far, equal};
use super::row::Row;
use crate::schema::{instance_metadata, instances, tags};
use crate::texts;

/// What SQL cannot judge alike on all backends.
enum Judgement {
    Matches(Pattern),
    /// Of vm_state and task_state, two columns.
    Status,
    Addresses,
}

/// What is selected beside the sort values and judged here.
pub(super) struct Beside(Vec<Judgement>, Vec<String>);

impl Beside {
    pub(super) fn of(filters: &ListFilters) -> Beside {
        let mut beside = Beside(Vec::new(), Vec::new());
        for (key, filter) in &filters.columns {
            if let ColumnFilter::Matches(pattern) = filter {
                beside.0.push(Judgement::Matches(pattern.clone()));
                beside.1.push(format!("instances.{}", key.name()));
            }
        }
        if !filters.statuses.is_empty() {
            beside.0.push(Judgement::Status);
            beside.1.extend(["instances.vm_state".to_owned(), "instances.task_state".to_owned()]);
        }
        if filters.ip.is_some() || filters.ip6.is_some() {
            beside.0.push(Judgement::Addresses);
            beside.1.push(
                "(SELECT c.network_info FROM instance_info_caches c \
                 WHERE c.instance_uuid = instances.uuid)"
                    .to_owned(),
            );
        }
        beside
    }

    /// The columns, as SQL.
    pub(super) fn columns(&self) -> &[String] {
        &self.1
    }

    /// Whether anything is judged here.
    pub(super) fn judges(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether a row passes what is judged here.
    pub(super) fn pass(&self, filters: &ListFilters, row: &Row) -> bool {
        let mut columns = row.beside.iter().map(Option::as_deref);
        let mut next = || columns.next().flatten();
        self.0.iter().all(|judgement| match judgement {
            Judgement::Matches(pattern) => next().is_some_and(|text| pattern.matches(text)),
            Judgement::Status => {
                let vm_state = next().map(|text| VmState::from(text.to_owned()));
                let task_state = next().map(TaskState::new);
                filters.statuses.contains(&status(vm_state.as_ref(), task_state.as_ref()))
            }
            Judgement::Addresses => {
                let network_info = next().and_then(|text| serde_json::from_str(text).ok());
                filters.matches_addresses(&network_info.unwrap_or_default())
            }
        })
    }
}

/// What SQL judges.
pub(super) fn conditions(
    filters: &ListFilters,
    fixed: &Fixed,
    backend: Backend,
    foreign: bool,
) -> Vec<Condition> {
    let mut all: Vec<Condition> = Vec::new();
    if !filters.asks_for_hidden() {
        all.push(Box::new(
            instances::hidden.is_null().or(instances::hidden.eq(false)).assume_not_null(),
        ));
    }
    if let Some(uuids) = &filters.uuids {
        all.push(Box::new(instances::uuid.eq_any(texts(uuids))));
    }
    if let Some(project) = filters.project_id.clone() {
        all.push(fixed.is_project(project));
    }
    for (key, filter) in &filters.columns {
        let expression = KeyExpression::of(*key, backend, foreign);
        match filter {
            ColumnFilter::OneOf(values) => all.push(one_of(&expression, values)),
            ColumnFilter::Matches(pattern) => {
                all.extend(pattern.literal().map(|part| holds(*key, part, backend)));
            }
        }
    }
    all.extend(status_conditions(filters));
    all.extend(tag_conditions(filters));
    for (key, value) in filters.metadata.clone() {
        // Key and value stand on the same row, which Nova does not ask for.
        let item = instance_metadata::table
            .filter(instance_metadata::instance_uuid.eq(instances::uuid.nullable()))
            .filter(instance_metadata::deleted.eq(0))
            .filter(instance_metadata::key.eq(key))
            .filter(instance_metadata::value.eq(value));
        all.push(Box::new(exists(item)));
    }
    all.extend(deletion_conditions(filters, fixed));
    all.extend(time_conditions(filters, backend, foreign));
    all
}

fn one_of(expression: &KeyExpression, values: &[Option<SortValue>]) -> Condition {
    let mut any: Condition = Box::new(sql::<Bool>("1 = 0"));
    for value in values {
        any = Box::new(any.or(equal(expression, value.as_ref())));
    }
    any
}

/// Whether a column of text holds a part, with case.
fn holds(key: SortKey, part: &str, backend: Backend) -> Condition {
    let column = format!("instances.{}", key.name());
    let function = match backend {
        Backend::Sqlite => format!("instr({column}, "),
        Backend::Postgres => format!("strpos({column}, "),
        Backend::Mysql => format!("instr(BINARY {column}, "),
    };
    Box::new(sql::<Bool>(&function).bind::<Text, _>(part.to_owned()).sql(") > 0"))
}

/// The vm_states that may give one of the statuses, whatever the task.
fn status_conditions(filters: &ListFilters) -> Option<Condition> {
    const UNKNOWN: &str = "UNKNOWN";
    if filters.statuses.is_empty() || filters.statuses.contains(&UNKNOWN) {
        return None;
    }
    let may_be = |state: &&VmState| {
        TaskState::TELLING
            .iter()
            .map(Some)
            .chain([None])
            .any(|task| filters.statuses.contains(&status(Some(*state), task)))
    };
    let states: Vec<String> =
        VmState::ALL.iter().filter(may_be).map(|state| state.as_str().to_owned()).collect();
    Some(Box::new(instances::vm_state.eq_any(states).assume_not_null()))
}

fn tag_conditions(filters: &ListFilters) -> Vec<Condition> {
    let tagged = |tag: &String| -> Condition {
        let tagged = tags::table
            .filter(tags::resource_id.eq(instances::uuid))
            .filter(tags::tag.eq(tag.clone()));
        Box::new(exists(tagged))
    };
    let mut all: Vec<Condition> = filters.tags.iter().map(tagged).collect();
    let any = |tags: &[String]| tags.iter().map(tagged).reduce(|any, tag| Box::new(any.or(tag)));
    all.extend(any(&filters.tags_any));
    let every = filters.not_tags.iter().map(tagged).reduce(|all, tag| Box::new(all.and(tag)));
    all.extend(every.map(|every| Box::new(not(every)) as Condition));
    all.extend(any(&filters.not_tags_any).map(|any| Box::new(not(any)) as Condition));
    all
}

/// Live rows; or deleted ones; or both. As in Nova, one that is deleted softly is listed only where
/// its state is asked for.
fn deletion_conditions(filters: &ListFilters, fixed: &Fixed) -> Vec<Condition> {
    match (filters.deleted, filters.changes_since) {
        (Deleted::Only, _) if filters.soft_deleted => {
            let soft = instances::vm_state.eq(VmState::SoftDeleted.as_str());
            vec![Box::new(instances::deleted.ne(0).or(soft).assume_not_null())]
        }
        (Deleted::Only, _) => vec![Box::new(instances::deleted.ne(0).assume_not_null())],
        (Deleted::With, _) | (Deleted::Without, Some(_)) => Vec::new(),
        (Deleted::Without, None) => {
            let mut all = vec![fixed.is_live()];
            if !filters.asks_for_soft_deleted() {
                let other = instances::vm_state.ne(VmState::SoftDeleted.as_str());
                all.push(Box::new(instances::vm_state.is_null().or(other).assume_not_null()));
            }
            all
        }
    }
}

/// When it changed last: updated, or else created.
fn time_conditions(filters: &ListFilters, backend: Backend, foreign: bool) -> Vec<Condition> {
    let changed = |direction, time: NaiveDateTime| -> Condition {
        let value = SortValue::Time(time);
        let updated = KeyExpression::of(SortKey::UpdatedAt, backend, foreign);
        let created = KeyExpression::of(SortKey::CreatedAt, backend, foreign);
        let since_created = updated.is_null().and(as_far(&created, direction, &value));
        Box::new(as_far(&updated, direction, &value).or(since_created))
    };
    let since = filters.changes_since.map(|time| changed(SortDirection::Ascending, time));
    let before = filters.changes_before.map(|time| changed(SortDirection::Descending, time));
    since.into_iter().chain(before).collect()
}
