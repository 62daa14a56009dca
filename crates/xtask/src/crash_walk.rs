//! `cargo xtask crash-walk`: every fault at every place of every operation, on the three backends.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{ExitCode, Stdio};

use anyhow::Context as _;
use cellzero_test_support::{Engine, PrivateServer};

use crate::cargo::cargo;
use crate::install::install_missing_servers;
use crate::test::start;

/// The tests, in the build that `cargo xtask test` has made.
const WALK: [&str; 7] = ["test", "-p", "cellzero", "--test", "crash", "--", "--nocapture"];
/// Tells the tests to leave out nothing.
const WHOLE: &str = "CELLZERO_CRASH_WALK_WHOLE";

/// What to walk.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only tests with this in their name, such as `a_boot` or `Sqlite`
    filter: Option<String>,
}

/// Faults and places of a backend.
type Sums = BTreeMap<String, (u64, u64)>;

/// Runs the walks and prints how many places and faults each backend had; fails where one did not
/// end well.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    install_missing_servers()?;
    let servers = [Engine::Postgres, Engine::MariaDb].map(start);
    let servers = servers.into_iter().collect::<anyhow::Result<Vec<PrivateServer>>>()?;
    let mut command = cargo();
    command.args(WALK).args(&arguments.filter).env(WHOLE, "1");
    for server in &servers {
        command.envs(server.environment());
    }
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let output = child.stdout.take().context("cargo has no standard output")?;
    let mut sums = Sums::new();
    for line in BufReader::new(output).lines() {
        let line = line.context("cannot read from cargo")?;
        println!("{line}");
        add(&mut sums, &line);
    }
    let status = child.wait().context("cannot wait for cargo")?;
    for (what, (faults, places)) in &sums {
        println!("{what}: {faults} faults at {places} places");
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Takes a line such as `sqlite: Boot: 72 faults at 54 places survived, 4.2 s`.
fn add(sums: &mut Sums, line: &str) {
    let Some((before, after)) = line.split_once(" faults at ") else { return };
    let mut words = before.split(": ").collect::<Vec<_>>();
    let faults = words.pop().and_then(|text| text.parse::<u64>().ok());
    let places = after.split(' ').next().and_then(|text| text.parse::<u64>().ok());
    // Before the backend may stand what the test program says of the test.
    let engine = words.first().and_then(|text| text.rsplit(' ').next());
    let (Some(faults), Some(places), Some(engine)) = (faults, places, engine) else { return };
    for what in [engine, "all"] {
        let sum = sums.entry(what.to_owned()).or_default();
        *sum = (sum.0 + faults, sum.1 + places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_and_places_are_summed_by_backend() {
        let mut sums = Sums::new();
        add(&mut sums, "sqlite: Boot: 72 faults at 54 places survived, 4.2 s");
        add(
            &mut sums,
            "test a::b ... sqlite: Recover(Boot, 1): 8 faults at 6 places survived, 1 s",
        );
        add(&mut sums, "mariadb: Bury: 1 faults at 2 places survived, 1 s");
        add(&mut sums, "test a::b ... ok");
        assert_eq!(sums["sqlite"], (80, 60));
        assert_eq!(sums["mariadb"], (1, 2));
        assert_eq!(sums["all"], (81, 62));
    }
}
