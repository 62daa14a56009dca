//! The dispatch: each operation is published to the queue of its host, on the broker of its cell.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cellzero::{
    ActionOperation, BuildOperation, CellMapping, DestroyOperation, Dispatch, DispatchError,
    Dispatched, ReleaseOperation,
};

use crate::error::AmqpError;
use crate::link::{Link, Outgoing};
use crate::message::{OperationMessage, host_queue};
use crate::options::AmqpOptions;
use crate::url::TransportUrl;

/// A connection that nobody has used for so long is closed: its URL is no cell's any more.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// How many operations of one cell wait for their confirmation at once.
const AT_ONCE: usize = 64;

/// Publishes operations to `compute.<host>` on the broker that the transport URL of the host's cell
/// names, read anew for each operation. One connection for each transport URL, made when it is first
/// needed. It must be used within a tokio runtime. A clone is the same one.
///
/// An operation is [`Taken`](Dispatched::Taken) once its broker has confirmed that it keeps it; where it
/// has no queue for it, or does not confirm in time, it is refused and sent again.
///
/// What has no broker, a cell with `none:///` and a release, which goes to no host, is done by
/// [`without_broker`](AmqpDispatch::without_broker); by default it is refused, and stays in the outbox.
#[derive(Debug, Clone)]
pub struct AmqpDispatch(Arc<Inner>);

struct Inner {
    options: AmqpOptions,
    without_broker: Option<Arc<dyn Dispatch>>,
    /// By transport URL, with its password.
    links: Mutex<HashMap<String, (Arc<Link>, Instant)>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Inner")
            .field("options", &self.options)
            .field("without_broker", &self.without_broker)
            .field("links", &links.values().map(|(link, _)| link).collect::<Vec<_>>())
            .finish()
    }
}

impl AmqpDispatch {
    /// A dispatch that has no connection yet.
    pub fn new(options: AmqpOptions) -> AmqpDispatch {
        AmqpDispatch(Arc::new(Inner { options, without_broker: None, links: Mutex::default() }))
    }

    /// The same, where another does what has no broker: releases, and the operations of cells whose
    /// transport URL is `none:///`.
    pub fn without_broker(self, dispatch: impl Dispatch + 'static) -> AmqpDispatch {
        AmqpDispatch(Arc::new(Inner {
            options: self.0.options.clone(),
            without_broker: Some(Arc::new(dispatch)),
            links: Mutex::default(),
        }))
    }

    /// Publishes an operation to its host; none where its cell has no broker.
    async fn publish(
        &self,
        cell: Option<&Arc<CellMapping>>,
        host: &str,
        message: OperationMessage,
    ) -> Result<Option<Dispatched>, DispatchError> {
        let Some(mapping) = cell else { return Ok(None) };
        let sent = self.try_publish(mapping, host, &message).await;
        let outcome = match &sent {
            Ok(Some(())) => "confirmed",
            Ok(None) => return Ok(None),
            Err(AmqpError::NoQueue { .. }) => "no_queue",
            Err(AmqpError::NotConfirmed { .. }) => "not_confirmed",
            Err(_) => "away",
        };
        metrics::counter!("cellzero_amqp_operations_total", "cell" => mapping.identity(), "outcome" => outcome)
            .increment(1);
        match sent {
            Ok(_) => Ok(Some(Dispatched::Taken)),
            Err(error) => Err(DispatchError { reason: error.to_string() }),
        }
    }

    async fn try_publish(
        &self,
        mapping: &CellMapping,
        host: &str,
        message: &OperationMessage,
    ) -> Result<Option<()>, AmqpError> {
        let Some(link) = self.link(mapping.transport_url.as_deref().unwrap_or_default())? else {
            return Ok(None);
        };
        let body = serde_json::to_vec(message)?;
        let queue = host_queue(host);
        let outgoing = Outgoing {
            exchange: "",
            routing_key: &queue,
            must_be_routed: true,
            properties: message.properties(mapping.uuid),
            body: &body,
        };
        link.publish(outgoing).await.map(Some)
    }

    /// The connection to a broker; none for a URL without one.
    fn link(&self, url: &str) -> Result<Option<Arc<Link>>, AmqpError> {
        let now = Instant::now();
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((link, used)) = links.get_mut(url) {
            *used = now;
            return Ok(Some(Arc::clone(link)));
        }
        let Some(parsed) = TransportUrl::parse(url)? else { return Ok(None) };
        links.retain(|_, (_, used)| now.duration_since(*used) < IDLE_MAX);
        let link = Arc::new(Link::new(parsed, &self.0.options));
        links.insert(url.to_owned(), (Arc::clone(&link), now));
        Ok(Some(link))
    }

    fn other(&self, what: &str) -> Result<&Arc<dyn Dispatch>, DispatchError> {
        self.0.without_broker.as_ref().ok_or_else(|| DispatchError {
            reason: format!("{what} has no broker, and nothing is set to do it without one"),
        })
    }
}

/// What an operation without a broker belongs to.
fn cell_name(cell: Option<&Arc<CellMapping>>) -> String {
    let name = cell.map_or_else(String::new, |mapping| mapping.identity());
    format!("the cell {name}")
}

#[async_trait::async_trait]
impl Dispatch for AmqpDispatch {
    /// A broker confirms what it has written to its disk, many messages by one write.
    fn at_once(&self) -> usize {
        AT_ONCE
    }

    async fn build(&self, o: &BuildOperation) -> Result<Dispatched, DispatchError> {
        let message = OperationMessage::Build(o.clone());
        match self.publish(o.cell.as_ref(), &o.host, message).await? {
            Some(dispatched) => Ok(dispatched),
            None => self.other(&cell_name(o.cell.as_ref()))?.build(o).await,
        }
    }

    async fn destroy(&self, o: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        let message = OperationMessage::Destroy(o.clone());
        match self.publish(o.cell.as_ref(), &o.host, message).await? {
            Some(dispatched) => Ok(dispatched),
            None => self.other(&cell_name(o.cell.as_ref()))?.destroy(o).await,
        }
    }

    async fn release(&self, o: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        self.other("a release of volumes and ports")?.release(o).await
    }

    async fn act(&self, o: &ActionOperation) -> Result<Dispatched, DispatchError> {
        let message = OperationMessage::Action(o.clone());
        match self.publish(o.cell.as_ref(), &o.host, message).await? {
            Some(dispatched) => Ok(dispatched),
            None => self.other(&cell_name(o.cell.as_ref()))?.act(o).await,
        }
    }
}
