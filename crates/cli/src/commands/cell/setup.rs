//! `cell setup`.

use cellzero::{
    CellUuid, ControlPlane, CreateCellError, DatabaseUrl, DiscoverOptions, Discovery, MapOptions,
    Mapped, NewCell, Write,
};
use serde::Serialize;

use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::{Exits as _, ended};
use crate::output::{Style, View};
use crate::progress::Progress;
use crate::session::Session;

/// Makes what a plane with one cell needs: cell0, the cell, the mappings of its hosts and of its
/// instances. What is there already stays.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Setup>())]
pub(crate) struct Setup {
    /// The cell's message queue, or none:/// where it has none
    #[arg(long, value_name = "URL")]
    transport_url: Option<String>,
    /// The cell's database, which must exist on its server
    #[arg(long, value_name = "URL")]
    database_connection: Option<String>,
    /// The cell's name, where it is made
    #[arg(long, default_value = "cell1")]
    name: String,
}

impl Run for Setup {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[(
        "cellzero cell setup --database-connection postgres://nova@db1/nova --transport-url \
         rabbit://nova@mq1/",
        "the second step of a plane with one cell, after db sync",
    )];
    const EXITS: &'static [Exit] = &[Exit::NotSetUp, Exit::UrlTaken];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let needed = |url: Option<String>, name: &str| {
            url.ok_or_else(|| ended(Exit::NotSetUp, format!("{name} is missing")))
        };
        let transport_url = needed(self.transport_url, "--transport-url")?;
        let url = needed(self.database_connection, "--database-connection")?;
        let plane = session.plane().await?;
        plane.cells().map_cell0(None).await?;
        let new = NewCell { name: self.name, url, transport_url, disabled: false };
        let cell = standing_or_new(plane, new).await?;
        let options = DiscoverOptions { cell: Some(cell), ..DiscoverOptions::default() };
        let hosts = plane.hosts().discover(&options).await?;
        let progress = Progress::spinner("mapping instances");
        let mut say = |done: &Mapped| {
            progress.say(format!("{} of {} instances", done.looked_at, done.total));
        };
        let instances = plane.map_instances(cell, MapOptions::default(), &mut say).await?;
        drop(progress);
        let done = Done::of(cell, &hosts, &instances);
        session.out.show(&done)?;
        if done.hosts == 0 {
            let message = "no host was found in the cell; start one, then cellzero host discover";
            return Err(ended(Exit::NotSetUp, message));
        }
        Ok(Exit::Success)
    }
}

/// The cell that has this database, or a new one.
async fn standing_or_new(plane: &ControlPlane, new: NewCell) -> anyhow::Result<CellUuid> {
    let wanted = DatabaseUrl::parse(&new.url)?;
    let standing = plane.cells().list().await?.into_iter().find(|mapping| {
        let same = plane.cells().database_of(mapping).is_ok_and(|url| url.same_database(&wanted));
        same && !mapping.is_cell0()
    });
    if let Some(standing) = standing {
        return Ok(standing.uuid);
    }
    match plane.cells().create(new).await {
        Err(Write::Failed(
            error @ (CreateCellError::DatabaseTaken { .. } | CreateCellError::QueueTaken { .. }),
        )) => Err(error).exits(Exit::UrlTaken),
        made => Ok(made?),
    }
}

/// What stands now.
#[derive(Debug, Serialize)]
struct Done {
    cell: CellUuid,
    hosts: usize,
    new_hosts: usize,
    instances: u64,
    new_instances: u64,
}

impl Done {
    fn of(cell: CellUuid, hosts: &Discovery, instances: &Mapped) -> Done {
        Done {
            cell,
            hosts: hosts.new.len() + hosts.known,
            new_hosts: hosts.new.len(),
            instances: instances.mapped + instances.known,
            new_instances: instances.mapped,
        }
    }
}

impl View for Done {
    fn text(&self, _: Style) -> String {
        format!(
            "cell {} has {} hosts, {} of them new, and {} instances, {} of them new\n",
            self.cell, self.hosts, self.new_hosts, self.instances, self.new_instances
        )
    }
}
