//! The judgement of one instance: a pure function of what was seen of it.
//!
//! What a running boot, delete or sweep leaves on its way is legal here: an intent explains it. On a
//! plane that Nova made there are no intents, so there only what is old enough is judged.

use std::collections::HashMap;

use cellzero_api_db::census::ApiSeen;
use cellzero_cell_db::census::{CellSeen, RowSeen};
use cellzero_database::Whose;
use cellzero_types::CellUuid;
use chrono::NaiveDateTime;

use super::class::{Class, Plan};
use super::report::Finding;

/// What all judgements of one check share.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) whose: Whose,
    /// On a plane that Nova made, what changed after this is on its way.
    pub(crate) old_before: NaiveDateTime,
    /// A claim of an instance that was deleted after this may still be freed by its host.
    pub(crate) claims_old_before: NaiveDateTime,
    /// The cells by their row ids.
    pub(crate) cells: HashMap<i32, CellUuid>,
    /// The cell of each mapped host.
    pub(crate) hosts: HashMap<String, CellUuid>,
    /// Whether each host that has reported is known by its capacity.
    pub(crate) capacities: std::collections::HashSet<String>,
    /// The cells that do not answer.
    pub(crate) down: Vec<CellUuid>,
}

/// All that was seen of one uuid.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sighting {
    pub(crate) uuid: String,
    pub(crate) api: ApiSeen,
    pub(crate) cells: Vec<(CellUuid, CellSeen)>,
}

impl Sighting {
    fn live(&self) -> Vec<(CellUuid, &CellSeen, &RowSeen)> {
        let rows = self.cells.iter().filter_map(|(cell, seen)| {
            let row = seen.row.as_ref()?;
            (!row.deleted).then_some((*cell, seen, row))
        });
        rows.collect()
    }

    fn has_deleted_row(&self) -> bool {
        self.cells.iter().any(|(_, seen)| seen.row.as_ref().is_some_and(|row| row.deleted))
    }

    fn intends(&self, cell: CellUuid) -> bool {
        let cell = cell.text();
        self.api.intents.iter().any(|(_, intended)| *intended == cell)
    }

    fn changed_after(&self, time: NaiveDateTime) -> bool {
        let api = [
            self.api.mapping.as_ref().and_then(|mapping| mapping.changed_at),
            self.api.build_request.flatten(),
            self.api.request_spec.flatten(),
        ];
        let rows = self.cells.iter().filter_map(|(_, seen)| seen.row.as_ref()?.changed_at);
        api.into_iter().flatten().chain(rows).any(|changed| changed > time)
    }
}

/// What is wrong with one instance: the first finding names it, the others follow or stand beside.
pub(crate) fn judge(seen: &Sighting, terms: &Terms) -> Vec<Finding> {
    if terms.whose == Whose::Novas && seen.changed_after(terms.old_before) {
        return Vec::new();
    }
    let judge = Judge { seen, terms };
    match &seen.api.mapping {
        None => judge.unmapped(),
        Some(mapping) if mapping.queued_for_delete => judge.dead(mapping.cell_id),
        Some(mapping) => match mapping.cell_id {
            None => judge.undecided(),
            // A cell without a mapping of its own cannot be named: a foreign key holds it.
            Some(id) => terms.cells.get(&id).map_or_else(Vec::new, |cell| judge.decided(*cell)),
        },
    }
}

/// The finding that names an instance, with all others as its notes.
pub(crate) fn named(findings: Vec<Finding>) -> Option<Finding> {
    let mut findings = findings.into_iter();
    let mut first = findings.next()?;
    first.notes.extend(findings.map(|also| format!("{}: {}", also.class, also.detail)));
    Some(first)
}

struct Judge<'a> {
    seen: &'a Sighting,
    terms: &'a Terms,
}

impl Judge<'_> {
    fn finding(&self, class: Class, plan: Plan) -> Finding {
        Finding::new(class, &self.seen.uuid, plan)
    }

    fn ours(&self) -> bool {
        self.terms.whose == Whose::Ours
    }

    /// A plan that needs to know that nothing stands elsewhere.
    fn where_all_is_seen(&self, plan: Plan) -> Plan {
        match self.terms.down.is_empty() {
            true => plan,
            false => Plan::ByHand { what: "a cell does not answer; check again with it".into() },
        }
    }

    /// Adopts the live row of the highest epoch.
    fn adopt(&self, live: &[(CellUuid, &CellSeen, &RowSeen)]) -> Plan {
        let best = live.iter().max_by_key(|(cell, seen, _)| (written(seen), !cell.is_cell0()));
        match best {
            Some((cell, _, _)) => self.where_all_is_seen(Plan::AdoptRow { cell: *cell }),
            None => Plan::ByHand { what: "no row to adopt".into() },
        }
    }

    fn erase(&self, cell: CellUuid, seen: &CellSeen) -> Plan {
        Plan::EraseRows { cell, written_epoch: written(seen) }
    }

    fn unmapped(&self) -> Vec<Finding> {
        let (live, api) = (self.seen.live(), &self.seen.api);
        let mut findings = Vec::new();
        for (cell, seen, row) in &live {
            // The tombstone of an archived one stands in the shadow table: it stays dead.
            let (plan, also) = match api.archived {
                true => (self.erase(*cell, seen), ": it was deleted and archived"),
                false => (self.adopt(&live), ""),
            };
            let state = state(row);
            findings.push(
                self.finding(Class::RowWithoutMapping, plan)
                    .cell(*cell)
                    .detail(format!("a row in {cell} in state {state}, and no mapping{also}")),
            );
        }
        if api.build_request.is_some() {
            findings.push(
                self.finding(Class::BuildRequestWithoutMapping, Plan::AdoptRequest)
                    .detail("a build request, and no mapping"),
            );
        }
        if let Some(claim) = &api.claim {
            let plan = self.where_all_is_seen(Plan::FreeClaim);
            findings.push(
                self.finding(Class::ClaimWithoutInstance, plan)
                    .detail(format!("a claim on {}, and no mapping", claim.host)),
            );
        }
        if api.request_spec.is_some() && findings.is_empty() {
            let plan = self.where_all_is_seen(Plan::DeleteRequestSpec);
            findings.push(
                self.finding(Class::RequestSpecWithoutMapping, plan)
                    .detail("a request spec, and no mapping"),
            );
        }
        findings
    }

    fn dead(&self, cell_id: Option<i32>) -> Vec<Finding> {
        let named = cell_id.and_then(|id| self.terms.cells.get(&id)).copied();
        let mut findings = Vec::new();
        for (cell, seen, row) in self.seen.live() {
            // Nova marks the mapping of one that is deleted softly, and leaves its row.
            let soft = !self.ours() && row.vm_state.as_deref() == Some("soft-delete");
            if self.seen.intends(cell) || soft {
                continue;
            }
            let plan = match named == Some(cell) {
                true => Plan::FinishDelete { cell },
                false => self.erase(cell, seen),
            };
            findings.push(
                self.finding(Class::LiveRowDeadMapping, plan)
                    .cell(cell)
                    .detail(format!("deleted, but its row in {cell} is in state {}", state(row))),
            );
        }
        if self.seen.api.build_request.is_some() {
            findings.push(
                self.finding(Class::BuildRequestBesideMapping, Plan::DeleteBuildRequest)
                    .detail("deleted, but its build request is left"),
            );
        }
        findings.extend(self.dead_claim(named));
        findings
    }

    /// The claim of a deleted instance is its host's until that has destroyed it.
    fn dead_claim(&self, named: Option<CellUuid>) -> Option<Finding> {
        let claim = self.seen.api.claim.as_ref()?;
        let in_live_cell = named.is_some_and(|cell| !cell.is_cell0());
        let deleted_at = self.seen.api.mapping.as_ref().and_then(|mapping| mapping.changed_at);
        let recent = deleted_at.is_none_or(|time| time > self.terms.claims_old_before);
        let unknown = named.is_some_and(|cell| self.terms.down.contains(&cell));
        let new_cell = named.is_none()
            && self.seen.api.mapping.as_ref().is_some_and(|mapping| mapping.cell_id.is_some());
        let pending = !self.seen.api.intents.is_empty() || !self.seen.live().is_empty() || unknown;
        if new_cell || (in_live_cell && (recent || pending)) {
            return None;
        }
        let detail = format!("deleted, but it claims host {}", claim.host);
        Some(self.finding(Class::ClaimWithoutInstance, Plan::FreeClaim).detail(detail))
    }

    fn undecided(&self) -> Vec<Finding> {
        let live = self.seen.live();
        match self.seen.api.build_request.is_some() {
            true => self.requested(&live),
            false => self.lost(&live),
        }
    }

    fn requested(&self, live: &[(CellUuid, &CellSeen, &RowSeen)]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let epoch = self.seen.api.boot_state.map(|(epoch, _)| epoch);
        for (cell, seen, row) in live.iter().filter(|(cell, ..)| !self.seen.intends(*cell)) {
            let stale = written(seen).zip(epoch).is_some_and(|(written, epoch)| written < epoch);
            let plan = if stale { self.erase(*cell, seen) } else { self.adopt(live) };
            findings.push(
                self.finding(Class::RowBesideBuildRequest, plan).cell(*cell).detail(format!(
                    "a build request, and a row in {cell} in state {}",
                    state(row)
                )),
            );
        }
        if self.seen.api.request_spec.is_none() {
            findings.push(
                self.finding(Class::BuildRequestWithoutSpec, Plan::AdoptRequest)
                    .detail("a build request that nobody can place"),
            );
        }
        if self.ours() && epoch.is_none() {
            findings.push(
                self.finding(Class::NoBootState, Plan::AdoptRequest)
                    .detail("a build request that nobody can lease"),
            );
        }
        findings
    }

    fn lost(&self, live: &[(CellUuid, &CellSeen, &RowSeen)]) -> Vec<Finding> {
        let mut findings: Vec<Finding> = live
            .iter()
            .map(|(cell, _, row)| {
                self.finding(Class::UndecidedRow, self.adopt(live)).cell(*cell).detail(format!(
                    "no cell in its mapping, no build request, and a row in {cell} in state {}",
                    state(row)
                ))
            })
            .collect();
        if findings.is_empty() && self.seen.has_deleted_row() {
            findings.push(self.deleted_row());
        }
        if findings.is_empty() {
            let plan = self.where_all_is_seen(Plan::Bury);
            findings.push(
                self.finding(Class::MappingWithoutAnything, plan)
                    .detail("no cell in its mapping, no build request and no row"),
            );
        }
        findings
    }

    fn deleted_row(&self) -> Finding {
        let plan = self.where_all_is_seen(Plan::QueueForDelete);
        self.finding(Class::DeletedRowLiveMapping, plan)
            .detail("its row is deleted, and its mapping is not queued for delete")
    }

    fn decided(&self, cell: CellUuid) -> Vec<Finding> {
        if self.terms.down.contains(&cell) {
            return Vec::new();
        }
        let live = self.seen.live();
        match live.iter().find(|(standing, ..)| *standing == cell) {
            Some((_, seen, row)) => self.at_home(cell, seen, row, &live),
            None => self.not_at_home(cell, &live),
        }
    }

    fn not_at_home(
        &self,
        cell: CellUuid,
        live: &[(CellUuid, &CellSeen, &RowSeen)],
    ) -> Vec<Finding> {
        let mut findings: Vec<Finding> = live
            .iter()
            .filter(|(standing, ..)| !self.seen.intends(*standing))
            .map(|(standing, _, row)| {
                self.finding(Class::InUnnamedCell, self.adopt(live))
                    .cell(*standing)
                    .cell(cell)
                    .detail(format!(
                        "mapped to {cell}, and its row is in {standing} in state {}",
                        state(row)
                    ))
            })
            .collect();
        let deleted_there = self.seen.cells.iter().any(|(standing, seen)| {
            *standing == cell && seen.row.as_ref().is_some_and(|row| row.deleted)
        });
        if findings.is_empty() && deleted_there {
            findings.push(self.deleted_row().cell(cell));
        } else if findings.is_empty() {
            let plan = self.where_all_is_seen(Plan::Bury);
            findings.push(
                self.finding(Class::InNoPlace, plan)
                    .cell(cell)
                    .detail(format!("mapped to {cell}, where no row stands")),
            );
        }
        findings.extend(self.request_left());
        findings
    }

    fn request_left(&self) -> Option<Finding> {
        self.seen.api.build_request.is_some().then(|| {
            self.finding(Class::BuildRequestBesideMapping, Plan::DeleteBuildRequest)
                .detail("it has its home, and its build request is left")
        })
    }

    fn at_home(
        &self,
        cell: CellUuid,
        seen: &CellSeen,
        row: &RowSeen,
        live: &[(CellUuid, &CellSeen, &RowSeen)],
    ) -> Vec<Finding> {
        let mut findings: Vec<Finding> = live
            .iter()
            .filter(|(other, ..)| *other != cell && !self.seen.intends(*other))
            .map(|(other, seen, row)| {
                let detail = format!("at home in {cell}, and a row in {other} is {}", state(row));
                self.finding(Class::InTwoCells, self.surplus(*other, seen))
                    .cell(cell)
                    .cell(*other)
                    .detail(detail)
            })
            .collect();
        if cell.is_cell0() && (row.vm_state.as_deref() != Some("error") || !seen.has_fault) {
            let fault = if seen.has_fault { "a" } else { "no" };
            findings.push(
                self.finding(Class::HalfBuried, Plan::CompleteBurial)
                    .cell(cell)
                    .detail(format!("in cell0 in state {}, with {fault} fault", state(row))),
            );
        }
        findings.extend(self.request_left());
        if !seen.has_extra || !seen.has_info_cache {
            let missing = if seen.has_extra { "instance_info_caches" } else { "instance_extra" };
            findings.push(
                self.finding(Class::HalfWritten, Plan::CompleteRows { cell })
                    .cell(cell)
                    .detail(format!("no row in {missing}")),
            );
        }
        if self.ours() && self.seen.api.boot_state.is_none() {
            findings.push(
                self.finding(Class::NoBootState, Plan::AdoptRow { cell })
                    .cell(cell)
                    .detail("a mapped instance without a boot state"),
            );
        }
        findings.extend(self.foreign_host(cell, row));
        if self.ours() {
            findings.extend(self.claim(cell, row));
        }
        findings
    }

    /// A row that is not at home is nobody's where a fence, or the epoch that was decided, is
    /// beyond the epoch that wrote it.
    fn surplus(&self, cell: CellUuid, seen: &CellSeen) -> Plan {
        let decided = self.seen.api.boot_state.and_then(|(_, decided)| decided);
        let is_stale = seen.fence.is_some_and(|(fence, written)| {
            written.is_some_and(|written| {
                written < fence || decided.is_some_and(|decided| written < decided)
            })
        });
        match is_stale {
            true => self.erase(cell, seen),
            false => Plan::ByHand {
                what: "no fence says which of the rows is the older one; delete one by hand".into(),
            },
        }
    }

    fn foreign_host(&self, cell: CellUuid, row: &RowSeen) -> Option<Finding> {
        // Its build failed, and its cell is still to be told where it goes on.
        if self.seen.intends(cell) {
            return None;
        }
        let host = row.host.as_ref()?;
        let other = self.terms.hosts.get(host).filter(|other| **other != cell)?;
        let claimed_here = self.seen.api.claim.as_ref().is_some_and(|claim| {
            claim.host != *host && self.terms.hosts.get(&claim.host) == Some(&cell)
        });
        let plan = match claimed_here {
            true => Plan::TakeHostFromClaim { cell },
            false => Plan::ByHand { what: "no claim says on which host of its cell it is".into() },
        };
        let finding = self.finding(Class::HostInAnotherCell, plan).cell(cell).cell(*other);
        Some(finding.detail(format!("in {cell}, and its host {host} is of {other}")))
    }

    fn claim(&self, cell: CellUuid, row: &RowSeen) -> Option<Finding> {
        // The same: the claim has moved, or is free.
        if self.seen.intends(cell) && !cell.is_cell0() {
            return None;
        }
        let from_row = Plan::ClaimFromRow { cell };
        match (&self.seen.api.claim, &row.host) {
            (None, Some(host)) if !cell.is_cell0() => Some(
                self.finding(Class::InstanceWithoutClaim, from_row)
                    .cell(cell)
                    .detail(format!("on host {host}, which it does not claim")),
            ),
            (Some(claim), _) if cell.is_cell0() => Some(
                self.finding(Class::ClaimWithoutInstance, Plan::FreeClaim)
                    .cell(cell)
                    .detail(format!("buried, and it claims host {}", claim.host)),
            ),
            (Some(claim), Some(host)) if claim.host != *host => {
                let class = match self.terms.capacities.contains(&claim.host) {
                    true => Class::ClaimOnAnotherHost,
                    false => Class::ClaimOfUnknownHost,
                };
                let detail = format!("on host {host}, and it claims host {}", claim.host);
                Some(self.finding(class, from_row).cell(cell).detail(detail))
            }
            (Some(claim), _) if !self.terms.capacities.contains(&claim.host) => Some(
                self.finding(
                    Class::ClaimOfUnknownHost,
                    Plan::ByHand { what: "the host must report again".into() },
                )
                .cell(cell)
                .detail(format!("its host {} has no capacity", claim.host)),
            ),
            _ => None,
        }
    }
}

fn written(seen: &CellSeen) -> Option<i64> {
    seen.fence.and_then(|(_, written)| written)
}

fn state(row: &RowSeen) -> &str {
    row.vm_state.as_deref().unwrap_or("NULL")
}
