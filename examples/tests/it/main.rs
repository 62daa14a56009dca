//! The examples run to their end, and do what they say, on each of the three backends.

#[allow(dead_code)]
#[path = "../../boot_flow/main.rs"]
mod boot_flow;
#[allow(dead_code)]
#[path = "../../compute_agent/main.rs"]
mod compute_agent;
#[allow(dead_code)]
#[path = "../../embed/main.rs"]
mod embed;
#[allow(dead_code)]
#[path = "../../mixed_engines/main.rs"]
mod mixed_engines;
#[allow(dead_code)]
#[path = "../../own_scheduler/main.rs"]
mod own_scheduler;
#[allow(dead_code)]
#[path = "../../why/main.rs"]
mod why;

mod agents;
mod bodies;
mod rows;
mod runs;
