//! The process that serves the compute API and does nothing else.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use cellzero::{Config, ControlPlane};
use cellzero_compute_api::{Api, ApiOptions, Identity, NoAuth, Role};
use tokio::net::TcpListener;

use crate::load::DEADLINE;
use crate::plane::PROJECT;
use crate::process::status_mb_of;

/// The variable that makes this program the process that serves the plane of this API database.
pub(crate) const API_DATABASE: &str = "CELLZERO_BENCH_SERVE";

/// Such a process; killed with it.
pub(crate) struct Served {
    process: Child,
    port: u16,
}

impl Served {
    pub(crate) fn start(api: &str) -> anyhow::Result<Served> {
        let program = std::env::current_exe().context("the path of this program")?;
        let mut command = Command::new(program);
        command.env(API_DATABASE, api).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("cannot run the process that serves")?;
        let mut line = String::new();
        let said = process.stdout.take().context("piped")?;
        BufReader::new(said).read_line(&mut line)?;
        let port = line.trim().parse().with_context(|| format!("{line:?} is no port"))?;
        Ok(Served { process, port })
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

/// The process that serves: prints its port, and ends with its input.
pub(crate) fn child(api: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let plane = ControlPlane::open(Config::new(api).without_worker()).await?;
        let everybody = Identity::new(PROJECT, "bench-user", Role::Admin);
        let mut options = ApiOptions::new(NoAuth::new(everybody));
        options.request_timeout = DEADLINE;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        let end = async {
            // Whatever ends its input ends it.
            let read = || std::io::stdin().read_to_end(&mut Vec::new());
            let _ = tokio::task::spawn_blocking(read).await;
        };
        Api::new(plane.clone(), options).serve(listener, end).await;
        plane.close().await?;
        Ok(())
    })
}
