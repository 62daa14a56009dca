//! Cellzero over AMQP 0-9-1 (RabbitMQ): operations go to compute hosts, their reports come back, and
//! notifications go to whoever listens.
//!
//! [`AmqpDispatch`] is the control plane's side: the [`Dispatch`](cellzero::Dispatch) that publishes
//! each operation to the queue of its host, on the broker that the transport URL of its cell names.
//! [`HostAgent`] is the host's side of that queue. [`ReportConsumer`] takes what hosts report and calls
//! the plane's guarded reports with it. [`AmqpNotifier`] publishes notifications as oslo.messaging does.
//!
//! `docs/dispatch.md` has the queues, the messages, what is guaranteed and what a host must do.
//!
//! ```no_run
//! use cellzero::{Config, ControlPlane};
//! use cellzero_amqp::{AmqpDispatch, AmqpOptions, ReportConsumer};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = AmqpOptions::default();
//! let config = Config::embedded("./state").dispatch(AmqpDispatch::new(options.clone()));
//! let plane = ControlPlane::open(config).await?;
//! let reports = ReportConsumer::start(&plane, options);
//! // …
//! reports.stop().await;
//! plane.close().await?;
//! # Ok(())
//! # }
//! ```

mod agent;
mod dispatch;
mod error;
mod link;
mod message;
mod notifier;
mod options;
mod report;
mod reports;
mod url;

pub use agent::{HostAgent, Received};
pub use dispatch::AmqpDispatch;
pub use error::AmqpError;
pub use message::{OperationMessage, REPORTS_QUEUE, host_queue};
pub use notifier::AmqpNotifier;
pub use options::{AmqpOptions, NotificationOptions};
pub use report::Report;
pub use reports::ReportConsumer;
pub use url::{TransportUrl, TransportUrlError};
