//! The list query: filters, order, and where a page begins and ends.

use std::str::FromStr;

use chrono::NaiveDateTime;

use crate::ids::InstanceUuid;
use crate::state::VmState;
use crate::text::InvalidField;

/// A column to sort by. All but the uuid may be NULL, which comes last in ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SortKey {
    /// When it was accepted.
    CreatedAt,
    /// When it changed last.
    UpdatedAt,
    /// When it ran first.
    LaunchedAt,
    /// The name that the user gave.
    DisplayName,
    /// Its uuid.
    Uuid,
    /// Its host.
    Host,
    /// Its node.
    Node,
    /// Its stable state.
    VmState,
    /// What is under way.
    TaskState,
    /// What the hypervisor says.
    PowerState,
    /// Its project.
    ProjectId,
    /// Its user.
    UserId,
    /// Its image.
    ImageRef,
    /// Its flavor's row id.
    InstanceTypeId,
    /// Its key pair.
    KeyName,
    /// Its availability zone.
    AvailabilityZone,
}

impl SortKey {
    /// Every key with the name that clients use.
    pub const ALL: [(SortKey, &'static str); 16] = [
        (SortKey::CreatedAt, "created_at"),
        (SortKey::UpdatedAt, "updated_at"),
        (SortKey::LaunchedAt, "launched_at"),
        (SortKey::DisplayName, "display_name"),
        (SortKey::Uuid, "uuid"),
        (SortKey::Host, "host"),
        (SortKey::Node, "node"),
        (SortKey::VmState, "vm_state"),
        (SortKey::TaskState, "task_state"),
        (SortKey::PowerState, "power_state"),
        (SortKey::ProjectId, "project_id"),
        (SortKey::UserId, "user_id"),
        (SortKey::ImageRef, "image_ref"),
        (SortKey::InstanceTypeId, "instance_type_id"),
        (SortKey::KeyName, "key_name"),
        (SortKey::AvailabilityZone, "availability_zone"),
    ];
}

impl FromStr for SortKey {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<SortKey, InvalidField> {
        let found = SortKey::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(key, _)| *key).ok_or_else(|| {
            let names: Vec<&str> = SortKey::ALL.iter().map(|(_, name)| *name).collect();
            InvalidField::new("sort_key", text, format!("one of {}", names.join(", ")))
        })
    }
}

/// Which way to sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortDirection {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl FromStr for SortDirection {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<SortDirection, InvalidField> {
        match text {
            "asc" => Ok(SortDirection::Ascending),
            "desc" => Ok(SortDirection::Descending),
            _ => Err(InvalidField::new("sort_dir", text, "asc or desc")),
        }
    }
}

/// What a listed instance must be. An empty list means "any"; within one list any member does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListFilters {
    /// Only these instances.
    pub uuids: Option<Vec<InstanceUuid>>,
    /// Only this project's; one who is not an admin always gets their own.
    pub project_id: Option<String>,
    /// Only this user's.
    pub user_id: Option<String>,
    /// Only those whose name holds this text.
    pub name_contains: Option<String>,
    /// Only those in one of these states. Those that are deleted softly are listed only where
    /// their state is named here, or [`changes_since`](Self::changes_since) is given.
    pub vm_states: Vec<VmState>,
    /// Only those on this host.
    pub host: Option<String>,
    /// Only those of this image.
    pub image_ref: Option<String>,
    /// Only those with all of these tags.
    pub tags: Vec<String>,
    /// Only those that carry all of these metadata items.
    pub metadata: Vec<(String, String)>,
    /// Only those that changed at this time or later, deleted ones too.
    pub changes_since: Option<NaiveDateTime>,
    /// Deleted ones instead of live ones; for admins.
    pub deleted: bool,
}

/// A list query. The uuid is always the last sort key, so the order is total.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    /// What a listed instance must be.
    pub filters: ListFilters,
    /// The order; the default is Nova's: created_at descending.
    pub sort: Vec<(SortKey, SortDirection)>,
    /// The most instances of one page; at most [`ListQuery::LIMIT_MAX`].
    pub limit: u32,
    /// The last instance of the page before.
    pub marker: Option<InstanceUuid>,
    /// Instances of every project; for admins.
    pub all_projects: bool,
}

impl Default for ListQuery {
    fn default() -> ListQuery {
        ListQuery {
            filters: ListFilters::default(),
            sort: vec![(SortKey::CreatedAt, SortDirection::Descending)],
            limit: Self::LIMIT_MAX,
            marker: None,
            all_projects: false,
        }
    }
}

impl ListQuery {
    /// The largest page, as in Nova.
    pub const LIMIT_MAX: u32 = 1_000;

    /// At most so many instances; more than [`Self::LIMIT_MAX`] are never given.
    pub fn limit(mut self, limit: u32) -> ListQuery {
        self.limit = limit.min(Self::LIMIT_MAX);
        self
    }

    /// What comes after this instance.
    pub fn after(mut self, marker: InstanceUuid) -> ListQuery {
        self.marker = Some(marker);
        self
    }

    /// In this order instead of the default one.
    pub fn sort_by(mut self, sort: impl Into<Vec<(SortKey, SortDirection)>>) -> ListQuery {
        self.sort = sort.into();
        self
    }

    /// Instances of every project; for admins.
    pub fn all_projects(mut self) -> ListQuery {
        self.all_projects = true;
        self
    }

    /// Only what these filters let through.
    pub fn filter(mut self, filters: ListFilters) -> ListQuery {
        self.filters = filters;
        self
    }

    /// The whole order: the sort keys, each once, and the uuid behind them.
    pub fn total_order(&self) -> Vec<(SortKey, SortDirection)> {
        let mut order: Vec<(SortKey, SortDirection)> = Vec::new();
        for (key, direction) in &self.sort {
            if !order.iter().any(|(seen, _)| seen == key) {
                order.push((*key, *direction));
            }
        }
        if !order.iter().any(|(key, _)| *key == SortKey::Uuid) {
            let direction = order.last().map_or(SortDirection::Descending, |(_, d)| *d);
            order.push((SortKey::Uuid, direction));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_sort_key_is_refused_with_the_known_ones() {
        let error = "colour".parse::<SortKey>().unwrap_err();
        assert!(error.to_string().contains("created_at"), "{error}");
    }

    #[test]
    fn every_order_ends_in_the_uuid() {
        let order = ListQuery::default().total_order();
        assert_eq!(order.last().unwrap().0, SortKey::Uuid);
    }

    #[test]
    fn a_limit_above_the_largest_page_is_cut() {
        assert_eq!(ListQuery::default().limit(5_000).limit, ListQuery::LIMIT_MAX);
    }
}
