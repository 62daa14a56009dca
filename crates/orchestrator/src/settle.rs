//! Settle: drives accepted groups to their homes, step by step.
//!
//! A group that this process accepted comes whole from memory, under the lease that accept took;
//! any other is leased (step 2) and read from the API database. An attempt that cannot end hands
//! its instances back: at once in a new epoch without the cell that failed, or later where cell0
//! itself cannot be written.

use std::collections::{BTreeSet, HashMap};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use cellzero_api_db::boot_state::{self, BootState, HandBack, Ticket};
use cellzero_api_db::{ApiConnection, boot_history, build_request, request_spec};
use cellzero_database::{DatabaseError, Deadline, transaction};
use cellzero_router::CellError;
use cellzero_types::{
    BootHistory, CellUuid, GroupUuid, Instance, InstanceUuid, RequestSpec, Verdict, VerdictReason,
};
use chrono::{NaiveDateTime, TimeDelta};
use tracing::field::{self, DisplayValue};

use crate::Orchestrator;
use crate::create::{CellWrite, written_of};
use crate::decide::Decided;
use crate::notification::{EventType, NotificationFault};
use crate::place::{Placement, Target};

/// The most groups that are taken from the API database at once.
const GROUPS_MAX: u32 = 50;
/// The most attempts at one group without a pause; then it waits like any other.
const ATTEMPTS_AT_ONCE_MAX: u32 = 8;

/// An instance on its way home: what was asked for, and the right to bring it home.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) ticket: Ticket,
    pub(crate) instance: Instance,
    pub(crate) spec: RequestSpec,
    /// How often it has waited.
    pub(crate) attempts: i32,
    /// How often the cell of a placement could not be written.
    pub(crate) placements: i32,
    /// What it brings from cell0 where it was retried, with the id of that request.
    pub(crate) history: Option<(String, BootHistory)>,
}

impl Member {
    /// Whether it was retried from cell0: then it is independent of its group.
    pub(crate) fn is_retried(&self) -> bool {
        self.history.is_some()
    }
}

/// The undecided instances of a multi-create, leased to this process.
#[derive(Debug, Clone)]
pub(crate) struct LeasedGroup {
    pub(crate) group: GroupUuid,
    pub(crate) min_count: u32,
    pub(crate) request_id: String,
    pub(crate) accepted_at: NaiveDateTime,
    pub(crate) excluded_cells: Vec<CellUuid>,
    pub(crate) members: Vec<Member>,
}

impl LeasedGroup {
    /// Its instance, where it has one alone, for the spans of its steps.
    pub(crate) fn alone(&self) -> Option<DisplayValue<InstanceUuid>> {
        match self.members.as_slice() {
            [member] => Some(field::display(member.instance.uuid)),
            _ => None,
        }
    }
}

/// What settling did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Instances that were decided into live cells.
    pub in_cells: usize,
    /// Instances that were buried in cell0.
    pub in_cell0: usize,
    /// Instances that wait: cell0 or the API database could not be written. They are taken again.
    pub waiting: usize,
    /// Instances that waited in cell0 and were taken out of it, since they may fit now.
    pub woken: usize,
    /// Instances that were deleted after their time in cell0.
    pub unwanted: usize,
    /// Effects that were handed over.
    pub dispatched: usize,
    /// Instances of which left-over rows were swept, or a delete was finished.
    pub swept: usize,
}

impl Settled {
    fn add(&mut self, other: Settled) {
        self.in_cells += other.in_cells;
        self.in_cell0 += other.in_cell0;
        self.waiting += other.waiting;
        self.woken += other.woken;
        self.unwanted += other.unwanted;
        self.dispatched += other.dispatched;
        self.swept += other.swept;
    }

    fn count(&mut self, decided: &Decided) {
        let buried = decided.values().filter(|cell| cell.is_cell0()).count();
        self.in_cell0 += buried;
        self.in_cells += decided.len() - buried;
        metrics::counter!("cellzero_decided_instances_total", "home" => "cell0")
            .increment(buried as u64);
        metrics::counter!("cellzero_decided_instances_total", "home" => "cell")
            .increment((decided.len() - buried) as u64);
    }
}

/// Settling could not go on; what is accepted stays accepted.
#[derive(Debug, thiserror::Error)]
#[error("the API database failed while accepted requests were brought home")]
pub struct SettleError(#[from] DatabaseError);

impl Orchestrator {
    /// Drives everything that is due: accepted groups to their homes, left-over rows and deletes to
    /// their end, and effects to their receivers.
    ///
    /// # Errors
    /// [`SettleError`] where the API database fails. A cell that fails is no error: what needs it
    /// waits.
    pub async fn settle(&self) -> Result<Settled, SettleError> {
        let mut settled = Settled::default();
        loop {
            self.settle_due(&mut settled).await?;
            match self.wake_waiting().await? {
                0 => break,
                woken => settled.woken += woken,
            }
        }
        settled.unwanted += self.delete_unwanted().await?;
        settled.swept += self.sweep().await?;
        settled.dispatched += self.dispatch_all().await?;
        Ok(settled)
    }

    /// Drives what is accepted here, and what is due in the API database, each group once.
    async fn settle_due(&self, settled: &mut Settled) -> Result<(), SettleError> {
        let mut tried = BTreeSet::new();
        loop {
            while let Some(group) = self.take_accepted() {
                tried.insert(group.group);
                settled.add(Box::pin(self.drive(group)).await);
            }
            let due = self.due_groups().await?;
            let due: Vec<GroupUuid> = due.into_iter().filter(|g| tried.insert(*g)).collect();
            if due.is_empty() {
                return Ok(());
            }
            for group in due {
                if let Some(leased) = self.lease(group).await? {
                    settled.add(Box::pin(self.drive(leased)).await);
                }
            }
        }
    }

    /// One bounded pass over what is due, whoever accepted it: at most fifty groups, a round of those
    /// that wait in cell0, then one pass of the sweep and of the outboxes. Any number of these may run at once.
    ///
    /// # Errors
    /// [`SettleError`] where the API database fails.
    pub async fn recover(&self) -> Result<Settled, SettleError> {
        let mut settled = Settled::default();
        for group in self.due_groups().await? {
            if let Some(leased) = self.lease(group).await? {
                settled.add(Box::pin(self.drive(leased)).await);
            }
        }
        settled.woken += self.wake_waiting().await?;
        settled.unwanted += self.delete_unwanted().await?;
        settled.swept += self.sweep().await?;
        settled.dispatched += self.dispatch_all().await?;
        Ok(settled)
    }

    /// Drives one accepted group to its home, and sends its builds.
    ///
    /// # Errors
    /// [`SettleError`] where the API database fails.
    pub async fn settle_group(&self, group: GroupUuid) -> Result<Settled, SettleError> {
        let leased = match self.take_accepted_group(group) {
            Some(leased) => Some(leased),
            None => self.lease(group).await?,
        };
        let Some(leased) = leased else { return Ok(Settled::default()) };
        Ok(Box::pin(self.drive(leased)).await)
    }

    fn take_accepted_group(&self, group: GroupUuid) -> Option<LeasedGroup> {
        let mut accepted = self.0.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let position = accepted.iter().position(|leased| leased.group == group)?;
        accepted.remove(position)
    }

    async fn due_groups(&self) -> Result<Vec<GroupUuid>, DatabaseError> {
        self.api()
            .run("find_due_groups", self.step_deadline(), |conn| {
                let now = conn.now();
                boot_state::due_groups(conn, now, GROUPS_MAX)
            })
            .await
    }

    /// Step 2: takes a waiting group in a new epoch, and reads it; none where another was faster.
    async fn lease(&self, group: GroupUuid) -> Result<Option<LeasedGroup>, DatabaseError> {
        let owner = self.0.owner.clone();
        let lease = self.lease_time();
        self.api()
            .run("lease", self.step_deadline(), move |conn| {
                transaction(conn, "lease", |conn| {
                    let now = conn.now();
                    let states = boot_state::lease(conn, group, &owner, now + lease, now)?;
                    read_group(conn, group, states)
                })
            })
            .await
    }

    /// Drives a leased group until each of its instances has a home, waits, or is no longer ours. Whoever
    /// waits for it does so in a box: its steps lie deep in one another.
    #[tracing::instrument(
        name = "settle", level = "debug", skip_all,
        fields(group = %leased.group, instance = leased.alone())
    )]
    async fn drive(&self, mut leased: LeasedGroup) -> Settled {
        let mut settled = Settled::default();
        let mut forced: HashMap<InstanceUuid, Verdict> = HashMap::new();
        for _ in 0..ATTEMPTS_AT_ONCE_MAX {
            let group = leased.group;
            match self.attempt(leased, &mut forced, &mut settled).await {
                Next::Done => return settled,
                Next::Again => {}
            }
            leased = match self.lease(group).await {
                Ok(Some(again)) => again,
                Ok(None) => return settled,
                Err(error) => {
                    tracing::warn!(%group, error = &error as &dyn std::error::Error, "group not leased again; it waits");
                    return settled;
                }
            };
        }
        settled
    }

    async fn attempt(
        &self,
        mut leased: LeasedGroup,
        forced: &mut HashMap<InstanceUuid, Verdict>,
        settled: &mut Settled,
    ) -> Next {
        self.give_up_on_cells(&leased, forced);
        let placement = match self.place(&leased, forced).await {
            Ok(placement) => placement,
            Err(error) => {
                tracing::warn!(group = %leased.group, error = &error as &dyn std::error::Error, "group not placed; it waits");
                return self.wait(&leased, settled).await;
            }
        };
        leased.members.retain(|member| placement.contains_key(&member.instance.uuid));
        let writes = self.create(&leased, &placement).await;
        let written = written_of(&writes);
        let tickets: Vec<(Ticket, CellUuid)> = leased
            .members
            .iter()
            .filter_map(|m| Some((m.ticket, *written.get(&m.instance.uuid)?)))
            .collect();
        let waits = self.waits_of(&leased.members, &placement);
        let decided = match self.decide(tickets, waits).await {
            Ok(decided) => decided,
            Err(error) => {
                tracing::warn!(group = %leased.group, error = &error as &dyn std::error::Error, "group not decided; it waits");
                return self.wait(&leased, settled).await;
            }
        };
        settled.count(&decided);
        for (instance, cell) in &decided {
            tracing::debug!(%instance, %cell, "decided");
        }
        self.tell_of_decided(&leased, &placement, &decided);
        self.dispatch_decided(&decided, settled).await;
        leased.members.retain(|member| !decided.contains_key(&member.instance.uuid));
        if leased.members.is_empty() {
            return Next::Done;
        }
        self.after_failure(leased, &writes, forced, settled).await
    }

    /// Buries those for which no cell could be written, however often another was tried.
    fn give_up_on_cells(&self, leased: &LeasedGroup, forced: &mut HashMap<InstanceUuid, Verdict>) {
        for member in &leased.members {
            let attempts = u32::try_from(member.placements).unwrap_or(0);
            if attempts >= self.0.options.placements_max {
                let verdict = Verdict::new(VerdictReason::CellUnavailable { attempts });
                forced.entry(member.instance.uuid).or_insert(verdict);
            }
        }
    }

    /// What is left of a group after some of its cells failed, refused, or lost it.
    async fn after_failure(
        &self,
        mut leased: LeasedGroup,
        writes: &[(CellUuid, CellWrite)],
        forced: &mut HashMap<InstanceUuid, Verdict>,
        settled: &mut Settled,
    ) -> Next {
        let (mut cell0_failed, mut any_failed) = (false, false);
        let mut fenced: BTreeSet<InstanceUuid> = BTreeSet::new();
        for (cell, write) in writes {
            match write {
                CellWrite::Failed(error) => {
                    tracing::warn!(%cell, error = error as &dyn std::error::Error, "cell not written");
                    any_failed = true;
                    cell0_failed |= cell.is_cell0();
                    if !cell.is_cell0() {
                        leased.excluded_cells.push(*cell);
                    }
                }
                CellWrite::Answered(written) => {
                    fenced.extend(&written.fenced);
                    any_failed |= !written.rejected.is_empty();
                    for (uuid, message) in &written.rejected {
                        tracing::warn!(%cell, instance = %uuid, %message, "instance refused by its cell");
                        cell0_failed |= cell.is_cell0();
                        let message = message.clone();
                        forced.insert(*uuid, Verdict::new(VerdictReason::Rejected { message }));
                    }
                }
            }
        }
        // A higher fence is another epoch's: those are no longer ours.
        leased.members.retain(|member| !fenced.contains(&member.instance.uuid));
        if leased.members.is_empty() {
            Next::Done
        } else if cell0_failed {
            self.wait(&leased, settled).await
        } else {
            let excluded = leased.excluded_cells.clone();
            // Where every cell has written all, the request was changed or a cell was disabled meanwhile.
            let how = match any_failed {
                true => HandBack::Without(excluded),
                false => HandBack::Again(excluded),
            };
            match self.hand_back(&leased, how).await {
                Ok(()) => Next::Again,
                Err(_) => self.wait(&leased, settled).await,
            }
        }
    }

    /// Lets a group wait: it is taken again after its back-off, by whoever is there.
    async fn wait(&self, leased: &LeasedGroup, settled: &mut Settled) -> Next {
        settled.waiting += leased.members.len();
        let attempts = leased.members.iter().map(|member| member.attempts).max().unwrap_or(0);
        let options = &self.0.options;
        let back_off =
            options.back_off.saturating_mul(1 << attempts.clamp(0, 16)).min(options.back_off_max);
        let later = HandBack::After(TimeDelta::from_std(back_off).unwrap_or(TimeDelta::MAX));
        if let Err(error) = self.hand_back(leased, later).await {
            // Then the lease runs out, and the group is taken again after it.
            tracing::warn!(group = %leased.group, error = &error as &dyn std::error::Error, "group not handed back");
        }
        Next::Done
    }

    async fn hand_back(&self, leased: &LeasedGroup, how: HandBack) -> Result<(), DatabaseError> {
        let mut by_epoch: HashMap<i64, Vec<InstanceUuid>> = HashMap::new();
        for member in &leased.members {
            by_epoch.entry(member.ticket.epoch).or_default().push(member.instance.uuid);
        }
        self.api()
            .run("hand_back", self.step_deadline(), move |conn| {
                transaction(conn, "hand_back", |conn| {
                    let now = conn.now();
                    for (epoch, uuids) in &by_epoch {
                        boot_state::hand_back(conn, uuids, *epoch, &how, now)?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Tells of each instance that was decided just now.
    fn tell_of_decided(&self, leased: &LeasedGroup, placement: &Placement, decided: &Decided) {
        for Member { instance, spec, .. } in &leased.members {
            let Some(cell) = decided.get(&instance.uuid) else { continue };
            let (event_type, host, fault) = match placement.get(&instance.uuid) {
                Some(Target::Host(selection)) => {
                    (EventType::InstanceCreateStart, Some(selection.host.clone()), None)
                }
                Some(Target::Bury(burial)) => {
                    let fault = NotificationFault::new(burial.verdict.fault_message());
                    (EventType::BuildInstancesError, None, Some(fault))
                }
                None => continue,
            };
            self.tell(event_type, instance.uuid, spec.into(), (Some(*cell), host), |payload| {
                payload.request_spec = fault.is_some().then(|| spec.into());
                payload.fault = fault;
            });
        }
    }

    async fn dispatch_decided(&self, decided: &Decided, settled: &mut Settled) {
        let cells: BTreeSet<CellUuid> =
            decided.values().filter(|cell| !cell.is_cell0()).copied().collect();
        for cell in cells {
            settled.dispatched += sent_or_later(cell, self.dispatch_cell(cell).await);
        }
    }

    /// Sends what the outboxes of all cells and of the API database hold.
    async fn dispatch_all(&self) -> Result<usize, DatabaseError> {
        let mut sent = self.dispatch_releases().await?;
        let (cells, _) = self.0.router.cells().all(self.step_deadline()).await?;
        let all = cells.iter().map(|handle| async move {
            sent_or_later(handle.uuid(), Box::pin(self.dispatch_outbox(handle)).await)
        });
        sent += futures_util::future::join_all(all).await.into_iter().sum::<usize>();
        Ok(sent)
    }

    /// Accepts nothing more, waits for accepts that run, and gives back the leases of this process,
    /// so that another may go on at once; says how many instances that were.
    ///
    /// # Errors
    /// The API database's; the leases then run out by themselves.
    pub async fn close(&self, deadline: Deadline) -> Result<usize, DatabaseError> {
        self.0.closed.store(true, Ordering::SeqCst);
        let _none_runs = self.0.accepting.write().await;
        self.hand_back_leases(deadline).await
    }

    /// Gives back the leases of this process, so that another may go on at once; says how many
    /// instances that were. What this process still works on stays right: the epoch decides, not
    /// the lease.
    ///
    /// # Errors
    /// The API database's; the leases then run out by themselves.
    pub async fn hand_back_leases(&self, deadline: Deadline) -> Result<usize, DatabaseError> {
        self.0.accepted.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let owner = self.0.owner.clone();
        self.api()
            .run("release_leases", deadline, move |conn| {
                let now = conn.now();
                boot_state::release_all(conn, &owner, now)
            })
            .await
    }
}

fn sent_or_later(cell: CellUuid, sent: Result<usize, CellError>) -> usize {
    sent.unwrap_or_else(|error| {
        tracing::warn!(%cell, error = &error as &dyn std::error::Error, "outbox not read; sent later");
        0
    })
}

enum Next {
    Done,
    Again,
}

fn read_group(
    conn: &mut ApiConnection,
    group: GroupUuid,
    states: Vec<BootState>,
) -> Result<Option<LeasedGroup>, DatabaseError> {
    let Some(first) = states.first() else { return Ok(None) };
    let (group_min, accepted_at) = (u32::try_from(first.group_min).unwrap_or(1), first.created_at);
    let uuids: Vec<InstanceUuid> = states.iter().map(|state| state.instance_uuid).collect();
    let mut instances: HashMap<InstanceUuid, Instance> =
        build_request::of_instances(conn, &uuids)?.into_iter().map(|i| (i.uuid, i)).collect();
    let mut specs: HashMap<InstanceUuid, RequestSpec> = request_spec::of_instances(conn, &uuids)?
        .into_iter()
        .map(|s| (s.instance_uuid, s))
        .collect();
    let mut histories = boot_history::of_instances(conn, &uuids)?;
    let mut excluded_cells: Vec<CellUuid> = Vec::new();
    let mut members = Vec::with_capacity(states.len());
    for state in states {
        for cell in &state.excluded_cells {
            if !excluded_cells.contains(cell) {
                excluded_cells.push(*cell);
            }
        }
        let uuid = state.instance_uuid;
        let (Some(instance), Some(spec)) = (instances.remove(&uuid), specs.remove(&uuid)) else {
            // It stays where it is, for fsck to mend; its siblings and other groups go on.
            tracing::error!(instance = %uuid, "a build request without a request spec is not settled; fsck with repair makes the spec");
            continue;
        };
        let (ticket, history) = (state.ticket(), histories.remove(&uuid));
        let (attempts, placements) = (state.attempts, state.placements);
        members.push(Member { ticket, instance, spec, attempts, placements, history });
    }
    // A retry asks for its instance alone.
    let min_count = match members.iter().all(Member::is_retried) {
        true => 1,
        false => least_of(conn, group, (group_min, members.len()))?,
    };
    let request_id = members.first().map(|m| m.spec.request_id.clone()).unwrap_or_default();
    let group = LeasedGroup { group, min_count, request_id, accepted_at, excluded_cells, members };
    Ok(Some(group))
}

/// The fewest of a group that are worth building: those that its user has deleted are not missed.
fn least_of(
    conn: &mut ApiConnection,
    group: GroupUuid,
    (group_min, leased): (u32, usize),
) -> Result<u32, DatabaseError> {
    if group_min as usize <= leased {
        return Ok(group_min);
    }
    Ok(boot_state::count_undecided(conn, group)?.min(group_min))
}
