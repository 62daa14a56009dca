//! Triage of cell0: what stands there, in groups, and what would clear each of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cellzero_api_db::{instance_mapping, request_spec};
use cellzero_cell_db::buried::{self, BuriedRow};
use cellzero_database::{DatabaseError, Deadline};
use cellzero_types::{
    CellUuid, Flavor, InstanceUuid, Refusal, RequestContext, RequestSpec, Resources, Verdict,
};
use chrono::{NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};

use crate::Router;
use crate::cells::CellError;

/// How many instances are read at once. Their verdicts are the largest part of what is held.
const PAGE: u32 = 250;
/// The most groups that are held; instances of any further one are counted alone.
const GROUPS_MAX: usize = 10_000;
/// The code of those without a verdict: fsck has found them nowhere and buried them.
const NO_VERDICT: &str = "no_verdict";

/// Why there is no report of cell0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TriageError {
    /// It names what all projects have asked for.
    #[error("the report of cell0 is for an admin; a project lists its own instances")]
    AdminOnly,
    /// A plane that Nova made keeps no verdicts.
    #[error("Nova made this plane and kept no verdicts; its cell0 can be listed")]
    NovaMade,
    /// Cell0 could not be read.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// The API database could not be read.
    #[error("the API database could not be read")]
    Database(#[from] DatabaseError),
}

/// What instances of one group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BuriedAs {
    /// The code of the verdict, or `no_verdict`.
    pub code: String,
    /// The reason of the hosts that came nearest, where hosts were asked
    /// ([`Verdict::nearest_refusal`]).
    pub refusal: Option<Refusal>,
    /// The project.
    pub project_id: String,
    /// The name of the flavor; none where nothing says what was asked for.
    pub flavor: Option<String>,
    /// The availability zone that was asked for.
    pub zone: Option<String>,
    /// The day of the burial, UTC.
    pub day: Option<NaiveDate>,
}

/// What would clear a group: hosts in its zone, with these traits and this metadata, that have so
/// much free.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clearance {
    /// In all.
    pub in_all: Resources,
    /// On each host that is to take one, at least.
    pub each: Resources,
    /// Traits that such a host has.
    pub required_traits: BTreeSet<String>,
    /// Traits that it has not.
    pub forbidden_traits: BTreeSet<String>,
    /// Metadata of an aggregate that it is in.
    pub aggregate_metadata: BTreeMap<String, String>,
    /// The hosts that were asked for by name.
    pub forced_hosts: BTreeSet<String>,
}

/// Instances that are buried for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuriedGroup {
    /// What they have in common.
    #[serde(flatten)]
    pub buried_as: BuriedAs,
    /// How many.
    pub instances: u64,
    /// What would clear them.
    pub clearance: Clearance,
}

/// All of cell0, in groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell0Report {
    /// The largest first.
    pub groups: Vec<BuriedGroup>,
    /// How many instances are in them.
    pub instances: u64,
    /// How many more there are, in groups beyond the first ten thousand that were met.
    pub beyond: u64,
}

/// The report while it grows.
#[derive(Default)]
struct Tally {
    groups: HashMap<BuriedAs, (u64, Clearance)>,
    beyond: u64,
}

impl Router {
    /// What stands in cell0 by reason, project, flavor, zone and day, with what would clear each
    /// group. It reads cell0 in pages, and holds one page and the groups. Two statements in cell0
    /// and two in the API database for each page of 250; each page has the whole time of `ctx`.
    ///
    /// It is no picture of one moment: what comes or goes while it reads may be counted or not.
    ///
    /// # Errors
    /// [`TriageError`]: not an admin, a plane that Nova made, or a database.
    pub async fn cell0_report(&self, ctx: &RequestContext) -> Result<Cell0Report, TriageError> {
        if !ctx.is_admin {
            return Err(TriageError::AdminOnly);
        }
        if self.is_foreign() {
            return Err(TriageError::NovaMade);
        }
        let mut tally = Tally::default();
        let mut after = 0;
        loop {
            let deadline = Deadline::after(ctx.timeout);
            let (rows, verdicts) = self.read_buried(after, deadline).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            let is_last = rows.len() < PAGE as usize;
            let (rows, specs) = self.read_asked(rows, deadline).await?;
            for row in rows {
                let verdict = row.verdict_uuid.as_ref().and_then(|uuid| verdicts.get(uuid));
                tally.add(&row, verdict, specs.get(&row.uuid));
            }
            if is_last {
                break;
            }
        }
        Ok(tally.report())
    }

    async fn read_buried(
        &self,
        after: i32,
        deadline: Deadline,
    ) -> Result<(Vec<BuriedRow>, HashMap<String, Verdict>), CellError> {
        let cell = CellUuid::CELL0;
        let handle = self.cells.get(cell, deadline).await?;
        let read = move |conn: &mut _| {
            let rows = buried::page(conn, after, PAGE)?;
            let uuids: BTreeSet<String> =
                rows.iter().filter_map(|row| row.verdict_uuid.clone()).collect();
            let verdicts = buried::verdicts(conn, &uuids.into_iter().collect::<Vec<_>>())?;
            Ok::<_, DatabaseError>((rows, verdicts))
        };
        let answer = handle.ask("read_buried", deadline, read).await;
        answer.map_err(|source| CellError::Database { cell, source })
    }

    /// Those of the rows that are at home in cell0, and what they asked for.
    async fn read_asked(
        &self,
        rows: Vec<BuriedRow>,
        deadline: Deadline,
    ) -> Result<(Vec<BuriedRow>, HashMap<InstanceUuid, RequestSpec>), DatabaseError> {
        self.api
            .run("read_asked", deadline, move |conn| {
                let uuids: Vec<InstanceUuid> = rows.iter().map(|row| row.uuid).collect();
                let mappings = instance_mapping::of_instances(conn, &uuids)?;
                let is_home = |row: &BuriedRow| {
                    mappings.get(&row.uuid).is_some_and(|mapping| {
                        mapping.cell == Some(CellUuid::CELL0) && !mapping.queued_for_delete
                    })
                };
                let specs = request_spec::of_instances(conn, &uuids)?.into_iter();
                let specs = specs.map(|spec| (spec.instance_uuid, spec)).collect();
                Ok((rows.into_iter().filter(is_home).collect(), specs))
            })
            .await
    }
}

impl Tally {
    fn add(&mut self, row: &BuriedRow, verdict: Option<&Verdict>, spec: Option<&RequestSpec>) {
        let key = BuriedAs {
            code: verdict.map_or(NO_VERDICT, Verdict::code).to_owned(),
            refusal: verdict.and_then(Verdict::nearest_refusal),
            project_id: row.project_id.clone(),
            flavor: spec.map(|spec| spec.flavor.name.clone()),
            zone: spec.and_then(|spec| spec.availability_zone.clone()),
            day: row.buried_at.as_ref().map(NaiveDateTime::date),
        };
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            self.beyond += 1;
            return;
        }
        let (instances, clearance) = self.groups.entry(key).or_default();
        *instances += 1;
        if let Some(spec) = spec {
            clearance.add(spec);
        }
    }

    fn report(self) -> Cell0Report {
        let group =
            |(buried_as, (instances, clearance))| BuriedGroup { buried_as, instances, clearance };
        let mut groups: Vec<BuriedGroup> = self.groups.into_iter().map(group).collect();
        groups.sort_by(|one, other| {
            other.instances.cmp(&one.instances).then_with(|| one.buried_as.cmp(&other.buried_as))
        });
        let instances = groups.iter().map(|group| group.instances).sum();
        Cell0Report { groups, instances, beyond: self.beyond }
    }
}

impl Clearance {
    fn add(&mut self, spec: &RequestSpec) {
        let asked = spec.resources();
        self.in_all = self.in_all + asked;
        self.each = Resources {
            vcpus: self.each.vcpus.max(asked.vcpus),
            memory_mb: self.each.memory_mb.max(asked.memory_mb),
            disk_gb: self.each.disk_gb.max(asked.disk_gb),
        };
        for (key, value) in &spec.flavor.extra_specs {
            if let Some(name) = key.strip_prefix(Flavor::TRAIT_PREFIX) {
                match value.as_str() {
                    "required" => self.required_traits.insert(name.to_owned()),
                    "forbidden" => self.forbidden_traits.insert(name.to_owned()),
                    _ => false,
                };
            } else if let Some(key) = key.strip_prefix(Flavor::AGGREGATE_PREFIX) {
                self.aggregate_metadata.insert(key.to_owned(), value.clone());
            }
        }
        self.forced_hosts.extend(spec.force_host.clone());
    }
}
