//! Values as clients see them.

pub(crate) mod field;
pub(crate) mod flavor;
pub(crate) mod json;
pub(crate) mod server;

use chrono::NaiveDateTime;
use serde_json::{Value, json};

use field::PlainTime;

/// A time as its older parts show it: `2026-01-31T12:30:00.000000`.
pub(crate) fn plain_time(time: Option<NaiveDateTime>) -> Value {
    json!(PlainTime(time))
}
