//! Notifications as oslo.messaging publishes them, so that what listens to Nova can listen here.

use std::time::Duration;

use cellzero::{Notification, Notifier, mask_passwords};
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use serde_json::{Value, json};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::error::AmqpError;
use crate::link::{Link, Outgoing};
use crate::message::persistent;
use crate::options::{AmqpOptions, NotificationOptions};
use crate::url::{TransportUrl, TransportUrlError};

/// Publishes notifications to a topic exchange, with the routing key `notifications.info` or
/// `notifications.error`, in the envelope of oslo.messaging 2.0.
///
/// At most once: what the broker does not take at its first sending, or what finds the queue in memory
/// full, is dropped and counted in `cellzero_notifications_dropped_total`. Nothing waits for it.
#[derive(Debug, Clone)]
pub struct AmqpNotifier {
    waiting: Sender<(String, Value)>,
    topic: String,
}

impl AmqpNotifier {
    /// Begins to connect, in the background. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`TransportUrlError`] for a URL that names no broker.
    pub fn new(
        transport_url: &str,
        options: AmqpOptions,
        notifications: NotificationOptions,
    ) -> Result<AmqpNotifier, TransportUrlError> {
        let url = TransportUrl::parse(transport_url)?.ok_or_else(|| TransportUrlError {
            url: mask_passwords(transport_url),
            reason: "it names no broker".to_owned(),
        })?;
        let (waiting, messages) = mpsc::channel(notifications.waiting_max.max(1));
        let topic = notifications.topic.clone();
        tokio::spawn(publish_all(url, options, notifications, messages));
        Ok(AmqpNotifier { waiting, topic })
    }
}

impl Notifier for AmqpNotifier {
    fn notify(&self, notification: &Notification) {
        let routing_key = format!("{}.{}", self.topic, notification.priority.as_str());
        let reason = match self.waiting.try_send((routing_key, envelope(notification))) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => "full",
            Err(TrySendError::Closed(_)) => "closed",
        };
        dropped(reason);
    }
}

fn dropped(reason: &'static str) {
    metrics::counter!("cellzero_notifications_dropped_total", "reason" => reason).increment(1);
}

/// The message within a message that oslo.messaging reads.
pub(crate) fn envelope(notification: &Notification) -> Value {
    let message = json!({
        "message_id": notification.message_id,
        "publisher_id": notification.publisher_id,
        "event_type": notification.event_type,
        "priority": notification.priority,
        "timestamp": notification.timestamp.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
        "payload": notification.payload,
        "_unique_id": notification.message_id.simple().to_string(),
        "_context_request_id": notification.payload.request_id,
        "_context_project_id": notification.payload.project_id,
        "_context_user_id": notification.payload.user_id,
    });
    json!({ "oslo.version": "2.0", "oslo.message": message.to_string() })
}

async fn publish_all(
    url: TransportUrl,
    options: AmqpOptions,
    notifications: NotificationOptions,
    mut messages: Receiver<(String, Value)>,
) {
    let link = Link::new(url, &options);
    let limit = options.send_timeout;
    let mut declared = None;
    while let Some((routing_key, message)) = messages.recv().await {
        if let Err(error) =
            publish(&link, (&notifications, limit), &mut declared, &routing_key, &message).await
        {
            tracing::debug!(%error, "a notification is dropped");
            dropped("away");
        }
    }
}

async fn publish(
    link: &Link,
    (options, limit): (&NotificationOptions, Duration),
    declared: &mut Option<u64>,
    routing_key: &str,
    message: &Value,
) -> Result<(), AmqpError> {
    let (_, number) = link.channel().await?;
    if *declared != Some(number) {
        declare(link, options, limit).await;
        *declared = Some(number);
    }
    let body = serde_json::to_vec(message)?;
    let outgoing = Outgoing {
        exchange: &options.exchange,
        routing_key,
        must_be_routed: false,
        properties: persistent(),
        body: &body,
    };
    link.publish(outgoing).await
}

/// Makes the exchange and a queue for each priority, as oslo.messaging does so that nothing is missed
/// before somebody listens. Where they stand with other properties they are used as they stand.
async fn declare(link: &Link, options: &NotificationOptions, limit: Duration) {
    for priority in ["info", "error"] {
        // A channel of its own: one that declares otherwise than what stands is closed for it.
        let Ok(channel) = link.another_channel().await else { return };
        let declared = async {
            let queue = format!("{}.{priority}", options.topic);
            let exchange =
                ExchangeDeclareOptions { durable: options.durable, ..Default::default() };
            let table = FieldTable::default;
            let name = || options.exchange.as_str().into();
            channel.exchange_declare(name(), ExchangeKind::Topic, exchange, table()).await?;
            let queue_options =
                QueueDeclareOptions { durable: options.durable, ..Default::default() };
            channel.queue_declare(queue.as_str().into(), queue_options, table()).await?;
            let key = queue.as_str();
            channel
                .queue_bind(key.into(), name(), key.into(), QueueBindOptions::default(), table())
                .await
        };
        if let Ok(Err(error)) = tokio::time::timeout(limit, declared).await {
            tracing::info!(exchange = options.exchange, %error, "used as it stands");
        }
    }
}
