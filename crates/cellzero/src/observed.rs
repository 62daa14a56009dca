//! What is said of each operation of a plane to whoever watches: a span with the request, and with
//! instance and cell as far as they are known; a counter and a time.

use std::time::Instant;

use cellzero_types::{CellUuid, Home, InstanceUuid, RequestContext};
use tracing::{Instrument as _, Span, field};

/// Runs an operation of `ctx` in its span, and counts it.
pub(crate) async fn observed<T, E>(
    operation: &'static str,
    ctx: &RequestContext,
    instance: Option<InstanceUuid>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let span = tracing::info_span!(
        "operation",
        operation,
        request_id = %ctx.request_id,
        project = %ctx.project_id,
        instance = instance.map(field::display),
        cell = field::Empty,
    );
    counted(operation, work.instrument(span)).await
}

/// Runs an operation that nobody's request stands behind in its span, and counts it.
pub(crate) async fn observed_alone<T, E>(
    operation: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    observed_in(operation, (None, None), work).await
}

/// The same for one that is about a cell, or about an instance in it.
pub(crate) async fn observed_in<T, E>(
    operation: &'static str,
    (cell, instance): (Option<CellUuid>, Option<InstanceUuid>),
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let span = tracing::info_span!(
        "operation",
        operation,
        cell = cell.map(field::display),
        instance = instance.map(field::display),
    );
    counted(operation, work.instrument(span)).await
}

async fn counted<T, E>(
    operation: &'static str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let begun = Instant::now();
    let result = work.await;
    let outcome = if result.is_ok() { "ok" } else { "error" };
    metrics::histogram!("cellzero_operation_seconds", "operation" => operation)
        .record(begun.elapsed());
    metrics::counter!(
        "cellzero_operations_total", "operation" => operation, "outcome" => outcome
    )
    .increment(1);
    result
}

/// Says in the span of the operation which cell it is about.
pub(crate) fn note_home(home: Home) {
    if let Home::Cell(cell) = home {
        note_cell(cell);
    }
}

/// The same for a cell.
pub(crate) fn note_cell(cell: CellUuid) {
    Span::current().record("cell", field::display(cell));
}
