//! What a command prints: a table for people, or JSON.

use std::io::{IsTerminal as _, Write as _};

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Color, ContentArrangement, Table};
use serde::Serialize;

use crate::args::{ColorWhen, Global};

/// How results are printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    color: bool,
}

/// A result: its fields are the JSON.
pub(crate) trait View: Serialize {
    /// The same for people, with or without colors. It ends with a line's end where it is not empty.
    fn text(&self, style: Style) -> String;

    /// What else people should know, for stderr; empty, or lines with their ends.
    fn notes(&self) -> String {
        String::new()
    }
}

/// Whether tables have colors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    color: bool,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Output {
        let color = match global.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => {
                let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                !refused && std::io::stdout().is_terminal()
            }
        };
        Output { json: global.json, color }
    }

    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints a result to stdout.
    pub(crate) fn show(self, view: &impl View) -> anyhow::Result<()> {
        let text = match self.json {
            true => serde_json::to_string_pretty(view)? + "\n",
            false => view.text(Style { color: self.color }),
        };
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        if !self.json {
            eprint!("{}", view.notes());
        }
        Ok(())
    }
}

impl Style {
    /// A cell of a table in red, where there are colors: something failed.
    pub(crate) fn bad(self, text: impl ToString) -> Cell {
        self.cell(text, Color::Red)
    }

    /// In green: all is well.
    pub(crate) fn good(self, text: impl ToString) -> Cell {
        self.cell(text, Color::Green)
    }

    /// In yellow: it is under way, or not known.
    pub(crate) fn doubtful(self, text: impl ToString) -> Cell {
        self.cell(text, Color::Yellow)
    }

    fn cell(self, text: impl ToString, color: Color) -> Cell {
        match self.color {
            true => Cell::new(text).fg(color),
            false => Cell::new(text),
        }
    }
}

/// A table without borders, so that a line is a row to other tools, however long it is.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    // Whether there are colors is decided by the cells.
    table.enforce_styling();
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    table
}

/// A table as text: no blanks before or behind a line.
pub(crate) fn lines(table: &Table) -> String {
    let lines = table.lines().map(|line| format!("{}\n", line.trim()));
    lines.collect()
}

/// `-` where nothing is known.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A time to the second, UTC.
pub(crate) fn time(time: Option<chrono::NaiveDateTime>) -> String {
    or_dash(time.map(|time| time.format("%Y-%m-%d %H:%M:%S")))
}
