//! A row of a list, whose columns depend on the query.

use cellzero_types::{SortValue, SortValues};
use chrono::NaiveDateTime;
use diesel::QueryableByName;
use diesel::deserialize::{self, FromSql};
use diesel::row::{Field, NamedRow};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamp};

use crate::Dialect;

/// A row as [`super::key::columns`] selects it.
pub(super) struct Row {
    pub(super) uuid: String,
    /// The values for each key of the order.
    pub(super) values: SortValues,
    /// What is judged beside them, as text.
    pub(super) beside: Vec<Option<String>>,
}

impl QueryableByName<Dialect> for Row {
    fn build<'a>(row: &impl NamedRow<'a, Dialect>) -> deserialize::Result<Row> {
        let mut built = Row { uuid: String::new(), values: Vec::new(), beside: Vec::new() };
        for index in 0..row.field_count() {
            let Some(field) = diesel::row::Row::get(row, index) else { continue };
            let value = field.value();
            match field.field_name().and_then(|name| name.chars().next()) {
                Some('d') => {
                    let time: Option<NaiveDateTime> =
                        FromSql::<Nullable<Timestamp>, Dialect>::from_nullable_sql(value)?;
                    built.values.push(time.map(SortValue::Time));
                }
                Some('n') => {
                    let number: Option<i64> =
                        FromSql::<Nullable<BigInt>, Dialect>::from_nullable_sql(value)?;
                    built.values.push(number.map(SortValue::Number));
                }
                letter => {
                    let text: Option<String> =
                        FromSql::<Nullable<Text>, Dialect>::from_nullable_sql(value)?;
                    match letter {
                        Some('t') => built.values.push(text.map(SortValue::Text)),
                        Some('x') => built.beside.push(text),
                        _ => built.uuid = text.unwrap_or_default(),
                    }
                }
            }
        }
        Ok(built)
    }
}
