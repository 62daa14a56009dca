//! The compute API over HTTP in front of a plane, for unmodified OpenStack clients.
//!
//! [`Api::router`] gives an axum `Router` that an embedder mounts or serves; [`Api::serve`] serves
//! it with limits on what a connection may send. What it answers is the library's: this crate reads
//! requests, asks the facade, and shows the answer as each microversion has it.
//!
//! How it is made:
//!
//! - `route::table` has every operation once: method, path, first microversion, policy, body,
//!   handler. The router, the policy and the OpenAPI document are made of it.
//! - `serve::answer` is the way of each request: limits, identity, microversion, policy, body,
//!   handler, headers.
//! - `fault` turns each typed error into its status and kind, in one place.
//! - `views` show values; what a server has from which microversion on is a table.
//!
//! ```
//! use cellzero::{Config, ControlPlane};
//! use cellzero_compute_api::{Api, ApiOptions};
//!
//! # async fn example(directory: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! let plane = ControlPlane::open(Config::embedded(directory)).await?;
//! let api = Api::new(plane.clone(), ApiOptions::development());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! api.serve(listener, async { /* ends at once; a signal in earnest */ }).await;
//! plane.close().await?;
//! # Ok(())
//! # }
//! # let directory = tempfile::tempdir().unwrap();
//! # tokio::runtime::Runtime::new().unwrap().block_on(example(directory.path())).unwrap();
//! ```

mod action;
mod auth;
mod call;
mod discovery;
mod fault;
mod handlers;
mod negotiate;
mod openapi;
mod options;
mod policy;
mod query;
mod route;
mod schema;
mod serve;
mod ui;
mod views;

pub use auth::{
    AuthError, Authenticate, FixedTokens, Identity, Keystone, KeystoneOptions, NoAuth, OptionsError,
};
pub use options::ApiOptions;
pub use policy::{Policy, Role};
pub use route::{Operation, operations};
pub use serve::Api;
