//! `aggregate …`.

mod change;
mod read;

use std::collections::BTreeMap;

use cellzero::AggregateWithHosts;
use clap::Subcommand;
use comfy_table::Cell;
use serde::Serialize;

use crate::command::go;
use crate::commands::flavor::items;
use crate::exit::Exit;
use crate::output::{Style, View, lines, or_dash, table};
use crate::session::Session;

/// Aggregates: sets of hosts with metadata; one with availability_zone is a zone.
#[derive(Debug, Subcommand)]
pub(crate) enum Aggregate {
    Create(change::Create),
    List(read::List),
    Show(read::Show),
    Delete(change::Delete),
    AddHost(change::AddHost),
    RemoveHost(change::RemoveHost),
    Set(change::Set),
}

impl Aggregate {
    pub(crate) async fn dispatch(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Aggregate::Create(command) => go(command, session).await,
            Aggregate::List(command) => go(command, session).await,
            Aggregate::Show(command) => go(command, session).await,
            Aggregate::Delete(command) => go(command, session).await,
            Aggregate::AddHost(command) => go(command, session).await,
            Aggregate::RemoveHost(command) => go(command, session).await,
            Aggregate::Set(command) => go(command, session).await,
        }
    }
}

/// An aggregate as it is printed.
#[derive(Debug, Serialize)]
struct Row {
    uuid: Option<String>,
    name: String,
    availability_zone: Option<String>,
    metadata: BTreeMap<String, String>,
    hosts: Vec<String>,
}

impl From<AggregateWithHosts> for Row {
    fn from(aggregate: AggregateWithHosts) -> Row {
        Row {
            availability_zone: aggregate.zone().map(str::to_owned),
            uuid: aggregate.uuid,
            name: aggregate.name,
            metadata: aggregate.metadata,
            hosts: aggregate.hosts,
        }
    }
}

impl View for Row {
    fn text(&self, _: Style) -> String {
        let mut table = table(&["field", "value"]);
        let hosts = if self.hosts.is_empty() { "-".to_owned() } else { self.hosts.join(", ") };
        let rows = [
            ("uuid", or_dash(self.uuid.as_ref())),
            ("name", self.name.clone()),
            ("availability_zone", or_dash(self.availability_zone.as_ref())),
            ("metadata", items(&self.metadata)),
            ("hosts", hosts),
        ];
        for (field, value) in rows {
            table.add_row([Cell::new(field), Cell::new(value)]);
        }
        lines(&table)
    }
}
