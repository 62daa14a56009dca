//! The boot: accept, place, create in a cell or bury in cell0, decide, dispatch, delete.
//!
//! The API database is the only place where an instance's home is decided. Cells are written
//! before the decision that makes the write visible, and swept after it. The steps, each one
//! transaction in one database:
//!
//! | step | module | database | what it does |
//! |---|---|---|---|
//! | 1 accept | [`accept`] | API | checks quota; request specs, build requests, instance mappings without a cell, boot states with the first lease |
//! | 2 lease | [`settle`] | API | takes a waiting group in a new epoch |
//! | 3 place | [`place`] | API | the group's verdict, all claims, one intent for each instance |
//! | 4 write | [`create`] | each target cell | raises fences and writes every instance whole; in cell0 with its fault |
//! | 5 decide | [`decide`] | API | maps the instances to the cell and deletes their build requests |
//! | 6 sweep | [`sweep`] | cells, API | erases what other intents left, finishes deletes |
//! | 7 dispatch | [`dispatch`] | cells, API | sends what the outboxes hold |
//!
//! [`operation`] has the effects that are sent and the [`Dispatch`] that takes them; [`delete`],
//! [`retry`], [`action`], [`rebuild`], [`lock`] and [`change`] are what users ask for later, [`report`]
//! is what hosts say, and [`reschedule`] what follows where they could not build. [`explain`] says of a
//! burial whether it would still be one, and [`auto_retry`] retries what fits by now.
//! [`discover`], [`remove_host`] and [`map_instances`] are how the hosts and the instances of a cell
//! that others filled come into the plane, and how hosts leave it. [`setup`] and [`cell_change`] make,
//! change and remove cells, [`sync`] migrates all databases.
//! [`fsck`] checks what these steps promise, and repairs it; [`status`] checks what they stand on;
//! [`archive`] moves what was deleted out of the way. [`notification`] tells whoever listens.
//!
//! This is the only crate that writes to two databases in one operation.

pub mod accept;
pub mod action;
pub mod archive;
pub mod auto_retry;
pub mod basis;
pub mod cell_change;
pub mod change;
pub mod create;
pub mod decide;
pub mod delete;
pub mod discover;
pub mod dispatch;
pub mod explain;
pub mod fsck;
pub mod lock;
pub mod map_instances;
pub mod notification;
pub mod operation;
pub mod place;
pub mod rebuild;
pub mod remove_host;
pub mod report;
pub mod reschedule;
pub mod retry;
pub mod settle;
pub mod setup;
pub mod status;
pub mod sweep;
pub mod sync;

pub use accept::{Accepted, BootError};
pub use action::ActionError;
pub use archive::{
    ArchiveError, ArchiveOptions, ArchiveReport, Progress, PurgeOptions, PurgeReport,
};
pub use auto_retry::AutoRetryOptions;
pub use cell_change::{
    DeleteCellError, FindCellError, Removal, RemovedCell, UpdateCellError, find_cell,
};
pub use change::TagsChanged;
pub use delete::DeleteError;
pub use discover::{DiscoverOptions, DiscoveredHost, Discovery, DuplicateHost};
pub use explain::{ExplainError, Explanation, Since, WhatIf};
pub use fsck::{Class, Dump, Finding, FsckError, FsckOptions, FsckReport, Plan, Repair};
pub use map_instances::{MapError, MapOptions, Mapped};
pub use notification::{
    EventType, Notification, NotificationFault, NotificationPayload, Notifier, Priority,
    RequestSpecSummary, TracingNotifier,
};
pub use operation::{
    ActionOperation, BuildOperation, DestroyOperation, Dispatch, DispatchError, Dispatched,
    InProcessDispatch, RebuildFrom, ReleaseOperation,
};
pub use report::{HostError, ReportError};
pub use retry::RetryError;
pub use settle::{SettleError, Settled};
pub use setup::{CreateCellError, NewCell};
pub use status::{Check, Level, StatusOptions, StatusReport};
pub use sync::{PlaneDatabase, PlaneState, SchemaError, ShownDatabase, SyncReport, SyncedDatabase};

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cellzero_api_db::ApiDatabase;
use cellzero_api_db::quota::QuotaLimits;
use cellzero_router::Router;
use cellzero_scheduler::Scheduler;
use cellzero_types::InstanceUuid;
use uuid::Uuid;

use settle::LeasedGroup;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct OrchestratorOptions {
    /// How long a lease holds; then another orchestrator may take the group.
    pub lease: Duration,
    /// How often an instance is placed anew because its cell could not be written, before it is
    /// buried with that reason.
    pub placements_max: u32,
    /// How long a group waits after an attempt that could not end; doubled with each, up to
    /// [`Self::back_off_max`].
    pub back_off: Duration,
    /// The longest such wait.
    pub back_off_max: Duration,
    /// How long an effect waits after it could not be sent.
    pub resend_after: Duration,
    /// How long one step may take.
    pub step_timeout: Duration,
    /// How many accepted instances wait in the memory of their process for a worker there. Beyond
    /// that, and where no worker runs, they are taken from the API database when their lease is over.
    pub accepted_max: usize,
    /// A host that reports after so long a silence may have been taken for down meanwhile, so that
    /// its return counts as capacity that came. A plane takes no more than
    /// `FilterSchedulerOptions::service_down_after` for it.
    pub host_silent_after: Duration,
    /// The limits of a project that has none of its own, and whether what is buried is retried by
    /// itself, where neither request nor project say.
    pub quota: QuotaLimits,
    /// How what is buried is retried by itself.
    pub auto_retry: AutoRetryOptions,
    /// How long a buried instance is kept that waits for nothing; then it is deleted. Without a limit
    /// by default.
    pub buried_retention: Option<Duration>,
    /// The name of this process in faults and events.
    pub host: String,
}

impl Default for OrchestratorOptions {
    fn default() -> OrchestratorOptions {
        OrchestratorOptions {
            lease: Duration::from_secs(60),
            placements_max: 3,
            back_off: Duration::from_millis(500),
            back_off_max: Duration::from_secs(60),
            resend_after: Duration::from_secs(1),
            step_timeout: Duration::from_secs(30),
            accepted_max: 10_000,
            host_silent_after: Duration::from_secs(60),
            quota: QuotaLimits::default(),
            auto_retry: AutoRetryOptions::default(),
            buried_retention: None,
            host: "cellzero".to_owned(),
        }
    }
}

/// Where uuids come from, so that a run can be replayed.
pub trait UuidSource: std::fmt::Debug + Send + Sync {
    /// A new uuid of an instance: version 4, as clients expect.
    fn instance(&self) -> Uuid;
    /// A new uuid of a row of ours: version 7.
    fn row(&self) -> Uuid;
}

/// The operating system's randomness and clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemUuids;

impl UuidSource for SystemUuids {
    fn instance(&self) -> Uuid {
        Uuid::new_v4()
    }

    fn row(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Brings accepted requests to their homes.
#[derive(Debug, Clone)]
pub struct Orchestrator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api: ApiDatabase,
    router: Router,
    scheduler: Arc<dyn Scheduler>,
    dispatch: Arc<dyn Dispatch>,
    notifiers: Vec<Arc<dyn Notifier>>,
    uuids: Arc<dyn UuidSource>,
    options: OrchestratorOptions,
    /// Whom leases name: this process.
    owner: String,
    /// Groups that this process has accepted and leased, whole: what spares their reading back.
    accepted: Mutex<VecDeque<LeasedGroup>>,
    wake: tokio::sync::Notify,
    /// Held by every accept that runs, so that closing can wait for them.
    accepting: Arc<tokio::sync::RwLock<()>>,
    closed: AtomicBool,
    claim_conflicts: AtomicU64,
    /// The last intent of a pass of the sweep that did not reach the end.
    swept: Mutex<Option<(InstanceUuid, i64)>>,
}

impl Orchestrator {
    /// An orchestrator over this API database and the cells that `router` reaches.
    pub fn new(
        api: ApiDatabase,
        router: Router,
        scheduler: Arc<dyn Scheduler>,
        dispatch: Arc<dyn Dispatch>,
        notifiers: Vec<Arc<dyn Notifier>>,
        uuids: Arc<dyn UuidSource>,
        options: OrchestratorOptions,
    ) -> Orchestrator {
        let owner = uuids.row().to_string();
        // So that it is known to be none before the first.
        metrics::counter!("cellzero_claim_conflicts_total").increment(0);
        Orchestrator(Arc::new(Inner {
            api,
            router,
            scheduler,
            dispatch,
            notifiers,
            uuids,
            options,
            owner,
            accepted: Mutex::default(),
            wake: tokio::sync::Notify::new(),
            accepting: Arc::default(),
            closed: AtomicBool::new(false),
            claim_conflicts: AtomicU64::new(0),
            swept: Mutex::default(),
        }))
    }

    /// How often a claim found its host taken by a faster scheduler, since the start.
    pub fn claim_conflicts(&self) -> u64 {
        self.0.claim_conflicts.load(Ordering::Relaxed)
    }

    /// The limits of a project for which neither it nor its class says anything.
    pub fn quota_fallback(&self) -> QuotaLimits {
        self.0.options.quota
    }

    /// Ends when there is something to settle: a worker waits for it.
    pub async fn woken(&self) {
        self.0.wake.notified().await;
    }

    fn api(&self) -> &ApiDatabase {
        &self.0.api
    }

    fn step_deadline(&self) -> cellzero_database::Deadline {
        cellzero_database::Deadline::after(self.0.options.step_timeout)
    }

    /// How long a lease holds, on a group or on effects that are being sent.
    fn lease_time(&self) -> chrono::TimeDelta {
        chrono::TimeDelta::from_std(self.0.options.lease).unwrap_or(chrono::TimeDelta::MAX)
    }

    fn resend_after(&self) -> chrono::TimeDelta {
        chrono::TimeDelta::from_std(self.0.options.resend_after).unwrap_or(chrono::TimeDelta::MAX)
    }

    fn hand_over(&self, group: LeasedGroup) {
        let mut accepted = self.0.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting: usize = accepted.iter().map(|group| group.members.len()).sum();
        if waiting + group.members.len() <= self.0.options.accepted_max {
            accepted.push_back(group);
        }
        drop(accepted);
        self.0.wake.notify_one();
    }

    fn take_accepted(&self) -> Option<LeasedGroup> {
        self.0.accepted.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}
