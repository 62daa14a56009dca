//! What goes on beside the clients of a run: hosts report, and their limits are looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use cellzero::CellUuid;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::client::Scene;
use crate::plane::{Databases, report_hosts};

/// How often hosts report; one that does not for five minutes is down.
const REPORT_EVERY: Duration = Duration::from_secs(30);
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// How often the end of the run is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What runs beside the clients.
pub(crate) struct Beside {
    scene: Arc<Scene>,
    reports: JoinHandle<()>,
    samples: JoinHandle<()>,
    over_limit: Arc<AtomicU64>,
}

impl Beside {
    /// Starts it.
    pub(crate) fn start(runtime: &Runtime, scene: &Arc<Scene>, databases: &Arc<Databases>) -> Self {
        let over_limit = Arc::<AtomicU64>::default();
        let cells = databases.cells.iter().map(|(cell, _)| *cell).collect();
        let reports = runtime.spawn(keep_reporting(Arc::clone(scene), cells));
        let samples =
            keep_looking(Arc::clone(scene), Arc::clone(databases), Arc::clone(&over_limit));
        let samples = runtime.spawn_blocking(samples);
        Self { scene: Arc::clone(scene), reports, samples, over_limit }
    }

    /// Ends it; says in how many samples a host had more than its limit.
    pub(crate) fn end(self, runtime: &Runtime) -> anyhow::Result<u64> {
        self.scene.end();
        runtime.block_on(self.reports).context("the reports of the hosts")?;
        runtime.block_on(self.samples).context("the samples")?;
        Ok(self.over_limit.load(Ordering::Relaxed))
    }
}

async fn keep_reporting(scene: Arc<Scene>, cells: Vec<CellUuid>) {
    let mut last = Instant::now();
    while !scene.is_over() {
        tokio::time::sleep(LOOK_EVERY).await;
        if last.elapsed() < REPORT_EVERY {
            continue;
        }
        // Where a database is away, the next report makes it good.
        match report_hosts(&scene.plane, &cells, scene.population.room).await {
            None => last = Instant::now(),
            Some(_) => tokio::time::sleep(SAMPLE_EVERY).await,
        }
    }
}

/// Reads past the project's own code; a database that is away shows nothing.
fn keep_looking(
    scene: Arc<Scene>,
    databases: Arc<Databases>,
    over_limit: Arc<AtomicU64>,
) -> impl FnOnce() {
    move || {
        let query = "SELECT host, vcpus_used, vcpus_limit FROM host_capacity \
                     WHERE vcpus_used > vcpus_limit";
        let mut last = Instant::now();
        while !scene.is_over() {
            std::thread::sleep(LOOK_EVERY);
            if last.elapsed() < SAMPLE_EVERY {
                continue;
            }
            last = Instant::now();
            for row in databases.api.query(query).unwrap_or_default() {
                eprintln!("VIOLATION: a host has more than its limit: {row:?}");
                over_limit.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
