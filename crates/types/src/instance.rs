//! The instance: everything that is written to, and read from, its home.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::boot_request::BlockDevice;
use crate::fault::InstanceFault;
use crate::flavor::Flavor;
use crate::ids::{CellUuid, InstanceUuid};
use crate::state::{PowerState, TaskState, VmState, status};

/// The key of `system_metadata` under which the reason of a lock stands, as in Nova.
pub const LOCKED_REASON: &str = "locked_reason";

/// Where a reader finds an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Home {
    /// Its build request in the API database: it has no cell yet.
    BuildRequest,
    /// This cell; cell0 for a buried one.
    Cell(CellUuid),
}

impl Home {
    /// The home that an instance mapping with this cell names.
    pub fn from_cell(cell: Option<CellUuid>) -> Home {
        cell.map_or(Home::BuildRequest, Home::Cell)
    }

    /// Whether the instance is buried in cell0.
    pub fn is_cell0(&self) -> bool {
        matches!(self, Home::Cell(cell) if cell.is_cell0())
    }
}

/// An instance, whole: its row and all that belongs to it. Times are UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// The row id in its cell; none while it has no cell.
    pub id: Option<i32>,
    /// Its uuid.
    pub uuid: InstanceUuid,
    /// Where it was found.
    pub home: Home,
    /// Its project.
    pub project_id: String,
    /// Its user.
    pub user_id: String,
    /// The name that the user gave.
    pub display_name: Option<String>,
    /// A sentence for people.
    pub display_description: Option<String>,
    /// The host name inside the guest.
    pub hostname: Option<String>,
    /// The stable state.
    pub vm_state: Option<VmState>,
    /// What is under way.
    pub task_state: Option<TaskState>,
    /// What the hypervisor says.
    pub power_state: Option<PowerState>,
    /// Its compute host.
    pub host: Option<String>,
    /// Its hypervisor's name.
    pub node: Option<String>,
    /// Its availability zone.
    pub availability_zone: Option<String>,
    /// Its size, as it was when it was asked for. None where Nova kept none.
    pub flavor: Option<Flavor>,
    /// The row id of its flavor.
    pub instance_type_id: Option<i32>,
    /// Its image; empty when it boots from a volume.
    pub image_ref: Option<String>,
    /// Its kernel image, where it has its own.
    pub kernel_id: Option<String>,
    /// Its ramdisk image, where it has its own.
    pub ramdisk_id: Option<String>,
    /// How far its task is, in percent.
    pub progress: Option<i32>,
    /// Its key pair's name.
    pub key_name: Option<String>,
    /// Its key pair's public key.
    pub key_data: Option<String>,
    /// What all instances of one request share.
    pub reservation_id: Option<String>,
    /// Its number within the request, from 0.
    pub launch_index: Option<i32>,
    /// Base64 text for the guest.
    pub user_data: Option<String>,
    /// `True` when a configuration drive is made, otherwise empty.
    pub config_drive: Option<String>,
    /// Whether the disk is partitioned by the compute side.
    pub auto_disk_config: bool,
    /// Such as `/dev/vda`.
    pub root_device_name: Option<String>,
    /// The address that clients are told to use.
    pub access_ip_v4: Option<String>,
    /// The address that clients are told to use.
    pub access_ip_v6: Option<String>,
    /// Whether only an admin may change it.
    pub locked: bool,
    /// Who locked it: `owner` or `admin`; none where it is not locked.
    pub locked_by: Option<String>,
    /// Whether it is a half of a cross-cell move that must not be listed.
    pub hidden: bool,
    /// What the user keeps with it.
    pub metadata: BTreeMap<String, String>,
    /// What the system keeps with it, such as the image's properties.
    pub system_metadata: BTreeMap<String, String>,
    /// Its labels, sorted.
    pub tags: Vec<String>,
    /// Its block devices.
    pub block_devices: Vec<BlockDevice>,
    /// Its security groups by name, sorted.
    pub security_groups: Vec<String>,
    /// Its ports and addresses, as Nova's network_info.
    pub network_info: serde_json::Value,
    /// The latest fault, where there is one.
    pub fault: Option<InstanceFault>,
    /// When it was accepted.
    pub created_at: Option<NaiveDateTime>,
    /// When its row changed last.
    pub updated_at: Option<NaiveDateTime>,
    /// When it ran first.
    pub launched_at: Option<NaiveDateTime>,
    /// When it was deleted.
    pub terminated_at: Option<NaiveDateTime>,
    /// Whether its row is deleted.
    pub deleted: bool,
    /// When its row was deleted.
    pub deleted_at: Option<NaiveDateTime>,
    /// When what is said here was written into the API database, where its cell does not answer and
    /// this is all that is known; none where it was read from its home.
    pub known_at: Option<NaiveDateTime>,
}

impl Instance {
    /// An instance of which nothing more is known: no name, no state, and no home but its build
    /// request.
    pub fn new(
        uuid: InstanceUuid,
        project_id: impl Into<String>,
        user_id: impl Into<String>,
    ) -> Instance {
        Instance {
            id: None,
            uuid,
            home: Home::BuildRequest,
            project_id: project_id.into(),
            user_id: user_id.into(),
            display_name: None,
            display_description: None,
            hostname: None,
            vm_state: None,
            task_state: None,
            power_state: None,
            host: None,
            node: None,
            availability_zone: None,
            instance_type_id: None,
            flavor: None,
            image_ref: None,
            kernel_id: None,
            ramdisk_id: None,
            progress: None,
            key_name: None,
            key_data: None,
            reservation_id: None,
            launch_index: None,
            user_data: None,
            config_drive: None,
            auto_disk_config: false,
            root_device_name: None,
            access_ip_v4: None,
            access_ip_v6: None,
            locked: false,
            locked_by: None,
            hidden: false,
            metadata: BTreeMap::new(),
            system_metadata: BTreeMap::new(),
            tags: Vec::new(),
            block_devices: Vec::new(),
            security_groups: Vec::new(),
            network_info: serde_json::Value::Array(Vec::new()),
            fault: None,
            created_at: None,
            updated_at: None,
            launched_at: None,
            terminated_at: None,
            deleted: false,
            deleted_at: None,
            known_at: None,
        }
    }

    /// The status that a client sees; `UNKNOWN` where its cell does not answer.
    pub fn status(&self) -> &'static str {
        status(self.vm_state.as_ref(), self.task_state.as_ref())
    }

    /// Why it is locked, where whoever locked it said so.
    pub fn locked_reason(&self) -> Option<&str> {
        self.system_metadata.get(LOCKED_REASON).map(String::as_str)
    }

    /// The fixed addresses, in the order of the ports.
    pub fn fixed_ips(&self) -> Vec<&str> {
        crate::list_filters::fixed_ips(&self.network_info).collect()
    }
}

/// What was done to an instance, as `instance_actions` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceAction {
    /// Such as `create` or `delete`.
    pub action: String,
    /// The request that did it.
    pub request_id: Option<String>,
    /// Who did it.
    pub user_id: Option<String>,
    /// For which project.
    pub project_id: Option<String>,
    /// When it began, UTC.
    pub start_time: Option<NaiveDateTime>,
    /// When it ended, UTC.
    pub finish_time: Option<NaiveDateTime>,
    /// When it went on last, UTC.
    #[serde(default)]
    pub updated_at: Option<NaiveDateTime>,
    /// `Error` when it failed.
    pub message: Option<String>,
    /// Its steps, in order.
    pub events: Vec<InstanceActionEvent>,
}

/// A step of an action, as `instance_actions_events` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceActionEvent {
    /// Such as `conductor_schedule_and_build_instances`.
    pub event: String,
    /// When it began, UTC.
    pub start_time: Option<NaiveDateTime>,
    /// When it ended, UTC.
    pub finish_time: Option<NaiveDateTime>,
    /// `Success` or `Error`.
    pub result: Option<String>,
    /// Where it ran.
    pub host: Option<String>,
    /// What a user may read of a failure.
    pub details: Option<String>,
}

/// The host name for a guest, made of a display name as Nova does: letters, digits, `-`, `.`;
/// lower case; at most 63 characters. Falls back to `Server-<uuid>` where nothing is left.
pub fn hostname_of(display_name: &str, uuid: Uuid) -> String {
    const HOSTNAME_LENGTH_MAX: usize = 63;
    let mut name: String = display_name
        .chars()
        .map(|c| if c == ' ' || c == '_' || c == '.' { '-' } else { c })
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect::<String>()
        .to_ascii_lowercase();
    name.truncate(HOSTNAME_LENGTH_MAX);
    let name = name.trim_matches('-');
    if name.is_empty() { format!("Server-{uuid}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Alpha", "alpha")]
    #[case("cache.a", "cache-a")]
    #[case("my server_1", "my-server-1")]
    #[case("-edge-", "edge")]
    #[case("₡", "Server-00000000-0000-0000-0000-000000000001")]
    fn a_host_name_is_made_of_the_display_name(#[case] name: &str, #[case] hostname: &str) {
        assert_eq!(hostname_of(name, Uuid::from_u128(1)), hostname);
    }
}
