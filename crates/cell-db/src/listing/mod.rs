//! One cell's part of a list: filtered, in the one total order, after a place.
//!
//! The order must be the same in every cell, whatever the backend and whoever made the database:
//! NULL is the smallest value ([`cellzero_types::list_order`]), and text goes by code point. Our
//! own tables have such a collation; on a plane that Nova made it is asked for in the query.
//!
//! What all backends understand alike is a condition in SQL. Regular expressions, addresses and
//! statuses are judged here, on rows that SQL has narrowed down where it can.

mod filter;
mod fixed;
mod key;
mod row;

use cellzero_database::DatabaseError;
use cellzero_types::{InstanceUuid, ListFilters, SortOrder, SortValues};
use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Untyped;

use crate::schema::instances;
use crate::{CellConnection, Dialect, parse_uuid};
use filter::Beside;
use fixed::Fixed;
use row::Row;

/// The most rows that one statement reads where rows are judged here.
const JUDGED_ROWS_MAX: usize = 1_000;

/// What one cell is asked for.
#[derive(Debug, Clone)]
pub struct CellListQuery {
    /// What a listed instance must be; the project is filled in, and flavors are columns.
    pub filters: ListFilters,
    /// The total order.
    pub order: SortOrder,
    /// Only what comes after an instance with these values.
    pub after: Option<SortValues>,
    /// The most rows; at least 1.
    pub limit: usize,
    /// Whether Nova made the plane: text is compared by code point only where that is asked for,
    /// and times in SQLite have a fixed length.
    pub foreign: bool,
}

/// A listed instance: which, and its place in the order.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedRow {
    /// Which.
    pub uuid: InstanceUuid,
    /// Its values for each key of the order.
    pub values: SortValues,
}

/// Some rows of a cell, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct CellPage {
    /// The rows that pass.
    pub rows: Vec<ListedRow>,
    /// Whether nothing comes after them.
    pub is_last: bool,
    /// How many rows were read for them.
    pub rows_read: usize,
    /// The cell's clock when they were read, UTC.
    pub as_of: NaiveDateTime,
}

/// One cell's rows of a list, as many as `limit` or all that are left.
///
/// One statement; one more where the first key may be NULL and what is not NULL has run out after a
/// place; and where rows are judged here, one for each thousand that are looked at.
///
/// # Errors
/// The database's, or a damaged uuid.
pub fn page(conn: &mut CellConnection, query: &CellListQuery) -> Result<CellPage, DatabaseError> {
    let as_of = conn.now();
    let mut page = CellPage { rows: Vec::new(), is_last: false, rows_read: 0, as_of };
    let mut after = query.after.clone();
    let beside = Beside::of(&query.filters);
    while page.rows.len() < query.limit {
        let wanted = match beside.judges() {
            true => JUDGED_ROWS_MAX,
            false => query.limit - page.rows.len(),
        };
        let rows = read(conn, query, after.as_ref(), &beside, wanted)?;
        page.rows_read += rows.len();
        let is_last = rows.len() < wanted;
        after = rows.last().map(|row| row.values.clone());
        for row in rows {
            if !beside.pass(&query.filters, &row) {
                continue;
            }
            if page.rows.len() == query.limit {
                return Ok(page);
            }
            page.rows.push(ListedRow { uuid: parse_uuid(&row.uuid)?, values: row.values });
        }
        if is_last {
            page.is_last = true;
            break;
        }
    }
    Ok(page)
}

/// The next rows, judged by SQL alone.
fn read(
    conn: &mut CellConnection,
    query: &CellListQuery,
    after: Option<&SortValues>,
    beside: &Beside,
    limit: usize,
) -> Result<Vec<Row>, DatabaseError> {
    let mut rows: Vec<Row> = Vec::new();
    let fixed = Fixed::of(query, conn.backend());
    for range in key::ranges(&query.order, after) {
        let left = limit - rows.len();
        if left == 0 {
            break;
        }
        let columns = key::columns(&query.order, beside, conn.backend(), query.foreign);
        let mut select = instances::table.select(sql::<Untyped>(&columns)).into_boxed::<Dialect>();
        let (backend, foreign) = (conn.backend(), query.foreign);
        for condition in filter::conditions(&query.filters, &fixed, backend, foreign) {
            select = select.filter(condition);
        }
        if let Some(condition) = range.condition(&query.order, conn.backend(), query.foreign) {
            select = select.filter(condition);
        }
        let order = key::order_by(&query.order, &fixed, conn.backend(), query.foreign);
        let limit = i64::try_from(left).unwrap_or(i64::MAX);
        let found: Vec<Row> = select.order(order).limit(limit).load(conn.sql())?;
        rows.extend(found);
    }
    Ok(rows)
}
