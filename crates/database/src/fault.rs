//! Where a test may make a connection fail: before each statement, and on both sides of each
//! `COMMIT`.
//!
//! With the feature `failpoints`, [`fail`] knows two names here: `database::point` is met at each
//! of these places, for a callback that counts, panics or aborts; `database::fault` is met right
//! after it, and `return` makes the connection break. Without the feature there is nothing.

use diesel::QueryResult;
use diesel::result::{DatabaseErrorKind, Error};

/// A place that may fail.
pub(crate) fn point() -> QueryResult<()> {
    fail::fail_point!("database::point");
    fail::fail_point!("database::fault", |_| Err(broken()));
    Ok(())
}

/// What a driver says of a connection that broke.
#[cfg_attr(not(feature = "failpoints"), expect(dead_code, reason = "there is no point then"))]
fn broken() -> Error {
    let message = "a test broke the connection".to_owned();
    Error::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(message))
}
