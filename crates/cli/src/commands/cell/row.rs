//! A cell, as it is printed: never with a password.

use cellzero::{AdminError, CellMapping, CellUuid, ControlPlane, mask_passwords};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::output::{Style, View, lines, or_dash, table};

/// A cell mapping.
#[derive(Debug, Serialize)]
pub(super) struct CellRow {
    uuid: CellUuid,
    name: Option<String>,
    transport_url: Option<String>,
    database_connection: Option<String>,
    disabled: bool,
}

impl From<&CellMapping> for CellRow {
    fn from(mapping: &CellMapping) -> CellRow {
        let masked = |url: &Option<String>| url.as_deref().map(mask_passwords);
        CellRow {
            uuid: mapping.uuid,
            name: mapping.name.clone(),
            transport_url: masked(&mapping.transport_url),
            database_connection: masked(&mapping.database_connection),
            disabled: mapping.disabled,
        }
    }
}

/// Several of them.
#[derive(Debug, Serialize)]
pub(super) struct CellRows {
    pub(super) cells: Vec<CellRow>,
}

impl View for CellRows {
    fn text(&self, style: Style) -> String {
        let mut table =
            table(&["name", "uuid", "transport url", "database connection", "disabled"]);
        for cell in &self.cells {
            table.add_row([
                or_dash(cell.name.as_ref()).into(),
                cell.uuid.to_string().into(),
                or_dash(cell.transport_url.as_ref()).into(),
                or_dash(cell.database_connection.as_ref()).into(),
                match cell.disabled {
                    true => style.doubtful("true"),
                    false => comfy_table::Cell::new("false"),
                },
            ]);
        }
        lines(&table)
    }
}

/// One of them.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct OneCell(CellRow);

impl From<&CellMapping> for OneCell {
    fn from(mapping: &CellMapping) -> OneCell {
        OneCell(mapping.into())
    }
}

impl View for OneCell {
    fn text(&self, style: Style) -> String {
        let OneCell(cell) = self;
        let mut table = table(&["field", "value"]);
        let mut add = |field: &str, value: comfy_table::Cell| {
            table.add_row([comfy_table::Cell::new(field), value]);
        };
        add("name", or_dash(cell.name.as_ref()).into());
        add("uuid", cell.uuid.to_string().into());
        add("transport url", or_dash(cell.transport_url.as_ref()).into());
        add("database connection", or_dash(cell.database_connection.as_ref()).into());
        add(
            "disabled",
            match cell.disabled {
                true => style.doubtful("true"),
                false => comfy_table::Cell::new("false"),
            },
        );
        lines(&table)
    }
}

/// The cell with this uuid or name.
pub(super) async fn find(plane: &ControlPlane, wanted: &str) -> anyhow::Result<CellMapping> {
    match plane.cells().find(wanted).await {
        Err(error @ AdminError::NoSuchCell(_)) => Err(error).exits(Exit::CellNotFound),
        found => Ok(found?),
    }
}
