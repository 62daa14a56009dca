//! What a check found, and what it did.

use std::collections::BTreeMap;
use std::time::Duration;

use cellzero_types::CellUuid;
use serde::Serialize;

use super::class::{Class, Plan};

/// Whether violations are repaired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Repair {
    /// They are named, each with what a repair would do.
    #[default]
    No,
    /// They are repaired.
    Yes,
}

/// How a plane is checked.
#[derive(Debug, Clone)]
pub struct FsckOptions {
    /// Whether violations are repaired.
    pub repair: Repair,
    /// From which age on an effect that is not sent, and what may be a boot under way on a plane
    /// that Nova made, are violations.
    pub age: Duration,
    /// From which age on the claim of a deleted instance, whose host has not said that it is
    /// destroyed, is one.
    pub claim_age: Duration,
    /// The most uuids that are looked at together in one database.
    pub slice: u32,
    /// The most findings: a check ends there and says so.
    pub findings_max: usize,
    /// How long one question to a database may take.
    pub step_timeout: Duration,
}

impl Default for FsckOptions {
    fn default() -> FsckOptions {
        FsckOptions {
            repair: Repair::No,
            age: Duration::from_secs(3_600),
            claim_age: Duration::from_secs(86_400),
            slice: 250,
            findings_max: 10_000,
            step_timeout: Duration::from_secs(30),
        }
    }
}

impl From<Repair> for FsckOptions {
    fn from(repair: Repair) -> FsckOptions {
        FsckOptions { repair, ..FsckOptions::default() }
    }
}

/// A violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub class: Class,
    /// The uuid of the instance, the host, or the database that it is about.
    pub subject: String,
    /// The cells that it is about.
    pub cells: Vec<CellUuid>,
    /// What was seen.
    pub detail: String,
    /// What else is wrong there, or follows from it.
    pub notes: Vec<String>,
    /// What a repair does.
    pub plan: Plan,
    /// Whether it was repaired.
    pub repaired: bool,
}

impl Finding {
    pub(crate) fn new(class: Class, subject: impl Into<String>, plan: Plan) -> Finding {
        Finding {
            class,
            subject: subject.into(),
            cells: Vec::new(),
            detail: String::new(),
            notes: Vec::new(),
            plan,
            repaired: false,
        }
    }

    pub(crate) fn cell(mut self, cell: CellUuid) -> Finding {
        self.cells.push(cell);
        self
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Finding {
        self.detail = detail.into();
        self
    }
}

/// A row that a repair deleted or replaced, as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dump {
    /// The cell of its database; none for the API database.
    pub cell: Option<CellUuid>,
    /// Its table.
    pub table: String,
    /// The row.
    pub row: serde_json::Value,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FsckReport {
    /// The violations: instances in the order of their uuids, then hosts, outboxes and databases.
    pub findings: Vec<Finding>,
    /// How many of each class.
    pub counts: BTreeMap<Class, usize>,
    /// How many uuids were looked at.
    pub uuids_checked: u64,
    /// How many hosts were looked at.
    pub hosts_checked: u64,
    /// The cells that did not answer, with why: what stands there is not known.
    pub unreachable: BTreeMap<CellUuid, String>,
    /// Instances that were on their way at every look; they are left for the next check.
    pub moving: Vec<String>,
    /// What repairs deleted or replaced.
    pub dumps: Vec<Dump>,
    /// Whether the check ended early, because there were too many findings: repair, or fix their
    /// cause, and check again.
    pub truncated: bool,
}

impl FsckReport {
    /// Whether everything was seen, and nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.unreachable.is_empty() && !self.truncated
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        *self.counts.entry(finding.class).or_default() += 1;
        self.findings.push(finding);
    }
}
