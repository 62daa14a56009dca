//! The whole plane, on each of the three backends.

mod boot;
mod cost;
mod support;
