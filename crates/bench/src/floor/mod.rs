//! The floor: the fewest statements that write or read the same, in plain SQL on the plain driver.
//!
//! It speaks to databases of its own with the same schema on the same server, over one connection
//! to each, with every statement prepared before it is timed, and with the values already made: no
//! JSON, no parsing, no checks, no scheduler, no locks. Statements go one after another, as ours do.
//!
//! | operation | statements | commits |
//! |---|---|---|
//! | boot to cell0 | API: 4 inserts; API: 2 inserts; cell0: 11 inserts; API: 2 updates, 2 deletes | 4 |
//! | boot to a cell | API: 4 inserts; API: 3 inserts, 1 update; cell: 11 inserts; API: 2 updates, 2 deletes; cell: 1 update; 1 delete | 4, and 2 single statements |
//! | batch of n | the same 21 with n times the rows in each | 4 |
//! | show | API: 1 select; cell0: 4 | none |
//! | delete | API: 2 updates, 1 insert; cell0: 8 updates, 1 delete, 1 insert; API: 1 delete | 2, and 1 single statement |
//! | list | API: 2 selects; cells of the page, all at once: 4 each, 1 where it is bare | none |
//! | list by a column without an index | cells, all at once: 1 select each; API: 1; cells of the page, all at once: 4 each | none |
//!
//! The values written are those that the plane itself wrote for the same request ([`Boot::capture`]),
//! under new uuids; columns that it left NULL are left out. SQLite's cells are shared between as
//! many threads as the machine runs at once.

mod read;
mod session;
mod template;
mod value;
mod write;

pub(crate) use read::{ListReader, Place, ShowReader};
pub(crate) use session::{Sent, Session};
pub(crate) use template::Names;
pub(crate) use write::{Boot, Pair, TABLES_OF_INSTANCE};
