//! `cell0 …`.

use cellzero::{BuriedGroup, Cell0Report, Clearance, TriageError};
use clap::Subcommand;
use serde::Serialize;

use crate::command::{Run, go, help};
use crate::exit::Exit;
use crate::failure::Exits as _;
use crate::output::{Style, View, lines, or_dash, table};
use crate::progress::Progress;
use crate::session::Session;

/// Cell0, where instances stand that found no host.
#[derive(Debug, Subcommand)]
pub(crate) enum Cell0 {
    Report(Report),
}

impl Cell0 {
    pub(crate) async fn dispatch(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Cell0::Report(command) => go(command, session).await,
        }
    }
}

/// Groups what stands in cell0 by reason, project, flavor, zone and day, with what would clear each
/// group.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Report>())]
pub(crate) struct Report {}

impl Run for Report {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero cell0 report", "the largest group first"),
        (
            "cellzero cell0 report --json | jq '.groups[0].clearance.in_all'",
            "what would clear the largest group",
        ),
    ];
    const EXITS: &'static [Exit] = &[Exit::Refused];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let plane = session.plane().await?;
        let progress = Progress::spinner("reading cell0");
        let report = match plane.cell0_report(&session.context()?).await {
            Err(error @ (TriageError::AdminOnly | TriageError::NovaMade)) => {
                return Err(error).exits(Exit::Refused);
            }
            report => report?,
        };
        drop(progress);
        session.out.show(&Reported(report))?;
        Ok(Exit::Success)
    }
}

/// The report as it is printed.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Reported(Cell0Report);

impl View for Reported {
    fn text(&self, _: Style) -> String {
        if self.0.groups.is_empty() {
            return "nothing is buried\n".to_owned();
        }
        let mut table = table(&[
            "instances",
            "reason",
            "project",
            "flavor",
            "zone",
            "day",
            "would be cleared by",
        ]);
        for group in &self.0.groups {
            table.add_row([
                group.instances.to_string(),
                reason(group),
                group.buried_as.project_id.clone(),
                or_dash(group.buried_as.flavor.as_ref()),
                or_dash(group.buried_as.zone.as_ref()),
                or_dash(group.buried_as.day),
                clearance(&group.clearance),
            ]);
        }
        lines(&table)
    }

    fn notes(&self) -> String {
        let mut notes = format!(
            "{} instances in {} groups\n",
            self.0.instances + self.0.beyond,
            self.0.groups.len()
        );
        if self.0.beyond > 0 {
            notes += &format!("{} more in groups that are not listed\n", self.0.beyond);
        }
        notes
    }
}

fn reason(group: &BuriedGroup) -> String {
    match group.buried_as.refusal {
        Some(refusal) => format!("{}: {}", group.buried_as.code, refusal.code()),
        None => group.buried_as.code.clone(),
    }
}

/// Such as `8 vcpus, 4096 MB memory, 20 GB disk; each host 4 vcpus, …; trait CUSTOM_GPU`.
fn clearance(clearance: &Clearance) -> String {
    let mut text = format!("{}; on each host {}", clearance.in_all, clearance.each);
    let mut add = |what: &str, names: Vec<String>| {
        if !names.is_empty() {
            text += &format!("; {what} {}", names.join(", "));
        }
    };
    add("with trait", clearance.required_traits.iter().cloned().collect());
    add("without trait", clearance.forbidden_traits.iter().cloned().collect());
    let metadata = clearance.aggregate_metadata.iter();
    add("in an aggregate with", metadata.map(|(key, value)| format!("{key}={value}")).collect());
    add("on", clearance.forced_hosts.iter().cloned().collect());
    text
}
