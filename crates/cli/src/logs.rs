//! Logs on stderr: warnings, notifications where they are asked for, and with `--verbose` everything
//! that Cellzero itself says.

use std::io::{Stderr, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::failure::masked;

/// Installs the subscriber of this process.
pub(crate) fn start(verbose: bool) {
    let own = if verbose { LevelFilter::DEBUG } else { LevelFilter::WARN };
    // Drivers log what they send; only their warnings are shown.
    // Notifications come only where `--notify log` is given.
    let targets = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("cellzero", own)
        .with_target("cellzero::notification", LevelFilter::INFO.max(own));
    let stderr = || Masked(std::io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(stderr);
    tracing_subscriber::registry().with(lines).with(targets).init();
}

/// Writes events, each at once, without the passwords that a driver may have put into them.
struct Masked(Stderr);

impl Write for Masked {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(masked(&String::from_utf8_lossy(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
