//! The processes of one server: found by their working directory, stopped and resumed by signals.
//!
//! Each PostgreSQL backend is a session of its own, so no process group covers a server.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a signal may take to arrive, on a machine that is very busy.
const SIGNAL_LIMIT: Duration = Duration::from_secs(5);

/// The ids of all processes that work in `folder`.
pub(crate) fn working_in(folder: &Path) -> anyhow::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc").context("cannot list /proc")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that ended meanwhile, or another user's, has no readable link.
        if std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// The state letter of a process in `/proc`, or none if it is gone.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may itself hold spaces and parentheses; the state follows the last.
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Whether a process runs: neither gone nor dead and waiting to be reaped.
pub(crate) fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// Stops all processes in `folder`, the one named `first` before the others.
pub(crate) fn pause(folder: &Path, first: u32) -> anyhow::Result<()> {
    // The parent first: while it runs, it may start another child behind this function's back.
    send(first, Signal::STOP)?;
    wait_until(|| Ok(is_stopped(first)), "the server's first process does not stop")?;
    for pid in working_in(folder)? {
        send(pid, Signal::STOP)?;
    }
    wait_until(
        || Ok(working_in(folder)?.into_iter().all(is_stopped)),
        "a process of the server does not stop",
    )
}

/// Lets all processes in `folder` go on.
pub(crate) fn resume(folder: &Path) -> anyhow::Result<()> {
    for pid in working_in(folder)? {
        send(pid, Signal::CONT)?;
    }
    Ok(())
}

fn is_stopped(pid: u32) -> bool {
    // One that ended meanwhile answers nobody either.
    state(pid).is_none_or(|state| matches!(state, 'T' | 'Z' | 'X'))
}

fn send(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let raw = i32::try_from(pid).context("a process id is too large")?;
    let target = Pid::from_raw(raw).context("a process id is zero")?;
    match kill_process(target, signal) {
        Ok(()) => Ok(()),
        // It ended between the listing and the signal.
        Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot signal process {pid}")),
    }
}

fn wait_until(
    mut condition: impl FnMut() -> anyhow::Result<bool>,
    failure: &str,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + SIGNAL_LIMIT;
    while !condition()? {
        if Instant::now() > deadline {
            bail!("{failure} within {SIGNAL_LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
