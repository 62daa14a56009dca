//! The faults of a process: which place fails, how, and how many places were met.

use std::sync::{Arc, Mutex, PoisonError};

use cellzero_database::{FaultPlace, Faults};

/// What happens at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks once; the process goes on.
    Break,
    /// The process is dead from there on: nothing that it sends arrives any more.
    Crash,
    /// The operation panics there; the process goes on.
    Panic,
    /// The process aborts there.
    Abort,
}

/// Which place that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// The place with this number, from 0.
    Place(u64),
    /// Right after so many commits.
    AfterCommit(u64),
}

/// What the databases of one process go by. A clone is the same script.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    armed: Option<(Fault, Where)>,
    met: u64,
    commits: u64,
    /// The fault has come.
    struck: bool,
}

impl Script {
    /// What a database's options take.
    pub(crate) fn faults(&self) -> Faults {
        let script = self.clone();
        Faults::new(move |place| script.breaks(place))
    }

    /// From now on places are counted, and this happens at that one.
    pub(crate) fn arm(&self, fault: Fault, place: Where) {
        *self.lock() = State { armed: Some((fault, place)), ..State::default() };
    }

    /// Nothing happens any more; says how many places were met.
    pub(crate) fn disarm(&self) -> u64 {
        let mut state = self.lock();
        state.armed = None;
        state.met
    }

    /// Whether the fault has come since it was armed.
    pub(crate) fn has_struck(&self) -> bool {
        self.lock().struck
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn breaks(&self, place: FaultPlace) -> bool {
        let fault = {
            let mut state = self.lock();
            let Some((fault, at)) = state.armed else { return false };
            if state.struck && fault == Fault::Crash {
                return true;
            }
            if place == FaultPlace::Uncounted {
                return false;
            }
            let number = state.met;
            state.met += 1;
            state.commits += u64::from(place == FaultPlace::AfterCommit);
            let reached = match at {
                Where::Place(wanted) => number == wanted,
                Where::AfterCommit(wanted) => {
                    place == FaultPlace::AfterCommit && state.commits == wanted
                }
            };
            if !reached {
                return false;
            }
            state.struck = true;
            fault
        };
        match fault {
            Fault::Break | Fault::Crash => true,
            // Unlike `panic!` it says nothing on the standard error, which it would fill.
            Fault::Panic => std::panic::resume_unwind(Box::new("the panic that was asked for")),
            Fault::Abort => std::process::abort(),
        }
    }
}
