//! What a process that does nothing else holds at its highest while it lists.
//!
//! The process is this program again, told so by [`API_DATABASE`]: what was done to fill the plane
//! is not in its memory. What it holds before its first list is taken off.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use cellzero::{Config, ControlPlane, ListQuery, RequestContext};

use crate::measure::status_mb;

/// The variable that makes this program the process that lists the plane of this API database.
pub(crate) const API_DATABASE: &str = "CELLZERO_BENCH_LIST";
/// Its variable for the project.
const PROJECT: &str = "CELLZERO_BENCH_PROJECT";
/// How many pages are walked.
pub(crate) const PAGES: u32 = 50;

/// By how many megabytes the process grows for the first page, and for [`PAGES`] of them.
pub(crate) fn in_a_process(api: &str, project: &str) -> anyhow::Result<(f64, f64)> {
    let program = std::env::current_exe().context("the path of this program")?;
    let output = Command::new(program)
        .env(API_DATABASE, api)
        .env(PROJECT, project)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run the process that lists")?;
    ensure!(output.status.success(), "the process that lists failed");
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let [first, walked] = numbers[..] else { bail!("{text:?} has no figures") };
    Ok((first, walked))
}

/// The process that lists: prints both figures.
pub(crate) fn child(api: &str) -> anyhow::Result<()> {
    let project = std::env::var(PROJECT).context("the project")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let plane = ControlPlane::open(Config::new(api).without_worker()).await?;
        let ctx = RequestContext::new(project, "bench-user");
        let before = status_mb("VmRSS:")?;
        let mut query = ListQuery::default();
        let mut first = None;
        for _ in 0..PAGES {
            let page = plane.list(&ctx, &query).await?;
            first.get_or_insert(status_mb("VmHWM:")? - before);
            let Some(next) = page.next else { break };
            query = query.after(next);
        }
        println!("{} {}", first.unwrap_or_default(), status_mb("VmHWM:")? - before);
        plane.close().await?;
        Ok(())
    })
}
