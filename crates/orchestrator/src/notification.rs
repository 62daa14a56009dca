//! Notifications: what became of instances, for whoever listens, as structured events with Nova's
//! names.
//!
//! One is sent at most once, by the process that has just committed what it tells of: after the
//! commit, so that none tells of what never was; and never again, so that one that a process had no
//! time to send is lost with it. Nothing waits for a listener: [`Notifier::notify`] returns at once.
//! What must not be missed is in the databases: list, show and actions have it.
//!
//! None holds a password, user data or metadata.

use std::fmt;

use cellzero_api_db::instance_mapping;
use cellzero_cell_db::action;
use cellzero_router::CellHandle;
use cellzero_types::{CellUuid, InstanceUuid, RequestSpec};
use chrono::{NaiveDateTime, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::Orchestrator;
use crate::create::FAULT_CODE;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventType {
    /// An instance was buried in cell0, since no host was found for it.
    BuildInstancesError,
    /// An instance has its host, which is told to build it.
    InstanceCreateStart,
    /// A host has built an instance.
    InstanceCreateEnd,
    /// A host could not build an instance; where there is an alternate, a start follows for it.
    InstanceCreateError,
    /// The delete of an instance was decided.
    InstanceDeleteStart,
    /// Nothing of a deleted instance is left: its host has destroyed it, or it had none.
    InstanceDeleteEnd,
}

impl EventType {
    /// All of them.
    pub const ALL: [EventType; 6] = [
        EventType::BuildInstancesError,
        EventType::InstanceCreateStart,
        EventType::InstanceCreateEnd,
        EventType::InstanceCreateError,
        EventType::InstanceDeleteStart,
        EventType::InstanceDeleteEnd,
    ];

    /// The name that Nova's versioned notifications have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::BuildInstancesError => "compute_task.build_instances.error",
            EventType::InstanceCreateStart => "instance.create.start",
            EventType::InstanceCreateEnd => "instance.create.end",
            EventType::InstanceCreateError => "instance.create.error",
            EventType::InstanceDeleteStart => "instance.delete.start",
            EventType::InstanceDeleteEnd => "instance.delete.end",
        }
    }

    /// How urgent it is, by its name.
    pub fn priority(self) -> Priority {
        match self {
            EventType::BuildInstancesError | EventType::InstanceCreateError => Priority::Error,
            _ => Priority::Info,
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// How urgent a notification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Priority {
    /// In the course of things.
    Info,
    /// Something failed.
    Error,
}

impl Priority {
    /// In lower case: the end of a routing key.
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Info => "info",
            Priority::Error => "error",
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notification {
    /// Its own id.
    pub message_id: Uuid,
    /// What happened.
    pub event_type: EventType,
    /// How urgent it is.
    pub priority: Priority,
    /// Who says it: `cellzero:` and the host of this process.
    pub publisher_id: String,
    /// When it happened, UTC.
    pub timestamp: NaiveDateTime,
    /// What it happened to.
    pub payload: NotificationPayload,
}

/// What a notification is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotificationPayload {
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Its project.
    pub project_id: String,
    /// Its user.
    pub user_id: Option<String>,
    /// The id of the request that led to it, where it is known: not where a host reports the end of a
    /// delete.
    pub request_id: Option<String>,
    /// Its cell; none where it was deleted while it had none.
    pub cell: Option<CellUuid>,
    /// Its host, where there is one.
    pub host: Option<String>,
    /// What failed.
    pub fault: Option<NotificationFault>,
    /// What the scheduler was asked, of one that was buried.
    pub request_spec: Option<RequestSpecSummary>,
}

/// Why an instance failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotificationFault {
    /// 500 when the system failed, otherwise an HTTP status.
    pub code: i32,
    /// What its user may read.
    pub message: String,
}

impl NotificationFault {
    pub(crate) fn new(message: impl Into<String>) -> NotificationFault {
        NotificationFault { code: FAULT_CODE, message: message.into() }
    }
}

/// What the scheduler was asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RequestSpecSummary {
    /// The flavor's id.
    pub flavorid: String,
    /// Virtual CPUs.
    pub vcpus: i32,
    /// Memory, in MiB.
    pub memory_mb: i32,
    /// The root disk, in GiB.
    pub root_gb: i32,
    /// The image; none when it boots from a volume.
    pub image: Option<Uuid>,
    /// The zone that was asked for.
    pub availability_zone: Option<String>,
    /// How many instances the request has.
    pub num_instances: u32,
}

impl From<&RequestSpec> for RequestSpecSummary {
    fn from(spec: &RequestSpec) -> RequestSpecSummary {
        RequestSpecSummary {
            flavorid: spec.flavor.flavorid.clone(),
            vcpus: spec.flavor.vcpus,
            memory_mb: spec.flavor.memory_mb,
            root_gb: spec.flavor.root_gb,
            image: spec.image,
            availability_zone: spec.availability_zone.clone(),
            num_instances: spec.num_instances,
        }
    }
}

/// Who listens. A plane has any number of them, by default none.
pub trait Notifier: fmt::Debug + Send + Sync {
    /// Takes a notification. It must return at once: a boot waits for it. What cannot be taken is
    /// dropped, and counted.
    fn notify(&self, notification: &Notification);
}

/// Listens by writing each notification to the log, at level INFO, or WARN where something failed.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingNotifier;

impl Notifier for TracingNotifier {
    fn notify(&self, notification: &Notification) {
        let payload = &notification.payload;
        let cell = payload.cell.map(|cell| cell.to_string()).unwrap_or_default();
        macro_rules! write {
            ($level:ident) => {
                tracing::$level!(
                    target: "cellzero::notification",
                    event_type = notification.event_type.as_str(),
                    message_id = %notification.message_id,
                    instance = %payload.instance_uuid,
                    project = payload.project_id,
                    user = payload.user_id,
                    request = payload.request_id,
                    cell,
                    host = payload.host,
                    fault = payload.fault.as_ref().map(|fault| fault.message.as_str()),
                    "notification"
                )
            };
        }
        match notification.priority {
            Priority::Info => write!(info),
            Priority::Error => write!(warn),
        }
    }
}

/// Whose instance it is, and which request led to what is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owner {
    pub(crate) project_id: String,
    pub(crate) user_id: Option<String>,
    pub(crate) request_id: Option<String>,
}

impl From<&RequestSpec> for Owner {
    fn from(spec: &RequestSpec) -> Owner {
        Owner {
            project_id: spec.project_id.clone(),
            user_id: Some(spec.user_id.clone()),
            request_id: Some(spec.request_id.clone()),
        }
    }
}

impl From<(String, Option<String>)> for Owner {
    fn from((project_id, user_id): (String, Option<String>)) -> Owner {
        Owner { project_id, user_id, request_id: None }
    }
}

/// Where it lives: its cell and its host.
pub(crate) type Place = (Option<CellUuid>, Option<String>);

impl Orchestrator {
    /// Whether anybody listens. What only a notification needs is not read otherwise.
    pub(crate) fn has_listeners(&self) -> bool {
        !self.0.notifiers.is_empty()
    }

    /// Tells all who listen.
    pub(crate) fn tell(
        &self,
        event_type: EventType,
        instance_uuid: InstanceUuid,
        owner: Owner,
        (cell, host): Place,
        fill: impl FnOnce(&mut NotificationPayload),
    ) {
        if !self.has_listeners() {
            return;
        }
        let Owner { project_id, user_id, request_id } = owner;
        let mut payload = NotificationPayload {
            instance_uuid,
            project_id,
            user_id,
            request_id,
            cell,
            host,
            fault: None,
            request_spec: None,
        };
        fill(&mut payload);
        let notification = Notification {
            message_id: self.0.uuids.row(),
            event_type,
            priority: event_type.priority(),
            publisher_id: format!("cellzero:{}", self.0.options.host),
            timestamp: Utc::now().naive_utc(),
            payload,
        };
        metrics::counter!("cellzero_notifications_total", "event_type" => event_type.as_str())
            .increment(1);
        for notifier in &self.0.notifiers {
            notifier.notify(&notification);
        }
    }

    /// The same of an instance that a host reports about, whose owner its cell knows. One statement
    /// more there, where anybody listens; where it fails, nobody is told.
    pub(crate) async fn tell_of_report(
        &self,
        event_type: EventType,
        handle: &CellHandle,
        (uuid, host): (InstanceUuid, &str),
        fill: impl FnOnce(&mut NotificationPayload) + Send,
    ) {
        if !self.has_listeners() {
            return;
        }
        let read = handle
            .ask("read_owner", self.step_deadline(), move |conn| action::making_of(conn, uuid))
            .await;
        let owner = match read {
            Ok(making) => making.map(|(request_id, project_id, user_id)| Owner {
                project_id: project_id.unwrap_or_default(),
                user_id,
                request_id,
            }),
            Err(error) => {
                tracing::debug!(instance = %uuid, error = &error as &dyn std::error::Error, "nobody is told");
                return;
            }
        };
        let place = (Some(handle.uuid()), Some(host.to_owned()));
        self.tell(event_type, uuid, owner.unwrap_or_default(), place, fill);
    }

    /// Tells that a host has destroyed an instance. One statement in the API database, where anybody
    /// listens.
    pub(crate) async fn tell_of_destroyed(&self, uuid: InstanceUuid, host: Option<String>) {
        if !self.has_listeners() {
            return;
        }
        let read = self.api().run("read_owner", self.step_deadline(), move |conn| {
            instance_mapping::find(conn, uuid)
        });
        let Ok(Some(mapping)) = read.await else { return };
        let owner = (mapping.project_id, mapping.user_id).into();
        self.tell(EventType::InstanceDeleteEnd, uuid, owner, (mapping.cell, host), |_| {});
    }
}
