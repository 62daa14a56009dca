//! A process that serves the compute API, or calls the library, and does nothing else.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cellzero::{Config, ControlPlane};
use cellzero_compute_api::{Api, ApiOptions, Identity, NoAuth, Role};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::call::Call;
use crate::load::{DEADLINE, TURN};
use crate::plane::PROJECT;
use crate::process::status_mb_of;
use crate::within;

/// The variable that makes this program such a process, for the plane of this API database.
pub(crate) const API_DATABASE: &str = "CELLZERO_BENCH_SERVE";

/// Before a call that is not to be made, but of which it is said what it took within requests.
const WITHIN: &str = "within ";

/// glibc's bounds for what it gives back to the system (docs/performance.md): a process that writes
/// long answers comes to them by itself, one that only calls the library does not.
const TUNABLES: &str = "GLIBC_TUNABLES";
const BOUNDS: &str = "glibc.malloc.trim_threshold=67108864:glibc.malloc.mmap_threshold=4194304";

/// Such a process; killed with it.
pub(crate) struct Served {
    process: Child,
    said: BufReader<ChildStdout>,
    port: u16,
}

impl Served {
    pub(crate) fn start(api: &str) -> anyhow::Result<Served> {
        let program = std::env::current_exe().context("the path of this program")?;
        let mut command = Command::new(program);
        command
            .env(API_DATABASE, api)
            .env(TUNABLES, BOUNDS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = command.spawn().context("cannot run the process that serves")?;
        let said = BufReader::new(process.stdout.take().context("piped")?);
        let mut served = Served { process, said, port: 0 };
        served.port = served.number()?;
        Ok(served)
    }

    /// The middle of what a turn of calls of the library takes it, without HTTP.
    pub(crate) fn ask(&mut self, call: Call) -> anyhow::Result<Duration> {
        self.answer(&call.to_string())
    }

    /// The middle of what the library's calls in its requests took since this was last asked for;
    /// nothing where one of them was not made.
    pub(crate) fn within(&mut self, call: Call) -> anyhow::Result<Duration> {
        self.answer(&format!("{WITHIN}{call}"))
    }

    fn answer(&mut self, line: &str) -> anyhow::Result<Duration> {
        let input = self.process.stdin.as_mut().context("piped")?;
        writeln!(input, "{line}").context("the process that serves has ended")?;
        Ok(Duration::from_nanos(self.number()?))
    }

    /// The next line that it prints.
    fn number<T: FromStr>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        line.trim().parse().ok().with_context(|| format!("{line:?} is no number"))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it holds now, in megabytes.
    pub(crate) fn memory_mb(&self) -> anyhow::Result<f64> {
        status_mb_of(&self.process.id().to_string(), "VmRSS:")
    }

    /// How many threads and open files it has.
    pub(crate) fn threads_and_files(&self) -> anyhow::Result<(usize, usize)> {
        let count = |of: &str| -> anyhow::Result<usize> {
            Ok(std::fs::read_dir(format!("/proc/{}/{of}", self.process.id()))?.count())
        };
        Ok((count("task")?, count("fd")?))
    }

    /// Ends it by the end of its input.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        drop(self.process.stdin.take());
        let status = self.process.wait()?;
        ensure!(status.success(), "the process that serves ended with {status}");
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Such a process: prints its port, then for each call that it reads what it takes the library; ends
/// with its input.
pub(crate) fn child(api: &str) -> anyhow::Result<()> {
    within::install()?;
    let (tell, calls) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lines().map_while(Result::ok);
        // Nobody asks any more where it cannot be told.
        lines.map(|line| tell.send(line)).take_while(Result::is_ok).for_each(drop);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let plane = ControlPlane::open(Config::new(api).without_worker()).await?;
        let everybody = Identity::new(PROJECT, "bench-user", Role::Admin);
        let mut options = ApiOptions::new(NoAuth::new(everybody));
        options.request_timeout = DEADLINE;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        let mut called = Ok(());
        let end = async { called = call_library(&plane, calls).await };
        Api::new(plane.clone(), options).serve(listener, end).await;
        called?;
        plane.close().await?;
        Ok(())
    })
}

async fn call_library(
    plane: &ControlPlane,
    mut calls: mpsc::UnboundedReceiver<String>,
) -> anyhow::Result<()> {
    while let Some(line) = calls.recv().await {
        let took = match line.strip_prefix(WITHIN) {
            // Nothing where not all of it was asked for.
            Some(call) => within::take(call.parse()?).unwrap_or_default(),
            None => line.parse::<Call>()?.alone(plane.clone(), TURN).await?,
        };
        println!("{}", took.as_nanos());
    }
    Ok(())
}
