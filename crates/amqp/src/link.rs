//! The connection to one broker, kept up in the background.
//!
//! Nobody waits for a broker that is known to be away: a message to it fails at once, while a task of
//! the link's own tries to reach it, with a back-off. So a broker that hangs costs one message its
//! longest time, and the messages to other brokers nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::tcp::OwnedTLSConfig;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::AmqpError;
use crate::options::AmqpOptions;
use crate::url::TransportUrl;

/// How often a connection that nobody uses is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How a broker is reached now.
#[derive(Clone)]
enum State {
    /// For the first time.
    Connecting,
    /// By this channel, the nth since the start.
    Up(Arc<Connection>, Channel, u64),
    /// Not: it said this, or nothing.
    Away(Arc<str>),
}

/// The connection to one broker. Dropping it closes it.
pub(crate) struct Link {
    url: TransportUrl,
    send_timeout: Duration,
    state: Arc<watch::Sender<State>>,
    keeper: JoinHandle<()>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// A message and where it goes.
pub(crate) struct Outgoing<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) routing_key: &'a str,
    /// Whether a message that no queue takes is an error.
    pub(crate) must_be_routed: bool,
    pub(crate) properties: BasicProperties,
    pub(crate) body: &'a [u8],
}

impl Link {
    /// Begins to connect, in the background.
    pub(crate) fn new(url: TransportUrl, options: &AmqpOptions) -> Link {
        let state = Arc::new(watch::Sender::new(State::Connecting));
        let keeper = tokio::spawn(keep(url.clone(), options.clone(), Arc::clone(&state)));
        Link { url, send_timeout: options.send_timeout, state, keeper }
    }

    /// Publishes a message and waits until the broker has confirmed that it keeps it, at most the
    /// longest time of a message.
    pub(crate) async fn publish(&self, message: Outgoing<'_>) -> Result<(), AmqpError> {
        let began = Instant::now();
        let (channel, number) = self.channel().await?;
        let left = self.send_timeout.saturating_sub(began.elapsed());
        let published = publish_confirmed(&channel, message, &self.url.to_string(), left).await;
        match &published {
            Err(AmqpError::Away { reason, .. }) => self.lose(number, reason),
            Err(AmqpError::NotConfirmed { .. }) => {
                self.lose(number, "it did not confirm a message in time");
            }
            _ => {}
        }
        published
    }

    /// The channel, where there is one. Only the first connection is waited for.
    pub(crate) async fn channel(&self) -> Result<(Channel, u64), AmqpError> {
        let mut states = self.state.subscribe();
        let known = states.wait_for(|state| !matches!(state, State::Connecting));
        let known = tokio::time::timeout(self.send_timeout, known).await;
        let Ok(Ok(state)) = known else { return Err(self.away("it does not answer")) };
        match &*state {
            State::Up(_, channel, number) => Ok((channel.clone(), *number)),
            State::Away(reason) => Err(self.away(reason)),
            State::Connecting => Err(self.away("it does not answer")),
        }
    }

    /// One more channel of the connection that is up.
    pub(crate) async fn another_channel(&self) -> Result<Channel, AmqpError> {
        let connection = match &*self.state.borrow() {
            State::Up(connection, ..) => Arc::clone(connection),
            State::Connecting | State::Away(_) => return Err(self.away("it does not answer")),
        };
        let opened = tokio::time::timeout(self.send_timeout, connection.create_channel()).await;
        match opened {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => Err(self.away(&error.to_string())),
            Err(_) => Err(self.away("it does not answer")),
        }
    }

    fn away(&self, reason: &str) -> AmqpError {
        AmqpError::Away { broker: self.url.to_string(), reason: reason.to_owned() }
    }

    /// From now on the broker is away, unless another channel is up by now.
    fn lose(&self, number: u64, reason: &str) {
        self.state.send_if_modified(|state| match state {
            State::Up(_, _, up) if *up == number => {
                *state = State::Away(reason.into());
                true
            }
            _ => false,
        });
    }
}

/// Publishes a message and waits until the broker has confirmed that it keeps it, for at most `limit`.
pub(crate) async fn publish_confirmed(
    channel: &Channel,
    message: Outgoing<'_>,
    broker: &str,
    limit: Duration,
) -> Result<(), AmqpError> {
    let confirmed = async {
        let options =
            BasicPublishOptions { mandatory: message.must_be_routed, ..Default::default() };
        let confirm = channel.basic_publish(
            message.exchange.into(),
            message.routing_key.into(),
            options,
            message.body,
            message.properties,
        );
        confirm.await?.await
    };
    let broker = broker.to_owned();
    match tokio::time::timeout(limit, confirmed).await {
        Ok(Ok(Confirmation::Ack(None))) => Ok(()),
        // It came back: no queue takes it.
        Ok(Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)))) => {
            Err(AmqpError::NoQueue { broker, queue: message.routing_key.to_owned() })
        }
        Ok(Ok(Confirmation::Nack(None) | Confirmation::NotRequested)) => {
            Err(AmqpError::Refused { broker })
        }
        Ok(Err(error)) => Err(AmqpError::Away { broker, reason: error.to_string() }),
        Err(_) => Err(AmqpError::NotConfirmed { broker, seconds: limit.as_secs_f64() }),
    }
}

/// Connects, and connects again whenever the connection is lost.
async fn keep(url: TransportUrl, options: AmqpOptions, state: Arc<watch::Sender<State>>) {
    let mut failures: u32 = 0;
    for number in 0.. {
        match tokio::time::timeout(options.send_timeout, connect(&url)).await {
            Ok(Ok((connection, channel))) => {
                tracing::info!(broker = %url, "connected");
                failures = 0;
                let connection = Arc::new(connection);
                state.send_replace(State::Up(Arc::clone(&connection), channel, number));
                let reason = lost(&connection, &state).await;
                tracing::warn!(broker = %url, reason = &*reason, "the connection is lost");
                state.send_replace(State::Away(reason));
            }
            failed => {
                let reason = match failed {
                    Ok(Err(reason)) => reason,
                    _ => "it does not answer".to_owned(),
                };
                if failures == 0 {
                    tracing::warn!(broker = %url, reason, "not connected; tried again");
                }
                failures = failures.saturating_add(1);
                state.send_replace(State::Away(reason.into()));
            }
        }
        let back_off = options.back_off.saturating_mul(1 << failures.min(16));
        tokio::time::sleep(back_off.min(options.back_off_max)).await;
    }
}

/// Waits until a connection is lost; says why.
async fn lost(connection: &Connection, state: &watch::Sender<State>) -> Arc<str> {
    let mut states = state.subscribe();
    loop {
        if let State::Away(reason) = &*states.borrow_and_update() {
            return Arc::clone(reason);
        }
        tokio::select! {
            _ = states.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {
                if !connection.status().connected() {
                    return "it ended the connection".into();
                }
            }
        }
    }
}

/// A connection to the first node that answers, with a channel on which messages are confirmed.
pub(crate) async fn connect(url: &TransportUrl) -> Result<(Connection, Channel), String> {
    let cert_chain = match url.ca_file() {
        Some(path) => {
            let read = tokio::fs::read_to_string(path).await;
            Some(read.map_err(|error| format!("{path} cannot be read: {error}"))?)
        }
        None => None,
    };
    let tls = OwnedTLSConfig { identity: None, cert_chain };
    let runtime = lapin::runtime::default_runtime().map_err(|error| error.to_string())?;
    let mut reason = String::new();
    for node in url.nodes() {
        let properties = ConnectionProperties::default().with_connection_name("cellzero".into());
        let connecting = Connection::connect_uri_with_config(
            node.clone(),
            properties,
            tls.clone(),
            runtime.clone(),
        );
        let connected = async {
            let connection = connecting.await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            Ok::<_, lapin::Error>((connection, channel))
        };
        match connected.await {
            Ok(connected) => return Ok(connected),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(reason)
}
