//! The unprivileged user that a server runs as where the tests run as root.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// A user to run programs as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// The account for PostgreSQL, which refuses to run as root; none where this user will do.
    pub(crate) fn for_postgres() -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        for name in ["postgres", "nobody"] {
            if let (Some(uid), Some(gid)) = (id("-u", name)?, id("-g", name)?) {
                return Ok(Some(Self { uid, gid }));
            }
        }
        bail!("PostgreSQL cannot run as root, and there is neither a user `postgres` nor `nobody`")
    }

    /// Lets a command run as this account.
    pub(crate) fn apply(self, command: &mut Command) {
        use std::os::unix::process::CommandExt as _;
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives a file or folder to this account.
    pub(crate) fn own(self, path: &Path) -> anyhow::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give {} to another user", path.display()))
    }
}

/// Asks `id`, which knows users from elsewhere than `/etc/passwd` too.
fn id(option: &str, user: &str) -> anyhow::Result<Option<u32>> {
    let output = Command::new("id").args([option, user]).output().context("cannot run `id`")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().ok())
}
