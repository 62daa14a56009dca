//! The whole plane, on each of the three backends.

mod boot;
mod identity;
mod nova;
mod schema;
mod support;
