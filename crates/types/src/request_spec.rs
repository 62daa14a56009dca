//! The request spec: what the scheduler is asked for one instance.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::boot_request::Networks;
use crate::flavor::Flavor;
use crate::ids::InstanceUuid;
use crate::resources::Resources;

/// What the scheduler is asked, one for each instance of a group. All but the uuid is the same
/// throughout a group.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestSpec {
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// The request that asked for it.
    pub request_id: String,
    /// Its project.
    pub project_id: String,
    /// Its user.
    pub user_id: String,
    /// What size it has, and what its host must offer.
    pub flavor: Flavor,
    /// Its image; none when it boots from a volume.
    pub image: Option<Uuid>,
    /// How many instances its group has.
    pub num_instances: u32,
    /// Only hosts of this availability zone.
    pub availability_zone: Option<String>,
    /// Only this host.
    pub force_host: Option<String>,
    /// The server group whose policy holds.
    pub server_group: Option<Uuid>,
    /// The hints as they came.
    pub scheduler_hints: BTreeMap<String, Vec<String>>,
    /// The security groups by name.
    pub security_groups: Vec<String>,
    /// Where it is to be plugged in. Nova does not keep this; a retry needs it.
    pub networks: Networks,
    /// Whether it boots from a volume, so that its root disk takes no local disk.
    pub is_boot_from_volume: bool,
    /// Whether it is retried by itself, once it may fit, after it was buried.
    pub auto_retry: bool,
}

impl RequestSpec {
    /// What the instance takes from its host. The root disk of one that boots from a volume is not
    /// the host's.
    pub fn resources(&self) -> Resources {
        let mut resources = self.flavor.resources();
        if self.is_boot_from_volume {
            resources.disk_gb -= i64::from(self.flavor.root_gb);
        }
        resources
    }
}
