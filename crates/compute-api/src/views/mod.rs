//! Values as clients see them.

pub(crate) mod flavor;
pub(crate) mod server;

use chrono::NaiveDateTime;
use serde_json::{Value, json};

/// A time as most of the API shows it: `2026-01-31T12:30:00Z`.
pub(crate) fn time(time: Option<NaiveDateTime>) -> Value {
    time.map_or(Value::Null, |time| json!(time.format("%Y-%m-%dT%H:%M:%SZ").to_string()))
}

/// A time as its older parts show it: `2026-01-31T12:30:00.000000`.
pub(crate) fn plain_time(time: Option<NaiveDateTime>) -> Value {
    time.map_or(Value::Null, |time| json!(time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()))
}
