//! What a listed instance must be.

use chrono::NaiveDateTime;

use crate::ids::InstanceUuid;
use crate::instance::Instance;
use crate::list_order::SortValue;
use crate::pattern::Pattern;
use crate::sort_key::SortKey;
use crate::state::{STATUSES, TaskState, VmState};
use crate::text::InvalidField;

/// What a column must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnFilter {
    /// One of these; `None` is NULL.
    OneOf(Vec<Option<SortValue>>),
    /// Text that matches.
    Matches(Pattern),
}

impl ColumnFilter {
    fn matches(&self, value: Option<&SortValue>) -> bool {
        match (self, value) {
            (ColumnFilter::OneOf(wanted), value) => {
                wanted.iter().any(|wanted| wanted.as_ref() == value)
            }
            (ColumnFilter::Matches(pattern), Some(SortValue::Text(text))) => pattern.matches(text),
            (ColumnFilter::Matches(_), _) => false,
        }
    }
}

/// Whether deleted instances are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Deleted {
    /// Live ones only; with [`ListFilters::changes_since`] deleted ones too, as in Nova.
    #[default]
    Without,
    /// Deleted ones only; for admins.
    Only,
    /// Both; for admins.
    With,
}

/// What a listed instance must be. An empty list means "any".
///
/// ```
/// use cellzero_types::{ListFilters, SortKey};
/// let filters = ListFilters::default().host("compute-7").name("^web-")?.tag("blue");
/// # assert_eq!(filters.columns.len(), 2);
/// # Ok::<(), cellzero_types::InvalidField>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListFilters {
    /// Only these instances.
    pub uuids: Option<Vec<InstanceUuid>>,
    /// Only this project's; one who is not an admin always gets their own.
    pub project_id: Option<String>,
    /// What columns must hold, all of them. Instances that are deleted softly are listed only where
    /// their vm_state is named here, or [`changes_since`](Self::changes_since) is given.
    pub columns: Vec<(SortKey, ColumnFilter)>,
    /// Only those in one of these states, as clients see them, such as `ACTIVE`.
    pub statuses: Vec<&'static str>,
    /// Only those of one of these flavors, by flavorid.
    pub flavors: Vec<String>,
    /// Only those with all of these tags.
    pub tags: Vec<String>,
    /// Only those with one of these tags.
    pub tags_any: Vec<String>,
    /// Only those that lack one of these tags.
    pub not_tags: Vec<String>,
    /// Only those with none of these tags.
    pub not_tags_any: Vec<String>,
    /// Only those that carry all of these metadata items.
    pub metadata: Vec<(String, String)>,
    /// Only those with a fixed address of IPv4 that matches.
    pub ip: Option<Pattern>,
    /// Only those with a fixed address of IPv6 that matches.
    pub ip6: Option<Pattern>,
    /// Only those that changed at this time or later, deleted ones too.
    pub changes_since: Option<NaiveDateTime>,
    /// Only those that changed at this time or before.
    pub changes_before: Option<NaiveDateTime>,
    /// Whether deleted instances are listed.
    pub deleted: Deleted,
    /// Those that are deleted softly too, whatever else is asked for.
    pub soft_deleted: bool,
}

impl ListFilters {
    /// Only those whose column holds this.
    pub fn column(mut self, key: SortKey, filter: ColumnFilter) -> ListFilters {
        self.columns.push((key, filter));
        self
    }

    /// Only those whose column holds this text.
    pub fn text(self, key: SortKey, text: impl Into<String>) -> ListFilters {
        self.column(key, ColumnFilter::OneOf(vec![Some(SortValue::Text(text.into()))]))
    }

    /// Only those whose name matches a regular expression, anywhere in it.
    ///
    /// # Errors
    /// [`InvalidField`] where it is none.
    pub fn name(self, pattern: &str) -> Result<ListFilters, InvalidField> {
        let pattern = Pattern::new("name", pattern)?;
        Ok(self.column(SortKey::DisplayName, ColumnFilter::Matches(pattern)))
    }

    /// Only those on this host.
    pub fn host(self, host: impl Into<String>) -> ListFilters {
        self.text(SortKey::Host, host)
    }

    /// Only those of this image.
    pub fn image(self, image: impl Into<String>) -> ListFilters {
        self.text(SortKey::ImageRef, image)
    }

    /// Only this user's.
    pub fn user(self, user: impl Into<String>) -> ListFilters {
        self.text(SortKey::UserId, user)
    }

    /// Only those in one of these states.
    pub fn vm_states(self, states: &[VmState]) -> ListFilters {
        let values = states.iter().map(|state| Some(SortValue::Text(state.as_str().to_owned())));
        self.column(SortKey::VmState, ColumnFilter::OneOf(values.collect()))
    }

    /// Only those with one of these tasks; `None` is no task.
    pub fn task_states(self, states: &[Option<TaskState>]) -> ListFilters {
        let text = |state: &TaskState| SortValue::Text(state.as_str().to_owned());
        let values = states.iter().map(|state| state.as_ref().map(text));
        self.column(SortKey::TaskState, ColumnFilter::OneOf(values.collect()))
    }

    /// Only those that are locked, or only those that are not.
    pub fn locked(self, locked: bool) -> ListFilters {
        self.flag(SortKey::Locked, locked)
    }

    /// Only those whose flag is this; one that is NULL is no.
    pub fn flag(self, key: SortKey, value: bool) -> ListFilters {
        let mut values = vec![Some(SortValue::Number(value.into()))];
        if !value {
            values.push(None);
        }
        self.column(key, ColumnFilter::OneOf(values))
    }

    /// Only those of this flavor, by flavorid.
    pub fn flavor(mut self, flavorid: impl Into<String>) -> ListFilters {
        self.flavors.push(flavorid.into());
        self
    }

    /// Only those with this tag, and all others that are asked for.
    pub fn tag(mut self, tag: impl Into<String>) -> ListFilters {
        self.tags.push(tag.into());
        self
    }

    /// Only those that carry this metadata item.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> ListFilters {
        self.metadata.push((key.into(), value.into()));
        self
    }

    /// Only those in this state, as clients see it, or in another one that is asked for; case does
    /// not matter.
    ///
    /// # Errors
    /// [`InvalidField`] where there is no such state.
    pub fn status(mut self, status: &str) -> Result<ListFilters, InvalidField> {
        let known = STATUSES.iter().find(|known| known.eq_ignore_ascii_case(status));
        let known = known.ok_or_else(|| {
            InvalidField::new("status", status, format!("one of {}", STATUSES.join(", ")))
        })?;
        self.statuses.push(known);
        Ok(self)
    }

    /// Only those with a fixed address of IPv4 that matches a regular expression.
    ///
    /// # Errors
    /// [`InvalidField`] where it is none.
    pub fn ip(mut self, pattern: &str) -> Result<ListFilters, InvalidField> {
        self.ip = Some(Pattern::new("ip", pattern)?);
        Ok(self)
    }

    /// Whether deleted instances may be among those that pass.
    pub fn lists_deleted(&self) -> bool {
        self.deleted != Deleted::Without || self.changes_since.is_some()
    }

    /// Whether what the API database knows of an instance by itself is enough to judge it; the name
    /// and the key pair are known where `with_names` says so.
    pub fn ask_for_outline_alone(&self, with_names: bool) -> bool {
        let rest = ListFilters {
            uuids: None,
            project_id: None,
            columns: Vec::new(),
            flavors: Vec::new(),
            ..self.clone()
        };
        rest == ListFilters::default()
            && self.columns.iter().all(|(key, _)| match key {
                SortKey::CreatedAt
                | SortKey::Uuid
                | SortKey::ProjectId
                | SortKey::UserId
                | SortKey::ImageRef
                | SortKey::InstanceTypeId
                | SortKey::AvailabilityZone => true,
                SortKey::DisplayName | SortKey::KeyName => with_names,
                _ => false,
            })
    }

    /// Whether instances that are deleted softly are asked for.
    pub fn asks_for_soft_deleted(&self) -> bool {
        let soft = SortValue::Text(VmState::SoftDeleted.as_str().to_owned());
        self.soft_deleted
            || self.statuses.contains(&"SOFT_DELETED")
            || self
                .columns
                .iter()
                .any(|(key, filter)| *key == SortKey::VmState && filter.matches(Some(&soft)))
    }

    /// Whether hidden instances are asked for.
    pub fn asks_for_hidden(&self) -> bool {
        self.columns.iter().any(|(key, _)| *key == SortKey::Hidden)
    }

    /// Whether an instance passes: what a cell does in SQL, done here for what the API database
    /// knows. [`flavors`](Self::flavors) are to be columns by now.
    pub fn matches(&self, instance: &Instance) -> bool {
        let has = |tag: &String| instance.tags.contains(tag);
        self.uuids.as_ref().is_none_or(|uuids| uuids.contains(&instance.uuid))
            && self.project_id.as_ref().is_none_or(|project| *project == instance.project_id)
            && self.is_live_enough(instance)
            && self.matches_columns(instance)
            && (self.statuses.is_empty() || self.statuses.contains(&instance.status()))
            && self.tags.iter().all(has)
            && (self.tags_any.is_empty() || self.tags_any.iter().any(has))
            && (self.not_tags.is_empty() || !self.not_tags.iter().all(has))
            && !self.not_tags_any.iter().any(has)
            && self.metadata.iter().all(|(k, v)| instance.metadata.get(k) == Some(v))
            && self.matches_times(instance)
            && self.matches_addresses(&instance.network_info)
    }

    /// Whether its columns hold what they must.
    pub fn matches_columns(&self, instance: &Instance) -> bool {
        self.columns.iter().all(|(key, filter)| filter.matches(instance.sort_value(*key).as_ref()))
    }

    fn is_live_enough(&self, instance: &Instance) -> bool {
        let soft = instance.vm_state == Some(VmState::SoftDeleted);
        (!instance.hidden || self.asks_for_hidden())
            && match (self.deleted, self.changes_since) {
                (Deleted::Only, _) => instance.deleted || (soft && self.soft_deleted),
                (Deleted::With, _) | (Deleted::Without, Some(_)) => true,
                (Deleted::Without, None) => {
                    !instance.deleted && (!soft || self.asks_for_soft_deleted())
                }
            }
    }

    fn matches_times(&self, instance: &Instance) -> bool {
        let changed = instance.updated_at.or(instance.created_at);
        self.changes_since.is_none_or(|since| changed >= Some(since))
            && self
                .changes_before
                .is_none_or(|before| changed.is_some_and(|changed| changed <= before))
    }

    /// Whether it has the fixed addresses that are asked for, by its network info.
    pub fn matches_addresses(&self, network_info: &serde_json::Value) -> bool {
        let matches = |pattern: &Option<Pattern>, is_v6: bool| {
            pattern.as_ref().is_none_or(|pattern| {
                fixed_ips(network_info).any(|ip| ip.contains(':') == is_v6 && pattern.matches(ip))
            })
        };
        matches(&self.ip, false) && matches(&self.ip6, true)
    }
}

/// The fixed addresses of Nova's network_info, in the order of the ports.
pub(crate) fn fixed_ips(network_info: &serde_json::Value) -> impl Iterator<Item = &str> {
    let ports = network_info.as_array().into_iter().flatten();
    ports
        .flat_map(|port| port["network"]["subnets"].as_array().into_iter().flatten())
        .flat_map(|subnet| subnet["ips"].as_array().into_iter().flatten())
        .filter_map(|ip| ip["address"].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use uuid::Uuid;

    fn instance() -> Instance {
        let mut instance = Instance::new(InstanceUuid(Uuid::from_u128(1)), "p", "u");
        instance.vm_state = Some(VmState::Active);
        instance.display_name = Some("web-1".into());
        instance.tags = vec!["blue".into(), "green".into()];
        instance.network_info = serde_json::json!([
            {"network": {"subnets": [{"ips": [{"address": "10.1.0.7"}]}]}}
        ]);
        instance
    }

    fn tags(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|tag| (*tag).to_owned()).collect()
    }

    #[rstest]
    #[case(ListFilters { tags: tags(&["blue", "green"]), ..ListFilters::default() }, true)]
    #[case(ListFilters { tags: tags(&["blue", "red"]), ..ListFilters::default() }, false)]
    #[case(ListFilters { tags_any: tags(&["blue", "red"]), ..ListFilters::default() }, true)]
    #[case(ListFilters { tags_any: tags(&["red"]), ..ListFilters::default() }, false)]
    #[case(ListFilters { not_tags: tags(&["blue", "red"]), ..ListFilters::default() }, true)]
    #[case(ListFilters { not_tags: tags(&["blue"]), ..ListFilters::default() }, false)]
    #[case(ListFilters { not_tags_any: tags(&["blue", "red"]), ..ListFilters::default() }, false)]
    #[case(ListFilters { not_tags_any: tags(&["red"]), ..ListFilters::default() }, true)]
    #[case(ListFilters::default().status("active").unwrap(), true)]
    #[case(ListFilters::default().status("ERROR").unwrap(), false)]
    #[case(ListFilters::default().ip("^10\\.1\\.").unwrap(), true)]
    #[case(ListFilters::default().ip("^10\\.2\\.").unwrap(), false)]
    #[case(ListFilters::default().locked(false), true)]
    #[case(ListFilters::default().task_states(&[None]), true)]
    #[case(ListFilters::default().task_states(&[Some(TaskState::DELETING)]), false)]
    #[case(ListFilters { deleted: Deleted::Only, ..ListFilters::default() }, false)]
    #[case(ListFilters { deleted: Deleted::With, ..ListFilters::default() }, true)]
    fn an_instance_passes_its_filters(#[case] filters: ListFilters, #[case] passes: bool) {
        assert_eq!(filters.matches(&instance()), passes);
    }

    #[test]
    fn an_unknown_status_is_refused_with_the_known_ones() {
        let error = ListFilters::default().status("FINE").unwrap_err();
        assert!(error.to_string().contains("ACTIVE, "), "{error}");
    }

    #[test]
    fn one_that_is_deleted_softly_is_listed_only_where_it_is_asked_for() {
        let mut soft = instance();
        soft.vm_state = Some(VmState::SoftDeleted);
        assert!(!ListFilters::default().matches(&soft));
        assert!(ListFilters::default().vm_states(&[VmState::SoftDeleted]).matches(&soft));
        assert!(ListFilters::default().status("SOFT_DELETED").unwrap().matches(&soft));
    }
}
