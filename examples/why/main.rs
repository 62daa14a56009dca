//! Why is it in cell0, and what would have fitted?
//!
//! `cargo run --example why`. Twelve hosts in three cells, and eight requests, each of which fails
//! for another cause. It prints what their owner reads and what an admin reads, then makes room for
//! one and shows it come back with its uuid.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context as _, ensure};
use cellzero::{
    BootRequest, CellUuid, ComputeNode, Config, ControlPlane, Flavor, InstanceUuid, RequestContext,
};

/// Images belong to the image service: any uuid is taken.
const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";
const CELLS: [&str; 3] = ["cell1", "cell2", "cell3"];
const HOSTS_OF_A_CELL: usize = 4;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    run(state.path(), &mut std::io::stdout().lock()).await
}

/// Buries eight, says why, and brings one back.
pub(crate) async fn run(state: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let plane = ControlPlane::open(Config::embedded(state).without_worker()).await?;
    let cells = set_up(&plane).await?;
    let owner = RequestContext::new("my-project", "me");
    let admin = RequestContext::admin();
    let mut buried = Vec::new();
    for (name, request) in requests(&plane, &owner).await? {
        // Only an admin may name a host.
        let ctx = if request.force_host.is_some() { &admin } else { &owner };
        let accepted = plane.boot(ctx, request).await?;
        plane.settle_accepted(&accepted).await?;
        let uuid = *accepted.instances.last().context("an instance")?;
        explain(&plane, (ctx, &admin), (name, uuid), out).await?;
        buried.push((name, uuid));
    }

    let (_, uuid) = buried.iter().find(|(name, _)| *name == "memory").context("it was booted")?;
    writeln!(
        out,
        "\nA host with 64 GB joins cell3, and the one that asked for memory is retried:"
    )?;
    plane.hosts().report(cells[2], &host("cell3-host5", 65_536)).await?;
    plane.retry(&owner, *uuid).await?;
    plane.settle().await?;
    let back = plane.show(&owner, *uuid).await?;
    writeln!(out, "{} is {} on {}", back.uuid, back.status(), back.host.unwrap_or_default())?;
    plane.close().await?;
    Ok(())
}

fn host(name: &str, memory_mb: i32) -> ComputeNode {
    ComputeNode::new(name, 8, memory_mb, 200).with_ratios(1.0, 1.0, 1.0)
}

/// Three cells with four hosts each. Those of the first two are in zone az1, those of the third in
/// az2; the first of each cell has fast disks; one is disabled.
async fn set_up(plane: &ControlPlane) -> anyhow::Result<Vec<CellUuid>> {
    let mut cells = Vec::new();
    let mut zones: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (cell, zone) in CELLS.into_iter().zip(["az1", "az1", "az2"]) {
        let uuid = plane.cells().create_embedded(cell).await?;
        for number in 1..=HOSTS_OF_A_CELL {
            let name = format!("{cell}-host{number}");
            let node = host(&name, 16_384);
            let node = if number == 1 { node.with_trait("STORAGE_DISK_SSD") } else { node };
            plane.hosts().report(uuid, &node).await?;
            zones.entry(zone).or_default().push(name);
        }
        cells.push(uuid);
    }
    for (zone, hosts) in &zones {
        let metadata = BTreeMap::from([("availability_zone".to_owned(), (*zone).to_owned())]);
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        plane.aggregates().create(zone, &metadata, &hosts).await?;
    }
    plane.hosts().disable("cell2-host4", "its fan is loud").await?;
    Ok(cells)
}

/// Eight requests by what they ask too much of.
async fn requests(
    plane: &ControlPlane,
    owner: &RequestContext,
) -> anyhow::Result<Vec<(&'static str, BootRequest)>> {
    let gpu = ("trait:CUSTOM_GPU", "required");
    let gold = ("aggregate_instance_extra_specs:pool", "gold");
    let flavors = [
        Flavor::new("small", "small", 1, 1_024, 10),
        Flavor::new("vcpus", "vcpus", 16, 1_024, 10),
        Flavor::new("memory", "memory", 1, 32_768, 10),
        Flavor::new("disk", "disk", 1, 1_024, 500),
        Flavor::new("gpu", "gpu", 1, 1_024, 10).with_extra_spec(gpu.0, gpu.1),
        Flavor::new("gold", "gold", 1, 1_024, 10).with_extra_spec(gold.0, gold.1),
    ];
    for flavor in &flavors {
        plane.flavors().create(flavor).await?;
    }
    let apart = plane.server_groups().create(owner, "apart", "anti-affinity", 1).await?;
    let of = |flavor: &str| BootRequest::builder(flavor, flavor, IMAGE);
    Ok(vec![
        ("vcpus", of("vcpus").build()?),
        ("memory", of("memory").build()?),
        ("disk", of("disk").build()?),
        ("zone", of("memory").availability_zone("az2").build()?),
        ("trait", of("gpu").build()?),
        ("aggregate", of("gold").build()?),
        ("host", of("small").force_host("cell2-host4").build()?),
        // One more than there are hosts that are enabled.
        ("group", of("small").counts(12, 12).server_group(apart).build()?),
    ])
}

/// Prints what the owner of an instance reads, and what an admin reads.
async fn explain(
    plane: &ControlPlane,
    (owner, admin): (&RequestContext, &RequestContext),
    (name, uuid): (&str, InstanceUuid),
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let shown = plane.show(owner, uuid).await?;
    ensure!(shown.home.is_cell0(), "{name} found a host");
    let fault = shown.fault.context("what is in cell0 has a fault")?;
    let verdict = plane.verdict(admin, uuid).await?.context("what is in cell0 has a verdict")?;
    writeln!(out, "\n{name} ({})", verdict.code())?;
    writeln!(out, "  owner: {}", fault.message)?;
    writeln!(out, "  admin: {}", verdict.admin_sentence())?;
    Ok(())
}
