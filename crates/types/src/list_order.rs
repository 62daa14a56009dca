//! The one total order of a list, by which the cells sort and by which their answers are merged.
//!
//! NULL comes last in ascending order and first in descending order; text goes by code point.

use std::cmp::Ordering;

use chrono::NaiveDateTime;

use crate::instance::Instance;
use crate::list::{ListFilters, SortDirection, SortKey};
use crate::state::{TaskState, VmState};

/// The value of one sort key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortValue {
    /// Text, by code point.
    Text(String),
    /// A time, UTC.
    Time(NaiveDateTime),
    /// A number.
    Number(i64),
}

/// The values of an instance for each key of an order; `None` for NULL.
pub type SortValues = Vec<Option<SortValue>>;

/// Compares two instances by their values for `order`.
pub fn compare(
    order: &[(SortKey, SortDirection)],
    left: &[Option<SortValue>],
    right: &[Option<SortValue>],
) -> Ordering {
    for ((_, direction), (left, right)) in order.iter().zip(left.iter().zip(right)) {
        let ascending = match (left, right) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(left), Some(right)) => left.cmp(right),
        };
        let ordering = match direction {
            SortDirection::Ascending => ascending,
            SortDirection::Descending => ascending.reverse(),
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
    }
    Ordering::Equal
}

impl Instance {
    /// Its values for each key of `order`.
    pub fn sort_values(&self, order: &[(SortKey, SortDirection)]) -> SortValues {
        order.iter().map(|(key, _)| self.sort_value(*key)).collect()
    }

    fn sort_value(&self, key: SortKey) -> Option<SortValue> {
        let text = |text: &Option<String>| text.clone().map(SortValue::Text);
        let time = |time: Option<NaiveDateTime>| time.map(SortValue::Time);
        match key {
            SortKey::CreatedAt => time(self.created_at),
            SortKey::UpdatedAt => time(self.updated_at),
            SortKey::LaunchedAt => time(self.launched_at),
            SortKey::DisplayName => text(&self.display_name),
            SortKey::Uuid => Some(SortValue::Text(self.uuid.text())),
            SortKey::Host => text(&self.host),
            SortKey::Node => text(&self.node),
            SortKey::VmState => {
                self.vm_state.as_ref().map(VmState::as_str).map(str::to_owned).map(SortValue::Text)
            }
            SortKey::TaskState => self
                .task_state
                .as_ref()
                .map(TaskState::as_str)
                .map(str::to_owned)
                .map(SortValue::Text),
            SortKey::PowerState => self.power_state.map(|s| SortValue::Number(s.0.into())),
            SortKey::ProjectId => Some(SortValue::Text(self.project_id.clone())),
            SortKey::UserId => Some(SortValue::Text(self.user_id.clone())),
            SortKey::ImageRef => text(&self.image_ref),
            SortKey::InstanceTypeId => self.instance_type_id.map(|id| SortValue::Number(id.into())),
            SortKey::KeyName => text(&self.key_name),
            SortKey::AvailabilityZone => text(&self.availability_zone),
        }
    }
}

impl ListFilters {
    /// Whether an instance passes; what a cell does in SQL, done here for build requests.
    pub fn matches(&self, instance: &Instance) -> bool {
        let equal = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| value == Some(wanted))
        };
        let name = instance.display_name.as_deref();
        self.uuids.as_ref().is_none_or(|uuids| uuids.contains(&instance.uuid))
            && equal(&self.project_id, Some(&instance.project_id))
            && equal(&self.user_id, Some(&instance.user_id))
            && self
                .name_contains
                .as_deref()
                .is_none_or(|part| name.is_some_and(|name| name.contains(part)))
            && (self.vm_states.is_empty()
                || instance.vm_state.as_ref().is_some_and(|state| self.vm_states.contains(state)))
            && equal(&self.host, instance.host.as_deref())
            && equal(&self.image_ref, instance.image_ref.as_deref())
            && self.tags.iter().all(|tag| instance.tags.contains(tag))
            && self.metadata.iter().all(|(k, v)| instance.metadata.get(k) == Some(v))
            && self
                .changes_since
                .is_none_or(|since| instance.updated_at.or(instance.created_at) >= Some(since))
            && !(self.deleted && self.changes_since.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn text(text: &str) -> Option<SortValue> {
        Some(SortValue::Text(text.into()))
    }

    #[rstest]
    #[case(SortDirection::Ascending, text("a"), text("b"), Ordering::Less)]
    #[case(SortDirection::Descending, text("a"), text("b"), Ordering::Greater)]
    #[case::null_is_last_ascending(SortDirection::Ascending, None, text("b"), Ordering::Greater)]
    #[case::null_is_first_descending(SortDirection::Descending, None, text("b"), Ordering::Less)]
    #[case::code_points_decide(SortDirection::Ascending, text("Z"), text("a"), Ordering::Less)]
    fn values_compare_in_the_total_order(
        #[case] direction: SortDirection,
        #[case] left: Option<SortValue>,
        #[case] right: Option<SortValue>,
        #[case] expected: Ordering,
    ) {
        let order = [(SortKey::DisplayName, direction)];
        assert_eq!(compare(&order, &[left], &[right]), expected);
    }
}
