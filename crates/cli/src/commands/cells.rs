//! The cells of a plane by their names.

use std::collections::BTreeMap;

use cellzero::{CellUuid, ControlPlane};

use crate::exit::Exit;
use crate::failure::ended;

/// The name of each cell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(BTreeMap<CellUuid, String>);

impl Names {
    /// Reads the cell mappings: one statement.
    pub(crate) async fn read(plane: &ControlPlane) -> anyhow::Result<Names> {
        let mappings = plane.cells().list().await?;
        let named = mappings.into_iter().filter_map(|mapping| {
            let name = mapping.name.filter(|name| !name.is_empty())?;
            Some((mapping.uuid, name))
        });
        Ok(Names(named.collect()))
    }

    /// The name of a cell; its uuid where it has none.
    pub(crate) fn of(&self, cell: CellUuid) -> String {
        self.0.get(&cell).cloned().unwrap_or_else(|| cell.to_string())
    }
}

/// The cell with this uuid, or with this name that no other one has.
pub(crate) fn find_cell(names: &Names, text: &str) -> anyhow::Result<CellUuid> {
    if let Ok(uuid) = text.parse() {
        return Ok(uuid);
    }
    let mut found = names.0.iter().filter(|(_, name)| *name == text).map(|(uuid, _)| *uuid);
    match (found.next(), found.next()) {
        (Some(cell), None) => Ok(cell),
        (None, _) => {
            let known: Vec<&str> = names.0.values().map(String::as_str).collect();
            let message = format!("no cell is named {text:?}; there are {}", known.join(", "));
            Err(ended(Exit::NotFound, message))
        }
        (Some(_), Some(_)) => {
            Err(ended(Exit::NotFound, format!("several cells are named {text:?}; give a uuid")))
        }
    }
}
