//! Automatic retry: what is buried and wants it comes back once it may fit.
//!
//! An instance enters the waiting index in the transaction that buries it, and leaves it in the one
//! that decides it into a live cell. In rounds, the classes that may fit are compared with what is
//! free, by the scheduler and without a write; of the first that fits as many are woken as are its
//! project's share, by the same transaction as a user's retry. So a user's delete wins, nothing is
//! retried twice at once, and one freed slot wakes one. While some are on their way no round begins.
//!
//! See [`waiting`] for why no change of capacity is missed.

mod asked;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use cellzero_api_db::host_capacity::{self, ChangedHost};
use cellzero_api_db::waiting::{self, DueClass, NewWaiting, Waiting, WaitingClass};
use cellzero_api_db::{ApiConnection, request_spec};
use cellzero_database::DatabaseError;
use cellzero_scheduler::{SchedulerError, SelectRequest};
use cellzero_types::{
    CellUuid, GroupUuid, InstanceUuid, RequestContext, RequestSpec, Resources, Verdict,
    VerdictReason,
};
use chrono::{NaiveDateTime, TimeDelta};
use futures_util::stream::{self, StreamExt};
use uuid::Uuid;

use crate::accept::BootError;
use crate::decide::Decided;
use crate::place::{Placement, Target};
use crate::settle::Member;
use crate::{Orchestrator, RetryError};

/// How many are taken out of cell0 at once.
const WAKES_AT_ONCE: usize = 8;

/// For how long those on their way hold up the next round; they are settled long before, or stuck.
const ON_ITS_WAY: TimeDelta = TimeDelta::seconds(60);

/// Longer times are cut to this: what every backend can store, counted from now.
const TIME_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What an operator may set of automatic retry. Who wants it is said by the request, else by the
/// quota `auto_retry` of its project, else by [`OrchestratorOptions::quota`].
///
/// [`OrchestratorOptions::quota`]: crate::OrchestratorOptions::quota
#[derive(Debug, Clone)]
pub struct AutoRetryOptions {
    /// How long an instance waits, from its burial on.
    pub expires_after: Duration,
    /// How long one that came back, or whose quota is short, is left alone; doubled with each time.
    pub back_off: Duration,
    /// The longest such time.
    pub back_off_max: Duration,
    /// The most that a round wakes.
    pub round_max: u32,
}

impl Default for AutoRetryOptions {
    fn default() -> AutoRetryOptions {
        AutoRetryOptions {
            expires_after: Duration::from_secs(24 * 60 * 60),
            back_off: Duration::from_secs(1),
            back_off_max: Duration::from_secs(600),
            round_max: 50,
        }
    }
}

/// What becomes of the waiting index with the decision about a group.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waits {
    /// Those that wait once they are buried.
    enter: HashMap<InstanceUuid, NewWaitingTerms>,
    /// Those that may wait already.
    retried: BTreeSet<InstanceUuid>,
    back_off: Duration,
    back_off_max: Duration,
}

#[derive(Debug, Clone)]
struct NewWaitingTerms {
    class: WaitingClass,
    expires_after: TimeDelta,
}

/// How a comparison of a class ended.
enum Compared {
    /// Nothing of it fits, or nothing of it is left.
    Nothing,
    /// So many were taken out of cell0.
    Woken(usize),
    /// It cannot be said now.
    Unknown,
}

/// What a round is about.
struct Round {
    changed: Vec<ChangedHost>,
    classes: Vec<DueClass>,
}

impl Orchestrator {
    /// One round: takes out of cell0 what fits now of the project that was served longest ago; says
    /// how many that were. One statement where nothing waits at all. Otherwise 7, and for each class
    /// 3 and the question to the scheduler.
    ///
    /// # Errors
    /// The API database's. What was not looked at is looked at in the next round.
    pub async fn wake_waiting(&self) -> Result<usize, DatabaseError> {
        let Some(round) = self.begin_round().await? else { return Ok(0) };
        let projects: BTreeSet<&String> = round.classes.iter().map(|c| &c.project_id).collect();
        let mut is_whole = true;
        for class in &round.classes {
            match self.compare(class, projects.len()).await? {
                Compared::Woken(count) => {
                    metrics::counter!("cellzero_woken_instances_total").increment(count as u64);
                    return Ok(count);
                }
                Compared::Nothing => {}
                Compared::Unknown => is_whole = false,
            }
        }
        if is_whole && !round.changed.is_empty() {
            let note = move |conn: &mut _| host_capacity::note_served(conn, &round.changed);
            self.api().run("note_served", self.step_deadline(), note).await?;
        }
        Ok(0)
    }

    /// None where there is nothing to do, or others are on their way.
    async fn begin_round(&self) -> Result<Option<Round>, DatabaseError> {
        let begin = |conn: &mut ApiConnection| {
            if !waiting::any(conn)? {
                return Ok(None);
            }
            let now = conn.now();
            waiting::keep_house(conn, now)?;
            if waiting::any_on_its_way(conn, now - ON_ITS_WAY)? {
                return Ok(None);
            }
            // First the changes: what happens to a host from now on stands for the next round.
            let changed = host_capacity::changed(conn)?;
            let classes = waiting::due_classes(conn, most_free(&changed))?;
            Ok::<_, DatabaseError>(Some(Round { changed, classes }))
        };
        self.api().run("find_waiting", self.step_deadline(), begin).await
    }

    async fn compare(&self, class: &DueClass, projects: usize) -> Result<Compared, DatabaseError> {
        let (uuid, most) = (class.uuid, self.0.options.auto_retry.round_max.max(1));
        let read = move |conn: &mut _| {
            // Those that are put to sleep are read before the hosts are.
            let compared = waiting::to_compare(conn, uuid)?;
            let oldest = waiting::oldest_of(conn, uuid, most)?;
            let first: Vec<InstanceUuid> =
                oldest.first().map(|waiting| waiting.instance_uuid).into_iter().collect();
            let spec = request_spec::of_instances(conn, &first)?.pop();
            Ok::<_, DatabaseError>((compared, oldest, spec))
        };
        let (compared, oldest, spec) =
            self.api().run("read_waiting", self.step_deadline(), read).await?;
        let Some(spec) = spec else { return Ok(Compared::Nothing) };
        let fit = match self.count_fitting(&spec, &oldest).await {
            Ok(fit) => fit,
            Err(SchedulerError::Database(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "those that wait were not compared"
                );
                return Ok(Compared::Unknown);
            }
        };
        if fit == 0 {
            let sleep = move |conn: &mut ApiConnection| {
                let now = conn.now();
                waiting::put_to_sleep(conn, &compared, now)
            };
            self.api().run("put_to_sleep", self.step_deadline(), sleep).await?;
            return Ok(Compared::Nothing);
        }
        let share = fit.div_ceil(projects.max(1));
        let chosen: Vec<InstanceUuid> =
            oldest.into_iter().take(share).map(|waiting| waiting.instance_uuid).collect();
        self.wake(class, chosen).await
    }

    /// How many of them fit now, by the scheduler.
    async fn count_fitting(
        &self,
        spec: &RequestSpec,
        oldest: &[Waiting],
    ) -> Result<usize, SchedulerError> {
        let of = |waiting: &Waiting| RequestSpec {
            instance_uuid: waiting.instance_uuid,
            ..spec.clone()
        };
        let specs = oldest.iter().map(of).collect();
        let request =
            SelectRequest::without_claims(GroupUuid(Uuid::nil()), specs, self.step_deadline());
        let answers = self.0.scheduler.select_destinations(&request).await?;
        Ok(answers.iter().filter(|answer| answer.is_ok()).count())
    }

    async fn wake(
        &self,
        class: &DueClass,
        chosen: Vec<InstanceUuid>,
    ) -> Result<Compared, DatabaseError> {
        let project = class.project_id.clone();
        let note = move |conn: &mut ApiConnection| {
            let now = conn.now();
            waiting::served(conn, &project, now)
        };
        self.api().run("note_project_served", self.step_deadline(), note).await?;
        let wakes = chosen.into_iter().map(|uuid| self.wake_one(uuid));
        let woken: Vec<bool> = stream::iter(wakes).buffer_unordered(WAKES_AT_ONCE).collect().await;
        match woken.into_iter().filter(|woken| *woken).count() {
            0 => Ok(Compared::Unknown),
            count => Ok(Compared::Woken(count)),
        }
    }

    /// Whether it was taken out of cell0. Where its quota is short it is left alone for a while.
    async fn wake_one(&self, uuid: InstanceUuid) -> bool {
        let ctx = RequestContext::admin().with_timeout(self.0.options.step_timeout);
        let ended = match self.retry(&ctx, uuid).await {
            Ok(_) => return true,
            Err(RetryError::Refused(BootError::QuotaExceeded { .. })) => {
                self.leave_alone(uuid).await
            }
            Err(RetryError::InstanceNotFound { .. }) => {
                let forget = move |conn: &mut _| waiting::forget(conn, &[uuid]);
                self.api().run("forget_waiting", self.step_deadline(), forget).await
            }
            // Somebody else was faster, or a database failed: the next round finds out.
            Err(error) => {
                tracing::debug!(instance = %uuid, error = &error as &dyn std::error::Error, "not woken");
                Ok(())
            }
        };
        if let Err(error) = ended {
            tracing::warn!(instance = %uuid, error = &error as &dyn std::error::Error, "not woken");
        }
        false
    }

    async fn leave_alone(&self, uuid: InstanceUuid) -> Result<(), DatabaseError> {
        let options = self.0.options.auto_retry.clone();
        let leave = move |conn: &mut ApiConnection| {
            let now = conn.now();
            let attempts = waiting::attempts(conn, &[uuid])?.remove(&uuid).unwrap_or(0);
            let wait = back_off(options.back_off, options.back_off_max, attempts);
            waiting::back_off(conn, uuid, now + wait, now)
        };
        self.api().run("leave_waiting_alone", self.step_deadline(), leave).await
    }

    /// Deletes what nobody has wanted for longer than it is kept; says how many that were.
    ///
    /// # Errors
    /// The API database's.
    pub(crate) async fn delete_unwanted(&self) -> Result<usize, DatabaseError> {
        let Some(kept) = self.0.options.buried_retention else { return Ok(0) };
        let kept = delta(kept);
        let most = self.0.options.auto_retry.round_max.max(1);
        let find = move |conn: &mut ApiConnection| {
            let before = conn.now() - kept;
            waiting::unwanted(conn, before, most)
        };
        let unwanted = self.api().run("find_unwanted", self.step_deadline(), find).await?;
        let ctx = RequestContext::admin().with_timeout(self.0.options.step_timeout);
        let mut deleted = 0;
        for uuid in unwanted {
            match self.delete(&ctx, uuid).await {
                Ok(()) => deleted += 1,
                Err(error) => {
                    tracing::warn!(instance = %uuid, error = &error as &dyn std::error::Error, "not deleted after its time in cell0");
                }
            }
        }
        Ok(deleted)
    }

    /// What becomes of the waiting index once these are decided.
    pub(crate) fn waits_of(&self, members: &[Member], placement: &Placement) -> Waits {
        let options = &self.0.options.auto_retry;
        let expires_after = delta(options.expires_after);
        let wants = members.iter().filter(|member| member.spec.auto_retry);
        let enter = wants.filter_map(|member| {
            let uuid = member.instance.uuid;
            match placement.get(&uuid) {
                Some(Target::Bury(burial)) if may_change(&burial.verdict) => {
                    Some((uuid, NewWaitingTerms { class: class_of(&member.spec), expires_after }))
                }
                _ => None,
            }
        });
        Waits {
            enter: enter.collect(),
            retried: members
                .iter()
                .filter(|member| member.is_retried())
                .map(|member| member.instance.uuid)
                .collect(),
            back_off: options.back_off,
            back_off_max: options.back_off_max,
        }
    }
}

impl Waits {
    /// To be called in the transaction that decides. No statement for a group that was not retried
    /// and does not wait.
    pub(crate) fn note(
        &self,
        conn: &mut ApiConnection,
        decided: &Decided,
        now: NaiveDateTime,
    ) -> Result<(), DatabaseError> {
        let (came_back, at_home): (Vec<InstanceUuid>, Vec<InstanceUuid>) = self
            .retried
            .iter()
            .filter(|uuid| decided.contains_key(uuid))
            .partition(|uuid| decided[uuid].is_cell0());
        waiting::forget(conn, &at_home)?;
        let waits = waiting::attempts(conn, &came_back)?;
        for (uuid, attempts) in &waits {
            let wait = back_off(self.back_off, self.back_off_max, *attempts);
            waiting::back_off(conn, *uuid, now + wait, now)?;
        }
        let is_buried = |uuid: &InstanceUuid| decided.get(uuid).is_some_and(CellUuid::is_cell0);
        let mut new: Vec<NewWaiting> = self
            .enter
            .iter()
            .filter(|(uuid, _)| is_buried(uuid) && !waits.contains_key(uuid))
            .map(|(uuid, terms)| NewWaiting {
                instance_uuid: *uuid,
                class: terms.class.clone(),
                expires_at: now + terms.expires_after,
            })
            .collect();
        new.sort_by_key(|waiting| waiting.instance_uuid);
        waiting::enter(conn, &new, now)
    }
}

/// Whether capacity can change what was decided. One of too small a group would come back alone.
fn may_change(verdict: &Verdict) -> bool {
    !matches!(verdict.reason, VerdictReason::MinCountNotMet { .. })
}

fn back_off(first: Duration, longest: Duration, attempts: i32) -> TimeDelta {
    delta(first.saturating_mul(1 << attempts.clamp(0, 20)).min(longest))
}

fn delta(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time.min(TIME_MAX)).unwrap_or(TimeDelta::MAX)
}

/// The most of each that a changed host has left; none where no host has changed.
fn most_free(changed: &[ChangedHost]) -> Option<Resources> {
    changed.iter().map(|host| host.free).reduce(|a, b| Resources {
        vcpus: a.vcpus.max(b.vcpus),
        memory_mb: a.memory_mb.max(b.memory_mb),
        disk_gb: a.disk_gb.max(b.disk_gb),
    })
}

/// All that the scheduler looks at, and the project.
fn class_of(spec: &RequestSpec) -> WaitingClass {
    let looked_at = serde_json::json!([
        spec.project_id,
        spec.flavor.vcpus,
        spec.resources().memory_mb,
        spec.resources().disk_gb,
        spec.flavor.extra_specs,
        spec.availability_zone,
        spec.force_host,
        spec.server_group,
        spec.scheduler_hints,
        spec.image,
    ]);
    WaitingClass {
        uuid: Verdict::uuid_of(&looked_at.to_string()),
        project_id: spec.project_id.clone(),
        resources: spec.resources(),
    }
}
