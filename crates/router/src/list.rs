//! List: build requests, cell0 and all cells, in one total order.
//!
//! Build requests are read first and cells after them, so an instance that is decided in between
//! is seen at least once; a row of a cell counts only where the instance mapping names that cell,
//! so it is never seen twice and an undecided or left-over row never. Each round asks every cell
//! for as many rows as the page still lacks, after the last place looked at, and merges.
//!
//! A retry moves an instance against that order, from cell0 back to a build request. So the counter
//! of retries is read before everything else and again with the mappings; what moved in between,
//! and what left its cell after that, is looked at by itself.
//!
//! Depth: the API database, all cells at once, the API database (mappings), the cells of the page
//! at once. Each round more repeats the middle two; there is one only where rows were dropped.
//! Statements: 4 in the API database; one in each cell; one in the API database for each five
//! hundred rows; 7 in each cell for each five hundred of its rows on the page. A marker costs 2
//! more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cellzero_api_db::{build_request, cell_mapping, instance_mapping, retry};
use cellzero_cell_db::instance::WithDeleted;
use cellzero_cell_db::listing::{self, CellListQuery};
use cellzero_cell_db::{IN_LIST_MAX, whole};
use cellzero_database::{DatabaseError, Deadline};
use cellzero_types::list_order::{SortValues, compare};
use cellzero_types::{
    CellUuid, Home, Instance, InstanceUuid, ListQuery, RequestContext, SortDirection, SortKey,
};
use futures_util::future::join_all;

use crate::cells::{CellError, CellHandle};
use crate::scatter::{DownCells, scatter_gather};
use crate::{ReadError, Router};

/// A page of a list.
#[derive(Debug)]
pub struct Page {
    /// The instances, in order.
    pub instances: Vec<Instance>,
    /// The cells that did not answer, with why: their instances are missing from the page.
    pub down_cells: DownCells,
    /// The marker of the next page; none where this is the last.
    pub next: Option<InstanceUuid>,
}

/// A place in the merged list.
struct Candidate {
    uuid: InstanceUuid,
    home: Home,
    values: SortValues,
}

/// What a list works with, from its first statement to its last.
struct Walk {
    query: ListQuery,
    order: Vec<(SortKey, SortDirection)>,
    deadline: Deadline,
    building: HashMap<InstanceUuid, Instance>,
    cells: Vec<Arc<CellHandle>>,
    down: BTreeMap<CellUuid, CellError>,
    /// Where the page begins.
    start: Option<SortValues>,
    /// The last place that was looked at.
    after: Option<SortValues>,
    /// How many retries there had been before anything was read, and after the last mappings were.
    retries: (i64, i64),
    /// What left its home while the page was read.
    moved: HashSet<InstanceUuid>,
    seen: HashSet<InstanceUuid>,
}

impl Router {
    /// A page of the instances that `ctx` may see. One who is not an admin sees their own
    /// project's, whatever the query says.
    ///
    /// # Errors
    /// [`ReadError::MarkerNotFound`], [`ReadError::CellUnavailable`] where the marker is in a cell
    /// that does not answer, [`ReadError::Moving`] where an instance that was retried meanwhile moves
    /// at every look, or the API database's. Another cell that does not answer is no error:
    /// the page names it.
    pub async fn list(&self, ctx: &RequestContext, query: &ListQuery) -> Result<Page, ReadError> {
        let deadline = Deadline::after(ctx.timeout);
        let mut walk = self.begin(ctx, query, deadline).await?;
        let limit = walk.query.limit as usize;
        let mut listed: Vec<Candidate> = Vec::new();
        let mut complete = limit == 0;
        while !complete && listed.len() < limit {
            let round = self.round(&mut walk, limit - listed.len()).await?;
            complete = round.is_last;
            listed.extend(round.visible);
        }
        let mut next = if complete { None } else { listed.last().map(|last| last.uuid) };
        let instances = self.read_whole(&mut walk, &listed).await;
        let mut instances = self.with_moved(ctx, &mut walk, instances, complete).await?;
        if instances.len() > limit {
            instances.truncate(limit);
            next = instances.last().map(|last| last.uuid);
        }
        let down_cells = walk.down.into_iter().collect();
        Ok(Page { instances, down_cells, next })
    }

    /// The page with each instance that moved while it was read as it is now.
    async fn with_moved(
        &self,
        ctx: &RequestContext,
        walk: &mut Walk,
        mut instances: Vec<Instance>,
        complete: bool,
    ) -> Result<Vec<Instance>, ReadError> {
        let before = walk.retries.0;
        if walk.retries.1 != before {
            let since = move |conn: &mut _| retry::since(conn, before);
            walk.moved.extend(self.api.run("find_retried", walk.deadline, since).await?);
        }
        if walk.moved.is_empty() {
            return Ok(instances);
        }
        for uuid in std::mem::take(&mut walk.moved) {
            instances.retain(|instance| instance.uuid != uuid);
            match self.show(ctx, uuid).await {
                Ok(instance) if walk.holds(&instance, complete) => instances.push(instance),
                Ok(_) | Err(ReadError::InstanceNotFound { .. }) => {}
                Err(ReadError::CellUnavailable { cell, source, .. }) => {
                    walk.down.insert(cell, source);
                }
                Err(error) => return Err(error),
            }
        }
        let order = &walk.order;
        instances.sort_by(|a, b| compare(order, &a.sort_values(order), &b.sort_values(order)));
        Ok(instances)
    }

    async fn begin(
        &self,
        ctx: &RequestContext,
        query: &ListQuery,
        deadline: Deadline,
    ) -> Result<Walk, ReadError> {
        let mut query = query.clone();
        query.limit = query.limit.min(ListQuery::LIMIT_MAX);
        if !ctx.is_admin {
            query.filters.project_id = Some(ctx.project_id.clone());
            query.filters.deleted = false;
        } else if !query.all_projects && query.filters.project_id.is_none() {
            query.filters.project_id = Some(ctx.project_id.clone());
        }
        let project = query.filters.project_id.clone();
        let foreign = self.is_foreign();
        let (retries, building, mappings) = self
            .api
            .run("list_build_requests", deadline, move |conn| {
                // Before everything else: what moves from now on is found at the end.
                let retries = if foreign { 0 } else { retry::counter(conn)? };
                let building = build_request::all(conn, project.as_deref())?;
                // After the build requests, so that the cell of one decided since is among them.
                Ok::<_, DatabaseError>((retries, building, cell_mapping::all(conn)?))
            })
            .await?;
        let order = query.total_order();
        let after = match query.marker {
            None => None,
            Some(marker) => Some(self.marker_values(ctx, marker, &building, &order).await?),
        };
        let (cells, down) = self.cells.adopt_all(&mappings);
        let building = building
            .into_iter()
            .filter(|instance| query.filters.matches(instance))
            .map(|instance| (instance.uuid, instance))
            .collect();
        Ok(Walk {
            query,
            order,
            deadline,
            building,
            cells,
            down: down.into_iter().collect(),
            start: after.clone(),
            after,
            retries: (retries, retries),
            moved: HashSet::new(),
            seen: HashSet::new(),
        })
    }

    /// Where the page begins: the marker's place in the order, from wherever it lives now. A
    /// deleted instance is still a place.
    async fn marker_values(
        &self,
        ctx: &RequestContext,
        marker: InstanceUuid,
        building: &[Instance],
        order: &[(SortKey, SortDirection)],
    ) -> Result<SortValues, ReadError> {
        if let Some(instance) = building.iter().find(|instance| instance.uuid == marker) {
            return Ok(instance.sort_values(order));
        }
        let not_found = ReadError::MarkerNotFound { marker };
        let mapping = match self.mapping(ctx, marker).await {
            Ok(mapping) => mapping,
            Err(ReadError::InstanceNotFound { .. }) => return Err(not_found),
            Err(error) => return Err(error),
        };
        let Some(cell) = mapping.cell else { return Err(not_found) };
        let deadline = Deadline::after(ctx.timeout);
        let read = move |conn: &mut _| {
            cellzero_cell_db::instance::find(conn, cell, &[marker], WithDeleted::Yes)
        };
        let found = self.ask(marker, cell, "find_marker", deadline, read).await?;
        found.first().map(|instance| instance.sort_values(order)).ok_or(not_found)
    }

    async fn round(&self, walk: &mut Walk, wanted: usize) -> Result<Round, ReadError> {
        let mut candidates = self.candidates(walk, wanted).await;
        candidates.sort_by(|a, b| compare(&walk.order, &a.values, &b.values));
        let end = end_of_places(&walk.order, &candidates, wanted);
        let is_last = end == candidates.len();
        candidates.truncate(end);
        walk.after = candidates.last().map(|last| last.values.clone()).or(walk.after.take());
        let visible = self.visible(walk, candidates).await?;
        Ok(Round { visible, is_last })
    }

    /// Up to one row more than `wanted` of each cell, so that a full page knows whether it is the
    /// last.
    async fn candidates(&self, walk: &mut Walk, wanted: usize) -> Vec<Candidate> {
        let beyond = |values: &SortValues| {
            walk.after.as_ref().is_none_or(|after| compare(&walk.order, after, values).is_lt())
        };
        let mut candidates: Vec<Candidate> = walk
            .building
            .values()
            .map(|instance| Candidate {
                uuid: instance.uuid,
                home: Home::BuildRequest,
                values: instance.sort_values(&walk.order),
            })
            .filter(|candidate| beyond(&candidate.values))
            .collect();
        let query = CellListQuery {
            filters: walk.query.filters.clone(),
            order: walk.order.clone(),
            after: walk.after.clone(),
            limit: u32::try_from(wanted + 1).unwrap_or(u32::MAX),
            foreign: self.is_foreign(),
        };
        let up: Vec<Arc<CellHandle>> = walk
            .cells
            .iter()
            .filter(|cell| !walk.down.contains_key(&cell.uuid()))
            .cloned()
            .collect();
        let deadline = cell_deadline(walk.deadline);
        let gathered = scatter_gather(&up, "list_instances", deadline, move |conn, _| {
            listing::page(conn, &query)
        })
        .await;
        let (answers, down) = gathered.split();
        walk.down.extend(down);
        for (cell, rows) in answers {
            candidates.extend(rows.into_iter().map(|row| Candidate {
                uuid: row.uuid,
                home: Home::Cell(cell),
                values: row.values,
            }));
        }
        candidates
    }

    /// Those that the instance mappings confirm, each once.
    async fn visible(
        &self,
        walk: &mut Walk,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<Candidate>, ReadError> {
        let uuids: Vec<InstanceUuid> = candidates
            .iter()
            .map(|candidate| candidate.uuid)
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        let foreign = self.is_foreign();
        let (mappings, retries) = self
            .api
            .run("confirm_mappings", walk.deadline, move |conn| {
                let mappings = instance_mapping::of_instances(conn, &uuids)?;
                let retries = if foreign { 0 } else { retry::counter(conn)? };
                Ok::<_, DatabaseError>((mappings, retries))
            })
            .await?;
        walk.retries.1 = retries;
        let with_deleted = walk.query.filters.deleted || walk.query.filters.changes_since.is_some();
        let in_cells: HashSet<InstanceUuid> = candidates
            .iter()
            .filter(|candidate| candidate.home != Home::BuildRequest)
            .filter(|c| mappings.get(&c.uuid).is_some_and(|m| Home::from_cell(m.cell) == c.home))
            .map(|candidate| candidate.uuid)
            .collect();
        let confirmed = candidates.into_iter().filter(|candidate| {
            let Some(mapping) = mappings.get(&candidate.uuid) else { return false };
            let gone = mapping.queued_for_delete && !with_deleted && !foreign;
            match candidate.home {
                _ if gone => false,
                // Decided since its build request was read: the row of the cell stands for it.
                Home::BuildRequest => !in_cells.contains(&candidate.uuid),
                Home::Cell(cell) => mapping.cell == Some(cell),
            }
        });
        Ok(confirmed.filter(|candidate| walk.seen.insert(candidate.uuid)).collect())
    }

    /// The listed instances, whole. One that is gone from its cell by now has moved; a cell that
    /// fails now is a down cell.
    async fn read_whole(&self, walk: &mut Walk, listed: &[Candidate]) -> Vec<Instance> {
        let mut by_cell: BTreeMap<CellUuid, Vec<InstanceUuid>> = BTreeMap::new();
        for candidate in listed {
            if let Home::Cell(cell) = candidate.home {
                by_cell.entry(cell).or_default().push(candidate.uuid);
            }
        }
        let deadline = cell_deadline(walk.deadline);
        let asked = walk.cells.iter().filter_map(|handle| {
            let uuids = by_cell.remove(&handle.uuid())?;
            Some(read_of_cell(Arc::clone(handle), uuids, deadline))
        });
        let mut found: HashMap<InstanceUuid, Instance> = HashMap::new();
        for (cell, asked, answer) in join_all(asked).await {
            match answer {
                Ok(instances) => {
                    walk.moved.extend(asked);
                    for instance in instances {
                        walk.moved.remove(&instance.uuid);
                        found.insert(instance.uuid, instance);
                    }
                }
                Err(source) => {
                    walk.down.insert(cell, CellError::Database { cell, source });
                }
            }
        }
        listed
            .iter()
            .filter_map(|candidate| match candidate.home {
                Home::BuildRequest => walk.building.remove(&candidate.uuid),
                Home::Cell(_) => found.remove(&candidate.uuid),
            })
            .collect()
    }
}

impl Walk {
    /// Whether an instance belongs on the page: by its filters, after its marker, and not after the
    /// last place that was looked at, unless that is the end.
    fn holds(&self, instance: &Instance, complete: bool) -> bool {
        let values = instance.sort_values(&self.order);
        let after_start =
            self.start.as_ref().is_none_or(|start| compare(&self.order, start, &values).is_lt());
        let before_end = complete
            || self.after.as_ref().is_none_or(|end| compare(&self.order, &values, end).is_le());
        after_start && before_end && self.query.filters.matches(instance)
    }
}

/// Where the first `wanted` places of sorted candidates end. A left-over row may share its place with
/// the row that the mapping names; a page must not end between the two, since the next round begins
/// after the place.
fn end_of_places(
    order: &[(SortKey, SortDirection)],
    candidates: &[Candidate],
    wanted: usize,
) -> usize {
    let is_same = |a: &Candidate, b: &Candidate| compare(order, &a.values, &b.values).is_eq();
    candidates.chunk_by(is_same).take(wanted).map(<[Candidate]>::len).sum()
}

/// When a cell must have answered, so that the rest of the list still has its time where it does
/// not: after three fifths of what is left.
fn cell_deadline(list: Deadline) -> Deadline {
    list.earlier(Deadline::after(list.remaining() * 3 / 5))
}

struct Round {
    visible: Vec<Candidate>,
    is_last: bool,
}

async fn read_of_cell(
    handle: Arc<CellHandle>,
    uuids: Vec<InstanceUuid>,
    deadline: Deadline,
) -> (CellUuid, Vec<InstanceUuid>, Result<Vec<Instance>, DatabaseError>) {
    let cell = handle.uuid();
    let asked = uuids.clone();
    let read = handle
        .run("read_listed", deadline, move |conn| {
            let mut all = Vec::with_capacity(uuids.len());
            for chunk in uuids.chunks(IN_LIST_MAX) {
                all.extend(whole::read(conn, cell, chunk, WithDeleted::Yes)?);
            }
            Ok::<_, DatabaseError>(all)
        })
        .await;
    (cell, asked, read)
}
