//! `host list`.

use cellzero::{CellUuid, Host};
use chrono::NaiveDateTime;
use comfy_table::Cell;
use serde::Serialize;

use crate::command::{Run, help};
use crate::commands::cells::{Names, find_cell};
use crate::exit::Exit;
use crate::output::{Style, View, lines, or_dash, table, time};
use crate::session::Session;

/// Lists the mapped hosts with their size and what is claimed of them.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<List>())]
pub(crate) struct List {
    /// Only of this cell: its uuid, or its name
    #[arg(long, visible_alias = "cell_uuid", value_name = "CELL")]
    cell: Option<String>,
}

impl Run for List {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero host list", "of every cell"),
        ("cellzero host list --cell cell1 --json", "of one cell, as JSON"),
    ];
    const EXITS: &'static [Exit] = &[Exit::NotFound];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let names = Names::read(plane).await?;
        let cell = self.cell.as_deref().map(|text| find_cell(&names, text)).transpose()?;
        if let Some(cell) = cell
            && !plane.cells().list().await?.iter().any(|known| known.uuid == cell)
        {
            let message = format!("there is no cell {cell}");
            return Err(crate::failure::ended(Exit::NotFound, message));
        }
        let hosts = plane.hosts().list(cell).await?;
        session.out.show(&Hosts::new(hosts, &names))?;
        Ok(Exit::Success)
    }
}

#[derive(Debug, Serialize)]
struct Hosts {
    hosts: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    host: String,
    cell_uuid: CellUuid,
    cell: String,
    /// `up`, `down`, `disabled`, or `unknown` while it has not said how large it is.
    state: &'static str,
    /// What is claimed and what may be, after allocation ratios.
    vcpus_used: Option<i64>,
    vcpus: Option<i64>,
    memory_mb_used: Option<i64>,
    memory_mb: Option<i64>,
    disk_gb_used: Option<i64>,
    disk_gb: Option<i64>,
    traits: Vec<String>,
    last_seen_up: Option<NaiveDateTime>,
}

impl Hosts {
    fn new(hosts: Vec<Host>, names: &Names) -> Hosts {
        let rows = hosts.into_iter().map(|host| {
            let state = match &host.capacity {
                None => "unknown",
                Some(capacity) if capacity.service_disabled => "disabled",
                Some(_) if host.is_up => "up",
                Some(_) => "down",
            };
            let capacity = host.capacity.as_ref();
            let traits = capacity.map(|capacity| capacity.traits.iter().cloned().collect());
            Row {
                cell_uuid: host.cell,
                cell: names.of(host.cell),
                state,
                vcpus_used: capacity.map(|c| c.used.vcpus),
                vcpus: capacity.map(|c| c.limit.vcpus),
                memory_mb_used: capacity.map(|c| c.used.memory_mb),
                memory_mb: capacity.map(|c| c.limit.memory_mb),
                disk_gb_used: capacity.map(|c| c.used.disk_gb),
                disk_gb: capacity.map(|c| c.limit.disk_gb),
                traits: traits.unwrap_or_default(),
                last_seen_up: capacity.and_then(|c| c.last_seen_up),
                host: host.host,
            }
        });
        Hosts { hosts: rows.collect() }
    }
}

impl View for Hosts {
    fn text(&self, style: Style) -> String {
        let header = ["host", "cell", "state", "vcpus", "memory_mb", "disk_gb", "last_seen_up"];
        let mut table = table(&header);
        let of = |used: Option<i64>, limit: Option<i64>| match (used, limit) {
            (Some(used), Some(limit)) => format!("{used}/{limit}"),
            _ => or_dash(None::<i64>),
        };
        for row in &self.hosts {
            let state = match row.state {
                "up" => style.good(row.state),
                "down" => style.bad(row.state),
                other => style.doubtful(other),
            };
            table.add_row([
                Cell::new(&row.host),
                Cell::new(&row.cell),
                state,
                Cell::new(of(row.vcpus_used, row.vcpus)),
                Cell::new(of(row.memory_mb_used, row.memory_mb)),
                Cell::new(of(row.disk_gb_used, row.disk_gb)),
                Cell::new(time(row.last_seen_up)),
            ]);
        }
        lines(&table)
    }
}
