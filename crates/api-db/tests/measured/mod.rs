//! What a query reads of a table, as each database itself says: the counters of PostgreSQL and of
//! MariaDB, and the plan of SQLite, which counts nothing. It is shared with the tests of `cell-db`.

use std::sync::{Arc, Mutex};

use cellzero_database::{Backend, Connection, DatabaseError, transaction};
use diesel::RunQueryDsl;
use diesel::connection::{Connection as _, InstrumentationEvent};

/// How many rows more than it gives a query may look at: those at its own place, and the edges of
/// its range.
const ROWS_BESIDE: i64 = 16;

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

#[derive(diesel::QueryableByName)]
struct Step {
    #[diesel(sql_type = diesel::sql_types::Text)]
    detail: String,
}

/// Runs a query that gives `rows` rows of a table, and checks that it read no more of the table
/// than that, by an index, and sorted nothing.
///
/// # Panics
/// When it did.
pub(crate) fn check_reads<K, T>(
    conn: &mut Connection<K>,
    table: &str,
    rows: usize,
    work: impl Fn(&mut Connection<K>) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    if conn.backend() == Backend::Sqlite {
        let (value, plan) = planned(conn, work)?;
        let of_table: Vec<&String> = plan.iter().filter(|step| step.contains(table)).collect();
        assert!(!of_table.is_empty(), "{plan:?}");
        assert!(of_table.iter().all(|step| step.starts_with("SEARCH")), "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("B-TREE")), "{plan:?}");
        return Ok(value);
    }
    // In one transaction, so that PostgreSQL has not yet handed its counters over.
    transaction(conn, "measured", |conn| {
        let idle = read(conn, table)?;
        let before = read(conn, table)?;
        let value = work(conn)?;
        let after = read(conn, table)?;
        // Asking for the counters is counted too.
        let read = (after - before) - (before - idle);
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        assert!(read >= rows, "{read} rows of {table} read for {rows}: it is not counted");
        assert!(read <= rows + ROWS_BESIDE, "{read} rows of {table} read for {rows}");
        Ok(value)
    })
}

/// How many rows, or entries of an index, were read so far; what is sorted counts again.
fn read<K>(conn: &mut Connection<K>, table: &str) -> Result<i64, DatabaseError> {
    let text = match conn.backend() {
        Backend::Postgres => format!(
            "SELECT CAST((SELECT seq_tup_read FROM pg_stat_xact_user_tables \
                          WHERE relname = '{table}') \
                  + (SELECT SUM(pg_stat_get_xact_tuples_returned(indexrelid)) FROM pg_index \
                     WHERE indrelid = '{table}'::regclass) AS BIGINT) AS count"
        ),
        // Entries of an index that do not match are no read rows, but were looked at.
        _ => "SELECT CAST(SUM(IF(VARIABLE_NAME = 'HANDLER_ICP_MATCH', -1, 1) * VARIABLE_VALUE) \
                          AS SIGNED) AS count \
              FROM information_schema.SESSION_STATUS \
              WHERE VARIABLE_NAME LIKE 'HANDLER\\_READ\\_%' OR VARIABLE_NAME = 'SORT_ROWS' \
                 OR VARIABLE_NAME LIKE 'HANDLER\\_ICP\\_%'"
            .to_owned(),
    };
    let found: Vec<Count> = diesel::sql_query(text).load(conn.sql())?;
    Ok(found.first().map_or(0, |row| row.count))
}

/// What the query gives, and how SQLite goes about its statements.
fn planned<K, T>(
    conn: &mut Connection<K>,
    work: impl Fn(&mut Connection<K>) -> Result<T, DatabaseError>,
) -> Result<(T, Vec<String>), DatabaseError> {
    let texts = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&texts);
    conn.sql().set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            seen.lock().unwrap().push(query.to_string());
        }
    });
    let value = work(conn)?;
    let texts = std::mem::take(&mut *texts.lock().unwrap());
    let mut plan = Vec::new();
    for text in texts {
        // Behind it stand the values, which the plan does not depend on.
        let text = text.split(" -- binds").next().unwrap_or_default().to_owned();
        let steps: Vec<Step> =
            diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}")).load(conn.sql())?;
        plan.extend(steps.into_iter().map(|step| step.detail));
    }
    Ok((value, plan))
}
