//! The way to compute hosts and back over a real RabbitMQ.

mod dispatch;
mod document;
mod notifications;
mod outage;
mod reports;
mod support;
