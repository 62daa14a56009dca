//! What changes aggregates. Each prints the aggregate as it is then.

use std::collections::BTreeMap;

use cellzero::ControlPlane;
use serde::Serialize;

use super::Row;
use crate::command::{Run, help};
use crate::commands::flavor::{item, refused};
use crate::exit::Exit;
use crate::output::{Style, View};
use crate::session::Session;

/// The metadata that makes an aggregate a zone.
const ZONE: &str = "availability_zone";

/// Adds an aggregate.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Create>())]
pub(crate) struct Create {
    /// Its name
    name: String,

    /// The availability zone that its hosts are in
    #[arg(long)]
    zone: Option<String>,

    /// Metadata; may be given often
    #[arg(long, value_name = "KEY=VALUE", value_parser = item)]
    property: Vec<(String, String)>,
}

/// Deletes an aggregate without hosts.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Delete>())]
pub(crate) struct Delete {
    /// Its name, or its uuid
    aggregate: String,
}

/// Adds a host to an aggregate. A host is in one availability zone.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<AddHost>())]
pub(crate) struct AddHost {
    /// Its name, or its uuid
    aggregate: String,

    /// A host that is mapped to a cell
    host: String,
}

/// Takes a host out of an aggregate; what lives on it stays.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<RemoveHost>())]
pub(crate) struct RemoveHost {
    /// Its name, or its uuid
    aggregate: String,

    /// The host
    host: String,
}

/// Sets metadata of an aggregate, or its availability zone; what is left out stays.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Set>())]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
pub(crate) struct Set {
    /// Its name, or its uuid
    aggregate: String,

    /// The availability zone that its hosts are in
    #[arg(long, group = "what")]
    zone: Option<String>,

    /// Metadata; may be given often
    #[arg(long, value_name = "KEY=VALUE", value_parser = item, group = "what")]
    property: Vec<(String, String)>,

    /// Metadata that is taken away; may be given often
    #[arg(long, value_name = "KEY", group = "what")]
    unset: Vec<String>,
}

async fn show(session: &Session, plane: &ControlPlane, name: &str) -> anyhow::Result<Exit> {
    let found = refused(plane.aggregates().show(name).await)?;
    session.out.show(&Row::from(found))?;
    Ok(Exit::Success)
}

impl Run for Create {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero aggregate create rack-1 --zone az1", "a zone"),
        (
            "cellzero aggregate create fast-disks --property ssd=true",
            "hosts with something special",
        ),
    ];
    const EXITS: &'static [Exit] = &[Exit::AlreadyThere];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let mut metadata: BTreeMap<String, String> = self.property.into_iter().collect();
        metadata.extend(self.zone.map(|zone| (ZONE.to_owned(), zone)));
        refused(plane.aggregates().create(&self.name, &metadata, &[]).await)?;
        show(session, plane, &self.name).await
    }
}

impl Run for Delete {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero aggregate delete rack-1", "after its hosts were taken out")];
    const EXITS: &'static [Exit] = &[Exit::NoSuchThing, Exit::StillInUse];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        refused(plane.aggregates().delete(&self.aggregate).await)?;
        session.out.show(&Deleted { deleted: self.aggregate })?;
        Ok(Exit::Success)
    }
}

impl Run for AddHost {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero aggregate add-host rack-1 compute-7", "and what waits for it is looked at")];
    const EXITS: &'static [Exit] = &[Exit::NoSuchThing];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        refused(plane.aggregates().add_host(&self.aggregate, &self.host).await)?;
        show(session, plane, &self.aggregate).await
    }
}

impl Run for RemoveHost {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero aggregate remove-host rack-1 compute-7", "before the aggregate is deleted")];
    const EXITS: &'static [Exit] = &[Exit::NoSuchThing];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        refused(plane.aggregates().remove_host(&self.aggregate, &self.host).await)?;
        show(session, plane, &self.aggregate).await
    }
}

impl Run for Set {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero aggregate set rack-1 --zone az2", "its hosts are in another zone"),
        ("cellzero aggregate set rack-1 --property ssd=true --unset gpu", "metadata"),
    ];
    const EXITS: &'static [Exit] = &[Exit::NoSuchThing];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let aggregates = plane.aggregates();
        let given = self.property.into_iter().map(|(key, value)| (key, Some(value)));
        let zone = self.zone.map(|zone| (ZONE.to_owned(), Some(zone)));
        let unset = self.unset.into_iter().map(|key| (key, None));
        for (key, value) in given.chain(zone).chain(unset) {
            refused(aggregates.set(&self.aggregate, &key, value.as_deref()).await)?;
        }
        show(session, plane, &self.aggregate).await
    }
}

#[derive(Debug, Serialize)]
struct Deleted {
    deleted: String,
}

impl View for Deleted {
    fn text(&self, _: Style) -> String {
        format!("aggregate {} is deleted\n", self.deleted)
    }
}
