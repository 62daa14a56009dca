//! A host's side: it receives the operations of its queue, and reports.

use std::time::Duration;

use cellzero::mask_passwords;
use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};

use crate::error::AmqpError;
use crate::link::{LOOK_EVERY, Outgoing, connect, publish_confirmed};
use crate::message::{OperationMessage, REPORTS_QUEUE, host_queue, persistent};
use crate::options::AmqpOptions;
use crate::report::Report;
use crate::url::{TransportUrl, TransportUrlError};

/// The connection of one compute host to the broker of its cell.
///
/// It makes the host's queue where there is none: until a host has connected once, nothing can be sent
/// to it. When it fails, the host connects anew; what it has not acknowledged comes again.
pub struct HostAgent {
    broker: String,
    send_timeout: Duration,
    consumer: Consumer,
    channel: Channel,
    connection: Connection,
}

impl std::fmt::Debug for HostAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostAgent").field("broker", &self.broker).finish_non_exhaustive()
    }
}

/// An operation that a host has received, and is to acknowledge once its effect and the report of it
/// are safe.
#[derive(Debug)]
pub struct Received {
    /// The operation.
    pub operation: OperationMessage,
    /// Whether it may have come before: its attempt is not the first, or the broker delivers it again.
    pub is_repeat: bool,
    broker: String,
    send_timeout: Duration,
    delivery: Delivery,
}

impl Received {
    /// Says that it need not come again.
    ///
    /// # Errors
    /// [`AmqpError::Away`]: it comes again.
    pub async fn acknowledge(self) -> Result<(), AmqpError> {
        let acknowledged = self.delivery.ack(BasicAckOptions::default());
        let reason = match tokio::time::timeout(self.send_timeout, acknowledged).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        Err(AmqpError::Away { broker: self.broker, reason })
    }
}

impl HostAgent {
    /// Connects, makes the queues, and begins to receive what is for this host.
    ///
    /// # Errors
    /// [`AmqpError::Url`], or [`AmqpError::Away`] where the broker does not answer within
    /// `options.send_timeout`.
    pub async fn connect(
        transport_url: &str,
        host: &str,
        options: &AmqpOptions,
    ) -> Result<HostAgent, AmqpError> {
        let url = TransportUrl::parse(transport_url)?.ok_or_else(|| TransportUrlError {
            url: mask_passwords(transport_url),
            reason: "it names no broker".to_owned(),
        })?;
        let broker = url.to_string();
        let away = |reason: String| AmqpError::Away { broker: broker.clone(), reason };
        let connecting = async {
            let (connection, channel) = connect(&url).await?;
            let consumer = consume(&channel, &host_queue(host), options.prefetch).await;
            Ok::<_, String>((connection, channel, consumer.map_err(|error| error.to_string())?))
        };
        let (connection, channel, consumer) =
            tokio::time::timeout(options.send_timeout, connecting)
                .await
                .map_err(|_| away("it does not answer".to_owned()))?
                .map_err(away)?;
        let send_timeout = options.send_timeout;
        Ok(HostAgent { broker, send_timeout, consumer, channel, connection })
    }

    /// Waits for the next operation. What cannot be read is dropped, and logged.
    ///
    /// # Errors
    /// [`AmqpError::Away`] where the connection is lost; connect anew.
    pub async fn next(&mut self) -> Result<Received, AmqpError> {
        loop {
            let delivery = tokio::select! {
                delivery = self.consumer.next() => delivery,
                // What waits for a delivery is not always told that the connection is gone.
                () = tokio::time::sleep(LOOK_EVERY) => match self.connection.status().connected() {
                    true => continue,
                    false => None,
                },
            };
            let delivery = match delivery {
                Some(Ok(delivery)) => delivery,
                Some(Err(error)) => return Err(self.away(error.to_string())),
                None => return Err(self.away("it ended the connection".to_owned())),
            };
            match serde_json::from_slice::<OperationMessage>(&delivery.data) {
                Ok(operation) => {
                    let is_repeat = delivery.redelivered || operation.attempt() > 1;
                    let broker = self.broker.clone();
                    let send_timeout = self.send_timeout;
                    return Ok(Received { operation, is_repeat, broker, send_timeout, delivery });
                }
                Err(error) => {
                    tracing::error!(broker = self.broker, %error, "a message is no operation; dropped");
                    let dropped = delivery.reject(BasicRejectOptions { requeue: false }).await;
                    dropped.map_err(|error| self.away(error.to_string()))?;
                }
            }
        }
    }

    /// Sends a report, and waits until the broker has confirmed that it keeps it.
    ///
    /// # Errors
    /// [`AmqpError`]: it may not have arrived; send it again.
    pub async fn report(&self, report: &Report) -> Result<(), AmqpError> {
        let outgoing = Outgoing {
            exchange: "",
            routing_key: REPORTS_QUEUE,
            must_be_routed: true,
            properties: persistent().with_type(report.name().into()),
            body: &serde_json::to_vec(report)?,
        };
        publish_confirmed(&self.channel, outgoing, &self.broker, self.send_timeout).await
    }

    fn away(&self, reason: String) -> AmqpError {
        AmqpError::Away { broker: self.broker.clone(), reason }
    }
}

/// Makes a queue, and that of the reports, and begins to consume it.
pub(crate) async fn consume(
    channel: &Channel,
    queue: &str,
    prefetch: u16,
) -> Result<Consumer, lapin::Error> {
    for queue in [queue, REPORTS_QUEUE] {
        let declared = channel.queue_declare(
            queue.into(),
            QueueDeclareOptions::durable(),
            FieldTable::default(),
        );
        declared.await?;
    }
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let consuming = channel.basic_consume(
        queue.into(),
        "".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    consuming.await
}
