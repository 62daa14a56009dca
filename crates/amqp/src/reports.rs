//! The plane's side of the reports: what hosts say is stored, then acknowledged.

use std::collections::{HashMap, HashSet};

use cellzero::{CellMapping, CellUuid, ControlPlane, HostError, ReportError, Write};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::agent::consume;
use crate::link::{LOOK_EVERY, connect};
use crate::message::REPORTS_QUEUE;
use crate::options::AmqpOptions;
use crate::report::Report;
use crate::url::TransportUrl;

/// The most reports of one cell that are stored at once, each of another instance or host.
const STORED_AT_ONCE_MAX: usize = 8;
/// What is said of a broker that hangs up.
const ENDED: &str = "it ended the connection";

/// Consumes the reports of the hosts of all cells that have a broker, until it is stopped or dropped.
///
/// A report is acknowledged once it is stored, or is out of date, so one that is lost on the way to a
/// database comes again. Any number of processes may consume; each report goes to one of them.
#[derive(Debug)]
pub struct ReportConsumer {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl ReportConsumer {
    /// Begins to consume. New cells and new transport URLs are seen within `options.refresh`.
    pub fn start(plane: &ControlPlane, options: AmqpOptions) -> ReportConsumer {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(watch_cells(plane.clone(), options, stopped));
        ReportConsumer { stop, task }
    }

    /// Ends after the reports that are being stored now.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the consumer of reports ended by a panic");
        }
    }
}

/// The consumer of one cell, with the transport URL that it was started with.
struct OfCell {
    url: TransportUrl,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl OfCell {
    async fn end(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the consumer of a cell's reports ended by a panic");
        }
    }
}

async fn watch_cells(
    plane: ControlPlane,
    options: AmqpOptions,
    mut stopped: watch::Receiver<bool>,
) {
    let mut consumers: HashMap<CellUuid, OfCell> = HashMap::new();
    while !*stopped.borrow() {
        match plane.cells().list().await {
            Ok(mappings) => follow(&plane, &options, &mappings, &mut consumers).await,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cells not read; read again"
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep(options.refresh) => {}
            changed = stopped.changed() => if changed.is_err() { break },
        }
    }
    for consumer in consumers.into_values() {
        consumer.end().await;
    }
}

/// Has a consumer for each cell with a broker, by the transport URL that it has now.
async fn follow(
    plane: &ControlPlane,
    options: &AmqpOptions,
    mappings: &[CellMapping],
    consumers: &mut HashMap<CellUuid, OfCell>,
) {
    let mut wanted: HashMap<CellUuid, TransportUrl> = HashMap::new();
    for mapping in mappings.iter().filter(|mapping| !mapping.is_cell0()) {
        match TransportUrl::parse(mapping.transport_url.as_deref().unwrap_or_default()) {
            Ok(Some(url)) => drop(wanted.insert(mapping.uuid, url)),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(cell = %mapping.uuid, %error, "no reports are received from this cell");
            }
        }
    }
    let ended: Vec<CellUuid> = consumers
        .iter()
        .filter(|(cell, consumer)| {
            wanted.get(cell) != Some(&consumer.url) || consumer.task.is_finished()
        })
        .map(|(cell, _)| *cell)
        .collect();
    for cell in ended {
        if let Some(consumer) = consumers.remove(&cell) {
            consumer.end().await;
        }
    }
    for (cell, url) in wanted {
        consumers.entry(cell).or_insert_with(|| {
            let (stop, stopped) = watch::channel(false);
            let work = consume_cell(plane.clone(), cell, url.clone(), options.clone(), stopped);
            OfCell { url, stop, task: tokio::spawn(work) }
        });
    }
}

/// Consumes the reports of one cell, and connects again whenever the connection is lost.
async fn consume_cell(
    plane: ControlPlane,
    cell: CellUuid,
    url: TransportUrl,
    options: AmqpOptions,
    mut stopped: watch::Receiver<bool>,
) {
    let mut failures: u32 = 0;
    while !*stopped.borrow() {
        let ended = connect_and_consume(&plane, cell, &url, &options, &mut stopped).await;
        let Err((connected, reason)) = ended else { return };
        failures = if connected { 0 } else { failures.saturating_add(1) };
        if failures <= 1 {
            tracing::warn!(%cell, broker = %url, reason, "no reports are received; tried again");
        }
        let back_off = options.back_off.saturating_mul(1 << failures.min(16));
        tokio::select! {
            () = tokio::time::sleep(back_off.min(options.back_off_max)) => {}
            _ = stopped.wait_for(|stop| *stop) => return,
        }
    }
}

/// Ends well where it is stopped; else says whether it was connected, and why it is no longer.
async fn connect_and_consume(
    plane: &ControlPlane,
    cell: CellUuid,
    url: &TransportUrl,
    options: &AmqpOptions,
    stopped: &mut watch::Receiver<bool>,
) -> Result<(), (bool, String)> {
    let connecting = async {
        let (connection, channel) = connect(url).await?;
        let consumer = consume(&channel, REPORTS_QUEUE, options.prefetch).await;
        Ok::<_, String>((connection, channel, consumer.map_err(|error| error.to_string())?))
    };
    let connected = tokio::time::timeout(options.send_timeout, connecting).await;
    let connected = connected.unwrap_or_else(|_| Err("it does not answer".to_owned()));
    // Held, since dropping the connection closes it.
    let (connection, _channel, mut consumer) = connected.map_err(|reason| (false, reason))?;
    let mut storing = FuturesUnordered::new();
    let mut subjects: HashSet<String> = HashSet::new();
    let mut next: Option<Received> = None;
    let ended = loop {
        let may_begin = |next: &mut Received| {
            storing.len() < STORED_AT_ONCE_MAX && subjects.insert(next.subject.clone())
        };
        if let Some(received) = next.take_if(may_begin) {
            storing.push(store(plane, cell, received, options));
        }
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => break Ok(()),
            delivery = consumer.next(), if next.is_none() => match delivery {
                Some(Ok(delivery)) => next = Some(Received::read(delivery)),
                Some(Err(error)) => break Err((true, error.to_string())),
                None => break Err((true, ENDED.to_owned())),
            },
            Some((subject, answered)) = storing.next() => {
                subjects.remove(&subject);
                if let Err(reason) = answered {
                    break Err((true, reason));
                }
            }
            // What waits for a delivery is not always told that the connection is gone.
            () = tokio::time::sleep(LOOK_EVERY) => if !connection.status().connected() {
                break Err((true, ENDED.to_owned()));
            },
        }
    };
    while storing.next().await.is_some() {}
    ended
}

/// A delivery, read.
struct Received {
    report: Result<Report, serde_json::Error>,
    subject: String,
    delivery: Delivery,
}

impl Received {
    fn read(delivery: Delivery) -> Received {
        let report = serde_json::from_slice::<Report>(&delivery.data);
        let subject = report.as_ref().map(Report::subject).unwrap_or_default();
        Received { report, subject, delivery }
    }
}

/// What is to become of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Stored,
    /// It is out of date, or can never be stored.
    Dropped,
    Unreadable,
    Later,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Stored => "stored",
            Outcome::Dropped => "dropped",
            Outcome::Unreadable => "unreadable",
            Outcome::Later => "later",
        }
    }
}

/// Stores a report and says so to its broker, or has it come again; gives whom it is about.
async fn store(
    plane: &ControlPlane,
    cell: CellUuid,
    received: Received,
    options: &AmqpOptions,
) -> (String, Result<(), String>) {
    let Received { report, subject, delivery } = received;
    let name = report.as_ref().map_or("unknown", Report::name);
    let outcome = match report {
        Ok(report) => apply(plane, cell, report).await,
        Err(error) => {
            tracing::error!(%cell, %error, "a message is no report; dropped");
            Outcome::Unreadable
        }
    };
    count(name, outcome.name());
    if outcome == Outcome::Later {
        // A pause, since it comes again at once.
        tokio::time::sleep(options.report_retry).await;
    }
    let answering = answer(&delivery, outcome);
    let answered = match tokio::time::timeout(options.send_timeout, answering).await {
        Ok(answered) => answered.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err("it does not answer".to_owned()),
    };
    (subject, answered)
}

async fn answer(delivery: &Delivery, outcome: Outcome) -> Result<bool, lapin::Error> {
    match outcome {
        Outcome::Stored | Outcome::Dropped => delivery.ack(BasicAckOptions::default()).await,
        Outcome::Unreadable => delivery.reject(BasicRejectOptions { requeue: false }).await,
        Outcome::Later => {
            delivery.nack(BasicNackOptions { requeue: true, ..Default::default() }).await
        }
    }
}

fn count(report: &'static str, outcome: &'static str) {
    metrics::counter!("cellzero_amqp_reports_total", "report" => report, "outcome" => outcome)
        .increment(1);
}

async fn apply(plane: &ControlPlane, cell: CellUuid, report: Report) -> Outcome {
    let compute = plane.compute();
    let stored = match report {
        Report::Built { instance_uuid, host, sequence } => {
            compute.built(cell, instance_uuid, &host, sequence).await
        }
        Report::Failed { instance_uuid, host, sequence, reason } => {
            let next = compute.failed(cell, instance_uuid, &host, sequence, &reason).await;
            next.map(|_| ())
        }
        Report::Destroyed { instance_uuid, sequence, .. } => {
            compute.destroyed(instance_uuid, sequence).await
        }
        Report::Acted { instance_uuid, host, sequence, failure } => {
            compute.acted(cell, instance_uuid, (&host, sequence), failure.as_deref()).await
        }
        Report::Host(node) => return apply_host(plane, cell, node).await,
    };
    match stored {
        Ok(()) => Outcome::Stored,
        Err(Write::Failed(error @ ReportError::Stale { .. })) => {
            tracing::debug!(%cell, %error, "a report changed nothing");
            Outcome::Dropped
        }
        Err(error) => {
            tracing::warn!(%cell, error = &error as &dyn std::error::Error, "a report is not stored yet");
            Outcome::Later
        }
    }
}

async fn apply_host(plane: &ControlPlane, cell: CellUuid, node: cellzero::ComputeNode) -> Outcome {
    match plane.hosts().report(cell, &node).await {
        Ok(()) => Outcome::Stored,
        Err(Write::Failed(error @ (HostError::Cell(_) | HostError::Database(_)))) => {
            tracing::warn!(%cell, error = &error as &dyn std::error::Error, "a host's report is not stored yet");
            Outcome::Later
        }
        Err(error) => {
            tracing::error!(%cell, error = &error as &dyn std::error::Error, "a host's report is refused");
            Outcome::Dropped
        }
    }
}
