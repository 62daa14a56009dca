//! What can be done with what was booted: show, list across cells, reboot, delete.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context as _, bail, ensure};
use cellzero::{
    Action, ActionError, ControlPlane, Instance, InstanceUuid, ListQuery, ReadError,
    RequestContext, Write as Refused,
};
use cellzero_examples::fleet::{LiveCell, home_name};
use cellzero_examples::outcome::{self, Outcome};

use super::{heading, table};

/// How many instances one page of the list has.
const PAGE_LIMIT: u32 = 25;

/// Shows the buried instance that has most to show, whole; gives its uuid.
pub(crate) async fn show_buried(
    plane: &ControlPlane,
    ctx: &RequestContext,
    outcomes: &[Outcome],
    out: &mut dyn Write,
) -> anyhow::Result<InstanceUuid> {
    let belongings = |instance: &&Instance| {
        instance.metadata.len() + instance.tags.len() + instance.block_devices.len()
    };
    let buried = outcomes
        .iter()
        .flat_map(Outcome::instances)
        .filter(|instance| instance.home.is_cell0())
        .max_by_key(belongings)
        .context("no instance is buried")?;
    heading(out, "One instance of cell0, whole")?;
    let shown = plane.show(ctx, buried.uuid).await?;
    let actions = plane.actions(ctx, buried.uuid).await?;
    table::whole(&shown, &actions, out)?;
    Ok(buried.uuid)
}

/// Lists all instances page by page, and checks that each is there exactly once.
pub(crate) async fn list(
    plane: &ControlPlane,
    ctx: &RequestContext,
    outcomes: &[Outcome],
    cells: &[LiveCell],
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    heading(out, "A list across cell0 and all cells, page by page")?;
    let (mut pages, mut listed) =
        (table::table(&["page", "instances", "where", "next page after"]), Vec::new());
    let mut query = ListQuery::default().limit(PAGE_LIMIT);
    for number in 1.. {
        let page = plane.list(ctx, &query).await?;
        ensure!(page.is_complete(), "a cell does not answer: {:?}", page.cells);
        let mut homes: BTreeMap<String, usize> = BTreeMap::new();
        for instance in &page.instances {
            *homes.entry(home_name(instance.home, cells)).or_default() += 1;
        }
        let homes: Vec<String> =
            homes.into_iter().map(|(home, count)| format!("{count} in {home}")).collect();
        pages.add_row(vec![
            number.to_string(),
            page.instances.len().to_string(),
            homes.join(", "),
            match (&page.next, page.instances.last()) {
                (Some(_), Some(last)) => last.uuid.to_string(),
                _ => "none: this is the last".to_owned(),
            },
        ]);
        listed.extend(page.instances.iter().map(|instance| instance.uuid));
        let Some(next) = page.next else { break };
        query = query.after(next);
    }
    writeln!(out, "{pages}")?;
    outcome::check_listed(outcomes, &listed)?;
    writeln!(out, "{} are listed: every accepted instance, each exactly once.", listed.len())?;
    Ok(())
}

/// Reboots an instance of a live cell, which is allowed, and a buried one, which is refused.
pub(crate) async fn reboot(
    plane: &ControlPlane,
    ctx: &RequestContext,
    outcomes: &[Outcome],
    buried: InstanceUuid,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    heading(out, "Reboot")?;
    let live = outcomes
        .iter()
        .flat_map(Outcome::instances)
        .find(|instance| !instance.home.is_cell0())
        .context("no instance lives in a cell")?;
    plane.act(ctx, live.uuid, Action::Reboot).await?;
    plane.settle().await?;
    let shown = plane.show(ctx, live.uuid).await?;
    ensure!(shown.status() == "ACTIVE", "after its reboot it is {}", shown.status());
    let actions = plane.actions(ctx, live.uuid).await?;
    let actions: Vec<&str> = actions.iter().map(|action| action.action.as_str()).collect();
    writeln!(out, "In a live cell, allowed: {} is {} again.", live.uuid, shown.status())?;
    writeln!(out, "  Its actions: {}.", actions.join(", "))?;
    match plane.act(ctx, buried, Action::Reboot).await {
        Err(Refused::Failed(error @ ActionError::InstanceInvalidState { .. })) => {
            writeln!(out, "In cell0, refused: {error}")?;
        }
        Err(error) => return Err(error.into()),
        Ok(()) => bail!("the buried instance {buried} was rebooted"),
    }
    Ok(())
}

/// Deletes the buried instance, and shows that it is gone and the others are not.
pub(crate) async fn delete(
    plane: &ControlPlane,
    ctx: &RequestContext,
    outcomes: &[Outcome],
    buried: InstanceUuid,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    heading(out, "Delete")?;
    plane.delete(ctx, buried).await?;
    plane.settle().await?;
    writeln!(out, "Deleted from cell0: {buried}")?;
    match plane.show(ctx, buried).await {
        Err(error @ ReadError::InstanceNotFound { .. }) => writeln!(out, "Show says: {error}")?,
        Err(error) => return Err(error.into()),
        Ok(_) => bail!("the deleted instance {buried} is still shown"),
    }
    let before: usize = outcomes.iter().map(|outcome| outcome.instances().len()).sum();
    let left = plane.list(ctx, &ListQuery::default()).await?.instances;
    ensure!(
        left.len() + 1 == before && left.iter().all(|instance| instance.uuid != buried),
        "{} instances are listed after one of {before} was deleted",
        left.len()
    );
    writeln!(out, "{} instances are left.\n", left.len())?;
    Ok(())
}
