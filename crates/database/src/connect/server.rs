//! What opening a connection to either server has in common.

use crate::database::Options;
use crate::deadline::Deadline;
use crate::error::{DatabaseError, ErrorKind};
use chrono::NaiveDateTime;
use std::future::Future;
use tokio::runtime::Runtime;

/// Polls the opening of a network connection on a runtime of its own, which the connection then
/// lives on.
pub(super) fn drive_opening<T>(
    options: &Options,
    deadline: Deadline,
    opening: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<(T, Runtime), DatabaseError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().map_err(
            |error| {
                DatabaseError::because(ErrorKind::Unreachable, error)
                    .with_message("no file descriptors are left for another connection")
            },
        )?;
    let until = deadline.earlier(Deadline::after(options.connect_timeout_max)).instant();
    // The timer has to be made inside the runtime that drives it.
    let result = runtime.block_on(async { tokio::time::timeout_at(until.into(), opening).await });
    let error = match result {
        Ok(Ok(opened)) => return Ok((opened, runtime)),
        Ok(Err(error)) => error,
        Err(_elapsed) if deadline.has_passed() => {
            let message = "the deadline passed before a connection to the database was made";
            DatabaseError::new(ErrorKind::DeadlineExceeded, message)
        }
        Err(_elapsed) => {
            let message = format!(
                "the database did not answer within {:?}, the longest wait for a connection",
                options.connect_timeout_max
            );
            DatabaseError::new(ErrorKind::Unreachable, message)
        }
    };
    // A name look-up may still hang in it, and a plain drop would wait for that.
    runtime.shutdown_background();
    Err(error)
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
