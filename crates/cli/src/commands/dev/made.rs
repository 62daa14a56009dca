//! What `dev up` has made, as a file in its directory says it: `dev down` removes that and nothing
//! else.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cellzero::DatabaseUrl;
use serde::{Deserialize, Serialize};

/// The name of the file.
const FILE: &str = "made.json";

/// The databases of a plane, in the order in which they are made. It holds passwords: no `Debug`.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Made {
    /// The URLs that `--database` named; none for SQLite files in the directory.
    pub(super) servers: Vec<String>,
    /// The databases.
    pub(super) databases: Vec<MadeDatabase>,
}

/// One database.
#[derive(Serialize, Deserialize)]
pub(super) struct MadeDatabase {
    /// `api`, or the name of a cell.
    pub(super) name: String,
    /// Its URL.
    pub(super) url: String,
    /// Whether it was made here. One that stood already is used, and never dropped.
    pub(super) made: bool,
}

impl MadeDatabase {
    /// Its URL, parsed again.
    pub(super) fn url(&self) -> anyhow::Result<DatabaseUrl> {
        Ok(DatabaseUrl::parse(&self.url)?)
    }
}

impl Made {
    /// Where the file is.
    pub(super) fn path(directory: &Path) -> PathBuf {
        directory.join(FILE)
    }

    /// What was made in a directory; none where `dev up` has never run there.
    pub(super) fn read(directory: &Path) -> anyhow::Result<Option<Made>> {
        let path = Made::path(directory);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("{} cannot be read", path.display()))?,
        };
        let made = serde_json::from_str(&text);
        Ok(Some(made.with_context(|| format!("{} cannot be understood", path.display()))?))
    }

    /// Writes the file anew. A crash leaves the old one or the new one.
    pub(super) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        write_private(&Made::path(directory), &text)
    }

    /// The database of this name.
    pub(super) fn find(&self, name: &str) -> Option<&MadeDatabase> {
        self.databases.iter().find(|database| database.name == name)
    }
}

/// Writes a file that its owner alone may read, since URLs hold passwords.
pub(super) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}
