//! Tests of what all other tests stand on: servers, databases, the Nova-made plane.

mod broker;
mod databases;
mod nova;
mod servers;
mod supervisor;
mod tls;
