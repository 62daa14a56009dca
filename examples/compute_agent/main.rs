//! A reference compute agent: it receives the operations of one host, builds and destroys by note in a
//! file alone, and reports.
//!
//! `cargo run --example compute_agent -- --transport-url rabbit://user:password@broker/cell1 --host host1`.
//! A control plane with an `AmqpDispatch` and a `ReportConsumer` is at the other end; `docs/dispatch.md`
//! says what an agent must do, and this one does it: each operation is applied once, in order, and
//! acknowledged after its effect and its report are safe. It may be killed at any time and started again.

pub(crate) mod agent;
pub(crate) mod journal;

use std::path::PathBuf;
use std::time::Duration;

use cellzero::ComputeNode;
use cellzero_amqp::AmqpOptions;
use clap::Parser;

use agent::{Agent, Knobs};
use journal::Journal;

/// A simulated compute host.
#[derive(Debug, Parser)]
struct Arguments {
    /// The broker of the host's cell, as in the cell's mapping
    #[arg(long, env = "CELLZERO_TRANSPORT_URL", hide_env_values = true)]
    transport_url: String,
    /// The host's name, unique in the plane
    #[arg(long)]
    host: String,
    /// The file that says what is built; it survives restarts
    #[arg(long, default_value = "compute_agent.jsonl")]
    state: PathBuf,
    /// Let every nth build fail; 0 lets none
    #[arg(long, default_value_t = 0)]
    fail_every: u64,
    /// How long a build takes, in milliseconds
    #[arg(long, default_value_t = 0)]
    build_ms: u64,
    /// Seconds between two reports of the host's size
    #[arg(long, default_value_t = 30)]
    report_every: u64,
    /// Physical processors
    #[arg(long, default_value_t = 8)]
    vcpus: i32,
    /// Memory, in MiB
    #[arg(long, default_value_t = 16_384)]
    memory_mb: i32,
    /// Disk, in GiB
    #[arg(long, default_value_t = 200)]
    disk_gb: i32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let node =
        ComputeNode::new(&arguments.host, arguments.vcpus, arguments.memory_mb, arguments.disk_gb);
    let knobs = Knobs {
        fail_every: arguments.fail_every,
        build_time: Duration::from_millis(arguments.build_ms),
        report_every: Duration::from_secs(arguments.report_every.max(1)),
    };
    let journal = Journal::open(&arguments.state)?;
    println!("{} has {} instances", arguments.host, journal.running().len());
    let mut agent = Agent::new(arguments.transport_url, node, knobs, journal);
    agent.run(&AmqpOptions::default(), |line| println!("{line}")).await
}
