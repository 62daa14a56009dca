//! What a key of a view is shown as. Most are parts of what is shown, and are written from there
//! without a copy: a page has thousands of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cellzero::RequestSpec;
use chrono::{Datelike as _, NaiveDateTime, Timelike as _};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::call::Link;
use crate::views::flavor;

/// The value of one key.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Field<'a> {
    Text(&'a str),
    MaybeText(Option<&'a str>),
    Made(String),
    Flag(bool),
    Number(i32),
    Time(Time),
    PlainTime(PlainTime),
    Texts(&'a [String]),
    Items(&'a BTreeMap<String, String>),
    Links([Link; 2]),
    Flavor(flavor::Embedded<'a>),
    Image(Image<'a>),
    /// Things that have a name and no more.
    #[serde(serialize_with = "named")]
    Named(&'a [String]),
    Uuids(Vec<Uuid>),
    #[serde(serialize_with = "hints")]
    Hints(Option<&'a RequestSpec>),
    Other(Value),
}

/// The hints as they were sent: one value by itself, several as a list.
fn hints<S: Serializer>(spec: &Option<&RequestSpec>, serializer: S) -> Result<S::Ok, S::Error> {
    let group = spec.and_then(|spec| spec.server_group);
    let mut view = serializer.serialize_map(None)?;
    let hints = spec.iter().flat_map(|spec| &spec.scheduler_hints);
    for (key, values) in hints.filter(|(key, _)| group.is_none() || *key != GROUP) {
        match &values[..] {
            [only] => view.serialize_entry(key, only)?,
            _ => view.serialize_entry(key, values)?,
        }
    }
    if let Some(group) = group {
        view.serialize_entry(GROUP, &group)?;
    }
    view.end()
}

fn named<S: Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Named<'a> {
        name: &'a str,
    }
    serializer.collect_seq(names.iter().map(|name| Named { name }))
}

/// The hint that names a server group.
const GROUP: &str = "group";

/// An image inside a server.
#[derive(Debug, Serialize)]
pub(crate) struct Image<'a> {
    pub(crate) id: &'a str,
    pub(crate) links: [Link; 1],
    /// From 2.98 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) properties: Option<BTreeMap<&'a str, &'a str>>,
}

impl<'a> Field<'a> {
    /// Text that is empty where there is none.
    pub(crate) fn or_empty(text: &'a Option<String>) -> Field<'a> {
        Field::Text(text.as_deref().unwrap_or_default())
    }

    /// Text that is null where there is none.
    pub(crate) fn or_null(text: &'a Option<String>) -> Field<'a> {
        Field::MaybeText(text.as_deref())
    }
}

/// A time as most of the API shows it: `2026-01-31T12:30:00Z`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) Option<NaiveDateTime>);

/// A time as its older parts show it: `2026-01-31T12:30:00.000000`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlainTime(pub(crate) Option<NaiveDateTime>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.map(|time| seconds(time) + "Z").serialize(serializer)
    }
}

impl Serialize for PlainTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let micros = |time: NaiveDateTime| time.nanosecond() % 1_000_000_000 / 1_000;
        let text = self.0.map(|time| {
            let mut text = seconds(time) + ".";
            pairs(&mut text, [micros(time) / 10_000, micros(time) / 100 % 100, micros(time) % 100]);
            text
        });
        text.serialize(serializer)
    }
}

/// A time up to its seconds, such as `2026-01-31T12:30:00`: written by hand, as a page has hundreds
/// of them, and a format would be read anew for each.
fn seconds(time: NaiveDateTime) -> String {
    let mut text = String::with_capacity("2026-01-31T12:30:00.000000".len());
    write!(text, "{:04}", time.year()).expect("a text takes more text");
    for (before, number) in [
        ('-', time.month()),
        ('-', time.day()),
        ('T', time.hour()),
        (':', time.minute()),
        (':', time.second()),
    ] {
        text.push(before);
        pairs(&mut text, [number]);
    }
    text
}

/// Numbers below 100, with two digits each.
fn pairs<const N: usize>(text: &mut String, numbers: [u32; N]) {
    for number in numbers {
        text.extend([number / 10, number % 10].map(|digit| char::from(b'0' + digit as u8)));
    }
}
