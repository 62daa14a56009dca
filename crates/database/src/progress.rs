//! How far an operation has come, for the caller that waits for it.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::error::{DatabaseError, ErrorKind};

/// What the operation does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// It waits for its turn, until the deadline.
    Waiting = 0,
    /// It opens a connection, and may go on with it.
    Connecting = 1,
    /// It runs statements that commit by themselves, and may end one.
    Asking = 2,
    /// It is in a transaction, until the deadline.
    InTransaction = 3,
}

/// Shared between an operation and its caller.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    stage: AtomicU8,
    commit_begun: AtomicBool,
}

impl Progress {
    pub(crate) fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::SeqCst);
    }

    /// Whether it ends at the deadline by itself, so that what it says is worth a moment's wait.
    pub(crate) fn ends_by_itself(&self) -> bool {
        self.is_in(Stage::Waiting) || self.is_in(Stage::InTransaction)
    }

    fn is_in(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::SeqCst) == stage as u8
    }

    /// Remembers that rows may change from here on, or that they cannot have.
    pub(crate) fn note_commit(&self, begun: bool) {
        self.commit_begun.store(begun, Ordering::SeqCst);
    }

    pub(crate) fn commit_was_noted(&self) -> bool {
        self.commit_begun.load(Ordering::SeqCst)
    }

    /// The error for an operation that has not answered.
    pub(crate) fn late(&self) -> DatabaseError {
        let (kind, message) = if self.commit_was_noted() {
            let message = "the deadline passed while the operation committed; it may have or not";
            (ErrorKind::CommitUnknown, message)
        } else if self.is_in(Stage::Connecting) {
            let message = "the deadline passed before a connection to the database was made";
            (ErrorKind::DeadlineExceeded, message)
        } else {
            let message = "the operation did not end by its deadline; nothing was committed";
            (ErrorKind::DeadlineExceeded, message)
        };
        DatabaseError::new(kind, message)
    }
}
