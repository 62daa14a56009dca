//! The first difference between two schemas.

use super::{Column, ColumnKind, Schema, Table};
use std::collections::BTreeSet;
use std::fmt;

/// A difference between the schema that is expected and the one that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// A table is missing.
    TableMissing {
        /// Its name.
        table: String,
    },
    /// There is a table that is not expected.
    TableUnexpected {
        /// Its name.
        table: String,
    },
    /// A column is missing.
    ColumnMissing {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What it should hold.
        expected: ColumnKind,
    },
    /// There is a column that is not expected.
    ColumnUnexpected {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What it holds.
        found: ColumnKind,
    },
    /// A column holds something else.
    Kind {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What it should hold.
        expected: ColumnKind,
        /// What it holds.
        found: ColumnKind,
    },
    /// A column may be null and should not, or the other way round.
    Nullability {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Whether it should be nullable.
        expected: bool,
    },
    /// A unique key is missing.
    UniqueMissing {
        /// The table.
        table: String,
        /// The key's columns.
        columns: Vec<String>,
    },
    /// There is a unique key that is not expected.
    UniqueUnexpected {
        /// The table.
        table: String,
        /// The key's columns.
        columns: Vec<String>,
    },
    /// An index is missing.
    IndexMissing {
        /// The table.
        table: String,
        /// The index's columns.
        columns: Vec<String>,
    },
    /// There is an index that is not expected.
    IndexUnexpected {
        /// The table.
        table: String,
        /// The index's columns.
        columns: Vec<String>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::TableMissing { table } => write!(f, "table {table}: missing"),
            Difference::TableUnexpected { table } => write!(f, "table {table}: not expected"),
            Difference::ColumnMissing { table, column, expected } => {
                write!(f, "column {table}.{column}: missing, expected {expected}")
            }
            Difference::ColumnUnexpected { table, column, found } => {
                write!(f, "column {table}.{column}: not expected, found {found}")
            }
            Difference::Kind { table, column, expected, found } => {
                write!(f, "column {table}.{column}: expected {expected}, found {found}")
            }
            Difference::Nullability { table, column, expected } => {
                let words = |nullable| if nullable { "NULL" } else { "NOT NULL" };
                let (expected, found) = (words(*expected), words(!*expected));
                write!(f, "column {table}.{column}: expected {expected}, found {found}")
            }
            Difference::UniqueMissing { table, columns } => {
                write!(f, "unique key {table}({}): missing", columns.join(", "))
            }
            Difference::UniqueUnexpected { table, columns } => {
                write!(f, "unique key {table}({}): not expected", columns.join(", "))
            }
            Difference::IndexMissing { table, columns } => {
                write!(f, "index {table}({}): missing", columns.join(", "))
            }
            Difference::IndexUnexpected { table, columns } => {
                write!(f, "index {table}({}): not expected", columns.join(", "))
            }
        }
    }
}

/// Compares in the order of names: what is missing or changed first, then what is too much.
pub(super) fn first(expected: &Schema, found: &Schema) -> Option<Difference> {
    for (name, table) in &expected.tables {
        let difference = match found.tables.get(name) {
            None => Some(Difference::TableMissing { table: name.clone() }),
            Some(other) => in_table(name, table, other),
        };
        if difference.is_some() {
            return difference;
        }
    }
    let unexpected = found.tables.keys().find(|name| !expected.tables.contains_key(*name));
    unexpected.map(|table| Difference::TableUnexpected { table: table.clone() })
}

fn in_table(name: &str, expected: &Table, found: &Table) -> Option<Difference> {
    let table = || name.to_owned();
    let changed = expected
        .columns
        .iter()
        .find_map(|(column, wanted)| in_column(name, column, wanted, found.columns.get(column)));
    let too_much = || {
        let mut columns = found.columns.iter();
        columns.find(|(column, _)| !expected.columns.contains_key(*column)).map(
            |(column, other)| {
                let (column, found) = (column.clone(), other.kind.clone());
                Difference::ColumnUnexpected { table: table(), column, found }
            },
        )
    };
    let missing = |wanted: &BTreeSet<Vec<String>>, there: &BTreeSet<Vec<String>>| {
        wanted.difference(there).next().cloned()
    };
    changed
        .or_else(too_much)
        .or_else(|| {
            let columns = missing(&expected.unique, &found.unique)?;
            Some(Difference::UniqueMissing { table: table(), columns })
        })
        .or_else(|| {
            let columns = missing(&found.unique, &expected.unique)?;
            Some(Difference::UniqueUnexpected { table: table(), columns })
        })
        .or_else(|| {
            let columns = missing(&expected.indexes, &found.indexes)?;
            Some(Difference::IndexMissing { table: table(), columns })
        })
        .or_else(|| {
            let columns = missing(&found.indexes, &expected.indexes)?;
            Some(Difference::IndexUnexpected { table: table(), columns })
        })
}

fn in_column(
    table: &str,
    column: &str,
    expected: &Column,
    found: Option<&Column>,
) -> Option<Difference> {
    let (table, column) = (table.to_owned(), column.to_owned());
    let Some(found) = found else {
        return Some(Difference::ColumnMissing { table, column, expected: expected.kind.clone() });
    };
    if expected.kind != found.kind {
        let (expected, found) = (expected.kind.clone(), found.kind.clone());
        return Some(Difference::Kind { table, column, expected, found });
    }
    if expected.nullable != found.nullable {
        return Some(Difference::Nullability { table, column, expected: expected.nullable });
    }
    None
}
