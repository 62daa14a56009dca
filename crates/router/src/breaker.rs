//! The breaker of a cell: one that stays silent is probed, not asked.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use cellzero_cell_db::CellDatabase;
use cellzero_database::{DatabaseError, Deadline, ErrorKind};
use cellzero_types::CellUuid;

/// How a silent cell is treated.
#[derive(Debug, Clone, Copy)]
pub struct BreakerOptions {
    /// How long a probe may take.
    pub probe_timeout: Duration,
    /// The time between the first probe and the second; it doubles from then on, with jitter.
    pub backoff_min: Duration,
    /// The longest time between two probes.
    pub backoff_max: Duration,
}

impl Default for BreakerOptions {
    fn default() -> BreakerOptions {
        BreakerOptions {
            probe_timeout: Duration::from_secs(2),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
        }
    }
}

/// Open from the first silence until a probe is answered. The first probe follows at once, so a
/// question that was too slow for its deadline opens it for no longer than a round trip.
#[derive(Debug)]
pub(crate) struct Breaker {
    cell: CellUuid,
    options: BreakerOptions,
    open: Mutex<Option<Open>>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    since: Instant,
    kind: ErrorKind,
}

impl Breaker {
    pub(crate) fn new(cell: CellUuid, options: BreakerOptions) -> Arc<Breaker> {
        Arc::new(Breaker { cell, options, open: Mutex::new(None) })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the cell is not asked, while it is not.
    pub(crate) fn refusal(&self) -> Option<DatabaseError> {
        let open = (*self.lock())?;
        let silent = open.since.elapsed().as_millis();
        Some(DatabaseError::not_asked(format!(
            "it has not answered for {silent} ms ({:?}); it is probed, and asked again when it \
             answers",
            open.kind
        )))
    }

    /// Takes what became of a question. Must be called within a runtime.
    pub(crate) fn note(self: &Arc<Self>, error: Option<&DatabaseError>, database: &CellDatabase) {
        let sign = Sign::of(error);
        match (sign, error.map(DatabaseError::kind)) {
            (Sign::Silence, Some(kind)) => {
                let opens = {
                    let mut open = self.lock();
                    let opens = open.is_none();
                    open.get_or_insert(Open { since: Instant::now(), kind });
                    opens
                };
                if opens {
                    tracing::warn!(cell = %self.cell, ?kind, "a cell is silent; it is probed");
                    tokio::spawn(probe(Arc::downgrade(self), database.clone()));
                }
            }
            (Sign::Answer, _) => self.close(),
            _ => {}
        }
    }

    fn close(&self) {
        if let Some(open) = self.lock().take() {
            let silent_ms = open.since.elapsed().as_millis();
            tracing::info!(cell = %self.cell, silent_ms, "a cell answers again");
        }
    }
}

/// What the end of a question says of the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// It has answered, whatever it said.
    Answer,
    /// It has not.
    Silence,
    /// It may not have been asked at all.
    Nothing,
}

impl Sign {
    fn of(error: Option<&DatabaseError>) -> Sign {
        match error.map(DatabaseError::kind) {
            Some(
                ErrorKind::DeadlineExceeded | ErrorKind::CommitUnknown | ErrorKind::Unreachable,
            ) => Sign::Silence,
            // Connections that silent questions hold, or that broke, are no sign of life.
            Some(
                ErrorKind::PoolExhausted
                | ErrorKind::ConnectionLost
                | ErrorKind::Closed
                | ErrorKind::NotAsked,
            ) => Sign::Nothing,
            _ => Sign::Answer,
        }
    }
}

/// Probes until the cell answers, its breaker closed by itself, or nobody needs it any more.
async fn probe(held: Weak<Breaker>, database: CellDatabase) {
    let Some(options) = held.upgrade().map(|breaker| breaker.options) else { return };
    let mut delays = ExponentialBuilder::new()
        .with_min_delay(options.backoff_min)
        .with_max_delay(options.backoff_max)
        .with_jitter()
        .without_max_times()
        .build();
    loop {
        let deadline = Deadline::after(options.probe_timeout);
        let answer = database.probe(deadline).await;
        let Some(breaker) = held.upgrade() else { return };
        let error = answer.as_ref().err();
        if Sign::of(error) == Sign::Answer {
            breaker.close();
        }
        let is_closed = error.is_some_and(|error| error.kind() == ErrorKind::Closed);
        if is_closed || breaker.lock().is_none() {
            return;
        }
        drop(breaker);
        tokio::time::sleep(delays.next().unwrap_or(options.backoff_max)).await;
        // Another question may have been answered meanwhile.
        if held.upgrade().is_none_or(|breaker| breaker.lock().is_none()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cellzero_database::{DatabaseUrl, Options};
    use rstest::rstest;
    use uuid::Uuid;

    /// A cell whose server refuses every connection.
    fn refused() -> CellDatabase {
        let url = DatabaseUrl::parse("postgres://nobody:secret@127.0.0.1:1/none").unwrap();
        CellDatabase::new(url, Options::default())
    }

    #[rstest]
    #[tokio::test]
    async fn silence_opens_it_and_what_is_no_answer_leaves_it_open() {
        let breaker = Breaker::new(CellUuid(Uuid::from_u128(1)), BreakerOptions::default());
        let database = refused();
        let ask = async |database: &CellDatabase| {
            let deadline = Deadline::after(Duration::from_secs(5));
            database.run("ask", deadline, |conn| conn.ping()).await.unwrap_err()
        };
        assert!(breaker.refusal().is_none());
        let unreachable = ask(&database).await;
        assert_eq!(Sign::of(Some(&unreachable)), Sign::Silence);
        breaker.note(Some(&unreachable), &database);
        assert_eq!(breaker.refusal().unwrap().kind(), ErrorKind::NotAsked);
        let not_asked = breaker.refusal().unwrap();
        breaker.note(Some(&not_asked), &database);
        database.close().await;
        let closed = ask(&database).await;
        assert_eq!(closed.kind(), ErrorKind::Closed);
        breaker.note(Some(&closed), &database);
        assert!(breaker.refusal().is_some(), "nobody has answered");
        breaker.note(Some(&DatabaseError::damaged("a row")), &database);
        assert!(breaker.refusal().is_none(), "it has answered, whatever it said");
    }
}
