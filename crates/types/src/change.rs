//! What a user may change of an instance that exists, checked before anything is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use uuid::Uuid;

use crate::boot_request::{TAGS_MAX, USER_DATA_LENGTH_MAX};
use crate::instance::Instance;
use crate::text::{self, InvalidField, TEXT_LENGTH_MAX};

/// The longest tag that a user may give, in characters, as in Nova; the column holds more.
pub const USER_TAG_LENGTH_MAX: usize = 60;

/// New values of an instance's own fields; what is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceChange {
    /// The name.
    pub display_name: Option<String>,
    /// The sentence for people; none inside takes it away.
    pub description: Option<Option<String>>,
    /// The host name inside the guest.
    pub hostname: Option<String>,
    /// The address that clients are told to use; none inside takes it away.
    pub access_ip_v4: Option<Option<Ipv4Addr>>,
    /// The address that clients are told to use; none inside takes it away.
    pub access_ip_v6: Option<Option<Ipv6Addr>>,
    /// Whether the disk is partitioned by the compute side.
    pub auto_disk_config: Option<bool>,
}

impl InstanceChange {
    /// Whether nothing is to change.
    pub fn is_empty(&self) -> bool {
        *self == InstanceChange::default()
    }

    /// Checks each field; they are named as clients name them.
    ///
    /// # Errors
    /// [`InvalidField`]: which field, its value, and what would be right.
    pub fn check(&self) -> Result<(), InvalidField> {
        if let Some(name) = &self.display_name {
            text::check_name("name", name)?;
        }
        if let Some(Some(description)) = &self.description {
            text::check("description", description, TEXT_LENGTH_MAX)?;
            if description.chars().any(char::is_control) {
                return Err(InvalidField::new("description", description, "printable characters"));
            }
        }
        let Some(hostname) = &self.hostname else { return Ok(()) };
        let known = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if hostname.is_empty() || !hostname.chars().all(known) {
            let expected = "1 to 255 letters, digits, -, . and _";
            return Err(InvalidField::new("hostname", hostname, expected));
        }
        text::check("hostname", hostname, TEXT_LENGTH_MAX)
    }

    /// Writes the new values into an instance.
    pub fn apply(&self, instance: &mut Instance) {
        if let Some(name) = &self.display_name {
            instance.display_name = Some(name.clone());
        }
        if let Some(description) = &self.description {
            instance.display_description = description.clone();
        }
        if let Some(hostname) = &self.hostname {
            instance.hostname = Some(hostname.clone());
        }
        if let Some(ip) = self.access_ip_v4 {
            instance.access_ip_v4 = ip.map(|ip| ip.to_string());
        }
        if let Some(ip) = self.access_ip_v6 {
            instance.access_ip_v6 = ip.map(|ip| ip.to_string());
        }
        if let Some(auto) = self.auto_disk_config {
            instance.auto_disk_config = auto;
        }
    }
}

/// What an instance is to be rebuilt from, and what changes with it.
#[derive(Clone, PartialEq, Eq)]
pub struct Rebuild {
    /// The image.
    pub image: Uuid,
    /// What is known of the image, for `system_metadata`; `image_` is put before each key.
    pub image_properties: BTreeMap<String, String>,
    /// New values of its own fields.
    pub change: InstanceChange,
    /// All its metadata; none keeps what it has.
    pub metadata: Option<BTreeMap<String, String>>,
    /// A key pair of the user, by name; none inside takes it away, none keeps it.
    pub key_name: Option<Option<String>>,
    /// Base64 text for the guest; none inside takes it away, none keeps it.
    pub user_data: Option<Option<String>>,
    /// Whether its ephemeral disk is kept.
    pub preserve_ephemeral: bool,
}

impl std::fmt::Debug for Rebuild {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The user data, which often holds secrets, stays out of logs.
        f.debug_struct("Rebuild")
            .field("image", &self.image)
            .field("change", &self.change)
            .field("key_name", &self.key_name)
            .field("preserve_ephemeral", &self.preserve_ephemeral)
            .finish_non_exhaustive()
    }
}

impl Rebuild {
    /// From an image, with nothing else changed.
    pub fn new(image: Uuid) -> Rebuild {
        Rebuild {
            image,
            image_properties: BTreeMap::new(),
            change: InstanceChange::default(),
            metadata: None,
            key_name: None,
            user_data: None,
            preserve_ephemeral: false,
        }
    }

    /// Checks each field, but for how many metadata items there are.
    ///
    /// # Errors
    /// [`InvalidField`]: which field, its value, and what would be right.
    pub fn check(&self) -> Result<(), InvalidField> {
        self.change.check()?;
        if let Some(Some(name)) = &self.key_name {
            text::check_name("key_name", name)?;
        }
        if let Some(Some(data)) = &self.user_data {
            text::check("user_data", data, USER_DATA_LENGTH_MAX)?;
        }
        self.metadata.iter().flatten().try_for_each(check_item)?;
        for (key, value) in &self.image_properties {
            text::check("image property", key, TEXT_LENGTH_MAX - "image_".len())?;
            text::check("image property", value, TEXT_LENGTH_MAX)?;
        }
        Ok(())
    }
}

/// A change of the metadata that a user keeps with an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataChange {
    /// These items and no others.
    Replace(BTreeMap<String, String>),
    /// These items, beside the others.
    Update(BTreeMap<String, String>),
    /// Not the item of this key.
    Remove(String),
}

impl MetadataChange {
    /// Checks keys and values.
    ///
    /// # Errors
    /// [`InvalidField`] naming `metadata`.
    pub fn check(&self) -> Result<(), InvalidField> {
        match self {
            MetadataChange::Replace(items) | MetadataChange::Update(items) => {
                items.iter().try_for_each(check_item)
            }
            MetadataChange::Remove(key) => text::check("metadata", key, TEXT_LENGTH_MAX),
        }
    }

    /// The key that it takes away; empty for the others.
    pub fn removed(&self) -> &str {
        if let MetadataChange::Remove(key) = self { key } else { "" }
    }

    /// The items after it; none where the one to remove is not there.
    pub fn apply(&self, items: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
        let mut changed = items.clone();
        match self {
            MetadataChange::Replace(new) => return Some(new.clone()),
            MetadataChange::Update(new) => changed.extend(new.clone()),
            MetadataChange::Remove(key) => drop(changed.remove(key)?),
        }
        Some(changed)
    }
}

fn check_item((key, value): (&String, &String)) -> Result<(), InvalidField> {
    if key.is_empty() {
        return Err(InvalidField::new("metadata", key, "keys of at least 1 character"));
    }
    let known = |c: char| c.is_ascii_alphanumeric() || "-_:. ".contains(c);
    if !key.chars().all(known) {
        let expected = "keys of the characters a-z, A-Z, 0-9, -, _, :, . and blank";
        return Err(InvalidField::new("metadata", key, expected));
    }
    text::check("metadata", key, TEXT_LENGTH_MAX)?;
    text::check("metadata", value, TEXT_LENGTH_MAX)
}

/// A change of the tags of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagChange {
    /// These and no others; one that stands twice counts once.
    Replace(Vec<String>),
    /// This one too.
    Add(String),
    /// Not this one.
    Remove(String),
    /// None.
    RemoveAll,
}

impl TagChange {
    /// Checks each tag, and how many there are.
    ///
    /// # Errors
    /// [`InvalidField`] naming `tags`.
    pub fn check(&self) -> Result<(), InvalidField> {
        match self {
            TagChange::Replace(tags) => {
                tags.iter().try_for_each(check_tag)?;
                check_count(tags.iter().collect::<BTreeSet<_>>().len())
            }
            TagChange::Add(tag) => check_tag(tag),
            TagChange::Remove(_) | TagChange::RemoveAll => Ok(()),
        }
    }

    /// The tag that it takes away; empty for the others.
    pub fn removed(&self) -> &str {
        if let TagChange::Remove(tag) = self { tag } else { "" }
    }

    /// The tags after it, sorted; none where the one to remove is not there.
    ///
    /// # Errors
    /// [`InvalidField`] where there would be more than an instance may have.
    pub fn apply(&self, tags: &[String]) -> Result<Option<Vec<String>>, InvalidField> {
        let mut changed: BTreeSet<String> = tags.iter().cloned().collect();
        match self {
            TagChange::Replace(new) => changed = new.iter().cloned().collect(),
            TagChange::Add(tag) => drop(changed.insert(tag.clone())),
            TagChange::Remove(tag) if !changed.remove(tag) => return Ok(None),
            TagChange::Remove(_) => {}
            TagChange::RemoveAll => changed.clear(),
        }
        // What is over the limit already may lose tags.
        if changed.len() > tags.len() {
            check_count(changed.len())?;
        }
        Ok(Some(changed.into_iter().collect()))
    }
}

fn check_count(count: usize) -> Result<(), InvalidField> {
    match count > TAGS_MAX {
        true => Err(InvalidField::new("tags", count, format!("at most {TAGS_MAX} tags"))),
        false => Ok(()),
    }
}

fn check_tag(tag: &String) -> Result<(), InvalidField> {
    if tag.is_empty() || tag.contains(['/', ',']) {
        let expected = format!("1 to {USER_TAG_LENGTH_MAX} characters without / and ,");
        return Err(InvalidField::new("tags", tag, expected));
    }
    text::check("tags", tag, USER_TAG_LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::ids::InstanceUuid;

    fn texts(all: &[&str]) -> Vec<String> {
        all.iter().map(|&text| text.to_owned()).collect()
    }

    #[rstest]
    #[case::empty_name(InstanceChange { display_name: Some(String::new()), ..Default::default() }, "name")]
    #[case::blanks(InstanceChange { display_name: Some(" a".into()), ..Default::default() }, "name")]
    #[case::long(InstanceChange { description: Some(Some("d".repeat(256))), ..Default::default() }, "description")]
    #[case::not_printable(InstanceChange { description: Some(Some("\u{7}".into())), ..Default::default() }, "description")]
    #[case::hostname(InstanceChange { hostname: Some("a b".into()), ..Default::default() }, "hostname")]
    fn a_bad_change_is_refused_with_its_field(#[case] change: InstanceChange, #[case] field: &str) {
        assert_eq!(change.check().unwrap_err().field, field);
    }

    #[test]
    fn what_is_not_named_stays_and_what_is_taken_away_goes() {
        let mut instance = Instance::new(InstanceUuid(Uuid::from_u128(1)), "p", "u");
        instance.display_name = Some("web".into());
        instance.access_ip_v4 = Some("10.0.0.1".into());
        let change = InstanceChange {
            description: Some(Some("new".into())),
            access_ip_v4: Some(None),
            ..InstanceChange::default()
        };
        change.apply(&mut instance);
        assert_eq!(instance.display_name.as_deref(), Some("web"));
        assert_eq!(instance.display_description.as_deref(), Some("new"));
        assert_eq!(instance.access_ip_v4, None);
        assert!(InstanceChange::default().is_empty() && !change.is_empty());
    }

    #[test]
    fn metadata_is_replaced_added_to_and_removed() {
        let items = |all: &[(&str, &str)]| -> BTreeMap<String, String> {
            all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let old = items(&[("a", "1"), ("b", "2")]);
        let update = MetadataChange::Update(items(&[("b", "3"), ("c", "4")]));
        assert_eq!(update.apply(&old).unwrap(), items(&[("a", "1"), ("b", "3"), ("c", "4")]));
        let replace = MetadataChange::Replace(items(&[("c", "4")]));
        assert_eq!(replace.apply(&old).unwrap(), items(&[("c", "4")]));
        assert_eq!(MetadataChange::Remove("a".into()).apply(&old).unwrap(), items(&[("b", "2")]));
        assert_eq!(MetadataChange::Remove("x".into()).apply(&old), None);
        for bad in [("", "1"), ("a/b", "1"), ("a", "\0")] {
            assert!(MetadataChange::Update(items(&[bad])).check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn tags_are_a_set_with_a_limit() {
        let old = texts(&["a", "b"]);
        let applied = |change: TagChange| change.apply(&old).unwrap();
        assert_eq!(applied(TagChange::Add("a".into())), Some(texts(&["a", "b"])));
        assert_eq!(applied(TagChange::Replace(texts(&["c", "c"]))), Some(texts(&["c"])));
        assert_eq!(applied(TagChange::Remove("b".into())), Some(texts(&["a"])));
        assert_eq!(applied(TagChange::Remove("c".into())), None);
        assert_eq!(applied(TagChange::RemoveAll), Some(Vec::new()));
        let many: Vec<String> = (0..50).map(|n| format!("t{n}")).collect();
        assert!(TagChange::Add("more".into()).apply(&many).is_err());
        assert!(TagChange::Remove("t1".into()).apply(&many).is_ok());
        for bad in ["", "a,b", "a/b", &"a".repeat(61)] {
            assert_eq!(TagChange::Add(bad.to_owned()).check().unwrap_err().field, "tags", "{bad}");
        }
    }
}
