//! The schema as each backend's catalogue lists it, and changes to it that are found and named.

use crate::common::{Fresh, Things, soon};
use cellzero_database::{Database, ErrorKind};
use cellzero_test_support::Engine;
use rstest::rstest;

/// A change that somebody makes behind this project's back.
#[derive(Clone, Copy, Debug)]
enum Change {
    IndexDropped,
    IndexAdded,
    UniqueDropped,
    UniqueAdded,
    ColumnAdded,
    ColumnDropped,
    KindChanged,
    LengthChanged,
    NullForbidden,
    NullAllowed,
    TableAdded,
}

impl Change {
    fn statements(self, engine: Engine) -> String {
        let drop_index = |name: &str| match engine {
            Engine::MariaDb => format!("DROP INDEX {name} ON things"),
            Engine::Sqlite | Engine::Postgres => format!("DROP INDEX {name}"),
        };
        match (self, engine) {
            (Change::IndexDropped, _) => drop_index("things_name_amount_idx"),
            (Change::IndexAdded, _) => "CREATE INDEX more_idx ON things (amount)".to_owned(),
            (Change::UniqueDropped, Engine::Sqlite) => {
                edit("    CONSTRAINT uniq_things_uuid UNIQUE (uuid),", "")
            }
            (Change::UniqueDropped, Engine::Postgres) => {
                "ALTER TABLE things DROP CONSTRAINT uniq_things_uuid".to_owned()
            }
            (Change::UniqueDropped, Engine::MariaDb) => drop_index("uniq_things_uuid"),
            (Change::UniqueAdded, _) => "CREATE UNIQUE INDEX more_idx ON things (name)".to_owned(),
            (Change::ColumnAdded, _) => "ALTER TABLE things ADD COLUMN x INTEGER".to_owned(),
            (Change::ColumnDropped, _) => "ALTER TABLE things DROP COLUMN ratio".to_owned(),
            (Change::TableAdded, _) => "CREATE TABLE x (id INTEGER)".to_owned(),
            (Change::KindChanged, _) => {
                column(engine, "amount", "BIGINT NOT NULL", "INTEGER NOT NULL")
            }
            (Change::LengthChanged, _) => {
                column(engine, "name", "VARCHAR(255) NULL", "VARCHAR(200) NULL")
            }
            (Change::NullForbidden, _) => {
                column(engine, "name", "VARCHAR(255) NULL", "VARCHAR(255) NOT NULL")
            }
            (Change::NullAllowed, _) => column(engine, "amount", "BIGINT NOT NULL", "BIGINT NULL"),
        }
    }
}

/// Makes another column of one.
fn column(engine: Engine, name: &str, before: &str, after: &str) -> String {
    let (kind, null) = after.split_once(' ').unwrap();
    let null = if null == "NULL" { "DROP" } else { "SET" };
    match engine {
        Engine::Sqlite => edit(&format!("{name} {before}"), &format!("{name} {after}")),
        Engine::MariaDb => format!("ALTER TABLE things MODIFY COLUMN {name} {after}"),
        Engine::Postgres => format!(
            "ALTER TABLE things ALTER COLUMN {name} TYPE {kind}, \
             ALTER COLUMN {name} {null} NOT NULL"
        ),
    }
}

/// SQLite cannot change a column. Its catalogue keeps the words of `CREATE TABLE` and can be told
/// to let them be edited; the other number makes open connections read them again.
fn edit(before: &str, after: &str) -> String {
    format!(
        "PRAGMA writable_schema = ON; \
         UPDATE sqlite_master SET sql = replace(sql, '{before}', '{after}') WHERE name = 'things'; \
         DELETE FROM sqlite_master WHERE name LIKE 'sqlite_autoindex_things%' AND '{after}' = ''; \
         PRAGMA schema_version = 1000; PRAGMA writable_schema = RESET"
    )
}

/// Each change, and how it is named.
const CHANGES: [(Change, &str); 11] = [
    (Change::IndexDropped, "index things(name, amount): missing"),
    (Change::IndexAdded, "index things(amount): not expected"),
    (Change::UniqueDropped, "unique key things(uuid): missing"),
    (Change::UniqueAdded, "unique key things(name): not expected"),
    (Change::ColumnAdded, "column things.x: not expected, found INTEGER"),
    (Change::ColumnDropped, "column things.ratio: missing, expected DOUBLE"),
    (Change::KindChanged, "column things.amount: expected BIGINT, found INTEGER"),
    (Change::LengthChanged, "column things.name: expected VARCHAR(255), found VARCHAR(200)"),
    (Change::NullForbidden, "column things.name: expected NULL, found NOT NULL"),
    (Change::NullAllowed, "column things.amount: expected NOT NULL, found NULL"),
    (Change::TableAdded, "table x: not expected"),
];

/// Takes the second migration back, so that it can be run again.
const UNDO: &str = "DROP TABLE IF EXISTS x; DROP TABLE things; \
                    DELETE FROM __diesel_schema_migrations WHERE version = '20261124000002'";

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_schema_is_found_and_named(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    // One database for all, since making one is what takes the time on a server.
    let Some((fresh, database)) = Fresh::migrated(engine).await else { return };
    for (change, says) in CHANGES {
        database.check_drift(soon()).await.unwrap();
        fresh.outside.execute(&change.statements(engine)).unwrap();
        let error = database.check_drift(soon()).await.expect_err(says);
        assert_eq!(error.kind(), ErrorKind::SchemaDrift, "{change:?}");
        assert!(error.to_string().contains(says), "{change:?}: {error}");
        assert!(error.to_string().contains(&database.url().to_string()), "{error}");
        fresh.outside.execute(UNDO).unwrap();
        database.migrate(soon()).await.unwrap();
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn every_backend_has_the_expected_schema(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_fresh, database)) = Fresh::migrated(engine).await else { return };
    let expected = Database::<Things>::expected_schema().unwrap();
    let found = database.schema(soon()).await.unwrap();
    assert_eq!(expected.first_difference(&found), None);
    assert_eq!(*expected, found);
    assert_eq!(expected.fingerprint(), found.fingerprint());
    assert_eq!(expected.tables.keys().collect::<Vec<_>>(), ["database_identity", "things"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn two_databases_of_one_kind_have_one_fingerprint_until_one_is_changed(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some((_cell0, cell0)) = Fresh::migrated(engine).await else { return };
    let Some((cell1_fresh, cell1)) = Fresh::migrated(engine).await else { return };
    let before = cell0.schema(soon()).await.unwrap();
    assert_eq!(cell1.schema(soon()).await.unwrap().fingerprint(), before.fingerprint());
    cell1_fresh.outside.execute(&Change::NullAllowed.statements(engine)).unwrap();
    let after = cell1.schema(soon()).await.unwrap();
    assert_ne!(after.fingerprint(), before.fingerprint());
    let difference = before.first_difference(&after).unwrap();
    assert_eq!(difference.to_string(), "column things.amount: expected NOT NULL, found NULL");
}
