//! One JSON object of the body: reads its keys by kind, and names them in refusals as the client
//! does, such as `networks[0].uuid`.
//!
//! An absent key is `None`. `null` is a value like any other and refused where Nova refuses it.

use std::net::IpAddr;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::Microversion;
use crate::boot_request::COUNT_MAX;
use crate::change::USER_TAG_LENGTH_MAX;
use crate::text::{self, InvalidField, TEXT_LENGTH_MAX};

/// A key with the spans of minor versions, ends included, in which Nova's schema has it.
pub(super) type Key = (&'static str, &'static [(u16, u16)]);

/// The span of a key that every microversion has.
pub(super) const ALWAYS: &[(u16, u16)] = &[(0, u16::MAX)];

/// An object of the body, and where in the body it is.
pub(super) struct Object<'a> {
    /// What is put before the keys: empty for the server itself, else such as `networks[0].`.
    prefix: String,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    /// The object `value`, found at `place`; `prefix` is put before its keys.
    pub(super) fn new(
        place: &str,
        prefix: impl Into<String>,
        value: &'a Value,
    ) -> Result<Object<'a>, InvalidField> {
        match value.as_object() {
            Some(map) => Ok(Object { prefix: prefix.into(), map }),
            None => Err(InvalidField::new(place, shown(value), "an object")),
        }
    }

    /// The name of `key` in refusals.
    pub(super) fn field(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The refusal of what stands under `key`, which must be `expected`.
    pub(super) fn refuse(&self, key: &str, expected: impl Into<String>) -> InvalidField {
        // Refusals are logged and answered, so secrets stay out of them.
        let value = match (key, self.map.get(key)) {
            ("adminPass" | "user_data", Some(_)) => "(hidden)".to_owned(),
            (_, Some(value)) => shown(value),
            (_, None) => String::new(),
        };
        InvalidField::new(self.field(key), value, expected)
    }

    /// Refuses a key that is not in `keys` at this microversion, as Nova's schema does.
    pub(super) fn check_keys(
        &self,
        keys: &[Key],
        microversion: Microversion,
    ) -> Result<(), InvalidField> {
        let minor = microversion.schema_minor();
        for key in self.map.keys() {
            let Some((_, spans)) = keys.iter().find(|(name, _)| name == key) else {
                return Err(self.refuse(key, "left out: no such key is taken"));
            };
            if !spans.iter().any(|(first, last)| (*first..=*last).contains(&minor)) {
                let spans: Vec<String> = spans.iter().map(span_text).collect();
                let spans = spans.join(" and ");
                return Err(self.refuse(key, format!("left out at {microversion}: it is {spans}")));
            }
        }
        Ok(())
    }

    /// The value as it came.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key)
    }

    /// Every key with its value.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.map.iter()
    }

    /// Text of any length.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, InvalidField> {
        match self.map.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.refuse(key, "a string")),
        }
    }

    /// Text that fits a column.
    pub(super) fn short_text(&self, key: &str) -> Result<Option<String>, InvalidField> {
        let Some(value) = self.text(key)? else { return Ok(None) };
        text::check(&self.field(key), value, TEXT_LENGTH_MAX)?;
        Ok(Some(value.to_owned()))
    }

    /// Text that fits a column, or `null` for none.
    pub(super) fn short_text_or_null(&self, key: &str) -> Result<Option<String>, InvalidField> {
        if self.is_null(key) { Ok(None) } else { self.short_text(key) }
    }

    /// A name: 1 to 255 printable characters without blanks at the ends.
    pub(super) fn name(&self, key: &str) -> Result<Option<&'a str>, InvalidField> {
        let name = self.text(key)?;
        if let Some(name) = name {
            text::check_name(&self.field(key), name)?;
        }
        Ok(name)
    }

    /// Text of 1 to 255 characters, each of them an ASCII letter, a digit or one of `marks`.
    pub(super) fn word(&self, key: &str, marks: &str) -> Result<Option<&'a str>, InvalidField> {
        let Some(word) = self.text(key)? else { return Ok(None) };
        let known = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
        if word.is_empty() || word.len() > TEXT_LENGTH_MAX || !word.chars().all(known) {
            let expected = format!("1 to 255 of the characters a-z, A-Z, 0-9 and {marks}");
            return Err(self.refuse(key, expected));
        }
        Ok(Some(word))
    }

    /// A tag of a network or a block device.
    pub(super) fn tag(&self, key: &str) -> Result<Option<String>, InvalidField> {
        let Some(tag) = self.text(key)? else { return Ok(None) };
        check_tag(&self.field(key), tag)?;
        Ok(Some(tag.to_owned()))
    }

    /// A uuid.
    pub(super) fn uuid(&self, key: &str) -> Result<Option<Uuid>, InvalidField> {
        let Some(value) = self.text(key)? else { return Ok(None) };
        Uuid::try_parse(value).map(Some).map_err(|_| self.refuse(key, "a uuid"))
    }

    /// A uuid, or `null` for none.
    pub(super) fn uuid_or_null(&self, key: &str) -> Result<Option<Uuid>, InvalidField> {
        if self.is_null(key) { Ok(None) } else { self.uuid(key) }
    }

    /// An address of either family.
    pub(super) fn address(&self, key: &str) -> Result<Option<IpAddr>, InvalidField> {
        let Some(value) = self.text(key)? else { return Ok(None) };
        value.parse().map(Some).map_err(|_| self.refuse(key, "an IPv4 or IPv6 address"))
    }

    /// Yes or no, as a boolean or as one of the words that Nova knows.
    pub(super) fn boolean(&self, key: &str) -> Result<Option<bool>, InvalidField> {
        let Some(value) = self.map.get(key) else { return Ok(None) };
        let answer = match value {
            Value::Bool(answer) => Some(*answer),
            Value::String(word) => boolean_of_word(word),
            _ => None,
        };
        answer.map(Some).ok_or_else(|| self.refuse(key, "true or false"))
    }

    /// A whole number, or a string of its digits.
    pub(super) fn whole_number(&self, key: &str) -> Result<Option<i64>, InvalidField> {
        let Some(value) = self.map.get(key) else { return Ok(None) };
        let number = match value {
            // 2.0 is not taken: Nova's schema tells integers from other numbers by their form.
            Value::Number(number) => number.as_i64(),
            Value::String(digits) if is_digits(digits.strip_prefix('-').unwrap_or(digits)) => {
                digits.parse().ok()
            }
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.refuse(key, "a whole number"))
    }

    /// A count of instances.
    pub(super) fn count(&self, key: &str) -> Result<Option<u32>, InvalidField> {
        let Some(number) = self.whole_number(key)? else { return Ok(None) };
        match u32::try_from(number) {
            Ok(count) if (1..=COUNT_MAX).contains(&count) => Ok(Some(count)),
            _ => Err(self.refuse(key, format!("1 to {COUNT_MAX}"))),
        }
    }

    /// The items of a list, each with its place, such as `networks[0]`; none when it is absent.
    pub(super) fn list(&self, key: &str) -> Result<Vec<(String, &'a Value)>, InvalidField> {
        match self.map.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let place = |index| format!("{}[{index}]", self.field(key));
                Ok(items.iter().enumerate().map(|(index, item)| (place(index), item)).collect())
            }
            Some(_) => Err(self.refuse(key, "a list")),
        }
    }

    /// The items of a list that are objects.
    pub(super) fn objects(&self, key: &str) -> Result<Vec<Object<'a>>, InvalidField> {
        let items = self.list(key)?;
        items.iter().map(|(place, item)| Object::new(place, format!("{place}."), item)).collect()
    }

    /// Whether `null` stands under `key`.
    pub(super) fn is_null(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(Value::is_null)
    }
}

/// Checks one tag by the rules of the API.
pub(super) fn check_tag(field: &str, tag: &str) -> Result<(), InvalidField> {
    if tag.is_empty() || tag.contains(['/', ',']) || tag.chars().count() > USER_TAG_LENGTH_MAX {
        let expected = format!("1 to {USER_TAG_LENGTH_MAX} characters without / and ,");
        return Err(InvalidField::new(field, tag, expected));
    }
    text::check(field, tag, USER_TAG_LENGTH_MAX)
}

/// A value as refusals show it: text without its quotes, all else as JSON.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn boolean_of_word(word: &str) -> Option<bool> {
    match word {
        "True" | "TRUE" | "true" | "1" | "ON" | "On" | "on" | "YES" | "Yes" | "yes" => Some(true),
        "False" | "FALSE" | "false" | "0" | "OFF" | "Off" | "off" | "NO" | "No" | "no" => {
            Some(false)
        }
        _ => None,
    }
}

fn span_text(span: &(u16, u16)) -> String {
    match *span {
        (first, u16::MAX) => format!("taken from 2.{first}"),
        (first, last) if first <= 1 => format!("taken up to 2.{last}"),
        (first, last) if first == last => format!("taken at 2.{first}"),
        (first, last) => format!("taken from 2.{first} to 2.{last}"),
    }
}
