//! The states of an instance: vm_state, task_state and power_state, and the status clients see.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! vm_states {
    ($($variant:ident = $text:literal, $doc:literal;)*) => {
        /// The stable state of an instance, as `instances.vm_state` holds it.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", from = "String")]
        #[non_exhaustive]
        pub enum VmState {
            $(#[doc = $doc] $variant,)*
            /// A state that this version does not know; kept as it was read.
            Other(String),
        }

        impl VmState {
            /// Every state that this version knows.
            pub const ALL: &[VmState] = &[$(VmState::$variant),*];

            /// The text in the database.
            pub fn as_str(&self) -> &str {
                match self { $(VmState::$variant => $text,)* VmState::Other(text) => text }
            }
        }

        impl FromStr for VmState {
            type Err = Infallible;

            fn from_str(text: &str) -> Result<VmState, Infallible> {
                Ok(match text { $($text => VmState::$variant,)* other => VmState::Other(other.to_owned()) })
            }
        }
    };
}

vm_states! {
    Active = "active", "It runs.";
    Building = "building", "It is being made; it may have no cell yet.";
    Paused = "paused", "It is paused.";
    Suspended = "suspended", "It is suspended to disk.";
    Stopped = "stopped", "It is powered off.";
    Rescued = "rescued", "It runs a rescue image.";
    Resized = "resized", "It is resized and waits for confirmation.";
    SoftDeleted = "soft-delete", "It is deleted, and can be restored.";
    Deleted = "deleted", "It is deleted for good.";
    Error = "error", "It failed; its fault says why. Every buried instance is in this state.";
    Shelved = "shelved", "It is shelved.";
    ShelvedOffloaded = "shelved_offloaded", "It is shelved and has no host.";
}

impl fmt::Display for VmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<VmState> for String {
    fn from(state: VmState) -> String {
        state.as_str().to_owned()
    }
}

impl From<String> for VmState {
    fn from(text: String) -> VmState {
        match text.parse() {
            Ok(state) => state,
            Err(never) => match never {},
        }
    }
}

/// What is under way with an instance, as `instances.task_state` holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskState(Cow<'static, str>);

impl TaskState {
    /// A home is being looked for.
    pub const SCHEDULING: TaskState = TaskState(Cow::Borrowed("scheduling"));
    /// Its host makes it.
    pub const SPAWNING: TaskState = TaskState(Cow::Borrowed("spawning"));
    /// It is being deleted.
    pub const DELETING: TaskState = TaskState(Cow::Borrowed("deleting"));
    /// It reboots by request.
    pub const REBOOTING: TaskState = TaskState(Cow::Borrowed("rebooting"));
    /// It reboots by request, hard.
    pub const REBOOTING_HARD: TaskState = TaskState(Cow::Borrowed("rebooting_hard"));
    /// It is being powered off.
    pub const POWERING_OFF: TaskState = TaskState(Cow::Borrowed("powering-off"));
    /// It is being powered on.
    pub const POWERING_ON: TaskState = TaskState(Cow::Borrowed("powering-on"));
    /// It is being paused.
    pub const PAUSING: TaskState = TaskState(Cow::Borrowed("pausing"));
    /// It goes on after a pause.
    pub const UNPAUSING: TaskState = TaskState(Cow::Borrowed("unpausing"));
    /// It is being suspended.
    pub const SUSPENDING: TaskState = TaskState(Cow::Borrowed("suspending"));
    /// It goes on after it was suspended.
    pub const RESUMING: TaskState = TaskState(Cow::Borrowed("resuming"));
    /// It is being made anew from an image.
    pub const REBUILDING: TaskState = TaskState(Cow::Borrowed("rebuilding"));

    /// One of each that [`status`] tells apart.
    pub const TELLING: &[TaskState] = &[
        TaskState(Cow::Borrowed("resize_prep")),
        TaskState(Cow::Borrowed("resize_reverting")),
        TaskState(Cow::Borrowed("updating_password")),
        TaskState(Cow::Borrowed("migrating")),
        TaskState::REBOOTING,
        TaskState::REBOOTING_HARD,
        TaskState::REBUILDING,
    ];

    /// A task state by its text.
    pub fn new(text: impl Into<String>) -> TaskState {
        TaskState(Cow::Owned(text.into()))
    }

    /// The text in the database.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the hypervisor says, by Nova's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PowerState(pub i32);

impl PowerState {
    /// Nothing is known, or there is no machine.
    pub const NO_STATE: PowerState = PowerState(0);
    /// The machine runs.
    pub const RUNNING: PowerState = PowerState(1);
    /// The machine stands still in memory.
    pub const PAUSED: PowerState = PowerState(3);
    /// The machine is off.
    pub const SHUTDOWN: PowerState = PowerState(4);
}

/// Every status that a client may see of an instance, and so every one to filter by.
pub const STATUSES: [&str; 20] = [
    "ACTIVE",
    "BUILD",
    "DELETED",
    "ERROR",
    "HARD_REBOOT",
    "MIGRATING",
    "PASSWORD",
    "PAUSED",
    "REBOOT",
    "REBUILD",
    "RESCUE",
    "RESIZE",
    "REVERT_RESIZE",
    "SHELVED",
    "SHELVED_OFFLOADED",
    "SHUTOFF",
    "SOFT_DELETED",
    "SUSPENDED",
    "UNKNOWN",
    "VERIFY_RESIZE",
];

/// The status that a client sees, from vm_state and task_state, as Nova derives it.
///
/// ```
/// use cellzero_types::state::{VmState, status};
/// assert_eq!(status(Some(&VmState::Error), None), "ERROR");
/// ```
pub fn status(vm_state: Option<&VmState>, task_state: Option<&TaskState>) -> &'static str {
    let task = task_state.map_or("", TaskState::as_str);
    let rebooting = matches!(task, "rebooting" | "reboot_pending" | "reboot_started");
    let rebooting_hard =
        matches!(task, "rebooting_hard" | "reboot_pending_hard" | "reboot_started_hard");
    let rebuilding =
        matches!(task, "rebuilding" | "rebuild_block_device_mapping" | "rebuild_spawning");
    match vm_state {
        Some(VmState::Active) => match task {
            "resize_prep" | "resize_migrating" | "resize_migrated" | "resize_finish" => "RESIZE",
            "updating_password" => "PASSWORD",
            "migrating" => "MIGRATING",
            _ if rebooting => "REBOOT",
            _ if rebooting_hard => "HARD_REBOOT",
            _ if rebuilding => "REBUILD",
            _ => "ACTIVE",
        },
        Some(VmState::Building) => "BUILD",
        Some(VmState::Stopped) => match task {
            "resize_prep" | "resize_migrating" | "resize_migrated" | "resize_finish" => "RESIZE",
            _ if rebuilding => "REBUILD",
            _ => "SHUTOFF",
        },
        Some(VmState::Resized) if task == "resize_reverting" => "REVERT_RESIZE",
        Some(VmState::Resized) => "VERIFY_RESIZE",
        Some(VmState::Paused) if task == "migrating" => "MIGRATING",
        Some(VmState::Paused) => "PAUSED",
        Some(VmState::Suspended) => "SUSPENDED",
        Some(VmState::Rescued) => "RESCUE",
        Some(VmState::Error) if rebuilding => "REBUILD",
        Some(VmState::Error) => "ERROR",
        Some(VmState::Deleted) => "DELETED",
        Some(VmState::SoftDeleted) => "SOFT_DELETED",
        Some(VmState::Shelved) => "SHELVED",
        Some(VmState::ShelvedOffloaded) => "SHELVED_OFFLOADED",
        Some(VmState::Other(_)) | None => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("active", VmState::Active)]
    #[case("soft-delete", VmState::SoftDeleted)]
    #[case("new-in-some-later-nova", VmState::Other("new-in-some-later-nova".into()))]
    fn a_vm_state_survives_the_way_through_text(#[case] text: &str, #[case] state: VmState) {
        assert_eq!(VmState::from(text.to_owned()), state);
        assert_eq!(state.as_str(), text);
    }

    #[rstest]
    #[case(Some(VmState::Building), Some(TaskState::SCHEDULING), "BUILD")]
    #[case(Some(VmState::Active), Some(TaskState::REBOOTING), "REBOOT")]
    #[case(Some(VmState::Stopped), None, "SHUTOFF")]
    #[case(None, None, "UNKNOWN")]
    fn the_status_is_novas(
        #[case] vm_state: Option<VmState>,
        #[case] task_state: Option<TaskState>,
        #[case] expected: &str,
    ) {
        assert_eq!(status(vm_state.as_ref(), task_state.as_ref()), expected);
    }
}
