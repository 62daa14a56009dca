//! The scheduler hints, which stand beside `server`.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use super::object::{Object, shown};
use crate::text::InvalidField;

const HINTS: &str = "os:scheduler_hints";
const HINTS_OF_OLD: &str = "OS-SCH-HNT:scheduler_hints";

/// The hints: the server group, and all others as text.
#[derive(Default)]
pub(super) struct Hints {
    pub(super) group: Option<Uuid>,
    pub(super) others: BTreeMap<String, Vec<String>>,
}

/// Reads the hints under either of their names.
pub(super) fn read(top: &Object<'_>) -> Result<Hints, InvalidField> {
    let (key, value) = match (top.get(HINTS), top.get(HINTS_OF_OLD)) {
        (None, None) => return Ok(Hints::default()),
        (Some(new), Some(old)) if new != old => {
            let expected = format!("the same as {HINTS}, or left out");
            return Err(top.refuse(HINTS_OF_OLD, expected));
        }
        (Some(new), _) => (HINTS, new),
        (None, Some(old)) => (HINTS_OF_OLD, old),
    };
    let given = Object::new(key, format!("{key}."), value)?;
    let mut hints = Hints::default();
    for (name, value) in given.entries() {
        let texts = texts(value);
        match name.as_str() {
            "group" => hints.group = group(&given, &uuids(&given, name)?)?,
            "different_host" | "same_host" => {
                uuids(&given, name)?;
                hints.others.insert(name.clone(), texts);
            }
            "build_near_host_ip" => {
                given.address(name)?;
                hints.others.insert(name.clone(), texts);
            }
            // Filters of an operator's own may read any other hint, as in Nova.
            _ => {
                hints.others.insert(name.clone(), texts);
            }
        }
    }
    Ok(hints)
}

fn group(given: &Object<'_>, groups: &[Uuid]) -> Result<Option<Uuid>, InvalidField> {
    match groups {
        [] => Ok(None),
        [group] => Ok(Some(*group)),
        // A server is a member of one group at most.
        _ => Err(given.refuse("group", "the uuid of one server group")),
    }
}

/// The uuids of a hint that is one uuid or a list of them.
fn uuids(given: &Object<'_>, name: &str) -> Result<Vec<Uuid>, InvalidField> {
    let refusal = || given.refuse(name, "a uuid or a list of uuids");
    let uuid = |value: &Value| value.as_str().and_then(|text| Uuid::try_parse(text).ok());
    match given.get(name) {
        Some(Value::Array(items)) => items.iter().map(uuid).collect::<Option<_>>(),
        Some(value) => uuid(value).map(|uuid| vec![uuid]),
        None => Some(Vec::new()),
    }
    .ok_or_else(refusal)
}

/// A hint as the scheduler reads it: the items of a list, or one text. What is no text, such as
/// the object that `query` may be, becomes its JSON.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().map(shown).collect(),
        value => vec![shown(value)],
    }
}
