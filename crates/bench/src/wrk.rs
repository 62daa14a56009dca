//! Runs `wrk`, and reads what it prints.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

/// What a load came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) per_second: f64,
}

/// Asks for one URL over so many connections for so long; fails where an answer is no success.
pub(crate) async fn wrk(url: &str, connections: u32, time: Duration) -> anyhow::Result<Load> {
    let mut command = Command::new("wrk");
    command.args(["--latency", "--threads", "1", "--connections", &connections.to_string()]);
    command.args(["--timeout", "10s", "--duration", &format!("{}s", time.as_secs())]);
    command.args(["--header", "OpenStack-API-Version: compute 2.100", url]).kill_on_drop(true);
    let output =
        command.output().await.context("cannot run wrk; on Debian: apt-get install wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk ended with {}: {text}", output.status);
    read(&text).with_context(|| format!("{url}: {text}"))
}

fn read(text: &str) -> anyhow::Result<Load> {
    if let Some(errors) =
        text.lines().find(|line| line.contains("Non-2xx") || line.contains("errors"))
    {
        bail!("{}", errors.trim());
    }
    let after = |start: &str| {
        let mut lines = text.lines().map(str::trim);
        let line = lines.find_map(|line| line.strip_prefix(start)).map(str::trim);
        line.with_context(|| format!("no {start}"))
    };
    Ok(Load {
        p50: duration(after("50%")?)?,
        p99: duration(after("99%")?)?,
        per_second: after("Requests/sec:")?.parse()?,
    })
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let unit = text.find(|letter: char| letter.is_ascii_alphabetic()).context("a unit")?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => bail!("{text}: us, ms, s and m are known"),
    };
    Ok(Duration::from_secs_f64(number.parse::<f64>()? * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 1 connections\n  \
         Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   412.00us   99.00us   2.10ms   \
         90.00%\n  Latency Distribution\n     50%  385.00us\n     75%  420.00us\n     90%  500.00us\n     \
         99%    1.25ms\n  4800 requests in 2.00s, 3.10MB read\nRequests/sec:   2400.50\n\
         Transfer/sec:      1.55MB\n";

    #[test]
    fn what_wrk_prints_is_read() {
        let load = read(SAID).unwrap();
        let (p50, p99) = (Duration::from_micros(385), Duration::from_micros(1_250));
        assert_eq!(load, Load { p50, p99, per_second: 2400.5 });
    }

    #[test]
    fn an_answer_that_is_no_success_fails() {
        let said = format!("{SAID}  Non-2xx or 3xx responses: 3\n");
        assert!(read(&said).is_err());
    }
}
