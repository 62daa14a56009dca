//! `host disable` and `host enable`.

use cellzero::{HostError, Write};
use serde::Serialize;

use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::output::{Style, View};
use crate::session::Session;

/// Closes a host for new instances; what runs on it goes on.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Disable>())]
pub(crate) struct Disable {
    /// The host
    host: String,

    /// Why, for whoever looks at it next
    #[arg(long, default_value = "disabled by an operator")]
    reason: String,
}

/// Opens a host for new instances again.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Enable>())]
pub(crate) struct Enable {
    /// The host
    host: String,
}

impl Run for Disable {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero host disable compute-7 --reason 'new memory'", "before it is worked on")];
    const EXITS: &'static [Exit] = &[Exit::NotFound, Exit::CellSilent];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        done(plane.hosts().disable(&self.host, &self.reason).await)?;
        session.out.show(&Switched { host: self.host, enabled: false })?;
        Ok(Exit::Success)
    }
}

impl Run for Enable {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero host enable compute-7", "when it is back")];
    const EXITS: &'static [Exit] = &[Exit::NotFound, Exit::CellSilent];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        done(plane.hosts().enable(&self.host).await)?;
        session.out.show(&Switched { host: self.host, enabled: true })?;
        Ok(Exit::Success)
    }
}

fn done(result: Result<(), Write<HostError>>) -> anyhow::Result<()> {
    match result {
        Err(error) => match error.failed() {
            Some(HostError::NotFound { .. }) => Err(error).exits(Exit::NotFound),
            Some(HostError::Cell(_)) => Err(error).exits(Exit::CellSilent),
            _ => Err(error.into()),
        },
        Ok(()) => Ok(()),
    }
}

#[derive(Debug, Serialize)]
struct Switched {
    host: String,
    enabled: bool,
}

impl View for Switched {
    fn text(&self, _: Style) -> String {
        let state = if self.enabled { "open" } else { "closed" };
        format!("{} is {state} for new instances\n", self.host)
    }
}
