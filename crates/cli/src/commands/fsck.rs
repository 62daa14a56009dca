//! `fsck`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use cellzero::{Finding, FsckOptions, FsckReport, Plan, Repair};
use serde::Serialize;

use crate::command::{Run, help};
use crate::commands::cells::Names;
use crate::exit::Exit;
use crate::output::{Style, View, lines, table};
use crate::progress::Progress;
use crate::session::Session;

/// Checks that the plane is what the boot protocol promises, beside everything else that runs.
///
/// docs/fsck.md has a row for each class of finding. Without --repair nothing is written, and a
/// plane that Nova made can be checked with --read-only.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Fsck>())]
pub(crate) struct Fsck {
    /// Repair what can be decided
    #[arg(long)]
    repair: bool,

    /// Where rows that a repair deletes or replaces are kept, one JSON object a line
    /// [default: cellzero-fsck-<time>.jsonl in this directory]
    #[arg(long, value_name = "FILE", requires = "repair")]
    dump: Option<PathBuf>,

    /// From which age on, in seconds, an effect that was not sent is a finding
    #[arg(long, value_name = "SECONDS")]
    age: Option<u32>,

    /// From which age on, in seconds, the claim of a deleted instance is a finding
    #[arg(long, value_name = "SECONDS")]
    claim_age: Option<u32>,
}

impl Run for Fsck {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero fsck", "names what is wrong, and what a repair would do"),
        ("cellzero fsck --repair --dump /root/fsck.jsonl", "repairs, and keeps what it deletes"),
    ];
    const EXITS: &'static [Exit] = &[Exit::Findings, Exit::Incomplete, Exit::Repaired];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let names = Names::read(plane).await?;
        let progress = Progress::spinner("checking");
        let report = plane.fsck(self.options()).await?;
        drop(progress);
        let kept = self.keep(&report)?;
        let exit = exit_of(&report);
        session.out.show(&Checked { report, names, kept })?;
        Ok(exit)
    }
}

impl Fsck {
    fn options(&self) -> FsckOptions {
        let mut options = FsckOptions::from(if self.repair { Repair::Yes } else { Repair::No });
        let seconds = |age: u32| Duration::from_secs(age.into());
        options.age = self.age.map_or(options.age, seconds);
        options.claim_age = self.claim_age.map_or(options.claim_age, seconds);
        options
    }

    /// Writes what a repair deleted or replaced to a file; none where it was nothing.
    fn keep(&self, report: &FsckReport) -> anyhow::Result<Option<PathBuf>> {
        if report.dumps.is_empty() {
            return Ok(None);
        }
        let path = self.dump.clone().unwrap_or_else(|| {
            let now = chrono::Utc::now().format("%Y%m%dT%H%M%SZ");
            PathBuf::from(format!("cellzero-fsck-{now}.jsonl"))
        });
        write_dumps(&path, report)
            .with_context(|| format!("the rows that were deleted are not in {}", path.display()))?;
        Ok(Some(path))
    }
}

/// Appends, so that an earlier repair's rows stay.
fn write_dumps(path: &Path, report: &FsckReport) -> anyhow::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    for dump in &report.dumps {
        writeln!(file, "{}", serde_json::to_string(dump)?)?;
    }
    file.sync_all()?;
    Ok(())
}

fn exit_of(report: &FsckReport) -> Exit {
    if report.truncated || report.findings.iter().any(|finding| !finding.repaired) {
        Exit::Findings
    } else if !report.unreachable.is_empty() {
        Exit::Incomplete
    } else if !report.findings.is_empty() {
        Exit::Repaired
    } else {
        Exit::Success
    }
}

/// What the check found.
#[derive(Debug, Serialize)]
struct Checked {
    #[serde(flatten)]
    report: FsckReport,
    /// The file with what was deleted or replaced.
    #[serde(rename = "dump")]
    kept: Option<PathBuf>,
    #[serde(skip)]
    names: Names,
}

impl View for Checked {
    fn text(&self, style: Style) -> String {
        if self.report.findings.is_empty() {
            return String::new();
        }
        let mut table = table(&["class", "subject", "cells", "what was seen", "repair"]);
        for finding in &self.report.findings {
            let cells: Vec<String> =
                finding.cells.iter().map(|cell| self.names.of(*cell)).collect();
            table.add_row([
                style.bad(finding.class),
                finding.subject.as_str().into(),
                if cells.is_empty() { "-".into() } else { cells.join(", ").into() },
                finding.detail.as_str().into(),
                repair(finding).into(),
            ]);
        }
        lines(&table)
    }

    fn notes(&self) -> String {
        let report = &self.report;
        let mut notes = format!(
            "{} instances and {} hosts looked at: {} findings\n",
            report.uuids_checked,
            report.hosts_checked,
            report.findings.len()
        );
        for (cell, why) in &report.unreachable {
            notes += &format!(
                "cell {} did not answer, and what stands there is not known: {}\n",
                self.names.of(*cell),
                crate::failure::masked(why)
            );
        }
        if !report.moving.is_empty() {
            notes += &format!(
                "{} instances were on their way at every look; they are left for the next check\n",
                report.moving.len()
            );
        }
        if report.truncated {
            notes += "there were too many findings: repair, or fix their cause, and check again\n";
        }
        if let Some(path) = &self.kept {
            notes += &format!("what was deleted or replaced is kept in {}\n", path.display());
        }
        notes
    }
}

/// What a repair does, or did.
fn repair(finding: &Finding) -> String {
    if let Plan::ByHand { what } = &finding.plan {
        return format!("by hand: {what}");
    }
    let plan = serde_json::json!(finding.plan);
    let action = plan["action"].as_str().unwrap_or_default().to_owned();
    match finding.repaired {
        true => format!("{action}: done"),
        false => action,
    }
}
