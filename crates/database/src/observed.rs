//! What is said of an operation to whoever watches: a span, a counter and a time, by operation and
//! database.

use std::sync::Arc;
use std::time::Instant;

/// An operation that runs.
pub(crate) struct Observed {
    operation: &'static str,
    database: Arc<str>,
    begun: Instant,
}

impl Observed {
    /// It begins now, on the database that is called so.
    pub(crate) fn begin(operation: &'static str, database: Arc<str>) -> Observed {
        Observed { operation, database, begun: Instant::now() }
    }

    /// Its span.
    pub(crate) fn span(&self) -> tracing::Span {
        let Observed { operation, database, .. } = self;
        tracing::debug_span!("database_operation", operation, database = &**database)
    }

    /// It has ended, well or not. An operation whose caller has gone before is not counted.
    pub(crate) fn end(self, is_ok: bool) {
        let Observed { operation, database, begun } = self;
        let outcome = if is_ok { "ok" } else { "error" };
        metrics::histogram!(
            "cellzero_database_operation_seconds",
            "operation" => operation, "database" => Arc::clone(&database)
        )
        .record(begun.elapsed());
        metrics::counter!(
            "cellzero_database_operations_total",
            "operation" => operation, "database" => database, "outcome" => outcome
        )
        .increment(1);
    }
}
