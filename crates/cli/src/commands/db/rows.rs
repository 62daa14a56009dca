//! What `db archive` and `db purge` have in common: times, and tables of row counts.

use std::collections::BTreeMap;

use cellzero::CellUuid;
use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::commands::cells::Names;
use crate::output::{lines, table};

/// A time that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no time; give a day such as 2026-01-31, or a time such as 2026-01-31T12:00:00")]
pub(super) struct BadTime(String);

/// A day, a time in UTC, or a time with its offset from it.
pub(super) fn parse_time(text: &str) -> Result<NaiveDateTime, BadTime> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.naive_utc());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(day.into());
    }
    let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let read = |format| NaiveDateTime::parse_from_str(text, format).ok();
    formats.into_iter().find_map(read).ok_or_else(|| BadTime(text.to_owned()))
}

/// Rows of the databases of a plane, by table.
pub(super) struct Moved<'a> {
    pub(super) api: &'a BTreeMap<String, u64>,
    pub(super) cells: &'a BTreeMap<CellUuid, BTreeMap<String, u64>>,
}

/// A table of row counts; nothing where there are none.
pub(super) struct Table {
    table: comfy_table::Table,
    is_empty: bool,
}

impl Table {
    pub(super) fn new(what: &str) -> Table {
        Table { table: table(&["database", "table", what]), is_empty: true }
    }

    pub(super) fn add(&mut self, moved: &Moved<'_>, names: &Names) {
        let api = std::iter::once(("api".to_owned(), moved.api));
        let cells = moved.cells.iter().map(|(cell, rows)| (names.of(*cell), rows));
        for (database, rows) in api.chain(cells) {
            for (table, number) in rows {
                self.table.add_row([database.clone(), table.clone(), number.to_string()]);
                self.is_empty = false;
            }
        }
    }

    pub(super) fn text(&self) -> String {
        if self.is_empty { String::new() } else { lines(&self.table) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_each_of_its_forms() {
        for text in [
            "2026-01-31T12:00:00",
            "2026-01-31 12:00:00",
            "2026-01-31 12:00",
            "2026-01-31T12:00:00Z",
            "2026-01-31T14:00:00+02:00",
        ] {
            assert_eq!(parse_time(text).unwrap().to_string(), "2026-01-31 12:00:00", "{text}");
        }
        assert_eq!(parse_time("2026-01-31").unwrap().to_string(), "2026-01-31 00:00:00");
        for text in ["", "yesterday", "2026-13-01", "2026-01-31T25:00"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
