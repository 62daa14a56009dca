//! Where the rows of a merged list come from: cells, in batches that adapt, and what the API
//! database has of build requests and of cells that do not answer.

use std::collections::VecDeque;
use std::sync::Arc;

use cellzero_cell_db::listing::{self, CellListQuery, ListedRow};
use cellzero_database::{DatabaseError, Deadline};
use cellzero_types::list_order::compare;
use cellzero_types::{Home, Instance, InstanceUuid, ListFilters, SortOrder, SortValues};

use crate::cells::CellHandle;

/// How many rows a cell is asked for beyond its even share of a page, and the fewest of any batch.
const BATCH_SLACK: usize = 16;

/// A place in the merged list.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) uuid: InstanceUuid,
    pub(super) home: Home,
    pub(super) values: SortValues,
}

/// A cell, and the rows of it that were read and not taken.
pub(super) struct CellSource {
    pub(super) handle: Arc<CellHandle>,
    buffer: VecDeque<ListedRow>,
    after: Option<SortValues>,
    batch: usize,
    /// Nothing comes after what was read.
    exhausted: bool,
}

impl CellSource {
    /// A cell of `cells`, for a page that lacks `wanted` instances: if all hold alike, one batch of
    /// each is enough.
    pub(super) fn new(
        handle: Arc<CellHandle>,
        after: Option<SortValues>,
        (wanted, cells): (usize, usize),
    ) -> CellSource {
        let batch = (wanted.div_ceil(cells.max(1)) + BATCH_SLACK).min(wanted + 1);
        CellSource { handle, buffer: VecDeque::new(), after, batch, exhausted: false }
    }

    /// Whether it must be read before it is known what comes next.
    fn is_due(&self) -> bool {
        self.buffer.is_empty() && !self.exhausted
    }

    /// The question for its next batch, where one is due; the one after that is twice as large.
    pub(super) fn due_batch(
        &mut self,
        filters: &ListFilters,
        order: &SortOrder,
        foreign: bool,
        lacking: usize,
    ) -> Option<CellListQuery> {
        if !self.is_due() {
            return None;
        }
        let limit = self.batch.min((lacking + 1).max(BATCH_SLACK));
        self.batch *= 2;
        Some(CellListQuery {
            filters: filters.clone(),
            order: order.clone(),
            after: self.after.clone(),
            limit,
            foreign,
        })
    }

    /// Takes what was read; nothing comes after it where it `is_last`.
    pub(super) fn fill(&mut self, rows: Vec<ListedRow>, is_last: bool) {
        if let Some(last) = rows.last() {
            self.after = Some(last.values.clone());
        }
        self.exhausted = is_last;
        self.buffer.extend(rows);
    }
}

/// Asks a cell for a batch.
pub(super) async fn read_batch(
    handle: Arc<CellHandle>,
    query: CellListQuery,
    deadline: Deadline,
) -> Result<listing::CellPage, DatabaseError> {
    handle.ask("list_instances", deadline, move |conn| listing::page(conn, &query)).await
}

/// The first instances after a place that the API database has, of all that it was scanned for.
pub(super) struct KnownSource {
    order: SortOrder,
    after: Option<SortValues>,
    limit: usize,
    found: Vec<(SortValues, Instance)>,
    /// Something comes after what is kept.
    pub(super) is_cut: bool,
}

impl KnownSource {
    /// Keeps the first `limit`.
    pub(super) fn new(order: SortOrder, after: Option<SortValues>, limit: usize) -> KnownSource {
        KnownSource { order, after, limit, found: Vec::new(), is_cut: false }
    }

    /// Takes one of those that are scanned, in any order.
    pub(super) fn offer(&mut self, instance: Instance) {
        let values = instance.sort_values(&self.order);
        let beyond = |place: &SortValues| compare(&self.order, &values, place).is_gt();
        if self.after.as_ref().is_none_or(beyond) {
            self.found.push((values, instance));
        }
        if self.found.len() >= 2 * self.limit.max(BATCH_SLACK) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let order = &self.order;
        self.found.sort_by(|(a, _), (b, _)| compare(order, a, b));
        self.is_cut |= self.found.len() > self.limit;
        self.found.truncate(self.limit);
    }

    /// What was kept, in order.
    pub(super) fn finish(mut self) -> KnownRows {
        self.cut();
        KnownRows { rows: self.found.into(), is_cut: self.is_cut }
    }
}

/// The rows of a [`KnownSource`].
pub(super) struct KnownRows {
    pub(super) rows: VecDeque<(SortValues, Instance)>,
    /// Something comes after them.
    pub(super) is_cut: bool,
}

/// Where the next place of a merge comes from.
#[derive(Clone, Copy)]
pub(super) enum First {
    /// This cell.
    Cell(usize),
    /// These rows of the API database.
    Known(usize),
    /// Some cells must be read first.
    Read,
    /// The API database must be read again first.
    Scan,
    /// Nothing comes any more.
    End,
}

/// All sources of a merge.
#[derive(Default)]
pub(super) struct Sources {
    /// The cells that answer.
    pub(super) cells: Vec<CellSource>,
    /// What the API database has of build requests, then of cells that do not answer.
    pub(super) known: Vec<KnownRows>,
}

impl Sources {
    /// Where the next place comes from.
    pub(super) fn first(&self, order: &SortOrder) -> First {
        if self.known.iter().any(|known| known.rows.is_empty() && known.is_cut) {
            return First::Scan;
        }
        if self.cells.iter().any(CellSource::is_due) {
            return First::Read;
        }
        let cells =
            self.cells.iter().enumerate().filter_map(|(index, cell)| {
                Some((First::Cell(index), &cell.buffer.front()?.values))
            });
        let known = self
            .known
            .iter()
            .enumerate()
            .filter_map(|(index, known)| Some((First::Known(index), &known.rows.front()?.0)));
        let first = known.chain(cells).min_by(|(_, a), (_, b)| compare(order, a, b));
        first.map_or(First::End, |(first, _)| first)
    }

    /// The values of the next place.
    pub(super) fn values(&self, first: First) -> Option<&SortValues> {
        match first {
            First::Cell(index) => self.cells[index].buffer.front().map(|row| &row.values),
            First::Known(index) => self.known[index].rows.front().map(|(values, _)| values),
            First::Read | First::Scan | First::End => None,
        }
    }

    /// Takes it, with the instance where the API database has it.
    pub(super) fn take(&mut self, first: First) -> Option<(Candidate, Option<Instance>)> {
        match first {
            First::Cell(index) => {
                let cell = &mut self.cells[index];
                let home = Home::Cell(cell.handle.uuid());
                let row = cell.buffer.pop_front()?;
                Some((Candidate { uuid: row.uuid, home, values: row.values }, None))
            }
            First::Known(index) => {
                let (values, instance) = self.known[index].rows.pop_front()?;
                let candidate = Candidate { uuid: instance.uuid, home: instance.home, values };
                Some((candidate, Some(instance)))
            }
            First::Read | First::Scan | First::End => None,
        }
    }
}
