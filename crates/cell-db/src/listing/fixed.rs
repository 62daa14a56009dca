//! The columns of an index that are the same in all rows of a page: project and deleted.
//!
//! Where they are compared by `=`, MariaDB may look up all rows by them and pass over those before
//! the place of the page, though a range of the same index begins there: it does so where that
//! range is a large part of the table. Compared by `IN (…, NULL)`, which NULL never changes, there
//! is nothing but the range; and at the head of the order they say that it comes in order.

use cellzero_database::Backend;
use cellzero_types::{Deleted, SortKey};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::CellListQuery;
use super::key::Condition;
use crate::schema::instances;

/// How these columns are compared.
pub(super) struct Fixed {
    by_range: bool,
    with_project: bool,
}

impl Fixed {
    /// By a range where a page of live rows in the order of an index is asked for on MariaDB.
    pub(super) fn of(query: &CellListQuery, backend: Backend) -> Fixed {
        let filters = &query.filters;
        let by_index = query.order.first().is_some_and(|(key, _)| *key == SortKey::CreatedAt);
        let live = filters.deleted == Deleted::Without && filters.changes_since.is_none();
        Fixed {
            by_range: backend == Backend::Mysql && !query.foreign && by_index && live,
            with_project: filters.project_id.is_some(),
        }
    }

    /// Whether a row is this project's.
    pub(super) fn is_project(&self, project: String) -> Condition {
        match self.by_range {
            true => Box::new(
                sql::<Bool>("instances.project_id IN (").bind::<Text, _>(project).sql(", NULL)"),
            ),
            false => Box::new(instances::project_id.eq(project).assume_not_null()),
        }
    }

    /// Whether a row is not deleted.
    pub(super) fn is_live(&self) -> Condition {
        match self.by_range {
            true => Box::new(sql::<Bool>("instances.deleted IN (0, NULL)")),
            false => Box::new(instances::deleted.eq(0).assume_not_null()),
        }
    }

    /// What stands at the head of the order.
    pub(super) fn order_by(&self) -> &'static [&'static str] {
        match (self.by_range, self.with_project) {
            (true, true) => &["instances.project_id", "instances.deleted"],
            (true, false) => &["instances.deleted"],
            (false, _) => &[],
        }
    }
}
