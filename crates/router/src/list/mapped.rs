//! A page in an order that was fixed when the instances were accepted: the instance mappings are the
//! list, and the cells are asked for the instances on it.
//!
//! It is a show of each instance that the mappings name, all at once: what has left its place by
//! the time that it is looked for is shown by itself. Since no key changes, pages put together hold
//! each instance exactly once, whatever boots, is buried, retried or deleted between them.

use std::collections::{BTreeMap, HashMap};

use cellzero_api_db::instance_mapping::{self, Mapped, MappedQuery};
use cellzero_api_db::{CellMapping, build_request, cell_mapping};
use cellzero_database::DatabaseError;
use cellzero_types::list_order::compare;
use cellzero_types::{
    CellUuid, Home, Instance, InstanceUuid, ListFilters, RequestContext, SortDirection, SortKey,
    SortOrder, SortValue, SortValues,
};
use chrono::NaiveDateTime;

use super::{Found, Walk};
use crate::{ReadError, Router};

/// Whether an order was fixed when the instances were accepted, as the mappings keep it.
pub(super) fn is_fixed(order: &SortOrder) -> bool {
    matches!(order.as_slice(), [(SortKey::CreatedAt, _), (SortKey::Uuid, _)])
}

/// Whether the mappings alone can say what is on a page. Nova's have another time than their
/// instances.
pub(super) fn can_give(walk: &Walk) -> bool {
    let filters = ListFilters { uuids: None, project_id: None, ..walk.query.filters.clone() };
    !walk.foreign && is_fixed(&walk.order) && filters == ListFilters::default()
}

/// What the API database says of the next instances.
struct Part {
    rows: Vec<Mapped>,
    building: HashMap<InstanceUuid, Instance>,
    mappings: Vec<CellMapping>,
}

/// Where the next part begins.
enum Place {
    Start,
    After(NaiveDateTime, String),
    End,
}

impl Router {
    pub(super) async fn list_mapped(
        &self,
        ctx: &RequestContext,
        walk: &mut Walk,
    ) -> Result<Found, ReadError> {
        let mut found = Found { instances: Vec::new(), next: None };
        let mut place = place_of(walk);
        loop {
            let wanted = walk.limit() - found.instances.len();
            let mut part = self.read_mapped(walk, &place, wanted + 1).await?;
            let mut is_last = part.rows.len() <= wanted;
            part.rows.truncate(wanted);
            if let Some(until) = &walk.until {
                let beyond = |row: &Mapped| compare(&walk.order, &values_of(row), until).is_gt();
                let end = part.rows.iter().position(beyond);
                is_last |= end.is_some();
                part.rows.truncate(end.unwrap_or(part.rows.len()));
            }
            let last = part.rows.last().map(|row| (row.created_at, row.uuid.text()));
            let next = part.rows.last().map(values_of);
            found.instances.extend(self.instances_of(ctx, walk, part).await?);
            match last {
                Some((time, uuid)) if !is_last => place = Place::After(time, uuid),
                _ => return Ok(found),
            }
            if found.instances.len() >= walk.limit() {
                found.next = next;
                return Ok(found);
            }
        }
    }

    async fn read_mapped(
        &self,
        walk: &Walk,
        place: &Place,
        limit: usize,
    ) -> Result<Part, ReadError> {
        let direction = |index: usize| {
            walk.order.get(index).map_or(SortDirection::Descending, |(_, direction)| *direction)
        };
        let mut query = MappedQuery {
            project_id: walk.query.filters.project_id.clone(),
            uuids: walk.query.filters.uuids.clone(),
            cell_ids: None,
            directions: (direction(0), direction(1)),
            after: match place {
                Place::After(time, uuid) => Some((*time, uuid.clone())),
                Place::Start | Place::End => None,
            },
            limit: if matches!(place, Place::End) { 0 } else { limit },
        };
        let wanted = walk.query.cells.clone();
        let read = self
            .api
            .run("list_mapped", walk.deadline, move |conn| {
                if let Some(wanted) = wanted {
                    let cells = cell_mapping::all(conn)?;
                    let cells = cells.iter().filter(|cell| wanted.contains(&cell.uuid));
                    query.cell_ids = Some(cells.map(|cell| cell.id).collect());
                }
                let rows = instance_mapping::page(conn, &query)?;
                let building: Vec<InstanceUuid> =
                    rows.iter().filter(|row| row.cell_id.is_none()).map(|row| row.uuid).collect();
                let building = match building.is_empty() {
                    true => Vec::new(),
                    false => build_request::of_instances(conn, &building)?,
                };
                let building = building.into_iter().map(|one| (one.uuid, one)).collect();
                // After the rows, so that every cell that they name is among them.
                let mappings = cell_mapping::all(conn)?;
                Ok::<_, DatabaseError>(Part { rows, building, mappings })
            })
            .await?;
        Ok(read)
    }

    /// The instances of a part, in its order, as they stand now.
    async fn instances_of(
        &self,
        ctx: &RequestContext,
        walk: &mut Walk,
        part: Part,
    ) -> Result<Vec<Instance>, ReadError> {
        let (cells, unusable) = self.cells.adopt_all(&part.mappings);
        walk.begin_reports(&part.mappings);
        let uuids: HashMap<i32, CellUuid> =
            part.mappings.iter().map(|mapping| (mapping.id, mapping.uuid)).collect();
        let mut wanted: BTreeMap<CellUuid, Vec<InstanceUuid>> = BTreeMap::new();
        for row in &part.rows {
            if let Some(cell) = row.cell_id.and_then(|id| uuids.get(&id)) {
                wanted.entry(*cell).or_default().push(row.uuid);
            }
        }
        for (cell, error) in unusable {
            if wanted.contains_key(&cell) {
                walk.certificate.down(cell, error);
            }
        }
        let mut details = self.read_details(walk, &cells, wanted).await;
        details.found.extend(part.building);
        // Decided, or deleted, since the mappings were read.
        let has_left =
            |row: &&Mapped| row.cell_id.is_none() && !details.found.contains_key(&row.uuid);
        let moved: Vec<InstanceUuid> =
            part.rows.iter().filter(has_left).map(|row| row.uuid).collect();
        details.moved.extend(moved);
        let by_mapping = |uuid: InstanceUuid| {
            let row = part.rows.iter().find(|row| row.uuid == uuid)?;
            Some(by_mapping(row, *uuids.get(&row.cell_id?)?))
        };
        self.resolve(ctx, walk, &mut details, &by_mapping).await?;
        let instances = part.rows.iter().filter_map(|row| details.found.remove(&row.uuid));
        Ok(instances.filter(|instance| walk.query.filters.matches(instance)).collect())
    }
}

/// What the mapping alone knows of an instance.
fn by_mapping(row: &Mapped, cell: CellUuid) -> Instance {
    Instance {
        home: Home::Cell(cell),
        created_at: Some(row.created_at),
        known_at: Some(row.written_at),
        ..Instance::new(row.uuid, row.project_id.clone(), row.user_id.clone().unwrap_or_default())
    }
}

fn values_of(row: &Mapped) -> SortValues {
    vec![Some(SortValue::Time(row.created_at)), Some(SortValue::Text(row.uuid.text()))]
}

/// Every mapping has its time, so NULL is a place before or behind them all.
fn place_of(walk: &Walk) -> Place {
    match (walk.start.as_deref(), walk.order.first()) {
        (Some([Some(SortValue::Time(time)), Some(SortValue::Text(uuid))]), _) => {
            Place::After(*time, uuid.clone())
        }
        (Some(_), Some((_, SortDirection::Descending))) => Place::End,
        _ => Place::Start,
    }
}
