//! `cargo xtask upgrade`: a rolling upgrade, on the three backends. Processes of the version before
//! and of this one work on the same plane, while the schema is migrated under them.
//!
//! A peer of the version before makes the plane and works on it with another one. In the middle
//! `cellzero db sync` of this version expands the schema; peers of this version join; one of the old
//! ones is killed and the other is stopped, and at last one is started once more. Each boots, deletes
//! and lists all the while, and every answer is held against what was promised before.

mod build;
mod history;
mod peer;
mod plane;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cellzero_test_support::Engine;
use serde_json::json;

use crate::install::install_missing_servers;
use build::Binaries;
use history::History;
use peer::Peer;
use plane::Plane;

/// The last commit of the version before: schema version 2 of both kinds of database. It stands here
/// rather than as a tag, since a clone may have none.
const OLD_REVISION: &str = "2e72c32";

/// How long what is under way may take to come to rest.
const REST_LIMIT: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Boot requests for each backend
    #[arg(long, default_value_t = 240)]
    boots: u64,
    /// What the order of operations is made of
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The commit of the version before
    #[arg(long, default_value = OLD_REVISION)]
    from: String,
    /// Only these backends
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres,mariadb")]
    backends: Vec<String>,
}

/// Builds both versions and runs the upgrade on each backend; fails where a promise was broken.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    install_missing_servers()?;
    let binaries = Binaries::build(&arguments.from)?;
    let mut is_well = true;
    for name in &arguments.backends {
        let engine = Engine::ALL.into_iter().find(|engine| engine.name() == name);
        let engine = engine.with_context(|| format!("{name} is no backend"))?;
        let began = Instant::now();
        let run = Run { binaries: &binaries, engine, boots: arguments.boots, seed: arguments.seed };
        let outcome = run.upgrade()?;
        println!("{}: {outcome}, {:.1} s", engine.name(), began.elapsed().as_secs_f64());
        is_well &= outcome.is_well();
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One backend.
struct Run<'a> {
    binaries: &'a Binaries,
    engine: Engine,
    boots: u64,
    seed: u64,
}

/// What came of it.
struct Outcome {
    history: Arc<History>,
    /// Schema versions before and after, as the databases record them.
    versions: (String, String),
    findings: Vec<String>,
}

impl Outcome {
    fn is_well(&self) -> bool {
        self.findings.is_empty() && self.history.broken().is_empty()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (before, after) = &self.versions;
        write!(f, "schema {before} to {after}, {}", self.history.summary())?;
        write!(f, ", {} findings of fsck", self.findings.len())?;
        self.findings.iter().try_for_each(|finding| write!(f, "\n  fsck: {finding}"))?;
        self.history.broken().iter().try_for_each(|broken| write!(f, "\n  broken: {broken}"))
    }
}

impl Run<'_> {
    fn upgrade(&self) -> anyhow::Result<Outcome> {
        let plane = Plane::new(self.engine)?;
        let mut first = Peer::start("old1", &self.binaries.old, &plane)?;
        first.ask(&json!({ "do": "make", "cells": plane.cell_urls() }))?;
        let before = plane.schema_version()?;
        let second = Peer::start("old2", &self.binaries.old, &plane)?;

        let history = Arc::new(History::default());
        let boots = Arc::new(AtomicU64::new(0));
        let work = |peer: Peer, number: u64| {
            Worker::start(peer, Arc::clone(&history), Arc::clone(&boots), self.seed * 100 + number)
        };
        let (first, second) = (work(first, 1), work(second, 2));
        let wait = |share: u64| wait_for(&boots, self.boots * share / 6);
        wait(1)?;
        // Expand, while the old ones work.
        self.binaries.sync(&plane)?;
        let after = plane.schema_version()?;
        ensure!(before != after, "this version has no schema of its own: {after}");
        wait(2)?;
        // Deploy, one process after another.
        let third = work(Peer::start("new1", &self.binaries.new, &plane)?, 3);
        wait(3)?;
        first.kill()?;
        let fourth = work(Peer::start("new2", &self.binaries.new, &plane)?, 4);
        wait(4)?;
        second.stop()?;
        wait(5)?;
        // One of the version before is started once more on the new schema: an upgrade that is
        // called off.
        let back = work(Peer::start("old3", &self.binaries.old, &plane)?, 5);
        wait(6)?;
        let old = back.hand_back()?;
        let new = third.hand_back()?;
        fourth.stop()?;
        let findings = come_to_rest(&history, [old, new])?;
        Ok(Outcome { history, versions: (before, after), findings })
    }
}

fn wait_for(boots: &AtomicU64, count: u64) -> anyhow::Result<()> {
    let limit = Instant::now() + Duration::from_secs(300);
    while boots.load(Ordering::Relaxed) < count {
        ensure!(Instant::now() < limit, "{count} boots were not reached");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Both versions look at the plane at rest: every instance stands where it should, by either.
fn come_to_rest(history: &History, peers: [Peer; 2]) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut seen = Vec::new();
    for mut peer in peers {
        let limit = Instant::now() + REST_LIMIT;
        let listed = loop {
            peer.ask(&json!({ "do": "settle" }))?;
            let listed = peer.list()?;
            let is_building = listed.values().any(|status| status == "BUILD");
            if !is_building || Instant::now() > limit {
                break listed;
            }
            std::thread::sleep(Duration::from_millis(200));
        };
        history.check_rest(peer.name(), &listed);
        seen.push(listed);
        let found = peer.ask(&json!({ "do": "fsck" }))?;
        let found = found.as_array().context("findings")?;
        findings.extend(found.iter().map(|one| format!("{}: {one}", peer.name())));
        peer.stop()?;
    }
    ensure!(seen[0] == seen[1], "the two versions list different things at rest");
    Ok(findings)
}

/// A thread that gives one peer its orders, one after another.
struct Worker {
    ends: Arc<AtomicBool>,
    kills: peer::Killer,
    thread: std::thread::JoinHandle<anyhow::Result<Peer>>,
}

impl Worker {
    fn start(peer: Peer, history: Arc<History>, boots: Arc<AtomicU64>, seed: u64) -> Worker {
        let ends = Arc::new(AtomicBool::new(false));
        let kills = peer.killer();
        let told = Arc::clone(&ends);
        let thread = std::thread::spawn(move || drive(peer, &history, &boots, &told, seed));
        Worker { ends, kills, thread }
    }

    /// Ends its orders, and gives the peer back.
    fn hand_back(self) -> anyhow::Result<Peer> {
        self.ends.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(peer) => peer,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    fn stop(self) -> anyhow::Result<()> {
        self.hand_back()?.stop()
    }

    /// Kills the process in the middle of whatever it does.
    fn kill(self) -> anyhow::Result<()> {
        self.kills.kill()?;
        // Its last order has no answer.
        match self.hand_back() {
            Ok(peer) => peer.reap(),
            Err(_) => Ok(()),
        }
    }
}

fn drive(
    mut peer: Peer,
    history: &History,
    boots: &AtomicU64,
    ends: &AtomicBool,
    seed: u64,
) -> anyhow::Result<Peer> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        // An xorshift is random enough for an order of operations, and the same everywhere.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    };
    while !ends.load(Ordering::Relaxed) {
        match next() % 10 {
            0..5 => {
                let number = boots.fetch_add(1, Ordering::Relaxed);
                let flavor = if next() % 4 == 0 { "huge" } else { "fits" };
                history.boot(&mut peer, number, flavor, 1 + next() % 3)?;
            }
            5..7 => history.delete(&mut peer, next())?,
            7 => history.show(&mut peer, next())?,
            _ => history.list(&mut peer)?,
        }
    }
    Ok(peer)
}
