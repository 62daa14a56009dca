//! List: build requests, cell0 and all cells, in one total order.
//!
//! There are two ways to a page. In an order that was fixed when the instances were accepted, and
//! without a filter that only a cell can judge, the instance mappings are the list ([`mapped`]):
//! a page is read from an index of the API database, and the cells are asked for its instances, all
//! at once. For everything else the cells are merged ([`merged`]).

mod certificate;
mod details;
mod mapped;
mod merged;
mod source;
mod stream;

pub use certificate::{CellAnswered, CellReport, SkipReason};

use cellzero_api_db::{CellMapping, flavor};
use cellzero_cell_db::instance::WithDeleted;
use cellzero_database::{DatabaseError, Deadline, Whose};
use cellzero_types::{
    After, ColumnFilter, Cursor, Deleted, Instance, InstanceUuid, InvalidField, ListFilters,
    ListQuery, RequestContext, SortKey, SortOrder, SortValue, SortValues,
};

use crate::{ReadError, Router};
use certificate::Certificate;

/// The most instances that one query may name.
const UUIDS_MAX: usize = 1_000;

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The instances, in order. One whose cell does not answer stands at its place, with what the
    /// API database knows of it and [`Instance::known_at`].
    pub instances: Vec<Instance>,
    /// Every cell, and what it contributed: whether the page is complete.
    pub cells: Vec<CellReport>,
    /// Where the next page begins; none where this is the last.
    pub next: Option<Cursor>,
    /// The query that reads again what the silent cells hold of this page.
    missing: Option<ListQuery>,
}

impl Page {
    /// The cells that did not answer, with why: their instances are known by their outlines alone.
    pub fn down_cells(&self) -> impl Iterator<Item = &CellReport> {
        self.cells.iter().filter(|report| report.answered.is_down())
    }

    /// Whether every cell that was needed has answered.
    pub fn is_complete(&self) -> bool {
        self.down_cells().next().is_none()
    }

    /// The same page of the cells alone that did not answer; none where all did.
    pub fn missing(&self) -> Option<&ListQuery> {
        self.missing.as_ref()
    }
}

/// What a list works with, from its first statement to its last.
struct Walk {
    query: ListQuery,
    order: SortOrder,
    deadline: Deadline,
    foreign: bool,
    /// Where the page begins.
    start: Option<SortValues>,
    /// Where it must end at the latest.
    until: Option<SortValues>,
    certificate: Certificate,
}

impl Walk {
    fn limit(&self) -> usize {
        self.query.limit as usize
    }

    fn whose(&self) -> Whose {
        if self.foreign { Whose::Novas } else { Whose::Ours }
    }

    /// A report for each cell: not asked, as long as nothing else is said.
    fn begin_reports(&mut self, mappings: &[CellMapping]) {
        for mapping in mappings {
            let reason = match self.wants(mapping) {
                true => SkipReason::NothingInIt,
                false => SkipReason::NotWanted,
            };
            self.certificate.begin(mapping, reason);
        }
    }

    /// Whether a cell may be asked at all.
    fn wants(&self, mapping: &CellMapping) -> bool {
        self.query.cells.as_ref().is_none_or(|cells| cells.contains(&mapping.uuid))
    }
}

/// What a way to a page has found.
struct Found {
    instances: Vec<Instance>,
    /// The place of the last one that was looked at; none where nothing comes after it.
    next: Option<SortValues>,
}

impl Router {
    /// A page of the instances that `ctx` may see. One who is not an admin sees their own
    /// project's, whatever the query says. It returns by the deadline of `ctx`, 15 ms later at most
    /// on a machine with time to spare, whatever the cells do: what a silent cell holds is shown as
    /// the API database knows it, and the page says so.
    ///
    /// In the default order: one statement in the API database for the page and one for the cells,
    /// one more for build requests on it; 4 in each cell that has instances on it; depth 2. In other
    /// orders or with filters that only cells can judge: see `docs/list.md`.
    ///
    /// # Errors
    /// [`ReadError::Invalid`] for a query that cannot be asked, [`ReadError::MarkerNotFound`],
    /// [`ReadError::Moving`] where an instance moves at every look, or the API database's. A cell
    /// that does not answer is no error: the page names it.
    pub async fn list(&self, ctx: &RequestContext, query: &ListQuery) -> Result<Page, ReadError> {
        let mut walk = self.begin(ctx, query).await?;
        let found = match walk.query.limit {
            0 => Found { instances: Vec::new(), next: None },
            _ if mapped::can_give(&walk) => self.list_mapped(ctx, &mut walk).await?,
            _ => self.list_merged(ctx, &mut walk).await?,
        };
        Ok(walk.into_page(found))
    }

    async fn begin(&self, ctx: &RequestContext, query: &ListQuery) -> Result<Walk, ReadError> {
        let deadline = Deadline::after(ctx.timeout);
        let mut query = query.clone();
        query.limit = query.limit.min(ListQuery::LIMIT_MAX);
        check(&query.filters)?;
        if !ctx.is_admin {
            query.filters.project_id = Some(ctx.project_id.clone());
            query.filters.deleted = Deleted::Without;
        } else if !query.all_projects && query.filters.project_id.is_none() {
            query.filters.project_id = Some(ctx.project_id.clone());
        }
        self.resolve_flavors(&mut query.filters, deadline).await?;
        let order = query.total_order();
        let start = match &query.after {
            None => None,
            Some(After::Cursor(cursor)) => Some(cursor.values_for(&order)?.clone()),
            Some(After::Marker(marker)) => {
                Some(self.marker_values(ctx, *marker, &order, deadline).await?)
            }
        };
        let until = match &query.until {
            None => None,
            Some(cursor) => Some(cursor.values_for(&order)?.clone()),
        };
        let foreign = self.is_foreign();
        let certificate = Certificate::default();
        Ok(Walk { query, order, deadline, foreign, start, until, certificate })
    }

    /// Flavors by their ids become a column. One statement for each.
    async fn resolve_flavors(
        &self,
        filters: &mut ListFilters,
        deadline: Deadline,
    ) -> Result<(), ReadError> {
        if filters.flavors.is_empty() {
            return Ok(());
        }
        let flavors = std::mem::take(&mut filters.flavors);
        let ids: Vec<i32> = self
            .api
            .run("find_flavors", deadline, move |conn| {
                let mut ids = Vec::new();
                for flavorid in &flavors {
                    ids.extend(flavor::find(conn, flavorid)?.map(|flavor| flavor.id));
                }
                Ok::<_, DatabaseError>(ids)
            })
            .await?;
        let values = ids.into_iter().map(|id| Some(SortValue::Number(id.into()))).collect();
        filters.columns.push((SortKey::InstanceTypeId, ColumnFilter::OneOf(values)));
        Ok(())
    }

    /// Where the page begins: the marker's place in the order, from wherever it lives now. A
    /// deleted instance is still a place; one in a cell that does not answer has the place that the
    /// API database knows.
    async fn marker_values(
        &self,
        ctx: &RequestContext,
        marker: InstanceUuid,
        order: &SortOrder,
        deadline: Deadline,
    ) -> Result<SortValues, ReadError> {
        let not_found = ReadError::MarkerNotFound { marker };
        let in_time = |deadline: Deadline| ctx.clone().with_timeout(deadline.remaining());
        let mapping = match self.mapping(&in_time(deadline), marker).await {
            Ok(mapping) => mapping,
            Err(ReadError::InstanceNotFound { .. }) => return Err(not_found),
            Err(error) => return Err(error),
        };
        // Of an instance of our own, the mapping knows what was fixed when it was accepted.
        if !self.is_foreign() && mapped::is_fixed(order) {
            let mut instance = Instance::new(marker, mapping.project_id, "");
            instance.created_at = mapping.created_at;
            return Ok(instance.sort_values(order));
        }
        let part = self.cell_deadline(deadline);
        let found = match mapping.cell {
            None => self.show(&in_time(part), marker).await.map(|instance| vec![instance]),
            Some(cell) => {
                let read = move |conn: &mut _| {
                    cellzero_cell_db::instance::find(conn, cell, &[marker], WithDeleted::Yes)
                };
                self.ask(marker, cell, "find_marker", part, read).await
            }
        };
        let found = match found {
            Ok(found) => found,
            Err(ReadError::InstanceNotFound { .. }) => return Err(not_found),
            Err(ReadError::CellUnavailable { .. }) => {
                self.outlines_of(vec![marker], deadline).await?.into_values().collect()
            }
            Err(error) => return Err(error),
        };
        found.first().map(|instance| instance.sort_values(order)).ok_or(not_found)
    }
}

impl Walk {
    fn into_page(self, found: Found) -> Page {
        let next = found.next.map(|values| Cursor::new(self.order.clone(), values));
        let cells = self.certificate.into_reports();
        let down: Vec<_> =
            cells.iter().filter(|cell| cell.answered.is_down()).map(|cell| cell.cell).collect();
        // By its place, so that it works whatever becomes of the marker.
        let start = self.start.map(|values| Cursor::new(self.order.clone(), values));
        let missing = (!down.is_empty()).then(|| ListQuery {
            cells: Some(down),
            after: start.map(After::Cursor),
            until: next.clone().or_else(|| self.query.until.clone()),
            ..self.query
        });
        Page { instances: found.instances, cells, next, missing }
    }
}

fn check(filters: &ListFilters) -> Result<(), InvalidField> {
    let uuids = filters.uuids.as_ref().map_or(0, Vec::len);
    if uuids > UUIDS_MAX {
        let value = format!("{uuids} uuids");
        return Err(InvalidField::new("uuid", value, format!("at most {UUIDS_MAX} of them")));
    }
    for tag in [&filters.tags, &filters.tags_any, &filters.not_tags, &filters.not_tags_any] {
        for tag in tag {
            cellzero_types::text::check("tags", tag, cellzero_types::text::TEXT_LENGTH_MAX)?;
        }
    }
    for (key, filter) in &filters.columns {
        let ColumnFilter::OneOf(values) = filter else { continue };
        for value in values.iter().flatten() {
            if let SortValue::Text(text) = value {
                cellzero_types::text::check(key.name(), text, usize::MAX)?;
            }
        }
    }
    for (key, value) in &filters.metadata {
        cellzero_types::text::check("metadata", key, usize::MAX)?;
        cellzero_types::text::check("metadata", value, usize::MAX)?;
    }
    Ok(())
}
