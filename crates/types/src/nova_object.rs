//! The envelope that Nova puts around an object when it stores it as JSON text.
//!
//! It is in this one place; see the section "JSON blobs" of the notes on Nova-made databases.

use serde::{Deserialize, Serialize};

/// A value in Nova's object envelope.
///
/// ```
/// use cellzero_types::NovaObject;
/// let tags = NovaObject::new("TagList", "1.1", vec!["prod"]);
/// let text = serde_json::to_string(&tags).unwrap();
/// assert_eq!(
///     text,
///     r#"{"nova_object.name":"TagList","nova_object.namespace":"nova","nova_object.version":"1.1","nova_object.data":["prod"]}"#
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NovaObject<T> {
    /// The object's class in Nova.
    #[serde(rename = "nova_object.name")]
    pub name: String,
    /// Always `nova`.
    #[serde(rename = "nova_object.namespace")]
    pub namespace: String,
    /// The version of the class.
    #[serde(rename = "nova_object.version")]
    pub version: String,
    /// The object itself.
    #[serde(rename = "nova_object.data")]
    pub data: T,
}

impl<T> NovaObject<T> {
    /// `data` as an object of class `name` at `version`.
    pub fn new(name: &str, version: &str, data: T) -> NovaObject<T> {
        NovaObject {
            name: name.to_owned(),
            namespace: "nova".to_owned(),
            version: version.to_owned(),
            data,
        }
    }
}

/// The data of Nova's list objects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NovaList<T> {
    /// The members, each in its own envelope.
    pub objects: Vec<NovaObject<T>>,
}

impl<T> NovaList<T> {
    /// A list of class `list_name` whose members are of class `name`.
    pub fn wrap(
        (list_name, list_version): (&str, &str),
        (name, version): (&str, &str),
        members: impl IntoIterator<Item = T>,
    ) -> NovaObject<NovaList<T>> {
        let objects = members.into_iter().map(|m| NovaObject::new(name, version, m)).collect();
        NovaObject::new(list_name, list_version, NovaList { objects })
    }

    /// The members without their envelopes.
    pub fn members(self) -> impl Iterator<Item = T> {
        self.objects.into_iter().map(|object| object.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_changes_that_nova_adds_are_accepted() {
        let text = r#"{"nova_object.name": "Tag", "nova_object.namespace": "nova",
            "nova_object.version": "1.1", "nova_object.data": 7, "nova_object.changes": ["tag"]}"#;
        assert_eq!(
            serde_json::from_str::<NovaObject<i32>>(text).unwrap(),
            NovaObject::new("Tag", "1.1", 7)
        );
    }
}
