//! The flavor: what size an instance has.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use crate::nova_object::NovaObject;
use crate::resources::Resources;
use crate::text::{self, InvalidField};

/// A flavor, as the API database holds it and as every instance keeps a copy of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flavor {
    /// The row id; `instances.instance_type_id` names it. 0 for one that is not stored yet.
    pub id: i32,
    /// The name that people use, such as `m1.small`.
    pub name: String,
    /// Memory, in MiB.
    pub memory_mb: i32,
    /// Virtual processors.
    pub vcpus: i32,
    /// The root disk, in GiB.
    pub root_gb: i32,
    /// A second disk, in GiB.
    pub ephemeral_gb: i32,
    /// The id that clients use.
    pub flavorid: String,
    /// Swap space, in MiB.
    pub swap: i32,
    /// Kept for Nova's layout.
    #[serde(default)]
    pub rxtx_factor: Option<f64>,
    /// Kept for Nova's layout.
    #[serde(default)]
    pub vcpu_weight: Option<i32>,
    /// Whether new instances of this flavor are refused.
    #[serde(default)]
    pub disabled: bool,
    /// Whether every project may use it.
    #[serde(default)]
    pub is_public: bool,
    /// What a host must offer besides size, such as `trait:HW_CPU_X86_AVX2=required`.
    #[serde(default)]
    pub extra_specs: BTreeMap<String, String>,
    /// A sentence for people.
    #[serde(default)]
    pub description: Option<String>,
    /// When it was made.
    #[serde(default, with = "nova_time")]
    pub created_at: Option<NaiveDateTime>,
}

impl Flavor {
    /// A public flavor without extra specs. Memory in MiB, disk in GiB.
    pub fn new(flavorid: &str, name: &str, vcpus: i32, memory_mb: i32, root_gb: i32) -> Flavor {
        Flavor {
            id: 0,
            name: name.to_owned(),
            memory_mb,
            vcpus,
            root_gb,
            ephemeral_gb: 0,
            flavorid: flavorid.to_owned(),
            swap: 0,
            rxtx_factor: Some(1.0),
            vcpu_weight: Some(0),
            disabled: false,
            is_public: true,
            extra_specs: BTreeMap::new(),
            description: None,
            created_at: None,
        }
    }

    /// The same with one more extra spec.
    pub fn with_extra_spec(mut self, key: &str, value: &str) -> Flavor {
        self.extra_specs.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Extra specs that begin so ask for a trait, or forbid it: `trait:NAME=required`.
    pub const TRAIT_PREFIX: &str = "trait:";
    /// Extra specs that begin so ask for an aggregate's metadata.
    pub const AGGREGATE_PREFIX: &str = "aggregate_instance_extra_specs:";

    /// What one instance takes from its host.
    pub fn resources(&self) -> Resources {
        const MB_IN_GB: i64 = 1024;
        let swap_gb = (i64::from(self.swap) + MB_IN_GB - 1) / MB_IN_GB;
        Resources {
            vcpus: self.vcpus.into(),
            memory_mb: self.memory_mb.into(),
            disk_gb: i64::from(self.root_gb) + i64::from(self.ephemeral_gb) + swap_gb,
        }
    }

    /// The traits that a host must have: the extra specs `trait:NAME=required`.
    pub fn required_traits(&self) -> impl Iterator<Item = &str> {
        self.extra_specs
            .iter()
            .filter(|(_, value)| *value == "required")
            .filter_map(|(key, _)| key.strip_prefix(Flavor::TRAIT_PREFIX))
    }

    /// Checks names and sizes.
    ///
    /// # Errors
    /// [`InvalidField`] for a bad name, a size below its least, or text that is too long.
    pub fn check(&self) -> Result<(), InvalidField> {
        text::check_name("flavor name", &self.name)?;
        text::check_name("flavor id", &self.flavorid)?;
        let sizes = [
            ("flavor vcpus", self.vcpus, 1),
            ("flavor memory_mb", self.memory_mb, 1),
            ("flavor root_gb", self.root_gb, 0),
            ("flavor ephemeral_gb", self.ephemeral_gb, 0),
            ("flavor swap", self.swap, 0),
        ];
        for (field, value, least) in sizes {
            if value < least {
                return Err(InvalidField::new(field, value, format!("at least {least}")));
            }
        }
        for (key, value) in &self.extra_specs {
            text::check("flavor extra spec key", key, text::TEXT_LENGTH_MAX)?;
            text::check("flavor extra spec value", value, text::TEXT_LENGTH_MAX)?;
        }
        match &self.description {
            Some(description) => text::check("flavor description", description, 65_535),
            None => Ok(()),
        }
    }

    /// This flavor in Nova's envelope.
    pub fn wrap(self) -> NovaObject<Flavor> {
        NovaObject::new("Flavor", "1.2", self)
    }
}

/// Times inside Nova's objects: `2025-02-28T12:33:20Z`, or null.
pub mod nova_time {
    use chrono::NaiveDateTime;
    use serde::{Deserialize, Deserializer, Serializer};

    const FORMAT: &str = "%Y-%m-%dT%H:%M:%SZ";

    /// Writes the time in Nova's form.
    ///
    /// # Errors
    /// The serializer's own.
    pub fn serialize<S: Serializer>(
        time: &Option<NaiveDateTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(&time.format(FORMAT)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a time in Nova's form.
    ///
    /// # Errors
    /// Text that is not such a time.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<NaiveDateTime>, D::Error> {
        Option::<String>::deserialize(deserializer)?
            .map(|text| NaiveDateTime::parse_from_str(&text, FORMAT))
            .transpose()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn swap_counts_as_disk_rounded_up() {
        let mut flavor = Flavor::new("4", "m1.large", 4, 8192, 80);
        flavor.ephemeral_gb = 10;
        flavor.swap = 512;
        assert_eq!(flavor.resources().disk_gb, 91);
    }

    #[rstest]
    #[case(Flavor::new("1", "", 1, 512, 1), "flavor name")]
    #[case(Flavor::new("1", "tiny", 0, 512, 1), "flavor vcpus")]
    #[case(Flavor::new("1", "tiny", 1, -512, 1), "flavor memory_mb")]
    #[case(Flavor::new("1", "tiny", 1, 512, -1), "flavor root_gb")]
    fn a_bad_flavor_is_refused_with_its_field(#[case] flavor: Flavor, #[case] field: &str) {
        assert_eq!(flavor.check().unwrap_err().field, field);
    }

    #[test]
    fn only_required_traits_are_required() {
        let flavor = Flavor::new("1", "tiny", 1, 512, 1)
            .with_extra_spec("trait:HW_CPU_X86_AVX2", "required")
            .with_extra_spec("trait:STORAGE_DISK_SSD", "forbidden")
            .with_extra_spec("hw:mem_page_size", "small");
        assert_eq!(flavor.required_traits().collect::<Vec<_>>(), ["HW_CPU_X86_AVX2"]);
    }

    #[test]
    fn a_flavor_that_nova_wrote_is_read() {
        let text = r#"{"nova_object.name": "Flavor", "nova_object.namespace": "nova",
            "nova_object.version": "1.2", "nova_object.data": {"id": 1, "name": "m1.small",
            "memory_mb": 2048, "vcpus": 1, "root_gb": 20, "ephemeral_gb": 0, "flavorid": "2",
            "swap": 0, "rxtx_factor": 1.0, "vcpu_weight": 0, "disabled": false, "is_public": true,
            "extra_specs": {}, "description": null, "created_at": "2025-02-28T12:33:20Z",
            "updated_at": null, "deleted_at": null, "deleted": false}}"#;
        let read: NovaObject<Flavor> = serde_json::from_str(text).unwrap();
        let written = serde_json::to_value(read.data.clone().wrap()).unwrap();
        assert_eq!(written["nova_object.data"]["created_at"], "2025-02-28T12:33:20Z");
        assert_eq!(read.data.name, "m1.small");
    }
}
