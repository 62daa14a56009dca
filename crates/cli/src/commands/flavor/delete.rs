//! `flavor delete`.

use serde::Serialize;

use super::refused;
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::output::{Style, View};
use crate::session::Session;

/// Deletes a flavor. Instances keep the copy that they were made with, whether they live or are
/// buried and retried.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Delete>())]
pub(crate) struct Delete {
    /// The id that clients use
    id: String,
}

impl Run for Delete {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero flavor delete 2", "nobody can ask for it any more")];
    const EXITS: &'static [Exit] = &[Exit::NoSuchThing];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        refused(plane.flavors().delete(&self.id).await)?;
        session.out.show(&Deleted { deleted: self.id })?;
        Ok(Exit::Success)
    }
}

#[derive(Debug, Serialize)]
struct Deleted {
    deleted: String,
}

impl View for Deleted {
    fn text(&self, _: Style) -> String {
        format!("flavor {} is deleted\n", self.deleted)
    }
}
