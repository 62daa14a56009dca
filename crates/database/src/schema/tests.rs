//! Schemas read, compared and fingerprinted.

use super::*;
use diesel::connection::SimpleConnection;
use rstest::rstest;

fn schema(sql: &str) -> Schema {
    let mut sqlite = open_in_memory().unwrap();
    sqlite.batch_execute(sql).unwrap();
    read::read_sqlite(&mut sqlite).unwrap()
}

#[rstest]
#[case("INTEGER", ColumnKind::Integer)]
#[case("int(11)", ColumnKind::Integer)]
#[case("bigint(20)", ColumnKind::BigInt)]
#[case("BIGINT", ColumnKind::BigInt)]
#[case("tinyint(1)", ColumnKind::Boolean)]
#[case("BOOLEAN", ColumnKind::Boolean)]
#[case("tinyint(4)", ColumnKind::Other("tinyint(4)".into()))]
#[case("double precision", ColumnKind::Double)]
#[case("FLOAT", ColumnKind::Double)]
#[case("character varying(36)", ColumnKind::Text(Some(36)))]
#[case("VARCHAR(255)", ColumnKind::Text(Some(255)))]
#[case("mediumtext", ColumnKind::Text(None))]
#[case("timestamp without time zone", ColumnKind::Timestamp)]
#[case("datetime(6)", ColumnKind::Timestamp)]
#[case("BLOB", ColumnKind::Binary)]
#[case("bytea", ColumnKind::Binary)]
#[case("mediumblob", ColumnKind::Binary)]
#[case("timestamp with time zone", ColumnKind::Other("timestamp with time zone".into()))]
#[case("inet", ColumnKind::Other("inet".into()))]
#[case("int(10) unsigned", ColumnKind::Other("int(10) unsigned".into()))]
fn a_type_is_the_same_in_the_words_of_all_backends(#[case] words: &str, #[case] kind: ColumnKind) {
    assert_eq!(ColumnKind::parse(words), kind);
}

#[rstest]
#[case("a INTEGER, b TEXT", "a INTEGER, b TEXT", None)]
#[case("a INTEGER, b TEXT", "b TEXT, a INTEGER", None)]
#[case("a INTEGER", "a VARCHAR(255)", Some("column t.a: expected INTEGER, found VARCHAR(255)"))]
#[case("a VARCHAR(9)", "a VARCHAR(8)", Some("column t.a: expected VARCHAR(9), found VARCHAR(8)"))]
#[case("a INTEGER", "a INTEGER NOT NULL", Some("column t.a: expected NULL, found NOT NULL"))]
#[case("a INTEGER NOT NULL", "a INTEGER", Some("column t.a: expected NOT NULL, found NULL"))]
#[case("a INTEGER, b INTEGER", "a INTEGER", Some("column t.b: missing, expected INTEGER"))]
#[case("a INTEGER", "a INTEGER, b DATE", Some("column t.b: not expected, found DATE"))]
#[case("a INTEGER UNIQUE", "a INTEGER", Some("unique key t(a): missing"))]
#[case("a INTEGER", "a INTEGER UNIQUE", Some("unique key t(a): not expected"))]
#[case("a INTEGER PRIMARY KEY", "a INTEGER NOT NULL", Some("unique key t(a): missing"))]
#[case(
    "a INTEGER, b TEXT, UNIQUE (a, b)",
    "a INTEGER, b TEXT, UNIQUE (b, a)",
    Some("unique key t(a, b): missing")
)]
fn the_first_difference_is_named(
    #[case] expected: &str,
    #[case] found: &str,
    #[case] says: Option<&str>,
) {
    let expected = schema(&format!("CREATE TABLE t ({expected})"));
    let found = schema(&format!("CREATE TABLE t ({found})"));
    let difference = expected.first_difference(&found).map(|difference| difference.to_string());
    assert_eq!(difference.as_deref(), says);
    assert_eq!(expected.fingerprint() == found.fingerprint(), says.is_none());
}

#[test]
fn keys_and_indexes_count_by_their_columns() {
    let ours = schema(
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL, c TEXT, UNIQUE (b)); \
         CREATE INDEX one ON t (c, b); CREATE INDEX redundant ON t (b)",
    );
    let theirs = schema(
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT NOT NULL, c TEXT); \
         CREATE UNIQUE INDEX key ON t (b); CREATE INDEX other ON t (c, b)",
    );
    assert_eq!(ours.first_difference(&theirs), None);
    let table = &ours.tables["t"];
    assert_eq!(table.unique, BTreeSet::from([vec!["a".to_owned()], vec!["b".to_owned()]]));
    assert_eq!(table.indexes, BTreeSet::from([vec!["c".to_owned(), "b".to_owned()]]));
}

#[test]
fn an_index_on_some_rows_is_another_one() {
    let whole = schema("CREATE TABLE t (a INTEGER); CREATE INDEX i ON t (a)");
    let part = schema("CREATE TABLE t (a INTEGER); CREATE INDEX i ON t (a) WHERE a > 0");
    assert!(whole.first_difference(&part).is_some());
}

#[test]
fn missing_and_additional_tables_are_named() {
    let one = schema("CREATE TABLE a (x INTEGER)");
    let two = schema("CREATE TABLE a (x INTEGER); CREATE TABLE b (x INTEGER)");
    let missing = Difference::TableMissing { table: "b".to_owned() };
    let unexpected = Difference::TableUnexpected { table: "b".to_owned() };
    assert_eq!(two.first_difference(&one), Some(missing));
    assert_eq!(one.first_difference(&two), Some(unexpected));
}

#[test]
fn a_fingerprint_is_64_hexadecimal_digits() {
    let fingerprint = schema("CREATE TABLE a (x INTEGER)").fingerprint();
    assert_eq!(fingerprint.len(), 64);
    assert!(fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()));
}
