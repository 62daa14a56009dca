//! What a host has done, in a file: one line of JSON for each operation that it has applied.
//!
//! A line is on the disk before its report is sent. The last one may be torn by a crash: then the
//! operation was not reported, and comes again.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::Context as _;
use cellzero::{InstanceUuid, OperationUuid};
use cellzero_amqp::Report;
use serde::{Deserialize, Serialize};

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// Its id.
    pub(crate) id: OperationUuid,
    /// The instance.
    pub(crate) instance_uuid: InstanceUuid,
    /// Its sequence number.
    pub(crate) sequence: i64,
    /// What was reported of it, to be said again where it comes again.
    pub(crate) report: Report,
}

/// The operations that were applied last, by instance.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    last: HashMap<InstanceUuid, Applied>,
    /// How many builds there were.
    builds: u64,
}

impl Journal {
    /// Opens the file, or makes it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Journal> {
        let text = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        // What follows the last line feed is torn.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        let mut journal = Journal { file, last: HashMap::new(), builds: 0 };
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let applied: Applied = serde_json::from_slice(line).with_context(|| {
                format!("{} holds a line that is none of its own", path.display())
            })?;
            journal.note(applied);
        }
        Ok(journal)
    }

    /// The operation that was applied last to an instance.
    pub(crate) fn last(&self, instance: InstanceUuid) -> Option<&Applied> {
        self.last.get(&instance)
    }

    /// How many builds there were, those that failed too.
    pub(crate) fn builds(&self) -> u64 {
        self.builds
    }

    /// The instances that run here.
    pub(crate) fn running(&self) -> Vec<InstanceUuid> {
        let runs =
            |one: &&Applied| matches!(one.report, Report::Built { .. } | Report::Acted { .. });
        self.last.values().filter(runs).map(|one| one.instance_uuid).collect()
    }

    /// Keeps what became of an operation; from the return on it is safe.
    pub(crate) fn keep(&mut self, applied: Applied) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(&applied)?;
        line.push(b'\n');
        self.file.write_all(&line).context("cannot write what was done")?;
        self.file.sync_data().context("cannot sync what was done")?;
        self.note(applied);
        Ok(())
    }

    fn note(&mut self, applied: Applied) {
        if matches!(applied.report, Report::Built { .. } | Report::Failed { .. }) {
            self.builds += 1;
        }
        self.last.insert(applied.instance_uuid, applied);
    }
}
