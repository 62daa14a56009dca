//! Builds the processes of both versions: that of the version before from a copy of its commit.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::plane::Plane;

/// The source of a peer, which is built with either library.
const PEER: &str = "crates/chaos/src/bin/peer.rs";
/// Where the copy of the old commit stands, and what is built of it.
const OLD_TREE: &str = "target/upgrade/old";
const OLD_BUILD: &str = "target/upgrade/build";

/// The programs of a run.
#[derive(Debug)]
pub(crate) struct Binaries {
    /// A peer with the library of the version before.
    pub(crate) old: PathBuf,
    /// A peer with this version's.
    pub(crate) new: PathBuf,
    /// The operator's command of this version.
    cellzero: PathBuf,
}

impl Binaries {
    /// Builds them all. What was built before is kept.
    pub(crate) fn build(revision: &str) -> anyhow::Result<Binaries> {
        let tree = Path::new(OLD_TREE);
        copy(revision, tree)?;
        std::fs::copy(PEER, tree.join(PEER)).context("the peer cannot be copied")?;
        let old_build = std::path::absolute(OLD_BUILD)?;
        println!("building a peer of {revision}, and one of this version");
        cargo(tree, &["-p", "cellzero-chaos", "--bin", "peer"], Some(&old_build))?;
        let here = Path::new(".");
        cargo(here, &["-p", "cellzero-chaos", "--bin", "peer"], None)?;
        cargo(here, &["-p", "cellzero-cli", "--bin", "cellzero"], None)?;
        let build = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let debug = std::path::absolute(build)?.join("debug");
        let old = old_build.join("debug/peer");
        Ok(Binaries { old, new: debug.join("peer"), cellzero: debug.join("cellzero") })
    }

    /// Migrates all databases of the plane, as an operator does.
    pub(crate) fn sync(&self, plane: &Plane) -> anyhow::Result<()> {
        let output = Command::new(&self.cellzero)
            .args(["db", "sync"])
            .env("CELLZERO_API_DATABASE", plane.api_url())
            .stdin(Stdio::null())
            .output()
            .context("cannot run cellzero")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cellzero db sync ended with {}: {said}", output.status);
        Ok(())
    }
}

/// Copies a commit.
fn copy(revision: &str, tree: &Path) -> anyhow::Result<()> {
    if tree.exists() {
        std::fs::remove_dir_all(tree).context("cannot remove the copy of the last time")?;
    }
    std::fs::create_dir_all(tree).context("cannot make the folder of the copy")?;
    let mut git = Command::new("git")
        .args(["archive", revision])
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run git")?;
    let archive = git.stdout.take().context("git has no standard output")?;
    let unpacked =
        Command::new("tar").arg("-x").current_dir(tree).stdin(archive).status().context("tar")?;
    let told = git.wait().context("cannot wait for git")?;
    ensure!(
        told.success() && unpacked.success(),
        "{revision} cannot be copied: a shallow clone has it not, and git fetch --unshallow gets it"
    );
    Ok(())
}

fn cargo(tree: &Path, what: &[&str], build: Option<&Path>) -> anyhow::Result<()> {
    let mut command = crate::cargo::cargo();
    command.current_dir(tree).args(["build", "--quiet"]).args(what).stdin(Stdio::null());
    if let Some(build) = build {
        command.env("CARGO_TARGET_DIR", build);
    }
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "{what:?} does not build in {}", tree.display());
    Ok(())
}
