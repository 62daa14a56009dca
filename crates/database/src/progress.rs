//! How far an operation has come, for the caller that waits for it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{DatabaseError, ErrorKind};

/// Shared between an operation and its caller.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    asks: AtomicBool,
    commit_begun: AtomicBool,
}

impl Progress {
    /// It has a connection to a server and no transaction is open, so a statement may end after the
    /// deadline. Otherwise it ends at the deadline by itself, and what it says is worth a moment's wait.
    pub(crate) fn note_asks(&self, asks: bool) {
        self.asks.store(asks, Ordering::SeqCst);
    }

    pub(crate) fn asks(&self) -> bool {
        self.asks.load(Ordering::SeqCst)
    }

    /// Rows may change from here on; or none can have, since the commit was refused.
    pub(crate) fn note_commit(&self, begun: bool) {
        self.commit_begun.store(begun, Ordering::SeqCst);
    }

    pub(crate) fn commit_was_noted(&self) -> bool {
        self.commit_begun.load(Ordering::SeqCst)
    }

    /// The error for an operation that has not answered.
    pub(crate) fn late(&self) -> DatabaseError {
        if self.commit_was_noted() {
            let message = "the deadline passed while the operation committed; it may have or not";
            DatabaseError::new(ErrorKind::CommitUnknown, message)
        } else {
            let message = "the operation did not end by its deadline; nothing was committed";
            DatabaseError::new(ErrorKind::DeadlineExceeded, message)
        }
    }
}
