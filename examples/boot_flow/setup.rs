//! Where the plane of this run is: a fresh directory that goes away with it, a given one, or
//! databases on servers; and what stands before the first boot.

use std::io::Write;

use anyhow::{Context as _, ensure};
use cellzero::DatabaseUrl;
use cellzero_examples::databases::{self, Databases};
use cellzero_examples::fleet::{self, LiveCell};
use tempfile::TempDir;

use super::{Args, heading};

/// The databases of this run, and what becomes of them.
#[derive(Debug)]
pub(crate) struct Place {
    databases: Databases,
    /// What a reader is told about their end.
    fate: String,
    /// Removed with this value.
    _directory: Option<TempDir>,
}

impl Place {
    pub(crate) fn databases(&self) -> &Databases {
        &self.databases
    }
}

/// Chooses the place that the arguments ask for.
pub(crate) fn place(args: &Args) -> anyhow::Result<Place> {
    if !args.database.is_empty() {
        let urls = args.database.iter().map(|text| DatabaseUrl::parse(text));
        let urls: Vec<DatabaseUrl> = urls.collect::<Result<_, _>>()?;
        let databases = Databases::on_servers(&urls)?;
        return Ok(Place { databases, fate: "They stay.".to_owned(), _directory: None });
    }
    if let Some(directory) = &args.directory {
        let databases = Databases::embedded(directory)?;
        let taken = databases.api.path().is_some_and(|path| path.exists());
        ensure!(!taken, "{} has a plane; give a directory without one", directory.display());
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        return Ok(Place { databases, fate: "They stay.".to_owned(), _directory: None });
    }
    let temporary = tempfile::Builder::new()
        .prefix("cellzero-boot-flow-")
        .tempdir()
        .context("cannot make a temporary directory")?;
    let databases = Databases::embedded(temporary.path())?;
    if args.keep {
        let fate = format!("They stay, in {}.", temporary.keep().display());
        return Ok(Place { databases, fate, _directory: None });
    }
    let fate = "They are removed at the end; --keep keeps them.".to_owned();
    Ok(Place { databases, fate, _directory: Some(temporary) })
}

/// Tells what the plane has before the first boot.
pub(crate) fn tell(place: &Place, cells: &[LiveCell], out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "The plane")?;
    let databases = place.databases();
    writeln!(out, "API database  {}", databases::place(&databases.api))?;
    writeln!(out, "cell0         {}", databases::place(&databases.cell0))?;
    for cell in cells {
        writeln!(out, "{:<13} {}", cell.name, databases::place(&cell.url))?;
    }
    writeln!(out, "{}\n", place.fate)?;
    writeln!(out, "Hosts, which are in live cells only (memory and disk in GB):")?;
    for host in cells.iter().flat_map(|cell| &cell.hosts) {
        let memory_gb = host.memory_mb / 1024;
        writeln!(
            out,
            "  {:<12} {:>4} vcpus {:>5} memory {:>5} disk; one vcpu is promised {} times",
            host.host, host.vcpus, memory_gb, host.local_gb, host.cpu_allocation_ratio
        )?;
    }
    writeln!(out, "Flavors:")?;
    for flavor in fleet::flavors() {
        writeln!(
            out,
            "  {:<12} {:>4} vcpus {:>5} memory {:>5} disk ({})",
            flavor.flavorid,
            flavor.vcpus,
            f64::from(flavor.memory_mb) / 1024.0,
            flavor.root_gb,
            flavor.name
        )?;
    }
    Ok(())
}
