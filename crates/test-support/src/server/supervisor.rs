//! The supervisor: a small shell script that outlives its starter just long enough to clean up.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail};

use super::account::Account;

const SCRIPT: &str = include_str!("supervisor.sh");

/// How a server is told to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndSignals {
    /// For a clean stop that keeps the data: `INT` or `TERM`.
    pub(crate) stop: &'static str,
    /// For the end of everything, where the data is thrown away: as fast as leaves nothing behind.
    pub(crate) discard: &'static str,
}

/// A running supervisor, which owns a server's folder and, while it runs, the server.
///
/// Dropping it, or the end of this process in any way, kills the server and removes the folder.
#[derive(Debug)]
pub(crate) struct Supervisor {
    child: Child,
    orders: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

impl Supervisor {
    /// Starts the supervisor of `home`; from here on the folder goes away with this process.
    pub(crate) fn spawn(
        home: &Path,
        signals: EndSignals,
        account: Option<Account>,
        server: &Command,
    ) -> anyhow::Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg("supervisor.sh");
        command.arg(home).args([signals.stop, signals.discard]);
        command.arg(server.get_program()).args(server.get_args());
        command.env("LC_ALL", "C");
        // A group of its own: Ctrl-C at the terminal ends the tests, and they end the supervisor.
        command.process_group(0);
        // The standard error is not inherited, or a reader of the tests' output would wait for
        // the server's end.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(account) = account {
            account.apply(&mut command);
        }
        let mut child = command.spawn().context("cannot start the server's supervisor")?;
        let (Some(orders), Some(replies)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the supervisor has no pipes");
        };
        Ok(Self { child, orders: Some(orders), replies: BufReader::new(replies) })
    }

    /// Starts the server on `port` and returns its first process; it is not ready yet.
    pub(crate) fn start(&mut self, port: u16) -> anyhow::Result<u32> {
        let reply = self.order(&format!("start {port}"))?;
        let pid = reply.strip_prefix("started ").and_then(|pid| pid.parse().ok());
        pid.with_context(|| format!("the supervisor answered {reply:?}"))
    }

    /// Ends the server cleanly, and by force after the script's limit of 10 seconds.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.order("stop").map(drop)
    }

    /// Ends the server as a power cut would.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.order("kill").map(drop)
    }

    fn order(&mut self, order: &str) -> anyhow::Result<String> {
        let orders = self.orders.as_mut().context("the supervisor has ended")?;
        writeln!(orders, "{order}").context("the supervisor takes no orders")?;
        let mut reply = String::new();
        self.replies.read_line(&mut reply).context("the supervisor does not answer")?;
        if reply.is_empty() {
            bail!("the supervisor ended at the order {order:?}");
        }
        Ok(reply.trim_end().to_owned())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // The end of its input is the supervisor's order to discard everything.
        drop(self.orders.take());
        // Waiting has the script's own limits; a failure to wait leaves nothing to do here.
        let _ = self.child.wait();
    }
}
