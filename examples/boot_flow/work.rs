//! What one step cost: statements and commits of each database, from the plane's own counters.

use cellzero::{ControlPlane, Counters, PlaneCounters};
use cellzero_examples::fleet::{LiveCell, home_name};

/// The plane's counters at one moment.
pub(crate) struct Meter(PlaneCounters);

impl Meter {
    /// Begins to count.
    pub(crate) fn start(plane: &ControlPlane) -> Meter {
        Meter(plane.counters())
    }

    /// What was done since then: `API database 1 commit in 6 statements, cell1 …`. Databases that
    /// were not used are left out.
    pub(crate) fn since(&self, plane: &ControlPlane, cells: &[LiveCell]) -> String {
        let now = plane.counters();
        let mut parts = Vec::new();
        parts.extend(part("API database", &self.0.api, &now.api));
        let nothing = Counters::default();
        for (uuid, counters) in &now.cells {
            let before = self.0.cells.iter().find(|(known, _)| known == uuid);
            let before = before.map_or(&nothing, |(_, counters)| counters);
            let name = home_name(cellzero::Home::Cell(*uuid), cells);
            parts.extend(part(&name, before, counters));
        }
        parts.join("; ")
    }
}

fn part(database: &str, before: &Counters, after: &Counters) -> Option<String> {
    let statements = after.statements - before.statements;
    let commits = after.commits - before.commits;
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    (statements > 0).then(|| {
        format!(
            "{database} {statements} statement{}, {commits} commit{}",
            plural(statements),
            plural(commits)
        )
    })
}
