//! What the instances of projects used in a period: hours, and hours times size.

use std::collections::BTreeMap;
use std::sync::Arc;

use cellzero_cell_db::usage::{self, Window};
use cellzero_database::{DatabaseError, Deadline};
use cellzero_types::{Instance, InstanceUuid, InvalidField, RequestContext, VmState};
use chrono::{NaiveDateTime, TimeDelta};

use crate::scatter::DownCells;
use crate::{ReadError, Router, scatter_gather};

/// How many instances are read at once.
const PAGE: u32 = 500;

/// What is asked of usage. Times are UTC.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    /// Of this project; none for all, which only an admin may ask.
    pub project_id: Option<String>,
    /// Where the period begins.
    pub start: NaiveDateTime,
    /// Where it ends.
    pub end: NaiveDateTime,
    /// Whether each instance is told, or the sums alone.
    pub detailed: bool,
}

/// What one instance used.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceUsage {
    /// The instance.
    pub uuid: InstanceUuid,
    /// Its name.
    pub name: String,
    /// Its flavor's name.
    pub flavor: String,
    /// Its processors.
    pub vcpus: i32,
    /// Its memory, in MiB.
    pub memory_mb: i32,
    /// Its root and ephemeral disk, in GiB.
    pub local_gb: i32,
    /// Its vm_state, or `terminated`.
    pub state: String,
    /// When it ran first.
    pub started_at: Option<NaiveDateTime>,
    /// When it ended; none while it lives.
    pub ended_at: Option<NaiveDateTime>,
    /// How long it was there in the period, in hours.
    pub hours: f64,
    /// How long it has been there at all, in seconds.
    pub uptime: i64,
}

/// What a project used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProjectUsage {
    /// The project.
    pub project_id: String,
    /// Hours of its instances.
    pub total_hours: f64,
    /// Hours times processors.
    pub total_vcpus_usage: f64,
    /// Hours times MiB of memory.
    pub total_memory_mb_usage: f64,
    /// Hours times GiB of disk.
    pub total_local_gb_usage: f64,
    /// Each instance, where it was asked for.
    pub instances: Vec<InstanceUsage>,
}

impl ProjectUsage {
    fn add(&mut self, one: InstanceUsage, detailed: bool) {
        self.total_hours += one.hours;
        self.total_vcpus_usage += one.hours * f64::from(one.vcpus);
        self.total_memory_mb_usage += one.hours * f64::from(one.memory_mb);
        self.total_local_gb_usage += one.hours * f64::from(one.local_gb);
        if detailed {
            self.instances.push(one);
        }
    }

    fn merge(&mut self, other: ProjectUsage) {
        self.total_hours += other.total_hours;
        self.total_vcpus_usage += other.total_vcpus_usage;
        self.total_memory_mb_usage += other.total_memory_mb_usage;
        self.total_local_gb_usage += other.total_local_gb_usage;
        self.instances.extend(other.instances);
    }
}

/// What projects used, and the cells that did not answer.
#[derive(Debug)]
pub struct Usages {
    /// By project id; those that used nothing are left out.
    pub projects: Vec<ProjectUsage>,
    /// The cells that did not answer, with why: what ran there is not counted.
    pub down_cells: DownCells,
}

type ByProject = BTreeMap<String, ProjectUsage>;

impl Router {
    /// What the instances of a project, or of all, used in a period, deleted ones too, as long as they
    /// are not archived. Buried ones never ran. One statement in the API database; in each cell, all at
    /// once, two for each five hundred instances.
    ///
    /// # Errors
    /// [`ReadError::Invalid`] where the period ends before it begins, or where one that is not an admin
    /// asks for another project; else the API database's. A cell that does not answer is no error.
    pub async fn usage(
        &self,
        ctx: &RequestContext,
        query: &UsageQuery,
    ) -> Result<Usages, ReadError> {
        if query.end < query.start {
            let expected = format!("not before {}", query.start);
            return Err(InvalidField::new("end", query.end, expected).into());
        }
        let asked = query.project_id.as_deref();
        if !ctx.is_admin && asked != Some(ctx.project_id.as_str()) {
            let expected = format!("{}, or an admin's question", ctx.project_id);
            return Err(InvalidField::new("project", asked.unwrap_or("all"), expected).into());
        }
        let deadline = Deadline::after(ctx.timeout);
        let (handles, unreachable) = self.cells.all(deadline).await?;
        let live: Vec<_> =
            handles.iter().filter(|cell| !cell.uuid().is_cell0()).map(Arc::clone).collect();
        let query = query.clone();
        let gathered = scatter_gather(&live, "read_usage", deadline, move |conn, cell| {
            let window =
                Window { project_id: query.project_id.clone(), start: query.start, end: query.end };
            let now = conn.now();
            let mut by_project = ByProject::new();
            let mut after = i32::MIN;
            loop {
                let page = usage::page(conn, cell.uuid(), &window, (after, PAGE))?;
                let is_last = page.len() < PAGE as usize;
                for instance in page {
                    after = instance.id.unwrap_or(after);
                    let project = by_project.entry(instance.project_id.clone()).or_default();
                    project.add(used(&instance, (query.start, query.end), now), query.detailed);
                }
                if is_last {
                    return Ok::<_, DatabaseError>(by_project);
                }
            }
        })
        .await;
        let (answers, mut down_cells) = gathered.split();
        down_cells.extend(unreachable.into_iter().filter(|(cell, _)| !cell.is_cell0()));
        let mut all = ByProject::new();
        for (project_id, usage) in answers.into_iter().flat_map(|(_, by_project)| by_project) {
            all.entry(project_id).or_default().merge(usage);
        }
        let projects = all
            .into_iter()
            .map(|(project_id, usage)| ProjectUsage { project_id, ..usage })
            .collect();
        Ok(Usages { projects, down_cells })
    }
}

/// What an instance used in a period.
fn used(
    instance: &Instance,
    (start, end): (NaiveDateTime, NaiveDateTime),
    now: NaiveDateTime,
) -> InstanceUsage {
    let ended_at = instance.terminated_at.or(instance.deleted_at);
    let until = ended_at.unwrap_or(end).min(end).min(now.max(start));
    let time = instance
        .launched_at
        .map_or(TimeDelta::zero(), |launched| (until - launched.max(start)).max(TimeDelta::zero()));
    let uptime = instance
        .launched_at
        .map_or(TimeDelta::zero(), |launched| ended_at.unwrap_or(now) - launched);
    let flavor = instance.flavor.as_ref();
    let state = instance.vm_state.as_ref().map_or("", VmState::as_str);
    InstanceUsage {
        uuid: instance.uuid,
        name: instance.display_name.clone().unwrap_or_default(),
        flavor: flavor.map(|flavor| flavor.name.clone()).unwrap_or_default(),
        vcpus: flavor.map_or(0, |flavor| flavor.vcpus),
        memory_mb: flavor.map_or(0, |flavor| flavor.memory_mb),
        local_gb: flavor.map_or(0, |flavor| flavor.root_gb + flavor.ephemeral_gb),
        state: if ended_at.is_some() { "terminated".to_owned() } else { state.to_owned() },
        started_at: instance.launched_at,
        ended_at,
        hours: time.as_seconds_f64() / 3600.0,
        uptime: uptime.num_seconds(),
    }
}

#[cfg(test)]
mod tests {
    use cellzero_types::Flavor;
    use chrono::DateTime;
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;

    fn at(hour: i64) -> NaiveDateTime {
        DateTime::UNIX_EPOCH.naive_utc() + TimeDelta::hours(hour)
    }

    /// The period is from 10 to 20, and it is 15 now.
    #[rstest]
    #[case::before_and_on(5, None, 5.0)]
    #[case::within(12, Some(14), 2.0)]
    #[case::until_the_period_began(5, Some(10), 0.0)]
    #[case::from_before(5, Some(12), 2.0)]
    fn hours_count_within_the_period_until_now(
        #[case] launched: i64,
        #[case] ended: Option<i64>,
        #[case] hours: f64,
    ) {
        let instance = Instance {
            launched_at: Some(at(launched)),
            terminated_at: ended.map(at),
            flavor: Some(Flavor::new("1", "tiny", 2, 512, 3)),
            ..Instance::new(InstanceUuid(Uuid::from_u128(1)), "p", "u")
        };
        let used = used(&instance, (at(10), at(20)), at(15));
        assert!((used.hours - hours).abs() < 1e-9, "{used:?}");
        assert_eq!((used.vcpus, used.memory_mb, used.local_gb), (2, 512, 3));
        assert_eq!(used.ended_at.is_some(), used.state == "terminated");
        let mut sum = ProjectUsage::default();
        sum.add(used.clone(), false);
        sum.merge(sum.clone());
        assert!((sum.total_vcpus_usage - 4.0 * hours).abs() < 1e-9 && sum.instances.is_empty());
    }
}
