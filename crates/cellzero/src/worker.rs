//! Workers of this process: each settles what is accepted here as soon as it is, and recovers
//! everything else on a timer.

use std::time::Duration;

use cellzero_database::Deadline;
use cellzero_orchestrator::Orchestrator;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::CloseError;
use crate::observed::observed_alone;

/// How long a worker sleeps when nobody wakes it.
const RECOVER_EVERY: Duration = Duration::from_secs(1);

/// Workers that bring accepted requests home, until they are shut down. Where this is dropped, they
/// end by themselves after what they do then.
#[derive(Debug)]
pub struct Workers {
    orchestrator: Orchestrator,
    /// How long leases may take to be handed back.
    timeout: Duration,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Workers {
    pub(crate) fn start(orchestrator: &Orchestrator, count: usize, timeout: Duration) -> Workers {
        let (stop, stopped) = watch::channel(false);
        let tasks =
            (0..count).map(|_| tokio::spawn(work(orchestrator.clone(), stopped.clone()))).collect();
        let orchestrator = orchestrator.clone();
        Workers { orchestrator, timeout, stop, tasks: Mutex::new(tasks) }
    }

    /// Ends each worker after what it does now, and hands back the leases of this process, so that
    /// another can go on at once.
    ///
    /// # Errors
    /// [`CloseError`] where leases could not be handed back; they run out by themselves.
    pub async fn shutdown(&self) -> Result<(), CloseError> {
        self.stop().await;
        let deadline = Deadline::after(self.timeout);
        self.orchestrator.hand_back_leases(deadline).await.map(|_| ()).map_err(CloseError)
    }

    /// Ends each worker after what it does now.
    pub(crate) async fn stop(&self) {
        self.stop.send_replace(true);
        for task in self.tasks.lock().await.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a worker ended by a panic");
            }
        }
    }
}

async fn work(orchestrator: Orchestrator, mut stopped: watch::Receiver<bool>) {
    let mut woken = true;
    while !*stopped.borrow() {
        let done = match woken {
            true => observed_alone("settle", orchestrator.settle()).await,
            false => observed_alone("recover", orchestrator.recover()).await,
        };
        if let Err(error) = done {
            tracing::warn!(error = &error as &dyn std::error::Error, "not settled; tried again");
        }
        tokio::select! {
            () = orchestrator.woken() => woken = true,
            () = tokio::time::sleep(RECOVER_EVERY) => woken = false,
            changed = stopped.changed() => {
                // Workers that were dropped, by themselves or with their plane, end too.
                if changed.is_err() { return; }
            }
        }
    }
}
