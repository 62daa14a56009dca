//! The query of a URL: pairs in their order, a key as often as it was sent.

use cellzero::InvalidField;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

use crate::fault::Fault;

/// The decoded pairs of a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what stands behind the `?`.
    pub(crate) fn parse(text: Option<&str>) -> Query {
        let pairs = url::form_urlencoded::parse(text.unwrap_or_default().as_bytes());
        Query(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// All values of a key.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The last value of a key, as Nova takes it.
    pub(crate) fn one(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The same query with another value of one key, which then comes last.
    pub(crate) fn with(&self, key: &str, value: &str) -> String {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        for (known, kept) in self.0.iter().filter(|(known, _)| known != key) {
            text.append_pair(known, kept);
        }
        text.append_pair(key, value);
        text.finish()
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(crate) fn count(&self, key: &str) -> Result<Option<u32>, Fault> {
        let Some(text) = self.one(key) else { return Ok(None) };
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u128>().ok().filter(|_| is_plain);
        let number = number.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        number
            .map(Some)
            .ok_or_else(|| InvalidField::new(key, text, "a whole number that is at least 0").into())
    }

    /// Yes or no, in the words that Nova knows.
    ///
    /// # Errors
    /// 400 for any other word.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, Fault> {
        let Some(text) = self.one(key) else { return Ok(None) };
        flag(text).map(Some).ok_or_else(|| InvalidField::new(key, text, "True or False").into())
    }

    /// A time.
    ///
    /// # Errors
    /// 400 for text that is none.
    pub(crate) fn time(&self, key: &str) -> Result<Option<NaiveDateTime>, Fault> {
        let Some(text) = self.one(key) else { return Ok(None) };
        time(text).map(Some).ok_or_else(|| {
            InvalidField::new(key, text, "a time such as 2026-01-31T12:30:00Z").into()
        })
    }
}

/// Yes or no, in the words that Nova knows.
pub(crate) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "on" | "y" | "yes" => Some(true),
        "0" | "f" | "false" | "off" | "n" | "no" => Some(false),
        _ => None,
    }
}

/// A time in ISO 8601, with or without a zone, or a date alone; UTC.
pub(crate) fn time(text: &str) -> Option<NaiveDateTime> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc).naive_utc());
    }
    // A `+` in a query is a blank, so a zone may have lost its sign.
    if let Some((time, zone)) = text.rsplit_once(' ')
        && let Ok(time) = DateTime::parse_from_rfc3339(&format!("{time}+{zone}"))
    {
        return Some(time.with_timezone(&Utc).naive_utc());
    }
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%#z"];
    let found = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    found.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
}
