//! The figures as a table and as Markdown, and what the targets say to them.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use cellzero_test_support::Engine;
use comfy_table::{CellAlignment, Table};

use crate::decide::Decided;
use crate::engine::{BOOT, Runs, SHOW, batch_name, storm_name};
use crate::lists::{PAGE, WIDE, even_name, large_name, list_name, walk_name};
use crate::measure::Measured;

const HEADER: [&str; 16] = [
    "backend",
    "operation",
    "runs",
    "p50 µs",
    "p99",
    "floor p50",
    "p99",
    "ratio",
    "statements: api + cell0 + cells",
    "floor",
    "commits",
    "round trips",
    "rows read",
    "CPU µs",
    "memory MB",
    "depth",
];
/// Nothing was measured there.
const NONE: &str = "–";

/// The most statements of one boot to cell0.
const BOOT_STATEMENTS_MAX: u64 = 25;
/// The commits of a boot, of one or of many.
const BOOT_COMMITS: u64 = 4;
/// The databases that a show waits for.
const SHOW_DATABASES: u64 = 2;
/// What stands behind this line of the document is written here.
const BEGIN: &str = "<!-- measured: from here to the end it is written by `cargo xtask bench` -->";

fn row(engine: Engine, measured: &Measured) -> [String; 16] {
    let (ours, floor) = (measured.ours(), measured.floor());
    let (counts, sent) = (measured.counts(), measured.sent());
    let varied = if measured.varied() { " at most" } else { "" };
    let number = |value: Option<f64>| value.map_or(NONE.to_owned(), |value| format!("{value:.0}"));
    let pair = |pair: Option<(String, String)>| {
        pair.map_or(NONE.to_owned(), |(ours, floor)| format!("{ours} / {floor}"))
    };
    let round_trips = match engine {
        Engine::Sqlite => NONE.to_owned(),
        Engine::Postgres | Engine::MariaDb => {
            (counts.statements() + 2 * counts.commits).to_string()
        }
    };
    [
        engine.name().to_owned(),
        measured.operation.clone(),
        measured.runs().to_string(),
        format!("{:.0}", ours.p50),
        format!("{:.0}", ours.p99),
        number(floor.map(|floor| floor.p50)),
        number(floor.map(|floor| floor.p99)),
        measured.ratio().map_or(NONE.to_owned(), |ratio| format!("{ratio:.2}")),
        format!(
            "{} + {} + {} = {}{varied}",
            counts.api,
            counts.cell0,
            counts.cells,
            counts.statements()
        ),
        floor.map_or(NONE.to_owned(), |_| sent.statements.to_string()),
        counts.commits.to_string(),
        round_trips,
        pair(measured.rows.map(|(ours, floor)| (ours.to_string(), floor.to_string()))),
        match floor {
            Some(floor) => format!("{:.0} / {:.0}", ours.cpu, floor.cpu),
            None => format!("{:.0}", ours.cpu),
        },
        pair(measured.memory.map(|(o, f)| (format!("{o:.1}"), format!("{f:.1}")))),
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

/// The same as Markdown, with the machine and the picture.
pub(crate) fn markdown(
    all: &[(Engine, Vec<Measured>)],
    decided: &[Decided],
    runs: Runs,
    (machine, picture): (&str, &str),
) -> String {
    let mut text = format!("\n## Measured\n\n{machine}\n\n");
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    text += &line(&HEADER.map(str::to_owned));
    text += &line(&HEADER.map(|_| "---".to_owned()));
    for (engine, measured) in all {
        for measured in measured {
            text += &line(&row(*engine, measured));
        }
    }
    text += &format!(
        "\n![List of the first 1,000 over 1 to 100 cells, ours and the floor]({picture})\n\n\
         ## Targets\n\n| target | {} |\n| --- |{}\n",
        all.iter().map(|(engine, _)| engine.name()).collect::<Vec<_>>().join(" | "),
        " --- |".repeat(all.len())
    );
    for target in targets(runs) {
        let is = |(_, of): &(Engine, Vec<Measured>)| match (target.is)(of) {
            Some(is) if is <= target.most => format!("{is:.2}"),
            Some(is) => format!("**{is:.2}**"),
            None => NONE.to_owned(),
        };
        let is: Vec<String> = all.iter().map(is).collect();
        text += &format!("| {} at most {} | {} |\n", target.what, target.most, is.join(" | "));
    }
    text +=
        "\n## Decisions\n\nOver 10,000 hosts in 100 cells, on one core, without a database.\n\n";
    text + &decisions(decided)
}

/// What decisions cost, as Markdown, which a terminal shows as well.
pub(crate) fn decisions(decided: &[Decided]) -> String {
    let mut text =
        "| decision | p50 ms | p99 ms | at most |\n| --- | --- | --- | --- |\n".to_owned();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    for Decided { what, p50, p99, most } in decided {
        let is = match p50 <= most {
            true => format!("{:.2}", ms(*p50)),
            false => format!("**{:.2}**", ms(*p50)),
        };
        text += &format!("| {what} | {is} | {:.2} | {:.0} |\n", ms(*p99), ms(*most));
    }
    text
}

/// A figure of one engine, where it was measured.
type Figure = dyn Fn(&[Measured]) -> Option<f64>;

/// A figure with the most that it should be.
struct Target {
    what: String,
    most: f64,
    is: Box<Figure>,
}

fn find<'a>(of: &'a [Measured], name: &str) -> Option<&'a Measured> {
    of.iter().find(|measured| measured.operation == name)
}

fn targets(runs: Runs) -> Vec<Target> {
    let ratio = |name: String, most: f64| Target {
        what: format!("{name}: ratio to the floor"),
        most,
        is: Box::new(move |of| find(of, &name)?.ratio()),
    };
    let cells = WIDE.min(runs.cells);
    let even = even_name(cells);
    let rows = Target {
        what: format!("{even}: rows read beside the page itself"),
        most: 1.5 * f64::from(PAGE) + 64.0 * 16.0,
        is: Box::new(move |of| Some(find(of, &even)?.rows?.0 as f64 - f64::from(PAGE))),
    };
    let growth = Target {
        what: format!("{}: by the same with {} in each cell", large_name(runs), runs.per_cell),
        most: 1.3,
        is: Box::new(move |of| {
            let large = find(of, &large_name(runs))?.ours().p50;
            Some(large / find(of, &list_name(runs.cells))?.ours().p50)
        }),
    };
    vec![
        ratio(list_name(cells), 2.0),
        ratio(walk_name(cells), 2.0),
        ratio(SHOW.to_owned(), 1.5),
        ratio(BOOT.to_owned(), 1.5),
        ratio(batch_name(), 1.5),
        ratio(storm_name(runs), 3.0),
        growth,
        rows,
    ]
}

/// Writes the figures into the document, behind what is written there by hand.
pub(crate) fn write(path: &Path, figures: &str) -> anyhow::Result<()> {
    let known = std::fs::read_to_string(path).unwrap_or_else(|_| "# Benchmark\n\n".to_owned());
    let by_hand = known.split(BEGIN).next().unwrap_or_default().trim_end();
    std::fs::write(path, format!("{by_hand}\n\n{BEGIN}\n{figures}"))
        .with_context(|| format!("cannot write {}", path.display()))
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
