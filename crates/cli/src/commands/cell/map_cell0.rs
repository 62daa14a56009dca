//! `cell map-cell0`.

use anyhow::Context as _;
use cellzero::{DatabaseUrl, MappedCell0};

use super::row::OneCell;
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::ended;
use crate::session::Session;

/// Makes cell0 and maps it, where it is not mapped.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<MapCell0>())]
pub(crate) struct MapCell0 {
    /// Its database, which must exist on its server; by default that of the configuration, or the
    /// API database's name with _cell0 behind it
    #[arg(long, value_name = "URL")]
    database_connection: Option<String>,
}

impl Run for MapCell0 {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[(
        "cellzero cell map-cell0 --database-connection postgres://nova@db1/nova_cell0",
        "the second step of a new plane, after db sync",
    )];
    const EXITS: &'static [Exit] = &[Exit::MappedElsewhere];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let wanted = self.database_connection.as_deref();
        let MappedCell0 { mapping, is_new } = plane.cells().map_cell0(wanted).await?;
        if let (Some(wanted), false) = (wanted, is_new) {
            let wanted = DatabaseUrl::parse(wanted)?;
            let standing = plane.cells().database_of(&mapping).context("the URL of cell0")?;
            if !standing.same_database(&wanted) {
                let message = format!(
                    "cell0 is mapped already, to {standing}; to move it: cellzero cell update cell0"
                );
                return Err(ended(Exit::MappedElsewhere, message));
            }
        }
        session.out.show(&OneCell::from(&mapping))?;
        Ok(Exit::Success)
    }
}
