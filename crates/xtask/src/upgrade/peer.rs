//! A process of the plane, as the run sees it: one order and one answer at a time.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::plane::Plane;

/// A running process.
#[derive(Debug)]
pub(crate) struct Peer {
    name: &'static str,
    child: Arc<Mutex<Child>>,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Why an order has no result.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The plane refused it or could not do it.
    Refused(String),
    /// The process is gone, and nobody knows what it did.
    Gone,
}

/// Kills a process, whoever waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Killer(Arc<Mutex<Child>>);

impl Killer {
    pub(crate) fn kill(&self) -> anyhow::Result<()> {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        child.kill().context("a peer cannot be killed")
    }
}

impl Peer {
    /// Starts one and waits until it has opened the plane.
    pub(crate) fn start(name: &'static str, program: &Path, plane: &Plane) -> anyhow::Result<Peer> {
        let mut child = Command::new(program)
            .env("CELLZERO_PEER_API_URL", plane.api_url())
            .env("CELLZERO_PEER_CELL0_URL", plane.cell0_url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let orders = child.stdin.take().context("a peer has no standard input")?;
        let answers = child.stdout.take().context("a peer has no standard output")?;
        let child = Arc::new(Mutex::new(child));
        let mut peer = Peer { name, child, orders: Some(orders), answers: BufReader::new(answers) };
        let mut opened = String::new();
        peer.answers.read_line(&mut opened)?;
        if !opened.contains("open") {
            bail!("{name} did not open the plane");
        }
        Ok(peer)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.child))
    }

    /// Gives an order and waits for its answer.
    pub(crate) fn order(&mut self, order: &Value) -> Result<Value, NoAnswer> {
        let Some(orders) = &mut self.orders else { return Err(NoAnswer::Gone) };
        let mut line = String::new();
        let told = writeln!(orders, "{order}").and_then(|()| self.answers.read_line(&mut line));
        if told.is_err() || !line.ends_with('\n') {
            return Err(NoAnswer::Gone);
        }
        let mut answer: Value = serde_json::from_str(&line).map_err(|_| NoAnswer::Gone)?;
        match answer.get("error") {
            Some(error) => Err(NoAnswer::Refused(error.to_string())),
            None => Ok(answer["ok"].take()),
        }
    }

    /// The same of an order that has to succeed.
    pub(crate) fn ask(&mut self, order: &Value) -> anyhow::Result<Value> {
        match self.order(order) {
            Ok(answer) => Ok(answer),
            Err(NoAnswer::Refused(why)) => bail!("{}: {order}: {why}", self.name),
            Err(NoAnswer::Gone) => bail!("{}: {order}: the process is gone", self.name),
        }
    }

    /// Every instance with its status.
    pub(crate) fn list(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let listed = self.ask(&serde_json::json!({ "do": "list" }))?;
        rows(&listed).context("a list has rows of two texts, each uuid once")
    }

    /// Lets it end what it does.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        drop(self.orders.take());
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let status = child.wait().context("cannot wait for a peer")?;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        Ok(())
    }

    /// Waits for the end of one that was killed.
    pub(crate) fn reap(self) -> anyhow::Result<()> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.wait().context("cannot wait for a peer")?;
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have ended, and then there is nobody to kill.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The rows of a list by uuid; none where one comes twice.
pub(crate) fn rows(listed: &Value) -> Option<BTreeMap<String, String>> {
    let listed = listed.as_array()?;
    let rows: Option<BTreeMap<String, String>> = listed
        .iter()
        .map(|row| Some((row[0].as_str()?.to_owned(), row[1].as_str()?.to_owned())))
        .collect();
    rows.filter(|rows| rows.len() == listed.len())
}
