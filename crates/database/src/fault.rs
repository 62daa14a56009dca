//! Where a test may make a connection fail: before each statement, and on both sides of each
//! `COMMIT`; and before an operation, where a process is dead already.
//!
//! With the feature `failpoints`, [`Options::faults`](crate::Options) is asked at each of these
//! places, of every connection of that database, and may have it break, panic or abort. Without
//! the feature there is nothing.

use crate::database::Options;
use crate::script::is_transaction_control;
use diesel::QueryResult;

/// Where an operation is.
#[cfg_attr(not(feature = "failpoints"), expect(unreachable_pub, reason = "only a test is asked"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultPlace {
    /// An operation is about to take a connection, or a probe to be sent. This is not among the
    /// places that are walked through: a process that is dead by then does not get any further.
    Uncounted,
    /// A statement is about to be sent.
    Statement,
    /// A `COMMIT` is about to be sent.
    BeforeCommit,
    /// A `COMMIT` was answered.
    AfterCommit,
}

/// Sends one statement of a migration, between the places at which it may fail.
pub(crate) fn around(statement: &str, send: impl FnOnce() -> QueryResult<()>) -> QueryResult<()> {
    if statement == "COMMIT" {
        point(FaultPlace::BeforeCommit)?;
        send()?;
        return point(FaultPlace::AfterCommit);
    }
    if !is_transaction_control(statement) {
        point(FaultPlace::Statement)?;
    }
    send()
}

#[cfg(not(feature = "failpoints"))]
mod points {
    use super::*;

    /// A place that may fail; without the feature none does.
    pub(crate) fn point(_place: FaultPlace) -> QueryResult<()> {
        Ok(())
    }

    /// What a connection meets; nothing.
    #[derive(Default)]
    pub(crate) struct Faults;

    /// There is nothing to exchange.
    pub(crate) fn exchange(_kept: &mut Faults) {}

    /// Nothing is to be taken away again.
    pub(crate) struct Entered;

    /// What the operation on this thread meets; without the feature nothing.
    pub(crate) fn enter(_options: &Options) -> Entered {
        Entered
    }
}

#[cfg(feature = "failpoints")]
mod points {
    use super::*;
    use crate::gate;
    use diesel::result::{DatabaseErrorKind, Error};
    use std::cell::RefCell;
    use std::sync::Arc;

    thread_local! {
        static CURRENT: RefCell<Faults> = RefCell::default();
    }

    /// Says at each place whether the connection breaks there. It may panic or abort instead.
    #[derive(Clone, Default)]
    pub struct Faults(Option<Arc<Breaks>>);

    type Breaks = dyn Fn(FaultPlace) -> bool + Send + Sync;

    impl Faults {
        /// Faults where `breaks` says so.
        pub fn new(breaks: impl Fn(FaultPlace) -> bool + Send + Sync + 'static) -> Faults {
            Faults(Some(Arc::new(breaks)))
        }
    }

    impl std::fmt::Debug for Faults {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Faults").finish_non_exhaustive()
        }
    }

    /// Takes the faults away from the thread when the operation has ended.
    pub(crate) struct Entered;

    impl Drop for Entered {
        fn drop(&mut self) {
            CURRENT.set(Faults::default());
        }
    }

    /// The operation that begins on this thread meets the faults of its database.
    pub(crate) fn enter(options: &Options) -> Entered {
        CURRENT.set(options.faults.clone());
        Entered
    }

    /// Exchanges what is kept elsewhere for what this thread meets.
    pub(crate) fn exchange(kept: &mut Faults) {
        CURRENT.with_borrow_mut(|faults| std::mem::swap(faults, kept));
    }

    /// A place that may fail, by the faults of the database or by the gate of the task.
    pub(crate) fn point(place: FaultPlace) -> QueryResult<()> {
        let faults = CURRENT.with_borrow(Clone::clone);
        match faults.0 {
            Some(breaks) if breaks(place) => Err(broken()),
            _ if gate::loses(place) => Err(broken()),
            _ => Ok(()),
        }
    }

    /// What a driver says of a connection that broke.
    fn broken() -> Error {
        let message = "a test broke the connection".to_owned();
        Error::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(message))
    }
}

#[cfg(feature = "failpoints")]
pub use points::Faults;
#[cfg(not(feature = "failpoints"))]
pub(crate) use points::Faults;
pub(crate) use points::{enter, exchange, point};
