//! What a host says: what became of an operation, and what it has room for. As JSON it is the body of a
//! message to the queue `reports` of its cell's broker.

use cellzero::{ComputeNode, InstanceUuid};
use serde::{Deserialize, Serialize};

/// A host's report. `sequence` is that of the operation that it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Report {
    /// It has built an instance.
    Built {
        /// The instance.
        instance_uuid: InstanceUuid,
        /// The host.
        host: String,
        /// Of the build.
        sequence: i64,
    },
    /// It could not build one, and has cleaned up.
    Failed {
        /// The instance.
        instance_uuid: InstanceUuid,
        /// The host.
        host: String,
        /// Of the build.
        sequence: i64,
        /// Why, in a sentence that the instance's user may read.
        reason: String,
    },
    /// It has destroyed one.
    Destroyed {
        /// The instance.
        instance_uuid: InstanceUuid,
        /// The host.
        host: String,
        /// Of the destroy.
        sequence: i64,
    },
    /// It has done with one what an action asked for, or could not.
    #[serde(alias = "rebooted")]
    Acted {
        /// The instance.
        instance_uuid: InstanceUuid,
        /// The host.
        host: String,
        /// Of the action.
        sequence: i64,
        /// Why it could not, in a sentence that the instance's user may read; none where it is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// It is there, and has this size.
    Host(ComputeNode),
}

impl Report {
    /// Its name: `built`, `failed`, `destroyed`, `acted` or `host`.
    pub fn name(&self) -> &'static str {
        match self {
            Report::Built { .. } => "built",
            Report::Failed { .. } => "failed",
            Report::Destroyed { .. } => "destroyed",
            Report::Acted { .. } => "acted",
            Report::Host(_) => "host",
        }
    }

    /// Whom it is about: reports of one instance, and of one host about itself, are stored in the order
    /// in which they come.
    pub(crate) fn subject(&self) -> String {
        match self {
            Report::Built { instance_uuid, .. }
            | Report::Failed { instance_uuid, .. }
            | Report::Destroyed { instance_uuid, .. }
            | Report::Acted { instance_uuid, .. } => instance_uuid.text(),
            Report::Host(node) => format!("host {}", node.host),
        }
    }
}
