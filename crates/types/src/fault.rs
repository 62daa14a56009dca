//! The fault of an instance: why it is in vm_state ERROR.

use chrono::NaiveDateTime;

/// A row of `instance_faults`.
#[derive(Debug, Clone, PartialEq, Eq)]
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
