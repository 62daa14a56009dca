//! The verdict: why the scheduler found no home for an instance, as data.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::cut_at_word;

/// What `instance_faults.message` holds, in characters.
pub const FAULT_MESSAGE_LENGTH_MAX: usize = 255;

/// How many hosts one filter refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterCount {
    /// The filter's name, such as `memory`.
    pub filter: String,
    /// What it found wanting, as the end of "n hosts …": `have too little memory`.
    pub reason: String,
    /// How many hosts it refused.
    pub refused: u32,
}

/// Why an instance has no host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum VerdictReason {
    /// Every host was refused by a filter, or there was none.
    NoValidHost {
        /// How many hosts of enabled cells were looked at.
        hosts: u32,
        /// Each filter that refused one, in the order in which they ran.
        filters: Vec<FilterCount>,
    },
    /// Fewer than `min_count` of its group fit, so none of the group is built.
    MinCountNotMet {
        /// How many would have fitted.
        fit: u32,
        /// How many were wanted at least.
        min_count: u32,
        /// How many hosts of enabled cells were looked at.
        hosts: u32,
        /// Each filter that refused a host for the first one that did not fit.
        filters: Vec<FilterCount>,
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

/// Why no home was found, with what a user and what an admin may read of it.
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

    /// The sentence as `instance_faults.message` can hold it: cut at a word.
    pub fn fault_message(&self) -> String {
        let sentence = self.to_string();
        cut_at_word(&sentence, FAULT_MESSAGE_LENGTH_MAX).to_owned()
    }

    /// The verdict as JSON, hosts and all.
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// What an admin may read beside the message: the host, or what the database said.
    pub fn fault_details(&self) -> Option<String> {
        match &self.reason {
            VerdictReason::HostMappingNotFound { host } => {
                Some(format!("Host '{host}' is not mapped to any cell."))
            }
            VerdictReason::Rejected { message } => Some(message.clone()),
            _ => None,
        }
    }
}

/// The whole sentence. It names no host and no cell: the project may read it.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("No valid host was found. ")?;
        match &self.reason {
            VerdictReason::NoValidHost { hosts, filters } => write_filters(f, *hosts, filters),
            VerdictReason::MinCountNotMet { fit, min_count, hosts, filters } => {
                write!(f, "Only {fit} of at least {min_count} instances fit. ")?;
                write_filters(f, *hosts, filters)
            }
            VerdictReason::HostMappingNotFound { .. } => {
                f.write_str("The chosen host is not mapped to any cell.")
            }
            VerdictReason::CellUnavailable { attempts } => {
                write!(f, "The chosen cell could not be written in {attempts} attempts.")
            }
            VerdictReason::Rejected { .. } => {
                f.write_str("The chosen cell refused to store the instance.")
            }
            VerdictReason::Scheduler { message } => f.write_str(message),
        }
    }
}

fn write_filters(f: &mut fmt::Formatter<'_>, hosts: u32, filters: &[FilterCount]) -> fmt::Result {
    if hosts == 0 {
        return f.write_str("No enabled cell has a host.");
    }
    let plural = if hosts == 1 { "" } else { "s" };
    write!(f, "Of {hosts} host{plural}")?;
    for (index, count) in filters.iter().enumerate() {
        let separator = if index == 0 { " " } else { ", " };
        write!(f, "{separator}{} {}", count.refused, count.reason)?;
    }
    if filters.is_empty() {
        f.write_str(" none is left")?;
    }
    f.write_str(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_valid_host() -> Verdict {
        let filter = |filter: &str, reason: &str, refused| FilterCount {
            filter: filter.into(),
            reason: reason.into(),
            refused,
        };
        Verdict::new(VerdictReason::NoValidHost {
            hosts: 12,
            filters: vec![
                filter("service", "are down or disabled", 2),
                filter("memory", "have too little memory", 10),
            ],
        })
    }

    #[test]
    fn the_sentence_counts_hosts_by_filter() {
        assert_eq!(
            no_valid_host().to_string(),
            "No valid host was found. \
             Of 12 hosts 2 are down or disabled, 10 have too little memory."
        );
    }

    #[test]
    fn the_user_never_reads_the_name_of_a_host() {
        let verdict =
            Verdict::new(VerdictReason::HostMappingNotFound { host: "secret-host-7".into() });
        assert!(!verdict.fault_message().contains("secret-host-7"));
        assert!(verdict.fault_details().unwrap().contains("secret-host-7"));
    }

    #[test]
    fn a_verdict_survives_the_way_through_json() {
        let text = no_valid_host().to_json();
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), no_valid_host());
    }

    #[test]
    fn the_message_fits_its_column() {
        let message = "word ".repeat(100);
        let verdict = Verdict::new(VerdictReason::Scheduler { message });
        assert!(verdict.fault_message().chars().count() <= FAULT_MESSAGE_LENGTH_MAX);
    }
}
