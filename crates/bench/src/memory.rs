//! What a process that does nothing else holds at its highest while it lists.
//!
//! What it holds before its first list is taken off.

use anyhow::Context as _;
use cellzero::{Config, ControlPlane, ListQuery, RequestContext};

use crate::process::{self, status_mb};

/// The variable that makes this program the process that lists the plane of this API database.
pub(crate) const API_DATABASE: &str = "CELLZERO_BENCH_LIST";
/// Its variable for the project.
const PROJECT: &str = "CELLZERO_BENCH_PROJECT";
/// How many pages are walked.
const PAGES: u32 = 50;

/// By how many megabytes the process grows for the first page, and for [`PAGES`] of them.
pub(crate) fn in_a_process(api: &str, project: &str) -> anyhow::Result<(f64, f64)> {
    let [first, walked] = process::figures(&[(API_DATABASE, api), (PROJECT, project)])?;
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
