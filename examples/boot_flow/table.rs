//! All bodies at a glance, and one instance whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::Write;

use cellzero::{Instance, InstanceAction};
use cellzero_examples::fleet::{LiveCell, home_name};
use cellzero_examples::outcome::{End, Outcome, Refusal, RefusedBy};
use comfy_table::Table;
use comfy_table::presets::ASCII_BORDERS_ONLY_CONDENSED;

use super::heading;

/// The longest name in the table, in characters.
const NAME_LENGTH_MAX: usize = 32;
/// The longest reason in the table, in characters.
const REASON_LENGTH_MAX: usize = 56;

/// A table with these columns.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_BORDERS_ONLY_CONDENSED).set_header(header.to_vec());
    table
}

/// Every refused body with its error.
pub(crate) fn refusals(outcomes: &[Outcome], out: &mut dyn Write) -> anyhow::Result<()> {
    let refusals: Vec<(usize, &Refusal)> = outcomes
        .iter()
        .filter_map(|outcome| match &outcome.end {
            End::Refused(refusal) => Some((outcome.body.line, refusal)),
            End::Booted(_) => None,
        })
        .collect();
    heading(
        out,
        &format!("{} bodies were refused, and nothing of them is stored", refusals.len()),
    )?;
    for (by, who) in [
        (RefusedBy::Parser, "by the parser, before anything was asked"),
        (RefusedBy::Accept, "by the plane, at accept"),
    ] {
        let of_these: Vec<_> = refusals.iter().filter(|(_, refusal)| refusal.by == by).collect();
        writeln!(out, "{} {who}:", of_these.len())?;
        for (line, refusal) in of_these {
            writeln!(out, "  body {line:>3}  {}", refusal.message)?;
        }
    }
    Ok(())
}

/// What became of each body.
pub(crate) fn outcomes(
    outcomes: &[Outcome],
    cells: &[LiveCell],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    heading(out, &format!("All {} bodies", outcomes.len()))?;
    let mut table = table(&["body", "name", "outcome", "instances", "cell", "reason"]);
    for outcome in outcomes {
        let instances = outcome.instances();
        let homes: BTreeSet<String> =
            instances.iter().map(|instance| home_name(instance.home, cells)).collect();
        table.add_row(vec![
            outcome.body.line.to_string(),
            cut(&outcome.body.name(), NAME_LENGTH_MAX),
            word(outcome).to_owned(),
            instances.len().to_string(),
            homes.into_iter().collect::<Vec<_>>().join(", "),
            cut(&reason(outcome), REASON_LENGTH_MAX),
        ]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}

fn word(outcome: &Outcome) -> &'static str {
    match &outcome.end {
        End::Refused(_) => "refused",
        End::Booted(instances) if instances.iter().any(|i| i.home.is_cell0()) => "buried",
        End::Booted(_) => "built",
    }
}

/// In a few words: the error, the fault, or the hosts.
fn reason(outcome: &Outcome) -> String {
    let instances = match &outcome.end {
        End::Refused(refusal) => return refusal.message.clone(),
        End::Booted(instances) => instances,
    };
    if let Some(fault) = instances.iter().find_map(|instance| instance.fault.as_ref()) {
        // All of them begin with the same sentence.
        let message = fault.message.as_str();
        return message.strip_prefix("No valid host was found. ").unwrap_or(message).to_owned();
    }
    let hosts: BTreeSet<&str> = instances.iter().filter_map(|i| i.host.as_deref()).collect();
    format!("on {}", hosts.into_iter().collect::<Vec<_>>().join(", "))
}

fn cut(text: &str, length_max: usize) -> String {
    match text.char_indices().nth(length_max) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}

/// An instance with all that belongs to it.
pub(crate) fn whole(
    instance: &Instance,
    actions: &[InstanceAction],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let flavor = instance
        .flavor
        .as_ref()
        .map(|flavor| format!("{} ({}, {})", flavor.flavorid, flavor.name, flavor.resources()));
    let items = |map: &BTreeMap<String, String>| {
        list(map.iter().map(|(key, value)| format!("{key}={value}")))
    };
    let rows: [(&str, String); 19] = [
        ("uuid", instance.uuid.to_string()),
        ("name", or_none(instance.display_name.as_ref())),
        ("description", or_none(instance.display_description.as_ref())),
        ("project", instance.project_id.clone()),
        ("user", instance.user_id.clone()),
        ("status", instance.status().to_owned()),
        ("vm_state", or_none(instance.vm_state.as_ref())),
        ("task_state", or_none(instance.task_state.as_ref())),
        ("host", or_none(instance.host.as_ref())),
        ("flavor", or_none(flavor)),
        ("image", or_none(instance.image_ref.as_ref().filter(|image| !image.is_empty()))),
        ("reservation", or_none(instance.reservation_id.as_ref())),
        ("accepted at", or_none(instance.created_at)),
        ("launched at", or_none(instance.launched_at)),
        ("metadata", items(&instance.metadata)),
        ("tags", list(&instance.tags)),
        ("security groups", list(&instance.security_groups)),
        ("system metadata", items(&instance.system_metadata)),
        ("ports", list(instance.fixed_ips())),
    ];
    for (field, value) in rows {
        writeln!(out, "  {field:<16} {value}")?;
    }
    devices_and_fault(instance, out)?;
    for action in actions {
        writeln!(
            out,
            "  action           {}: {}",
            action.action,
            or_none(action.message.as_ref())
        )?;
        for event in &action.events {
            let result = or_none(event.result.as_ref());
            writeln!(out, "    event          {}: {result}", event.event)?;
        }
    }
    Ok(())
}

fn devices_and_fault(instance: &Instance, out: &mut dyn Write) -> anyhow::Result<()> {
    for device in &instance.block_devices {
        writeln!(
            out,
            "  block device     {} {} on {}, boot index {}",
            device.source_type,
            or_none(device.source_id),
            device.destination_type,
            or_none(device.boot_index)
        )?;
    }
    if let Some(fault) = &instance.fault {
        writeln!(out, "  fault            {}: {}", fault.code, fault.message)?;
        writeln!(out, "    details        {}", or_none(fault.details.as_ref()))?;
    }
    Ok(())
}

fn or_none(value: Option<impl Display>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

fn list(values: impl IntoIterator<Item = impl Display>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}
