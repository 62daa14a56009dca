//! The compute API in front of planes on real databases.

mod contract;
mod discovery;
mod lists;
mod others;
mod support;
