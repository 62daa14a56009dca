//! Counting instances by project, cell and state, without reading their rows.

use std::collections::{BTreeMap, HashMap};

use cellzero_api_db::{boot_intent, cell_mapping, instance_mapping};
use cellzero_cell_db::{IN_LIST_MAX, instance};
use cellzero_database::{DatabaseError, Deadline};
use cellzero_types::{CellUuid, InstanceUuid, RequestContext, VmState};

use crate::scatter::DownCells;
use crate::{ReadError, Router, scatter_gather};

/// How many instances of a project stand in a cell in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceCount {
    /// The project.
    pub project_id: String,
    /// The cell; none while they have no home.
    pub cell: Option<CellUuid>,
    /// The state; none where the cell does not answer, or where they moved while they were counted.
    pub vm_state: Option<VmState>,
    /// How many.
    pub count: u64,
}

/// Counts of instances, and the cells that did not answer.
#[derive(Debug)]
pub struct InstanceCounts {
    /// By project, cell and state. For each project and cell they sum to the instance mappings, also
    /// where the cell does not answer.
    pub counts: Vec<InstanceCount>,
    /// The cells that did not answer, with why: the states of their instances are not known.
    pub down_cells: DownCells,
}

impl InstanceCounts {
    /// How many instances there are in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.count).sum()
    }
}

/// The counts of one cell by project and state.
type ByState = BTreeMap<(String, Option<String>), i64>;

impl Router {
    /// Counts the instances that `ctx` may see, by project, cell and state: of their own project, and
    /// for an admin of every one. Three statements in the API database; one in each cell, and one
    /// more for each five hundred instances that are on their way through it. Two questions wait for
    /// one another.
    ///
    /// # Errors
    /// The API database's. A cell that does not answer is no error: its instances are counted
    /// without a state.
    pub async fn count(&self, ctx: &RequestContext) -> Result<InstanceCounts, ReadError> {
        let deadline = Deadline::after(ctx.timeout);
        let project = (!ctx.is_admin).then(|| ctx.project_id.clone());
        let (foreign, of_project) = (self.is_foreign(), project.clone());
        let (mapped, strays, mappings) = self
            .api
            .run("count_mappings", deadline, move |conn| {
                let mappings = cell_mapping::all(conn)?;
                let strays = match foreign {
                    true => HashMap::new(),
                    false => boot_intent::strays(conn)?,
                };
                let mapped = instance_mapping::count_by_cell(conn, of_project.as_deref())?;
                Ok::<_, DatabaseError>((mapped, strays, mappings))
            })
            .await?;
        let (handles, mut down_cells) = self.cells.adopt_all(&mappings);
        let holds = |cell: &CellUuid| {
            let id = mappings.iter().find(|mapping| mapping.uuid == *cell).map(|m| m.id);
            mapped.iter().any(|(_, mapped, _)| *mapped == id)
        };
        let asked: Vec<_> = handles.into_iter().filter(|cell| holds(&cell.uuid())).collect();
        down_cells.retain(|(cell, _)| holds(cell));
        let gathered = scatter_gather(
            &asked,
            "count_instances",
            self.cell_deadline(deadline),
            move |conn, cell| {
                let strays = strays.get(&cell.uuid()).map_or(&[][..], Vec::as_slice);
                count_at_home(conn, project.as_deref(), strays)
            },
        );
        let (answers, silent) = gathered.await.split();
        down_cells.extend(silent);
        let answers: HashMap<CellUuid, ByState> = answers.into_iter().collect();
        let mut counts = Vec::new();
        for (project_id, cell_id, total) in mapped {
            let cell = mappings.iter().find(|m| Some(m.id) == cell_id).map(|m| m.uuid);
            let of_cell = cell.and_then(|cell| answers.get(&cell));
            counts.extend(split(project_id, cell, total, of_cell));
        }
        Ok(InstanceCounts { counts, down_cells })
    }
}

/// What stands in a cell, less what is on its way through it.
fn count_at_home(
    conn: &mut cellzero_cell_db::CellConnection,
    project: Option<&str>,
    strays: &[InstanceUuid],
) -> Result<ByState, DatabaseError> {
    let mut counts = ByState::new();
    let mut add = |rows: Vec<(String, Option<VmState>, i64)>, sign: i64| {
        for (project, state, count) in rows {
            let state = state.map(|state| state.as_str().to_owned());
            *counts.entry((project, state)).or_default() += sign * count;
        }
    };
    add(instance::count_by_state(conn, project, None)?, 1);
    for chunk in strays.chunks(IN_LIST_MAX) {
        add(instance::count_by_state(conn, project, Some(chunk))?, -1);
    }
    Ok(counts)
}

/// The instances that the mappings count in a cell, by state as far as it is known.
fn split(
    project_id: String,
    cell: Option<CellUuid>,
    total: i64,
    of_cell: Option<&ByState>,
) -> Vec<InstanceCount> {
    let count = |vm_state: Option<VmState>, count: i64| InstanceCount {
        project_id: project_id.clone(),
        cell,
        vm_state,
        count: u64::try_from(count).unwrap_or(0),
    };
    let mut left = total;
    let mut counts = Vec::new();
    if cell.is_none() {
        counts.push(count(Some(VmState::Building), left));
        return counts;
    }
    let states = of_cell.into_iter().flatten().filter(|((project, _), _)| *project == project_id);
    for ((_, state), standing) in states {
        let standing = (*standing).clamp(0, left);
        if let (Some(state), true) = (state, standing > 0) {
            counts.push(count(Some(VmState::from(state.clone())), standing));
            left -= standing;
        }
    }
    if left > 0 {
        counts.push(count(None, left));
    }
    counts
}
