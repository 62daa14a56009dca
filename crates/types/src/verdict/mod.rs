//! The verdict: why the scheduler found no home for an instance, as data.
//!
//! Everything else is derived from it: the sentence for a person, the JSON for a program, and of
//! both what a project may see ([`Verdict::for_project`]) and what an admin may.

mod change;
mod refusal;
mod sentence;

pub use change::{Change, Suggestion};
pub use refusal::{
    CellRefusals, NotAsked, Refusal, RefusalCount, Refusals, Shortfall, UnaskedCell,
};

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::text::cut_at_word;

/// What `instance_faults.message` holds, in characters.
pub const FAULT_MESSAGE_LENGTH_MAX: usize = 255;

/// Why no host can take an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoHost {
    /// The hosts of all cells that were asked.
    #[serde(flatten)]
    pub all: Refusals,
    /// The same by cell, in the order of their uuids.
    pub cells: Vec<CellRefusals>,
    /// Cells whose hosts were not looked at.
    pub unasked: Vec<UnaskedCell>,
    /// The least changes with which the instance, its siblings standing where they are, would have
    /// found a host: the ones that need one change first.
    pub suggestions: Vec<Suggestion>,
}

/// Why an instance has no host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
pub enum VerdictReason {
    /// Every host was refused by a filter, or there was none.
    NoValidHost(Arc<NoHost>),
    /// Fewer than `min_count` of its group fit, so none of the group is built.
    MinCountNotMet {
        /// How many would have fitted.
        fit: u32,
        /// How many were wanted at least.
        min_count: u32,
        /// Why the first that did not fit has no host.
        #[serde(flatten)]
        no_host: Arc<NoHost>,
    },
    /// The chosen host has no host mapping, so its cell is not known.
    HostMappingNotFound {
        /// The host.
        host: String,
    },
    /// The cell of the chosen host could not be written, however often another was tried.
    CellUnavailable {
        /// How many placements were tried.
        attempts: u32,
    },
    /// The cell refused the rows of this instance.
    Rejected {
        /// What the database said.
        message: String,
    },
    /// The embedder's scheduler said why in its own words.
    Scheduler {
        /// Those words; a user may read them.
        message: String,
    },
}

/// Why no home was found, with what a user and what an admin may read of it. A clone is cheap: what
/// the hosts said is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The reason.
    #[serde(flatten)]
    pub reason: VerdictReason,
}

impl Verdict {
    /// A verdict for this reason.
    pub fn new(reason: VerdictReason) -> Verdict {
        Verdict { reason }
    }

    /// The code of the reason, as JSON has it: `no_valid_host` and so on. It is stable.
    pub fn code(&self) -> &'static str {
        match self.reason {
            VerdictReason::NoValidHost(_) => "no_valid_host",
            VerdictReason::MinCountNotMet { .. } => "min_count_not_met",
            VerdictReason::HostMappingNotFound { .. } => "host_mapping_not_found",
            VerdictReason::CellUnavailable { .. } => "cell_unavailable",
            VerdictReason::Rejected { .. } => "rejected",
            VerdictReason::Scheduler { .. } => "scheduler",
        }
    }

    /// What the hosts said, where they were asked.
    pub fn no_host(&self) -> Option<&NoHost> {
        match &self.reason {
            VerdictReason::NoValidHost(no_host) | VerdictReason::MinCountNotMet { no_host, .. } => {
                Some(no_host)
            }
            _ => None,
        }
    }

    /// Why the hosts that came nearest were refused, where hosts were asked: the last of the primary
    /// reasons, since those hosts passed all filters before it.
    pub fn nearest_refusal(&self) -> Option<Refusal> {
        Some(self.no_host()?.all.primary.last()?.refusal)
    }

    /// Of the group of which only `fit` of at least `min_count` fit, where this is why the next does
    /// not.
    #[must_use]
    pub fn of_group(self, fit: u32, min_count: u32) -> Verdict {
        if fit == 0 || fit >= min_count {
            return self;
        }
        let VerdictReason::NoValidHost(mut no_host) = self.reason else { return self };
        // What would have taken one more is not enough for all.
        let changes = vec![Change::Count { at_most: fit }];
        Arc::make_mut(&mut no_host).suggestions = vec![Suggestion { changes, hosts: fit }];
        Verdict::new(VerdictReason::MinCountNotMet { fit, min_count, no_host })
    }

    /// The sentence of a project as `instance_faults.message` can hold it: cut at a word.
    pub fn fault_message(&self) -> String {
        cut_at_word(&self.to_string(), FAULT_MESSAGE_LENGTH_MAX).to_owned()
    }

    /// The verdict as JSON, hosts and all.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// The uuid of the verdict with this JSON. The same content has the same one, so that instances
    /// that are buried for one reason can share it.
    pub fn uuid_of(json: &str) -> Uuid {
        let digest = Sha256::digest(json.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Uuid::new_v8(bytes)
    }

    /// What a project may see: no host, no cell, and no number that tells what is free.
    #[must_use]
    pub fn for_project(&self) -> Verdict {
        let mut seen = self.clone();
        match &mut seen.reason {
            VerdictReason::NoValidHost(no_host) | VerdictReason::MinCountNotMet { no_host, .. } => {
                Arc::make_mut(no_host).hide()
            }
            VerdictReason::HostMappingNotFound { host } => host.clear(),
            VerdictReason::Rejected { message } => message.clear(),
            VerdictReason::CellUnavailable { .. } | VerdictReason::Scheduler { .. } => {}
        }
        seen
    }

    /// What an admin may read beside the message.
    pub fn fault_details(&self) -> Option<String> {
        match &self.reason {
            VerdictReason::HostMappingNotFound { host } => {
                Some(format!("Host '{host}' is not mapped to any cell."))
            }
            VerdictReason::Rejected { message } => Some(message.clone()),
            VerdictReason::NoValidHost(_) | VerdictReason::MinCountNotMet { .. } => {
                Some(self.admin_sentence())
            }
            VerdictReason::CellUnavailable { .. } | VerdictReason::Scheduler { .. } => None,
        }
    }
}

impl NoHost {
    /// Takes away what a project may not see.
    fn hide(&mut self) {
        self.all.shortfalls.clear();
        self.cells.clear();
        self.unasked.clear();
        for suggestion in &mut self.suggestions {
            suggestion.hosts = 0;
        }
        // A smaller flavor by name only: how small says what is free.
        self.suggestions.retain(|suggestion| {
            !suggestion.changes.iter().any(|change| {
                matches!(change, Change::Vcpus { .. } | Change::Memory { .. } | Change::Disk { .. })
            })
        });
    }
}

#[cfg(test)]
mod tests;
