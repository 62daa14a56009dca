//! What became of accepted instances: waits for their homes, and prints these.

use std::collections::HashMap;

use cellzero::{
    Accepted, ControlPlane, Home, Instance, InstanceUuid, ListFilters, ListQuery, RequestContext,
    WaitError,
};
use comfy_table::Cell;
use serde::Serialize;

use super::list::status;
use crate::commands::cells::Names;
use crate::exit::Exit;
use crate::output::{Style, View, lines, or_dash, table};
use crate::progress::Progress;
use crate::session::Session;

/// Brings the accepted instances home, here or by the workers of other processes, prints where they
/// are, and says how that ends a command. Without `wait` it prints where they are now.
pub(super) async fn follow(
    session: &Session,
    plane: &ControlPlane,
    ctx: &RequestContext,
    accepted: &Accepted,
    wait: bool,
) -> anyhow::Result<Exit> {
    if wait {
        let count = accepted.instances.len();
        let progress = Progress::spinner(format!("{count} accepted, waiting for their homes"));
        session.play_compute(plane).await?;
        // This process drives nothing from here on, so that its lease would only keep others away.
        plane.run_workers(0)?.shutdown().await?;
        match plane.wait(ctx, accepted).await {
            Ok(()) | Err(WaitError::TimedOut { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        drop(progress);
    }
    let homes = Homes::read(plane, ctx, accepted).await?;
    session.out.show(&homes)?;
    Ok(if wait { homes.exit() } else { Exit::Success })
}

/// Accepted instances and where they are.
#[derive(Debug, Serialize)]
struct Homes {
    reservation_id: String,
    instances: Vec<Row>,
    #[serde(skip)]
    waits_for_worker: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    uuid: InstanceUuid,
    name: Option<String>,
    status: &'static str,
    /// `cell`, `cell0`, or `none` while it is being placed.
    home: &'static str,
    cell: Option<String>,
    host: Option<String>,
    /// Why it was buried.
    fault: Option<String>,
}

impl Homes {
    /// One list of these instances, in the order of the request.
    async fn read(
        plane: &ControlPlane,
        ctx: &RequestContext,
        accepted: &Accepted,
    ) -> anyhow::Result<Homes> {
        let names = Names::read(plane).await?;
        let filters =
            ListFilters { uuids: Some(accepted.instances.clone()), ..ListFilters::default() };
        let mut query = ListQuery::default().filter(filters);
        query.all_projects = ctx.is_admin;
        let page = plane.list(ctx, &query).await?;
        let mut found: HashMap<InstanceUuid, Instance> =
            page.instances.into_iter().map(|instance| (instance.uuid, instance)).collect();
        // One that was deleted meanwhile is no longer there.
        let instances: Vec<Row> = accepted
            .instances
            .iter()
            .filter_map(|uuid| found.remove(uuid))
            .map(|instance| Row::new(instance, &names))
            .collect();
        let waits_for_worker = instances.iter().any(|row| row.home == "none");
        let reservation_id = accepted.reservation_id.clone();
        Ok(Homes { reservation_id, instances, waits_for_worker })
    }

    fn exit(&self) -> Exit {
        let any = |home: &str| self.instances.iter().any(|row| row.home == home);
        if any("none") {
            Exit::Waiting
        } else if any("cell0") {
            Exit::Buried
        } else {
            Exit::Success
        }
    }
}

impl Row {
    fn new(instance: Instance, names: &Names) -> Row {
        let (home, cell) = match instance.home {
            Home::BuildRequest => ("none", None),
            Home::Cell(cell) if cell.is_cell0() => ("cell0", Some(names.of(cell))),
            Home::Cell(cell) => ("cell", Some(names.of(cell))),
        };
        Row {
            uuid: instance.uuid,
            status: instance.status(),
            home,
            cell,
            host: instance.host,
            name: instance.display_name,
            fault: instance.fault.map(|fault| fault.message),
        }
    }
}

impl View for Homes {
    fn text(&self, style: Style) -> String {
        let mut table = table(&["uuid", "name", "status", "cell", "host"]);
        for row in &self.instances {
            table.add_row([
                Cell::new(row.uuid),
                Cell::new(or_dash(row.name.as_ref())),
                status(style, row.status),
                Cell::new(or_dash(row.cell.as_ref())),
                Cell::new(or_dash(row.host.as_ref())),
            ]);
        }
        lines(&table)
    }

    fn notes(&self) -> String {
        let mut notes = String::new();
        if let Some(buried) = self.instances.iter().find(|row| row.home == "cell0") {
            notes += &format!("buried: {}\n", or_dash(buried.fault.as_ref()));
            notes += &format!("  more: cellzero instance why {}\n", buried.uuid);
        }
        if self.waits_for_worker {
            notes += "what has no home yet stays accepted; a worker brings it home: \
                      cellzero worker\n";
        }
        notes
    }
}
