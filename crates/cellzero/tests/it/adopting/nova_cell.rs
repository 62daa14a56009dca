//! The rows of a cell that Nova filled, brought into a cell of our own.

use cellzero_test_support::{Engine, TestDatabase};

/// The tables that a cell shares with Nova, so that none comes before what it refers to.
const TABLES: [&str; 14] = [
    "instances",
    "security_groups",
    "compute_nodes",
    "services",
    "instance_extra",
    "instance_info_caches",
    "instance_faults",
    "instance_actions",
    "instance_actions_events",
    "instance_metadata",
    "instance_system_metadata",
    "security_group_instance_association",
    "block_device_mapping",
    "tags",
];

/// The most rows of a statement.
const ROWS_MAX: usize = 50;

/// Copies the rows as the servers' own tools do: every column by its name, in its text form.
pub(crate) fn copy_rows(from: &TestDatabase, to: &TestDatabase) {
    for table in TABLES {
        let columns = columns(to, table);
        let names = columns.join(", ");
        let rows = from.query(&format!("SELECT {names} FROM {table}")).expect("Nova's rows");
        for rows in rows.chunks(ROWS_MAX) {
            let rows: Vec<String> = rows
                .iter()
                .map(|row| {
                    let values: Vec<String> =
                        row.iter().map(|value| literal(to.engine(), value.as_deref())).collect();
                    format!("({})", values.join(", "))
                })
                .collect();
            let insert = format!("INSERT INTO {table} ({names}) VALUES {}", rows.join(", "));
            to.execute(&insert).unwrap_or_else(|error| panic!("{table}: {error:#}"));
        }
        if to.engine() == Engine::Postgres && columns.iter().any(|name| name.contains("id\"")) {
            let next = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'id'), \
                 (SELECT COALESCE(MAX(id), 0) + 1 FROM {table}), false)"
            );
            if table != "tags" {
                to.query(&next).expect("a sequence");
            }
        }
    }
}

/// The columns of a table, quoted.
fn columns(database: &TestDatabase, table: &str) -> Vec<String> {
    let (text, quote) = match database.engine() {
        Engine::Sqlite => (format!("SELECT name FROM pragma_table_info('{table}')"), '"'),
        Engine::Postgres => (
            format!(
                "SELECT column_name FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = '{table}' ORDER BY ordinal_position"
            ),
            '"',
        ),
        Engine::MariaDb => (
            format!(
                "SELECT column_name FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = '{table}' \
                 ORDER BY ordinal_position"
            ),
            '`',
        ),
    };
    let rows = database.query(&text).expect("the columns");
    let names = rows.into_iter().filter_map(|mut row| row.remove(0));
    names.map(|name| format!("{quote}{name}{quote}")).collect()
}

fn literal(engine: Engine, value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some(text) if engine == Engine::MariaDb => {
            format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
        }
        Some(text) => format!("'{}'", text.replace('\'', "''")),
    }
}
