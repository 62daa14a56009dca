//! An orchestrator process as the driver sees it: started, given orders, killed, stopped.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::orchestrator::{API_URL, Decided, ENDED, OPEN};
use crate::order::{Answer, CLIENT_TIMEOUT, Numbered, Order};
use crate::plane::Opening;

/// How long a client waits for a process: a little longer than the process for its databases.
const ANSWER_LIMIT: Duration = Duration::from_secs(CLIENT_TIMEOUT.as_secs() + 2);
/// How long a process may take to end what it does when it is asked to.
const END_LIMIT: Duration = Duration::from_secs(60);

/// How all processes of a run are started.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) opening: Opening,
    pub(crate) effects: PathBuf,
    /// Where each process writes its warnings.
    pub(crate) folder: PathBuf,
    pub(crate) restless: bool,
}

/// What is shared with the thread that reads the answers.
#[derive(Debug, Default)]
struct Answers {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    is_open: std::sync::atomic::AtomicBool,
    decided: Mutex<Option<Decided>>,
}

/// A place for one process: whoever runs there now.
#[derive(Debug)]
pub(crate) struct Slot {
    name: String,
    recipe: Recipe,
    running: Mutex<Option<Running>>,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct Running {
    child: Child,
    orders: Option<ChildStdin>,
    answers: Arc<Answers>,
    reader: std::thread::JoinHandle<()>,
}

impl Slot {
    /// An empty place.
    pub(crate) fn new(number: usize, recipe: Recipe) -> Slot {
        let name = format!("orchestrator{number}");
        Slot { name, recipe, running: Mutex::default(), numbers: AtomicU64::new(OPEN + 1) }
    }

    /// Starts a process here; it opens the plane by itself.
    pub(crate) fn start(&self) -> anyhow::Result<()> {
        let path = self.recipe.folder.join(format!("{}.log", self.name));
        let log = File::options().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot open {}", path.display()))?;
        let program = std::env::current_exe().context("this program has no path")?;
        let mut command = Command::new(program);
        command.arg("orchestrator").arg("--name").arg(&self.name);
        command.arg("--effects").arg(&self.recipe.effects);
        command.arg("--lease-ms").arg(self.recipe.opening.lease.as_millis().to_string());
        if self.recipe.restless {
            command.arg("--restless");
        }
        command.env(API_URL, &self.recipe.opening.api_url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().context("cannot start an orchestrator")?;
        let orders = child.stdin.take();
        let output = child.stdout.take().context("an orchestrator has no output")?;
        let answers = Arc::new(Answers::default());
        let shared = Arc::clone(&answers);
        let reader = std::thread::spawn(move || read_answers(output, &shared));
        *self.lock() = Some(Running { child, orders, answers, reader });
        Ok(())
    }

    /// Gives an order to the process here, and waits for its answer a while.
    pub(crate) async fn order(&self, order: Order) -> Answer {
        let Some(answer) = self.send(order) else { return unknown("no process is there") };
        match tokio::time::timeout(ANSWER_LIMIT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => unknown("the process has ended"),
            Err(_) => unknown("the process does not answer"),
        }
    }

    /// Whether the process here has opened the plane.
    pub(crate) fn is_open(&self) -> bool {
        let running = self.lock();
        running.as_ref().is_some_and(|running| running.answers.is_open.load(Ordering::Relaxed))
    }

    /// Ends the process as a power cut would.
    ///
    /// # Errors
    /// Where it has ended by itself.
    pub(crate) fn kill(&self) -> anyhow::Result<()> {
        let Some(mut running) = self.lock().take() else { bail!("{} does not run", self.name) };
        if let Some(status) = running.child.try_wait().context("cannot look at a process")? {
            bail!("{} has ended by itself: {status}", self.name);
        }
        running.child.kill().context("cannot kill a process")?;
        running.child.wait().context("cannot wait for a process")?;
        // Its last answers are read before anything else happens to it.
        running.reader.join().map_err(|_| anyhow::anyhow!("the reader of {} failed", self.name))
    }

    /// Freezes the process here, or lets it go on.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let mut running = self.lock();
        let Some(running) = running.as_mut() else { bail!("{} does not run", self.name) };
        if let Some(status) = running.child.try_wait().context("cannot look at a process")? {
            bail!("{} has ended by itself: {status}", self.name);
        }
        let raw = i32::try_from(running.child.id()).context("a process id is too large")?;
        let pid = Pid::from_raw(raw).context("a process id is zero")?;
        kill_process(pid, signal).context("cannot signal a process")
    }

    /// Lets the process end what it does; says what it decided, where it counts.
    pub(crate) fn end(&self) -> anyhow::Result<Decided> {
        let Some(mut running) = self.lock().take() else { bail!("{} does not run", self.name) };
        drop(running.orders.take());
        let deadline = Instant::now() + END_LIMIT;
        let status = loop {
            match running.child.try_wait().context("cannot look at a process")? {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    running.child.kill().context("cannot kill a process")?;
                    bail!("{} did not end within {END_LIMIT:?}", self.name);
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        running.reader.join().map_err(|_| anyhow::anyhow!("the reader of {} failed", self.name))?;
        let decided = running.answers.decided.lock().unwrap_or_else(PoisonError::into_inner).take();
        decided.with_context(|| format!("{} did not say what it decided", self.name))
    }

    fn send(&self, order: Order) -> Option<oneshot::Receiver<Answer>> {
        let mut running = self.lock();
        let running = running.as_mut()?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let line = serde_json::to_string(&Numbered { number, what: order }).ok()?;
        let (sender, receiver) = oneshot::channel();
        lock(&running.answers.waiting).insert(number, sender);
        // A process that has just been killed reads no more; then nobody answers.
        let written = writeln!(running.orders.as_mut()?, "{line}");
        if written.is_err() {
            lock(&running.answers.waiting).remove(&number);
        }
        Some(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        lock(&self.running)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unknown(why: &str) -> Answer {
    Answer::Unknown { why: why.to_owned() }
}

/// Hands out the answers of a process until it ends; who still waits then is told so.
fn read_answers(output: ChildStdout, answers: &Answers) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        // A process that is killed may leave half a line.
        let Ok(Numbered { number, what }) = serde_json::from_str::<Numbered<Value>>(&line) else {
            continue;
        };
        match number {
            OPEN => answers.is_open.store(true, Ordering::Relaxed),
            ENDED => *lock(&answers.decided) = serde_json::from_value(what).ok(),
            _ => {
                let sender = lock(&answers.waiting).remove(&number);
                if let (Some(sender), Ok(answer)) = (sender, serde_json::from_value(what)) {
                    // Who has given up waiting wants no answer.
                    let _ = sender.send(answer);
                }
            }
        }
    }
    lock(&answers.waiting).clear();
}
