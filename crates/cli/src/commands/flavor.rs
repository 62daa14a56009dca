//! `flavor …`.

mod create;
mod delete;
mod list;
mod show;

use std::collections::BTreeMap;

use cellzero::{AdminError, Flavor as Known};
use clap::Subcommand;
use serde::Serialize;

use crate::command::go;
use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::session::Session;

/// Flavors: the sizes that can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Flavor {
    Create(create::Create),
    List(list::List),
    Show(show::Show),
    Delete(delete::Delete),
}

impl Flavor {
    pub(crate) async fn dispatch(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Flavor::Create(command) => go(command, session).await,
            Flavor::List(command) => go(command, session).await,
            Flavor::Show(command) => go(command, session).await,
            Flavor::Delete(command) => go(command, session).await,
        }
    }
}

/// A flavor as it is printed.
#[derive(Debug, Serialize)]
struct Row {
    /// The id that clients use.
    id: String,
    name: String,
    vcpus: i32,
    memory_mb: i32,
    root_gb: i32,
    ephemeral_gb: i32,
    swap_mb: i32,
    public: bool,
    disabled: bool,
    description: Option<String>,
    extra_specs: BTreeMap<String, String>,
}

impl From<Known> for Row {
    fn from(flavor: Known) -> Row {
        Row {
            id: flavor.flavorid,
            name: flavor.name,
            vcpus: flavor.vcpus,
            memory_mb: flavor.memory_mb,
            root_gb: flavor.root_gb,
            ephemeral_gb: flavor.ephemeral_gb,
            swap_mb: flavor.swap,
            public: flavor.is_public,
            disabled: flavor.disabled,
            description: flavor.description,
            extra_specs: flavor.extra_specs,
        }
    }
}

/// Extra specs or metadata as a table has them.
pub(crate) fn items(items: &BTreeMap<String, String>) -> String {
    if items.is_empty() {
        return "-".to_owned();
    }
    let items: Vec<String> = items.iter().map(|(key, value)| format!("{key}={value}")).collect();
    items.join(", ")
}

/// A `KEY=VALUE`.
pub(crate) fn item(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it must be KEY=VALUE")?;
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Names the exit of what set-up commands refuse.
pub(crate) fn refused<T>(result: Result<T, AdminError>) -> anyhow::Result<T> {
    match result {
        Err(error @ AdminError::NotFound { .. }) => Err(error).exits(Exit::NoSuchThing),
        Err(error @ AdminError::Exists { .. }) => Err(error).exits(Exit::AlreadyThere),
        Err(error @ AdminError::InUse { .. }) => Err(error).exits(Exit::StillInUse),
        done => Ok(done?),
    }
}
