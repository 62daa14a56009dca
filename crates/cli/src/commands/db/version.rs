//! `db version`.

use cellzero::{Databases, PlaneDatabase, PlaneState};
use comfy_table::Cell;
use serde::Serialize;

use super::row::{DatabaseRow, cause, row};
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::output::{Style, View, lines, or_dash, table};
use crate::session::Session;

/// Shows the schema version of each database beside the one that this binary makes.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Version>())]
pub(crate) struct Version {}

impl Run for Version {
    const EXAMPLES: &'static [(&'static str, &'static str)] =
        &[("cellzero db version --json", "for a script that waits for an upgrade")];
    const EXITS: &'static [Exit] = &[Exit::Incomplete];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let mut state = Databases::new(session.config()?)?.state().await;
        // Without the API database nothing is known.
        if let Some(api) = state.databases.first()
            && api.database == PlaneDatabase::Api
            && api.state.is_err()
        {
            state.databases.swap_remove(0).state?;
        }
        let versions = Versions::of(&state);
        session.out.show(&versions)?;
        match versions.databases.iter().any(|one| one.error.is_some()) {
            false => Ok(Exit::Success),
            true => Err(anyhow::anyhow!("a cell could not be asked")).exits(Exit::Incomplete),
        }
    }
}

#[derive(Debug, Serialize)]
struct Versions {
    databases: Vec<VersionRow>,
}

#[derive(Debug, Serialize)]
struct VersionRow {
    #[serde(flatten)]
    of: DatabaseRow,
    schema_version: Option<i64>,
    oldest_binary: Option<i64>,
    binary_version: Option<i64>,
    error: Option<String>,
}

impl Versions {
    fn of(state: &PlaneState) -> Versions {
        let rows = state.databases.iter().map(|one| {
            let known = one.state.as_ref().ok();
            let recorded = known.and_then(|state| state.recorded);
            VersionRow {
                of: row(&one.database, &one.url),
                schema_version: recorded.map(|recorded| recorded.schema_version),
                oldest_binary: recorded.map(|recorded| recorded.oldest_binary),
                binary_version: known.map(|state| state.binary_version),
                error: one.state.as_ref().err().map(cause),
            }
        });
        Versions { databases: rows.collect() }
    }
}

impl View for Versions {
    fn text(&self, style: Style) -> String {
        let mut table = table(&["database", "schema", "oldest binary", "this binary", "error"]);
        for one in &self.databases {
            table.add_row([
                Cell::new(one.of.title()),
                Cell::new(or_dash(one.schema_version)),
                Cell::new(or_dash(one.oldest_binary)),
                Cell::new(or_dash(one.binary_version)),
                one.error.as_ref().map_or_else(|| Cell::new("-"), |error| style.bad(error)),
            ]);
        }
        lines(&table)
    }
}
