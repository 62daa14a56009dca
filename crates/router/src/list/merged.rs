//! A page merged of all cells, for orders and filters that only they can judge.
//!
//! Build requests are read first and cells after them, so an instance that is decided in between
//! is seen at least once; a row of a cell counts only where the instance mapping names that cell,
//! so it is never seen twice and an undecided or left-over row never.
//!
//! Cells are asked for their first batches all at once, each for its even share of the page and a
//! little more, and for further ones only where the merge runs out of their rows.
//!
//! A retry moves an instance against that order, from cell0 back to a build request. So the counter
//! of retries is read before everything else and again with the mappings; what moved in between,
//! and what left its cell after that, is looked at by itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cellzero_api_db::outline::{self, OutlineScan};
use cellzero_api_db::{CellMapping, build_request, cell_mapping, instance_mapping, retry};
use cellzero_database::DatabaseError;
use cellzero_types::list_order::compare;
use cellzero_types::{CellUuid, Home, Instance, InstanceUuid, RequestContext, SortValues};
use futures_util::future::join_all;

use super::details::Details;
use super::source::{self, Candidate, CellSource, First, KnownSource, Sources};
use super::{Found, Walk};
use crate::cells::{CellError, CellHandle};
use crate::{ReadError, Router};

/// The state of a merge.
#[derive(Default)]
struct Merge {
    sources: Sources,
    handles: Vec<Arc<CellHandle>>,
    /// The cells by their uuid, with their row ids.
    ids: HashMap<CellUuid, i32>,
    /// What the API database gave, by uuid, until it is listed.
    given: HashMap<InstanceUuid, Instance>,
    /// How many retries there had been before anything was read, and after the last mappings were.
    retries: Option<(i64, i64)>,
    /// The last place that was looked at.
    after: Option<SortValues>,
    /// What left its home while the page was read.
    moved: HashSet<InstanceUuid>,
    seen: HashSet<InstanceUuid>,
    /// Cells whose instances the API database has given already.
    outlined: HashSet<CellUuid>,
}

/// How a look at the next places ended.
struct Places {
    candidates: Vec<Candidate>,
    /// Why there are no more.
    end: End,
}

enum End {
    /// As many as were wanted; more may come.
    Enough,
    /// The API database must be read again first.
    Scan,
    /// Nothing comes any more.
    Last,
}

impl Router {
    pub(super) async fn list_merged(
        &self,
        ctx: &RequestContext,
        walk: &mut Walk,
    ) -> Result<Found, ReadError> {
        let mut merge = Merge { after: walk.start.clone(), ..Merge::default() };
        let mut listed: Vec<(SortValues, Instance)> = Vec::new();
        self.begin_round(walk, &mut merge).await?;
        let complete = loop {
            let wanted = walk.limit() - listed.len();
            let places = self.next_places(walk, &mut merge, wanted).await?;
            let visible = self.visible(walk, &mut merge, places.candidates).await?;
            listed.extend(self.listed(walk, &mut merge, visible).await?);
            match places.end {
                End::Last => break true,
                _ if listed.len() >= walk.limit() => {
                    break !self.has_more(walk, &mut merge).await?;
                }
                End::Scan => self.begin_round(walk, &mut merge).await?,
                End::Enough => {}
            }
        };
        self.finish(ctx, walk, merge, listed, complete).await
    }

    /// Reads what the API database has after the last place, then the first batch of every cell.
    async fn begin_round(&self, walk: &mut Walk, merge: &mut Merge) -> Result<(), ReadError> {
        let (foreign, limit) = (walk.foreign, walk.limit() + 1);
        let (order, after) = (walk.order.clone(), merge.after.clone());
        let filters = walk.query.filters.clone();
        let of_cells_alone = walk.query.cells.is_some();
        let (retries, building, mappings, holding) = self
            .api
            .run("list_build_requests", walk.deadline, move |conn| {
                // Before everything else: what moves from now on is found at the end.
                let retries = if foreign { 0 } else { retry::counter(conn)? };
                let mut building = KnownSource::new(order, after, limit);
                if !of_cells_alone {
                    build_request::scan(conn, filters.project_id.as_deref(), |instance| {
                        if filters.matches(&instance) {
                            building.offer(instance);
                        }
                    })?;
                }
                // After the build requests, so that the cell of one decided since is among them.
                let mappings = cell_mapping::all(conn)?;
                let holding = match &filters.project_id {
                    Some(project) => Some(instance_mapping::cells_of_project(conn, project)?),
                    None => None,
                };
                Ok::<_, DatabaseError>((retries, building.finish(), mappings, holding))
            })
            .await?;
        merge.retries.get_or_insert((retries, retries));
        merge.sources = Sources { cells: Vec::new(), known: vec![building] };
        merge.outlined.clear();
        merge.ids = mappings.iter().map(|mapping| (mapping.uuid, mapping.id)).collect();
        let may_hold = |mapping: &CellMapping| {
            holding.as_ref().is_none_or(|holding| holding.contains(&mapping.id))
        };
        walk.begin_reports(&mappings);
        let asked = mappings.iter().filter(|mapping| walk.wants(mapping) && may_hold(mapping));
        let asked: HashSet<CellUuid> = asked.map(|mapping| mapping.uuid).collect();
        let (handles, unusable) = self.cells.adopt_all(&mappings);
        for (cell, error) in unusable {
            if asked.contains(&cell) {
                walk.certificate.down(cell, error);
            }
        }
        merge.handles = handles;
        let down: HashSet<CellUuid> = walk.certificate.down_cells().into_iter().collect();
        let up: Vec<&Arc<CellHandle>> = merge
            .handles
            .iter()
            .filter(|cell| asked.contains(&cell.uuid()) && !down.contains(&cell.uuid()))
            .collect();
        let share = (walk.limit(), up.len());
        let source =
            |cell: &&Arc<CellHandle>| CellSource::new(Arc::clone(cell), merge.after.clone(), share);
        merge.sources.cells = up.iter().map(source).collect();
        self.read_due(walk, merge, walk.limit()).await?;
        self.outline_down(walk, merge).await
    }

    /// The next places, `wanted` of them. A left-over row may share its place with the row that the
    /// mapping names, so a look does not end between the two.
    async fn next_places(
        &self,
        walk: &mut Walk,
        merge: &mut Merge,
        wanted: usize,
    ) -> Result<Places, ReadError> {
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut places = 0;
        loop {
            let first = self.first(walk, merge, wanted.saturating_sub(places)).await?;
            let end = match first {
                First::End => Some(End::Last),
                First::Scan => Some(End::Scan),
                _ => None,
            };
            if let Some(end) = end {
                return Ok(Places { candidates, end });
            }
            let values = merge.sources.values(first);
            let is_same = candidates.last().is_some_and(|last| Some(&last.values) == values);
            if !is_same && places == wanted {
                return Ok(Places { candidates, end: End::Enough });
            }
            places += usize::from(!is_same);
            if let Some((candidate, instance)) = merge.sources.take(first) {
                merge.after = Some(candidate.values.clone());
                merge.given.extend(instance.map(|instance| (candidate.uuid, instance)));
                candidates.push(candidate);
            }
        }
    }

    /// Where the next place comes from, once all cells are read that might give it.
    async fn first(
        &self,
        walk: &mut Walk,
        merge: &mut Merge,
        lacking: usize,
    ) -> Result<First, ReadError> {
        loop {
            let first = merge.sources.first(&walk.order);
            match (first, merge.sources.values(first)) {
                (First::Read, _) => {
                    self.read_due(walk, merge, lacking).await?;
                    self.outline_down(walk, merge).await?;
                }
                (_, Some(values)) if walk.is_behind_until(values) => return Ok(First::End),
                _ => return Ok(first),
            }
        }
    }

    /// Asks every cell whose rows have run out for its next batch, all at once.
    async fn read_due(
        &self,
        walk: &mut Walk,
        merge: &mut Merge,
        lacking: usize,
    ) -> Result<(), ReadError> {
        let deadline = self.cell_deadline(walk.deadline);
        let (filters, order, foreign) = (&walk.query.filters, &walk.order, walk.foreign);
        let due = merge.sources.cells.iter_mut().enumerate();
        let asked = due.filter_map(|(index, cell)| {
            let query = cell.due_batch(filters, order, foreign, lacking)?;
            let handle = Arc::clone(&cell.handle);
            Some(async move { (index, source::read_batch(handle, query, deadline).await) })
        });
        let answers = join_all(asked.collect::<Vec<_>>()).await;
        for (index, answer) in answers {
            let source = &mut merge.sources.cells[index];
            let cell = source.handle.uuid();
            match answer {
                Ok(page) => {
                    walk.certificate.answered(cell, page.as_of, page.rows_read);
                    source.fill(page.rows, page.is_last);
                }
                Err(source) => {
                    walk.certificate.down(cell, CellError::Database { cell, source });
                }
            }
        }
        let certificate = &walk.certificate;
        // What it gave before it fell silent is listed by its outline too.
        merge.sources.cells.retain(|cell| !certificate.is_down(cell.handle.uuid()));
        Ok(())
    }

    /// What the API database knows of the instances in cells that do not answer, as one more source;
    /// or how many are left out where a filter asks for more.
    async fn outline_down(&self, walk: &mut Walk, merge: &mut Merge) -> Result<(), ReadError> {
        let down = walk.certificate.down_cells();
        let new: Vec<CellUuid> =
            down.into_iter().filter(|cell| merge.outlined.insert(*cell)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let cells: Vec<(CellUuid, i32)> =
            new.iter().filter_map(|cell| Some((*cell, *merge.ids.get(cell)?))).collect();
        let filters = walk.query.filters.clone();
        let whose = walk.whose();
        if !walk.lists_outlines() {
            let counted = self.api.run("count_left_out", walk.deadline, move |conn| {
                let project = filters.project_id.as_deref();
                let count = |(cell, id)| {
                    let count = instance_mapping::count_in_cell(conn, id, project)?;
                    Ok((cell, u64::try_from(count).unwrap_or(0)))
                };
                cells.into_iter().map(count).collect::<Result<Vec<_>, DatabaseError>>()
            });
            for (cell, count) in counted.await? {
                walk.certificate.left_out(cell, count);
            }
            return Ok(());
        }
        let scan = OutlineScan {
            cell_ids: cells.into_iter().map(|(_, id)| id).collect(),
            project_id: filters.project_id.clone(),
            whose,
        };
        let mut source =
            KnownSource::new(walk.order.clone(), merge.after.clone(), walk.limit() + 1);
        let rows = self
            .api
            .run("scan_outlines", walk.deadline, move |conn| {
                outline::scan(conn, &scan, |instance| {
                    if filters.matches(&instance) {
                        source.offer(instance);
                    }
                })?;
                Ok::<_, DatabaseError>(source.finish())
            })
            .await?;
        merge.sources.known.push(rows);
        Ok(())
    }

    /// Those that the instance mappings confirm, each once. Also where there are none the counter of
    /// retries is read: what was not seen may have moved meanwhile.
    async fn visible(
        &self,
        walk: &mut Walk,
        merge: &mut Merge,
        candidates: Vec<Candidate>,
    ) -> Result<Vec<Candidate>, ReadError> {
        let unique: HashSet<InstanceUuid> =
            candidates.iter().map(|candidate| candidate.uuid).collect();
        let uuids: Vec<InstanceUuid> = unique.into_iter().collect();
        let foreign = walk.foreign;
        let (mappings, retries) = self
            .api
            .run("confirm_mappings", walk.deadline, move |conn| {
                let mappings = instance_mapping::of_instances(conn, &uuids)?;
                let retries = if foreign { 0 } else { retry::counter(conn)? };
                Ok::<_, DatabaseError>((mappings, retries))
            })
            .await?;
        if let Some((_, last)) = &mut merge.retries {
            *last = retries;
        }
        let with_deleted = walk.query.filters.lists_deleted();
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
        Ok(confirmed.filter(|candidate| merge.seen.insert(candidate.uuid)).collect())
    }

    /// The instances of confirmed candidates, whole. One that is gone from its cell by now has
    /// moved; one whose cell fails now is listed by its outline, unless a filter asks for more.
    async fn listed(
        &self,
        walk: &mut Walk,
        merge: &mut Merge,
        visible: Vec<Candidate>,
    ) -> Result<Vec<(SortValues, Instance)>, ReadError> {
        let mut wanted: BTreeMap<CellUuid, Vec<InstanceUuid>> = BTreeMap::new();
        let mut unknown: Vec<InstanceUuid> = Vec::new();
        for candidate in &visible {
            match candidate.home {
                Home::Cell(cell) if walk.certificate.is_down(cell) => unknown.push(candidate.uuid),
                Home::Cell(cell) => wanted.entry(cell).or_default().push(candidate.uuid),
                Home::BuildRequest => {}
            }
        }
        let mut details = self.read_details(walk, &merge.handles, wanted).await;
        merge.moved.extend(details.moved);
        unknown.extend(details.unknown);
        if !unknown.is_empty() && walk.lists_outlines() {
            let outlines = self.outlines_of(unknown.clone(), walk.deadline).await?;
            // Without a cell, it has left the silent one meanwhile.
            merge.moved.extend(unknown.into_iter().filter(|uuid| !outlines.contains_key(uuid)));
            details.found.extend(outlines);
        }
        let whole = visible.into_iter().filter_map(|candidate| {
            let instance = match candidate.home {
                Home::BuildRequest => merge.given.remove(&candidate.uuid)?,
                Home::Cell(_) => details.found.remove(&candidate.uuid)?,
            };
            Some((candidate.values, instance))
        });
        Ok(whole.collect())
    }

    /// Whether anything comes after the last place.
    async fn has_more(&self, walk: &mut Walk, merge: &mut Merge) -> Result<bool, ReadError> {
        if !matches!(self.first(walk, merge, 1).await?, First::End) {
            return Ok(true);
        }
        self.visible(walk, merge, Vec::new()).await?;
        Ok(false)
    }

    /// The page with each instance that moved while it was read as it is now.
    async fn finish(
        &self,
        ctx: &RequestContext,
        walk: &mut Walk,
        mut merge: Merge,
        mut listed: Vec<(SortValues, Instance)>,
        complete: bool,
    ) -> Result<Found, ReadError> {
        let end = listed.last().map(|(values, _)| values.clone());
        let before = merge.retries.map_or(0, |(before, _)| before);
        if merge.retries.is_some_and(|(before, after)| before != after) {
            let since = move |conn: &mut _| retry::since(conn, before);
            merge.moved.extend(self.api.run("find_retried", walk.deadline, since).await?);
        }
        let moved = std::mem::take(&mut merge.moved);
        listed.retain(|(_, instance)| !moved.contains(&instance.uuid));
        let mut now = Details { moved: moved.into_iter().collect(), ..Details::default() };
        self.resolve(ctx, walk, &mut now, &|_| None).await?;
        let outlines = walk.lists_outlines();
        let now = now.found.into_values().filter(|one| outlines || one.known_at.is_none());
        for instance in now {
            let values = instance.sort_values(&walk.order);
            if walk.holds(&values, end.as_ref().filter(|_| !complete))
                && walk.query.filters.matches(&instance)
            {
                listed.push((values, instance));
            }
        }
        if !outlines {
            // Of cells that fell silent after their last batch.
            self.outline_down(walk, &mut merge).await?;
        }
        listed.sort_by(|(a, _), (b, _)| compare(&walk.order, a, b));
        let cut = listed.len() > walk.limit();
        listed.truncate(walk.limit());
        let next = match complete && !cut {
            true => None,
            // Where the last has moved away, its place is still the end of what was looked at.
            false if cut => listed.last().map(|(values, _)| values.clone()),
            false => end,
        };
        let instances = listed.into_iter().map(|(_, instance)| instance).collect();
        Ok(Found { instances, next })
    }
}

impl Walk {
    /// Whether an instance of a cell that does not answer may be listed by what is known of it.
    fn lists_outlines(&self) -> bool {
        self.query.filters.ask_for_outline_alone(!self.foreign)
    }

    /// Whether a place is behind the last one that is wanted.
    fn is_behind_until(&self, values: &SortValues) -> bool {
        self.until.as_ref().is_some_and(|until| compare(&self.order, values, until).is_gt())
    }

    /// Whether a place belongs on the page: after its start, and not after `end`, where it has one.
    fn holds(&self, values: &SortValues, end: Option<&SortValues>) -> bool {
        let beyond = |place: &SortValues| compare(&self.order, values, place).is_gt();
        self.start.as_ref().is_none_or(beyond)
            && !self.is_behind_until(values)
            && !end.is_some_and(beyond)
    }
}
