//! A burial: the verdict, and what it was computed from, as cell0 stores it.

use std::sync::Arc;

use cellzero_cell_db::verdict::{self, NewVerdict};
use cellzero_scheduler::{Asked, Snapshot};
use cellzero_types::Verdict;
use uuid::Uuid;

/// The most that a stored snapshot takes: well under MariaDB's `max_allowed_packet` of 16 MiB. A
/// larger one is not stored, since a burial must not fail for it.
const SNAPSHOT_BYTES_MAX: usize = 8 << 20;

/// Why an instance is buried.
#[derive(Debug, Clone, PartialEq)]
pub struct Burial {
    /// Why.
    pub verdict: Verdict,
    /// What that was computed from, where a snapshot of the hosts was.
    pub basis: Option<Arc<Basis>>,
}

impl From<Verdict> for Burial {
    fn from(verdict: Verdict) -> Burial {
        Burial { verdict, basis: None }
    }
}

impl Burial {
    /// Of the group of which only `fit` of at least `min_count` fit, where this is why the next does
    /// not.
    pub(crate) fn of_group(self, fit: u32, min_count: u32) -> Burial {
        let basis = self.basis.map(|basis| {
            let asked = Asked { min_count: Some(min_count), ..basis.asked.clone() };
            Arc::new(Basis { asked, snapshot: Arc::clone(&basis.snapshot) })
        });
        Burial { verdict: self.verdict.of_group(fit, min_count), basis }
    }

    pub(crate) fn to_store(&self) -> NewVerdict {
        let basis = self.basis.clone().map(|basis| basis as Arc<dyn verdict::Basis>);
        NewVerdict { verdict: self.verdict.clone(), basis }
    }
}

/// What a verdict was computed from. Siblings share it.
#[derive(Debug, PartialEq)]
pub struct Basis {
    /// The request.
    pub asked: Asked,
    /// The hosts.
    pub snapshot: Arc<Snapshot>,
}

impl verdict::Basis for Basis {
    fn asked(&self) -> String {
        serde_json::json!(self.asked).to_string()
    }

    fn snapshot_uuid(&self) -> Uuid {
        self.snapshot.uuid()
    }

    fn generation(&self) -> i64 {
        self.snapshot.generation
    }

    fn snapshot(&self) -> Option<Vec<u8>> {
        let bytes = self.snapshot.encode();
        if bytes.len() > SNAPSHOT_BYTES_MAX {
            tracing::warn!(
                bytes = bytes.len(),
                "a snapshot is too large to be kept: its verdicts cannot be replayed"
            );
            return None;
        }
        Some(bytes)
    }
}
