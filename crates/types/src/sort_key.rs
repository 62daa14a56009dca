//! The columns of an instance that one can sort and filter by.

use std::str::FromStr;

use chrono::NaiveDateTime;

use crate::instance::Instance;
use crate::list_order::SortValue;
use crate::state::{TaskState, VmState};
use crate::text::InvalidField;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnKind {
    /// Text, compared by code point.
    Text,
    /// A time, UTC.
    Time,
    /// A number.
    Number,
    /// Yes or no, as the numbers 1 and 0.
    Flag,
    /// An address, compared as text.
    Address,
}

macro_rules! sort_keys {
    ($($variant:ident $name:literal $kind:ident, $doc:literal, $value:expr;)*) => {
        /// A column to sort and to filter by: each that Nova's API sorts by, and the sizes. All
        /// but the uuid may be NULL, which is the smallest value of each column.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum SortKey {
            $(#[doc = $doc] $variant,)*
        }

        impl SortKey {
            /// Every key with the name that clients use, which is its column's.
            pub const ALL: &[(SortKey, &str)] = &[$((SortKey::$variant, $name)),*];

            /// The name that clients use, which is its column's.
            pub fn name(self) -> &'static str {
                match self { $(SortKey::$variant => $name),* }
            }

            /// What its column holds.
            pub fn kind(self) -> ColumnKind {
                match self { $(SortKey::$variant => ColumnKind::$kind),* }
            }
        }

        impl Instance {
            /// The value of a column; none for NULL.
            pub fn sort_value(&self, key: SortKey) -> Option<SortValue> {
                match key { $(SortKey::$variant => Value::value($value(self))),* }
            }
        }
    };
}

sort_keys! {
    CreatedAt "created_at" Time, "When it was accepted.", |i: &Instance| i.created_at;
    UpdatedAt "updated_at" Time, "When it changed last.", |i: &Instance| i.updated_at;
    LaunchedAt "launched_at" Time, "When it ran first.", |i: &Instance| i.launched_at;
    TerminatedAt "terminated_at" Time, "When it was deleted.", |i: &Instance| i.terminated_at;
    DisplayName "display_name" Text, "The name that the user gave.",
        |i: &Instance| i.display_name.clone();
    DisplayDescription "display_description" Text, "A sentence for people.",
        |i: &Instance| i.display_description.clone();
    Hostname "hostname" Text, "The host name inside the guest.", |i: &Instance| i.hostname.clone();
    Uuid "uuid" Text, "Its uuid.", |i: &Instance| Some(i.uuid.text());
    Host "host" Text, "Its host.", |i: &Instance| i.host.clone();
    Node "node" Text, "Its node.", |i: &Instance| i.node.clone();
    VmState "vm_state" Text, "Its stable state.",
        |i: &Instance| i.vm_state.as_ref().map(VmState::as_str).map(str::to_owned);
    TaskState "task_state" Text, "What is under way.",
        |i: &Instance| i.task_state.as_ref().map(TaskState::as_str).map(str::to_owned);
    PowerState "power_state" Number, "What the hypervisor says.",
        |i: &Instance| i.power_state.map(|state| i64::from(state.0));
    ProjectId "project_id" Text, "Its project.", |i: &Instance| Some(i.project_id.clone());
    UserId "user_id" Text, "Its user.", |i: &Instance| Some(i.user_id.clone());
    ImageRef "image_ref" Text, "Its image.", |i: &Instance| i.image_ref.clone();
    KernelId "kernel_id" Text, "Its kernel image.", |i: &Instance| i.kernel_id.clone();
    RamdiskId "ramdisk_id" Text, "Its ramdisk image.", |i: &Instance| i.ramdisk_id.clone();
    InstanceTypeId "instance_type_id" Number, "Its flavor's row id.",
        |i: &Instance| i.instance_type_id.map(i64::from);
    MemoryMb "memory_mb" Number, "Its memory in MB.",
        |i: &Instance| i.flavor.as_ref().map(|flavor| i64::from(flavor.memory_mb));
    Vcpus "vcpus" Number, "Its virtual processors.",
        |i: &Instance| i.flavor.as_ref().map(|flavor| i64::from(flavor.vcpus));
    RootGb "root_gb" Number, "Its root disk in GB.",
        |i: &Instance| i.flavor.as_ref().map(|flavor| i64::from(flavor.root_gb));
    EphemeralGb "ephemeral_gb" Number, "Its ephemeral disk in GB.",
        |i: &Instance| i.flavor.as_ref().map(|flavor| i64::from(flavor.ephemeral_gb));
    KeyName "key_name" Text, "Its key pair.", |i: &Instance| i.key_name.clone();
    AvailabilityZone "availability_zone" Text, "Its availability zone.",
        |i: &Instance| i.availability_zone.clone();
    ReservationId "reservation_id" Text, "What all instances of one request share.",
        |i: &Instance| i.reservation_id.clone();
    LaunchIndex "launch_index" Number, "Its number within the request.",
        |i: &Instance| i.launch_index.map(i64::from);
    RootDeviceName "root_device_name" Text, "Such as `/dev/vda`.",
        |i: &Instance| i.root_device_name.clone();
    ConfigDrive "config_drive" Text, "`True` where it has a configuration drive.",
        |i: &Instance| i.config_drive.clone();
    AccessIpV4 "access_ip_v4" Address, "The address that clients are told to use.",
        |i: &Instance| i.access_ip_v4.clone();
    AccessIpV6 "access_ip_v6" Address, "The address that clients are told to use.",
        |i: &Instance| i.access_ip_v6.clone();
    Progress "progress" Number, "How far its task is, in percent.",
        |i: &Instance| i.progress.map(i64::from);
    AutoDiskConfig "auto_disk_config" Flag, "Whether the compute side partitions its disk.",
        |i: &Instance| Some(i64::from(i.auto_disk_config));
    Locked "locked" Flag, "Whether only an admin may change it.",
        |i: &Instance| Some(i64::from(i.locked));
    Hidden "hidden" Flag, "Whether it is a half of a cross-cell move.",
        |i: &Instance| Some(i64::from(i.hidden));
}

impl FromStr for SortKey {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<SortKey, InvalidField> {
        let found = SortKey::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(key, _)| *key).ok_or_else(|| {
            let names: Vec<&str> = SortKey::ALL.iter().map(|(_, name)| *name).collect();
            InvalidField::new("sort_key", text, format!("one of {}", names.join(", ")))
        })
    }
}

/// What a column of some type gives.
trait Value {
    fn value(value: Option<Self>) -> Option<SortValue>
    where
        Self: Sized;
}

impl Value for String {
    fn value(value: Option<String>) -> Option<SortValue> {
        value.map(SortValue::Text)
    }
}

impl Value for NaiveDateTime {
    fn value(value: Option<NaiveDateTime>) -> Option<SortValue> {
        value.map(SortValue::Time)
    }
}

impl Value for i64 {
    fn value(value: Option<i64>) -> Option<SortValue> {
        value.map(SortValue::Number)
    }
}

/// Which way to sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortDirection {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl SortDirection {
    /// As clients write it.
    pub fn as_str(self) -> &'static str {
        match self {
            SortDirection::Ascending => "asc",
            SortDirection::Descending => "desc",
        }
    }
}

impl FromStr for SortDirection {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<SortDirection, InvalidField> {
        match text {
            "asc" => Ok(SortDirection::Ascending),
            "desc" => Ok(SortDirection::Descending),
            _ => Err(InvalidField::new("sort_dir", text, "asc or desc")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_sort_key_is_refused_with_the_known_ones() {
        let error = "colour".parse::<SortKey>().unwrap_err();
        assert!(error.to_string().contains("created_at"), "{error}");
    }

    #[test]
    fn every_key_is_found_by_its_name() {
        for (key, name) in SortKey::ALL {
            assert_eq!(name.parse::<SortKey>().unwrap(), *key);
            assert_eq!(key.name(), *name);
        }
    }
}
