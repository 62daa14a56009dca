//! What the calls of the library take within the requests of a process that serves, as the library
//! itself records it: two processes differ by more than HTTP may add, one request does not.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use crate::call::{Call, middle};

/// How many calls of an operation are kept: more than a turn has. What comes after them is passed
/// over, so that a long load does not grow by them.
const KEPT_MAX: usize = 10_000;

/// What each operation took since it was last asked for.
static TOOK: LazyLock<Mutex<HashMap<String, Vec<Duration>>>> = LazyLock::new(Mutex::default);

/// From now on what the operations of this process take is kept.
pub(crate) fn install() -> anyhow::Result<()> {
    metrics::set_global_recorder(Operations).ok().context("the process has a recorder already")
}

/// What the library's calls in a request took in the middle since this was last asked for; none where
/// one of them was not made. Calls that are made at once count as the longest of them.
pub(crate) fn take(call: Call) -> Option<Duration> {
    let mut took = std::mem::take(&mut *TOOK.lock().unwrap_or_else(PoisonError::into_inner));
    let mut of = |operation: &str| took.remove(operation).map(middle);
    Some(match call {
        Call::Show(_) => of("show")?.max(of("request_specs")?) + of("host_statuses")?,
        Call::Names(_) => of("list")?,
        Call::List(_) => of("list")? + of("request_specs")?.max(of("host_statuses")?),
    })
}

struct Operations;

impl Recorder for Operations {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        if key.name() != "cellzero_operation_seconds" {
            return Histogram::noop();
        }
        let operation = key.labels().find(|label| label.key() == "operation");
        let operation = operation.map(|label| label.value().to_owned()).unwrap_or_default();
        Histogram::from_arc(Arc::new(Operation(operation)))
    }
}

struct Operation(String);

impl HistogramFn for Operation {
    fn record(&self, seconds: f64) {
        let mut took = TOOK.lock().unwrap_or_else(PoisonError::into_inner);
        let times = took.entry(self.0.clone()).or_default();
        if times.len() < KEPT_MAX {
            times.push(Duration::from_secs_f64(seconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_calls_at_once_the_longest_counts_and_all_are_told_once() {
        let millis = Duration::from_millis;
        for (operation, took) in
            [("list", [10, 30, 20]), ("request_specs", [1, 2, 3]), ("host_statuses", [7, 5, 6])]
        {
            let operation = Operation(operation.to_owned());
            for took in took.map(millis) {
                operation.record(took.as_secs_f64());
            }
        }
        assert_eq!(take(Call::List(10)), Some(millis(20) + millis(6)));
        assert_eq!(take(Call::List(10)), None);
        Operation("list".to_owned()).record(0.02);
        assert_eq!(take(Call::List(10)), None, "two of its three calls are missing");
    }
}
