//! `instance retry`.

use cellzero::{Accepted, ControlPlane, InstanceUuid, RequestContext, RetryError, Write};
use serde::Serialize;

use super::homes::follow;
use super::named::find;
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::output::{Style, View};
use crate::session::Session;

/// Takes a buried instance out of cell0 to be scheduled again, under its uuid.
///
/// It waits until it lives in a cell or is buried again. An admin password is not stored, so it is
/// built without one.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Retry>())]
pub(crate) struct Retry {
    /// Its uuid, or a name that no other one has
    instance: String,

    /// Do not wait for a home
    #[arg(long)]
    no_wait: bool,

    /// Do nothing now; retry it by itself once it may fit
    #[arg(long, conflicts_with = "no_wait")]
    when_it_fits: bool,

    /// Retry it by itself no more
    #[arg(long, conflicts_with_all = ["no_wait", "when_it_fits"])]
    stop_waiting: bool,
}

impl Run for Retry {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero instance retry web-2", "tries again, for example after a host was added"),
        ("cellzero instance retry web-2 --when-it-fits", "waits for room, however long it takes"),
    ];
    const EXITS: &'static [Exit] = &[
        Exit::NotFound,
        Exit::Refused,
        Exit::Buried,
        Exit::Waiting,
        Exit::NotInCell0,
        Exit::Ambiguous,
        Exit::CellUnavailable,
    ];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let ctx = session.context()?;
        let uuid = find(plane, &ctx, &self.instance).await?;
        if self.when_it_fits || self.stop_waiting {
            let waits = wait(plane, &ctx, uuid, self.when_it_fits).await;
            session.out.show(&waits.or_else(named)?)?;
            return Ok(Exit::Success);
        }
        let accepted: Accepted = match plane.retry(&ctx, uuid).await {
            Ok(accepted) => accepted,
            Err(error) => return named(error),
        };
        follow(session, plane, &ctx, &accepted, !self.no_wait).await
    }
}

/// The error, with the exit that it has.
fn named<T>(error: Write<RetryError>) -> anyhow::Result<T> {
    match exit_of(&error) {
        Some(exit) => Err(error).exits(exit),
        None => Err(error.into()),
    }
}

async fn wait(
    plane: &ControlPlane,
    ctx: &RequestContext,
    uuid: InstanceUuid,
    waits: bool,
) -> Result<Waits, Write<RetryError>> {
    let changed = match waits {
        true => plane.retry_when_it_fits(ctx, uuid).await?,
        false => plane.stop_waiting(ctx, uuid).await?,
    };
    Ok(Waits { uuid, waits, changed })
}

/// Whether a buried instance is retried by itself.
#[derive(Debug, Serialize)]
struct Waits {
    uuid: InstanceUuid,
    waits: bool,
    changed: bool,
}

impl View for Waits {
    fn text(&self, _: Style) -> String {
        let before = if self.changed { "" } else { ", as before" };
        let waits =
            if self.waits { "is retried once it may fit" } else { "is not retried by itself" };
        format!("{} {waits}{before}\n", self.uuid)
    }
}

/// The exit of a retry that was not done, where it is none of the common ones.
fn exit_of(error: &Write<RetryError>) -> Option<Exit> {
    match error.failed()? {
        RetryError::InstanceNotFound { .. } => Some(Exit::NotFound),
        RetryError::NotBuried { .. } => Some(Exit::NotInCell0),
        RetryError::Moving { .. } | RetryError::Cell(_) => Some(Exit::CellUnavailable),
        RetryError::Refused(cellzero::BootError::QuotaExceeded { .. }) => Some(Exit::Refused),
        _ => None,
    }
}
