//! An operation as it travels: its body, and what stands in its properties.

use cellzero::{
    ActionOperation, BuildOperation, CellUuid, DestroyOperation, InstanceUuid, OperationUuid,
    ReleaseOperation,
};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde::{Deserialize, Serialize};

/// The queue of the reports of all hosts of a cell.
pub const REPORTS_QUEUE: &str = "reports";
/// AMQP's number for a message that survives a restart of its broker.
const PERSISTENT: u8 = 2;

/// The queue of a host, by Nova's name.
pub fn host_queue(host: &str) -> String {
    format!("compute.{host}")
}

/// An operation as a host receives it; its body as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "lowercase")]
#[non_exhaustive]
pub enum OperationMessage {
    /// Build an instance.
    Build(BuildOperation),
    /// Destroy one, and release what belongs to it.
    Destroy(DestroyOperation),
    /// Release volumes and ports of one that never had a host. It goes to no host's queue.
    Release(ReleaseOperation),
    /// Do with one what its `action` says.
    #[serde(alias = "reboot")]
    Action(ActionOperation),
}

impl OperationMessage {
    /// Its name: `build`, `destroy`, `release` or `action`.
    pub fn name(&self) -> &'static str {
        match self {
            OperationMessage::Build(_) => "build",
            OperationMessage::Destroy(_) => "destroy",
            OperationMessage::Release(_) => "release",
            OperationMessage::Action(_) => "action",
        }
    }

    /// Its id: the same for every sending.
    pub fn id(&self) -> OperationUuid {
        match self {
            OperationMessage::Build(o) => o.id,
            OperationMessage::Destroy(o) => o.id,
            OperationMessage::Release(o) => o.id,
            OperationMessage::Action(o) => o.id,
        }
    }

    /// The instance.
    pub fn instance_uuid(&self) -> InstanceUuid {
        match self {
            OperationMessage::Build(o) => o.instance_uuid,
            OperationMessage::Destroy(o) => o.instance_uuid,
            OperationMessage::Release(o) => o.instance_uuid,
            OperationMessage::Action(o) => o.instance_uuid,
        }
    }

    /// Rises for each instance.
    pub fn sequence(&self) -> i64 {
        match self {
            OperationMessage::Build(o) => o.sequence,
            OperationMessage::Destroy(o) => o.sequence,
            OperationMessage::Release(o) => o.sequence,
            OperationMessage::Action(o) => o.sequence,
        }
    }

    /// Which sending this is, from 1: a higher one may be a repeat.
    pub fn attempt(&self) -> u32 {
        match self {
            OperationMessage::Build(o) => o.attempt,
            OperationMessage::Destroy(o) => o.attempt,
            OperationMessage::Release(o) => o.attempt,
            OperationMessage::Action(o) => o.attempt,
        }
    }

    /// The properties of the message: its id, its name, and what a host has to know before it reads the
    /// body.
    pub(crate) fn properties(&self, cell: CellUuid) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert("cell".into(), AMQPValue::LongString(cell.to_string().into()));
        headers.insert(
            "instance_uuid".into(),
            AMQPValue::LongString(self.instance_uuid().to_string().into()),
        );
        headers.insert("sequence".into(), AMQPValue::LongLongInt(self.sequence()));
        headers.insert("attempt".into(), AMQPValue::LongLongInt(self.attempt().into()));
        headers.insert("repeat".into(), AMQPValue::Boolean(self.attempt() > 1));
        persistent()
            .with_message_id(self.id().text().into())
            .with_type(self.name().into())
            .with_headers(headers)
    }
}

/// JSON that survives a restart of its broker.
pub(crate) fn persistent() -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("utf-8".into())
        .with_delivery_mode(PERSISTENT)
        .with_app_id("cellzero".into())
}
