//! The `table!` macros, by which queries are checked, are the tables that the migrations make. Shadow
//! tables have none: their rows are moved by the columns of the schema, so they are held to the tables
//! that their names say.

use std::collections::BTreeMap;
use std::path::Path;

use cellzero_api_db::Api;
use cellzero_cell_db::Cell;
use cellzero_database::{Column, ColumnKind, Database, SchemaKind};

/// Where the one table stands that both kinds have.
const OF_BOTH: &str = "database/src/identity.rs";

const SHADOW: &str = "shadow_";

/// Columns by name, and the columns of the primary key.
type Table = (BTreeMap<String, String>, Vec<String>);

/// Reads every `table!` in the text of a file: `name (key) { column -> Type, }`.
fn parse(text: &str) -> BTreeMap<String, Table> {
    let mut tables = BTreeMap::new();
    for block in text.split("diesel::table! {").skip(1) {
        let (head, rest) = block.split_once('{').expect("a table has a body");
        let head = head.trim().lines().last().expect("a table has a head");
        let (name, key) = head.trim().split_once(" (").expect("a table names its key");
        let key = key.trim_end_matches(')').split(", ").map(str::to_owned).collect();
        let (body, _) = rest.split_once('}').expect("a table's body ends");
        let mut columns = BTreeMap::new();
        let mut named: Option<&str> = None;
        for line in body.lines().map(str::trim) {
            // The name in the database, where it is a word of Rust's.
            let sql_name = line.strip_prefix("#[sql_name = \"");
            named = sql_name.map(|name| name.trim_end_matches("\"]")).or(named);
            if let Some((column, kind)) = line.trim_end_matches(',').split_once(" -> ") {
                let column = named.take().unwrap_or(column);
                columns.insert(column.to_owned(), kind.to_owned());
            }
        }
        assert!(tables.insert(name.to_owned(), (columns, key)).is_none(), "{name} stands twice");
    }
    tables
}

/// The type that a `table!` has for a column of the catalogue.
fn diesel_type(column: &Column) -> String {
    let kind = match &column.kind {
        ColumnKind::Integer => "Integer",
        ColumnKind::BigInt => "BigInt",
        ColumnKind::Boolean => "Bool",
        ColumnKind::Double => "Double",
        ColumnKind::Text(_) => "Text",
        ColumnKind::Timestamp => "Timestamp",
        ColumnKind::Binary => "Binary",
        ColumnKind::Other(words) => panic!("no type for {words}"),
    };
    if column.nullable { format!("Nullable<{kind}>") } else { kind.to_owned() }
}

fn assert_like_migrations<K: SchemaKind>(file: &str) {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = [file, OF_BOTH].map(|file| std::fs::read_to_string(crates.join(file)).unwrap());
    let macros = parse(&text.concat());
    let migrated = Database::<K>::expected_schema().unwrap();
    let (shadows, tables): (Vec<_>, Vec<_>) =
        migrated.tables.keys().partition(|name| name.starts_with(SHADOW));
    assert_eq!(macros.keys().collect::<Vec<_>>(), tables);
    assert!(!shadows.is_empty());
    for shadow in shadows {
        let of = &migrated.tables[shadow.strip_prefix(SHADOW).unwrap()];
        let shadow = &migrated.tables[shadow];
        assert_eq!(shadow.columns, of.columns);
        assert_eq!(shadow.unique.len(), 1, "no key but the primary one");
    }
    for (name, (columns, key)) in &macros {
        let table = &migrated.tables[name];
        let expected: BTreeMap<String, String> = table
            .columns
            .iter()
            .map(|(name, column)| (name.clone(), diesel_type(column)))
            .collect();
        assert_eq!(*columns, expected, "{name}");
        assert!(table.unique.contains(key), "{name}: {key:?} is a unique key");
    }
}

#[test]
fn the_table_macros_of_a_cell_are_what_its_migrations_make() {
    assert_like_migrations::<Cell>("cell-db/src/schema.rs");
}

#[test]
fn the_table_macros_of_the_api_database_are_what_its_migrations_make() {
    assert_like_migrations::<Api>("api-db/src/schema.rs");
}
