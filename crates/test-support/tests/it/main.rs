//! Tests of what all other tests stand on: servers, databases, the Nova-made plane.

mod databases;
mod nova;
mod servers;
mod supervisor;
mod tls;
