//! Cellzero: boot instances into many cells, and lose none of them.
//!
//! A [`ControlPlane`] accepts boot requests into the API database, finds a host for each, creates
//! it in the cell of that host, and buries it in cell0 where none fits, so that show, list and
//! delete find every accepted instance by the same path.
//!
//! ```
//! use cellzero::{BootRequest, ComputeNode, Config, ControlPlane, Flavor, ListQuery, RequestContext};
//!
//! # async fn example(directory: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! let plane = ControlPlane::open(Config::embedded(directory)).await?;
//! let cell1 = plane.cells().create_embedded("cell1").await?;
//! plane.hosts().report(cell1, &ComputeNode::new("host1", 8, 16_384, 200)).await?;
//! plane.flavors().create(&Flavor::new("1", "m1.tiny", 1, 512, 1)).await?;
//!
//! let ctx = RequestContext::new("project", "user");
//! let image = "70a599e0-31e7-49b7-b260-868f441e862b";
//! let request = BootRequest::builder("web", "1", image).count(3).build()?;
//! let accepted = plane.boot(&ctx, request).await?;
//! plane.wait(&ctx, &accepted).await?;
//! let instance = plane.show(&ctx, accepted[0]).await?;
//! assert_eq!(instance.host.as_deref(), Some("host1"));
//! let page = plane.list(&ctx, &ListQuery::default().limit(100)).await?;
//! assert_eq!(page.instances.len(), 3);
//! plane.delete(&ctx, accepted[0]).await?;
//! plane.close().await?;
//! # Ok(())
//! # }
//! # let directory = tempfile::tempdir().unwrap();
//! # tokio::runtime::Runtime::new().unwrap().block_on(example(directory.path())).unwrap();
//! ```
//!
//! What an embedder owns is supplied by traits with a working default: the [`Scheduler`], the
//! [`Dispatch`] to compute hosts, the [`Notifier`], and the [`UuidSource`].

mod admin;
mod cells;
mod config;
mod databases;
mod error;
mod observed;
mod open;
mod plane;
mod server;
mod worker;

pub use admin::{
    Aggregates, Compute, ComputeService, Flavors, GroupWithMembers, Host, HostStatus, Hosts,
    Hypervisor, Hypervisors, KeyPairs, Quota, Quotas, ServerGroups, Services, Zone, ZoneHost,
};
pub use cells::{CellsAdmin, MappedCell0};
pub use config::Config;
pub use databases::Databases;
pub use error::{AdminError, CloseError, OpenError, ReadOnlyPlane, WaitError, Write};
pub use plane::{ControlPlane, PlaneCounters};
pub use worker::Workers;

pub use cellzero_api_db::aggregate::AggregateWithHosts;
pub use cellzero_api_db::boot_state::Ticket;
pub use cellzero_api_db::cell_mapping::{MappingChange, mask_passwords};
pub use cellzero_api_db::host_capacity::HostCapacity;
pub use cellzero_api_db::instance_group::InstanceGroup;
pub use cellzero_api_db::quota::{LimitSource, QuotaLimits, QuotaResource, Usage};
pub use cellzero_api_db::waiting::WaitingState;
pub use cellzero_api_db::{ApiDatabase, CellMapping};
pub use cellzero_cell_db::CellDatabase;
pub use cellzero_database::{
    Backend, Counters, DatabaseError, DatabaseState, DatabaseUrl, Deadline, Difference, Durability,
    ErrorKind, Fit, Identity, Migrated, Options, Recorded, Schema, UrlError, create_database,
    drop_database,
};
pub use cellzero_orchestrator::{
    Accepted, ActionError, ActionOperation, ArchiveError, ArchiveOptions, ArchiveReport,
    AutoRetryOptions, BootError, BuildOperation, Check, Class, CreateCellError, DeleteCellError,
    DeleteError, DestroyOperation, DiscoverOptions, DiscoveredHost, Discovery, Dispatch,
    DispatchError, Dispatched, Dump, DuplicateHost, EventType, ExplainError, Explanation,
    FindCellError, Finding, FsckError, FsckOptions, FsckReport, HostError, InProcessDispatch,
    Level, MapError, MapOptions, Mapped, NewCell, Notification, NotificationFault,
    NotificationPayload, Notifier, OrchestratorOptions, Plan, PlaneDatabase, PlaneState, Priority,
    Progress, PurgeOptions, PurgeReport, RebuildFrom, ReleaseOperation, Removal, RemovedCell,
    Repair, ReportError, RequestSpecSummary, RetryError, SchemaError, SettleError, Settled,
    ShownDatabase, Since, StatusOptions, StatusReport, SyncReport, SyncedDatabase, SystemUuids,
    TagsChanged, TracingNotifier, UpdateCellError, UuidSource, WhatIf,
};
pub use cellzero_router::{
    BreakerOptions, BuriedAs, BuriedGroup, Cell0Report, CellAnswered, CellError, CellReport,
    Clearance, DownCells, InstanceCount, InstanceCounts, InstanceUsage, Page, ProjectUsage,
    ReadError, SkipReason, TriageError, UsageQuery, Usages, Whereabouts,
};
pub use cellzero_scheduler::{
    Aggregate, Decision, FilterSchedulerOptions, GroupPolicy, HostState, Scheduler, SchedulerError,
    SelectOptions, SelectRequest, Selection, ServerGroup, Snapshot,
};
pub use cellzero_types::*;
