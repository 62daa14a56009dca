//! What a list must hold, computed from Nova's shows of all instances: by our rules and by Nova's.
//!
//! Both filter alike. Where the two rules differ, on purpose:
//!
//! | | Nova | ours | why |
//! |---|---|---|---|
//! | build requests | before all others (`get_all`), or left out (`instance_list`) | at their place in the order | one total order, so that a page after a marker misses none |
//! | equal sort values | uuid ascending | uuid in the direction of the last key | one direction from end to end |
//! | NULL | a `TypeError`, or rows lost | first in ascending order, last in descending | a place in the order on every backend |

use std::cmp::Ordering;

use cellzero::*;
use serde_json::Value;

use super::{NOT_SET, Nova, text_of};

/// Every instance of a plane, as Nova shows it.
pub(crate) struct Oracle {
    known: Vec<Known>,
    /// The build requests by row id.
    building: Vec<InstanceUuid>,
}

struct Known {
    uuid: InstanceUuid,
    has_cell: bool,
    shown: Value,
    /// As we show it, for the columns that Nova's answers leave out; none where it is deleted.
    ours: Option<Instance>,
}

/// The row ids of the plane's flavors, by their flavorid.
fn flavor_row(flavorid: &str) -> i64 {
    match flavorid {
        "2" => 1,
        "4" => 2,
        "dcb99983-b655-4b1b-90d8-b0462762b7a2" => 3,
        other => panic!("no such flavor: {other}"),
    }
}

/// Which of Nova's functions made a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// Build requests, then cells.
    GetAll,
    /// Cells only.
    InstanceList,
}

impl Oracle {
    pub(crate) async fn of(nova: &Nova) -> Oracle {
        let instances = nova.expected()["instances"].as_object().unwrap();
        let mut known = Vec::new();
        for (uuid, expected) in instances {
            let read_deleted = expected.get("show_read_deleted");
            let uuid = uuid.parse().unwrap();
            known.push(Known {
                uuid,
                has_cell: !expected["mapping"]["cell"].is_null(),
                shown: read_deleted.unwrap_or(&expected["show"]).clone(),
                ours: nova.plane.show(&RequestContext::admin(), uuid).await.ok(),
            });
        }
        Oracle { known, building: nova.plan("unscheduled") }
    }

    /// The list by our rules.
    pub(crate) fn ours(&self, ctx: &RequestContext, query: &ListQuery) -> Vec<InstanceUuid> {
        page(self.matching(ctx, query), &query.total_order(), self.marker(query), query.limit)
    }

    /// The list by Nova's rules.
    pub(crate) fn novas(
        &self,
        function: Function,
        ctx: &RequestContext,
        query: &ListQuery,
    ) -> Vec<InstanceUuid> {
        let mut order = query.sort.clone();
        if !order.iter().any(|(key, _)| *key == SortKey::Uuid) {
            order.push((SortKey::Uuid, SortDirection::Ascending));
        }
        let marker = self.marker(query);
        let (in_cells, mut building): (Vec<&Known>, Vec<&Known>) =
            self.matching(ctx, query).into_iter().partition(|known| known.has_cell);
        // Equal build requests stand by their row ids, in the direction of the last key.
        building.sort_by_key(|known| self.building.iter().position(|uuid| *uuid == known.uuid));
        if query.sort.last().is_some_and(|(_, way)| *way == SortDirection::Descending) {
            building.reverse();
        }
        let first = match (function, marker) {
            (Function::InstanceList, _) => Vec::new(),
            // A page after an instance that has a cell is behind all build requests.
            (Function::GetAll, Some(marker)) if marker.has_cell => Vec::new(),
            (Function::GetAll, marker) => page(building, &query.sort, marker, query.limit),
        };
        let rest = query.limit - u32::try_from(first.len()).unwrap();
        let marker = marker.filter(|marker| marker.has_cell);
        [first, page(in_cells, &order, marker, rest)].concat()
    }

    fn marker(&self, query: &ListQuery) -> Option<&Known> {
        let Some(After::Marker(marker)) = query.after else { return None };
        Some(self.known.iter().find(|known| known.uuid == marker).expect("a marker that exists"))
    }

    fn matching(&self, ctx: &RequestContext, query: &ListQuery) -> Vec<&Known> {
        let project = match (ctx.is_admin, &query.filters.project_id) {
            (true, project) => project.as_ref(),
            (false, _) => Some(&ctx.project_id),
        };
        let of_project =
            |known: &&Known| project.is_none_or(|p| known.text("project_id") == Some(p));
        let matches = |known: &&Known| known.matches(&query.filters);
        self.known.iter().filter(of_project).filter(matches).collect()
    }
}

fn page(
    mut known: Vec<&Known>,
    order: &[(SortKey, SortDirection)],
    marker: Option<&Known>,
    limit: u32,
) -> Vec<InstanceUuid> {
    known.sort_by(|a, b| a.compare(b, order));
    known
        .into_iter()
        .filter(|known| marker.is_none_or(|marker| marker.compare(known, order).is_lt()))
        .take(limit as usize)
        .map(|known| known.uuid)
        .collect()
}

impl Known {
    fn text(&self, field: &str) -> Option<&str> {
        self.shown[field].as_str().filter(|text| *text != NOT_SET)
    }

    fn matches(&self, filters: &ListFilters) -> bool {
        let changed = self.text("updated_at").or(self.text("created_at"));
        let since = filters.changes_since.map(super::time_text);
        let before = filters.changes_before.map(super::time_text);
        let has_tag =
            |tag: &String| self.shown["tags"].as_array().unwrap().iter().any(|t| t == tag);
        let hidden = filters.columns.iter().any(|(key, _)| *key == SortKey::Hidden);
        (self.shown["hidden"] == false || hidden)
            && self.is_alive_enough(filters)
            && filters.uuids.as_ref().is_none_or(|uuids| uuids.contains(&self.uuid))
            && filters.columns.iter().all(|(key, filter)| self.holds(*key, filter))
            && (filters.flavors.is_empty()
                || filters
                    .flavors
                    .iter()
                    .any(|flavor| self.shown["instance_type_id"] == flavor_row(flavor)))
            && filters.tags.iter().all(has_tag)
            && (filters.tags_any.is_empty() || filters.tags_any.iter().any(has_tag))
            && (filters.not_tags.is_empty() || !filters.not_tags.iter().all(has_tag))
            && !filters.not_tags_any.iter().any(has_tag)
            && filters.metadata.iter().all(|(key, value)| self.shown["metadata"][key] == **value)
            && since.is_none_or(|since| changed.is_some_and(|changed| changed >= since.as_str()))
            && before.is_none_or(|before| changed.is_some_and(|changed| changed <= before.as_str()))
    }

    fn holds(&self, key: SortKey, filter: &ColumnFilter) -> bool {
        let value = self.value(key);
        match filter {
            ColumnFilter::Matches(pattern) => {
                value.as_str().is_some_and(|text| pattern.matches(text))
            }
            ColumnFilter::OneOf(values) => values.iter().any(|wanted| match wanted {
                None => value.is_null(),
                Some(SortValue::Text(text)) => value == **text,
                Some(SortValue::Number(number)) => {
                    value == *number || value == (*number == 1) && value.is_boolean()
                }
                Some(SortValue::Time(_)) => panic!("no list of Nova's asks for a time"),
            }),
        }
    }

    /// As Nova shows a column, or ours where Nova's show leaves it out.
    fn value(&self, key: SortKey) -> Value {
        match (self.shown.get(key.name()), &self.ours) {
            (Some(value), _) if value != NOT_SET => value.clone(),
            (None, Some(ours)) => match ours.sort_value(key) {
                Some(SortValue::Text(text)) => text.into(),
                Some(SortValue::Number(number)) => number.into(),
                Some(SortValue::Time(time)) => super::time_text(time).into(),
                None => Value::Null,
            },
            _ => Value::Null,
        }
    }

    fn is_alive_enough(&self, filters: &ListFilters) -> bool {
        let deleted = self.shown["deleted"] == true;
        let soft_deleted = self.text("vm_state") == Some("soft-delete");
        let named = filters
            .columns
            .iter()
            .any(|(key, filter)| *key == SortKey::VmState && self.holds(*key, filter));
        match (filters.deleted, filters.changes_since) {
            (Deleted::Only, _) => deleted || soft_deleted && filters.soft_deleted,
            (Deleted::With, _) | (Deleted::Without, Some(_)) => true,
            (Deleted::Without, None) => {
                !deleted && (!soft_deleted || named || filters.soft_deleted)
            }
        }
    }

    fn compare(&self, other: &Known, order: &[(SortKey, SortDirection)]) -> Ordering {
        for (key, direction) in order {
            let ascending = match (&self.value(*key), &other.value(*key)) {
                (Value::Null, Value::Null) => Ordering::Equal,
                (Value::Null, _) => Ordering::Less,
                (_, Value::Null) => Ordering::Greater,
                (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
                (Value::Number(a), Value::Number(b)) => a.as_i64().cmp(&b.as_i64()),
                (a, b) => text_of(a).cmp(text_of(b)),
            };
            let ordering = match direction {
                SortDirection::Ascending => ascending,
                SortDirection::Descending => ascending.reverse(),
            };
            if ordering.is_ne() {
                return ordering;
            }
        }
        Ordering::Equal
    }
}
