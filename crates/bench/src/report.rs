//! The figures as a table and as Markdown, and what the targets say to them.

use std::fmt::Write as _;

use cellzero_test_support::Engine;
use comfy_table::{CellAlignment, Table};

use crate::engine::{BOOT, SHOW, batch_name};
use crate::measure::Measured;

const HEADER: [&str; 13] = [
    "backend",
    "operation",
    "runs",
    "ours µs",
    "p95",
    "floor µs",
    "p95",
    "ratio",
    "statements: api + cell0 + cells",
    "floor",
    "commits",
    "floor",
    "depth",
];

/// The most statements of one boot to cell0.
const BOOT_STATEMENTS_MAX: u64 = 25;
/// The commits of a boot, of one or of many.
const BOOT_COMMITS: u64 = 4;
/// The databases that a show waits for.
const SHOW_DATABASES: u64 = 2;

fn row(engine: Engine, measured: &Measured) -> [String; 13] {
    let (ours, floor) = (measured.ours(), measured.floor());
    let (counts, sent) = (measured.counts(), measured.sent());
    let varied = if measured.varied() { " at most" } else { "" };
    [
        engine.name().to_owned(),
        measured.operation.clone(),
        measured.runs().to_string(),
        format!("{:.0}", ours.median),
        format!("{:.0}", ours.p95),
        format!("{:.0}", floor.median),
        format!("{:.0}", floor.p95),
        format!("{:.2}", measured.ratio()),
        format!(
            "{} + {} + {} = {}{varied}",
            counts.api,
            counts.cell0,
            counts.cells,
            counts.statements()
        ),
        sent.statements.to_string(),
        counts.commits.to_string(),
        sent.commits.to_string(),
        measured.depth.to_string(),
    ]
}

/// The table for a terminal.
pub(crate) fn table(all: &[(Engine, Vec<Measured>)]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED).set_header(HEADER);
    for (engine, measured) in all {
        table.add_rows(measured.iter().map(|measured| row(*engine, measured)));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The same as Markdown.
pub(crate) fn markdown(all: &[(Engine, Vec<Measured>)]) -> String {
    let mut text = String::from("# Benchmark\n\n");
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    text += &line(&HEADER.map(str::to_owned));
    text += &line(&HEADER.map(|_| "---".to_owned()));
    for (engine, measured) in all {
        for measured in measured {
            text += &line(&row(*engine, measured));
        }
    }
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\nMedians and 95th percentiles in microseconds; ratio of the medians, ours by floor's. \
         Statements and commits without `BEGIN` and `COMMIT`, the most of any run. Depth: how many \
         questions to databases wait for one another.\n"
    );
    text
}

/// The targets that were missed: counts alone, since times depend on the machine.
pub(crate) fn missed(all: &[(Engine, Vec<Measured>)]) -> Vec<String> {
    let mut missed = Vec::new();
    for (engine, measured) in all {
        for measured in measured {
            let counts = measured.counts();
            let mut check = |what: &str, is: u64, good: bool| {
                if !good {
                    let operation = &measured.operation;
                    missed.push(format!("{}: {operation}: {is} {what}", engine.name()));
                }
            };
            if measured.operation == BOOT {
                let statements = counts.statements();
                check("statements", statements, statements <= BOOT_STATEMENTS_MAX);
            }
            if measured.operation == BOOT || measured.operation == batch_name() {
                check("commits", counts.commits, counts.commits == BOOT_COMMITS);
            }
            if measured.operation == SHOW {
                check("databases asked", counts.databases, counts.databases <= SHOW_DATABASES);
            }
        }
    }
    missed
}
