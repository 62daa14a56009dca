//! What a list must hold, computed from Nova's shows of all instances: by our rules and by Nova's.
//!
//! Both filter alike. Where the two rules differ, on purpose:
//!
//! | | Nova | ours | why |
//! |---|---|---|---|
//! | build requests | before all others (`get_all`), or left out (`instance_list`) | at their place in the order | one total order, so that a page after a marker misses none |
//! | equal sort values | uuid ascending | uuid in the direction of the last key | one direction from end to end |
//! | NULL | a `TypeError`, or rows lost | last in ascending order, first in descending | a place in the order on every backend |

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
    pub(crate) fn of(nova: &Nova) -> Oracle {
        let instances = nova.expected()["instances"].as_object().unwrap();
        let known = instances.iter().map(|(uuid, expected)| {
            let read_deleted = expected.get("show_read_deleted");
            Known {
                uuid: uuid.parse().unwrap(),
                has_cell: !expected["mapping"]["cell"].is_null(),
                shown: read_deleted.unwrap_or(&expected["show"]).clone(),
            }
        });
        Oracle { known: known.collect(), building: nova.plan("unscheduled") }
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
        let marker = query.marker?;
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
        let is = |wanted: &Option<String>, field: &str| {
            wanted.as_deref().is_none_or(|wanted| self.text(field) == Some(wanted))
        };
        let changed = self.text("updated_at").or(self.text("created_at"));
        let since = filters.changes_since.map(super::time_text);
        let has_tag =
            |tag: &String| self.shown["tags"].as_array().unwrap().iter().any(|t| t == tag);
        self.shown["hidden"] == false
            && self.is_alive_enough(filters)
            && filters.uuids.as_ref().is_none_or(|uuids| uuids.contains(&self.uuid))
            && is(&filters.user_id, "user_id")
            && is(&filters.host, "host")
            && is(&filters.image_ref, "image_ref")
            && filters
                .name_contains
                .as_deref()
                .is_none_or(|part| self.text("display_name").is_some_and(|n| n.contains(part)))
            && (filters.vm_states.is_empty()
                || filters.vm_states.iter().any(|s| self.text("vm_state") == Some(s.as_str())))
            && filters.tags.iter().all(has_tag)
            && filters.metadata.iter().all(|(key, value)| self.shown["metadata"][key] == **value)
            && since.is_none_or(|since| changed.is_some_and(|changed| changed >= since.as_str()))
    }

    fn is_alive_enough(&self, filters: &ListFilters) -> bool {
        let deleted = self.shown["deleted"] == true;
        let soft_deleted = self.text("vm_state") == Some("soft-delete");
        let asked_for_soft = filters.vm_states.contains(&VmState::SoftDeleted);
        match (filters.deleted, filters.changes_since) {
            (true, _) => deleted,
            (false, Some(_)) => true,
            (false, None) => !deleted && (!soft_deleted || asked_for_soft),
        }
    }

    fn compare(&self, other: &Known, order: &[(SortKey, SortDirection)]) -> Ordering {
        for (key, direction) in order {
            let (_, field) = SortKey::ALL.iter().find(|(known, _)| known == key).unwrap();
            let ascending = match (&self.shown[*field], &other.shown[*field]) {
                (Value::Null, Value::Null) => Ordering::Equal,
                (Value::Null, _) => Ordering::Greater,
                (_, Value::Null) => Ordering::Less,
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
