//! `instance show`.

use std::collections::BTreeMap;

use cellzero::{BlockDevice, Home, Instance, InstanceFault, InstanceUuid, ReadError};
use chrono::NaiveDateTime;
use comfy_table::Cell;
use serde::Serialize;

use super::list::status;
use super::named::find;
use crate::command::{Run, help};
use crate::commands::cells::Names;
use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::output::{Style, View, lines, or_dash, table, time};
use crate::session::Session;

/// Shows one instance, wherever it lives, with its fault.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Show>())]
pub(crate) struct Show {
    /// Its uuid, or a name that no other one has
    instance: String,
}

impl Run for Show {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero instance show web-1", "by its name"),
        (
            "cellzero instance show 8a0ee18f-cefc-48f2-bc87-354e9d164617 --json",
            "by its uuid, as JSON",
        ),
    ];
    const EXITS: &'static [Exit] = &[Exit::NotFound, Exit::Ambiguous, Exit::CellUnavailable];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let ctx = session.context()?;
        let uuid = find(plane, &ctx, &self.instance).await?;
        let instance = match plane.show(&ctx, uuid).await {
            Ok(instance) => instance,
            Err(error) => {
                let exit = exit_of(&error);
                return match exit {
                    Some(exit) => Err(error).exits(exit),
                    None => Err(error.into()),
                };
            }
        };
        let names = Names::read(plane).await?;
        session.out.show(&Shown::new(instance, &names))?;
        Ok(Exit::Success)
    }
}

/// The exit of a read that failed, where it is none of the common ones.
pub(super) fn exit_of(error: &ReadError) -> Option<Exit> {
    match error {
        ReadError::InstanceNotFound { .. } | ReadError::MarkerNotFound { .. } => {
            Some(Exit::NotFound)
        }
        ReadError::CellUnavailable { .. } | ReadError::Moving { .. } => Some(Exit::CellUnavailable),
        _ => None,
    }
}

/// One instance.
#[derive(Debug, Serialize)]
struct Shown {
    uuid: InstanceUuid,
    name: Option<String>,
    status: &'static str,
    vm_state: Option<String>,
    task_state: Option<String>,
    /// None while it has no home.
    cell_uuid: Option<String>,
    cell: Option<String>,
    host: Option<String>,
    availability_zone: Option<String>,
    project_id: String,
    user_id: String,
    flavor: Option<String>,
    vcpus: Option<i32>,
    memory_mb: Option<i32>,
    root_gb: Option<i32>,
    image: Option<String>,
    key_name: Option<String>,
    fixed_ips: Vec<String>,
    tags: Vec<String>,
    metadata: BTreeMap<String, String>,
    security_groups: Vec<String>,
    block_devices: Vec<BlockDevice>,
    fault: Option<InstanceFault>,
    created_at: Option<NaiveDateTime>,
    updated_at: Option<NaiveDateTime>,
    launched_at: Option<NaiveDateTime>,
    /// Where its cell does not answer: since when what stands here is known.
    known_at: Option<NaiveDateTime>,
}

impl Shown {
    fn new(instance: Instance, names: &Names) -> Shown {
        let cell = match instance.home {
            Home::Cell(cell) => Some(cell),
            Home::BuildRequest => None,
        };
        let fixed_ips = instance.fixed_ips().into_iter().map(str::to_owned).collect();
        let flavor = instance.flavor.as_ref();
        Shown {
            uuid: instance.uuid,
            status: instance.status(),
            cell_uuid: cell.map(|cell| cell.to_string()),
            cell: cell.map(|cell| names.of(cell)),
            fixed_ips,
            vcpus: flavor.map(|flavor| flavor.vcpus),
            memory_mb: flavor.map(|flavor| flavor.memory_mb),
            root_gb: flavor.map(|flavor| flavor.root_gb),
            flavor: flavor.map(|flavor| flavor.name.clone()),
            name: instance.display_name,
            vm_state: instance.vm_state.map(|state| state.as_str().to_owned()),
            task_state: instance.task_state.map(|state| state.as_str().to_owned()),
            host: instance.host,
            availability_zone: instance.availability_zone,
            project_id: instance.project_id,
            user_id: instance.user_id,
            image: instance.image_ref,
            key_name: instance.key_name,
            tags: instance.tags,
            metadata: instance.metadata,
            security_groups: instance.security_groups,
            block_devices: instance.block_devices,
            fault: instance.fault,
            created_at: instance.created_at,
            updated_at: instance.updated_at,
            launched_at: instance.launched_at,
            known_at: instance.known_at,
        }
    }

    fn home(&self) -> String {
        self.cell.clone().unwrap_or_else(|| "none yet: it is being placed".to_owned())
    }
}

impl View for Shown {
    fn text(&self, style: Style) -> String {
        let mut table = table(&["field", "value"]);
        let mut row = |field: &str, value: Cell| {
            table.add_row([Cell::new(field), value]);
        };
        row("uuid", Cell::new(self.uuid));
        row("name", Cell::new(or_dash(self.name.as_ref())));
        row("status", status(style, self.status));
        if let Some(task) = &self.task_state {
            row("task_state", Cell::new(task));
        }
        row("cell", Cell::new(self.home()));
        row("host", Cell::new(or_dash(self.host.as_ref())));
        row("availability_zone", Cell::new(or_dash(self.availability_zone.as_ref())));
        row("project", Cell::new(&self.project_id));
        row("user", Cell::new(&self.user_id));
        row("flavor", Cell::new(or_dash(self.flavor.as_ref())));
        row("image", Cell::new(or_dash(self.image.as_ref())));
        for (field, values) in [("fixed_ips", &self.fixed_ips), ("tags", &self.tags)] {
            if !values.is_empty() {
                row(field, Cell::new(values.join(", ")));
            }
        }
        for (key, value) in &self.metadata {
            row(&format!("metadata.{key}"), Cell::new(value));
        }
        row("created", Cell::new(time(self.created_at)));
        row("launched", Cell::new(time(self.launched_at)));
        if let Some(fault) = &self.fault {
            row("fault", style.bad(&fault.message));
            row("fault_code", Cell::new(fault.code));
        }
        if let Some(known) = self.known_at {
            row("known_at", style.doubtful(time(Some(known))));
        }
        lines(&table)
    }

    fn notes(&self) -> String {
        match self.cell_uuid.as_deref() {
            Some("00000000-0000-0000-0000-000000000000") => {
                format!("it is buried; more: cellzero instance why {}\n", self.uuid)
            }
            _ => String::new(),
        }
    }
}
