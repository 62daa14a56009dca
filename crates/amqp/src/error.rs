//! What goes wrong with a broker.

use crate::url::TransportUrlError;

/// Why something was not sent to a broker, or not received from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AmqpError {
    /// The transport URL cannot be used.
    #[error(transparent)]
    Url(#[from] TransportUrlError),
    /// The broker is away: it is tried again in the background, and nothing waits for it.
    #[error("the broker {broker} is away: {reason}")]
    Away {
        /// Where it is, the password masked.
        broker: String,
        /// What it, or the way to it, said.
        reason: String,
    },
    /// The broker did not confirm in time. Whether it has the message is not known.
    #[error("the broker {broker} did not confirm within {seconds:.1} s")]
    NotConfirmed {
        /// Where it is, the password masked.
        broker: String,
        /// How long it was waited for.
        seconds: f64,
    },
    /// No queue takes the message: nobody has ever consumed there.
    #[error("the broker {broker} has no queue {queue}")]
    NoQueue {
        /// Where it is, the password masked.
        broker: String,
        /// The queue.
        queue: String,
    },
    /// The broker refused the message.
    #[error("the broker {broker} refused the message")]
    Refused {
        /// Where it is, the password masked.
        broker: String,
    },
    /// A message cannot be read.
    #[error("the message cannot be read")]
    Message(#[from] serde_json::Error),
}
