//! The fault of an instance: why it is in vm_state ERROR.

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use crate::{InstanceAction, Verdict};

/// A row of `instance_faults`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceFault {
    /// 500 when the system failed, otherwise an HTTP status.
    pub code: i32,
    /// What the user may read; at most 255 characters in the database.
    pub message: String,
    /// What an admin may read.
    pub details: Option<String>,
    /// The host that reported it.
    pub host: Option<String>,
    /// When it happened, UTC.
    pub created_at: Option<NaiveDateTime>,
}

/// What an instance has behind it when it is retried from cell0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootHistory {
    /// Its faults, oldest first.
    pub faults: Vec<InstanceFault>,
    /// What was done to it, oldest first.
    pub actions: Vec<InstanceAction>,
    /// Why it was buried, each time, oldest first.
    pub verdicts: Vec<Verdict>,
}
