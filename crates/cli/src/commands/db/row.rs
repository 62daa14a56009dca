//! How a database of a plane is named in results.

use std::error::Error;

use cellzero::{CellUuid, PlaneDatabase};
use serde::Serialize;

use crate::failure::masked;

/// Which database, and where.
#[derive(Debug, Serialize)]
pub(super) struct DatabaseRow {
    kind: &'static str,
    cell: Option<CellUuid>,
    name: Option<String>,
    url: String,
    #[serde(skip)]
    title: String,
}

impl DatabaseRow {
    /// As people read it.
    pub(super) fn title(&self) -> &str {
        &self.title
    }
}

pub(super) fn row(database: &PlaneDatabase, url: &str) -> DatabaseRow {
    let title = database.to_string();
    let url = url.to_owned();
    match database {
        PlaneDatabase::Api => DatabaseRow { kind: "api", cell: None, name: None, url, title },
        PlaneDatabase::Cell { uuid, name } => {
            DatabaseRow { kind: "cell", cell: Some(*uuid), name: name.clone(), url, title }
        }
    }
}

/// An error with all that caused it, in one line.
pub(super) fn cause<E: Error + 'static>(error: &E) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        let text = masked(&cause.to_string());
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = cause.source();
    }
    texts.join(": ").replace('\n', " ")
}
