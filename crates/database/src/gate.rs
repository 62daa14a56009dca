//! A gate before each operation and each transaction, for a test that lets a task take one step at a
//! time and says how its commits end.
//!
//! With the feature `failpoints`, `with_gate` gives a task its gate. A task without one, and a build
//! without the feature, meets none.

pub(crate) use inner::*;

#[cfg(feature = "failpoints")]
pub use outer::*;

#[cfg(feature = "failpoints")]
mod outer {
    use std::pin::Pin;
    use std::sync::Arc;

    /// How the commits of an operation end, for the one who sent them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum CommitFate {
        /// As they do.
        #[default]
        Real,
        /// Nothing is committed, and nobody knows.
        Lost,
        /// It is committed, and the acknowledgement is lost.
        Unacknowledged,
    }

    /// Where a task has come to.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum Stop {
        /// Before an operation begins.
        Operation {
            /// Its name.
            name: &'static str,
            /// The URL of its database, with the password masked.
            database: Arc<str>,
        },
        /// Inside an operation, before its transaction begins.
        Transaction {
            /// The name of the transaction.
            name: &'static str,
        },
    }

    /// The right to go on.
    #[derive(Clone)]
    pub struct Passed {
        /// How the commits of the operation end.
        pub fate: CommitFate,
        /// Dropped when the operation has ended, also on its thread.
        pub guard: Arc<dyn std::any::Any + Send + Sync>,
    }

    /// What a test stands at the gate with.
    pub trait Gate: Send + Sync {
        /// Waits until the task may go on.
        fn pass(&self, stop: Stop) -> Pin<Box<dyn Future<Output = Passed> + Send + '_>>;
    }

    /// Runs a task that stops at this gate.
    pub async fn with_gate<F: Future>(gate: Arc<dyn Gate>, work: F) -> F::Output {
        super::inner::GATE.scope(gate, work).await
    }
}

#[cfg(feature = "failpoints")]
mod inner {
    use super::outer::{CommitFate, Gate, Passed, Stop};
    use crate::fault::FaultPlace;
    use crate::fibers::wait;
    use std::cell::RefCell;
    use std::sync::Arc;

    tokio::task_local! {
        pub(super) static GATE: Arc<dyn Gate>;
    }

    thread_local! {
        /// The gate of the operation that runs on this thread, and how its commits end.
        static INSIDE: RefCell<Option<Entered>> = const { RefCell::new(None) };
    }

    /// An operation that has passed its gate, where it had one.
    #[derive(Clone)]
    pub(crate) struct Entered(Option<(Arc<dyn Gate>, Passed)>);

    /// Waits at the gate of this task, if it has one.
    pub(crate) async fn operation(name: &'static str, database: &Arc<str>) -> Entered {
        let Ok(gate) = GATE.try_with(Arc::clone) else { return Entered(None) };
        let stop = Stop::Operation { name, database: Arc::clone(database) };
        let passed = gate.pass(stop).await;
        Entered(Some((gate, passed)))
    }

    /// While it lives, this thread runs the operation.
    pub(crate) struct Inside;

    impl Inside {
        pub(crate) fn enter(entered: Entered) -> Inside {
            INSIDE.set(Some(entered));
            Inside
        }
    }

    impl Drop for Inside {
        fn drop(&mut self) {
            INSIDE.set(None);
        }
    }

    /// Exchanges what is kept elsewhere for what this thread runs.
    pub(crate) fn exchange(kept: &mut Option<Entered>) {
        INSIDE.with_borrow_mut(|inside| std::mem::swap(inside, kept));
    }

    /// Waits before a transaction.
    pub(crate) fn transaction(name: &'static str) {
        let entered = INSIDE.with_borrow(|inside| inside.as_ref().and_then(|e| e.0.clone()));
        let Some((gate, mut entered)) = entered else { return };
        let passed = wait(gate.pass(Stop::Transaction { name }));
        if passed.fate != CommitFate::Real {
            entered.fate = passed.fate;
            INSIDE.set(Some(Entered(Some((gate, entered)))));
        }
    }

    /// Whether a commit, or its acknowledgement, is lost here.
    pub(crate) fn loses(place: FaultPlace) -> bool {
        match place {
            FaultPlace::BeforeCommit => fate() == CommitFate::Lost,
            FaultPlace::AfterCommit => fate() == CommitFate::Unacknowledged,
            FaultPlace::Uncounted | FaultPlace::Statement => false,
        }
    }

    fn fate() -> CommitFate {
        let of = |e: &Entered| e.0.as_ref().map(|(_, passed)| passed.fate);
        INSIDE.with_borrow(|inside| inside.as_ref().and_then(of)).unwrap_or_default()
    }
}

#[cfg(not(feature = "failpoints"))]
mod inner {
    use std::sync::Arc;

    #[derive(Clone)]
    pub(crate) struct Entered;

    pub(crate) async fn operation(_: &'static str, _: &Arc<str>) -> Entered {
        Entered
    }

    pub(crate) struct Inside;

    impl Inside {
        pub(crate) fn enter(_: Entered) -> Inside {
            Inside
        }
    }

    pub(crate) fn exchange(_: &mut Option<Entered>) {}

    pub(crate) fn transaction(_: &'static str) {}
}
