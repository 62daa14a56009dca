//! `flavor show`.

use comfy_table::Cell;
use serde::Serialize;

use super::{Row, items, refused};
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::ended;
use crate::output::{Style, View, lines, or_dash, table};
use crate::session::Session;

/// Shows one flavor, with its extra specs and the projects that may use it.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Show>())]
pub(crate) struct Show {
    /// The id that clients use
    id: String,
}

impl Run for Show {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero flavor show 2", "by its id")];
    const EXITS: &'static [Exit] = &[Exit::NoSuchThing];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let Some(flavor) = plane.flavors().find(&self.id).await? else {
            return Err(ended(Exit::NoSuchThing, format!("there is no flavor {:?}", self.id)));
        };
        let projects = refused(plane.flavors().projects(&self.id).await)?;
        session.out.show(&Shown { flavor: flavor.into(), projects })?;
        Ok(Exit::Success)
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    pub(super) flavor: Row,
    /// The projects that may use it, where it is private.
    pub(super) projects: Vec<String>,
}

impl View for Shown {
    fn text(&self, _: Style) -> String {
        let flavor = &self.flavor;
        let mut table = table(&["field", "value"]);
        let mut row = |field: &str, value: String| {
            table.add_row([Cell::new(field), Cell::new(value)]);
        };
        row("id", flavor.id.clone());
        row("name", flavor.name.clone());
        row("vcpus", flavor.vcpus.to_string());
        row("memory_mb", flavor.memory_mb.to_string());
        row("root_gb", flavor.root_gb.to_string());
        row("ephemeral_gb", flavor.ephemeral_gb.to_string());
        row("swap_mb", flavor.swap_mb.to_string());
        row("public", flavor.public.to_string());
        row("extra_specs", items(&flavor.extra_specs));
        if !flavor.public {
            row("projects", self.projects.join(", "));
        }
        row("description", or_dash(flavor.description.as_ref()));
        lines(&table)
    }
}
