//! One boot, step by step: which database, which rows, and what show says before and after.

use std::io::Write;

use anyhow::bail;
use cellzero::{ControlPlane, Instance, InstanceAction, RequestContext};
use cellzero_examples::bodies::Body;
use cellzero_examples::fleet::{LiveCell, home_name};
use cellzero_examples::outcome::{self, End, Outcome};

use super::heading;
use super::work::Meter;

/// Boots one body to its end, and tells each step.
pub(crate) async fn tell(
    plane: &ControlPlane,
    ctx: &RequestContext,
    cells: &[LiveCell],
    body: Body,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let (line, name, flavor) = (body.line, body.name(), body.flavor());
    heading(out, &format!("Step by step: body {line}, \"{name}\" of flavor {flavor}"))?;

    let meter = Meter::start(plane);
    let accepted = match outcome::accept(plane, ctx, &body).await? {
        Ok(accepted) => accepted,
        Err(refusal) => bail!("body {line} should be accepted: {}", refusal.message),
    };
    let cost = meter.since(plane, cells);
    let building = plane.show(ctx, accepted[0]).await?;
    tell_accept(&building, &cost, out)?;

    let meter = Meter::start(plane);
    plane.settle_accepted(&accepted).await?;
    let cost = meter.since(plane, cells);
    let instances = outcome::show_all(plane, ctx, &accepted).await?;
    let instance = &instances[0];
    let actions = plane.actions(ctx, instance.uuid).await?;
    match instance.home.is_cell0() {
        true => {
            // Only an admin may read how many hosts each filter refused.
            let verdict = plane.verdict(&RequestContext::admin(), instance.uuid).await?;
            let verdict = verdict.map_or_else(String::new, |verdict| verdict.to_string());
            tell_burial(instance, &verdict, &actions, out)?;
        }
        false => tell_build(instance, &home_name(instance.home, cells), &actions, out)?,
    }
    writeln!(out, "From step 2 on that took: {cost}.")?;
    tell_show(instance, &home_name(instance.home, cells), out)?;
    Ok(Outcome { body, end: End::Booted(instances) })
}

fn tell_accept(building: &Instance, cost: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "1. Accept, in the API database, in one transaction.")?;
    writeln!(out, "   New: one row each in request_specs, build_requests, instance_mappings and")?;
    writeln!(
        out,
        "   boot_states. The mapping names no cell yet, so show reads the build request:"
    )?;
    writeln!(out, "   {}.", states(building))?;
    writeln!(out, "   From here on the instance cannot be lost. That took: {cost}.")?;
    Ok(())
}

fn tell_build(
    instance: &Instance,
    cell: &str,
    actions: &[InstanceAction],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let host = instance.host.as_deref().unwrap_or("no host");
    writeln!(out, "2. Place, in the API database. The scheduler chose {host} of {cell}.")?;
    writeln!(out, "   New: one row each in boot_intents and claims; host_capacity has less left")?;
    writeln!(out, "   for {host}.")?;
    writeln!(out, "3. Write, in the database of {cell}, the instance whole, in one transaction:")?;
    tell_rows(instance, actions, out)?;
    writeln!(
        out,
        "   and for the plane itself one in instance_fences and, with the build, in outbox."
    )?;
    writeln!(out, "4. Decide, in the API database. The instance mapping names {cell}; the build")?;
    writeln!(out, "   request and the intent are gone, the claim stays.")?;
    writeln!(
        out,
        "5. Dispatch, from the outbox of {cell}. {host} built it and said so; the outbox"
    )?;
    writeln!(out, "   is empty again.")?;
    Ok(())
}

fn tell_burial(
    instance: &Instance,
    verdict: &str,
    actions: &[InstanceAction],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    writeln!(out, "2. Place, in the API database. The scheduler found no host:")?;
    writeln!(out, "   {verdict}")?;
    writeln!(
        out,
        "   New: one row in boot_intents; no claim, since it takes nothing from any host."
    )?;
    writeln!(out, "3. Write, in cell0, the instance whole, in one transaction:")?;
    tell_rows(instance, actions, out)?;
    writeln!(
        out,
        "   and for the plane itself one in instance_fences, which names that in verdicts."
    )?;
    writeln!(out, "4. Decide, in the API database. The instance mapping names cell0; the build")?;
    writeln!(out, "   request and the intent are gone.")?;
    writeln!(out, "   There is no fifth step: nothing is sent to a host.")?;
    Ok(())
}

/// The rows of an instance in its cell, counted from what show and actions give.
fn tell_rows(
    instance: &Instance,
    actions: &[InstanceAction],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let events = actions.iter().map(|action| action.events.len()).sum();
    let rows = [
        ("instances", 1),
        ("instance_extra", 1),
        ("instance_info_caches", 1),
        ("instance_faults", usize::from(instance.fault.is_some())),
        ("instance_actions", actions.len()),
        ("instance_actions_events", events),
        ("instance_metadata", instance.metadata.len()),
        ("instance_system_metadata", instance.system_metadata.len()),
        ("security_group_instance_association", instance.security_groups.len()),
        ("block_device_mapping", instance.block_devices.len()),
        ("tags", instance.tags.len()),
    ];
    for (table, count) in rows.iter().filter(|(_, count)| *count > 0) {
        writeln!(out, "     {count} in {table}")?;
    }
    let none: Vec<&str> =
        rows.iter().filter(|(_, count)| *count == 0).map(|(table, _)| *table).collect();
    writeln!(out, "     none in {}", none.join(", "))?;
    Ok(())
}

fn tell_show(instance: &Instance, home: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "Now show reads it from {home}: {}.", states(instance))?;
    if let Some(fault) = &instance.fault {
        writeln!(out, "Its fault has code {} and says: {}", fault.code, fault.message)?;
    }
    Ok(())
}

/// The states of an instance in one line.
fn states(instance: &Instance) -> String {
    format!(
        "status {}, vm_state {}, task_state {}, host {}",
        instance.status(),
        instance.vm_state.as_ref().map_or("none", |state| state.as_str()),
        instance.task_state.as_ref().map_or("none", |state| state.as_str()),
        instance.host.as_deref().unwrap_or("none"),
    )
}
