//! What an operator may set.

use std::time::Duration;

/// How brokers are spoken to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AmqpOptions {
    /// The longest that one message may take until its broker has confirmed it, 5 s by default. A
    /// broker that hangs costs that once; until it answers again, messages to it fail at once.
    pub send_timeout: Duration,
    /// How long after a failure a broker is tried again first; doubled with each, up to
    /// [`Self::back_off_max`].
    pub back_off: Duration,
    /// The longest such wait.
    pub back_off_max: Duration,
    /// How many messages a consumer is given before it has acknowledged one.
    pub prefetch: u16,
    /// How often a consumer of reports looks for cells that are new, gone, or have another transport
    /// URL.
    pub refresh: Duration,
    /// How long a report waits that could not be stored, before it is taken again.
    pub report_retry: Duration,
}

impl Default for AmqpOptions {
    fn default() -> AmqpOptions {
        AmqpOptions {
            send_timeout: Duration::from_secs(5),
            back_off: Duration::from_millis(200),
            back_off_max: Duration::from_secs(10),
            prefetch: 64,
            refresh: Duration::from_secs(2),
            report_retry: Duration::from_millis(500),
        }
    }
}

impl AmqpOptions {
    /// The same with another longest time for one message.
    pub fn send_timeout(self, send_timeout: Duration) -> AmqpOptions {
        AmqpOptions { send_timeout, ..self }
    }
}

/// How notifications are published. The defaults are oslo.messaging's.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NotificationOptions {
    /// The topic exchange: `control_exchange` in Nova.
    pub exchange: String,
    /// The topic: routing keys are it and the priority, such as `notifications.info`.
    pub topic: String,
    /// Whether exchange and queues survive a restart of the broker: `amqp_durable_queues`. What is
    /// declared already is used as it stands.
    pub durable: bool,
    /// How many notifications wait for the broker; those beyond are dropped, and counted.
    pub waiting_max: usize,
}

impl Default for NotificationOptions {
    fn default() -> NotificationOptions {
        NotificationOptions {
            exchange: "nova".to_owned(),
            topic: "notifications".to_owned(),
            durable: false,
            waiting_max: 1_000,
        }
    }
}
