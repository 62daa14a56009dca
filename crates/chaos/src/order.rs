//! What a client asks of a plane, in the driver's own process or in an orchestrator's: one line of
//! JSON each way.

use std::time::Duration;

use cellzero::{
    BlockDevice, BootError, BootRequest, ControlPlane, DeleteError, InstanceUuid, RequestContext,
    RetryError, Write,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long an operation of a client may take.
pub(crate) const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

/// What a client asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "lowercase")]
pub(crate) enum Order {
    Boot(Boot),
    Delete { project: String, uuid: InstanceUuid },
    Retry { project: String, uuid: InstanceUuid },
}

/// A boot request in short.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Boot {
    pub(crate) project: String,
    pub(crate) flavor: String,
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) token: Option<String>,
    /// Whether each instance has a volume, which is released when it is deleted.
    pub(crate) volume: bool,
}

/// What a client got to hear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    Accepted {
        uuids: Vec<InstanceUuid>,
    },
    Deleted,
    NotFound,
    /// Not done, for a reason that is no failure of a database.
    Refused {
        why: String,
    },
    /// Nobody knows whether it was done.
    Unknown {
        why: String,
    },
}

/// An order with a number, as it goes to a process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Numbered<T> {
    pub(crate) number: u64,
    pub(crate) what: T,
}

/// A user of a project.
pub(crate) fn user(project: &str) -> RequestContext {
    RequestContext::new(project, "chaos").with_timeout(CLIENT_TIMEOUT)
}

/// Does what was asked for.
pub(crate) async fn perform(plane: &ControlPlane, order: Order) -> Answer {
    match order {
        Order::Boot(boot) => perform_boot(plane, boot).await,
        Order::Delete { project, uuid } => match plane.delete(&user(&project), uuid).await {
            Ok(()) => Answer::Deleted,
            Err(Write::Failed(DeleteError::InstanceNotFound { .. })) => Answer::NotFound,
            Err(error) => unknown(&error),
        },
        Order::Retry { project, uuid } => match plane.retry(&user(&project), uuid).await {
            Ok(accepted) => Answer::Accepted { uuids: accepted.instances },
            Err(Write::Failed(RetryError::InstanceNotFound { .. })) => Answer::NotFound,
            Err(Write::Failed(
                error @ (RetryError::NotBuried { .. } | RetryError::Moving { .. }),
            )) => refused(&error),
            Err(error) => unknown(&error),
        },
    }
}

async fn perform_boot(plane: &ControlPlane, boot: Boot) -> Answer {
    let project = boot.project.clone();
    let request = match request(boot) {
        Ok(request) => request,
        Err(error) => return Answer::Refused { why: format!("{error:#}") },
    };
    match plane.boot(&user(&project), request).await {
        Ok(accepted) => Answer::Accepted { uuids: accepted.instances },
        Err(Write::Failed(error @ (BootError::Database(_) | BootError::Closed))) => unknown(&error),
        Err(error) => refused(&error),
    }
}

fn request(boot: Boot) -> anyhow::Result<BootRequest> {
    let mut builder =
        BootRequest::builder("chaos", boot.flavor, IMAGE).counts(boot.min, boot.max).tag("chaos");
    if let Some(token) = boot.token {
        builder = builder.client_token(token);
    }
    if boot.volume {
        builder = builder.block_device(BlockDevice {
            source_type: "volume".into(),
            destination_type: "volume".into(),
            source_id: Some(Uuid::from_u128(7)),
            delete_on_termination: true,
            ..BlockDevice::default()
        });
    }
    Ok(builder.build()?)
}

fn refused(error: &dyn std::error::Error) -> Answer {
    Answer::Refused { why: chain(error) }
}

fn unknown(error: &dyn std::error::Error) -> Answer {
    Answer::Unknown { why: chain(error) }
}

/// An error with what caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
