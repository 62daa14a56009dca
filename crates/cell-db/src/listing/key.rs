//! Sort keys in SQL: the order, what comes after a place, and the columns that carry the values.

use std::fmt::Write as _;

use cellzero_database::Backend;
use cellzero_types::{ColumnKind, SortDirection, SortKey, SortOrder, SortValue, SortValues};
use diesel::BoxableExpression;
use diesel::dsl::{not, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamp};

use super::filter::Beside;
use super::fixed::Fixed;
use crate::Dialect;
use crate::schema::instances;

pub(super) type Condition = Box<dyn BoxableExpression<instances::table, Dialect, SqlType = Bool>>;

/// How SQLAlchemy writes a time into SQLite. Diesel leaves a fraction of zero away, so that equal
/// times would be unequal texts.
const SQLITE_TIME_OF_NOVA: &str = "%Y-%m-%d %H:%M:%S%.6f";

/// A column as SQL of its type, by which rows are compared.
pub(super) enum KeyExpression {
    Text(String),
    Time(String),
    /// A time that stands as text of a fixed length.
    TimeText(String),
    Number(String),
}

impl KeyExpression {
    pub(super) fn of(key: SortKey, backend: Backend, foreign: bool) -> KeyExpression {
        let column = format!("instances.{}", key.name());
        match (key.kind(), backend, foreign) {
            (ColumnKind::Time, Backend::Sqlite, true) => KeyExpression::TimeText(column),
            (ColumnKind::Time, ..) => KeyExpression::Time(column),
            (ColumnKind::Number, ..) => KeyExpression::Number(column),
            (ColumnKind::Flag, Backend::Postgres, _) => {
                KeyExpression::Number(format!("CAST({column} AS INTEGER)"))
            }
            (ColumnKind::Flag, ..) => KeyExpression::Number(column),
            // Nova's type for it there is `inet`.
            (ColumnKind::Address, Backend::Postgres, true) => {
                KeyExpression::Text(format!("host({column}) COLLATE \"C\""))
            }
            (_, Backend::Sqlite, _) | (_, _, false) => KeyExpression::Text(column),
            (_, Backend::Postgres, true) => KeyExpression::Text(format!("{column} COLLATE \"C\"")),
            // Nova's character set is utf8mb3; a binary string compares by its bytes, which for
            // UTF-8 is the order of code points.
            (_, Backend::Mysql, true) => KeyExpression::Text(format!(
                "CONVERT({column} USING utf8mb4) COLLATE utf8mb4_nopad_bin"
            )),
        }
    }

    pub(super) fn fragment(&self) -> &str {
        match self {
            KeyExpression::Text(f)
            | KeyExpression::Time(f)
            | KeyExpression::TimeText(f)
            | KeyExpression::Number(f) => f,
        }
    }

    pub(super) fn is_null(&self) -> Condition {
        Box::new(sql::<Nullable<Text>>(self.fragment()).is_null())
    }
}

/// Makes a condition of a key and a value of its type.
macro_rules! by_type {
    ($expression:expr, $value:expr, $key:ident, $v:ident => $typed:expr) => {
        match ($expression, $value) {
            (KeyExpression::Text(fragment), SortValue::Text($v)) => {
                let $key = || sql::<Nullable<Text>>(fragment);
                let $v = $v.clone();
                $typed
            }
            (KeyExpression::Time(fragment), SortValue::Time($v)) => {
                let $key = || sql::<Nullable<Timestamp>>(fragment);
                let $v = *$v;
                $typed
            }
            (KeyExpression::TimeText(fragment), SortValue::Time($v)) => {
                let $key = || sql::<Nullable<Text>>(fragment);
                let $v = $v.format(SQLITE_TIME_OF_NOVA).to_string();
                $typed
            }
            (KeyExpression::Number(fragment), SortValue::Number($v)) => {
                let $key = || sql::<Nullable<BigInt>>(fragment);
                let $v = *$v;
                $typed
            }
            // A value of another type than its key's is equal to nothing.
            _ => never(),
        }
    };
}

fn never() -> Condition {
    Box::new(sql::<Bool>("1 = 0"))
}

/// Whether a column holds this value, or NULL.
pub(super) fn equal(expression: &KeyExpression, value: Option<&SortValue>) -> Condition {
    match value {
        None => expression.is_null(),
        Some(value) => by_type!(expression, value, key, v => {
            Box::new(key().eq(v).assume_not_null()) as Condition
        }),
    }
}

/// A part of what comes after a place, within which the first key is compared without NULL, so that
/// an index on it can be used.
pub(super) enum Range<'a> {
    /// Everything.
    All,
    /// The first key is as the place's or beyond, and the whole is after the place.
    After(&'a SortValues),
    /// The first key is NULL like the place's, and the rest is after the place.
    NullAfter(&'a SortValues),
    /// The first key is NULL, and the place's is not.
    Null,
    /// The first key is not NULL, and the place's is.
    NotNull,
}

/// What comes after a place, one range after the other.
pub(super) fn ranges<'a>(order: &SortOrder, after: Option<&'a SortValues>) -> Vec<Range<'a>> {
    let (Some(after), Some((key, direction))) = (after, order.first()) else {
        return vec![Range::All];
    };
    match (direction, after.first().is_some_and(Option::is_some)) {
        (_, true) if *key == SortKey::Uuid => vec![Range::After(after)],
        (SortDirection::Ascending, true) => vec![Range::After(after)],
        (SortDirection::Descending, true) => vec![Range::After(after), Range::Null],
        (SortDirection::Ascending, false) => vec![Range::NullAfter(after), Range::NotNull],
        (SortDirection::Descending, false) => vec![Range::NullAfter(after)],
    }
}

impl Range<'_> {
    /// What a row of it must be.
    pub(super) fn condition(
        &self,
        order: &SortOrder,
        backend: Backend,
        foreign: bool,
    ) -> Option<Condition> {
        let (first, direction) = *order.first()?;
        let expression = KeyExpression::of(first, backend, foreign);
        match self {
            Range::All => None,
            Range::Null => Some(expression.is_null()),
            Range::NotNull => Some(Box::new(not(expression.is_null()))),
            Range::NullAfter(values) => {
                let rest = beyond(&order[1..], &values[1..], backend, foreign);
                Some(Box::new(expression.is_null().and(rest)))
            }
            Range::After(values) => {
                // It follows from the rest; but a database sees an index by it.
                let as_far = as_far(&expression, direction, values.first()?.as_ref()?);
                Some(Box::new(as_far.and(beyond(order, values, backend, foreign))))
            }
        }
    }
}

/// Whether a column is at a value or beyond.
pub(super) fn as_far(
    expression: &KeyExpression,
    direction: SortDirection,
    value: &SortValue,
) -> Condition {
    match direction {
        SortDirection::Ascending => by_type!(expression, value, key, v => {
            Box::new(key().ge(v).assume_not_null()) as Condition
        }),
        SortDirection::Descending => by_type!(expression, value, key, v => {
            Box::new(key().le(v).assume_not_null()) as Condition
        }),
    }
}

/// What comes after `values`: for some n, the first n keys are equal and the next one is beyond.
fn beyond(
    order: &[(SortKey, SortDirection)],
    values: &[Option<SortValue>],
    backend: Backend,
    foreign: bool,
) -> Condition {
    let mut any = never();
    for end in 0..order.len() {
        let mut all: Option<Condition> = None;
        for (index, ((key, direction), value)) in order.iter().zip(values).take(end + 1).enumerate()
        {
            let expression = KeyExpression::of(*key, backend, foreign);
            let condition = match index == end {
                true => key_beyond(&expression, *direction, value.as_ref()),
                false => equal(&expression, value.as_ref()),
            };
            all = Some(match all {
                None => condition,
                Some(all) => Box::new(all.and(condition)),
            });
        }
        if let Some(all) = all {
            any = Box::new(any.or(all));
        }
    }
    any
}

/// Whether one key is beyond a value; NULL is the smallest.
fn key_beyond(
    expression: &KeyExpression,
    direction: SortDirection,
    value: Option<&SortValue>,
) -> Condition {
    match (direction, value) {
        (SortDirection::Descending, None) => never(),
        (SortDirection::Ascending, None) => Box::new(not(expression.is_null())),
        (SortDirection::Ascending, Some(value)) => by_type!(expression, value, key, v => {
            Box::new(key().gt(v).assume_not_null()) as Condition
        }),
        (SortDirection::Descending, Some(value)) => by_type!(expression, value, key, v => {
            Box::new(expression.is_null().or(key().lt(v).assume_not_null())) as Condition
        }),
    }
}

/// The order, as an expression to order by. NULL is the smallest on SQLite and MariaDB by itself.
pub(super) fn order_by(
    order: &SortOrder,
    fixed: &Fixed,
    backend: Backend,
    foreign: bool,
) -> diesel::expression::SqlLiteral<Text> {
    let first = order.first().map_or("", |(_, direction)| direction.as_str());
    let head = fixed.order_by().iter().map(|column| format!("{column} {first}"));
    let keys = order.iter().map(|(key, direction)| {
        let expression = KeyExpression::of(*key, backend, foreign);
        let nulls = match (backend, *key == SortKey::Uuid, direction) {
            (Backend::Postgres, false, SortDirection::Ascending) => " NULLS FIRST",
            (Backend::Postgres, false, SortDirection::Descending) => " NULLS LAST",
            _ => "",
        };
        format!("{} {}{nulls}", expression.fragment(), direction.as_str())
    });
    sql(&head.chain(keys).collect::<Vec<_>>().join(", "))
}

/// What is selected of a row: its uuid, the values of the order, what is judged here. The first
/// letter of a name says of which type it is, as [`super::row::Row`] reads it.
pub(super) fn columns(
    order: &SortOrder,
    beside: &Beside,
    backend: Backend,
    foreign: bool,
) -> String {
    let mut columns = String::from("instances.uuid AS uuid");
    for (index, (key, _)) in order.iter().enumerate() {
        let column = format!("instances.{}", key.name());
        let (letter, column) = match (key.kind(), KeyExpression::of(*key, backend, foreign)) {
            (ColumnKind::Time, _) => ('d', column),
            (_, KeyExpression::Number(number)) => ('n', as_bigint(&number, backend)),
            (ColumnKind::Address, expression) => ('t', expression.fragment().to_owned()),
            _ => ('t', column),
        };
        // Writing to a string cannot fail.
        let _ = write!(columns, ", {column} AS {letter}{index}");
    }
    for (index, column) in beside.columns().iter().enumerate() {
        let _ = write!(columns, ", {column} AS x{index}");
    }
    columns
}

fn as_bigint(number: &str, backend: Backend) -> String {
    match backend {
        Backend::Mysql => format!("CAST({number} AS SIGNED)"),
        _ => format!("CAST({number} AS BIGINT)"),
    }
}
