//! `worker`.

mod notify;
mod watch;

use std::net::SocketAddr;

use anyhow::Context as _;
use cellzero_amqp::{AmqpOptions, ReportConsumer};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::watch::Watch;
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::ended;
use crate::session::Session;

/// Brings accepted requests home, sends what is to be done to compute hosts and takes their reports,
/// retries and recovers, until SIGTERM or SIGINT.
///
/// Hosts are reached by the message queue of their cell (docs/dispatch.md). What a cell with none:/// is
/// to do, and the release of volumes and ports, waits in the outbox, or is done at once with
/// --simulated-compute.
///
/// At the first signal it ends what it does now and hands its leases back, so that other workers go on
/// at once; at the second it stops there. Any number of workers share a plane.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Worker>())]
pub(crate) struct Worker {
    /// How many workers in this process
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    count: u16,

    /// Serve metrics for Prometheus at /metrics and a sign of life at /healthz, at this address
    #[arg(long, value_name = "ADDRESS:PORT", env = "CELLZERO_METRICS", hide_env_values = true)]
    metrics: Option<SocketAddr>,

    /// Tell what becomes of instances: `log`, to stderr, or the transport URL of a broker, as Nova
    /// notifies; may be given several times. The settings may name one
    #[arg(long, value_name = "log|URL", env = "CELLZERO_NOTIFY", hide_env_values = true)]
    notify: Vec<String>,
}

impl Run for Worker {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        (
            "cellzero worker --count 2 --metrics 127.0.0.1:9464",
            "two workers, watched at http://127.0.0.1:9464/metrics and /healthz",
        ),
        (
            "cellzero worker --notify log --notify rabbit://nova@mq1/",
            "one, which tells what becomes of instances to its log and to a broker",
        ),
    ];
    const EXITS: &'static [Exit] = &[Exit::Interrupted];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        // Before the plane is opened, so that its first operations are counted too.
        let watch = self.metrics.map(Watch::start).transpose()?;
        let mut signals = Signals::new()?;
        let listeners: Vec<String> = match self.notify.as_slice() {
            [] => session.settings()?.notify.iter().map(String::from).collect(),
            given => given.to_vec(),
        };
        let plane = session.plane_with(|config| notify::add(config, &listeners)).await?;
        let workers = plane.run_workers(self.count.into())?;
        let reports = ReportConsumer::start(plane, AmqpOptions::default());
        eprintln!("{} workers run; SIGTERM or SIGINT ends them", self.count);
        let serving = match watch {
            Some(watch) => {
                eprintln!("metrics: http://{}/metrics", watch.address());
                Some(tokio::spawn(watch.serve(plane.clone())))
            }
            None => None,
        };
        signals.next().await;
        eprintln!("ending; a second signal stops at once");
        // Reports first, since what is stored of them is work for the workers.
        let end = async {
            reports.stop().await;
            workers.shutdown().await
        };
        let handed_back = tokio::select! {
            handed_back = end => handed_back,
            () = signals.next() => {
                session.leave_open();
                let message = "stopped before all leases were handed back; they run out by themselves";
                return Err(ended(Exit::Interrupted, message));
            }
        };
        if let Some(serving) = serving {
            serving.abort();
        }
        handed_back?;
        Ok(Exit::Success)
    }
}

/// The signals that end what runs until it is told to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn new() -> anyhow::Result<Signals> {
        let on = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Signals {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
