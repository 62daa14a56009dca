//! Warnings of a process, one line each, for whoever reads a run that failed.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::order::chain;

struct Log<W> {
    started: Instant,
    to: Mutex<W>,
}

/// Writes warnings and errors of this process there from now on.
pub(crate) fn to(writer: impl Write + Send + 'static) {
    let log = Log { started: Instant::now(), to: Mutex::new(writer) };
    // Fails where one is set already, and then that one is as good.
    let _ = tracing::subscriber::set_global_default(log);
}

/// The same, into a file.
pub(crate) fn to_file(path: &Path) -> anyhow::Result<()> {
    to(File::create(path).with_context(|| format!("cannot make {}", path.display()))?);
    Ok(())
}

impl<W: Write + Send + 'static> Subscriber for Log<W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.is_event()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = format!("{:9.3} ", self.started.elapsed().as_secs_f64());
        event.record(&mut Line(&mut line));
        line.push('\n');
        // A log that cannot be written is no reason to end.
        let _ = self.to.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let _ = write!(self.0, " {field}={}", chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        // Writing to a string does not fail.
        let _ = written;
    }
}
