//! The one total order of a list, by which the cells sort and by which their answers are merged.
//!
//! NULL is the smallest value: first in ascending order and last in descending order. That is how
//! SQLite and MariaDB order by an index, and how an index of PostgreSQL can be declared. Text goes
//! by code point.

use std::cmp::Ordering;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use crate::instance::Instance;
use crate::sort_key::{SortDirection, SortKey};

/// The value of one sort key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SortValue {
    /// Text, by code point.
    Text(String),
    /// A time, UTC.
    Time(NaiveDateTime),
    /// A number.
    Number(i64),
}

/// Sort keys, each with its direction.
pub type SortOrder = Vec<(SortKey, SortDirection)>;

/// The values of an instance for each key of an order; `None` for NULL.
pub type SortValues = Vec<Option<SortValue>>;

/// Compares two instances by their values for `order`.
pub fn compare(
    order: &[(SortKey, SortDirection)],
    left: &[Option<SortValue>],
    right: &[Option<SortValue>],
) -> Ordering {
    for ((_, direction), (left, right)) in order.iter().zip(left.iter().zip(right)) {
        // `None` is less than any value.
        let ordering = match direction {
            SortDirection::Ascending => left.cmp(right),
            SortDirection::Descending => right.cmp(left),
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
    #[case::null_is_first_ascending(SortDirection::Ascending, None, text("b"), Ordering::Less)]
    #[case::null_is_last_descending(SortDirection::Descending, None, text("b"), Ordering::Greater)]
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
