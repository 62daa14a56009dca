//! `cargo xtask guards`: takes out each guard of the boot protocol in turn, and shows the test that
//! fails without it.
//!
//! It works on a copy of the last commit under `target`, so nothing of the work tree is touched. A
//! guard that no test misses makes it fail.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, ensure};

use crate::cargo::cargo;

/// A guard, and how the code is without it.
struct Guard {
    name: &'static str,
    file: &'static str,
    with: &'static str,
    without: &'static str,
    /// The test target, and a filter: on SQLite, which is the quickest.
    tests: (&'static str, &'static str),
}

/// Traces of the model, and its counterexamples, on the real code.
const REPLAY: (&str, &str) = ("replay", "Sqlite");

const GUARDS: &[Guard] = &[
    Guard {
        name: "epoch, at the placement",
        file: "crates/orchestrator/src/place.rs",
        with: "epochs.get(&member.instance.uuid) == Some(&member.ticket.epoch)",
        without: "epochs.contains_key(&member.instance.uuid)",
        tests: REPLAY,
    },
    Guard {
        name: "epoch, at the decision",
        file: "crates/api-db/src/boot_state.rs",
        with: ".filter(boot_states::epoch.eq(epoch))\n            .filter(boot_states::request_version",
        without: ".filter(boot_states::request_version",
        tests: REPLAY,
    },
    Guard {
        name: "intent",
        file: "crates/orchestrator/src/place.rs",
        with: "boot_intent::insert(conn, &intents, now)?;",
        without: "drop(intents);",
        tests: REPLAY,
    },
    Guard {
        name: "fence",
        file: "crates/cell-db/src/whole.rs",
        with: "Some(fence) if fence.fence > new.epoch =>",
        without: "Some(fence) if fence.fence > i64::MAX - 1 =>",
        tests: REPLAY,
    },
    Guard {
        name: "written_epoch",
        file: "crates/cell-db/src/whole.rs",
        with: "fence.written_epoch.is_some_and(|written| written < epoch)",
        without: "fence.written_epoch.is_some()",
        tests: REPLAY,
    },
    Guard {
        name: "a contrary decision is read before rows are undone",
        file: "crates/api-db/src/boot_intent.rs",
        with: ".filter(boot_intents::epoch.lt(boot_states::epoch)",
        without: ".filter(boot_intents::epoch.le(boot_states::epoch)",
        tests: REPLAY,
    },
    Guard {
        name: "sweep",
        file: "crates/orchestrator/src/sweep.rs",
        with: "None => left_over.push((uuid, reached)),",
        without: "None => drop((uuid, reached)),",
        tests: REPLAY,
    },
    Guard {
        name: "mapping check of reads",
        file: "crates/router/src/list/merged.rs",
        with: "Home::Cell(cell) => mapping.cell == Some(cell),",
        without: "Home::Cell(_) => true,",
        tests: ("it", "rows_that_the_mapping_does_not_name"),
    },
    Guard {
        name: "guarded queued_for_delete",
        file: "crates/api-db/src/instance_mapping.rs",
        with: "diesel::update(row.filter(instance_mappings::cell_id.is_null()))",
        without: "diesel::update(row)",
        tests: REPLAY,
    },
    Guard {
        name: "counter of retries",
        file: "crates/router/src/list/merged.rs",
        with: "|(before, after)| before != after",
        without: "|(before, after)| before > after",
        tests: ("it", "a_list_never_misses_an_instance_that_is_retried"),
    },
    Guard {
        name: "NULL check of the mapping",
        file: "crates/api-db/src/instance_mapping.rs",
        with: ".filter(instance_mappings::cell_id.is_null())\n            .filter(",
        without: ".filter(",
        tests: ("it", "a_build_request_beside_a_decided_mapping"),
    },
    Guard {
        name: "a build is sent at the decided epoch only",
        file: "crates/orchestrator/src/dispatch.rs",
        with: "standing.decided_epoch.map(sequence_of) == Some(row.sequence)",
        without: "standing.decided_epoch.is_some()",
        tests: ("it", "a_build_of_an_epoch_that_was_not_decided"),
    },
    Guard {
        name: "what is dead is not built",
        file: "crates/orchestrator/src/dispatch.rs",
        with: "Some(standing) if standing.queued_for_delete =>",
        without: "Some(standing) if standing.queued_for_delete && standing.cell.is_none() =>",
        tests: ("it", "a_build_that_was_not_sent_before_the_delete"),
    },
    Guard {
        name: "claims: no host over its limit",
        file: "crates/api-db/src/claim.rs",
        with: "return Err(ClaimError::Conflict { host: host.to_owned() });",
        without: "continue;",
        tests: ("it", "two_schedulers_fill_hosts_exactly"),
    },
];

/// What to try.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only guards with this in their name
    filter: Option<String>,
}

/// Takes out one guard after another and prints the table.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let tree = Path::new("target/guards/tree");
    copy_last_commit(tree)?;
    let wanted = arguments.filter.as_deref().unwrap_or_default();
    let mut rows = Vec::new();
    for guard in GUARDS.iter().filter(|guard| guard.name.contains(wanted)) {
        let failed = guard.take_out(tree)?;
        println!("| {} | {} |", guard.name, failed.as_deref().unwrap_or("NO TEST"));
        rows.push(failed);
    }
    ensure!(!rows.is_empty(), "no guard has {wanted:?} in its name");
    Ok(if rows.iter().all(Option::is_some) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn copy_last_commit(tree: &Path) -> anyhow::Result<()> {
    if tree.exists() {
        std::fs::remove_dir_all(tree).context("cannot remove the copy of the last time")?;
    }
    std::fs::create_dir_all(tree).context("cannot make the folder of the copy")?;
    let git = Command::new("git")
        .args(["archive", "HEAD"])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run git")?;
    let archive = git.stdout.context("git has no standard output")?;
    let unpacked =
        Command::new("tar").arg("-x").current_dir(tree).stdin(archive).status().context("tar")?;
    ensure!(unpacked.success(), "cannot copy the last commit to {}", tree.display());
    Ok(())
}

impl Guard {
    /// The first test that fails without it, and restores the file.
    fn take_out(&self, tree: &Path) -> anyhow::Result<Option<String>> {
        let file = tree.join(self.file);
        let text = std::fs::read_to_string(&file).with_context(|| self.file.to_owned())?;
        ensure!(text.matches(self.with).count() == 1, "{}: {:?}", self.file, self.with);
        std::fs::write(&file, text.replace(self.with, self.without))?;
        let failed = self.first_failure(tree);
        std::fs::write(&file, text)?;
        failed
    }

    fn first_failure(&self, tree: &Path) -> anyhow::Result<Option<String>> {
        let (target, filter) = self.tests;
        let output = cargo()
            .current_dir(tree)
            .args(["test", "-p", "cellzero", "--test", target, "--", filter])
            .env("CARGO_TARGET_DIR", std::path::absolute("target/guards/build")?)
            .env("CELLZERO_REPLAY_SEEDS", "60")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .context("cannot run cargo")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            text.contains("test result:"),
            "without {}: {}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        let failed = text.lines().find_map(|line| {
            let name = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
            let name = name.split("::engine_").next()?;
            Some(name.rsplit("::").next()?.to_owned())
        });
        Ok(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guard_stands_once_in_its_file_and_in_the_table() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let table = std::fs::read_to_string(root.join("docs/testing.md")).unwrap();
        for guard in GUARDS {
            assert!(table.contains(&format!("\n| {} | ", guard.name)), "{}", guard.name);
            let text = std::fs::read_to_string(root.join(guard.file)).unwrap();
            assert_eq!(text.matches(guard.with).count(), 1, "{}: {}", guard.file, guard.with);
        }
    }
}
