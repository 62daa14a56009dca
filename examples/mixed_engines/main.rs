//! One plane whose API database, cell0 and cells are on different engines.
//!
//! `cargo run --example mixed_engines -- --api postgres://… --cell0 sqlite:///… --cell mysql://…`.
//! Each database has an engine of its own; the plane reads and writes them the same way. Without
//! arguments all are SQLite files in a temporary directory. Databases that are missing on their
//! servers are created; give new ones.

use std::io::Write;

use anyhow::{Context as _, ensure};
use cellzero::{BootRequest, ControlPlane, DatabaseUrl, ListQuery, RequestContext};
use cellzero_examples::databases::{Databases, place};
use cellzero_examples::fleet;
use clap::Parser as _;

/// Images belong to the image service: any uuid is taken.
const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

/// Boots instances on a plane whose databases are on different engines.
#[derive(Debug, Default, clap::Parser)]
pub(crate) struct Args {
    /// The API database: postgres://user:password@host/name, mysql://… or sqlite://path.
    #[arg(long, value_name = "URL", requires_all = ["cell0", "cell"])]
    pub(crate) api: Option<String>,
    /// The database of cell0.
    #[arg(long, value_name = "URL", requires = "api")]
    pub(crate) cell0: Option<String>,
    /// The database of a live cell; once for each.
    #[arg(long, value_name = "URL", requires = "api")]
    pub(crate) cell: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(&Args::parse(), &mut std::io::stdout().lock()).await
}

/// Chooses the databases, and runs on them.
pub(crate) async fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<()> {
    let (Some(api), Some(cell0)) = (&args.api, &args.cell0) else {
        writeln!(out, "All databases are SQLite files, since none was named. With servers:")?;
        writeln!(
            out,
            "  --api postgres://… --cell0 sqlite:///… --cell mysql://… --cell postgres://…\n"
        )?;
        let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        return boot(&Databases::embedded(directory.path())?, out).await;
    };
    let cells = args.cell.iter().map(|url| DatabaseUrl::parse(url)).collect::<Result<_, _>>()?;
    boot(&Databases::new(api.parse()?, cell0.parse()?, cells), out).await
}

/// Boots one instance too large for any host and two for each cell, and lists them all.
async fn boot(databases: &Databases, out: &mut dyn Write) -> anyhow::Result<()> {
    databases.create_missing().await?;
    let plane = ControlPlane::open(databases.config()).await?;
    let cells = fleet::add_cells(&plane, &databases.cells).await?;
    fleet::add_flavors(&plane).await?;
    let engine = databases.api.backend().as_str();
    writeln!(out, "The API database: {engine:<8} {}", place(&databases.api))?;

    let ctx = RequestContext::new("demo-project", "demo-user");
    // Only an admin may force a host; here it makes sure that each cell gets something.
    let admin = RequestContext { is_admin: true, ..ctx.clone() };
    for cell in &cells {
        let host = &cell.hosts[0].host;
        let request = BootRequest::builder("web", "1", IMAGE).count(2).force_host(host).build()?;
        plane.boot(&admin, request).await?;
    }
    plane.boot(&ctx, BootRequest::builder("big", "huge", IMAGE).count(2).build()?).await?;
    plane.settle().await?;

    let page = plane.list(&ctx, &ListQuery::default()).await?;
    ensure!(page.is_complete(), "a cell does not answer: {:?}", page.cells);
    for instance in &page.instances {
        let home = fleet::home_name(instance.home, &cells);
        let cell = cells.iter().find(|cell| cell.name == home);
        let url = cell.map_or(&databases.cell0, |cell| &cell.url);
        let name = instance.display_name.as_deref().unwrap_or_default();
        let (status, engine) = (instance.status(), url.backend().as_str());
        writeln!(out, "{name:<8} {status:<6} in {home:<6} {engine:<8} {}", place(url))?;
    }
    ensure!(page.instances.len() == 2 * (cells.len() + 1), "{} are listed", page.instances.len());
    plane.close().await?;
    writeln!(out, "{} instances, one list.", page.instances.len())?;
    Ok(())
}
