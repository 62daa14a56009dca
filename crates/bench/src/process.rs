//! This program again, as a process that does nothing else: what was done to fill a plane is not in
//! its memory.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// Runs it with these variables, which say what to do, and reads the figures that it prints.
pub(crate) fn figures<const N: usize>(variables: &[(&str, &str)]) -> anyhow::Result<[f64; N]> {
    let program = std::env::current_exe().context("the path of this program")?;
    let output = Command::new(program)
        .envs(variables.iter().copied())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run the process that is measured")?;
    ensure!(output.status.success(), "the process that is measured failed");
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let Ok(numbers) = numbers.try_into() else { bail!("{text:?} has not {N} figures") };
    Ok(numbers)
}

/// A line of the kernel's figures of this process, in megabytes.
pub(crate) fn status_mb(name: &str) -> anyhow::Result<f64> {
    status_mb_of("self", name)
}

/// The same of another process.
pub(crate) fn status_mb_of(process: &str, name: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(path).context("the kernel's figures")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.with_context(|| format!("no {name}"))?.parse::<f64>()? / 1024.0)
}
