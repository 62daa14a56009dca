//! Rows as JSON, whole, whatever their columns: what a repair keeps of what it deletes.

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::AnyConnection;
use crate::connection::Connection;
use crate::error::DatabaseError;

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    value: String,
}

const SQLITE_COLUMNS: &str = "SELECT name AS value FROM pragma_table_info(?) ORDER BY cid";
const MYSQL_COLUMNS: &str = "\
    SELECT column_name AS value FROM information_schema.columns \
    WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position";

/// The rows of a table whose `key` column is `value`, each as the text of a JSON object. One
/// statement on PostgreSQL, two on the others.
///
/// # Errors
/// The database's.
pub fn dump_rows<K>(
    conn: &mut Connection<K>,
    table: &'static str,
    key: &'static str,
    value: &str,
) -> Result<Vec<String>, DatabaseError> {
    let rows: Vec<TextRow> = match conn.sql().any() {
        AnyConnection::Postgres(net) => {
            let query = format!(
                "SELECT row_to_json(t)::text AS value FROM \"{table}\" t WHERE t.\"{key}\" = $1"
            );
            diesel::sql_query(query).bind::<Text, _>(value).load(net)?
        }
        AnyConnection::Sqlite(kept) => {
            let sqlite = kept.inner()?;
            let columns: Vec<TextRow> =
                diesel::sql_query(SQLITE_COLUMNS).bind::<Text, _>(table).load(sqlite)?;
            let query = object_query("json_object", '"', &columns, (table, key));
            diesel::sql_query(query).bind::<Text, _>(value).load(sqlite)?
        }
        AnyConnection::Mysql(net) => {
            let columns: Vec<TextRow> =
                diesel::sql_query(MYSQL_COLUMNS).bind::<Text, _>(table).load(net)?;
            let query = object_query("JSON_OBJECT", '`', &columns, (table, key));
            diesel::sql_query(query).bind::<Text, _>(value).load(net)?
        }
    };
    Ok(rows.into_iter().map(|row| row.value).collect())
}

fn object_query(
    function: &str,
    quote: char,
    columns: &[TextRow],
    (table, key): (&str, &str),
) -> String {
    let pairs: Vec<String> =
        columns.iter().map(|column| format!("'{0}', {quote}{0}{quote}", column.value)).collect();
    format!(
        "SELECT {function}({}) AS value FROM {quote}{table}{quote} WHERE {quote}{key}{quote} = ?",
        pairs.join(", ")
    )
}
