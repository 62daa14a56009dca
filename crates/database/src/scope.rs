//! Which rows a walk over a whole table reads: a slice of the uuids in their order, or named ones.

/// Whose tables a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A plane of our own: our tables stand beside Nova's.
    Ours,
    /// A plane that Nova made: Nova's tables alone.
    Novas,
}

/// Which rows are read, by a key that holds a uuid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The next rows after a uuid, in their order.
    Range {
        /// The last uuid that is done; empty at the start.
        after: String,
        /// The last uuid that is wanted, where there is such a limit.
        upto: Option<String>,
        /// The most rows of one table.
        rows_max: u32,
    },
    /// The rows of these uuids.
    These(Vec<String>),
}

impl Scope {
    /// The slice after a uuid.
    pub fn after(after: impl Into<String>, rows_max: u32) -> Scope {
        Scope::Range { after: after.into(), upto: None, rows_max }
    }

    /// The last uuid that is wanted, where there is such a limit.
    pub fn upto(&self) -> Option<&str> {
        match self {
            Scope::Range { upto, .. } => upto.as_deref(),
            Scope::These(_) => None,
        }
    }

    /// Ends the slice where a table gave as many rows as it may: what comes after `last` was
    /// perhaps cut off.
    pub fn end_where_full(&mut self, rows: usize, last: Option<&String>) {
        if let Scope::Range { upto, rows_max, .. } = self
            && let Some(last) = last
            && rows >= *rows_max as usize
            && upto.as_ref().is_none_or(|upto| last < upto)
        {
            *upto = Some(last.clone());
        }
    }
}

/// Reads the rows of a query that are in a [`Scope`], by a key column that holds a uuid. The first
/// selected column is the key.
#[macro_export]
macro_rules! scan {
    ($conn:expr, $scope:expr, $key:expr, $query:expr) => {{
        let mut rows = Vec::new();
        match &*$scope {
            $crate::Scope::Range { after, upto, rows_max } => {
                let rest =
                    $query.filter($key.gt(after.as_str())).order($key).limit(i64::from(*rows_max));
                rows = match upto {
                    Some(upto) => rest.filter($key.le(upto.as_str())).load($conn.sql())?,
                    None => rest.load($conn.sql())?,
                };
            }
            $crate::Scope::These(uuids) => {
                for chunk in uuids.chunks($crate::IN_LIST_MAX) {
                    rows.extend($query.filter($key.eq_any(chunk)).load($conn.sql())?);
                }
            }
        }
        rows
    }};
}
