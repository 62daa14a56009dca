//! The list query: filters, order, and where a page begins and ends.

use crate::cursor::Cursor;
use crate::ids::{CellUuid, InstanceUuid};
use crate::list_filters::ListFilters;
use crate::list_order::SortOrder;
use crate::sort_key::{SortDirection, SortKey};

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub enum After {
    /// Behind this instance, wherever it stands now.
    Marker(InstanceUuid),
    /// Behind this place.
    Cursor(Cursor),
}

impl From<InstanceUuid> for After {
    fn from(marker: InstanceUuid) -> After {
        After::Marker(marker)
    }
}

impl From<Cursor> for After {
    fn from(cursor: Cursor) -> After {
        After::Cursor(cursor)
    }
}

/// A list query. The uuid is always the last sort key, so the order is total.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    /// What a listed instance must be.
    pub filters: ListFilters,
    /// The order; the default is Nova's: created_at descending.
    pub sort: SortOrder,
    /// The most instances of one page; at most [`ListQuery::LIMIT_MAX`].
    pub limit: u32,
    /// Where the page begins; none at the first.
    pub after: Option<After>,
    /// The last place of the page, where it is known: a page that is resumed.
    pub until: Option<Cursor>,
    /// Only what stands in these cells; none for all, and for build requests too.
    pub cells: Option<Vec<CellUuid>>,
    /// Instances of every project; for admins.
    pub all_projects: bool,
    /// Only the instances' own rows, with flavor and network: as Nova's list without details.
    pub bare: bool,
}

impl Default for ListQuery {
    fn default() -> ListQuery {
        ListQuery {
            filters: ListFilters::default(),
            sort: vec![(SortKey::CreatedAt, SortDirection::Descending)],
            limit: Self::LIMIT_MAX,
            after: None,
            until: None,
            cells: None,
            all_projects: false,
            bare: false,
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

    /// What comes after this instance, or after this place.
    pub fn after(mut self, after: impl Into<After>) -> ListQuery {
        self.after = Some(after.into());
        self
    }

    /// In this order instead of the default one.
    pub fn sort_by(mut self, sort: impl Into<SortOrder>) -> ListQuery {
        self.sort = sort.into();
        self
    }

    /// Instances of every project; for admins.
    pub fn all_projects(mut self) -> ListQuery {
        self.all_projects = true;
        self
    }

    /// Without metadata, tags, block devices, security groups and faults, where an instance is
    /// read from a cell: one statement in each cell in place of four.
    pub fn bare(mut self) -> ListQuery {
        self.bare = true;
        self
    }

    /// Only what these filters let through.
    pub fn filter(mut self, filters: ListFilters) -> ListQuery {
        self.filters = filters;
        self
    }

    /// The whole order: the sort keys, each once, and the uuid behind them.
    pub fn total_order(&self) -> SortOrder {
        let mut order = SortOrder::new();
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
    fn every_order_ends_in_the_uuid() {
        let order = ListQuery::default().total_order();
        assert_eq!(order.last().unwrap().0, SortKey::Uuid);
    }

    #[test]
    fn a_limit_above_the_largest_page_is_cut() {
        assert_eq!(ListQuery::default().limit(5_000).limit, ListQuery::LIMIT_MAX);
    }
}
