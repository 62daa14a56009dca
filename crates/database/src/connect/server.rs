//! What opening a connection to either server has in common.

use crate::database::Options;
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind};
use crate::fibers;
use crate::net::drop_silently;
use chrono::NaiveDateTime;
use std::future::Future;
use tokio::time::timeout_at;

/// Waits for the opening of a network connection.
pub(super) fn drive_opening<T>(
    options: &Options,
    deadline: Deadline,
    opening: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    let mut opening = Box::pin(opening);
    let until = deadline.earlier(Deadline::after(options.connect_timeout_max)).instant();
    // The timer has to be made inside the runtime that drives it.
    let result = fibers::wait(async { timeout_at(until.into(), opening.as_mut()).await });
    if let Ok(opened) = result {
        return opened;
    }
    drop_silently(opening);
    if deadline.has_passed() {
        let message = "the deadline passed before a connection to the database was made";
        return Err(DatabaseError::new(ErrorKind::DeadlineExceeded, message));
    }
    let message = format!(
        "the database did not answer within {:?}, the longest wait for a connection",
        options.connect_timeout_max
    );
    Err(DatabaseError::new(ErrorKind::Unreachable, message))
}

/// The error for a set-up that the server answered in a way that makes no sense.
pub(super) fn odd_answer(what: &str) -> DatabaseError {
    let message = format!("the database gave no usable answer to the question for {what}");
    DatabaseError::new(ErrorKind::Unreachable, message)
}

/// Reads the time as both servers are asked to print it: `2026-11-24 09:00:00.123456`.
pub(super) fn parse_server_time(text: &str) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()
}

/// The words of an error and of all that caused it.
pub(super) fn chain_text(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
