//! Who hears what becomes of instances.

use cellzero::{Config, TracingNotifier};
use cellzero_amqp::{AmqpNotifier, AmqpOptions, NotificationOptions};

use crate::exit::Exit;
use crate::failure::Exits as _;

/// The listener that writes to the log.
const LOG: &str = "log";

/// Adds each of these listeners: the log, or the broker at a transport URL.
pub(super) fn add(mut config: Config, listeners: &[String]) -> anyhow::Result<Config> {
    for listener in listeners {
        config = match listener.as_str() {
            LOG => config.notifier(TracingNotifier),
            url => {
                let (amqp, options) = (AmqpOptions::default(), NotificationOptions::default());
                let notifier = AmqpNotifier::new(url, amqp, options).exits(Exit::Config)?;
                config.notifier(notifier)
            }
        };
    }
    Ok(config)
}
