//! The benchmark: each operation of a plane beside the same work in plain SQL.
//!
//! `cargo xtask bench` builds it for release and starts private servers for it, with full
//! durability; it is no use without them. Each operation runs on a real plane, and in turns with it
//! the floor ([`floor`]): the fewest statements that write or read the same rows, on the plain
//! driver and the same server. Counts are measured by the plane's own counters; a target that is
//! missed by a count makes it fail, a time never does.

mod archive;
mod burst;
mod call;
mod decide;
mod engine;
mod floor;
mod fsck;
mod grow;
mod lists;
mod load;
mod machine;
mod measure;
mod memory;
mod plane;
mod plot;
mod process;
mod report;
mod served;
mod within;
mod wrk;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use cellzero_test_support::Engine;
use clap::Parser;

use engine::Runs;

/// Measures a plane beside plain SQL.
#[derive(Debug, Parser)]
struct Arguments {
    /// The engines: sqlite, postgres, mariadb; all of them when none is named.
    #[arg(value_parser = parse_engine)]
    engines: Vec<Engine>,
    /// A few runs of each, to see whether it works.
    #[arg(long)]
    quick: bool,
    /// Instead of all that, what a check of 100,000 instances in 16 cells costs.
    #[arg(long)]
    fsck: bool,
    /// Instead of all that, what archive and purge of 100,000 deleted instances in 4 cells cost.
    #[arg(long)]
    archive: bool,
    /// Instead of all that, what decisions of the scheduler cost by themselves.
    #[arg(long)]
    decide: bool,
    /// Instead of all that, the compute API under load by `wrk`, and beside a cell that hangs.
    #[arg(long)]
    load: bool,
    /// Where the figures are written as Markdown, with a picture beside them; of all engines and
    /// without `--quick` docs/performance.md, else target/bench.md.
    #[arg(long)]
    output: Option<PathBuf>,
}

impl Arguments {
    fn output(&self) -> PathBuf {
        let whole = self.engines.is_empty() && !self.quick;
        let usual = if whole { "docs/performance.md" } else { "target/bench.md" };
        self.output.clone().unwrap_or_else(|| usual.into())
    }
}

fn parse_engine(name: &str) -> Result<Engine, String> {
    let known = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    known.ok_or_else(|| "one of sqlite, postgres, mariadb".to_owned())
}

fn main() -> anyhow::Result<ExitCode> {
    if let Ok(api) = std::env::var(fsck::API_DATABASE) {
        return fsck::child(&api).map(|()| ExitCode::SUCCESS);
    }
    if let Ok(api) = std::env::var(archive::API_DATABASE) {
        return archive::child(&api).map(|()| ExitCode::SUCCESS);
    }
    if let Ok(api) = std::env::var(served::API_DATABASE) {
        return served::child(&api).map(|()| ExitCode::SUCCESS);
    }
    if let Ok(api) = std::env::var(memory::API_DATABASE) {
        return memory::child(&api).map(|()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    if arguments.decide {
        println!("{}", report::decisions(&decide::run()?));
        return Ok(ExitCode::SUCCESS);
    }
    let engines = match arguments.engines.as_slice() {
        [] => Engine::ALL.to_vec(),
        named => named.to_vec(),
    };
    let runs = if arguments.quick { Runs::QUICK } else { Runs::FULL };
    let mut all = Vec::new();
    for engine in engines {
        if let Some(variable) = engine.server_variable()
            && std::env::var_os(variable).is_none()
        {
            bail!("{variable} names no server; run `cargo xtask bench`, which starts one");
        }
        eprintln!("measuring on {} …", engine.name());
        if arguments.fsck {
            fsck::run(engine, arguments.quick).with_context(|| engine.name().to_owned())?;
            continue;
        }
        if arguments.archive {
            archive::run(engine, arguments.quick).with_context(|| engine.name().to_owned())?;
            continue;
        }
        if arguments.load {
            load::run(engine, arguments.quick).with_context(|| engine.name().to_owned())?;
            continue;
        }
        let measured = engine::run(engine, runs).with_context(|| engine.name().to_owned())?;
        all.push((engine, measured));
    }
    if arguments.fsck || arguments.archive || arguments.load {
        return Ok(ExitCode::SUCCESS);
    }
    let decided = decide::run()?;
    println!("{}\n{}", report::table(&all), report::decisions(&decided));
    let output = arguments.output();
    let picture = output.with_extension("svg");
    plot::draw(&picture, &all, &runs.widths().collect::<Vec<_>>())?;
    let picture = picture.file_name().unwrap_or_default().to_string_lossy();
    let engines: Vec<Engine> = all.iter().map(|(engine, _)| *engine).collect();
    let machine = machine::describe(&engines);
    report::write(&output, &report::markdown(&all, &decided, runs, (&machine, &picture)))?;
    let missed = report::missed(&all);
    for missed in &missed {
        println!("target missed: {missed}");
    }
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
