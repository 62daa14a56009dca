//! The boot flow, told for a person: 114 real create-server bodies on one plane.
//!
//! `cargo run --release --example boot_flow` takes SQLite files in a temporary directory. What fits
//! on a host lands in the cell of that host, what fits on none is buried in cell0, and what is
//! wrong is refused and stored nowhere. With `--database` the same happens on servers. The last
//! line is the same everywhere, and the run fails where the plane lost an instance.

mod setup;
pub(crate) mod story;
mod table;
mod tour;
mod work;

use std::io::Write;
use std::path::PathBuf;

use anyhow::ensure;
use cellzero::{ControlPlane, RequestContext};
use cellzero_examples::bodies::{self, Body};
use cellzero_examples::databases::Databases;
use cellzero_examples::fleet::{self, LiveCell};
use cellzero_examples::outcome::{self, Outcome, Summary};
use clap::Parser as _;

/// The line of the body that is told step by step as one that fits.
pub(crate) const LINE_THAT_FITS: usize = 2;
/// The line of the body that is told step by step as one that fits nowhere.
pub(crate) const LINE_THAT_FITS_NOWHERE: usize = 1;

/// Boots 114 create-server bodies of unmodified OpenStack clients, and tells what becomes of them.
#[derive(Debug, Default, clap::Parser)]
pub(crate) struct Args {
    /// Run on this server: postgres://user:password@host/name or mysql://user:password@host/name.
    /// Once for each cell; the API database and cell0 are on the first. New databases are made,
    /// named after this one, and left.
    #[arg(long, value_name = "URL", conflicts_with_all = ["keep", "directory"])]
    pub(crate) database: Vec<String>,
    /// Keep the temporary directory.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Make the SQLite files in this directory, and leave them.
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(&Args::parse(), &mut std::io::stdout().lock()).await?;
    Ok(())
}

/// Runs the whole flow, and tells it to `out`. Gives the databases that it used.
pub(crate) async fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<Databases> {
    let place = setup::place(args)?;
    let databases = place.databases();
    databases.create_missing().await?;
    let plane = ControlPlane::open(databases.config()).await?;
    let told = tell(&plane, &place, out).await;
    let closed = plane.close().await;
    // The reason why the flow stopped says more than a close after it.
    let summary = told?;
    closed?;
    writeln!(out, "{summary}")?;
    Ok(databases.clone())
}

/// Everything between opening the plane and closing it.
async fn tell(
    plane: &ControlPlane,
    place: &setup::Place,
    out: &mut dyn Write,
) -> anyhow::Result<Summary> {
    let cells = fleet::add_cells(plane, &place.databases().cells).await?;
    fleet::add_flavors(plane).await?;
    setup::tell(place, &cells, out)?;

    let ctx = RequestContext::new("demo-project", "demo-user");
    let outcomes = boot_bodies(plane, &ctx, &cells, out).await?;
    let summary = Summary::of(&outcomes);
    ensure!(
        summary.in_cells + summary.in_cell0 == summary.accepted,
        "of {} accepted instances not all have a home",
        summary.accepted
    );
    table::refusals(&outcomes, out)?;
    table::outcomes(&outcomes, &cells, out)?;

    let buried = tour::show_buried(plane, &ctx, &outcomes, out).await?;
    tour::list(plane, &ctx, &outcomes, &cells, out).await?;
    tour::reboot(plane, &ctx, &outcomes, buried, out).await?;
    tour::delete(plane, &ctx, &outcomes, buried, out).await?;
    Ok(summary)
}

/// Boots all bodies, two of them step by step; gives what became of each, in the file's order.
async fn boot_bodies(
    plane: &ControlPlane,
    ctx: &RequestContext,
    cells: &[LiveCell],
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Outcome>> {
    let told = [LINE_THAT_FITS, LINE_THAT_FITS_NOWHERE];
    let (mut step_by_step, others): (Vec<Body>, Vec<Body>) =
        bodies::all()?.into_iter().partition(|body| told.contains(&body.line));
    step_by_step.sort_by_key(|body| told.iter().position(|line| *line == body.line));
    let mut outcomes = Vec::new();
    for body in step_by_step {
        outcomes.push(story::tell(plane, ctx, cells, body, out).await?);
    }
    outcomes.extend(outcome::boot_all(plane, ctx, others).await?);
    outcomes.sort_by_key(|outcome| outcome.body.line);
    Ok(outcomes)
}

/// Writes the heading of a part.
pub(crate) fn heading(out: &mut dyn Write, text: &str) -> anyhow::Result<()> {
    writeln!(out, "\n{text}\n{}", "-".repeat(text.chars().count()))?;
    Ok(())
}
