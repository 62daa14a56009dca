//! For tests: real databases, throwaway servers, fixtures, invariants.
//!
//! A test asks for a database of an [`Engine`] with [`create_database`], for a plane that Nova made
//! with [`nova_plane`], or for a server of its own that it may stop or freeze with [`private`].
//! A RabbitMQ broker comes from [`shared_broker`] and [`private_broker`].
//! Where an engine is not available they give none, and the process says so in one line.
//!
//! The servers are this process's own and end with it, unless the environment names others
//! (`cargo xtask test` does): `CELLZERO_TEST_POSTGRES` and `CELLZERO_TEST_MARIADB` hold a URL with
//! user and password, `…_CA` and `…_UNTRUSTED_CA` behind them the paths of two authorities.

mod admin;
mod binaries;
mod database;
mod disk;
mod engine;
mod nova;
mod proxy;
mod server;
mod session;
mod silent;
mod sql;

pub use database::{TestDatabase, create_database};
pub use disk::{Disk, Lasting};
pub use engine::Engine;
pub use nova::{NovaPlane, damaged_nova_plane, nova_plane};
pub use proxy::{Cut, Proxy};
pub use server::{
    Broker, Durability, PrivateServer, Server, ServerOptions, missing_broker, private,
    private_broker, shared, shared_broker,
};
pub use session::Session;
pub use silent::{SilentListener, silent_listener};
pub use sql::Row;
