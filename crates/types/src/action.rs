//! The actions on a live instance that its host does: which states each needs, what it is called, and
//! what it leaves. The table is Nova's.
//!
//! Where the instance lives is asked first, and is not decided here: one in cell0 allows none of them.

use serde::{Deserialize, Serialize};

use crate::instance::Instance;
use crate::state::{PowerState, TaskState, VmState};

/// What a host is asked to do with an instance that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Power it off.
    Stop,
    /// Power it on.
    Start,
    /// Reboot it; the guest is asked to.
    Reboot,
    /// Reboot it; the guest is not asked.
    HardReboot,
    /// Keep it in memory, and let it not run.
    Pause,
    /// Let a paused one run.
    Unpause,
    /// Write its memory to disk, and power it off.
    Suspend,
    /// Let a suspended one run.
    Resume,
    /// Make it anew from an image, under its uuid, on its host.
    Rebuild,
}

impl Action {
    /// All of them.
    pub const ALL: [Action; 9] = [
        Action::Stop,
        Action::Start,
        Action::Reboot,
        Action::HardReboot,
        Action::Pause,
        Action::Unpause,
        Action::Suspend,
        Action::Resume,
        Action::Rebuild,
    ];

    /// Its name in the record of actions; both reboots have one.
    pub fn name(self) -> &'static str {
        match self {
            Action::Stop => "stop",
            Action::Start => "start",
            Action::Reboot | Action::HardReboot => "reboot",
            Action::Pause => "pause",
            Action::Unpause => "unpause",
            Action::Suspend => "suspend",
            Action::Resume => "resume",
            Action::Rebuild => "rebuild",
        }
    }

    /// The name of the event that its host's work is in the record.
    pub fn event(self) -> &'static str {
        match self {
            Action::Stop => "compute_stop_instance",
            Action::Start => "compute_start_instance",
            Action::Reboot | Action::HardReboot => "compute_reboot_instance",
            Action::Pause => "compute_pause_instance",
            Action::Unpause => "compute_unpause_instance",
            Action::Suspend => "compute_suspend_instance",
            Action::Resume => "compute_resume_instance",
            Action::Rebuild => "compute_rebuild_instance",
        }
    }

    /// The task of the instance while it is under way. No two actions share one.
    pub fn task(self) -> TaskState {
        match self {
            Action::Stop => TaskState::POWERING_OFF,
            Action::Start => TaskState::POWERING_ON,
            Action::Reboot => TaskState::REBOOTING,
            Action::HardReboot => TaskState::REBOOTING_HARD,
            Action::Pause => TaskState::PAUSING,
            Action::Unpause => TaskState::UNPAUSING,
            Action::Suspend => TaskState::SUSPENDING,
            Action::Resume => TaskState::RESUMING,
            Action::Rebuild => TaskState::REBUILDING,
        }
    }

    /// The action that is under way where an instance has this task.
    pub fn of_task(task: &TaskState) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.task() == *task)
    }

    /// The states that it may begin in.
    pub fn allowed_in(self) -> &'static [VmState] {
        match self {
            Action::Stop => &[VmState::Active, VmState::Error],
            Action::Start => &[VmState::Stopped],
            Action::Reboot | Action::Pause | Action::Suspend => &[VmState::Active],
            Action::HardReboot => &[
                VmState::Active,
                VmState::Stopped,
                VmState::Paused,
                VmState::Suspended,
                VmState::Error,
            ],
            Action::Unpause => &[VmState::Paused],
            Action::Resume => &[VmState::Suspended],
            Action::Rebuild => &[VmState::Active, VmState::Stopped, VmState::Error],
        }
    }

    /// The tasks beside none that it may break in on: a hard reboot ends what hangs.
    fn interrupts(self) -> &'static [TaskState] {
        match self {
            Action::HardReboot => &[
                TaskState::REBOOTING,
                TaskState::REBOOTING_HARD,
                TaskState::RESUMING,
                TaskState::UNPAUSING,
                TaskState::PAUSING,
                TaskState::SUSPENDING,
            ],
            _ => &[],
        }
    }

    /// Says in a sentence why an instance does not allow it; none where it does.
    ///
    /// ```
    /// use cellzero_types::{Action, Instance, InstanceUuid, VmState};
    /// let mut instance = Instance::new("7f6a1d4e-9f54-4f0b-9a53-3d0f5f3f8f51".parse()?, "p", "u");
    /// instance.vm_state = Some(VmState::Stopped);
    /// instance.host = Some("host1".to_owned());
    /// let refusal = Action::Pause.refusal(&instance).unwrap();
    /// assert_eq!(refusal, "it is in vm_state stopped; it must be active");
    /// # Ok::<(), cellzero_types::InvalidField>(())
    /// ```
    pub fn refusal(self, instance: &Instance) -> Option<String> {
        let allowed = self.allowed_in();
        let state = instance.vm_state.as_ref();
        if state.is_none_or(|state| !allowed.contains(state)) {
            let names: Vec<&str> = allowed.iter().map(VmState::as_str).collect();
            let state = state.map_or("none", VmState::as_str);
            return Some(format!("it is in vm_state {state}; it must be {}", names.join(" or ")));
        }
        if let Some(task) = &instance.task_state
            && !self.interrupts().contains(task)
        {
            return Some(format!("it is in task_state {task}; wait until it has none"));
        }
        if instance.host.is_none() {
            return Some("it has no host".to_owned());
        }
        instance.launched_at.is_none().then(|| "it has never run".to_owned())
    }

    /// The state that it leaves an instance in that it began in `from`.
    pub fn leaves(self, from: &VmState) -> (VmState, PowerState) {
        match self {
            Action::Stop => (VmState::Stopped, PowerState::SHUTDOWN),
            // One that was off is off again.
            Action::Rebuild if *from == VmState::Stopped => {
                (VmState::Stopped, PowerState::SHUTDOWN)
            }
            Action::Pause => (VmState::Paused, PowerState::PAUSED),
            Action::Suspend => (VmState::Suspended, PowerState::SHUTDOWN),
            Action::Start
            | Action::Reboot
            | Action::HardReboot
            | Action::Unpause
            | Action::Resume
            | Action::Rebuild => (VmState::Active, PowerState::RUNNING),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;
    use crate::ids::InstanceUuid;

    fn instance(vm_state: VmState, task_state: Option<TaskState>) -> Instance {
        Instance {
            vm_state: Some(vm_state),
            task_state,
            host: Some("host1".to_owned()),
            launched_at: Some(chrono::NaiveDateTime::MIN),
            ..Instance::new(InstanceUuid(Uuid::from_u128(1)), "p", "u")
        }
    }

    #[test]
    fn each_action_is_known_by_its_task_and_travels_by_its_own_name() {
        for action in Action::ALL {
            assert_eq!(Action::of_task(&action.task()), Some(action));
            let text = serde_json::json!(action);
            assert_eq!(serde_json::from_value::<Action>(text).unwrap(), action);
        }
        assert_eq!(Action::of_task(&TaskState::SPAWNING), None);
    }

    #[rstest]
    #[case::stop(Action::Stop, VmState::Active, VmState::Stopped)]
    #[case::start(Action::Start, VmState::Stopped, VmState::Active)]
    #[case::hard_reboot_of_a_paused_one(Action::HardReboot, VmState::Paused, VmState::Active)]
    #[case::rebuild(Action::Rebuild, VmState::Error, VmState::Active)]
    #[case::rebuild_of_a_stopped_one(Action::Rebuild, VmState::Stopped, VmState::Stopped)]
    fn an_action_leads_from_a_state_that_allows_it_to_its_own(
        #[case] action: Action,
        #[case] from: VmState,
        #[case] to: VmState,
    ) {
        assert_eq!(action.refusal(&instance(from.clone(), None)), None);
        assert_eq!(action.leaves(&from).0, to);
    }

    #[rstest]
    fn no_action_is_allowed_while_it_is_built_or_deleted(
        #[values(VmState::Building, VmState::Deleted, VmState::SoftDeleted)] state: VmState,
    ) {
        for action in Action::ALL {
            let refusal = action.refusal(&instance(state.clone(), None)).unwrap();
            assert!(refusal.contains(state.as_str()), "{refusal}");
        }
    }

    #[test]
    fn only_a_hard_reboot_breaks_in_on_a_task() {
        let rebooting = instance(VmState::Active, Some(TaskState::REBOOTING));
        assert!(Action::Stop.refusal(&rebooting).unwrap().contains("task_state rebooting"));
        assert_eq!(Action::HardReboot.refusal(&rebooting), None);
        let stopping = instance(VmState::Active, Some(TaskState::POWERING_OFF));
        assert!(Action::HardReboot.refusal(&stopping).is_some());
    }

    #[test]
    fn what_has_never_run_or_has_no_host_allows_none() {
        let never = Instance { launched_at: None, ..instance(VmState::Error, None) };
        assert!(Action::Rebuild.refusal(&never).unwrap().contains("never run"));
        let nowhere = Instance { host: None, ..instance(VmState::Error, None) };
        assert!(Action::HardReboot.refusal(&nowhere).unwrap().contains("no host"));
    }
}
