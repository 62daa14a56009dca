//! `cell create`.

use cellzero::{CreateCellError, NewCell, Write};

use super::row::{OneCell, find};
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::{Exits as _, ended};
use crate::session::Session;

/// Makes a cell: migrates its database, marks it as this cell of this plane, and maps it.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Create>())]
pub(crate) struct Create {
    /// Its name, for people
    #[arg(long)]
    name: String,
    /// Its database, which must exist on its server; a SQLite file is made
    #[arg(long, value_name = "URL")]
    database_connection: Option<String>,
    /// Its message queue, or none:/// where it has none
    #[arg(long, value_name = "URL")]
    transport_url: Option<String>,
    /// Make it closed for scheduling
    #[arg(long)]
    disabled: bool,
}

impl Run for Create {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[(
        "cellzero cell create --name cell1 --database-connection postgres://nova@db2/nova_cell1 \
         --transport-url rabbit://nova@mq2/cell1",
        "a cell with a server and a queue of its own",
    )];
    const EXITS: &'static [Exit] = &[Exit::UrlMissing, Exit::UrlTaken];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let needed = |url: Option<String>, name: &str, hint: &str| {
            url.ok_or_else(|| ended(Exit::UrlMissing, format!("{name} is missing{hint}")))
        };
        let url = needed(self.database_connection, "--database-connection", "")?;
        let hint = "; none:/// says that the cell has no message queue";
        let transport_url = needed(self.transport_url, "--transport-url", hint)?;
        let (name, disabled) = (self.name, self.disabled);
        let plane = session.plane().await?;
        let made = plane.cells().create(NewCell { name, url, transport_url, disabled }).await;
        let cell = match made {
            Err(Write::Failed(
                error
                @ (CreateCellError::DatabaseTaken { .. } | CreateCellError::QueueTaken { .. }),
            )) => return Err(error).exits(Exit::UrlTaken),
            made => made?,
        };
        let mapping = find(plane, &cell.to_string()).await?;
        session.out.show(&OneCell::from(&mapping))?;
        Ok(Exit::Success)
    }
}
