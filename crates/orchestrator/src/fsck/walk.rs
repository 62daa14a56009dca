//! The walk over all uuids of a plane, slice by slice.

use std::collections::BTreeMap;
use std::sync::Arc;

use cellzero_api_db::census as api_census;
use cellzero_cell_db::census as cell_census;
use cellzero_database::{DatabaseError, Deadline, ErrorKind, Expected, Scope, Whose};
use cellzero_router::{CellHandle, Router};
use cellzero_types::CellUuid;
use chrono::{NaiveDateTime, TimeDelta};
use futures_util::future::join_all;

use super::FsckError;
use super::class::{Class, Plan};
use super::judge::{Sighting, Terms, judge, named};
use super::report::{Finding, FsckOptions, FsckReport};
use crate::Orchestrator;

/// How often an instance is looked at before it counts as moving.
const LOOKS_MAX: u32 = 4;
/// How many repairs one instance may need, one after the other.
const REPAIRS_MAX: u32 = 8;

/// A check under way.
pub(super) struct Walk<'a> {
    pub(super) router: &'a Router,
    pub(super) orchestrator: Option<&'a Orchestrator>,
    pub(super) options: FsckOptions,
    pub(super) cells: Vec<Arc<CellHandle>>,
    pub(super) terms: Terms,
    pub(super) report: FsckReport,
}

impl<'a> Walk<'a> {
    pub(super) async fn begin(
        router: &'a Router,
        orchestrator: Option<&'a Orchestrator>,
        options: FsckOptions,
    ) -> Result<Walk<'a>, FsckError> {
        let whose = if router.cells().is_foreign() { Whose::Novas } else { Whose::Ours };
        let deadline = Deadline::after(options.step_timeout);
        let (cells, unusable) = router.cells().all(deadline).await?;
        let now = router
            .api()
            .run("read_clock", deadline, |conn| Ok::<_, DatabaseError>(conn.now()))
            .await?;
        let before = |age| TimeDelta::from_std(age).map_or(NaiveDateTime::MIN, |age| now - age);
        let terms = Terms {
            whose,
            old_before: before(options.age),
            claims_old_before: before(options.claim_age),
            cells: cells.iter().map(|cell| (cell.mapping().id, cell.uuid())).collect(),
            hosts: Default::default(),
            capacities: Default::default(),
            down: Vec::new(),
        };
        let report = FsckReport::default();
        let mut walk = Walk { router, orchestrator, options, cells, terms, report };
        for (cell, error) in unusable {
            walk.lose(cell, &error);
        }
        Ok(walk)
    }

    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(self.options.step_timeout)
    }

    /// Goes on without a cell: what stands there is not known from now on.
    pub(super) fn lose(&mut self, cell: CellUuid, error: &dyn std::error::Error) {
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            why.push_str(": ");
            why.push_str(&cause.to_string());
            source = cause.source();
        }
        self.cells.retain(|handle| handle.uuid() != cell);
        if !self.terms.down.contains(&cell) {
            self.terms.down.push(cell);
        }
        self.report.unreachable.insert(cell, why);
    }

    pub(super) async fn run(mut self) -> Result<FsckReport, FsckError> {
        self.identities().await?;
        self.read_hosts().await?;
        let mut after = String::new();
        loop {
            let (sightings, end) = self.slice(after).await?;
            self.report.uuids_checked += sightings.len() as u64;
            let suspicious =
                sightings.into_iter().filter(|seen| !judge(seen, &self.terms).is_empty());
            let suspicious: Vec<String> = suspicious.map(|seen| seen.uuid).collect();
            self.confirm(suspicious).await?;
            if self.report.findings.len() >= self.options.findings_max {
                self.report.truncated = true;
                return Ok(self.report);
            }
            match end {
                Some(end) => after = end,
                None => break,
            }
        }
        self.check_hosts().await?;
        self.check_outboxes().await?;
        Ok(self.report)
    }

    /// Every database must be the one that its mapping means. A wrong one is looked at no further.
    async fn identities(&mut self) -> Result<(), FsckError> {
        let Some(plane) = self.router.cells().plane() else { return Ok(()) };
        let wrong = |subject: String, error: &DatabaseError| {
            let what = "correct the URL, or the identity in the database".into();
            Finding::new(Class::WrongIdentity, subject, Plan::ByHand { what })
                .detail(error.to_string())
        };
        let expected = Expected { plane: plane.0, cell: None };
        match self.router.api().check(self.deadline(), expected).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WrongIdentity => {
                self.report.add(wrong("api".into(), &error));
            }
            Err(error) => return Err(error.into()),
        }
        let deadline = self.deadline();
        let checks = self
            .cells
            .iter()
            .map(|cell| async move { (cell.uuid(), cell.check_identity(deadline).await) });
        for (cell, check) in join_all(checks).await {
            let Err(error) = check else { continue };
            if error.kind() == ErrorKind::WrongIdentity {
                self.report.add(wrong(cell.text(), &error).cell(cell));
            }
            self.lose(cell, &error);
        }
        Ok(())
    }

    pub(super) async fn read_hosts(
        &mut self,
    ) -> Result<BTreeMap<String, api_census::HostSeen>, FsckError> {
        let whose = self.terms.whose;
        let hosts = self
            .router
            .api()
            .run("read_hosts", self.deadline(), move |conn| api_census::hosts(conn, whose))
            .await?;
        let cells = &self.terms.cells;
        let mapped = |host: &api_census::HostSeen| cells.get(&host.mapped?).copied();
        self.terms.hosts =
            hosts.iter().filter_map(|(name, host)| Some((name.clone(), mapped(host)?))).collect();
        let reported = hosts.iter().filter(|(_, host)| host.capacity.is_some());
        self.terms.capacities = reported.map(|(name, _)| name.clone()).collect();
        Ok(hosts)
    }

    /// The next uuids, and where they end; no end where they are the last.
    async fn slice(&mut self, after: String) -> Result<(Vec<Sighting>, Option<String>), FsckError> {
        let scope = Scope::after(after, self.options.slice.max(2));
        let (api, scope) = self.read_api(scope).await?;
        let mut end = scope.upto().map(str::to_owned);
        let cells = self.read_cells(scope).await;
        for (_, _, scope) in &cells {
            end = match (end, scope.upto()) {
                (Some(end), Some(upto)) if end.as_str() <= upto => Some(end),
                (end, upto) => upto.map(str::to_owned).or(end),
            };
        }
        let mut sightings = merge(api, cells);
        if let Some(end) = &end {
            sightings.retain(|uuid, _| uuid <= end);
        }
        Ok((sightings.into_values().collect(), end))
    }

    async fn read_api(&self, mut scope: Scope) -> Result<(api_census::Seen, Scope), FsckError> {
        let whose = self.terms.whose;
        let read = move |conn: &mut _| {
            let seen = api_census::read(conn, &mut scope, whose)?;
            Ok::<_, DatabaseError>((seen, scope))
        };
        Ok(self.router.api().run("read_census", self.deadline(), read).await?)
    }

    /// What stands in the cells that answer; the others are lost to this check.
    async fn read_cells(&mut self, scope: Scope) -> Vec<(CellUuid, cell_census::Seen, Scope)> {
        let (whose, deadline) = (self.terms.whose, self.deadline());
        let asked = self.cells.iter().map(|cell| {
            let (cell, mut scope) = (Arc::clone(cell), scope.clone());
            async move {
                let read = move |conn: &mut _| {
                    let seen = cell_census::read(conn, &mut scope, whose)?;
                    Ok::<_, DatabaseError>((seen, scope))
                };
                (cell.uuid(), cell.run("read_census", deadline, read).await)
            }
        });
        let mut read = Vec::new();
        for (cell, answer) in join_all(asked).await {
            match answer {
                Ok((seen, scope)) => read.push((cell, seen, scope)),
                Err(error) => self.lose(cell, &error),
            }
        }
        read
    }

    /// Looks at these again, until each stood still meanwhile; names and repairs what is wrong.
    async fn confirm(&mut self, uuids: Vec<String>) -> Result<(), FsckError> {
        let mut left = uuids;
        for _ in 0..LOOKS_MAX {
            if left.is_empty() {
                return Ok(());
            }
            self.read_hosts().await?;
            let (still, moved) = self.look(left).await?;
            for seen in still {
                if let Some(finding) = named(judge(&seen, &self.terms)) {
                    self.name(seen, finding).await?;
                }
            }
            left = moved;
        }
        self.report.moving.extend(left);
        Ok(())
    }

    /// Sightings of those that stood still, and the uuids of those that moved meanwhile.
    async fn look(
        &mut self,
        uuids: Vec<String>,
    ) -> Result<(Vec<Sighting>, Vec<String>), FsckError> {
        let scope = Scope::These(uuids.clone());
        let (before, scope) = self.read_api(scope).await?;
        let cells = self.read_cells(scope.clone()).await;
        let (after, _) = self.read_api(scope).await?;
        let (mut still, mut moved) = (Vec::new(), Vec::new());
        let mut sightings = merge(before, cells);
        for uuid in uuids {
            let seen = sightings.remove(&uuid).unwrap_or_default();
            if after.get(&uuid).cloned().unwrap_or_default() == seen.api {
                still.push(Sighting { uuid, ..seen });
            } else {
                moved.push(uuid);
            }
        }
        Ok((still, moved))
    }

    async fn name(&mut self, seen: Sighting, finding: Finding) -> Result<(), FsckError> {
        let mut finding = finding;
        if let Some(orchestrator) = self.orchestrator {
            finding.repaired = self.repair(orchestrator, seen, &mut finding).await?;
        }
        self.report.add(finding);
        Ok(())
    }

    /// Repairs an instance step by step, each after a new look; says whether nothing is left.
    async fn repair(
        &mut self,
        orchestrator: &Orchestrator,
        seen: Sighting,
        finding: &mut Finding,
    ) -> Result<bool, FsckError> {
        let (uuid, mut seen, mut plan) = (seen.uuid.clone(), seen, finding.plan.clone());
        for _ in 0..REPAIRS_MAX {
            match orchestrator.repair_instance(&seen, &plan, &mut self.report.dumps).await {
                Ok(()) => {}
                Err(error) => {
                    finding.notes.push(format!("not repaired: {error}"));
                    return Ok(false);
                }
            }
            self.read_hosts().await?;
            let (still, _) = self.look(vec![uuid.clone()]).await?;
            let Some(now) = still.into_iter().next() else { return Ok(true) };
            let Some(next) = named(judge(&now, &self.terms)) else { return Ok(true) };
            if next.plan == plan {
                break;
            }
            finding.notes.push(format!("then {}: {}", next.class, next.detail));
            (seen, plan) = (now, next.plan);
        }
        Ok(false)
    }
}

fn merge(
    api: api_census::Seen,
    cells: Vec<(CellUuid, cell_census::Seen, Scope)>,
) -> BTreeMap<String, Sighting> {
    let mut all: BTreeMap<String, Sighting> = api
        .into_iter()
        .map(|(uuid, api)| (uuid.clone(), Sighting { uuid, api, cells: Vec::new() }))
        .collect();
    for (cell, seen, _) in cells {
        for (uuid, seen) in seen {
            let sighting = all.entry(uuid.clone()).or_default();
            sighting.uuid = uuid;
            sighting.cells.push((cell, seen));
        }
    }
    all
}
