//! `flavor list`.

use comfy_table::Cell;
use serde::Serialize;

use super::{Row, items};
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::output::{Style, View, lines, table};
use crate::session::Session;

/// Lists all flavors, private ones too.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<List>())]
pub(crate) struct List {}

impl Run for List {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero flavor list --json", "as JSON")];
    const EXITS: &'static [Exit] = &[];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let flavors = plane.flavors().list().await?.into_iter().map(Row::from).collect();
        session.out.show(&Flavors { flavors })?;
        Ok(Exit::Success)
    }
}

#[derive(Debug, Serialize)]
struct Flavors {
    flavors: Vec<Row>,
}

impl View for Flavors {
    fn text(&self, _: Style) -> String {
        let mut table =
            table(&["id", "name", "vcpus", "memory_mb", "disk_gb", "public", "extra_specs"]);
        for flavor in &self.flavors {
            table.add_row([
                Cell::new(&flavor.id),
                Cell::new(&flavor.name),
                Cell::new(flavor.vcpus),
                Cell::new(flavor.memory_mb),
                Cell::new(flavor.root_gb + flavor.ephemeral_gb),
                Cell::new(flavor.public),
                Cell::new(items(&flavor.extra_specs)),
            ]);
        }
        lines(&table)
    }
}
