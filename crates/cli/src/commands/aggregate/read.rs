//! `aggregate list` and `aggregate show`.

use comfy_table::Cell;
use serde::Serialize;

use super::Row;
use crate::command::{Run, help};
use crate::commands::flavor::{items, refused};
use crate::exit::Exit;
use crate::output::{Style, View, lines, or_dash, table};
use crate::session::Session;

/// Lists all aggregates.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<List>())]
pub(crate) struct List {}

/// Shows one aggregate, with its hosts.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Show>())]
pub(crate) struct Show {
    /// Its name, or its uuid
    aggregate: String,
}

impl Run for List {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero aggregate list", "with how many hosts each has")];
    const EXITS: &'static [Exit] = &[];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let all = plane.aggregates().list().await?;
        session.out.show(&Aggregates { aggregates: all.into_iter().map(Row::from).collect() })?;
        Ok(Exit::Success)
    }
}

impl Run for Show {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero aggregate show fast-disks", "by its name")];
    const EXITS: &'static [Exit] = &[Exit::NoSuchThing];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let found = refused(plane.aggregates().show(&self.aggregate).await)?;
        session.out.show(&Row::from(found))?;
        Ok(Exit::Success)
    }
}

#[derive(Debug, Serialize)]
struct Aggregates {
    aggregates: Vec<Row>,
}

impl View for Aggregates {
    fn text(&self, _: Style) -> String {
        let mut table = table(&["name", "availability_zone", "hosts", "metadata"]);
        for row in &self.aggregates {
            table.add_row([
                Cell::new(&row.name),
                Cell::new(or_dash(row.availability_zone.as_ref())),
                Cell::new(row.hosts.len()),
                Cell::new(items(&row.metadata)),
            ]);
        }
        lines(&table)
    }
}
