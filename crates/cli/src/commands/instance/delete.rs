//! `instance delete`.

use cellzero::{DeleteError, InstanceUuid};
use serde::Serialize;

use super::named::find;
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::output::{Style, View};
use crate::session::Session;

/// Deletes instances, wherever they live. Where a cell does not answer, the delete is decided and
/// ends when the cell is back.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Delete>())]
pub(crate) struct Delete {
    /// Uuids, or names that no other instance has
    #[arg(required = true)]
    instances: Vec<String>,
}

impl Run for Delete {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[(
        "cellzero instance delete web-1 8a0ee18f-cefc-48f2-bc87-354e9d164617",
        "one by its name and one by its uuid",
    )];
    const EXITS: &'static [Exit] = &[Exit::NotFound, Exit::Ambiguous];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let ctx = session.context()?;
        // All are looked for before the first is deleted, so that a typing error deletes nothing.
        let mut uuids = Vec::with_capacity(self.instances.len());
        for text in &self.instances {
            uuids.push(find(plane, &ctx, text).await?);
        }
        let mut done = Deletes::default();
        let mut gone = None;
        for uuid in uuids {
            match plane.delete(&ctx, uuid).await {
                Ok(()) => done.deleted.push(uuid),
                Err(error) if is_not_found(&error) => {
                    done.not_found.push(uuid);
                    gone = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        session.play_compute(plane).await?;
        session.out.show(&done)?;
        match gone {
            None => Ok(Exit::Success),
            Some(error) => Err(error).exits(Exit::NotFound),
        }
    }
}

fn is_not_found(error: &cellzero::Write<DeleteError>) -> bool {
    matches!(error.failed(), Some(DeleteError::InstanceNotFound { .. }))
}

/// What was deleted.
#[derive(Debug, Default, Serialize)]
struct Deletes {
    deleted: Vec<InstanceUuid>,
    not_found: Vec<InstanceUuid>,
}

impl View for Deletes {
    fn text(&self, _: Style) -> String {
        self.deleted.iter().map(|uuid| format!("{uuid} is deleted\n")).collect()
    }
}
