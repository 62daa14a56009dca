//! What the examples and their tests share: the bodies that clients sent, where a plane's databases
//! are, what cells and flavors it has, and what becomes of each body.
//!
//! Like the examples, it uses the facade's public interface only.

pub mod bodies;
pub mod databases;
pub mod fleet;
pub mod outcome;
