//! An embedder's own scheduler, and an embedder's own way to the compute hosts.
//!
//! `cargo run --example own_scheduler`. The scheduler deals instances out to named hosts in turn,
//! and buries in its own words when all seats are taken. The dispatch takes each operation, tells
//! that it did, and leaves the work to a build farm that reports when it is done.

mod farm;
mod round_robin;

use std::io::Write;
use std::path::Path;

use anyhow::{bail, ensure};
use cellzero::{
    Accepted, BootRequest, ComputeNode, Config, ControlPlane, Flavor, Home, Instance,
    RequestContext, VmState,
};

use farm::Farm;
use round_robin::RoundRobin;

/// Images belong to the image service: any uuid is taken.
const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";
/// How many instances the scheduler gives to one host, whatever its size.
const SEATS_MAX: usize = 2;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let state = tempfile::tempdir()?;
    run(state.path(), &mut std::io::stdout().lock()).await
}

/// Boots five instances onto four seats, builds them by report, and deletes one.
pub(crate) async fn run(state: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let (scheduler, farm) = (RoundRobin::new(SEATS_MAX), Farm::default());
    let config = Config::embedded(state).scheduler(scheduler.clone()).dispatch(farm.clone());
    let plane = ControlPlane::open(config.without_worker()).await?;
    for (cell, host) in [("cell1", "ant"), ("cell2", "bee")] {
        let uuid = plane.cells().create_embedded(cell).await?;
        plane.hosts().report(uuid, &ComputeNode::new(host, 8, 16_384, 200)).await?;
        scheduler.seat(host, uuid);
    }
    plane.flavors().create(&Flavor::new("1", "m1.tiny", 1, 512, 1)).await?;

    let ctx = RequestContext::new("my-project", "me");
    let request = BootRequest::builder("web", "1", IMAGE).counts(1, 5).build()?;
    let accepted = plane.boot(&ctx, request).await?;
    plane.settle().await?;
    writeln!(out, "After the boot, before any report:")?;
    let instances = shown(&plane, &ctx, &accepted, out).await?;
    // The dispatch answered "taken", so the four wait for their hosts; the fifth is buried.
    let waiting = instances.iter().filter(|i| i.vm_state == Some(VmState::Building)).count();
    ensure!(waiting == 2 * SEATS_MAX, "{waiting} instances are being built");
    let buried = instances.iter().filter_map(|i| i.fault.as_ref());
    ensure!(buried.count() == 1, "not one instance is buried");

    report_builds(&plane, &ctx, &farm, out).await?;
    writeln!(out, "\nAfter the reports:")?;
    let instances = shown(&plane, &ctx, &accepted, out).await?;
    let active = instances.iter().filter(|i| i.vm_state == Some(VmState::Active)).count();
    ensure!(active == 2 * SEATS_MAX, "{active} instances are active");

    free_a_seat(&plane, &ctx, (&scheduler, &farm), &accepted, out).await?;
    plane.close().await?;
    Ok(())
}

/// Shows each instance in one line.
async fn shown(
    plane: &ControlPlane,
    ctx: &RequestContext,
    accepted: &Accepted,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<Instance>> {
    let mut instances = Vec::new();
    for uuid in &accepted.instances {
        let instance = plane.show(ctx, *uuid).await?;
        let name = instance.display_name.as_deref().unwrap_or_default();
        let place = match (&instance.host, &instance.fault) {
            (Some(host), _) => format!("on {host}"),
            (None, Some(fault)) => format!("in cell0: {}", fault.message),
            (None, None) => "nowhere yet".to_owned(),
        };
        writeln!(out, "  {name} {} {place}", instance.status())?;
        instances.push(instance);
    }
    Ok(instances)
}

/// The farm has built what it was given, and reports each: with the cell that the instance lives
/// in, and the sequence number of the operation that it was given.
async fn report_builds(
    plane: &ControlPlane,
    ctx: &RequestContext,
    farm: &Farm,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    writeln!(out, "\nWhat the farm was given, and what it reports:")?;
    farm.print_log(out)?;
    for build in farm.take_builds() {
        let (uuid, host) = (build.instance_uuid, build.host.as_str());
        let Home::Cell(cell) = plane.show(ctx, uuid).await?.home else {
            bail!("{uuid} is to be built and has no cell");
        };
        // A report of another build than the last one is refused, and changes nothing.
        match plane.compute().built(cell, uuid, host, build.sequence + 1).await {
            Err(error) => writeln!(out, "  refused: {error}")?,
            Ok(()) => bail!("a report with a wrong sequence number was taken"),
        }
        plane.compute().built(cell, uuid, host, build.sequence).await?;
        writeln!(out, "  taken: {host} has built {uuid}")?;
    }
    Ok(())
}

/// A deleted instance leaves its seat once its host says so, and the next boot takes it.
async fn free_a_seat(
    plane: &ControlPlane,
    ctx: &RequestContext,
    (scheduler, farm): (&RoundRobin, &Farm),
    accepted: &Accepted,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    plane.delete(ctx, accepted[0]).await?;
    plane.settle().await?;
    writeln!(out, "\nAfter a delete:")?;
    farm.print_log(out)?;
    for destroy in farm.take_destroys() {
        plane.compute().destroyed(destroy.instance_uuid, destroy.sequence).await?;
        scheduler.leave(destroy.instance_uuid);
        writeln!(out, "  taken: {} has destroyed {}", destroy.host, destroy.instance_uuid)?;
    }
    let next = plane.boot(ctx, BootRequest::builder("late", "1", IMAGE).build()?).await?;
    plane.settle().await?;
    let late = shown(plane, ctx, &next, out).await?;
    ensure!(late[0].host.as_deref() == Some("ant"), "the free seat was not taken");
    farm.print_log(out)
}
