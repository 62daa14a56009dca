//! The agent: each operation is applied once and in order, and acknowledged last of all.

use std::time::Duration;

use cellzero::ComputeNode;
use cellzero_amqp::{AmqpError, AmqpOptions, HostAgent, OperationMessage, Received, Report};

use super::journal::{Applied, Journal};

/// How long after a failure the broker is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What can be set of it.
#[derive(Debug, Clone)]
pub(crate) struct Knobs {
    /// Every nth build fails; 0 lets none.
    pub(crate) fail_every: u64,
    /// How long a build takes.
    pub(crate) build_time: Duration,
    /// How often the host says that it is there.
    pub(crate) report_every: Duration,
}

/// A simulated compute host.
#[derive(Debug)]
pub(crate) struct Agent {
    transport_url: String,
    node: ComputeNode,
    knobs: Knobs,
    journal: Journal,
}

impl Agent {
    pub(crate) fn new(
        transport_url: String,
        node: ComputeNode,
        knobs: Knobs,
        journal: Journal,
    ) -> Agent {
        Agent { transport_url, node, knobs, journal }
    }

    /// Works until the file of what was done cannot be written. A broker that is away is tried again.
    pub(crate) async fn run(
        &mut self,
        options: &AmqpOptions,
        mut say: impl FnMut(&str),
    ) -> anyhow::Result<()> {
        loop {
            match HostAgent::connect(&self.transport_url, &self.node.host, options).await {
                Ok(mut broker) => {
                    say(&format!("{} is connected", self.node.host));
                    if let Err(error) = self.serve(&mut broker, &mut say).await? {
                        say(&format!("{} lost its broker: {error}", self.node.host));
                    }
                }
                Err(error) => say(&format!("{} has no broker: {error}", self.node.host)),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// Serves a connection until it is lost, which is the inner error.
    async fn serve(
        &mut self,
        broker: &mut HostAgent,
        say: &mut impl FnMut(&str),
    ) -> anyhow::Result<Result<(), AmqpError>> {
        let mut report_due = tokio::time::interval(self.knobs.report_every);
        loop {
            let received = tokio::select! {
                received = broker.next() => received,
                _ = report_due.tick() => {
                    let report = Report::Host(self.node.clone());
                    if let Err(error) = broker.report(&report).await {
                        return Ok(Err(error));
                    }
                    continue;
                }
            };
            let received = match received {
                Ok(received) => received,
                Err(error) => return Ok(Err(error)),
            };
            if let Err(error) = self.handle(broker, received, say).await? {
                return Ok(Err(error));
            }
        }
    }

    /// Applies an operation that is new, and answers one that is not as the first time.
    async fn handle(
        &mut self,
        broker: &HostAgent,
        received: Received,
        say: &mut impl FnMut(&str),
    ) -> anyhow::Result<Result<(), AmqpError>> {
        let operation = &received.operation;
        let (uuid, sequence) = (operation.instance_uuid(), operation.sequence());
        let known = self.journal.last(uuid).map(|last| last.sequence);
        if known.is_none_or(|known| known < sequence) {
            let report = self.apply(operation).await;
            say(&format!("{}: {} {uuid}: {}", self.node.host, operation.name(), report.name()));
            let id = operation.id();
            self.journal.keep(Applied { id, instance_uuid: uuid, sequence, report })?;
        }
        // One that is older than what was applied needs no answer: a later decision has overtaken it.
        let last = self.journal.last(uuid).filter(|last| last.sequence == sequence);
        if let Some(last) = last
            && let Err(error) = broker.report(&last.report).await
        {
            return Ok(Err(error));
        }
        Ok(received.acknowledge().await)
    }

    /// What a hypervisor would do.
    async fn apply(&self, operation: &OperationMessage) -> Report {
        let (instance_uuid, sequence) = (operation.instance_uuid(), operation.sequence());
        let host = self.node.host.clone();
        match operation {
            OperationMessage::Build(_) => {
                tokio::time::sleep(self.knobs.build_time).await;
                let nth = self.journal.builds() + 1;
                if self.knobs.fail_every > 0 && nth.is_multiple_of(self.knobs.fail_every) {
                    let reason = "The simulated hypervisor refused to start.".to_owned();
                    return Report::Failed { instance_uuid, host, sequence, reason };
                }
                Report::Built { instance_uuid, host, sequence }
            }
            OperationMessage::Action(_) => {
                Report::Acted { instance_uuid, host, sequence, failure: None }
            }
            // Also for what was never built: nothing of it is left.
            _ => Report::Destroyed { instance_uuid, host, sequence },
        }
    }
}
