//! The worker of this process: settles what is accepted here as soon as it is, and everything else
//! on a timer.

use std::time::Duration;

use cellzero_orchestrator::Orchestrator;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

/// How long the worker sleeps when nobody wakes it.
const SETTLE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Worker {
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    pub(crate) fn start(orchestrator: Orchestrator) -> Worker {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(work(orchestrator, stopped));
        Worker { stop, task: Mutex::new(Some(task)) }
    }

    /// Ends it after what it does now.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the worker ended by a panic");
        }
    }
}

async fn work(orchestrator: Orchestrator, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        if let Err(error) = orchestrator.settle().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "not settled; tried again");
        }
        tokio::select! {
            () = orchestrator.woken() => {}
            () = tokio::time::sleep(SETTLE_EVERY) => {}
            changed = stopped.changed() => {
                // A plane that was dropped without being closed ends its worker too.
                if changed.is_err() { return; }
            }
        }
    }
}
