//! The boot protocol as a pure step machine, explored exhaustively.
//!
//! Every step of the protocol is an [`Action`] on a [`State`]: the API database, the cells, the
//! receiver of effects, and what each process holds in memory. [`Protocol`] gives them to the model
//! checker within [`Bounds`]; [`run::explore`] says how many states there were and what was found.
//! A [`Guards`] field that is set to false removes one guard, and a counterexample must appear.
//!
//! A process that stalls is one that is not scheduled: it goes on at any later time with what it
//! had read. A crash forgets what it holds. The lease binds nobody here, since no clock need be
//! right: whoever is idle may take any instance that waits.

mod action;
mod guards;
mod protocol;
mod reader;
mod reduce;
mod rest;
pub mod run;
mod state;
mod step;
pub mod trace;
pub mod waiting;
mod worker;

pub use action::{Action, Commit};
pub use guards::Guards;
pub use protocol::{Bounds, Grain, Protocol, Readers};
pub use state::State;
